//! `shootdown generate`: clients around the path of a file, one by one.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use shootdown_clients::{Bound, Skeleton};
use shootdown_litmus::{Variant, read_file};
use shootdown_survey::generated::{Among, Generated, bound_of, generate};

use super::check::{Setup, left_out};
use super::interrupt;
use super::status::Status;
use crate::draw::thousands;

/// Version of the JSON form.
const SCHEMA: &str = "shootdown.generate/1";

/// What `generate` is told.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// Litmus files; their own clients are left out
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Switches that are on: one variant of the file
    #[arg(long, value_name = "NAME[,NAME]", value_delimiter = ',')]
    pub variant: Vec<String>,
    /// How large clients may be, as NAME=NUMBER,...
    #[arg(long, value_name = "BOUND")]
    pub bound: Option<Bound>,
    /// List every client, also those that break nothing
    #[arg(long)]
    pub all: bool,
    /// Write the listed clients here, a litmus file each, with what was found
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// How to search
    #[command(flatten)]
    pub setup: Setup,
}

/// One path with its clients.
#[derive(Debug, Serialize)]
struct Report {
    file: String,
    variant: String,
    bound: String,
    model: String,
    /// How many were asked.
    clients: usize,
    /// How many there are up to the bound.
    clients_to_ask: usize,
    not_covered: usize,
    stopped: usize,
    breaking: usize,
    states: u64,
    /// The smallest that break something, one for each set of codes; or all.
    listed: Vec<Listed>,
}

#[derive(Debug, Serialize)]
struct Listed {
    number: usize,
    codes: Vec<&'static str>,
    threads: String,
    /// The smallest bound that has it.
    bound: String,
    why_not_covered: Option<String>,
}

/// Runs the command.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Status {
    let mut status = Status::default();
    let mut reports = Vec::new();
    for file in &arguments.files {
        if interrupt::is_asked() {
            status = status.and(left_out(file));
            continue;
        }
        match one(file, arguments) {
            Ok((report, found)) => {
                status = status.and(found);
                if !arguments.json {
                    let _ = out.write_all(text(&report).as_bytes());
                }
                reports.push(report);
            }
            Err(why) => {
                eprintln!("{why}");
                status.input = true;
            }
        }
    }
    if arguments.json {
        let report = serde_json::json!({ "schema": SCHEMA, "paths": reports });
        let _ = writeln!(out, "{report:#}");
    }
    status
}

fn one(file: &Path, arguments: &Arguments) -> Result<(Report, Status), String> {
    let name = file.display().to_string();
    let (request, line) = arguments.setup.watched().map_err(|why| format!("shootdown: {why}"))?;
    let sources = arguments.setup.sources();
    let variant = Variant::new(arguments.variant.iter().cloned());
    let text = read_file(file).map_err(|error| error.to_string())?;
    let program =
        request.read(&name, &text, &sources, &variant).map_err(|error| error.to_string())?;
    if let Some(why) = request.missing_include(&program) {
        return Err(format!("{name}: error: {why}"));
    }
    let bound = arguments.bound.unwrap_or_default();
    let fail = |why: String| format!("{name}: error: {why}");
    let tell = |asked: usize, all: usize| {
        if let Some(line) = &line {
            line.draw(|| {
                format!("{} of {} clients", thousands(asked as u64), thousands(all as u64))
            });
        }
    };
    let among = generate(&name, &program, &sources, &variant, &request, &bound, &tell);
    if let Some(line) = &line {
        line.clear();
    }
    let Among { clients: list, all } = among.map_err(fail)?;
    let roles = Skeleton::of(&program).map_err(|why| fail(why.to_string()))?.roles();
    let mut told: Vec<Vec<&'static str>> = Vec::new();
    let mut listed = Vec::new();
    let mut written: Vec<(usize, &Generated)> = Vec::new();
    for (number, generated) in list.iter().enumerate() {
        let codes = generated.codes();
        let news = !codes.is_empty() && !told.contains(&codes);
        if !arguments.all && !news {
            continue;
        }
        told.push(codes.clone());
        written.push((number, generated));
        listed.push(Listed {
            number,
            codes,
            threads: generated.lines.clone(),
            bound: bound_of(&generated.client, &roles).to_string(),
            why_not_covered: generated.checked.as_ref().err().cloned(),
        });
    }
    if let Some(folder) = &arguments.out {
        write(folder, &program.header.name, &written)?;
    }
    let checked = || list.iter().filter_map(|generated| generated.checked.as_ref().ok());
    let report = Report {
        file: name,
        variant: variant.to_string(),
        bound: bound.to_string(),
        model: request.assumed(),
        clients: list.len(),
        clients_to_ask: all,
        not_covered: list.len() - checked().count(),
        stopped: checked().filter(|checked| checked.search.stopped.is_some()).count(),
        breaking: list.iter().filter(|generated| !generated.codes().is_empty()).count(),
        states: checked().map(|checked| checked.search.states).sum(),
        listed,
    };
    let status = Status {
        differs: report.breaking > 0,
        open: report.not_covered > 0 || report.stopped > 0 || report.clients < all,
        ..Status::default()
    };
    Ok((report, status))
}

/// A file for each, that stands on its own but for the parts that it includes.
fn write(folder: &Path, test: &str, list: &[(usize, &Generated)]) -> Result<(), String> {
    let fail = |path: &Path, error: std::io::Error| {
        format!("shootdown: {} could not be written: {error}", path.display())
    };
    fs::create_dir_all(folder).map_err(|error| fail(folder, error))?;
    for (number, generated) in list {
        let path = folder.join(format!("{test}+{number:03}.litmus"));
        fs::write(&path, &generated.text).map_err(|error| fail(&path, error))?;
    }
    Ok(())
}

fn text(report: &Report) -> String {
    let mut out = format!("Generate {} ({})\n", report.file, report.variant);
    for listed in &report.listed {
        let codes = match (&listed.why_not_covered, listed.codes.is_empty()) {
            (Some(why), _) => format!("not covered: {why}"),
            (None, true) => "clean".to_owned(),
            (None, false) => listed.codes.join(", "),
        };
        out.push_str(&format!("\nclient {}: {codes}\n", listed.number));
        let lines =
            if listed.threads.is_empty() { "nobody else is needed" } else { &listed.threads };
        for line in lines.lines() {
            out.push_str(&format!("    {line}\n"));
        }
        out.push_str(&format!("    bound    {}\n", listed.bound));
    }
    let not = |number: usize, what: &str| match number {
        0 => String::new(),
        number => format!(", {number} {what}"),
    };
    out.push_str(&format!(
        "\nclients  {} up to {}: {} break the path{}{}{}\nmodel    {}\nsearch   {} states\n",
        report.clients,
        report.bound,
        if report.breaking == 0 { "none".to_owned() } else { report.breaking.to_string() },
        not(report.not_covered, "not covered"),
        not(report.stopped, "reached a limit"),
        not(report.clients_to_ask - report.clients, "not asked: interrupted"),
        report.model,
        report.states,
    ));
    out
}
