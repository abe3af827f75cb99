//! `shootdown lock-order`: in which order the threads of many files take locks.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use shootdown_answers::check::{Refused, prepare};
use shootdown_answers::lock_order::{Part, Suite, breaks_nothing, graph};
use shootdown_answers::suite::{Opened, TestFile};

use super::check::Setup;
use super::status::Status;
use super::test::{collect, open, wrong};
use crate::draw;

/// What `lock-order` is told.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// Litmus files, and folders with them
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
    /// Every variant, also those that are expected to break something
    #[arg(long)]
    pub all_variants: bool,
    /// Also list the orders that were found
    #[arg(long)]
    pub orders: bool,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
    /// How files are read
    #[command(flatten)]
    pub setup: Setup,
}

/// Runs the command.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Status {
    let request = match arguments.setup.request() {
        Ok(request) => request,
        Err(why) => return wrong(&why),
    };
    let paths = match collect(&arguments.paths) {
        Ok(paths) => paths,
        Err(why) => return wrong(&why),
    };
    let sources = arguments.setup.sources();
    let (mut suite, mut status) = (Suite::default(), Status::default());
    for path in &paths {
        let test: Box<TestFile> = match open(path, &sources, &request) {
            Opened::Right(test) => test,
            Opened::Wrong { messages, .. } => {
                eprintln!("{}", messages.trim_end());
                status.input = true;
                continue;
            }
        };
        for program in &test.programs {
            if !arguments.all_variants && !breaks_nothing(program, request.model.name()) {
                continue;
            }
            let part = Part { file: test.name.clone(), variant: program.variant.to_string() };
            match prepare(program.clone(), &request) {
                Ok(subject) => suite.add(part, &graph(&subject)),
                Err(Refused::NotCovered { why, .. }) => suite.limits.push((part, why)),
                Err(Refused::Input(messages)) => {
                    eprintln!("{messages}");
                    status.input = true;
                }
            }
        }
    }
    let found = suite.cycles();
    status.open |= !suite.limits.is_empty();
    status.differs |= found.iter().any(|found| found.excluded_by.is_empty());
    let text = if arguments.json {
        match serde_json::to_string_pretty(&draw::lock_order::report(&suite, &found)) {
            Ok(text) => text + "\n",
            Err(error) => {
                eprintln!("shootdown: the answer could not be written as json: {error}");
                return Status { internal: true, ..Status::default() };
            }
        }
    } else {
        draw::lock_order::text(&suite, &found, arguments.orders)
    };
    let _ = out.write_all(text.as_bytes());
    status
}
