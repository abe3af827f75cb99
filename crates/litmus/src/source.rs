//! Where text comes from: files, spans into them, and the [`Sources`] that
//! `#include` asks.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diag::{Diagnostic, Diagnostics};

/// The largest text that is read. A litmus file has a hundred lines; whoever
/// gives a log or a core dump by mistake is told so at once.
pub const MAX_BYTES: usize = 1 << 20;

/// A file of a [`Files`] table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct FileId(pub(crate) u32);

/// A piece of a file: bytes `start..end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Span {
    /// Which file.
    pub file: FileId,
    /// The first byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// From the beginning of `self` to the end of `last`. Pieces of different
    /// files have nothing between them: the first is kept.
    #[must_use]
    pub fn to(self, last: Span) -> Span {
        if self.file == last.file && last.end >= self.start {
            Span { end: self.end.max(last.end), ..self }
        } else {
            self
        }
    }

    /// The place just after this piece.
    #[must_use]
    pub fn after(self) -> Span {
        Span { start: self.end, ..self }
    }
}

/// A place as an editor counts it, from 1. Columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LineColumn {
    /// The line.
    pub line: usize,
    /// The character in it.
    pub column: usize,
}

/// One file that was read.
#[derive(Clone, Debug)]
pub struct File {
    /// As messages name it.
    pub name: String,
    /// Its text.
    pub text: Arc<str>,
    line_starts: Vec<u32>,
}

impl File {
    pub(crate) fn line_starts(&self) -> &[u32] {
        &self.line_starts
    }
}

/// The files of one program: its own and all it includes.
#[derive(Clone, Debug, Default)]
pub struct Files {
    files: Vec<File>,
}

impl Files {
    pub(crate) fn add(&mut self, name: &str, text: &str) -> FileId {
        let starts = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let line_starts = std::iter::once(0).chain(starts.map(|(at, _)| at as u32 + 1)).collect();
        self.files.push(File { name: name.to_owned(), text: text.into(), line_starts });
        FileId(self.files.len() as u32 - 1)
    }

    /// All of them, the test's own first.
    pub fn iter(&self) -> impl Iterator<Item = &File> {
        self.files.iter()
    }

    /// The file, if the id is of this table.
    pub fn file(&self, id: FileId) -> Option<&File> {
        self.files.get(id.0 as usize)
    }

    /// The file's name as messages show it.
    pub fn name(&self, id: FileId) -> &str {
        self.file(id).map_or("?", |file| &file.name)
    }

    /// The text of a piece.
    pub fn text(&self, span: Span) -> &str {
        let whole = self.file(span.file).map_or("", |file| &*file.text);
        whole.get(span.start as usize..span.end as usize).unwrap_or("")
    }

    /// Line and column at which a piece begins.
    pub fn position(&self, span: Span) -> LineColumn {
        let Some(file) = self.file(span.file) else { return LineColumn { line: 1, column: 1 } };
        let line = file.line_starts.partition_point(|start| *start <= span.start).max(1);
        let start = file.line_starts[line - 1] as usize;
        let before = file.text.get(start..span.start as usize).unwrap_or("");
        LineColumn { line, column: before.chars().count() + 1 }
    }

    /// `file:line:col` of a piece, as every message begins.
    pub fn locate(&self, span: Span) -> String {
        let LineColumn { line, column } = self.position(span);
        format!("{}:{line}:{column}", self.name(span.file))
    }
}

/// What an `#include` line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Include<'a> {
    /// Between the quotes or the angle brackets.
    pub path: &'a str,
    /// `"path"`: looked for beside the including file first.
    pub local: bool,
    /// The name of the including file.
    pub from: &'a str,
}

/// An included file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// As messages name it; the same file has the same name each time.
    pub name: String,
    /// What is in it.
    pub text: Vec<u8>,
}

/// Why an included file could not be had.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceError {
    /// It is in none of these places.
    NotFound {
        /// Where it was looked for, in order.
        tried: Vec<String>,
    },
    /// It is there and cannot be read.
    Unreadable {
        /// Which file.
        name: String,
        /// What the system said.
        reason: String,
    },
}

/// Whoever answers an `#include`: files embedded in the program, directories
/// given with `-I`, or both, one after the other.
pub trait Sources {
    /// The text of an included file.
    ///
    /// # Errors
    ///
    /// See [`SourceError`].
    fn read(&self, include: Include<'_>) -> Result<Found, SourceError>;
}

/// There is nothing to include.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSources;

impl Sources for NoSources {
    fn read(&self, _: Include<'_>) -> Result<Found, SourceError> {
        Err(SourceError::NotFound { tried: Vec::new() })
    }
}

/// The names under which an included file may be kept: as written, with `.mm`,
/// and with the folder's name in the plural (`<machine/x>` is `machines/x.mm`).
fn spellings(path: &str) -> Vec<String> {
    let mut paths = vec![path.to_owned()];
    for (one, many) in [("machine/", "machines/"), ("kernel/", "kernels/")] {
        if let Some(rest) = path.strip_prefix(one) {
            paths.push(format!("{many}{rest}"));
        }
    }
    let with_ending: Vec<String> = paths.iter().map(|path| format!("{path}.mm")).collect();
    paths.extend(with_ending);
    paths
}

/// Files that are part of the program, as `(path, text)`.
#[derive(Clone, Copy, Debug)]
pub struct Embedded<'a>(pub &'a [(&'a str, &'a str)]);

