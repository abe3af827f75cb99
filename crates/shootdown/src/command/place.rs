//! `shootdown place`: where the notifications of a path may stand.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use shootdown_answers::check::Refused;
use shootdown_answers::jury::Case;
use shootdown_answers::place::answer::{Covered, Outcome, Patch, Placed};
use shootdown_answers::place::compare::{Compared, compare};
use shootdown_answers::place::{Options, Progress, Text, Unplaced, Watch, Weights, place};
use shootdown_answers::request::Request;
use shootdown_clients::Bound;
use shootdown_litmus::{Program, Sources, Variant, read_file, variants};
use shootdown_survey::around::Around;

use super::check::{Setup, TimelineForm, left_out};
use super::interrupt;
use super::progress::Line;
use super::status::Status;
use crate::draw::{self, Form, Paint};

/// What `place` is told.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Exit status:
  0  placements were found, or none is needed; with --variants: the same verdicts
  1  there is none; with --variants: a verdict differs
  2  bad input: also a file that tells already, without --forget
  3  a limit was reached, something is not covered, or nothing was put to the test
  4  an internal fault")]
pub struct Arguments {
    /// Litmus files
    #[arg(required_unless_present = "variants")]
    pub files: Vec<PathBuf>,
    /// Switches that are on: one variant of the file
    #[arg(long, value_name = "NAME[,NAME]", value_delimiter = ',')]
    pub variant: Vec<String>,
    /// Take out first what tells the secondary TLBs; where the flush of the CPUs tells, it is
    /// made silent
    #[arg(long)]
    pub forget: bool,
    /// Only this function, which may be one of an included file
    #[arg(long, value_name = "NAME")]
    pub function: Option<String>,
    /// What is dear, as NAME=NUMBER,...: a notification costs its place (lock or outside), times
    /// its extent (range or entry), times its work (wait and post, for each)
    #[arg(long, value_name = "WEIGHTS", default_value_t)]
    pub weights: Weights,
    /// List at most this many placements
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..))]
    pub list: u32,
    /// Compare two versions instead: variants of the file (`base` is the one without switches), or
    /// other files
    #[arg(long, value_names = ["A", "B"], num_args = 2, conflicts_with_all = ["forget", "function", "variant"])]
    pub variants: Vec<String>,
    /// Put generated clients around the path instead of the file's own threads
    #[arg(long)]
    pub clients: bool,
    /// How large they may be, as NAME=NUMBER,...
    #[arg(long, value_name = "BOUND", requires = "clients")]
    pub bound: Option<Bound>,
    /// Print the shortest run to what breaks
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
    let (request, line) = match arguments.setup.watched() {
        Ok(watched) => watched,
        Err(why) => {
            eprintln!("shootdown: {why}");
            return Status { input: true, ..Status::default() };
        }
    };
    if !arguments.variants.is_empty() {
        return versions(arguments, &request, line.as_deref(), out);
    }
    let mut status = Status::default();
    let mut all = Vec::new();
    for file in &arguments.files {
        if interrupt::is_asked() {
            status = status.and(left_out(file));
            continue;
        }
        let placed = one_file(file, arguments, &request, line.as_ref());
        if let Some(line) = &line {
            line.clear();
        }
        match placed {
            Ok(placed) => {
                status = status.and(of(&placed));
                if !arguments.json {
                    let (form, width, paint) = look(arguments);
                    // A reader that has seen enough (`| head`) is no error.
                    let text = draw::place::text(&placed, form, width, paint);
                    let _ = out.write_all(text.as_bytes());
                }
                all.push(placed);
            }
            Err(found) => status = status.and(found),
        }
    }
    if arguments.json {
        status = status.and(printed(draw::place::json(&all), out));
    }
    status
}

fn printed(json: serde_json::Result<String>, out: &mut dyn Write) -> Status {
    match json {
        Ok(json) => {
            let _ = out.write_all(json.as_bytes());
            let _ = out.write_all(b"\n");
            Status::default()
        }
        Err(error) => {
            eprintln!("shootdown: the report could not be written as json: {error}");
            Status { internal: true, ..Status::default() }
        }
    }
}

fn look(arguments: &Arguments) -> (Option<Form>, usize, Paint) {
    let form = arguments.timeline.map(|form| match form {
        TimelineForm::Columns => Form::Columns,
        TimelineForm::Document => Form::Document,
        TimelineForm::Changelog => Form::Changelog,
    });
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let width = columns.unwrap_or(100).clamp(60, 400);
    (form, width, Paint::new(std::io::stdout().is_terminal()))
}

/// Bad input, said.
fn wrong(why: &dyn std::fmt::Display) -> Status {
    eprint!("{why}");
    Status { input: true, ..Status::default() }
}

fn refused(refused: Refused) -> Status {
    match refused {
        Refused::Input(error) => wrong(&error),
        Refused::NotCovered { why, span, program } => {
            eprintln!("{}: not covered: {why}", program.files.locate(span));
            Status { open: true, ..Status::default() }
        }
    }
}

/// The tests could not be made: the path is at fault, or somebody asked for an end.
fn unread(name: &str, why: &str, request: &Request) -> Status {
    match request.until.over() {
        None => wrong(&format!("{name}: error: {why}\n")),
        Some(_) => {
            eprintln!("{name}: {why}");
            Status { open: true, ..Status::default() }
        }
    }
}

/// One variant of a file, read.
struct Read {
    name: String,
    text: String,
    variant: Variant,
    program: Program,
}

