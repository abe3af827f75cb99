//! The repository's own checks, as one program without shell scripts:
//! `cargo xtask help`.

use std::process::ExitCode;

mod docs;
mod finding;
mod libraries;
mod metadata;
mod miri;
mod model;
mod naive;
mod process;
mod source;
mod tidy;
mod tree;
mod zoo;

const HELP: &str = "\
usage: cargo xtask COMMAND

  tidy                    rules of the repository that no compiler checks
  docs [--bless]          runs the console blocks of the documents and compares;
                          --bless rewrites what differs and shows it
  zoo                     writes docs/zoo.md, the table of documented bugs
  naive [--large | --twins-first] [--each] [FOLDER | FILE]...
                          every shipped file on the machine with explicit fills,
                          up to 2,000,000 states each (--large: 50,000,000), or
                          the twin that stands for it (--twins-first: only that)
  libraries               builds the library crates alone, for a bare target,
                          and with the oldest compiler they promise
  loom [--short|--long]   model checks the protocol's own synchronisation
  shuttle [--short|--long]
                          random schedules of the device and address-space models
  miri [--short|--long]   the library crates' tests under the interpreter

Exit status: 0 all is well, 1 a check failed, 2 bad usage.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["tidy"] => tidy::run(),
        ["docs"] => docs::run(docs::Mode::Check),
        ["docs", "--bless"] => docs::run(docs::Mode::Bless),
        ["zoo"] => zoo::run(),
        ["naive", rest @ ..] => naive::compare(rest),
        ["libraries"] => libraries::run(),
        ["loom", rest @ ..] => match model::Effort::parse(rest) {
            Some(effort) => model::loom(effort),
            None => return usage(),
        },
        ["shuttle", rest @ ..] => match model::Effort::parse(rest) {
            Some(effort) => model::shuttle(effort),
            None => return usage(),
        },
        ["miri", rest @ ..] => match model::Effort::parse(rest) {
            Some(effort) => miri::run(effort),
            None => return usage(),
        },
        ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        _ => return usage(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(1)
        }
    }
}

fn usage() -> ExitCode {
    eprint!("{HELP}");
    ExitCode::from(2)
}
