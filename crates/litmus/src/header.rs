//! The lines before the first brace: `C NAME`, a description, metadata, the
//! version of the language, and the kernel's `Result:` convention.

use crate::diag::Diagnostic;
use crate::lex::Name;
use crate::source::{FileId, Span};

/// The version of the language that this crate reads.
pub const VERSION: u32 = 1;

/// What a file says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The test's name.
    pub name: Name,
    /// The quoted line under it.
    pub title: Option<Name>,
    /// The version of the language it was written for.
    pub version: u32,
    /// Lines `Key=value`.
    pub metadata: Vec<(Name, Name)>,
    /// The kernel's `Result:` comment.
    pub result: Option<KernelResult>,
    /// The header line.
    pub span: Span,
}

/// The word after `Result:` in the leading comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelResult {
    /// What the author expects.
    pub word: ResultWord,
    /// `DATARACE` follows it.
    pub data_race: bool,
    /// Where it stands.
    pub span: Span,
}

/// What the kernel's judging script knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultWord {
    /// In no execution.
    Never,
    /// In some and not in others.
    Sometimes,
    /// In all.
    Always,
    /// No execution ends.
    Deadlock,
    /// Anything.
    Maybe,
}

/// Names of assembly languages that a header may begin with instead of `C`.
const ASSEMBLY: [&str; 9] =
    ["AArch64", "ARM", "PPC", "X86", "X86_64", "RISCV", "MIPS", "LISA", "Bell"];
/// Words with which the program may begin, and prose hardly ever.
const PROGRAM: [&str; 24] = [
    "static",
    "void",
    "int",
    "map",
    "ptl",
    "frame",
    "iotlb",
    "atc",
    "tlb",
    "queue",
    "device",
    "swtlb",
    "spinlock_t",
    "param",
    "model",
    "mm",
    "subscribe",
    "fault",
    "exists",
    "forall",
    "filter",
    "locations",
    "expect",
    "struct",
];

pub(crate) struct Scanned {
    pub(crate) header: Header,
    /// Where the program begins.
    pub(crate) end: usize,
    pub(crate) errors: Vec<Diagnostic>,
}

/// Reads the header of a test. `leading` are the comments before the first
/// brace, as a first look at the tokens found them.
pub(crate) fn scan(file: FileId, file_name: &str, text: &str, leading: &[Span]) -> Scanned {
    let mut errors = Vec::new();
    let span = |start: usize, end: usize| Span { file, start: start as u32, end: end as u32 };
    let mut at = skip_comments(text, 0, leading);
    let first = word_at(text, at);
    let mut header = Header {
        name: stem(file_name),
        title: None,
        version: VERSION,
        metadata: Vec::new(),
        result: None,
        span: span(at, at + first.len()),
    };
    if first != "C" {
        let message = if ASSEMBLY.contains(&first) {
            format!("this is a test in {first} assembly; only C tests are read")
        } else {
            "a litmus test begins with `C NAME`".to_owned()
        };
        errors.push(Diagnostic::error(header.span, message).label("write `C name-of-the-test`"));
    } else {
        at += 1;
        let line_end = end_of_line(text, at);
        let line = &text[at..line_end];
        let name = line.split_whitespace().next().unwrap_or("");
        let start = at + line.find(name).unwrap_or(0);
        if name.is_empty() || name.starts_with(['{', '"', '(']) {
            let message = "the test has no name";
            errors.push(Diagnostic::error(header.span, message).label("write `C NAME`"));
        } else {
            at = start + name.len();
            header.span = span(header.span.start as usize, at);
            if name != "--" {
                header.name = name.into();
            }
        }
    }
    let end = head_lines(text, at, leading, &mut header, &mut errors, &span);
    comments(text, leading, &mut header, &mut errors);
    if header.version != VERSION {
        errors.push(
            Diagnostic::error(
                header.span,
                format!("written for version {} of the language", header.version),
            )
            .label(format!("this program reads version {VERSION}")),
        );
    }
    Scanned { header, end, errors }
}

