//! `cargo xtask naive`: every shipped file on the machine whose fills and
//! evictions are steps, and on the sets.

use std::process::Command;

use crate::process::run;

/// Builds the comparison with optimisation and runs it; it says the rest.
pub(crate) fn compare(words: &[&str]) -> Result<(), String> {
    let mut command = Command::new("cargo");
    command.args(["run", "--release", "--quiet", "-p", "shootdown-machine-naive", "--"]);
    run(command.args(words))
}
