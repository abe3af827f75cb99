//! `shootdown test`: a suite against what its files expect.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use shootdown_answers::request::Request;
use shootdown_answers::suite::{self, Case, Edit, Opened, Outcome, Shard, TestFile, Work};
use shootdown_answers::timeline::Place;
use shootdown_answers::verdict::{Block, Checked, Judgement, Search, Status as Found};
use shootdown_litmus::{Sources, read_file};

use super::check::Setup;
use super::merge::print;
use super::results::Results;
use super::status::Status;
use crate::draw::{self, Form, Paint};

/// What `test` is told.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// Litmus files, and folders with them
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
    /// Checks at a time
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub jobs: usize,
    /// Do one of N parts of the work, for `shootdown merge`
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,
    /// Write the results here as JSON
    #[arg(long, value_name = "FILE")]
    pub results: Option<PathBuf>,
    /// Print the results as JSON
    #[arg(long, conflicts_with = "ktap")]
    pub json: bool,
    /// Write a JUnit report here
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Print the results in the form of the kernel's test tools
    #[arg(long)]
    pub ktap: bool,
    /// Write what was found into the `expect` lines that differ
    #[arg(long, conflicts_with_all = ["shard", "json", "ktap"])]
    pub bless: bool,
    /// With --bless: only show what would change
    #[arg(long, requires = "bless")]
    pub dry_run: bool,
    /// With --bless: also lines that would say less from now on
    #[arg(long, requires = "bless")]
    pub force: bool,
    /// How to search
    #[command(flatten)]
    pub setup: Setup,
}

pub(super) fn wrong(why: &str) -> Status {
    eprintln!("shootdown: {why}");
    Status { input: true, ..Status::default() }
}

/// Runs the command.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Status {
    let request = match arguments.setup.request() {
        Ok(request) => request,
        Err(why) => return wrong(&why),
    };
    if arguments.shard.is_some() && arguments.results.is_none() && !arguments.json {
        return wrong("a shard's results would be lost; add --results FILE, or --json");
    }
    let paths = match collect(&arguments.paths) {
        Ok(paths) => paths,
        Err(why) => return wrong(&why),
    };
    let sources = arguments.setup.sources();
    let work = Work { files: paths.iter().map(|path| open(path, &sources, &request)).collect() };
    let shard = arguments.shard.unwrap_or(Shard::WHOLE);
    let cases = work.run(&sources, &request, shard, arguments.jobs, &progress());
    let (files, total) = (work.files.len(), work.list().len());
    let made = Results::new(work.identity(&request), arguments.shard, files, total, &cases);
    let results = match made {
        Ok(results) => results,
        Err(error) => {
            eprintln!("shootdown: the results could not be written as json: {error}");
            return Status { internal: true, ..Status::default() };
        }
    };
    let mut status = Status::default();
    for (path, text) in reports(arguments, &results, &cases) {
        if let Err(error) = fs::write(&path, text) {
            status = status.and(wrong(&format!("{}: cannot be written: {error}", path.display())));
        }
    }
    if arguments.ktap {
        eprint!("{}", results.messages());
        let _ = out.write_all(draw::ktap::text(&all(&cases)).as_bytes());
        return status.and(results.status());
    }
    if !arguments.bless {
        return status.and(print(&results, arguments.json, out));
    }
    let kept = bless(&work, &cases, &sources, &request, arguments, out);
    let mut found = print(&results, false, out);
    if !arguments.dry_run {
        found.differs = kept.differs;
    }
    status.and(found).and(Status { differs: false, ..kept })
}

/// The files to be written beside the output.
fn reports(arguments: &Arguments, results: &Results, cases: &[Case]) -> Vec<(PathBuf, String)> {
    let mut list = Vec::new();
    if let Some(path) = &arguments.results
        && let Ok(text) = serde_json::to_string_pretty(results)
    {
        list.push((path.clone(), text + "\n"));
    }
    if let Some(path) = &arguments.junit {
        list.push((path.clone(), draw::junit::text(&all(cases))));
    }
    list
}

/// Every file that was named, and every `*.litmus` below a folder, sorted.
pub(super) fn collect(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut list = Vec::new();
    for path in paths {
        if !path.is_dir() {
            list.push(path.clone());
            continue;
        }
        let before = list.len();
        below(path, &mut list)
            .map_err(|error| format!("{}: error: cannot be read: {error}", path.display()))?;
        if list.len() == before {
            return Err(format!("{}: error: no `*.litmus` file below this folder", path.display()));
        }
    }
    list.sort();
    list.dedup();
    Ok(list)
}

fn below(folder: &Path, list: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        // A link to a folder is not followed: it may lead back here.
        if entry.file_type()?.is_dir() {
            below(&path, list)?;
        } else if path.extension().is_some_and(|extension| extension == "litmus") {
            list.push(path);
        }
    }
    Ok(())
}

