//! The look of files: length, blanks, left-overs, names of modules.

use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use crate::finding::Finding;
use crate::tree::Tree;

/// A file holds one idea; beyond this it holds two.
const LINES_WARNED: usize = 500;
const LINES_REFUSED: usize = 700;
/// Names that say nothing, and so collect everything.
const EMPTY_NAMES: [&str; 3] = ["utils", "common", "manager"];

static LEFT_OVER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\b(?:TODO|FIXME|XXX)\b|\b(?:todo|unimplemented|dbg)!").expect("a constant")
});

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.crate_sources() {
        let lines = text.lines().count();
        if lines > LINES_REFUSED {
            let message = format!("{lines} lines, {LINES_REFUSED} at most; split it by idea");
            findings.push(Finding::error(path, LINES_REFUSED + 1, message));
        } else if lines > LINES_WARNED {
            let message = format!("{lines} lines, {LINES_WARNED} are enough for one idea");
            findings.push(Finding::warning(path, LINES_WARNED + 1, message));
        }
    }
    for (path, text) in tree.files() {
        let rust = path.ends_with(".rs");
        let in_crates = path.starts_with("crates/");
        if rust && in_crates && has_empty_name(path) {
            let message = "a module name that says nothing; name what is in it";
            findings.push(Finding::error(path, 1, message));
        }
        // What a compiler printed is kept as it is.
        if path.ends_with(".stderr") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let mut error =
                |message: &str| findings.push(Finding::error(path, number + 1, message));
            if line.ends_with([' ', '\t']) {
                error("blanks at the end of the line; remove them");
            }
            if rust && line.contains('\t') {
                error("a tab; indent with spaces (cargo fmt), or write \\t");
            }
            if rust && in_crates && LEFT_OVER.is_match(line) {
                error("a left-over of work in progress; finish it or take it out");
            }
        }
    }
    findings
}

fn has_empty_name(path: &str) -> bool {
    Path::new(path)
        .with_extension("")
        .components()
        .any(|part| part.as_os_str().to_str().is_some_and(|part| EMPTY_NAMES.contains(&part)))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{TOKEN, assert_one, tree};
    use super::*;
    use crate::finding::Level;

    #[test]
    fn a_file_that_is_too_long() {
        let mut tree = tree();
        tree.insert("crates/shootdown/src/long.rs", &"//\n".repeat(701));
        assert_one(&check(&tree), "crates/shootdown/src/long.rs:701: error: ", "split it");
        tree.insert("crates/shootdown/src/long.rs", &"//\n".repeat(501));
        let findings = check(&tree);
        assert_one(&findings, "crates/shootdown/src/long.rs:501: warning: ", "one idea");
        assert_eq!(findings[0].level, Level::Warning);
        tree.insert("crates/shootdown/src/long.rs", &"//\n".repeat(500));
        assert_eq!(check(&tree), []);
    }

    #[test]
    fn blanks_at_the_end_of_a_line() {
        let mut tree = tree();
        tree.replace(TOKEN, "/// Takes.", "/// Takes. ");
        assert_one(&check(&tree), "crates/mmu-notifier/src/token.rs:15: error: ", "blanks");
    }

    #[test]
    fn a_tab() {
        let mut tree = tree();
        tree.replace(TOKEN, "    /// Stores.", "\t/// Stores.");
        assert_one(&check(&tree), "crates/mmu-notifier/src/token.rs:4: error: ", "tab");
    }

    #[test]
    fn left_overs() {
        for left_over in ["// TODO: later", "todo!()", "dbg!(x)", "// FIXME", "unimplemented!()"] {
            let mut tree = tree();
            tree.replace(TOKEN, "/// Takes.", left_over);
            assert_one(&check(&tree), "crates/mmu-notifier/src/token.rs:15: error: ", "left-over");
        }
    }

    #[test]
    fn a_module_that_says_nothing() {
        for path in ["crates/shootdown/src/utils.rs", "crates/shootdown/tests/common/mod.rs"] {
            let mut tree = tree();
            tree.insert(path, "");
            assert_one(&check(&tree), path, "says nothing");
        }
    }
}
