//! `shootdown merge`: the results of all shards of a suite as one.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::results::{Results, merge};
use super::status::Status;

/// What `merge` is told.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// What `test --shard I/N --results FILE` wrote, of every shard
    #[arg(required = true)]
    pub results: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Status {
    let wrong = |why: &str| {
        eprintln!("shootdown: {why}");
        Status { input: true, ..Status::default() }
    };
    let mut parts = Vec::new();
    for path in &arguments.results {
        let name = path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => return wrong(&format!("{name}: error: cannot be read: {error}")),
        };
        match serde_json::from_str::<Results>(&text) {
            Ok(results) => parts.push((name, results)),
            Err(error) => {
                let (line, column) = (error.line(), error.column());
                return wrong(&format!(
                    "{name}:{line}:{column}: error: no results of `shootdown test`: {error}; \
                     write them with --results FILE"
                ));
            }
        }
    }
    match merge(parts) {
        Ok(results) => print(&results, arguments.json, out),
        Err(why) => wrong(&why),
    }
}

/// Results as text or JSON, and their status.
pub(super) fn print(results: &Results, json: bool, out: &mut dyn Write) -> Status {
    eprint!("{}", results.messages());
    let mut status = results.status();
    // A reader that has seen enough (`| head`) is no error.
    if !json {
        let _ = out.write_all(results.text().as_bytes());
        return status;
    }
    match serde_json::to_string_pretty(results) {
        Ok(text) => {
            let _ = out.write_all(text.as_bytes());
            let _ = out.write_all(b"\n");
        }
        Err(error) => {
            eprintln!("shootdown: the results could not be written as json: {error}");
            status.internal = true;
        }
    }
    status
}