pub(super) fn open(path: &Path, sources: &dyn Sources, request: &Request) -> Opened {
    let name = path.display().to_string();
    let text = match read_file(path) {
        Ok(text) => text,
        Err(error) => {
            return Opened::Wrong { name, text: String::new(), messages: error.to_string() };
        }
    };
    match TestFile::open(&name, &text, sources, request) {
        Ok(test) => Opened::Right(Box::new(test)),
        Err(error) => Opened::Wrong { name, text, messages: error.to_string() },
    }
}

fn progress() -> impl Fn(usize, usize) + Sync {
    let shown = io::stderr().is_terminal();
    move |done, all| {
        if shown && done < all {
            eprint!("\r{done} of {all} checks\x1b[K");
        } else if shown {
            eprint!("\r\x1b[K");
        }
    }
}

/// Everything that has a place in a report: a wrong file and a setting that is
/// not offered must not be missing there.
fn all(cases: &[Case]) -> Vec<Checked> {
    cases
        .iter()
        .map(|case| case.checked.as_deref().cloned().unwrap_or_else(|| stand_in(case)))
        .collect()
}

fn stand_in(case: &Case) -> Checked {
    let place = Place { file: case.file.clone(), line: 1, column: 1, text: String::new() };
    let first =
        case.messages.lines().next().or(case.lines.first().map(String::as_str)).unwrap_or("");
    let failed = matches!(case.outcome, Outcome::Input | Outcome::Fault);
    Checked {
        test: case.file.clone(),
        file: case.file.clone(),
        variant: if case.name.is_empty() { "file".to_owned() } else { case.name.clone() },
        model: String::new(),
        params: Vec::new(),
        block: Block {
            kind: "Allowed",
            states: Vec::new(),
            validated: None,
            satisfying: 0,
            others: 0,
            condition: String::new(),
            hash: String::new(),
        },
        verdicts: Vec::new(),
        search: Search {
            states: 0,
            transitions: 0,
            depth: 0,
            bytes: 0,
            ideal_states: 0,
            stopped: Some(first.to_owned()),
            time: std::time::Duration::ZERO,
        },
        guards: None,
        judgement: match failed {
            true => Judgement::Differs { place, differences: vec![first.to_owned()] },
            false => Judgement::Unjudged,
        },
        notes: Vec::new(),
    }
}

/// Rewrites the tables, or shows how. The status says what could not be.
fn bless(
    work: &Work,
    cases: &[Case],
    sources: &dyn Sources,
    request: &Request,
    arguments: &Arguments,
    out: &mut dyn Write,
) -> Status {
    let mut status = Status::default();
    let mut differ: BTreeMap<&str, usize> = BTreeMap::new();
    for case in cases.iter().filter(|case| case.outcome == Outcome::Differs) {
        *differ.entry(&case.file).or_default() += 1;
    }
    for file in &work.files {
        let Opened::Right(test) = file else { continue };
        if !differ.contains_key(&*test.name) {
            continue;
        }
        let blessing = suite::bless(test, cases, sources, request, arguments.force);
        let mut text = String::new();
        for edit in &blessing.edits {
            let case = &cases[edit.case];
            text.push_str(&format!("{}:{}: {}\n", blessing.file, edit.line, case.name));
            text.push_str(&format!("- {}\n+ {}\n", edit.old, edit.new));
            text.push_str(&case.checked.as_deref().map(|it| witness(it, edit)).unwrap_or_default());
            text.push('\n');
        }
        let _ = out.write_all(text.as_bytes());
        for why in &blessing.refused {
            eprintln!("{why}");
            status.differs = true;
        }
        if !blessing.edits.is_empty()
            && !arguments.dry_run
            && let Err(error) = replace(Path::new(&test.name), &blessing.text)
        {
            status = status.and(wrong(&format!("{}: cannot be written: {error}", test.name)));
        }
    }
    status
}

/// The run that breaks what is new in the line, or else the first that there is.
fn witness(checked: &Checked, edit: &Edit) -> String {
    let mut broken: Vec<_> = checked
        .verdicts
        .iter()
        .filter_map(|verdict| match &verdict.status {
            Found::Violated(violation) if !violation.timeline.rows.is_empty() => {
                Some((verdict.code, violation))
            }
            _ => None,
        })
        .collect();
    broken.sort_by_key(|(code, _)| edit.old.contains(code));
    broken.first().map_or(String::new(), |(code, violation)| {
        let timeline = draw::timeline(&violation.timeline, Form::Changelog, 72, Paint::plain());
        format!("\n{code}:\n\n{timeline}")
    })
}

/// The old text or the new one, never a half: a new file takes the place of the
/// old, of the one that a link leads to.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = path.with_file_name(name);
    let written = (|| {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::set_permissions(&new, fs::metadata(&path)?.permissions())?;
        fs::rename(&new, &path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}
