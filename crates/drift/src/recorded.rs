//! The digests of the functions that were read.

use std::collections::BTreeMap;
use std::fmt;

use crate::{Citation, Digest};

/// The digests that come with the program, a text for each kernel.
const SHIPPED: &[&str] = include!(concat!(env!("OUT_DIR"), "/recorded.rs"));

/// Digests by tag, file and function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    digests: BTreeMap<(String, String, String), Digest>,
}

/// A line of a record that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRecord {
    /// From 1.
    pub line: usize,
    /// What it says.
    pub text: String,
}

impl fmt::Display for BadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}: `{}` is not `tag, file, function, digest` with tabs between; record it anew",
            self.line, self.text
        )
    }
}

impl std::error::Error for BadRecord {}

impl Recorded {
    /// Those that come with the program.
    ///
    /// # Panics
    ///
    /// Never in a build that passed its tests.
    pub fn shipped() -> Recorded {
        let mut all = Recorded::default();
        for text in SHIPPED {
            let one = Recorded::read(text).expect("the shipped records are well formed");
            all.digests.extend(one.digests);
        }
        all
    }

    /// Lines `tag, file, function, digest` with tabs between; `#` begins a
    /// comment.
    ///
    /// # Errors
    ///
    /// The first line that is something else.
    pub fn read(text: &str) -> Result<Recorded, BadRecord> {
        let mut recorded = Recorded::default();
        for (at, line) in text.lines().enumerate() {
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let bad = || BadRecord { line: at + 1, text: line.to_owned() };
            let parts: Vec<&str> = line.split('\t').collect();
            let [tag, file, function, digest] = parts.as_slice() else { return Err(bad()) };
            let digest = digest.parse().map_err(|()| bad())?;
            recorded.add(tag, file, function, digest);
        }
        Ok(recorded)
    }

    /// Adds all of another; the other's digests take the place of these.
    pub fn extend(&mut self, other: Recorded) {
        self.digests.extend(other.digests);
    }

    /// Adds one.
    pub fn add(&mut self, tag: &str, file: &str, function: &str, digest: Digest) {
        self.digests.insert((tag.to_owned(), file.to_owned(), function.to_owned()), digest);
    }

    /// The digest of what was cited.
    pub fn of(&self, cited: &Citation) -> Option<Digest> {
        let key = (cited.tag.clone(), cited.file.clone(), cited.function.clone());
        self.digests.get(&key).copied()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.digests.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.digests.is_empty()
    }
}

impl fmt::Display for Recorded {
    /// As [`read`](Recorded::read) takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((tag, file, function), digest) in &self.digests {
            writeln!(f, "{tag}\t{file}\t{function}\t{digest}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let mut recorded = Recorded::default();
        recorded.add("v1", "mm/a.c", "f", Digest::of(["x"]));
        let text = format!("# comment\n\n{recorded}");
        assert_eq!(Recorded::read(&text), Ok(recorded));
    }

    #[test]
    fn a_bad_line_is_named() {
        let error = Recorded::read("# ok\nv1\tmm/a.c\tf\tnot-a-digest\n").unwrap_err();
        assert_eq!(error.line, 2);
        assert!(error.to_string().contains("not-a-digest"));
        assert!(Recorded::read("v1 mm/a.c f 00").is_err());
    }
}
