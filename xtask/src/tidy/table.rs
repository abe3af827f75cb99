//! The transition table names, for each change, the method that performs it
//! and the test that shows its placement: both exist.

use std::sync::LazyLock;

use regex::Regex;

use super::tests::test_functions;
use crate::finding::Finding;
use crate::source::Source;
use crate::tree::Tree;

/// What is checked of a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) method: &'static str,
    pub(super) test: &'static str,
}

/// The rows of the protocol itself.
pub(super) fn rows() -> Vec<Row> {
    mmu_protocol::TABLE.iter().map(|row| Row { method: row.method, test: row.test }).collect()
}

const DATA: &str = "crates/mmu-protocol/src/transition.rs";
const METHODS: &str = "crates/mmu-notifier/src/";

pub(super) fn check(tree: &Tree, rows: &[Row]) -> Vec<Finding> {
    let tests = test_functions(tree);
    let mut findings = Vec::new();
    for row in rows {
        if !has_method(tree, row.method) {
            let message = format!(
                "no `pub fn` for {:?} in an `impl` of that type under {METHODS}; name the type \
                 that has the method",
                row.method
            );
            findings.push(Finding::error(DATA, line_of(tree, "method", row.method), message));
        }
        let line = line_of(tree, "test", row.test);
        match tests.get(row.test).map_or(&[][..], Vec::as_slice) {
            [] => {
                let message = format!(
                    "no test {:?} under crates/*/tests or crates/*/src; write it, or name the \
                     one that shows this row",
                    row.test
                );
                findings.push(Finding::error(DATA, line, message));
            }
            [only] if only.ignored => {
                let message =
                    format!("the test {:?} is ignored; a row needs one that runs", row.test);
                findings.push(Finding::error(&only.path, only.line, message));
            }
            [_] => {}
            [_, rest @ ..] => findings.extend(rest.iter().map(|place| {
                let message = format!(
                    "a second test {:?}; the table names one, so rename this one",
                    row.test
                );
                Finding::error(&place.path, place.line, message)
            })),
        }
    }
    findings
}

/// The line of the table that says so. Two rows may name the same method; the
/// first stands for both.
fn line_of(tree: &Tree, field: &str, value: &str) -> usize {
    let wanted = format!("{field}: {value:?}");
    let found =
        tree.get(DATA).and_then(|text| text.lines().position(|line| line.contains(&wanted)));
    found.unwrap_or(0) + 1
}

fn has_method(tree: &Tree, method: &str) -> bool {
    static PUBLIC: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"\bpub\s+(?:const\s+)?(?:unsafe\s+)?fn\s+(\w+)").expect("a constant")
    });
    let Some((type_name, name)) = method.split_once("::") else { return false };
    tree.crate_sources().filter(|(path, _)| path.starts_with(METHODS)).any(|(_, text)| {
        let source = Source::parse(text);
        source.impls().into_iter().any(|block| {
            !block.of_trait
                && block.type_name == type_name
                && PUBLIC.captures_iter(&source.code[block.body]).any(|found| &found[1] == name)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{TEST, TOKEN, assert_one, rows, tree};
    use super::*;

    #[test]
    fn a_test_that_is_not_there() {
        let mut tree = tree();
        tree.replace(TEST, "fn late", "fn later");
        assert_one(&check(&tree, &rows()), "crates/mmu-protocol/src/transition.rs:2: ", "no test");
    }

    #[test]
    fn a_function_that_is_not_a_test() {
        let mut tree = tree();
        tree.replace(TEST, "#[test]\n", "");
        assert_one(&check(&tree, &rows()), "crates/mmu-protocol/src/transition.rs:2: ", "no test");
    }

    #[test]
    fn a_test_in_a_comment_is_not_there() {
        let mut tree = tree();
        tree.replace(TEST, "#[test]\nfn", "// #[test]\n// fn");
        assert_one(&check(&tree, &rows()), "crates/mmu-protocol/src/transition.rs:2: ", "no test");
    }

    #[test]
    fn a_test_that_never_runs() {
        let mut tree = tree();
        tree.replace(TEST, "#[test]", "#[test]\n#[ignore]");
        assert_one(
            &check(&tree, &rows()),
            "crates/mmu-notifier/tests/placements.rs:3: ",
            "ignored",
        );
    }

    #[test]
    fn two_tests_of_one_name() {
        let mut tree = tree();
        tree.insert("crates/shootdown/tests/b.rs", "#[test]\nfn late_notify_shows_old_data() {}\n");
        assert_one(&check(&tree, &rows()), "crates/shootdown/tests/b.rs:2: ", "a second test");
    }

    #[test]
    fn a_method_that_is_not_there() {
        let mut tree = tree();
        tree.replace(TOKEN, "pub fn set(", "pub fn store(");
        assert_one(
            &check(&tree, &rows()),
            "crates/mmu-protocol/src/transition.rs:1: ",
            "no `pub fn`",
        );
    }

    #[test]
    fn a_method_of_another_type() {
        let mut tree = tree();
        tree.replace(TOKEN, "> Token<", "> Slot<");
        assert_one(
            &check(&tree, &rows()),
            "crates/mmu-protocol/src/transition.rs:1: ",
            "no `pub fn`",
        );
    }
}
