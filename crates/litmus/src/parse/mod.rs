//! From tokens to the tree, by recursive descent.
//!
//! After an error the parser goes on behind the next `;` or before the next
//! `}`, so that one reading reports all errors of a file.

mod condition;
mod declaration;
mod expression;
mod item;
mod statement;
mod type_name;

use crate::ast::{Ident, Test};
use crate::diag::Diagnostic;
use crate::lex::{Name, Tok, Token};
use crate::source::Span;

/// Parentheses, blocks and operators within each other. Deeper text is not
/// written by people, and would exhaust the stack.
const DEEPEST: usize = 150;

/// An error that is in the list already.
#[derive(Debug)]
pub(crate) struct Reported;
type Parsed<T> = Result<T, Reported>;

pub(crate) struct Tree {
    pub(crate) test: Test,
    pub(crate) errors: Vec<Diagnostic>,
}

/// Parses the tokens of one variant.
pub(crate) fn parse(tokens: Vec<Token>) -> Tree {
    let mut parser = Parser { tokens, at: 0, errors: Vec::new(), depth: 0, test: Test::default() };
    parser.test();
    Tree { test: parser.test, errors: parser.errors }
}

struct Parser {
    /// The last one is always [`Tok::Eof`].
    tokens: Vec<Token>,
    at: usize,
    errors: Vec<Diagnostic>,
    depth: usize,
    test: Test,
}

impl Parser {
    fn token(&self) -> &Token {
        &self.tokens[self.at]
    }

    fn ahead(&self, count: usize) -> &Tok {
        &self.tokens[(self.at + count).min(self.tokens.len() - 1)].tok
    }

    fn span(&self) -> Span {
        self.token().span
    }

    /// From `start` to the last token that was taken.
    fn since(&self, start: Span) -> Span {
        start.to(self.tokens[self.at.saturating_sub(1)].span)
    }

    fn next(&mut self) -> Token {
        let token = self.token().clone();
        if token.tok != Tok::Eof {
            self.at += 1;
        }
        token
    }

    fn is(&self, sign: &str) -> bool {
        matches!(self.token().tok, Tok::Punct(punct) if punct == sign)
    }

    fn is_ahead(&self, count: usize, sign: &str) -> bool {
        matches!(self.ahead(count), Tok::Punct(punct) if *punct == sign)
    }

    fn is_word(&self, word: &str) -> bool {
        self.token().word().is_some_and(|name| &**name == word)
    }

    fn word_ahead(&self, count: usize) -> Option<&Name> {
        match self.ahead(count) {
            Tok::Word(name) => Some(name),
            _ => None,
        }
    }

    fn at_end(&self) -> bool {
        self.token().tok == Tok::Eof
    }

    fn eat(&mut self, sign: &str) -> bool {
        let is = self.is(sign);
        self.at += usize::from(is);
        is
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let is = self.is_word(word);
        self.at += usize::from(is);
        is
    }

    /// What the text has here, as messages name it.
    fn found(&self) -> String {
        match &self.token().tok {
            Tok::Word(name) => format!("`{name}`"),
            Tok::Int(value) => format!("`{value}`"),
            Tok::Str(text) => format!("\"{text}\""),
            Tok::Punct(sign) => format!("`{sign}`"),
            Tok::Eof => "the end of the file".to_owned(),
            Tok::Hash | Tok::Path { .. } | Tok::LineEnd => "a directive".to_owned(),
        }
    }

    /// "expected X, found Y". A missing `;` is shown where it belongs: after
    /// the line that lacks it.
    fn expected<T>(&mut self, what: &str) -> Parsed<T> {
        let found = self.found();
        let message = format!("expected {what}, found {found}");
        let previous = self.at.checked_sub(1).map(|at| self.tokens[at].span);
        let diagnostic = match previous {
            Some(previous) if what == "`;`" && previous.file == self.span().file => {
                let place = Span { start: previous.end.saturating_sub(1), ..previous };
                Diagnostic::error(place, message).label("a `;` is missing after this")
            }
            _ => Diagnostic::error(self.span(), message),
        };
        self.report(diagnostic)
    }

    fn report<T>(&mut self, diagnostic: Diagnostic) -> Parsed<T> {
        self.errors.push(diagnostic);
        Err(Reported)
    }

    fn expect(&mut self, sign: &str) -> Parsed<Span> {
        if self.is(sign) {
            return Ok(self.next().span);
        }
        let fresh = self.token().fresh && !self.at_end();
        match self.expected(&format!("`{sign}`")) {
            // The next line is read as if the `;` had been there.
            Err(_) if sign == ";" && fresh => Ok(self.span()),
            other => other,
        }
    }

    fn ident(&mut self, what: &str) -> Parsed<Ident> {
        match self.token().word().cloned() {
            Some(name) => Ok(Ident { name, span: self.next().span }),
            None => self.expected(what),
        }
    }

    fn idents(&mut self, what: &str) -> Parsed<Vec<Ident>> {
        let mut names = vec![self.ident(what)?];
        while self.eat(",") {
            names.push(self.ident(what)?);
        }
        Ok(names)
    }

    /// A number, with sign.
    fn integer(&mut self) -> Parsed<i64> {
        let negative = self.eat("-");
        match self.token().tok {
            Tok::Int(value) => {
                self.next();
                Ok(if negative { value.wrapping_neg() } else { value })
            }
            _ => self.expected("a number"),
        }
    }

    /// Runs `parse` one level deeper, unless that is too deep.
    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= DEEPEST {
            let message = format!("more than {DEEPEST} levels of nesting");
            return self.report(Diagnostic::error(self.span(), message).label("give parts a name"));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    /// Goes on behind the next `;`, or before the next `}` of this level.
    fn recover(&mut self) {
        let mut depth = 0usize;
        while !self.at_end() {
            if depth == 0 && (self.is("}") || self.at_function()) {
                return;
            }
            match self.next().tok {
                Tok::Punct("{") => depth += 1,
                Tok::Punct("}") => {
                    depth -= 1;
                    if depth == 0 {
                        return;
                    }
                }
                Tok::Punct(";") if depth == 0 => return,
                _ => {}
            }
        }
    }

    /// Whether a thread or the condition begins here: nothing of the kind can
    /// be inside a function, so a brace before it was not closed.
    fn at_function(&self) -> bool {
        let Some(word) = self.token().word() else { return false };
        match &**word {
            "exists" | "forall" | "locations" | "filter" => {
                self.is_ahead(1, "(") || self.is_ahead(1, "[")
            }
            "expect" => self.is_ahead(1, "{"),
            _ => thread_name(word).is_some() && self.thread_follows(),
        }
    }

    /// `P0(...) {` or `P0@x(...) {`, at the first word.
    fn thread_follows(&self) -> bool {
        let mut at = if self.is_ahead(1, "@") { 3 } else { 1 };
        if !self.is_ahead(at, "(") {
            return false;
        }
        while !self.is_ahead(at, ")") {
            if *self.ahead(at) == Tok::Eof || self.is_ahead(at, ";") {
                return false;
            }
            at += 1;
        }
        self.is_ahead(at + 1, "{")
    }
}

/// `P0`, `D12`: class and number.
fn thread_name(word: &str) -> Option<(char, u32)> {
    let class = word.chars().next().filter(|class| matches!(class, 'P' | 'D' | 'V'))?;
    let digits = &word[1..];
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().map(|number| (class, number))
}
