//! Invariant ids: what the code appeals to is listed in ARCHITECTURE.md, and
//! what is listed there is appealed to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;

use super::tests::test_functions;
use crate::finding::Finding;
use crate::tree::Tree;

static ID: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\bINV-[A-Z]+(?:-[A-Z]+)*\b").expect("a constant"));
static QUOTED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"`([^`]+)`").expect("a constant"));

const DOCUMENT: &str = "ARCHITECTURE.md";
/// What can be said to prove an id, and whether it is something that runs.
const PROOFS: [(&str, bool); 5] = [
    ("by type", false),
    ("by loom", true),
    ("by shuttle", true),
    ("by test", true),
    ("by nothing", false),
];

/// A row of the table: `| INV-X | statement | defined in | proven |`.
struct Row<'t> {
    line: usize,
    defined: &'t str,
    proven: &'t str,
}

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(document) = tree.get(DOCUMENT) else {
        return vec![Finding::error(DOCUMENT, 1, "is missing; it lists the invariants")];
    };
    let listed = rows(document, &mut findings);

    let mut used = BTreeSet::new();
    for (path, text) in tree.crate_sources() {
        for (number, line) in text.lines().enumerate() {
            for id in ID.find_iter(line).map(|id| id.as_str()) {
                used.insert(id);
                if !listed.contains_key(id) {
                    let message = format!(
                        "{id} is not listed in {DOCUMENT}; add it to the table of invariants, or \
                         use the id that is meant"
                    );
                    findings.push(Finding::error(path, number + 1, message));
                }
            }
        }
    }

    let tests = test_functions(tree);
    for (id, row) in &listed {
        if !used.contains(id) {
            let message = format!(
                "{id} is listed but no file under crates/*/src names it; name it where it is \
                 relied on, or drop the row"
            );
            findings.push(Finding::error(DOCUMENT, row.line, message));
        }
        check_defined(tree, id, row, &mut findings);
        check_proven(tree, id, row, &tests, &mut findings);
    }
    for (number, line) in document.lines().enumerate() {
        for id in ID.find_iter(line).map(|id| id.as_str()) {
            if !listed.contains_key(id) {
                let message = format!("{id} has no row in the table of invariants; add one");
                findings.push(Finding::error(DOCUMENT, number + 1, message));
            }
        }
    }
    findings
}

fn rows<'t>(document: &'t str, findings: &mut Vec<Finding>) -> BTreeMap<&'t str, Row<'t>> {
    let mut listed = BTreeMap::new();
    for (number, line) in document.lines().enumerate() {
        let Some(row) = line.strip_prefix("| ") else { continue };
        let cells: Vec<&str> = row.trim_end().trim_end_matches('|').split(" | ").collect();
        let id = cells[0].trim().trim_matches(['`', '*']);
        if ID.find(id).is_none_or(|found| found.as_str() != id) {
            continue;
        }
        let &[_, _, defined, proven] = cells.as_slice() else {
            let message =
                format!("the row of {id} needs four cells: id, statement, defined in, proven");
            findings.push(Finding::error(DOCUMENT, number + 1, message));
            continue;
        };
        if listed.insert(id, Row { line: number + 1, defined, proven }).is_some() {
            let message = format!("{id} is listed twice; keep one row");
            findings.push(Finding::error(DOCUMENT, number + 1, message));
        }
    }
    listed
}

/// The file that is said to define an id has it.
fn check_defined(tree: &Tree, id: &str, row: &Row<'_>, findings: &mut Vec<Finding>) {
    let mut files = QUOTED.captures_iter(row.defined).map(|quoted| quoted[1].to_owned()).peekable();
    if files.peek().is_none() {
        let message = format!("say in which file {id} is defined, as `crates/NAME/src/FILE.rs`");
        findings.push(Finding::error(DOCUMENT, row.line, message));
    }
    for file in files {
        if !tree.get(&file).is_some_and(|text| ID.find_iter(text).any(|found| found.as_str() == id))
        {
            let message = format!("`{file}` does not name {id}; name the file that defines it");
            findings.push(Finding::error(DOCUMENT, row.line, message));
        }
    }
}

