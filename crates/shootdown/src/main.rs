//! The command line.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use shootdown::report::Report;

/// When do the secondary TLBs have to be notified inside the page table lock,
/// and when may it wait?
///
/// Plays the founding document's scenario on a running address space and prints
/// the decision table.
#[derive(Parser)]
#[command(name = "shootdown", version, after_help = EXIT_STATUS)]
struct Arguments {
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

const EXIT_STATUS: &str = "\
Exit status: 0 all as the document says, 1 an outcome differs, 2 bad usage,
3 a window was not hit, 4 an internal fault.";

/// An operation failed that should not have.
const INTERNAL: u8 = 4;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let report = match Report::make() {
        Ok(report) => report,
        Err(error) => {
            eprintln!("shootdown: the play could not be finished: {error}");
            return ExitCode::from(INTERNAL);
        }
    };
    let output = if arguments.json {
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
    let _ = std::io::stdout().write_all(output.as_bytes());
    report.verdict().into()
}
