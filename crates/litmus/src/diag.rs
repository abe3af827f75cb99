//! Messages: `file:line:col: error: what`, the line with a caret, and what to
//! write instead.

use std::fmt;

use codespan_reporting::diagnostic as codespan;
use codespan_reporting::files::{Error as FilesError, Files as CodespanFiles};
use codespan_reporting::term::{self, Chars, Config};

use crate::source::{FileId, Files, Span};

/// After so many messages the rest is only counted.
const SHOWN: usize = 50;
/// A line longer than this is not printed under the message.
const LONGEST_LINE: usize = 240;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The program cannot be used.
    Error,
    /// It can, and may not mean what its author thinks.
    Warning,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What, in one line.
    pub message: String,
    /// Where.
    pub span: Span,
    /// What stands beside the caret.
    pub label: Option<String>,
    /// A second place that has to do with it.
    pub also: Option<(Span, String)>,
    /// What to write instead.
    pub help: Option<String>,
}

impl Diagnostic {
    pub(crate) fn error(span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            message: message.into(),
            span,
            label: None,
            also: None,
            help: None,
        }
    }

    pub(crate) fn warning(span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(span, message) }
    }

    pub(crate) fn label(self, label: impl Into<String>) -> Diagnostic {
        Diagnostic { label: Some(label.into()), ..self }
    }

    pub(crate) fn also(self, span: Span, label: impl Into<String>) -> Diagnostic {
        Diagnostic { also: Some((span, label.into())), ..self }
    }

    pub(crate) fn help(self, help: impl Into<String>) -> Diagnostic {
        Diagnostic { help: Some(help.into()), ..self }
    }

    /// With "did you mean" if something near is known.
    pub(crate) fn nearest(self, near: Option<String>) -> Diagnostic {
        match near {
            Some(near) => self.label(format!("did you mean `{near}`?")),
            None => self,
        }
    }
}

/// All messages about one program, in the order of the text.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    files: Files,
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    pub(crate) fn new(files: Files, list: Vec<Diagnostic>) -> Diagnostics {
        let mut all = Diagnostics { files, list };
        // Include files come after the file that names them.
        all.list.sort_by_key(|diagnostic| (diagnostic.span.file, diagnostic.span.start));
        all.list.dedup();
        all
    }

    /// A message about a file as a whole, which has no line to show.
    pub fn whole_file(name: &str, message: String) -> Diagnostics {
        let mut files = Files::default();
        let file = files.add(name, "");
        let list = vec![Diagnostic::error(Span { file, start: 0, end: 0 }, message)];
        Diagnostics { files, list }
    }

    /// One error about a place of a program that was read without errors.
    pub fn about(files: &Files, span: Span, message: impl Into<String>, help: &str) -> Diagnostics {
        let diagnostic = Diagnostic::error(span, message);
        let diagnostic = if help.is_empty() { diagnostic } else { diagnostic.help(help) };
        Diagnostics { files: files.clone(), list: vec![diagnostic] }
    }

    /// The messages.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether one of them is an error.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// The files that the spans are in.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Everything as text: for each message `file:line:col: error: what`, the
    /// line with a caret, and advice.
    pub fn render(&self) -> String {
        let mut out = String::new();
        for diagnostic in self.list.iter().take(SHOWN) {
            out.push_str(&render(&self.files, diagnostic));
        }
        if self.list.len() > SHOWN {
            out.push_str(&format!("and {} more\n", self.list.len() - SHOWN));
        }
        out
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render())
    }
}

impl std::error::Error for Diagnostics {}

fn render(files: &Files, diagnostic: &Diagnostic) -> String {
    let word = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let empty = files.file(diagnostic.span.file).is_none_or(|file| file.text.is_empty());
    let place = if empty {
        files.name(diagnostic.span.file).to_owned()
    } else {
        files.locate(diagnostic.span)
    };
    let mut out = format!("{place}: {word}: {}\n", diagnostic.message);
    let spans = diagnostic.also.iter().map(|(span, _)| *span).chain([diagnostic.span]);
    if !empty && spans.into_iter().all(|span| printable(files, span)) {
        out.push_str(&snippet(files, diagnostic));
    } else {
        let advice = [&diagnostic.label, &diagnostic.help];
        for line in advice.into_iter().flatten() {
            out.push_str(&format!("  = {line}\n"));
        }
    }
    out
}