fn read(
    file: &Path,
    switches: &[String],
    arguments: &Arguments,
    request: &Request,
) -> Result<Read, Status> {
    let name = file.display().to_string();
    let text = read_file(file).map_err(|error| wrong(&error))?;
    let sources = arguments.setup.sources();
    let offered = variants(&name, &text, &sources).map_err(|error| wrong(&error))?;
    if let Some(unknown) = switches.iter().find(|name| !offered.switches.contains(name)) {
        let known = match offered.switches.is_empty() {
            true => "none".to_owned(),
            false => offered.switches.join(", "),
        };
        let why = format!("{name}: error: there is no variant `{unknown}`; the file has {known}\n");
        return Err(wrong(&why));
    }
    let variant = Variant::new(switches.iter().cloned());
    let program = request.read(&name, &text, &sources, &variant).map_err(|error| wrong(&error))?;
    if let Some(why) = request.missing_include(&program) {
        return Err(wrong(&format!("{name}: error: {why}\n")));
    }
    eprint!("{}", program.warnings);
    Ok(Read { name, text, variant, program })
}

/// The tests that a program is put to.
fn cases(
    program: &Program,
    sources: &(dyn Sources + Sync),
    read: &Read,
    arguments: &Arguments,
    request: &Request,
) -> Result<Vec<Case>, String> {
    match arguments.clients {
        false => Ok(vec![Case { program: program.clone(), client: None, always: true }]),
        true => Around { name: &read.name, variant: &read.variant, request, sources }
            .cases(program, &arguments.bound.unwrap_or_default()),
    }
}

fn one_file(
    file: &Path,
    arguments: &Arguments,
    request: &Request,
    line: Option<&Arc<Line>>,
) -> Result<Placed, Status> {
    let read = read(file, &arguments.variant, arguments, request)?;
    if let Some(wanted) = &arguments.function
        && read.program.function(wanted).is_none()
    {
        let known = read.program.functions.iter().map(|function| &*function.name);
        return Err(wrong(&format!(
            "{}: error: there is no function `{wanted}`; the test has {}\n",
            read.name,
            known.collect::<Vec<_>>().join(", ")
        )));
    }
    let sources = arguments.setup.sources();
    let text =
        Text { name: &read.name, text: &read.text, sources: &sources, variant: &read.variant };
    let options = Options {
        forget: arguments.forget,
        function: arguments.function.clone(),
        weights: arguments.weights,
        list: arguments.list as usize,
        bound: arguments.bound.unwrap_or_default().to_string(),
        progress: line.cloned().map(watch),
    };
    let make = |program: &Program, sources: &(dyn Sources + Sync)| {
        cases(program, sources, &read, arguments, request)
    };
    place(text, request, &options, &make).map_err(|why| match why {
        Unplaced::Refused(why) => refused(why),
        Unplaced::Cases(why) => unread(&read.name, &why, request),
    })
}

/// Draws how far the search for places has come.
fn watch(line: Arc<Line>) -> Watch {
    Arc::new(move |at: Progress| {
        line.draw(|| {
            let states = draw::thousands(at.states);
            format!("{} placements right of {} tried, {states} states", at.right, at.tried)
        });
    })
}

/// Two versions of a path.
fn versions(
    arguments: &Arguments,
    request: &Request,
    line: Option<&Line>,
    out: &mut dyn Write,
) -> Status {
    let one = |which: &String| -> Result<Vec<Case>, Status> {
        let file = Path::new(which);
        // A variant's name is no path, and a path no name of a switch.
        let (file, switches): (&Path, Vec<String>) = match arguments.files.first() {
            Some(own) if !which.contains(['.', '/']) => {
                let switches = which.split(',').filter(|name| *name != "base");
                (own, switches.map(str::to_owned).collect())
            }
            _ => (file, Vec::new()),
        };
        let read = read(file, &switches, arguments, request)?;
        let sources = arguments.setup.sources();
        cases(&read.program, &sources, &read, arguments, request)
            .map_err(|why| unread(&read.name, &why, request))
    };
    let both = (one(&arguments.variants[0]), one(&arguments.variants[1]));
    let (first, second) = match both {
        (Ok(first), Ok(second)) => (first, second),
        (Err(status), Ok(_)) | (Ok(_), Err(status)) => return status,
        (Err(first), Err(second)) => return first.and(second),
    };
    let compared = compare(first, second, request);
    if let Some(line) = line {
        line.clear();
    }
    let compared = match compared {
        Ok(compared) => compared,
        Err(why) => return refused(why),
    };
    let status = of_versions(&compared);
    if arguments.json {
        return status.and(printed(draw::place::json_of_versions(&compared), out));
    }
    let (form, width, paint) = look(arguments);
    let text = draw::place::versions(&compared, form, width, paint);
    let _ = out.write_all(text.as_bytes());
    status
}

/// The status of one answer.
fn of(placed: &Placed) -> Status {
    let cut = match (&placed.outcome, &placed.covered) {
        (_, Covered::Stopped(_)) | (Outcome::Unknown, _) => true,
        (Outcome::NotNeeded, _) => placed.exercised.is_empty(),
        _ => false,
    };
    Status {
        differs: matches!(placed.outcome, Outcome::Impossible(_)),
        open: cut || matches!(placed.patch, Patch::Open(_)),
        internal: matches!(placed.patch, Patch::Refused(_)),
        ..Status::default()
    }
}

fn of_versions(compared: &Compared) -> Status {
    let open = compared.is_open();
    Status { differs: !open && !compared.differ().is_empty(), open, ..Status::default() }
}
