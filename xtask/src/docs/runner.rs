//! Runs a documented command as a reader would, from the repository's root.

use std::path::Path;
use std::process::{Command, Stdio};

/// What a command printed, and whether it succeeded.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) lines: Vec<String>,
    pub(super) success: bool,
}

/// Runs it in a shell. Standard output and error go to one place, so that
/// their order is kept; cargo keeps its own progress to itself.
pub(super) fn run(root: &Path, command: &str) -> Result<Output, String> {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("exec 2>&1\n{command}")]);
    shell.current_dir(root).stdin(Stdio::null());
    shell.env("CARGO_TERM_QUIET", "true").env("CARGO_TERM_COLOR", "never");
    shell.env("NO_COLOR", "1").env("TERM", "dumb").env("LC_ALL", "C");
    shell.env_remove("RUST_BACKTRACE").env_remove("CLICOLOR_FORCE");
    // What cargo has set for us would be wrong for the package that is run.
    for (name, _) in std::env::vars_os() {
        let ours = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        });
        if ours {
            shell.env_remove(name);
        }
    }
    let output = shell.output().map_err(|error| format!("`{command}`: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines: Vec<String> = text.lines().map(|line| line.trim_end().to_owned()).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    Ok(Output { lines, success: output.status.success() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_streams_in_order_and_the_status() {
        let output = run(Path::new("."), "echo a; echo 'b  ' >&2; echo c; echo; false").unwrap();
        assert_eq!(output.lines, ["a", "b", "c"]);
        assert!(!output.success);
        assert!(run(Path::new("."), "true").unwrap().success);
    }
}
