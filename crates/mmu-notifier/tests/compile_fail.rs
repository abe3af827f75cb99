//! The wrong programs that the compiler has to reject, one in each file of
//! `tests/ui`. `tests/misuse.rs` tries what is left of them at run time.
#![cfg(not(any(loom, shuttle, miri)))]

use std::process::Command;

/// The texts of errors change with the compiler; the suite belongs to this one.
const PINNED: &str = "rustc 1.95.";

#[test]
fn wrong_programs_are_rejected() {
    let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let version = Command::new(compiler).arg("--version").output().expect("there is a compiler");
    let version = String::from_utf8_lossy(&version.stdout);
    if !version.starts_with(PINNED) {
        println!("skipped: the expected errors are those of {PINNED}x, this is {}", version.trim());
        return;
    }
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
