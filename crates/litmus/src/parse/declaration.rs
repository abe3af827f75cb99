//! The declarative block, and the same lines at the level of the file.

use crate::ast::{Declaration, DeclarationKind, Ident, ThreadRef};
use crate::diag::Diagnostic;
use crate::lex::Tok;

use super::{Parsed, Parser, thread_name};

impl Parser {
    /// `{ ... }` at the level of the file.
    pub(super) fn declarations(&mut self) -> Parsed<()> {
        let start = self.expect("{")?;
        loop {
            if self.eat("}") {
                return Ok(());
            }
            if self.at_end() || self.at_function() {
                let message = "this `{` has no `}`";
                self.errors.push(Diagnostic::error(start, message).label("the block begins here"));
                return Ok(());
            }
            if self.eat(";") {
                continue;
            }
            if self.declaration().is_err() {
                self.recover();
            }
        }
    }

    /// Whether a declaration that is no plain C begins here.
    pub(super) fn at_declaration(&self) -> bool {
        let Some(word) = self.token().word() else { return false };
        match &**word {
            "map" | "ptl" | "frame" | "iotlb" | "atc" | "tlb" | "queue" | "device" | "swtlb"
            | "param" | "model" | "mm" | "context" | "domain" => self.word_ahead(1).is_some(),
            _ => false,
        }
    }

    /// One line, with its `;`.
    pub(super) fn declaration(&mut self) -> Parsed<()> {
        let start = self.span();
        let kind = self.declaration_kind()?;
        if !self.is("}") {
            self.expect(";")?;
        }
        let span = self.since(start);
        self.test.declarations.push(Declaration { kind, span });
        Ok(())
    }

    fn declaration_kind(&mut self) -> Parsed<DeclarationKind> {
        if self.is("[") {
            self.next();
            let name = self.ident("a variable")?;
            self.expect("]")?;
            self.expect("=")?;
            let value = self.assignment()?;
            return Ok(DeclarationKind::Set { name, index: None, value });
        }
        let thread = match &self.token().tok {
            Tok::Int(number) if self.is_ahead(1, ":") => {
                Some(('P', u32::try_from(*number).unwrap_or(u32::MAX)))
            }
            Tok::Word(word) if self.is_ahead(1, ":") => thread_name(word),
            _ => None,
        };
        if let Some((class, number)) = thread {
            let span = self.next().span;
            self.next();
            let register = self.ident("a register")?;
            self.expect("=")?;
            let value = self.assignment()?;
            let thread = ThreadRef { class, number, span };
            return Ok(DeclarationKind::Register { thread, register, value });
        }
        if self.at_declaration() {
            return self.machine_declaration();
        }
        if self.token().word().is_none() {
            return self.expected("a declaration");
        }
        // `x = 1` and `x` alone, as plain litmus has them.
        if ["=", ";", "}", "["].iter().any(|sign| self.is_ahead(1, sign)) {
            let name = self.ident("a variable")?;
            let mut index = None;
            if self.eat("[") {
                index = Some(self.integer()?);
                self.expect("]")?;
            }
            let value =
                if self.eat("=") { self.assignment()? } else { Self::int_expr(0, name.span) };
            return Ok(DeclarationKind::Set { name, index, value });
        }
        if !self.at_type() && self.word_ahead(1).is_some() {
            let word = self.ident("a declaration")?;
            const WORDS: [&str; 15] = [
                "map", "ptl", "frame", "iotlb", "atc", "tlb", "queue", "device", "swtlb", "param",
                "model", "mm", "domain", "int", "context",
            ];
            let diagnostic =
                Diagnostic::error(word.span, format!("unknown declaration `{}`", word.name))
                    .nearest(crate::diag::nearest(&word.name, WORDS));
            return self.report(diagnostic);
        }
        Ok(DeclarationKind::Globals(self.declarators()?))
    }

