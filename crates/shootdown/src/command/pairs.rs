//! `shootdown table --pairs`: two paths against each other.
//!
//! Every pair that was asked is a line of the journal, written at once: a run that
//! is interrupted loses nothing, and goes on where it stood.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};
use shootdown_answers::request::Request;
use shootdown_clients::Bound;
use shootdown_survey::pairs::{self, Pair, ask, pairs};

use super::progress::Line;
use super::status::Status;
use super::table::Arguments;

/// Version of the JSON form and of the journal.
const SCHEMA: &str = "shootdown.pairs/1";

/// Two paths, their own threads and one device: what is asked if nobody says.
const BOUND: &str = "devices=1,cpus=0,steps=2,accesses=2,pages=1,messages=0,after=0";

/// A pair, and what was found.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Noted {
    kernel: String,
    machine: String,
    bound: String,
    first: String,
    second: String,
    route: String,
    clients: usize,
    states: u64,
    stopped: usize,
    codes: Vec<String>,
    not_asked: Option<String>,
    /// The test of the smallest client that breaks it.
    test: Option<String>,
}

impl Noted {
    fn is_of(&self, pair: &Pair, kernel: &str, machine: &str, bound: &str) -> bool {
        self.first == pair.first
            && self.second == pair.second
            && self.route == pair.route.text()
            && self.kernel == kernel
            && self.machine == machine
            && self.bound == bound
    }
}

/// Runs the command.
pub(super) fn run(
    arguments: &Arguments,
    (request, progress): (&Request, Option<&Line>),
    kernels: &[String],
    machines: &[String],
    out: &mut dyn Write,
) -> Status {
    let bound: Bound = arguments.bound.unwrap_or_else(|| BOUND.parse().unwrap_or_default());
    let known = match arguments.journal.as_deref().map(read).transpose() {
        Ok(known) => known.unwrap_or_default(),
        Err(why) => {
            eprintln!("shootdown: {why}");
            return Status { input: true, ..Status::default() };
        }
    };
    let mut journal = match arguments.journal.as_deref().map(open).transpose() {
        Ok(journal) => journal,
        Err(why) => {
            eprintln!("shootdown: {why}");
            return Status { input: true, ..Status::default() };
        }
    };
    let wanted = |pair: &Pair| {
        let named = |name: &str| arguments.paths.iter().any(|path| path == name);
        arguments.paths.is_empty() || named(pair.first) && named(pair.second)
    };
    let list: Vec<Pair> = pairs().into_iter().filter(wanted).collect();
    let total = list.len() * kernels.len() * machines.len();
    let mut lines: Vec<Noted> = Vec::new();
    'all: for kernel in kernels {
        for machine in machines {
            for pair in &list {
                if let Some(line) = progress {
                    let done = lines.len() + 1;
                    line.draw(|| {
                        format!("{done} of {total}: {} against {}", pair.first, pair.second)
                    });
                }
                let bound_text = bound.to_string();
                let old = known.iter().find(|line| line.is_of(pair, kernel, machine, &bound_text));
                let line = match old {
                    Some(line) => line.clone(),
                    None => {
                        let line = ask_one(arguments, request, *pair, (kernel, machine), &bound);
                        // What was cut short is asked again the next time.
                        if request.until.over().is_some() {
                            break 'all;
                        }
                        if let Some(journal) = &mut journal
                            && let Err(error) = note(journal, &line)
                        {
                            eprintln!("shootdown: the journal could not be written: {error}");
                            return Status { internal: true, ..Status::default() };
                        }
                        line
                    }
                };
                if let Some(line) = progress {
                    line.clear();
                }
                if !arguments.json && (line.test.is_some() || line.not_asked.is_some()) {
                    let _ = out.write_all(text(&line).as_bytes());
                    let _ = out.flush();
                }
                lines.push(line);
            }
        }
    }
    if let Some(line) = progress {
        line.clear();
    }
    if lines.len() < total {
        let again = if journal.is_some() { "; the same command goes on from there" } else { "" };
        eprintln!("shootdown: interrupted: {} of {total} pairs{again}", lines.len());
    }
    if let Some(folder) = &arguments.out
        && let Err(why) = write(folder, &lines)
    {
        eprintln!("shootdown: {why}");
        return Status { input: true, ..Status::default() };
    }
    if arguments.json {
        let report = serde_json::json!({ "schema": SCHEMA, "model": request.assumed(), "pairs_asked": total, "pairs": lines });
        let _ = writeln!(out, "{report:#}");
    } else {
        let _ = out.write_all(foot(&lines, total, &bound, &request.assumed()).as_bytes());
    }
    Status {
        differs: lines.iter().any(|line| line.test.is_some()),
        open: lines.len() < total
            || lines.iter().any(|line| line.stopped > 0 || line.not_asked.is_some()),
        ..Status::default()
    }
}

