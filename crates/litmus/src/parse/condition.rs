//! The end of a test: `locations`, `filter`, the quantified condition, and the
//! `expect` table.

use crate::ast::{ExpectLine, Operand, PlaceRef, Prop, Quantifier, ThreadRef};
use crate::diag::Diagnostic;
use crate::lex::Tok;

use super::{Parsed, Parser, thread_name};

impl Parser {
    pub(super) fn at_condition(&self) -> bool {
        const WORDS: [&str; 9] = [
            "locations",
            "filter",
            "exists",
            "forall",
            "final",
            "not",
            "expect",
            "observed",
            "with",
        ];
        self.token().word().is_some_and(|word| WORDS.contains(&&**word)) && !self.is_ahead(1, "*")
    }

    pub(super) fn condition_zone(&mut self) -> Parsed<()> {
        let start = self.span();
        if self.eat_word("locations") {
            return self.locations();
        }
        if self.eat_word("expect") {
            return self.expectations();
        }
        if self.eat_word("filter") {
            let prop = self.prop()?;
            if self.test.filter.replace(prop).is_some() {
                let message = "a second `filter`";
                let label = "join the two with `/\\`";
                return self.report(Diagnostic::error(start, message).label(label));
            }
            return Ok(());
        }
        let negated = self.eat("~") || self.eat_word("not");
        let quantifier = if self.eat_word("exists") {
            if negated { Quantifier::NotExists } else { Quantifier::Exists }
        } else if self.eat_word("forall") {
            Quantifier::Forall
        } else if self.eat_word("final") {
            Quantifier::Final
        } else if self.is_word("observed") || self.is_word("with") {
            let message = format!("{} is an old form that is not read", self.found());
            let label = "write `exists (...)` or `forall (...)`";
            return self.report(Diagnostic::error(start, message).label(label));
        } else {
            return self.expected("`exists`, `forall` or `final`");
        };
        let prop = self.prop()?;
        let span = self.since(start);
        self.eat(";");
        if let Some((_, _, first)) = self.test.condition.replace((quantifier, prop, span)) {
            let message = "a second condition";
            let diagnostic = Diagnostic::error(start, message).also(first, "the first is here");
            return self.report(diagnostic);
        }
        Ok(())
    }

    fn locations(&mut self) -> Parsed<()> {
        self.expect("[")?;
        while !self.is("]") {
            if self.at_end() {
                return self.expected("`]`");
            }
            let place = self.place()?;
            self.test.locations.push(place);
            // herd allows a type after the place.
            while self.token().word().is_some() || self.is("*") {
                self.next();
            }
            if !self.eat(";") && !self.eat(",") {
                break;
            }
        }
        self.expect("]")?;
        self.eat(";");
        Ok(())
    }

    fn prop(&mut self) -> Parsed<Prop> {
        self.deeper(|parser| {
            let mut left = parser.conjunction()?;
            let mut links = 0;
            while parser.eat("\\/") {
                links += 1;
                parser.limit(links)?;
                left = Prop::Or(Box::new(left), Box::new(parser.conjunction()?));
            }
            Ok(left)
        })
    }

    fn limit(&mut self, links: usize) -> Parsed<()> {
        if links > 500 {
            let message = "more than 500 parts in one condition";
            return self.report(Diagnostic::error(self.span(), message));
        }
        Ok(())
    }

    fn conjunction(&mut self) -> Parsed<Prop> {
        let start = self.span();
        let (mut left, mut bare) = self.implication()?;
        let mut links = 0;
        while self.eat("/\\") {
            links += 1;
            self.limit(links)?;
            let (right, implies) = self.implication()?;
            bare |= implies;
            left = Prop::And(Box::new(left), Box::new(right));
        }
        if links > 0 && bare {
            let message = "`=>` binds tighter than `/\\` here, unlike in textbooks";
            let span = self.since(start);
            self.errors.push(Diagnostic::warning(span, message).label("add parentheses"));
        }
        Ok(left)
    }

    /// Also whether an implication stands there without parentheses.
    fn implication(&mut self) -> Parsed<(Prop, bool)> {
        let left = self.atom()?;
        if !self.eat("=>") {
            return Ok((left, false));
        }
        let (right, _) = self.deeper(Self::implication)?;
        Ok((Prop::Implies(Box::new(left), Box::new(right)), true))
    }

    fn atom(&mut self) -> Parsed<Prop> {
        if self.eat("~") || self.eat_word("not") || self.eat("!") {
            let inner = self.deeper(Self::atom)?;
            return Ok(Prop::Not(Box::new(inner)));
        }
        if self.eat("(") {
            let inner = self.prop()?;
            self.expect(")")?;
            return Ok(inner);
        }
        if self.eat_word("true") {
            return Ok(Prop::Constant(true));
        }
        if self.eat_word("false") {
            return Ok(Prop::Constant(false));
        }
        let left = self.place()?;
        let equal = if self.eat("=") || self.eat("==") {
            true
        } else if self.eat("!=") || self.eat("<>") {
            false
        } else if left.thread.is_some() && &*left.name.name == "fault" {
            // `D0:fault` alone: the thread ended with a fault.
            return Ok(Prop::Atom { left, equal: false, right: Operand::Int(0) });
        } else {
            return self.expected("`=` or `!=`");
        };
        Ok(Prop::Atom { left, equal, right: self.operand()? })
    }

