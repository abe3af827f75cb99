//! From text to tokens.
//!
//! C has two kinds of comment and the litmus zones have a third, `(* *)`, that
//! is ordinary code inside a function (`f(*x)`). The lexer therefore keeps
//! track of what the outermost braces are: those after a `)` hold code.

use std::sync::Arc;

use crate::diag::Diagnostic;
use crate::source::{FileId, Span};

/// A name, shared by all who mention it.
pub type Name = Arc<str>;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tok {
    Word(Name),
    Int(i64),
    Str(Name),
    Punct(&'static str),
    /// `#` as the first sign of a line.
    Hash,
    /// What stands between the quotes or angle brackets of an include.
    Path {
        path: Name,
        local: bool,
    },
    /// The end of a line that began with [`Tok::Hash`].
    LineEnd,
    Eof,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    pub(crate) tok: Tok,
    pub(crate) span: Span,
    /// The first of its line.
    pub(crate) fresh: bool,
}

impl Token {
    pub(crate) fn word(&self) -> Option<&Name> {
        match &self.tok {
            Tok::Word(name) => Some(name),
            _ => None,
        }
    }
}

pub(crate) struct Lexed {
    pub(crate) tokens: Vec<Token>,
    /// The comments before the first brace: they may say `Result: Never`.
    pub(crate) leading: Vec<Span>,
    pub(crate) errors: Vec<Diagnostic>,
}

/// Longest first, so that the first that fits is the right one.
const PUNCTUATION: [&str; 58] = [
    "<<=", ">>=", "...", "->", "++", "--", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<",
    ">>", "<=", ">=", "==", "!=", "<>", "&&", "||", "=>", "/\\", "\\/", "+", "-", "*", "/", "%",
    "&", "|", "^", "~", "!", "<", ">", "=", "(", ")", "[", "]", "{", "}", ",", ";", ":", ".", "?",
    "@", "::", "##", "$", "#", "`", "'", "\\",
];
/// Of those, signs that no program has any use for.
const STRAY: [&str; 6] = ["##", "$", "#", "`", "'", "\\"];
/// Words with which the condition zone begins.
const CONDITION: [&str; 6] = ["locations", "filter", "exists", "forall", "final", "expect"];

/// Lexes `text` from byte `from` on.
pub(crate) fn lex(file: FileId, text: &str, from: usize) -> Lexed {
    let mut lexer = Lexer {
        file,
        text,
        at: from,
        tokens: Vec::new(),
        leading: Vec::new(),
        errors: Vec::new(),
        depth: 0,
        code: false,
        condition: false,
        seen_brace: false,
        fresh: true,
    };
    lexer.run();
    Lexed { tokens: lexer.tokens, leading: lexer.leading, errors: lexer.errors }
}

struct Lexer<'a> {
    file: FileId,
    text: &'a str,
    at: usize,
    tokens: Vec<Token>,
    leading: Vec<Span>,
    errors: Vec<Diagnostic>,
    depth: u32,
    /// Inside the braces of a function.
    code: bool,
    condition: bool,
    seen_brace: bool,
    fresh: bool,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn span(&self, start: usize) -> Span {
        Span { file: self.file, start: start as u32, end: self.at as u32 }
    }

    fn push(&mut self, tok: Tok, start: usize) {
        let span = self.span(start);
        let fresh = std::mem::take(&mut self.fresh);
        self.tokens.push(Token { tok, span, fresh });
    }

    fn run(&mut self) {
        let mut directive = false;
        let mut line_start = true;
        while let Some(next) = self.rest().chars().next() {
            let start = self.at;
            if next == '\n' {
                self.at += 1;
                if directive {
                    self.push(Tok::LineEnd, start);
                    directive = false;
                }
                line_start = true;
                self.fresh = true;
                continue;
            }
            if next.is_whitespace() || next == '\u{feff}' {
                self.at += next.len_utf8();
                continue;
            }
            if next == '\\' && is_continuation(self.rest()) {
                self.at += self.rest().find('\n').map_or(self.rest().len(), |end| end + 1);
                continue;
            }
            if self.comment() {
                continue;
            }
            if next == '#' && line_start && !directive {
                self.at += 1;
                self.push(Tok::Hash, start);
                directive = true;
                line_start = false;
                continue;
            }
            line_start = false;
            if directive && matches!(next, '<' | '"') && self.after_include() {
                self.path(next);
                continue;
            }
            self.token(next);
        }
        let start = self.at;
        if directive {
            self.push(Tok::LineEnd, start);
        }
        self.push(Tok::Eof, start);
    }

    /// Skips a comment, if one begins here.
    fn comment(&mut self) -> bool {
        let start = self.at;
        let rest = self.rest();
        let length = if rest.starts_with("//") {
            Some(rest.find('\n').unwrap_or(rest.len()))
        } else if let Some(inside) = rest.strip_prefix("/*") {
            inside.find("*/").map(|end| end + 4)
        } else if rest.starts_with("(*") && self.parenthesis_comments() {
            nested_comment(rest)
        } else {
            return false;
        };
        match length {
            Some(length) => self.at += length,
            None => {
                self.at = self.text.len();
                let open = Span { end: start as u32 + 2, ..self.span(start) };
                self.errors.push(
                    Diagnostic::error(open, "this comment has no end").label("it begins here"),
                );
            }
        }
        if !self.seen_brace {
            let span = self.span(start);
            self.leading.push(span);
        }
        true
    }

    fn parenthesis_comments(&self) -> bool {
        let blank = self.rest()[2..].starts_with(|next: char| next.is_whitespace() || next == '*');
        !self.code && (blank || self.depth > 0 || self.condition)
    }

    fn after_include(&self) -> bool {
        self.tokens.last().and_then(Token::word).is_some_and(|word| &**word == "include")
    }

    fn path(&mut self, open: char) {
        let start = self.at;
        let close = if open == '<' { '>' } else { '"' };
        let line = self.rest().lines().next().unwrap_or("");
        let Some(end) = line[1..].find(close) else {
            self.at += line.len();
            let span = self.span(start);
            self.errors.push(
                Diagnostic::error(span, format!("the include has no closing `{close}`"))
                    .label("write `#include <machine/ats-pasid>` or `#include \"file.mm\"`"),
            );
            return;
        };
        let path: Name = line[1..=end].into();
        self.at += end + 2;
        self.push(Tok::Path { path, local: open == '"' }, start);
    }

    fn token(&mut self, next: char) {
        let start = self.at;
        if next.is_ascii_alphabetic() || next == '_' {
            let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
            self.at += self.rest().find(|c| !is_part(c)).unwrap_or(self.rest().len());
            let word: Name = self.text[start..self.at].into();
            if self.depth == 0 && CONDITION.contains(&&*word) {
                self.condition = true;
            }
            self.push(Tok::Word(word), start);
        } else if next.is_ascii_digit() {
            self.number();
        } else if next == '"' {
            self.string();
        } else if next == '\'' {
            self.character();
        } else if let Some(sign) = self.sign() {
            self.at += sign.len();
            if STRAY.contains(&sign) {
                self.stray();
            } else {
                self.braces(sign);
                self.push(Tok::Punct(sign), start);
            }
        } else {
            let strange = |c: char| !c.is_ascii() || (c.is_ascii_control() && c != '\n');
            self.at += self.rest().find(|c| !strange(c)).unwrap_or(self.rest().len());
            self.at = self.at.max(start + next.len_utf8());
            self.stray();
        }
    }

    fn sign(&self) -> Option<&'static str> {
        PUNCTUATION.into_iter().find(|sign| self.rest().starts_with(sign))
    }

    fn stray(&mut self) {
        let start = self.at.saturating_sub(1);
        let from = (0..=start).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or(start);
        let span = self.span(from);
        let shown = self.text[from..self.at].escape_debug().to_string();
        self.errors.push(Diagnostic::error(span, format!("`{shown}` means nothing here")));
    }

    fn braces(&mut self, sign: &str) {
        if sign == "{" {
            if self.depth == 0 {
                let before = self.tokens.last().map(|token| &token.tok);
                self.code = matches!(before, Some(Tok::Punct(")")));
            }
            self.depth += 1;
            self.seen_brace = true;
        } else if sign == "}" {
            self.depth = self.depth.saturating_sub(1);
            if self.depth == 0 {
                self.code = false;
            }
        }
    }

    fn number(&mut self) {
        let start = self.at;
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        self.at += self.rest().find(|c| !is_part(c)).unwrap_or(self.rest().len());
        let span = self.span(start);
        let text = &self.text[start..self.at];
        let digits = text.trim_end_matches(['u', 'U', 'l', 'L']);
        let lower = digits.to_ascii_lowercase();
        let (radix, digits) = match lower.get(..2) {
            Some("0x") => (16, &lower[2..]),
            Some("0b") => (2, &lower[2..]),
            Some(prefix) if prefix.starts_with('0') => (8, &lower[1..]),
            _ => (10, &lower[..]),
        };
        // A kernel's all-ones constant is a pattern of bits, not a magnitude.
        let value = u64::from_str_radix(digits, radix).map(|value| value as i64);
        let value = value.unwrap_or_else(|_| {
            self.errors.push(
                Diagnostic::error(span, format!("`{text}` is not a number"))
                    .label("decimal, 0x hexadecimal or 0 octal, up to 64 bits"),
            );
            0
        });
        self.push(Tok::Int(value), start);
    }

    fn string(&mut self) {
        let start = self.at;
        let mut escaped = false;
        let line = self.rest().lines().next().unwrap_or("");
        let end = line[1..].find(|c| {
            let found = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            found
        });
        let Some(end) = end else {
            self.at += line.len();
            let span = self.span(start);
            self.errors.push(Diagnostic::error(span, "this string has no end").label("add a `\"`"));
            return;
        };
        let text: Name = line[1..=end].into();
        self.at += end + 2;
        self.push(Tok::Str(text), start);
    }

    fn character(&mut self) {
        let start = self.at;
        let mut inside = self.rest()[1..].chars();
        let value = match (inside.next(), inside.next(), inside.next()) {
            (Some('\\'), Some(escape), Some('\'')) => {
                self.at += 3 + escape.len_utf8();
                match escape {
                    'n' => 10,
                    't' => 9,
                    'r' => 13,
                    '0' => 0,
                    other => i64::from(u32::from(other)),
                }
            }
            (Some(plain), Some('\''), _) if plain != '\n' => {
                self.at += 2 + plain.len_utf8();
                i64::from(u32::from(plain))
            }
            _ => {
                self.at += 1;
                self.stray();
                return;
            }
        };
        self.push(Tok::Int(value), start);
    }
}