fn ask_one(
    arguments: &Arguments,
    request: &Request,
    pair: Pair,
    (kernel, machine): (&str, &str),
    bound: &Bound,
) -> Noted {
    let request = Request { machine: Some(machine.to_owned()), kernel: None, ..request.clone() };
    let found = ask(pair, kernel, &arguments.setup.sources(), &request, bound);
    let (codes, test) = found.hit.unzip();
    let codes: Vec<&str> = codes.unwrap_or_default();
    Noted {
        kernel: kernel.to_owned(),
        machine: machine.to_owned(),
        bound: bound.to_string(),
        first: pair.first.to_owned(),
        second: pair.second.to_owned(),
        route: pair.route.text().to_owned(),
        clients: found.clients,
        states: found.states,
        stopped: found.stopped,
        codes: codes.into_iter().map(str::to_owned).collect(),
        not_asked: found.not_asked,
        test,
    }
}

fn text(line: &Noted) -> String {
    let what = match &line.not_asked {
        Some(why) => format!("not asked: {}", why.lines().next().unwrap_or_default()),
        None => line.codes.join(", "),
    };
    format!(
        "{} on {}: {} against {} by {}: {what}\n",
        line.kernel, line.machine, line.first, line.second, line.route
    )
}

fn foot(lines: &[Noted], total: usize, bound: &Bound, assumed: &str) -> String {
    let hits = lines.iter().filter(|line| line.test.is_some()).count();
    let stopped: usize = lines.iter().map(|line| line.stopped).sum();
    let states: u64 = lines.iter().map(|line| line.states).sum();
    let programs: usize = lines.iter().map(|line| line.clients).sum();
    let limits = match stopped {
        0 => String::new(),
        stopped => format!(", {stopped} of them stopped at a limit"),
    };
    format!(
        "\npairs    {}{} of {} paths: {} with a hit\nclients  all up to {bound}\nmodel    {assumed}\nsearch   {programs} programs{limits}, {states} states\n\
         note     a hit is a question: read its test beside the kernel's lines before it is called a bug\n",
        lines.len(),
        if lines.len() < total { format!(" of {total}") } else { String::new() },
        pairs::PATHS.len(),
        if hits == 0 { "none".to_owned() } else { hits.to_string() },
    )
}

fn read(path: &Path) -> Result<Vec<Noted>, String> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let mut lines = Vec::new();
    for (at, line) in text.lines().enumerate() {
        match serde_json::from_str(line) {
            Ok(line) => lines.push(line),
            // The last line of a run that was killed may be cut.
            Err(_) if at + 1 == text.lines().count() => {}
            Err(error) => {
                return Err(format!(
                    "{}:{}: this is no line of a journal of pairs: {error}",
                    path.display(),
                    at + 1
                ));
            }
        }
    }
    Ok(lines)
}

fn open(path: &Path) -> Result<File, String> {
    let fail = |error: std::io::Error| format!("{}: {error}", path.display());
    let file = OpenOptions::new().create(true).append(true).open(path).map_err(fail)?;
    // What was cut when a run was killed is asked again.
    let text = fs::read(path).map_err(fail)?;
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    file.set_len(whole as u64).map_err(fail)?;
    Ok(file)
}

fn note(journal: &mut File, line: &Noted) -> std::io::Result<()> {
    let mut text = serde_json::to_string(line)?;
    text.push('\n');
    journal.write_all(text.as_bytes())?;
    journal.flush()
}

fn write(folder: &Path, lines: &[Noted]) -> Result<(), String> {
    let fail = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    fs::create_dir_all(folder).map_err(|error| fail(folder, error))?;
    for line in lines {
        let Some(test) = &line.test else { continue };
        let Noted { first, second, route, kernel, machine, .. } = line;
        let path = folder.join(format!("{first}-vs-{second}-by-{route}-{kernel}-{machine}.litmus"));
        let test = test.replace("<machine/ats-pasid>", &format!("<machine/{machine}>"));
        fs::write(&path, test).map_err(|error| fail(&path, error))?;
    }
    Ok(())
}
