//! `cargo xtask loom` and `cargo xtask shuttle`: the model-checked suites.
//!
//! Both replace the atomics, the cells and the threads of the crates by those
//! of a checker (`--cfg loom`, `--cfg shuttle`), so each is a build of its own
//! in a directory of its own. A suite is an integration test whose name begins
//! with `loom_` or `shuttle_`.
//!
//! How long they run is said in the environment, and the suites read it:
//!
//! | variable | short | default | long |
//! |---|---|---|---|
//! | `SHOOTDOWN_ITERATIONS`: random schedules for each shuttle test, random programs for each property | 2,000 | what the test says | 200,000 |
//!
//! A variable that is set already is left alone. How often loom may take the
//! processor from a thread that could go on is said by each test.

use std::process::Command;

use crate::libraries::target_directory;
use crate::metadata;
use crate::process::run as run_command;
use crate::tree::root;

/// How much to explore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    Short,
    Default,
    Long,
}

impl Effort {
    pub(crate) fn parse(words: &[&str]) -> Option<Self> {
        match words {
            [] => Some(Effort::Default),
            ["--short"] => Some(Effort::Short),
            ["--long"] => Some(Effort::Long),
            _ => None,
        }
    }

    /// The variables that the suites read, and their values.
    pub(crate) fn variables(self) -> Vec<(&'static str, &'static str)> {
        let all = match self {
            Effort::Short => vec![("SHOOTDOWN_ITERATIONS", "2000")],
            Effort::Default => vec![],
            Effort::Long => vec![("SHOOTDOWN_ITERATIONS", "200000")],
        };
        all.into_iter().filter(|(name, _)| std::env::var_os(name).is_none()).collect()
    }
}

pub(crate) fn loom(effort: Effort) -> Result<(), String> {
    run("loom", &["mmu-notifier"], effort)
}

pub(crate) fn shuttle(effort: Effort) -> Result<(), String> {
    run("shuttle", &["mmu-notifier", "secondary-tlb", "address-space"], effort)
}

/// Runs the suites of one checker; an error if a crate that should have some
/// has none.
fn run(checker: &str, crates: &[&str], effort: Effort) -> Result<(), String> {
    let root = root();
    let packages = metadata::read(&root)?;
    let prefix = format!("{checker}_");
    for name in crates {
        let has_suite = packages
            .iter()
            .filter(|package| package.name == *name)
            .any(|package| package.tests.iter().any(|test| test.starts_with(&prefix)));
        if !has_suite {
            return Err(format!(
                "no suite for {checker}: expected crates/{name}/tests/{prefix}*.rs; write one, or \
                 take the crate off the list in xtask"
            ));
        }
    }
    let mut cargo = Command::new("cargo");
    cargo.current_dir(&root);
    cargo.envs(effort.variables());
    cargo.env("RUSTFLAGS", with_cfg(checker));
    cargo.args(["test", "--release", "--quiet", "--target-dir"]);
    cargo.arg(target_directory().join(checker));
    cargo.args(crates.iter().flat_map(|name| ["--package", *name]));
    cargo.args(["--test", &format!("{prefix}*")]);
    run_command(&mut cargo)?;
    println!("{checker}: ok");
    Ok(())
}

/// The flags that are set already, and the checker's.
fn with_cfg(checker: &str) -> String {
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    format!("{flags} --cfg {checker}").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn efforts_are_said_by_flags() {
        assert_eq!(Effort::parse(&[]), Some(Effort::Default));
        assert_eq!(Effort::parse(&["--short"]), Some(Effort::Short));
        assert_eq!(Effort::parse(&["--long"]), Some(Effort::Long));
        assert_eq!(Effort::parse(&["--quick"]), None);
        assert!(Effort::Default.variables().is_empty());
    }
}
