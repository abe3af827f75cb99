//! A kernel's source tree.

use std::fmt;
use std::path::{Path, PathBuf};

#[cfg(feature = "parser")]
use std::collections::{BTreeMap, HashMap};

#[cfg(feature = "parser")]
use crate::function::{Definition, definitions};
use crate::{Citation, Recorded, State};

/// A kernel's source tree. Files are read when they are asked for, each once.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
    version: Option<String>,
    #[cfg(feature = "parser")]
    files: HashMap<String, Option<CFile>>,
}

#[cfg(feature = "parser")]
#[derive(Debug)]
struct CFile {
    text: String,
    definitions: BTreeMap<String, Definition>,
}

/// A folder that is no kernel source tree, or a build that cannot read one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotATree {
    /// What was given.
    pub root: PathBuf,
    /// Why.
    pub why: &'static str,
}

impl fmt::Display for NotATree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.root.display(), self.why)
    }
}

impl std::error::Error for NotATree {}

impl Tree {
    /// A tree by its topmost folder, the one that has `mm/`.
    ///
    /// # Errors
    ///
    /// There is no `mm/`, or this build cannot read C.
    pub fn open(root: &Path) -> Result<Tree, NotATree> {
        let not = |why| Err(NotATree { root: root.to_owned(), why });
        if !crate::READS_C {
            return not("this build has no parser for C; build it with `--features drift`");
        }
        if !root.is_dir() {
            return not("no such folder");
        }
        if !root.join("mm").is_dir() {
            return not("no kernel source tree: it has no folder mm/; unpack linux-source there");
        }
        let version = std::fs::read_to_string(root.join("Makefile")).ok();
        Ok(Tree {
            root: root.to_owned(),
            version: version.as_deref().and_then(version_of),
            #[cfg(feature = "parser")]
            files: HashMap::new(),
        })
    }

    /// What its Makefile says: `6.1.192`.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// What became of a function that was read.
    #[cfg(feature = "parser")]
    pub fn state(&mut self, cited: &Citation, recorded: &Recorded) -> State {
        let Some(then) = recorded.of(cited) else { return State::NotRecorded };
        match self.digest(cited) {
            Ok(now) if now == then => State::Unchanged,
            Ok(_) => State::Changed,
            Err(state) => state,
        }
    }

    /// What became of a function that was read: without a parser nobody knows.
    #[cfg(not(feature = "parser"))]
    pub fn state(&mut self, _: &Citation, _: &Recorded) -> State {
        State::Unread
    }

    /// The digest of a function as it is in this tree.
    ///
    /// # Errors
    ///
    /// Why there is none.
    #[cfg(feature = "parser")]
    pub fn digest(&mut self, cited: &Citation) -> Result<crate::Digest, State> {
        let root = &self.root;
        let file = self.files.entry(cited.file.clone()).or_insert_with(|| {
            let bytes = std::fs::read(root.join(&cited.file)).ok()?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let definitions = definitions(&text);
            Some(CFile { text, definitions })
        });
        let Some(file) = file else { return Err(State::NoFile) };
        match file.definitions.get(&cited.function) {
            Some(definition) => Ok(definition.digest()),
            None if mentions(&file.text, &cited.function) => Err(State::Unread),
            None => Err(State::Gone),
        }
    }

    /// The digest of a function: without a parser there is none.
    ///
    /// # Errors
    ///
    /// Always [`State::Unread`].
    #[cfg(not(feature = "parser"))]
    pub fn digest(&mut self, _: &Citation) -> Result<crate::Digest, State> {
        Err(State::Unread)
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

/// Whether a line begins a definition of the name as far as one can tell
/// without a parser: the name, then `(`, at the beginning of a line or after a
/// type, and no `;` in the line.
#[cfg(feature = "parser")]
fn mentions(text: &str, name: &str) -> bool {
    text.lines().any(|line| {
        let Some(at) = line.find(name) else { return false };
        let (before, after) = (&line[..at], &line[at + name.len()..]);
        let starts = !line.starts_with([' ', '\t', '*', '/']);
        let alone = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        starts && alone && after.starts_with('(') && !line.contains(';') && !line.starts_with('#')
    })
}

fn version_of(makefile: &str) -> Option<String> {
    let value = |name: &str| {
        makefile.lines().take(20).find_map(|line| {
            let (key, value) = line.split_once('=')?;
            (key.trim() == name).then(|| value.trim().to_owned())
        })
    };
    let number = [value("VERSION")?, value("PATCHLEVEL")?, value("SUBLEVEL")?].join(".");
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let makefile = "# SPDX\nVERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 192\nEXTRAVERSION =\n";
        assert_eq!(version_of(makefile).as_deref(), Some("6.1.192"));
        assert_eq!(version_of("all:\n"), None);
    }

    #[test]
    fn no_folder_is_no_tree() {
        let error = Tree::open(Path::new("does/not/exist")).unwrap_err();
        let why = if crate::READS_C { "no such folder" } else { "no parser" };
        assert!(error.to_string().contains(why), "{error}");
    }
}
