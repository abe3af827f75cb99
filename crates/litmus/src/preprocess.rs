//! `#ifdef` and `#include`: from the tokens of several files to those of one
//! variant.

use std::collections::HashMap;

use crate::diag::Diagnostic;
use crate::lex::{Name, Tok, Token, lex};
use crate::source::{FileId, Files, Include, Sources, Span, include_error, refuse};
use crate::variant::Variant;

/// Files within files. The kernel's own headers hardly reach this.
const DEEPEST_INCLUDE: usize = 20;
/// Signs of all files together; files that include each other twice double.
const MOST_TOKENS: usize = 400_000;
/// Parentheses within parentheses in a condition.
const DEEPEST_CONDITION: usize = 60;

pub(crate) struct Preprocessed {
    pub(crate) tokens: Vec<Token>,
    /// The names that conditions ask for, with the first place of each.
    pub(crate) switches: Vec<(Name, Span)>,
    pub(crate) errors: Vec<Diagnostic>,
}

/// Evaluates the directives for one variant.
pub(crate) fn preprocess(
    files: &mut Files,
    root: FileId,
    tokens: Vec<Token>,
    sources: &dyn Sources,
    variant: &Variant,
) -> Preprocessed {
    let name = files.name(root).to_owned();
    let mut run = Preprocessor {
        files,
        sources,
        variant,
        out: Vec::new(),
        switches: Vec::new(),
        errors: Vec::new(),
        open: vec![name],
        defined: HashMap::new(),
        own: Vec::new(),
        read: 0,
        flooded: false,
    };
    let end = tokens.last().cloned();
    run.file(tokens, true);
    let Preprocessor { mut out, mut switches, errors, own, .. } = run;
    out.extend(end);
    // What the files define for themselves is not for others to choose.
    switches.retain(|(name, _)| !own.contains(name));
    Preprocessed { tokens: out, switches, errors }
}

struct Preprocessor<'a> {
    files: &'a mut Files,
    sources: &'a dyn Sources,
    variant: &'a Variant,
    out: Vec<Token>,
    switches: Vec<(Name, Span)>,
    errors: Vec<Diagnostic>,
    /// The files that are being read, outermost first.
    open: Vec<String>,
    defined: HashMap<Name, Vec<Token>>,
    /// Names with a `#define`, also in branches that are not taken.
    own: Vec<Name>,
    read: usize,
    flooded: bool,
}

struct Branch {
    /// The `#if` line.
    span: Span,
    /// The text of this branch counts.
    active: bool,
    /// Some branch of this `#if` has been taken.
    taken: bool,
    /// The text around the `#if` counts.
    outer: bool,
    otherwise: bool,
}

