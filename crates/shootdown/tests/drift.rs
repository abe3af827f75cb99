//! `shootdown drift` and `check --tree` on a small tree.
#![cfg(feature = "drift")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

fn drift(file: &str) -> String {
    format!("{}/../drift/tests/{file}", env!("CARGO_MANIFEST_DIR"))
}

fn shootdown(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shootdown"));
    command.args(arguments).output().expect("the program runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Digests of the tree as it is, with those of one function made wrong.
fn digests(name: &str, wrong: &str) -> String {
    let recorded = shootdown(&["drift", "--tree", &drift("tree"), &drift("litmus"), "--record"]);
    // One citation has no function; that is said, and the rest is recorded.
    assert_eq!(recorded.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&recorded.stderr).contains("`tiny_gone` (mm/tiny.c): gone"));
    let text: String = stdout(&recorded)
        .lines()
        .map(|line| match line.rsplit_once('\t') {
            Some((what, _)) if what.ends_with(wrong) => format!("{what}\t0123456789abcdef\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&file, text).expect("written");
    file.display().to_string()
}

#[test]
fn what_changed_is_named_and_its_tests_are_withheld() {
    let digests = digests("drift-changed.tsv", "tiny_changed");
    let tree = drift("tree");
    let output = shootdown(&["drift", "--tree", &tree, "--digests", &digests, &drift("litmus")]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("is Linux 9.1.4"), "{text}");
    assert!(text.contains("line 16: tiny_changed (mm/tiny.c, read in v9.1.4): changed"), "{text}");
    assert!(!text.contains("tiny_same (mm/tiny.c"), "{text}");
    assert!(text.contains("tiny.litmus: tiny_changed changed, tiny_gone not recorded"), "{text}");
    let json =
        shootdown(&["drift", "--json", "--tree", &tree, "--digests", &digests, &drift("litmus")]);
    let value: serde_json::Value = serde_json::from_slice(&json.stdout).expect("json");
    assert_eq!(value["schema"], "shootdown-drift 1");
    assert_eq!(value["withheld"].as_array().map(Vec::len), Some(1));
}

/// Only what a variant runs counts: the base has its verdict, the variant that
/// calls the function which changed has none.
#[test]
fn a_verdict_is_withheld_only_where_it_rests_on_the_change() {
    let digests = digests("drift-check.tsv", "tiny_changed");
    let (tree, file) = (drift("tree"), drift("litmus/tiny.litmus"));
    let check = |more: &[&str]| {
        let mut arguments = vec!["check", "--no-guards", "--tree", &tree, "--digests", &digests];
        arguments.extend(more);
        arguments.push(&file);
        let output = shootdown(&arguments);
        (output.status.code(), stdout(&output))
    };
    let (status, text) = check(&[]);
    assert_ne!(status, Some(2), "{text}");
    assert!(!text.contains("withheld"), "{text}");
    let (status, text) = check(&["--variant", "CHANGED"]);
    assert_eq!(status, Some(3), "{text}");
    assert!(text.contains("the verdict is withheld: `tiny_changed` (mm/tiny.c)"), "{text}");
}

#[test]
fn a_folder_that_is_no_tree_is_refused() {
    for (tree, words) in [("nowhere", "no such folder"), ("litmus", "has no folder mm/")] {
        let output = shootdown(&["drift", "--tree", &drift(tree)]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2));
        assert!(error.contains(words), "{error}");
    }
}
