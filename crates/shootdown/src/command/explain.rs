//! `shootdown explain`: what each notification and each flush is for.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use shootdown_answers::check::Refused;
use shootdown_answers::explain::answer::{Answer, Base, Explained};
use shootdown_answers::explain::explain_among;
use shootdown_answers::jury::Case;
use shootdown_answers::request::Request;
use shootdown_clients::Bound;
use shootdown_litmus::{Program, Variant, read_file, variants};
use shootdown_survey::around::Around;

use super::check::{Setup, TimelineForm, left_out};
use super::interrupt;
use super::status::Status;
use crate::draw::{self, Form, Paint};

/// What `explain` is told.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// Litmus files
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Switches that are on: one variant of the file
    #[arg(long, value_name = "NAME[,NAME]", value_delimiter = ',')]
    pub variant: Vec<String>,
    /// Only this function, which may be one of an included file, or a thread
    #[arg(long, value_name = "NAME")]
    pub function: Option<String>,
    /// Put generated clients around the path instead of the file's own threads
    #[arg(long)]
    pub clients: bool,
    /// How large they may be, as NAME=NUMBER,...
    #[arg(long, value_name = "BOUND", requires = "clients")]
    pub bound: Option<Bound>,
    /// Print the shortest run to what breaks without each step
    #[arg(long, value_enum)]
    pub timeline: Option<TimelineForm>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// How to search
    #[command(flatten)]
    pub setup: Setup,
}

/// Runs the command.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Status {
    let mut status = Status::default();
    let (request, line) = match arguments.setup.watched() {
        Ok(watched) => watched,
        Err(why) => {
            eprintln!("shootdown: {why}");
            return Status { input: true, ..status };
        }
    };
    let mut all = Vec::new();
    for file in &arguments.files {
        if interrupt::is_asked() {
            status = status.and(left_out(file));
            continue;
        }
        let explained = one_file(file, arguments, &request);
        if let Some(line) = &line {
            line.clear();
        }
        match explained {
            Ok(explained) => {
                status = status.and(of(&explained));
                if !arguments.json {
                    // A reader that has seen enough (`| head`) is no error.
                    let _ = out.write_all(text(&explained, arguments).as_bytes());
                }
                all.push(explained);
            }
            Err(found) => status = status.and(found),
        }
    }
    if arguments.json {
        match draw::explain::json(&all) {
            Ok(json) => {
                let _ = out.write_all(json.as_bytes());
                let _ = out.write_all(b"\n");
            }
            Err(error) => {
                eprintln!("shootdown: the report could not be written as json: {error}");
                status.internal = true;
            }
        }
    }
    status
}

fn text(explained: &Explained, arguments: &Arguments) -> String {
    let paint = Paint::new(std::io::stdout().is_terminal());
    let form = arguments.timeline.map(|form| match form {
        TimelineForm::Columns => Form::Columns,
        TimelineForm::Document => Form::Document,
        TimelineForm::Changelog => Form::Changelog,
    });
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    draw::explain::text(explained, form, columns.unwrap_or(100).clamp(60, 400), paint)
}

fn one_file(file: &Path, arguments: &Arguments, request: &Request) -> Result<Explained, Status> {
    let input = Status { input: true, ..Status::default() };
    let name = file.display().to_string();
    let program = program(&name, file, arguments, request).map_err(|why| {
        eprint!("{why}");
        input
    })?;
    if let Some(wanted) = &arguments.function
        && program.function(wanted).is_none()
        && program.thread(wanted).is_none()
    {
        let known: Vec<&str> = program.functions.iter().map(|function| &*function.name).collect();
        eprintln!(
            "{name}: error: there is no function `{wanted}`; the test has {}",
            known.join(", ")
        );
        return Err(input);
    }
    eprint!("{}", program.warnings);
    let cases = match arguments.clients {
        false => vec![Case { program, client: None, always: true }],
        true => {
            let variant = Variant::new(arguments.variant.iter().cloned());
            let sources = arguments.setup.sources();
            let around = Around { name: &name, variant: &variant, request, sources: &sources };
            around.cases(&program, &arguments.bound.unwrap_or_default()).map_err(|why| {
                let open = request.until.over().is_some();
                eprintln!("{name}: {}{why}", if open { "" } else { "error: " });
                Status { input: !open, open, ..Status::default() }
            })?
        }
    };
    let bound = arguments.bound.unwrap_or_default().to_string();
    explain_among(cases, &bound, request, arguments.function.as_deref()).map_err(|refused| {
        match refused {
            Refused::Input(error) => {
                eprint!("{error}");
                input
            }
            Refused::NotCovered { why, span, program } => {
                eprintln!("{}: not covered: {why}", program.files.locate(span));
                Status { open: true, ..Status::default() }
            }
        }
    })
}

fn program(
    name: &str,
    file: &Path,
    arguments: &Arguments,
    request: &Request,
) -> Result<Program, String> {
    let text = read_file(file).map_err(|error| error.to_string())?;
    let sources = arguments.setup.sources();
    let offered = variants(name, &text, &sources).map_err(|error| error.to_string())?;
    if let Some(unknown) = arguments.variant.iter().find(|name| !offered.switches.contains(name)) {
        let known = match offered.switches.is_empty() {
            true => "none".to_owned(),
            false => offered.switches.join(", "),
        };
        return Err(format!(
            "{name}: error: there is no variant `{unknown}`; the file has {known}\n"
        ));
    }
    let variant = Variant::new(arguments.variant.iter().cloned());
    let program =
        request.read(name, &text, &sources, &variant).map_err(|error| error.to_string())?;
    match request.missing_include(&program) {
        Some(why) => Err(format!("{name}: error: {why}\n")),
        None => Ok(program),
    }
}

/// The status of one answer: a variant that is broken as it stands cannot be
/// explained, and what a search did not answer is open.
fn of(explained: &Explained) -> Status {
    let mut steps = explained.paths.iter().flat_map(|path| &path.steps);
    let silent = matches!(&explained.base, Base::Clean { clean, .. } if clean.is_empty());
    Status {
        differs: matches!(explained.base, Base::Violated(_)),
        open: matches!(explained.base, Base::Unknown(_))
            || silent
            || steps.any(|step| matches!(step.answer, Answer::Unknown(_))),
        ..Status::default()
    }
}
