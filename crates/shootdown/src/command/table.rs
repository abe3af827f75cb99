//! `shootdown table`: every path of a kernel by every machine.

use std::io::{IsTerminal, Write};

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use shootdown_clients::Bound;
use shootdown_survey::cell::Choice;
use shootdown_survey::path::PATHS;
use shootdown_survey::table::{Asked, KERNELS, MACHINES, Row, table};

use super::check::Setup;
use super::status::Status;
use crate::draw::{Paint, survey};

/// How the table is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned columns
    Text,
    /// For a document
    Markdown,
    /// For a spreadsheet
    Csv,
    /// For programs
    Json,
}

/// What `table` is told.
#[derive(Clone, Debug, Args)]
#[command(after_help = "--kernel and --machine take `all` and lists with commas; without them: \
                        v6.1 and v6.12, on ats-pasid.")]
pub struct Arguments {
    /// Only these paths
    #[arg(value_name = "PATH")]
    pub paths: Vec<String>,
    /// How large clients may be, as NAME=NUMBER,...
    #[arg(long, value_name = "BOUND")]
    pub bound: Option<Bound>,
    /// Print the client that shows each obligation, and where it breaks
    #[arg(long)]
    pub clients: bool,
    /// Two paths against each other on one page, instead of each alone
    #[arg(long)]
    pub pairs: bool,
    /// With --pairs: note each pair here, and do not ask again what is noted
    #[arg(long, value_name = "FILE", requires = "pairs")]
    pub journal: Option<PathBuf>,
    /// With --pairs: write each hit here, as a litmus file
    #[arg(long, value_name = "DIR", requires = "pairs")]
    pub out: Option<PathBuf>,
    /// Form of the table
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
    /// The same as --format json
    #[arg(long)]
    pub json: bool,
    /// How to search
    #[command(flatten)]
    pub setup: Setup,
}

/// Runs the command.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Status {
    let input = Status { input: true, ..Status::default() };
    let (request, line) = match arguments.setup.watched() {
        Ok(watched) => watched,
        Err(why) => {
            eprintln!("shootdown: {why}");
            return input;
        }
    };
    let lists = [
        chosen("path", &arguments.paths.join(","), &PATHS, &PATHS),
        chosen("kernel", arguments.setup.kernel.as_deref().unwrap_or(""), &KERNELS, &KERNELS),
        chosen(
            "machine",
            arguments.setup.machine.as_deref().unwrap_or(""),
            &MACHINES,
            &["ats-pasid"],
        ),
    ];
    let [paths, kernels, machines] = match lists {
        [Ok(paths), Ok(kernels), Ok(machines)] => [paths, kernels, machines],
        other => {
            for why in other.into_iter().filter_map(Result::err) {
                eprintln!("shootdown: {why}");
            }
            return input;
        }
    };
    if arguments.pairs {
        return super::pairs::run(arguments, (&request, line.as_deref()), &kernels, &machines, out);
    }
    let asked = Asked { paths, kernels, machines, bound: arguments.bound.unwrap_or_default() };
    let format = if arguments.json { Format::Json } else { arguments.format };
    let paint = Paint::new(std::io::stdout().is_terminal());
    let mut begun = None;
    let mut each = |row: &Row| {
        if let Some(line) = &line {
            line.clear();
        }
        // A row is printed as soon as it is there: what was found is not lost.
        if format == Format::Text {
            let group = (row.kernel.clone(), row.machine.clone());
            let head = begun.as_ref() != Some(&group);
            begun = Some(group);
            let text = survey::line(row, head, arguments.clients, paint);
            let _ = out.write_all(text.as_bytes());
            let _ = out.flush();
        }
    };
    let rows = table(&asked, &arguments.setup.sources(), &request, &mut each);
    if let Some(line) = &line {
        line.clear();
    }
    let assumed = request.assumed();
    let text = match format {
        Format::Text => survey::foot(&asked, &assumed, &rows, paint),
        Format::Markdown => survey::markdown(&asked, &assumed, &rows),
        Format::Csv => survey::csv(&rows),
        Format::Json => match survey::json(&asked, &assumed, &rows) {
            Ok(json) => json + "\n",
            Err(error) => {
                eprintln!("shootdown: the table could not be written as json: {error}");
                return Status { internal: true, ..Status::default() };
            }
        },
    };
    let _ = out.write_all(text.as_bytes());
    let cut = Status { open: rows.len() < asked.rows(), ..Status::default() };
    if cut.open {
        eprintln!("shootdown: interrupted: {} of {} rows", rows.len(), asked.rows());
    }
    rows.iter().map(of).fold(cut, Status::and)
}

fn of(row: &Row) -> Status {
    let choice = row.cell.as_ref().map(|cell| cell.choice);
    Status {
        differs: choice == Ok(Choice::TooWeak),
        open: matches!(choice, Ok(Choice::Unknown) | Err(_)),
        ..Status::default()
    }
}

/// Names with commas between; `all`, or nothing for the usual ones.
fn chosen(what: &str, text: &str, known: &[&str], usual: &[&str]) -> Result<Vec<String>, String> {
    let owned = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
    match text {
        "" => return Ok(owned(usual)),
        "all" => return Ok(owned(known)),
        _ => {}
    }
    let names: Vec<&str> = text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    match names.iter().find(|name| !known.contains(name)) {
        Some(unknown) => Err(format!(
            "there is no {what} `{unknown}` in the table; there are {}",
            known.join(", ")
        )),
        None => Ok(owned(&names)),
    }
}
