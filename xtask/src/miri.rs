//! `cargo xtask miri`: the library crates' tests under the interpreter that
//! sees undefined behaviour.
//!
//! It exists for nightly compilers only. Where it cannot be had the reason is
//! printed and nothing is claimed.

use std::process::Command;

use crate::libraries::{LIBRARIES, target_directory};
use crate::model::Effort;
use crate::process::{attempt, run as run_command, toolchain};
use crate::tree::root;

/// Under the interpreter an operation takes a thousand times as long.
const ITERATIONS: [(Effort, &str); 3] =
    [(Effort::Short, "20"), (Effort::Default, "50"), (Effort::Long, "1000")];

pub(crate) fn run(effort: Effort) -> Result<(), String> {
    if let Err(reason) = install() {
        println!("miri: not run: {reason}");
        return Ok(());
    }
    let mut cargo = toolchain("nightly", "cargo");
    cargo.current_dir(root());
    if std::env::var_os("SHOOTDOWN_ITERATIONS").is_none() {
        let (_, count) = ITERATIONS.iter().find(|(of, _)| *of == effort).expect("each has one");
        cargo.env("SHOOTDOWN_ITERATIONS", count);
    }
    if std::env::var_os("MIRIFLAGS").is_none() {
        // The interpreted program sees no environment but this variable.
        cargo.env("MIRIFLAGS", "-Zmiri-env-forward=SHOOTDOWN_ITERATIONS");
    }
    cargo.args(["miri", "test", "--quiet", "--lib", "--tests", "--target-dir"]);
    cargo.arg(target_directory().join("miri"));
    cargo.args(LIBRARIES.iter().flat_map(|name| ["--package", *name]));
    run_command(&mut cargo)?;
    println!("miri: ok");
    Ok(())
}

/// Installs the component and the sources that it builds `std` from.
fn install() -> Result<(), String> {
    let works = || {
        attempt(toolchain("nightly", "cargo").args(["miri", "--version"]))?;
        let directory = target_directory().join("miri");
        attempt(
            toolchain("nightly", "cargo").args(["miri", "setup", "--target-dir"]).arg(directory),
        )
        .map(drop)
    };
    if works().is_ok() {
        return Ok(());
    }
    let there = attempt(toolchain("nightly", "rustc").arg("--version")).is_ok();
    let mut rustup = Command::new("rustup");
    if there {
        rustup.args(["component", "add", "miri", "rust-src", "--toolchain", "nightly"]);
    } else {
        rustup.args(["toolchain", "install", "nightly", "--profile", "minimal"]);
        rustup.args(["--component", "miri", "--component", "rust-src"]);
    }
    eprintln!("installing the interpreter");
    attempt(&mut rustup)?;
    works()
}
