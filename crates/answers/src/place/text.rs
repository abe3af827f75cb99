//! Changes of texts, and programs that are read from what they make.
//!
//! A candidate is the changed text, read like any other: what is judged is what
//! a file says, and not what somebody means that it should say.

use std::ops::Range;

use shootdown_litmus::program::FunctionId;
use shootdown_litmus::{FileId, Found, Include, Program, SourceError, Sources, Span};

use crate::request::Request;

/// A piece of text that becomes another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edit {
    /// The function that it is in: tests around one path have the same ones, at
    /// other places of the text.
    pub(super) function: FunctionId,
    pub(super) file: FileId,
    pub(super) range: Range<usize>,
    pub(super) text: String,
}

/// The text with these pieces changed. At one place what stands earlier in the
/// list comes first, and what is put in after something before it.
pub(super) fn applied(text: &str, edits: &[Edit]) -> String {
    let mut order: Vec<&Edit> = edits.iter().collect();
    order.sort_by_key(|edit| (edit.range.start, edit.range.end));
    let (mut out, mut from) = (String::with_capacity(text.len() + 64), 0);
    for edit in order {
        // Pieces that overlap are one change too many; the later one is dropped,
        // and whoever reads the text finds out.
        if edit.range.start < from {
            continue;
        }
        out.push_str(&text[from..edit.range.start]);
        out.push_str(&edit.text);
        from = edit.range.end;
    }
    out.push_str(&text[from..]);
    out
}

/// Where a place of the changed text was before.
pub(super) fn before(edits: &[Edit], at: usize) -> usize {
    let mut order: Vec<&Edit> = edits.iter().collect();
    order.sort_by_key(|edit| edit.range.start);
    let mut shift = 0isize;
    for edit in order {
        let (old, new) = (edit.range.len() as isize, edit.text.len() as isize);
        let start = edit.range.start as isize + shift;
        if (at as isize) < start + new {
            // Inside of what is new: where that begins.
            return match at as isize <= start {
                true => (at as isize - shift) as usize,
                false => edit.range.start,
            };
        }
        shift += new - old;
    }
    (at as isize - shift) as usize
}

/// Where a place of the text is after the changes.
pub(super) fn after(edits: &[Edit], at: usize) -> usize {
    let earlier = edits.iter().filter(|edit| edit.range.end <= at);
    let moved = |edit: &Edit| edit.text.len() as isize - edit.range.len() as isize;
    (at as isize + earlier.map(moved).sum::<isize>()) as usize
}

/// Some files with other texts than they have elsewhere.
pub struct Changes<'a> {
    sources: &'a (dyn Sources + Sync),
    texts: Vec<(String, String)>,
}

impl Sources for Changes<'_> {
    fn read(&self, include: Include<'_>) -> Result<Found, SourceError> {
        let found = self.sources.read(include)?;
        Ok(match self.texts.iter().find(|(name, _)| *name == found.name) {
            Some((_, text)) => Found { text: text.as_bytes().to_vec(), ..found },
            None => found,
        })
    }
}

/// How texts are read.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) request: &'a Request,
    pub(super) sources: &'a (dyn Sources + Sync),
}

impl<'a> Reader<'a> {
    /// The texts of a program's files with changes, the test's own first; `edits`
    /// speak of `from`, which has the same functions.
    pub(super) fn changed(
        &self,
        program: &Program,
        from: &Program,
        edits: &[Edit],
    ) -> (String, Changes<'a>) {
        let root = program.header.span.file;
        let own = program.files.file(root).map_or("", |file| &*file.text);
        let (mut here, mut texts) = (Vec::new(), Vec::new());
        for edit in edits.iter().filter(|edit| edit.file == from.header.span.file) {
            let name = |program: &Program| program.functions[edit.function.index()].span.start;
            let shift = name(program) as isize - name(from) as isize;
            let moved = |at: usize| (at as isize + shift) as usize;
            let range = moved(edit.range.start)..moved(edit.range.end);
            here.push(Edit { range, ..edit.clone() });
        }
        for file in files(edits).into_iter().filter(|file| *file != from.header.span.file) {
            let inside: Vec<Edit> = edits.iter().filter(|e| e.file == file).cloned().collect();
            let old = from.files.file(file).map_or("", |file| &*file.text);
            texts.push((from.files.name(file).to_owned(), applied(old, &inside)));
        }
        (applied(own, &here), Changes { sources: self.sources, texts })
    }

    /// A program with changes; `None` if that is no right text.
    pub(super) fn read(
        &self,
        program: &Program,
        from: &Program,
        edits: &[Edit],
    ) -> Option<Program> {
        let (text, sources) = self.changed(program, from, edits);
        let name = program.files.name(program.header.span.file);
        self.request.read(name, &text, &sources, &program.variant).ok()
    }
}

/// The files that are changed, each once.
pub(super) fn files(edits: &[Edit]) -> Vec<FileId> {
    let mut list: Vec<FileId> = edits.iter().map(|edit| edit.file).collect();
    list.sort_unstable();
    list.dedup();
    list
}

/// A piece as a range.
pub(super) fn range(span: Span) -> Range<usize> {
    span.start as usize..span.end as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(range: Range<usize>, text: &str) -> Edit {
        let (function, file) = (FunctionId(0), FileId::default());
        Edit { function, file, range, text: text.to_owned() }
    }

    #[test]
    fn pieces_change_and_places_are_found_again() {
        let edits = [edit(2..4, "xyz"), edit(6..6, "!"), edit(8..10, "")];
        let text = applied("0123456789ab", &edits);
        assert_eq!(text, "01xyz45!67ab");
        for (at, byte) in text.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_digit()) {
            let old = usize::from(byte - b'0');
            assert_eq!((before(&edits, at), after(&edits, old)), (old, at));
        }
        assert_eq!(before(&edits, text.len()), 12);
        assert_eq!(before(&edits, text.find('a').unwrap()), 10);
    }
}
