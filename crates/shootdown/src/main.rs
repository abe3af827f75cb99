//! The command line.

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use shootdown::command::{
    check, drift, explain, generate, merge, place, primitives, run, status, table, test,
};
use shootdown::report::Report;

/// When do the secondary TLBs have to be notified inside the page table lock,
/// and when may it wait?
///
/// Without a command: the founding document's answer, computed and played.
#[derive(Parser)]
#[command(name = "shootdown", version, after_help = status::HELP)]
struct Arguments {
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// A verdict with reasons for litmus files
    Check(check::Arguments),
    /// What each notification and flush is for: required here, may wait, redundant
    Explain(explain::Arguments),
    /// Where notifications may stand: all minimal placements, the best as a patch
    Place(Box<place::Arguments>),
    /// Clients around the path of a litmus file, up to a bound: who breaks it
    Generate(generate::Arguments),
    /// Every path of a kernel by every machine: when they have to be told, and why
    Table(table::Arguments),
    /// A litmus test on real threads, many times, against what the checker allows
    Run(run::Arguments),
    /// A suite of litmus files against what they expect
    Test(Box<test::Arguments>),
    /// The results of all shards of a suite as one
    Merge(merge::Arguments),
    /// Whether the kernel functions behind the files are still those that were read
    Drift(drift::Arguments),
    /// What a litmus test can call without defining it
    Primitives {
        /// Only rows with this word
        word: Option<String>,
    },
}

/// An operation failed that should not have.
const INTERNAL: u8 = 4;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut out = std::io::stdout().lock();
    match arguments.command {
        None => overview(arguments.json, &mut out),
        Some(Command::Check(arguments)) => check::run(&arguments, &mut out).into(),
        Some(Command::Explain(arguments)) => explain::run(&arguments, &mut out).into(),
        Some(Command::Place(arguments)) => place::run(&arguments, &mut out).into(),
        Some(Command::Generate(arguments)) => generate::run(&arguments, &mut out).into(),
        Some(Command::Table(arguments)) => table::run(&arguments, &mut out).into(),
        Some(Command::Run(arguments)) => run::run(&arguments, &mut out).into(),
        Some(Command::Test(arguments)) => test::run(&arguments, &mut out).into(),
        Some(Command::Merge(arguments)) => merge::run(&arguments, &mut out).into(),
        Some(Command::Drift(arguments)) => drift::run(&arguments, &mut out).into(),
        Some(Command::Primitives { word }) => {
            let _ = out.write_all(primitives::text(word.as_deref()).as_bytes());
            ExitCode::SUCCESS
        }
    }
}

fn overview(json: bool, out: &mut dyn Write) -> ExitCode {
    let report = match Report::make() {
        Ok(report) => report,
        Err(error) => {
            eprintln!("shootdown: the play could not be finished: {error}");
            return ExitCode::from(INTERNAL);
        }
    };
    let output = if json {
        match serde_json::to_string_pretty(&report) {
            Ok(json) => json + "\n",
            Err(error) => {
                eprintln!("shootdown: the report could not be written as json: {error}");
                return ExitCode::from(INTERNAL);
            }
        }
    } else {
        report.text()
    };
    // A reader that has seen enough (`| head`) is no error.
    let _ = out.write_all(output.as_bytes());
    report.verdict().into()
}