/// Generated files may have lines of a megabyte; nobody reads those.
fn printable(files: &Files, span: Span) -> bool {
    let Ok(line) = Lines(files).line_index(span.file, span.start as usize) else { return false };
    Lines(files).line_range(span.file, line).is_ok_and(|range| range.len() <= LONGEST_LINE)
}

/// The line with the caret. The first two lines of codespan's own form say
/// severity and place, which the header said already.
fn snippet(files: &Files, diagnostic: &Diagnostic) -> String {
    let span = diagnostic.span;
    let text = files.file(span.file).map_or("", |file| &*file.text);
    // One line is enough to find the place; a caret needs something to be under.
    let start = (span.start as usize).min(text.len());
    let mut end = (span.end as usize).clamp(start, text.len());
    if let Some(newline) = text[start..end].find('\n') {
        end = start + newline;
    }
    let label = codespan::Label::primary(span.file, start..end)
        .with_message(diagnostic.label.as_deref().unwrap_or(""));
    let mut rich = codespan::Diagnostic::error().with_label(label);
    if let Some((span, message)) = &diagnostic.also {
        let range = span.start as usize..span.end as usize;
        let also = codespan::Label::secondary(span.file, range).with_message(message);
        rich = rich.with_label(also);
    }
    if let Some(help) = &diagnostic.help {
        rich = rich.with_note(help);
    }
    let config = Config { chars: Chars::ascii(), ..Config::default() };
    let Ok(shown) = term::emit_into_string(&config, &Lines(files), &rich) else {
        return String::new();
    };
    let mut out = String::new();
    for line in shown.lines().skip(2) {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Our files as codespan wants them.
struct Lines<'a>(&'a Files);

impl<'a> CodespanFiles<'a> for Lines<'a> {
    type FileId = FileId;
    type Name = &'a str;
    type Source = &'a str;

    fn name(&'a self, id: FileId) -> Result<&'a str, FilesError> {
        Ok(self.0.name(id))
    }

    fn source(&'a self, id: FileId) -> Result<&'a str, FilesError> {
        Ok(&self.0.file(id).ok_or(FilesError::FileMissing)?.text)
    }

    fn line_index(&'a self, id: FileId, byte: usize) -> Result<usize, FilesError> {
        let file = self.0.file(id).ok_or(FilesError::FileMissing)?;
        Ok(file.line_starts().partition_point(|start| *start as usize <= byte).saturating_sub(1))
    }

    fn line_range(&'a self, id: FileId, line: usize) -> Result<std::ops::Range<usize>, FilesError> {
        let file = self.0.file(id).ok_or(FilesError::FileMissing)?;
        let starts = file.line_starts();
        let start = *starts
            .get(line)
            .ok_or(FilesError::LineTooLarge { given: line, max: starts.len().saturating_sub(1) })?
            as usize;
        let end = starts.get(line + 1).map_or(file.text.len(), |next| *next as usize);
        Ok(start..end)
    }
}

/// The candidate that a typing error is most likely to have meant: at most a
/// third of the letters differ, and case only decides among equals.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    // Of two letters anything is one away.
    if !(3..=64).contains(&word.len()) {
        return None;
    }
    let allowed = (word.chars().count() / 3).clamp(1, 4);
    candidates
        .into_iter()
        .filter(|candidate| *candidate != word)
        .map(|candidate| {
            let (lower, other) = (word.to_lowercase(), candidate.to_lowercase());
            (distance(&lower, &other), distance(word, candidate), candidate)
        })
        .filter(|(folded, ..)| *folded <= allowed)
        .min_by_key(|(folded, exact, candidate)| (*folded, *exact, candidate.len()))
        .map(|(.., candidate)| candidate.to_owned())
}

/// Letters to insert, remove, replace or swap.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    if left.len().abs_diff(right.len()) > 4 {
        return usize::MAX;
    }
    let mut rows = vec![vec![0usize; right.len() + 1]; left.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, first) in rows[0].iter_mut().enumerate() {
        *first = j;
    }
    for i in 1..=left.len() {
        for j in 1..=right.len() {
            let cost = usize::from(left[i - 1] != right[j - 1]);
            let mut best =
                (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + cost);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name() {
        let names = ["set_pte_at", "pte_same", "flush_tlb_page", "flush_tlb_range"];
        assert_eq!(nearest("set_pte_ta", names).as_deref(), Some("set_pte_at"));
        assert_eq!(nearest("flush_tlb_pge", names).as_deref(), Some("flush_tlb_page"));
        assert_eq!(nearest("PTE_SAME", names).as_deref(), Some("pte_same"));
        assert_eq!(nearest("kmalloc", names), None);
    }
}
