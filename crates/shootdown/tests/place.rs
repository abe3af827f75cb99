//! `shootdown place` from the outside: what is printed can be used.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn shootdown(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shootdown"));
    command.current_dir(folder).args(arguments).output().expect("the program runs")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A folder of its own with this file of `litmus` in it, as `t.litmus`.
fn folder(name: &str, file: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("place-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("created");
    fs::copy(root().join(file), folder.join("t.litmus")).expect("copied");
    folder
}

/// Whether an obligation is violated; what a file expects is another matter.
fn is_violated(checked: &Output) -> bool {
    out(checked).lines().any(|line| {
        line.contains("violated") && !line.starts_with("expected") && !line.starts_with("differs")
    })
}

/// The patch in what was printed.
fn patch(out: &str) -> String {
    let lines = out.lines().skip_while(|line| !line.starts_with("--- "));
    let lines: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
    lines.join("\n") + "\n"
}

#[test]
fn the_printed_patch_makes_the_file_clean() {
    for (file, variant) in [
        ("litmus/seed/doorbell.litmus", "NONE"),
        ("litmus/seed/write-protect.litmus", "NONE"),
        ("litmus/seed/page-freed-before-range-end.litmus", "NONE"),
    ] {
        let folder = folder(variant, file);
        let check = ["check", "--no-guards", "--variant", variant, "t.litmus"];
        assert!(is_violated(&shootdown(&folder, &check)), "{file}");
        let placed = shootdown(&folder, &["place", "--variant", variant, "t.litmus"]);
        assert_eq!(placed.status.code(), Some(0), "{placed:?}");
        let text = patch(&out(&placed));
        assert!(text.starts_with("--- a/t.litmus\n+++ b/t.litmus\n@@ "), "{text}");
        let patch = diffy::Patch::from_str(&text).expect("a patch");
        let old = fs::read_to_string(folder.join("t.litmus")).expect("read");
        let new = diffy::apply(&old, &patch).expect("it fits");
        fs::write(folder.join("t.litmus"), new).expect("written");
        let checked = shootdown(&folder, &check);
        assert!(!is_violated(&checked), "{file}: {}", out(&checked));
        // Nothing more is to be placed.
        let again = shootdown(&folder, &["place", "--forget", "--variant", variant, "t.litmus"]);
        assert!(out(&again).contains("The file has the first one already."), "{again:?}");
    }
}

#[test]
fn exit_status() {
    let folder = folder("status", "litmus/seed/page-freed-before-range-end.litmus");
    let status = |arguments: &[&str]| {
        let mut all = vec!["place", "t.litmus"];
        all.extend(arguments);
        shootdown(&folder, &all).status.code()
    };
    assert_eq!(status(&["--variant", "NONE"]), Some(0));
    assert_eq!(status(&[]), Some(2), "it tells already");
    assert_eq!(status(&["--variant", "NONE", "--max-states", "3"]), Some(3));
    assert_eq!(status(&["--variants", "base", "FREE_LATE"]), Some(0));
    assert_eq!(status(&["--variants", "base", "LATE"]), Some(1));
    // Nobody flushes the CPUs, and no notification helps them.
    let text = fs::read_to_string(folder.join("t.litmus")).expect("read");
    fs::write(folder.join("t.litmus"), text.replace("ptep_clear_flush", "ptep_get_and_clear"))
        .expect("written");
    assert_eq!(status(&["--variant", "NONE"]), Some(1));
}

#[test]
fn json_is_versioned() {
    let folder = folder("json", "litmus/seed/write-protect.litmus");
    let json = |arguments: &[&str]| -> serde_json::Value {
        let mut all = vec!["place", "t.litmus", "--json"];
        all.extend(arguments);
        serde_json::from_slice(&shootdown(&folder, &all).stdout).expect("json")
    };
    let value = json(&["--variant", "NONE", "--list", "2"]);
    assert_eq!(value["schema"], "shootdown.place/1");
    let test = &value["tests"][0];
    assert_eq!((&test["outcome"], &test["covered"]), (&"found".into(), &"cheapest".into()));
    let placements = test["placements"].as_array().expect("placements");
    assert_eq!(placements.len(), 2);
    assert_eq!(placements[0]["spots"][0]["range_end"], true);
    assert_eq!(placements[0]["spots"][0]["under_lock"], false);
    assert!(test["diff"].as_str().is_some_and(|diff| diff.contains("+++ b/t.litmus")));
    let value = json(&["--variants", "base", "UNDER_LOCK"]);
    assert_eq!(value["schema"], "shootdown.versions/1");
    assert_eq!(value["same"], true);
    let versions = value["versions"].as_array().expect("versions");
    assert_eq!(versions[1]["verdicts"]["return"], "clean");
    assert_eq!(versions[0]["paths"][0]["cost"]["waits"], serde_json::json!([2, 2]));
}
