//! The repository's text files, in memory, so that a test can bring its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Path from the repository's root, with forward slashes, to text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    files: BTreeMap<String, String>,
}

const TEXT: [&str; 6] = ["rs", "toml", "md", "stderr", "sh", "txt"];
/// Build output and hidden directories are nobody's text.
const SKIPPED: [&str; 1] = ["target"];

impl Tree {
    pub(crate) fn read(root: &Path) -> Result<Self, String> {
        let mut tree = Tree::default();
        tree.read_directory(root, "")?;
        Ok(tree)
    }

    fn read_directory(&mut self, directory: &Path, prefix: &str) -> Result<(), String> {
        let fail = |error| format!("{}: {error}", directory.display());
        for entry in fs::read_dir(directory).map_err(fail)? {
            let path = entry.map_err(fail)?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let key = format!("{prefix}{name}");
            if path.is_dir() {
                if !name.starts_with('.') && !SKIPPED.contains(&name) {
                    self.read_directory(&path, &format!("{key}/"))?;
                }
            } else if TEXT.iter().any(|ending| has_extension(&path, ending)) {
                // A file that vanishes or is not text is not ours to check.
                if let Ok(text) = fs::read_to_string(&path) {
                    self.files.insert(key, text);
                }
            }
        }
        Ok(())
    }

    pub(crate) fn get(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The Rust files of `crates/*/src`.
    pub(crate) fn crate_sources(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter(|(path, _)| in_crate(path, &["src"]) && path.ends_with(".rs"))
    }

    /// The Rust files of `crates/*/src` and `crates/*/tests`.
    pub(crate) fn crate_tests(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter(|(path, _)| in_crate(path, &["src", "tests"]) && path.ends_with(".rs"))
    }
}

#[cfg(test)]
impl Tree {
    pub(crate) fn insert(&mut self, path: &str, text: &str) {
        self.files.insert(path.to_owned(), text.to_owned());
    }

    /// Replaces what must be there.
    pub(crate) fn replace(&mut self, path: &str, from: &str, to: &str) {
        let text = self.files.get_mut(path).expect("the fixture has this file");
        assert!(text.contains(from), "the fixture's {path} has {from:?}");
        *text = text.replace(from, to);
    }
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|is| is == extension)
}

/// Whether a path is `crates/NAME/DIRECTORY/...` for one of the directories.
fn in_crate(path: &str, directories: &[&str]) -> bool {
    let mut parts = path.split('/');
    parts.next() == Some("crates")
        && parts.next().is_some()
        && parts.next().is_some_and(|part| directories.contains(&part))
}

/// The repository's root: the parent of this crate.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the root").to_owned()
}