/// What is said to prove an id exists.
fn check_proven(
    tree: &Tree,
    id: &str,
    row: &Row<'_>,
    tests: &BTreeMap<String, Vec<super::tests::Place>>,
    findings: &mut Vec<Finding>,
) {
    for claim in row.proven.split(';').map(str::trim) {
        let Some((proof, runs)) = PROOFS.iter().find(|(proof, _)| claim.starts_with(proof)) else {
            let proofs: Vec<&str> = PROOFS.iter().map(|(proof, _)| *proof).collect();
            let message = format!("say what proves {id}: {}", proofs.join(", "));
            findings.push(Finding::error(DOCUMENT, row.line, message));
            continue;
        };
        if *runs && !QUOTED.is_match(claim) {
            let message = format!("{id} is proven {proof}, but which? name the test in backquotes");
            findings.push(Finding::error(DOCUMENT, row.line, message));
        }
        for quoted in QUOTED.captures_iter(claim) {
            let name = &quoted[1];
            let claimed = *runs || name.contains('/');
            if claimed && !tests.contains_key(name) && tree.get(name).is_none() {
                let message = format!(
                    "`{name}`, said to prove {id}, is neither a test nor a file; name one that exists"
                );
                findings.push(Finding::error(DOCUMENT, row.line, message));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{ARCHITECTURE, TOKEN, assert_one, tree};
    use super::*;

    #[test]
    fn an_id_in_the_code_that_is_not_listed() {
        let mut tree = tree();
        tree.replace(TOKEN, "SAFETY: INV-PAGE: it is owned", "SAFETY: INV-PAGES: it is owned");
        assert_one(
            &check(&tree),
            "crates/mmu-notifier/src/token.rs:12: error: ",
            "INV-PAGES is not",
        );
    }

    #[test]
    fn a_listed_id_that_no_code_names() {
        let mut tree = tree();
        tree.replace(TOKEN, "INV-PAGE", "the rule");
        let findings = check(&tree);
        assert!(findings[0].message.contains("no file under crates/*/src names it"));
        assert_eq!((findings[0].path.as_str(), findings[0].line), (ARCHITECTURE, 3));
    }

    #[test]
    fn an_id_in_prose_without_a_row() {
        let mut tree = tree();
        tree.replace(ARCHITECTURE, "| id |", "INV-OTHER holds.\n\n| id |");
        assert_one(&check(&tree), "ARCHITECTURE.md:1: error: ", "INV-OTHER has no row");
    }

    #[test]
    fn a_row_that_names_the_wrong_file() {
        let mut tree = tree();
        tree.replace(ARCHITECTURE, "token.rs", "slot.rs");
        assert_one(&check(&tree), "ARCHITECTURE.md:3: error: ", "does not name INV-PAGE");
    }

    #[test]
    fn a_row_that_claims_a_test_that_is_not_there() {
        let mut tree = tree();
        tree.replace(ARCHITECTURE, "`late_notify_shows_old_data`", "`early_notify`");
        assert_one(&check(&tree), "ARCHITECTURE.md:3: error: ", "neither a test nor a file");
    }

    #[test]
    fn a_row_that_does_not_say_what_proves_it() {
        let mut tree = tree();
        tree.replace(ARCHITECTURE, "by type; ", "obviously; ");
        assert_one(&check(&tree), "ARCHITECTURE.md:3: error: ", "say what proves INV-PAGE");
    }

    #[test]
    fn a_row_that_does_not_say_which_test() {
        let mut tree = tree();
        tree.replace(ARCHITECTURE, "by test: `late_notify_shows_old_data`", "by loom");
        assert_one(&check(&tree), "ARCHITECTURE.md:3: error: ", "proven by loom, but which?");
    }

    #[test]
    fn a_row_that_comes_twice() {
        let mut tree = tree();
        let document = tree.get(ARCHITECTURE).unwrap().to_owned();
        let row = document.lines().last().unwrap();
        tree.insert(ARCHITECTURE, &format!("{document}{row}\n"));
        assert_one(&check(&tree), "ARCHITECTURE.md:4: error: ", "listed twice");
    }

    #[test]
    fn no_document_at_all() {
        assert_one(&check(&Tree::default()), "ARCHITECTURE.md:1: error: ", "is missing");
    }
}