    fn operand(&mut self) -> Parsed<Operand> {
        let number = matches!(self.token().tok, Tok::Int(_)) && !self.is_ahead(1, ":");
        if number || self.is("-") {
            return Ok(Operand::Int(self.integer()?));
        }
        self.eat("&");
        Ok(Operand::Place(self.place()?))
    }

    /// `x`, `[x]`, `0:r1`, `P0:r1`, `a[1]`.
    fn place(&mut self) -> Parsed<PlaceRef> {
        let start = self.span();
        if self.eat("[") {
            let mut place = self.place()?;
            self.expect("]")?;
            place.brackets = true;
            place.span = self.since(start);
            return Ok(place);
        }
        let thread = match &self.token().tok {
            Tok::Int(number) if self.is_ahead(1, ":") => {
                Some(('P', u32::try_from(*number).unwrap_or(u32::MAX)))
            }
            Tok::Word(word) if self.is_ahead(1, ":") => match thread_name(word) {
                Some(id) => Some(id),
                None => {
                    let message = format!("`{word}` is no thread");
                    let label = "write `P0:r1`, `D0:r1` or `0:r1`";
                    return self.report(Diagnostic::error(start, message).label(label));
                }
            },
            _ => None,
        };
        let thread = thread.map(|(class, number)| ThreadRef { class, number, span: start });
        if thread.is_some() {
            self.next();
            self.next();
        }
        let name = self.ident("a place such as `x`, `[x]` or `P0:r1`")?;
        let mut index = None;
        if thread.is_none() && self.eat("[") {
            index = Some(self.integer()?);
            self.expect("]")?;
        }
        let span = self.since(start);
        Ok(PlaceRef { thread, name, index, brackets: false, span })
    }

    fn expectations(&mut self) -> Parsed<()> {
        let start = self.expect("{")?;
        loop {
            if self.eat("}") {
                return Ok(());
            }
            if self.at_end() {
                let message = "this `{` has no `}`";
                let diagnostic = Diagnostic::error(start, message).label("the table begins here");
                return self.report(diagnostic);
            }
            if self.eat(";") {
                continue;
            }
            match self.expect_line() {
                Ok(line) => self.test.expect.push(line),
                Err(_) => self.recover(),
            }
        }
    }

    fn expect_line(&mut self) -> Parsed<ExpectLine> {
        let start = self.span();
        let mut line = ExpectLine {
            any: false,
            variants: Vec::new(),
            models: Vec::new(),
            machines: Vec::new(),
            kernels: Vec::new(),
            params: Vec::new(),
            verdicts: Vec::new(),
            span: start,
        };
        if self.eat("*") {
            line.any = true;
        }
        const WORDS: [&str; 4] = ["model", "machine", "kernel", "param"];
        while let Some(word) = self.token().word().cloned() {
            // A word of the table is one only where a value follows.
            match &*word {
                word if WORDS.contains(&word) && !self.is_ahead(1, ":") => {
                    self.next();
                    match word {
                        "model" => line.models.extend(self.setting_names()?),
                        "machine" => line.machines.extend(self.setting_names()?),
                        "kernel" => line.kernels.extend(self.setting_names()?),
                        _ => self.expect_params(&mut line)?,
                    }
                }
                _ => {
                    let variant = self.ident("a variant")?;
                    line.variants.push(variant);
                }
            }
        }
        self.expect(":")?;
        loop {
            let verdict = self.ident("a verdict such as `clean` or `NEW at \"set_pte_at\"`")?;
            let step = if self.eat_word("at") {
                let span = self.span();
                Some((self.string("the step")?, span))
            } else {
                None
            };
            line.verdicts.push((verdict, step));
            if !self.eat(",") {
                break;
            }
        }
        line.span = self.since(start);
        if !self.is("}") {
            self.expect(";")?;
        }
        Ok(line)
    }

    fn expect_params(&mut self, line: &mut ExpectLine) -> Parsed<()> {
        loop {
            let name = self.ident("a parameter")?;
            self.expect("=")?;
            line.params.push((name, self.param_value()?));
            self.eat(",");
            let more = self.token().word().is_some() && self.is_ahead(1, "=");
            if !more {
                return Ok(());
            }
        }
    }

    /// Names with dashes and dots: `iommu-only`, `v6.12`.
    fn setting_names(&mut self) -> Parsed<Vec<crate::ast::Ident>> {
        let mut names = Vec::new();
        loop {
            let mut name = self.ident("a name")?;
            let mut text = name.name.to_string();
            loop {
                let touches = self.span().start == name.span.end;
                let joins = self.is("-") || self.is(".");
                let part = match (&self.token().tok, touches) {
                    (Tok::Punct(sign), true) if joins => (*sign).to_owned(),
                    (Tok::Word(word), true) => word.to_string(),
                    (Tok::Int(value), true) => value.to_string(),
                    _ => break,
                };
                text.push_str(&part);
                name.span = name.span.to(self.next().span);
            }
            name.name = text.into();
            names.push(name);
            if !self.eat(",") {
                return Ok(names);
            }
        }
    }
}