impl Preprocessor<'_> {
    fn file(&mut self, tokens: Vec<Token>, active: bool) {
        self.read += tokens.len();
        if self.read > MOST_TOKENS {
            if !self.flooded {
                self.flooded = true;
                let span = tokens[0].span;
                let message = "the includes of this test are too large together";
                self.errors.push(Diagnostic::error(span, message).label("reading stops here"));
            }
            return;
        }
        let mut branches: Vec<Branch> = Vec::new();
        let mut at = 0;
        while at < tokens.len() {
            let counts = branches.last().map_or(active, |branch| branch.active);
            match &tokens[at].tok {
                Tok::Hash => {
                    let length = tokens[at..].iter().take_while(|t| t.tok != Tok::LineEnd).count();
                    self.directive(&tokens[at..at + length], counts, &mut branches);
                    at += length + 1;
                }
                Tok::Eof => break,
                Tok::Word(name) if counts && self.defined.contains_key(name) => {
                    // Once and not again: what it stands for is taken as it is.
                    let body = self.defined[name].clone();
                    let span = tokens[at].span;
                    self.out.extend(body.into_iter().map(|token| Token { span, ..token }));
                    at += 1;
                }
                _ => {
                    if counts {
                        self.out.push(tokens[at].clone());
                    }
                    at += 1;
                }
            }
        }
        for branch in branches {
            self.errors.push(
                Diagnostic::error(branch.span, "this #if has no #endif").label("it begins here"),
            );
        }
    }

    fn directive(&mut self, line: &[Token], active: bool, branches: &mut Vec<Branch>) {
        let span = line[0].span.to(line[line.len() - 1].span);
        // A `#` alone is allowed and does nothing.
        let Some(word) = line.get(1) else { return };
        let name = word.word().map_or("", |name| &**name);
        let rest = &line[2..];
        match name {
            "ifdef" | "ifndef" => {
                let is = self.one_name(rest, span, name).is_some_and(|name| self.is_defined(&name));
                let holds = is == (name == "ifdef");
                self.open_branch(span, active, holds, branches);
            }
            "if" => {
                let holds = self.condition(rest, span);
                self.open_branch(span, active, holds, branches);
            }
            "elif" | "elifdef" | "elifndef" | "else" => {
                let holds = match name {
                    "else" => true,
                    "elif" => self.condition(rest, span),
                    _ => {
                        let is = self.one_name(rest, span, name);
                        is.is_some_and(|n| self.is_defined(&n)) == (name == "elifdef")
                    }
                };
                let Some(branch) = branches.last_mut() else {
                    self.errors.push(Diagnostic::error(span, format!("#{name} without an #if")));
                    return;
                };
                if branch.otherwise {
                    let message = format!("#{name} after #else");
                    self.errors
                        .push(Diagnostic::error(span, message).also(branch.span, "of this #if"));
                }
                branch.otherwise |= name == "else";
                branch.active = branch.outer && !branch.taken && holds;
                branch.taken |= branch.active;
            }
            "endif" => {
                let open = branches.pop();
                if open.is_none() {
                    self.errors.push(Diagnostic::error(span, "#endif without an #if"));
                }
            }
            "include" => self.include(rest, span, active),
            "define" => self.define(rest, span, active),
            "undef" => {
                if let (true, Some(name)) = (active, self.one_name(rest, span, name)) {
                    self.defined.remove(&name);
                }
            }
            "pragma" => {}
            "error" if active => {
                let text = self.files.text(span).trim_start_matches('#').trim().to_owned();
                self.errors.push(Diagnostic::error(span, format!("#{text}")));
            }
            "error" => {}
            _ if active => {
                const KNOWN: [&str; 10] = [
                    "ifdef", "ifndef", "if", "elif", "else", "endif", "include", "define", "undef",
                    "error",
                ];
                self.errors.push(
                    Diagnostic::error(span, format!("unknown directive `#{name}`"))
                        .nearest(crate::diag::nearest(name, KNOWN)),
                );
            }
            _ => {}
        }
    }

    fn open_branch(&mut self, span: Span, outer: bool, holds: bool, branches: &mut Vec<Branch>) {
        let active = outer && holds;
        branches.push(Branch { span, active, taken: active, outer, otherwise: false });
    }

    fn one_name(&mut self, rest: &[Token], span: Span, directive: &str) -> Option<Name> {
        match rest {
            [token] if token.word().is_some() => {
                let name = token.word().cloned();
                if let (Some(name), true) = (&name, directive != "undef") {
                    self.ask(name, token.span);
                }
                name
            }
            _ => {
                let message = format!("#{directive} takes one name");
                self.errors.push(Diagnostic::error(span, message));
                None
            }
        }
    }

    fn ask(&mut self, name: &Name, span: Span) {
        if !self.switches.iter().any(|(known, _)| known == name) {
            self.switches.push((name.clone(), span));
        }
    }

    fn is_defined(&self, name: &str) -> bool {
        self.variant.contains(name) || self.defined.contains_key(name)
    }

    fn define(&mut self, rest: &[Token], span: Span, active: bool) {
        let Some((name, token)) = rest.first().and_then(|t| Some((t.word()?.clone(), t))) else {
            self.errors.push(Diagnostic::error(span, "#define takes a name"));
            return;
        };
        self.own.push(name.clone());
        let body = &rest[1..];
        let touches = body
            .first()
            .is_some_and(|next| next.tok == Tok::Punct("(") && next.span.start == token.span.end);
        if touches && active {
            self.errors.push(
                Diagnostic::error(span, format!("`{name}` is a macro with arguments"))
                    .label("write a static function instead"),
            );
        } else if active {
            self.defined.insert(name, body.to_vec());
        }
    }

    fn include(&mut self, rest: &[Token], span: Span, active: bool) {
        let [Token { tok: Tok::Path { path, local }, span: place, .. }] = rest else {
            if active && !rest.iter().any(|token| matches!(token.tok, Tok::Path { .. })) {
                let message = "#include takes `<path>` or `\"path\"`";
                self.errors.push(Diagnostic::error(span, message));
            }
            return;
        };
        let from = self.open.last().cloned().unwrap_or_default();
        // What is not taken is read all the same, for the switches in it.
        let found = match self.sources.read(Include { path, local: *local, from: &from }) {
            Ok(found) => found,
            Err(error) => {
                if active {
                    self.errors.push(include_error(path, *place, &error));
                }
                return;
            }
        };
        if self.open.contains(&found.name) || self.open.len() > DEEPEST_INCLUDE {
            if active {
                let chain = self.open.join(" -> ");
                self.errors.push(
                    Diagnostic::error(*place, format!("`{path}` includes itself"))
                        .help(format!("{chain} -> {}", found.name)),
                );
            }
            return;
        }
        if let Some(why) = refuse(&found.text) {
            if active {
                let message = format!("cannot use the include file `{}`: {why}", found.name);
                self.errors.push(Diagnostic::error(*place, message));
            }
            return;
        }
        let text = String::from_utf8_lossy(&found.text);
        let file = self.files.add(&found.name, &text);
        let lexed = lex(file, &text, 0);
        if active {
            self.errors.extend(lexed.errors);
        }
        self.open.push(found.name);
        self.file(lexed.tokens, active);
        self.open.pop();
    }

    fn condition(&mut self, tokens: &[Token], span: Span) -> bool {
        let mut at = 0;
        let value = self.either(tokens, &mut at, 0);
        if value.is_none() || at != tokens.len() {
            let place = tokens.get(at).map_or(span, |token| token.span);
            self.errors.push(
                Diagnostic::error(place, "this condition cannot be evaluated")
                    .label("`defined(A)`, numbers, `! && || == != < > ( )`"),
            );
        }
        value.unwrap_or(0) != 0
    }

    fn either(&mut self, tokens: &[Token], at: &mut usize, depth: usize) -> Option<i64> {
        let mut value = self.both(tokens, at, depth)?;
        while eat(tokens, at, "||") {
            let right = self.both(tokens, at, depth)?;
            value = i64::from(value != 0 || right != 0);
        }
        Some(value)
    }

    fn both(&mut self, tokens: &[Token], at: &mut usize, depth: usize) -> Option<i64> {
        let mut value = self.compared(tokens, at, depth)?;
        while eat(tokens, at, "&&") {
            let right = self.compared(tokens, at, depth)?;
            value = i64::from(value != 0 && right != 0);
        }
        Some(value)
    }

    fn compared(&mut self, tokens: &[Token], at: &mut usize, depth: usize) -> Option<i64> {
        let left = self.single(tokens, at, depth)?;
        let Some(Tok::Punct(sign)) = tokens.get(*at).map(|token| &token.tok) else {
            return Some(left);
        };
        let compare: fn(&i64, &i64) -> bool = match *sign {
            "==" => i64::eq,
            "!=" => i64::ne,
            "<" => i64::lt,
            ">" => i64::gt,
            "<=" => i64::le,
            ">=" => i64::ge,
            _ => return Some(left),
        };
        *at += 1;
        let right = self.single(tokens, at, depth)?;
        Some(i64::from(compare(&left, &right)))
    }

    fn single(&mut self, tokens: &[Token], at: &mut usize, depth: usize) -> Option<i64> {
        if depth > DEEPEST_CONDITION {
            return None;
        }
        if eat(tokens, at, "!") {
            return Some(i64::from(self.single(tokens, at, depth + 1)? == 0));
        }
        if eat(tokens, at, "(") {
            let value = self.either(tokens, at, depth + 1)?;
            return eat(tokens, at, ")").then_some(value);
        }
        let token = tokens.get(*at)?;
        match &token.tok {
            Tok::Int(value) => {
                *at += 1;
                Some(*value)
            }
            Tok::Word(word) if matches!(&**word, "defined" | "IS_ENABLED") => {
                *at += 1;
                let parentheses = eat(tokens, at, "(");
                let name = tokens.get(*at)?.word()?.clone();
                self.ask(&name, tokens[*at].span);
                *at += 1;
                if parentheses && !eat(tokens, at, ")") {
                    return None;
                }
                Some(i64::from(self.is_defined(&name)))
            }
            Tok::Word(name) => {
                *at += 1;
                self.ask(name, token.span);
                let value = self.defined.get(name).and_then(|body| body.first()).map(|t| &t.tok);
                match value {
                    Some(Tok::Int(value)) => Some(*value),
                    _ => Some(i64::from(self.variant.contains(name))),
                }
            }
            _ => None,
        }
    }
}

fn eat(tokens: &[Token], at: &mut usize, sign: &str) -> bool {
    let is = matches!(tokens.get(*at), Some(Token { tok: Tok::Punct(p), .. }) if *p == sign);
    *at += usize::from(is);
    is
}
