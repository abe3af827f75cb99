//! `shootdown probes`: what to record, and how.

use std::io::Write;

use clap::{Args, ValueEnum};
use serde::Serialize;
use shootdown_trace::era::{self, Era};
use shootdown_trace::probes::{self, Tool};

use super::status::Status;

/// Version of the JSON form.
pub const SCHEMA: &str = "shootdown.probes/1";

/// A tool by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum With {
    /// Files of tracefs
    Tracefs,
    /// trace-cmd
    TraceCmd,
    /// perf: static tracepoints only
    Perf,
    /// bpftrace
    Bpftrace,
}

impl With {
    fn tool(self) -> Tool {
        match self {
            With::Tracefs => Tool::Tracefs,
            With::TraceCmd => Tool::TraceCmd,
            With::Perf => Tool::Perf,
            With::Bpftrace => Tool::Bpftrace,
        }
    }
}

/// What `probes` is told.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// The kernel, such as 6.12; without it the one that runs here
    #[arg(long, value_name = "VERSION")]
    pub kernel: Option<String>,
    /// Only for this tool
    #[arg(long = "for", value_enum, value_name = "TOOL")]
    pub tool: Option<With>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct Json {
    schema: &'static str,
    kernel: String,
    read: &'static str,
    tools: Vec<Script>,
}

#[derive(Serialize)]
struct Script {
    tool: &'static str,
    script: String,
}

/// The kernel that runs here.
pub fn here() -> Option<String> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    Some(release.trim().to_owned())
}

/// The era of a kernel, with a word if it was not read itself.
///
/// # Errors
///
/// No kernel was named and this is none, or nothing is known of it.
pub fn era_of(kernel: Option<&str>) -> Result<(String, &'static Era), String> {
    let kernel = kernel.map(str::to_owned).or_else(here);
    let kernel = kernel.ok_or("this is no Linux; --kernel VERSION says which kernel is meant")?;
    let era = era::of_version(&kernel)?;
    if !era.is_read(&kernel) {
        eprintln!(
            "shootdown: {kernel} itself was not read; its probes are taken to be those of {}. A \
             definition that the kernel refuses shows that they are not",
            era.read
        );
    }
    Ok((kernel, era))
}

/// Runs the command.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Status {
    let (kernel, era) = match era_of(arguments.kernel.as_deref()) {
        Ok(found) => found,
        Err(why) => {
            eprintln!("shootdown: {why}");
            return Status { input: true, ..Status::default() };
        }
    };
    let only = arguments.tool.map(With::tool);
    let tools = Tool::ALL.into_iter().filter(|tool| only.is_none_or(|only| only == *tool));
    let scripts: Vec<Script> =
        tools.map(|tool| Script { tool: tool.name(), script: probes::script(era, tool) }).collect();
    let text = if arguments.json {
        let json = Json { schema: SCHEMA, kernel, read: era.read, tools: scripts };
        match serde_json::to_string_pretty(&json) {
            Ok(json) => json + "\n",
            Err(error) => {
                eprintln!("shootdown: the report could not be written as json: {error}");
                return Status { internal: true, ..Status::default() };
            }
        }
    } else if only.is_some() {
        // Alone it is a script that can be run.
        scripts.into_iter().map(|script| script.script).collect()
    } else {
        let part = |script: &Script| format!("--- {} ---\n{}", script.tool, script.script);
        scripts.iter().map(part).collect::<Vec<_>>().join("\n")
    };
    let _ = out.write_all(text.as_bytes());
    Status::default()
}
