//! Ctrl-C: what was found until then is printed, and the status says that it is not
//! all.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use std::{fs, thread};

/// More clients than anybody waits for.
const MANY: &str = "devices=2,cpus=2,steps=3,accesses=3,pages=1,messages=1,after=1";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Whether a process catches SIGINT by now.
fn catches(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    caught.is_some_and(|mask| mask >> 1 & 1 != 0)
}

fn interrupted(arguments: &[&str]) -> Output {
    let child = Command::new(env!("CARGO_BIN_EXE_shootdown"))
        .current_dir(root())
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    while !catches(child.id()) {
        thread::sleep(Duration::from_millis(10));
    }
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.expect("there is a kill").success());
    child.wait_with_output().expect("it ends")
}

#[test]
fn clients_that_were_not_asked_are_counted() {
    let file = "litmus/seed/doorbell.litmus";
    let ended = interrupted(&["generate", file, "--bound", MANY]);
    assert_eq!(ended.status.code(), Some(3), "{ended:?}");
    let out = String::from_utf8_lossy(&ended.stdout);
    assert!(out.contains(" not asked: interrupted"), "{out}");
}

#[test]
fn a_table_says_how_many_of_its_rows_there_are() {
    let ended = interrupted(&["table", "--kernel", "all", "--machine", "all", "--bound", MANY]);
    assert_eq!(ended.status.code(), Some(3), "{ended:?}");
    let out = String::from_utf8_lossy(&ended.stdout);
    assert!(out.contains("\ncovered  0 of "), "{out}");
    let err = String::from_utf8_lossy(&ended.stderr);
    assert!(err.contains("interrupted: 0 of "), "{err}");
}

#[test]
fn pairs_go_on_where_they_were_interrupted() {
    let journal = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interrupted.journal");
    let _ = fs::remove_file(&journal);
    let name = journal.display().to_string();
    let arguments = ["table", "--pairs", "--bound", MANY, "--journal", &name];
    let ended = interrupted(&arguments);
    assert_eq!(ended.status.code(), Some(3), "{ended:?}");
    let err = String::from_utf8_lossy(&ended.stderr);
    assert!(err.contains("the same command goes on from there"), "{err}");
    assert_eq!(fs::read_to_string(&journal).expect("it is there"), "");
}

#[test]
fn files_that_were_not_reached_are_named() {
    let files = ["litmus/seed/doorbell.litmus", "litmus/seed/write-protect.litmus"];
    let all = [&["place", "--forget", "--clients", "--bound", MANY][..], &files[..]].concat();
    let ended = interrupted(&all);
    assert_eq!(ended.status.code(), Some(3), "{ended:?}");
    let err = String::from_utf8_lossy(&ended.stderr);
    assert!(err.contains("doorbell.litmus: interrupted before all clients were read"), "{err}");
    assert!(err.contains("interrupted before litmus/seed/write-protect.litmus"), "{err}");
}
