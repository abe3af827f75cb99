//! A Rust file taken apart far enough for the checks: what is code, what is
//! comment, which `impl` blocks it has and which functions.
//!
//! A lexer and a brace counter, not a parser: unlike the compiler's tree it
//! keeps comments, sees inside macros, and does not care which `cfg` is on.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

/// A file, line by line. Both halves keep the columns of the original.
#[derive(Debug)]
pub(crate) struct Source {
    /// Comments and the insides of literals are blanks.
    pub(crate) code: String,
    /// Everything but comments is left out.
    pub(crate) comments: Vec<String>,
    /// Where each line of `code` starts.
    starts: Vec<usize>,
}

/// An `impl` block.
#[derive(Debug)]
pub(crate) struct Impl {
    /// The last name of the path of the type.
    pub(crate) type_name: String,
    pub(crate) of_trait: bool,
    /// Where the body is in [`Source::code`].
    pub(crate) body: Range<usize>,
}

/// A function with a name.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// Counted from 1.
    pub(crate) line: usize,
    /// The attributes above it, as written, without blanks.
    pub(crate) attributes: Vec<String>,
}

impl Source {
    pub(crate) fn parse(text: &str) -> Self {
        let (code, comments) = split(text);
        let mut starts = vec![0];
        starts.extend(code.match_indices('\n').map(|(at, _)| at + 1));
        Source { code, comments: comments.lines().map(str::to_owned).collect(), starts }
    }

    /// The line of an offset in the code, counted from 0.
    pub(crate) fn line_of(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset) - 1
    }

    /// The code of a line, counted from 0.
    pub(crate) fn line(&self, line: usize) -> &str {
        let end = self.starts.get(line + 1).map_or(self.code.len(), |next| next - 1);
        self.code[self.starts[line]..end].trim()
    }

    pub(crate) fn comment(&self, line: usize) -> &str {
        self.comments.get(line).map_or("", |comment| comment.trim())
    }

    /// The lines directly above that are comments or attributes, nearest first.
    pub(crate) fn lines_above(&self, line: usize) -> impl Iterator<Item = usize> {
        (0..line).rev().take_while(|line| {
            let code = self.line(*line);
            let comment = code.is_empty() && !self.comment(*line).is_empty();
            comment || code.starts_with("#[") || code.starts_with("$(#[")
        })
    }

    pub(crate) fn functions(&self) -> Vec<Function> {
        static FUNCTION: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"\bfn\s+(\w+)").expect("a constant"));
        FUNCTION
            .captures_iter(&self.code)
            .map(|found| {
                let line = self.line_of(found.get(0).expect("the match").start());
                let attributes = self
                    .lines_above(line)
                    .map(|line| self.line(line).replace(' ', ""))
                    .filter(|code| code.starts_with("#["))
                    .collect();
                Function { name: found[1].to_owned(), line: line + 1, attributes }
            })
            .collect()
    }

    pub(crate) fn impls(&self) -> Vec<Impl> {
        static IMPL: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"(?m)^\s*(?:unsafe\s+)?impl\b").expect("a constant"));
        IMPL.find_iter(&self.code)
            .filter_map(|found| {
                let open = found.end() + self.code[found.end()..].find('{')?;
                let header = without_generics(self.code[found.end()..open].trim());
                let header = header.split(" where ").next().expect("one part at least");
                let (of_trait, name) = match header.split_once(" for ") {
                    Some((_, name)) => (true, name),
                    None => (false, header),
                };
                let end = matching_brace(&self.code, open)?;
                Some(Impl { type_name: last_name(name), of_trait, body: open..end })
            })
            .collect()
    }
}