fn is_continuation(rest: &str) -> bool {
    let line = rest.find('\n').map_or(rest, |end| &rest[..end]);
    line[1..].trim().is_empty()
}

/// The length of a `(* *)` comment; they nest.
fn nested_comment(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut depth = 0usize;
    let mut at = 0;
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            // `(*)` opens and does not close.
            b"(*" => {
                depth += 1;
                at += 2;
            }
            b"*)" => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => at += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let lexed = lex(FileId(0), text, 0);
        assert_eq!(lexed.errors, []);
        lexed
            .tokens
            .iter()
            .map(|token| match &token.tok {
                Tok::Word(word) => word.to_string(),
                Tok::Int(value) => value.to_string(),
                Tok::Punct(sign) => (*sign).to_owned(),
                other => format!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn a_parenthesis_and_a_star_are_a_comment_outside_code_only() {
        assert_eq!(words("{ (* no *) x } f() { g( *y); h(*y) } (* no (* more *) *)").join(" "), {
            "{ x } f ( ) { g ( * y ) ; h ( * y ) } Eof"
        });
        assert_eq!(words("exists (*no*) x").join(" "), "exists x Eof");
        assert_eq!(words("f() { g(* y); }").join(" "), "f ( ) { g ( * y ) ; } Eof");
    }

    #[test]
    fn numbers() {
        assert_eq!(words("12 0x1F 017 'a' 4UL 0xffffffffffffffff").join(" "), {
            "12 31 15 97 4 -1 Eof"
        });
        assert_eq!(lex(FileId(0), "1.5f", 0).tokens.len(), 4);
        assert_eq!(lex(FileId(0), "08", 0).errors.len(), 1);
    }

    #[test]
    fn conditions_have_signs_of_their_own() {
        assert_eq!(words(r"~exists (x=1 /\ y<>2 \/ a<-1)").join(" "), {
            r"~ exists ( x = 1 /\ y <> 2 \/ a < - 1 ) Eof"
        });
    }
}