impl Sources for Embedded<'_> {
    fn read(&self, include: Include<'_>) -> Result<Found, SourceError> {
        let tried = spellings(include.path);
        let found = tried.iter().find_map(|path| self.0.iter().find(|(name, _)| name == path));
        match found {
            Some((name, text)) => {
                Ok(Found { name: (*name).to_owned(), text: text.as_bytes().to_vec() })
            }
            None => Err(SourceError::NotFound { tried }),
        }
    }
}

/// Folders on disk (`-I`), in order.
#[derive(Clone, Debug, Default)]
pub struct Directories(pub Vec<PathBuf>);

impl Sources for Directories {
    fn read(&self, include: Include<'_>) -> Result<Found, SourceError> {
        let beside = Path::new(include.from).parent().filter(|_| include.local);
        let mut tried = Vec::new();
        for folder in beside.into_iter().chain(self.0.iter().map(PathBuf::as_path)) {
            for spelling in spellings(include.path) {
                let path = folder.join(&spelling);
                let name = path.display().to_string();
                if path.is_file() {
                    let text = read_bytes(&path)
                        .map_err(|reason| SourceError::Unreadable { name: name.clone(), reason })?;
                    return Ok(Found { name, text });
                }
                tried.push(name);
            }
        }
        Err(SourceError::NotFound { tried })
    }
}

/// The first of the two that has it.
#[derive(Clone, Copy, Debug)]
pub struct Either<A, B>(pub A, pub B);

impl<A: Sources, B: Sources> Sources for Either<A, B> {
    fn read(&self, include: Include<'_>) -> Result<Found, SourceError> {
        match self.0.read(include) {
            Err(SourceError::NotFound { mut tried }) => match self.1.read(include) {
                Err(SourceError::NotFound { tried: more }) => {
                    tried.extend(more);
                    Err(SourceError::NotFound { tried })
                }
                answer => answer,
            },
            answer => answer,
        }
    }
}

/// One byte more than is accepted is enough to know, whatever the file is
/// (a device or a pipe has no length to ask for).
fn read_bytes(path: &Path) -> Result<Vec<u8>, String> {
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    if file.metadata().is_ok_and(|data| data.is_dir()) {
        return Err("it is a directory".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// Reads a litmus file from disk.
///
/// # Errors
///
/// One diagnostic, without a line, if the file is missing, unreadable, empty,
/// larger than [`MAX_BYTES`], or no text.
pub fn read_file(path: &Path) -> Result<String, Diagnostics> {
    let name = path.display().to_string();
    match read_bytes(path) {
        Ok(bytes) => text_of(&name, &bytes),
        Err(reason) => Err(Diagnostics::whole_file(&name, format!("cannot be read: {reason}"))),
    }
}

/// The text in some bytes, if it is one that this language could be in.
///
/// # Errors
///
/// One diagnostic, without a line, if there is nothing, too much, or no text.
pub fn text_of(name: &str, bytes: &[u8]) -> Result<String, Diagnostics> {
    refuse(bytes).map_or_else(
        || Ok(String::from_utf8_lossy(bytes).into_owned()),
        |why| Err(Diagnostics::whole_file(name, why)),
    )
}

/// Why these bytes are no litmus text, if so.
pub(crate) fn refuse(bytes: &[u8]) -> Option<String> {
    if bytes.len() > MAX_BYTES {
        return Some(format!(
            "more than {} KiB; a litmus test is a page of text, is this the right file?",
            MAX_BYTES / 1024
        ));
    }
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        return Some(format!("a binary file (zero byte at offset {at}); a litmus test is text"));
    }
    if let Err(error) = std::str::from_utf8(bytes) {
        let at = error.valid_up_to();
        return Some(format!("not UTF-8 (at offset {at}); save it as UTF-8"));
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Some("the file is empty; a litmus test begins with `C NAME`".to_owned());
    }
    None
}

/// A message about an include line.
pub(crate) fn include_error(path: &str, span: Span, error: &SourceError) -> Diagnostic {
    match error {
        SourceError::NotFound { tried } if tried.is_empty() => {
            Diagnostic::error(span, format!("cannot find the include file `{path}`"))
                .label("there is nothing to include from")
        }
        SourceError::NotFound { tried } => {
            let mut shown: Vec<&str> = tried.iter().map(String::as_str).take(6).collect();
            if tried.len() > shown.len() {
                shown.push("...");
            }
            Diagnostic::error(span, format!("cannot find the include file `{path}`"))
                .label("add its folder with -I")
                .help(format!("looked for {}", shown.join(", ")))
        }
        SourceError::Unreadable { name, reason } => {
            Diagnostic::error(span, format!("cannot read the include file `{name}`: {reason}"))
        }
    }
}