/// The header of an `impl` after its own generics, its blanks made single.
fn without_generics(header: &str) -> String {
    let mut rest = header;
    if header.starts_with('<') {
        let mut depth = 0;
        let mut before = ' ';
        for (at, c) in header.char_indices() {
            match c {
                '<' => depth += 1,
                '>' if before != '-' => depth -= 1,
                _ => {}
            }
            before = c;
            if depth == 0 {
                rest = &header[at + 1..];
                break;
            }
        }
    }
    rest.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `Token` of `&'a crate::token::Token<'s, P>`.
fn last_name(path: &str) -> String {
    let path = path.split('<').next().expect("one part at least");
    let word = path.rsplit([':', '&', ' ']).find(|word| !word.is_empty());
    word.unwrap_or_default().to_owned()
}

fn matching_brace(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// Splits a file into code and comments, blank for blank.
fn split(text: &str) -> (String, String) {
    let chars: Vec<char> = text.chars().collect();
    let mut halves = Halves::default();
    let mut at = 0;
    while at < chars.len() {
        let rest = &chars[at..];
        let word_before = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
        let (length, kind) = match rest {
            ['/', '/', ..] => (line_comment(rest), Kind::Comment),
            ['/', '*', ..] => (block_comment(rest), Kind::Comment),
            ['"', ..] => (string(rest), Kind::Literal),
            ['\'', ..] => (character(rest), Kind::Literal),
            ['r', '"' | '#', ..] if !word_before => (raw_string(rest), Kind::Literal),
            ['b' | 'c', 'r', '"' | '#', ..] if !word_before => {
                (1 + raw_string(&rest[1..]), Kind::Literal)
            }
            _ => (1, Kind::Code),
        };
        for (place, c) in rest[..length].iter().enumerate() {
            halves.push(*c, kind, place == 0 || place + 1 == length);
        }
        at += length;
    }
    (halves.code, halves.comments)
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

#[derive(Default)]
struct Halves {
    code: String,
    comments: String,
}

impl Halves {
    fn push(&mut self, c: char, kind: Kind, edge: bool) {
        if c == '\n' {
            self.code.push(c);
            self.comments.push(c);
            return;
        }
        let code = kind == Kind::Code || (kind == Kind::Literal && edge);
        self.code.push(if code { c } else { ' ' });
        self.comments.push(if kind == Kind::Comment { c } else { ' ' });
    }
}

fn line_comment(rest: &[char]) -> usize {
    rest.iter().position(|c| *c == '\n').unwrap_or(rest.len())
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn string(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// A character literal, or the quote of a lifetime.
fn character(rest: &[char]) -> usize {
    match rest {
        ['\'', '\\', ..] => {
            let end = rest.iter().skip(3).position(|c| *c == '\'');
            end.map_or(rest.len(), |end| end + 4)
        }
        ['\'', _, '\'', ..] => 3,
        _ => 1,
    }
}

/// `r"..."` or `r##"..."##`; 1 for a raw identifier (`r#fn`).
fn raw_string(rest: &[char]) -> usize {
    let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
    if rest.get(1 + hashes) != Some(&'"') {
        return 1;
    }
    let mut at = 2 + hashes;
    while at < rest.len() {
        let closed = rest[at] == '"'
            && rest.len() > at + hashes
            && rest[at + 1..=at + hashes].iter().all(|c| *c == '#');
        if closed {
            return at + 1 + hashes;
        }
        at += 1;
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_not_code() {
        let text = "let a = \"unsafe {\"; // unsafe\n\
                    let b = r#\"un\"safe\"#; /* un /* sa */ fe */ let c = '{';\n\
                    fn f<'a>(x: &'a str) -> char { '\\'' }\n";
        let source = Source::parse(text);
        assert!(!source.code.contains("unsafe") && !source.code.contains("safe"));
        assert!(!source.line(1).contains('{'));
        assert_eq!(source.line(2), "fn f<'a>(x: &'a str) -> char { '  ' }");
        assert_eq!(source.comment(0), "// unsafe");
        assert_eq!(source.comment(1), "/* un /* sa */ fe */");
    }

    #[test]
    fn impl_blocks_know_their_type() {
        let text = "impl<'s, F: Fn(u8) -> u8> token::Slot<'s, F> where F: Copy { fn a() {} }\n\
                    unsafe impl<T: ?Sized> Tlb for &T { fn b() {} }\n";
        let impls = Source::parse(text).impls();
        let seen: Vec<_> = impls.iter().map(|i| (i.type_name.as_str(), i.of_trait)).collect();
        assert_eq!(seen, [("Slot", false), ("T", true)]);
    }

    #[test]
    fn functions_know_their_attributes() {
        let text = "/// Doc.\n#[test]\n#[ignore = \"slow\"]\nfn one() {}\n\nfn two() {}\n";
        let functions = Source::parse(text).functions();
        assert_eq!(functions[0].line, 4);
        assert_eq!(functions[0].attributes.len(), 2);
        assert!(functions[1].attributes.is_empty());
    }
}
