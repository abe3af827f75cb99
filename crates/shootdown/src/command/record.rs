//! `shootdown record`: records a command on the kernel that runs here.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::status::Status;

/// What `record` is told.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// Where the recording goes
    #[arg(short, long, value_name = "FILE", default_value = "shootdown.trace")]
    pub output: PathBuf,
    /// The clock; one that orders events of different CPUs
    #[arg(long, value_name = "NAME", default_value = "counter")]
    pub clock: String,
    /// Buffer of each CPU, in KiB; what does not fit is lost
    #[arg(long, value_name = "KIB", default_value_t = 16_384)]
    pub buffer: u32,
    /// No kprobes, even where they can be set
    #[arg(long)]
    pub tracepoints_only: bool,
    /// The command, after `--`
    #[arg(last = true, required = true)]
    pub command: Vec<String>,
}

/// Runs the command.
#[cfg(target_os = "linux")]
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Status {
    match crate::record::record(arguments, out) {
        Ok(status) => status,
        Err(why) => {
            eprintln!("shootdown: {why}");
            Status { input: true, ..Status::default() }
        }
    }
}

/// Runs the command.
#[cfg(not(target_os = "linux"))]
pub fn run(_: &Arguments, _: &mut dyn Write) -> Status {
    eprintln!("shootdown: this is no Linux; `shootdown probes` prints what to do on one");
    Status { input: true, ..Status::default() }
}