/// Everything after the name up to where the program begins.
fn head_lines(
    text: &str,
    from: usize,
    leading: &[Span],
    header: &mut Header,
    errors: &mut Vec<Diagnostic>,
    span: &dyn Fn(usize, usize) -> Span,
) -> usize {
    let mut at = from;
    loop {
        at = skip_comments(text, at, leading);
        let rest = &text[at..];
        let Some(next) = rest.chars().next() else { return at };
        let line_end = end_of_line(text, at);
        let line = &text[at..line_end];
        let word = word_at(text, at);
        match next {
            '{' | '#' | '~' => return at,
            ';' => at += 1,
            '"' if header.title.is_none() => {
                let Some(end) = line[1..].find('"') else {
                    let message = "the description has no closing quote";
                    errors.push(Diagnostic::error(span(at, line_end), message).label("add a `\"`"));
                    at = line_end;
                    continue;
                };
                header.title = Some(line[1..=end].into());
                at += end + 2;
            }
            '(' => at = line.find(')').map_or(line_end, |end| at + end + 1),
            _ if PROGRAM.contains(&word) || word.starts_with("__") || is_thread(word) => return at,
            _ if rest[word.len()..].starts_with('=') && !word.is_empty() => {
                let value = line[word.len() + 1..].trim();
                if word == "shootdown-litmus" {
                    header.version = value.parse().unwrap_or(0);
                }
                header.metadata.push((word.into(), value.into()));
                at = line_end;
            }
            _ => {
                let end = line.find('{').map_or(line_end, |brace| at + brace);
                errors.push(
                    Diagnostic::warning(span(at, end), "text outside a comment is skipped")
                        .label("up to the first `{`; put it into a comment"),
                );
                at = end.max(at + next.len_utf8());
            }
        }
    }
}

fn is_thread(word: &str) -> bool {
    let mut letters = word.chars();
    letters.next().is_some_and(|c| matches!(c, 'P' | 'D' | 'V'))
        && word.len() > 1
        && letters.all(|c| c.is_ascii_digit())
}

/// `Result:` and the version line, in the comments before the first brace.
fn comments(text: &str, leading: &[Span], header: &mut Header, errors: &mut Vec<Diagnostic>) {
    for comment in leading {
        let mut at = comment.start as usize;
        for line in text[comment.start as usize..comment.end as usize].split_inclusive('\n') {
            let bare = line.trim_start_matches([' ', '\t', '(', '*', '/']);
            let start = at + (line.len() - bare.len());
            at += line.len();
            let bare = bare.trim_end().trim_end_matches("*)").trim_end_matches("*/").trim_end();
            let place = Span { start: start as u32, end: (start + bare.len()) as u32, ..*comment };
            if let Some(version) = bare.strip_prefix("shootdown-litmus ") {
                header.version = version.trim().parse().unwrap_or(0);
                header.span = place;
            }
            let Some(said) = bare.strip_prefix("Result: ") else { continue };
            let mut words = said.split_whitespace();
            let first = words.next().unwrap_or("");
            let word = match first {
                "Never" => ResultWord::Never,
                "Sometimes" => ResultWord::Sometimes,
                "Always" => ResultWord::Always,
                "DEADLOCK" => ResultWord::Deadlock,
                "Maybe" => ResultWord::Maybe,
                _ => {
                    errors.push(
                        Diagnostic::warning(place, format!("`Result: {first}` is not understood"))
                            .label("one of Never, Sometimes, Always, DEADLOCK, Maybe"),
                    );
                    continue;
                }
            };
            let data_race = words.next() == Some("DATARACE");
            header.result.get_or_insert(KernelResult { word, data_race, span: place });
        }
    }
}

fn skip_comments(text: &str, from: usize, leading: &[Span]) -> usize {
    let mut at = from;
    loop {
        let blanks = text[at..].trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        at = text.len() - blanks.len();
        match leading.iter().find(|comment| comment.start as usize == at) {
            Some(comment) if comment.end as usize > at => at = comment.end as usize,
            _ => return at,
        }
    }
}

fn end_of_line(text: &str, from: usize) -> usize {
    text[from..].find('\n').map_or(text.len(), |end| from + end)
}

/// A word as headers have them: keys contain dashes.
fn word_at(text: &str, from: usize) -> &str {
    let rest = &text[from..];
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'));
    &rest[..end.unwrap_or(rest.len())]
}

fn stem(file_name: &str) -> Name {
    let last = file_name.rsplit('/').next().unwrap_or(file_name);
    last.split('.').next().unwrap_or(last).into()
}