    fn machine_declaration(&mut self) -> Parsed<DeclarationKind> {
        let kind = self.ident("a declaration")?;
        match &*kind.name {
            "map" => self.map(),
            "ptl" => {
                let mode = self.ident("`shared` or `split`")?;
                Ok(DeclarationKind::Ptl { mode, pages: self.idents("a mapped name")? })
            }
            "frame" => {
                let frame = self.ident("a frame")?;
                if !self.eat_word("owner") {
                    return self.expected("`owner`");
                }
                Ok(DeclarationKind::Frame { frame, owner: self.ident("an address space")? })
            }
            "swtlb" => Ok(DeclarationKind::Swtlb { names: self.idents("a name")? }),
            "model" => Ok(DeclarationKind::Model { names: self.idents("a memory model")? }),
            "mm" | "domain" => Ok(DeclarationKind::Space {
                names: self.idents("an address space")?,
                domain: &*kind.name == "domain",
            }),
            "param" => {
                let name = self.ident("a parameter")?;
                self.expect("=")?;
                Ok(DeclarationKind::Param { name, value: self.param_value()? })
            }
            "queue" => {
                let name = self.ident("a name")?;
                self.arrow_right()?;
                let targets = self.idents("an IOTLB or ATC")?;
                let order = if self.eat(":") { Some(self.ident("an order")?) } else { None };
                Ok(DeclarationKind::Queue { name, targets, order })
            }
            "device" => self.device(),
            "context" => self.context(),
            _ => self.tlb(kind),
        }
    }

    fn tlb(&mut self, kind: Ident) -> Parsed<DeclarationKind> {
        let name = self.ident("a name")?;
        let mut source = None;
        if self.is("<") && self.is_ahead(1, "-") {
            self.next();
            self.next();
            source = Some(self.ident("what it fills from")?);
        } else if !self.is(":") {
            return self.expected("`<-` and what it fills from, or `: tags 2`");
        }
        let (mut tags, mut noncoherent) = (None, None);
        if self.eat(":") {
            loop {
                let span = self.span();
                if self.eat_word("tags") {
                    tags = Some((self.integer()?, self.since(span)));
                } else if self.eat_word("noncoherent") {
                    noncoherent = Some(span);
                } else {
                    return self.expected("`tags 2` or `noncoherent`");
                }
                if !self.eat(",") {
                    break;
                }
            }
        }
        Ok(DeclarationKind::Tlb { kind, name, source, tags, noncoherent })
    }

    fn context(&mut self) -> Parsed<DeclarationKind> {
        let name = self.ident("a name")?;
        self.arrow_right()?;
        let tlb = self.ident("the TLB that it fills")?;
        let (mut space, mut tag, mut lazy) = (None, 0, false);
        if self.eat(":") {
            let loaded = self.ident("an address space or `none`")?;
            space = Some(loaded).filter(|space| &*space.name != "none");
            while self.eat(",") {
                if self.eat_word("tag") {
                    tag = self.integer()?;
                } else if self.eat_word("lazy") {
                    lazy = true;
                } else {
                    return self.expected("`tag 1` or `lazy`");
                }
            }
        }
        Ok(DeclarationKind::Context { name, tlb, space, tag, lazy })
    }

    fn arrow_right(&mut self) -> Parsed<()> {
        self.expect("->").map(|_| ())
    }

    /// A word or a number, kept as a word.
    pub(super) fn param_value(&mut self) -> Parsed<Ident> {
        match self.token().tok {
            Tok::Int(value) => Ok(Ident { name: value.to_string().into(), span: self.next().span }),
            _ => self.ident("a value"),
        }
    }

    fn map(&mut self) -> Parsed<DeclarationKind> {
        let page = self.ident("a name for the address")?;
        self.arrow_right()?;
        let frame = self.ident("a frame or `none`")?;
        let frame = Some(frame).filter(|frame| &*frame.name != "none");
        let mut values = Vec::new();
        if self.eat("{") {
            while !self.is("}") {
                values.push(self.integer()?);
                if !self.eat(",") {
                    break;
                }
            }
            self.expect("}")?;
        }
        let mut attributes = Vec::new();
        if self.eat(":") {
            while self.token().word().is_some() {
                attributes.push(self.ident("an attribute")?);
                self.eat(",");
            }
        }
        Ok(DeclarationKind::Map { page, frame, values, attributes })
    }

    fn device(&mut self) -> Parsed<DeclarationKind> {
        let name = self.ident("a name")?;
        self.expect(":")?;
        let tlb = self.ident("the TLB it uses")?;
        let (mut pasid, mut order) = (None, None);
        while self.eat(",") {
            if self.eat_word("pasid") {
                pasid = Some(self.integer()?);
            } else if self.eat_word("order") {
                order = Some(self.ident("`waits` or `relaxed`")?);
            } else {
                return self.expected("`pasid N` or `order waits`");
            }
        }
        Ok(DeclarationKind::Device { name, tlb, pasid, order })
    }
}
