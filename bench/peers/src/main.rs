//! Our checker beside Spin, Rumur and stateright, on one family of models.
//!
//! For each size, policy and peer: the verdict, how many states it took, the
//! processor time and the peak of memory of the process that searched, and the
//! length of the counterexample. What a peer spends on generating and compiling
//! its search is kept apart, and only in the JSON: it is paid once for each
//! model, and hides the search when that is short.
//!
//! The models have to be the same for any of this to mean something. Before
//! the first measurement each peer counts a small member, and every count that
//! is known is compared; a difference is an error, not a row.

mod child;
mod family;
mod in_rust;
mod known;
mod options;
mod ours;
mod peer;
mod rumur;
mod spin;
mod table;

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::family::{Policy, Size};
use crate::options::Options;
use crate::peer::{Answer, Mode, Setting};
use crate::table::{Group, Row};

/// What the JSON looks like.
const SCHEMA: &str = "shootdown-peers/1";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == in_rust::WORD) {
        return status(in_rust::child(&arguments[1..]).map(|()| ExitCode::SUCCESS));
    }
    status(match options::parse(arguments) {
        Ok(Some(options)) => compare(&options),
        Ok(None) => {
            print!("{}", options::USAGE);
            Ok(ExitCode::SUCCESS)
        }
        Err(message) => Err(message),
    })
}

fn status(result: Result<ExitCode, String>) -> ExitCode {
    result.unwrap_or_else(|message| {
        eprintln!("error: {message}");
        ExitCode::from(2)
    })
}

fn compare(options: &Options) -> Result<ExitCode, String> {
    if let Some(difference) = first_difference(&options.modes, &options.setting)? {
        eprintln!("error: the models are not the same: {difference}");
        return Ok(ExitCode::FAILURE);
    }
    let floor = child::floor();
    if !options.json {
        println!("{}\n", heading(floor));
    }
    let mut groups = Vec::new();
    for &size in &options.sizes {
        for policy in Policy::ALL {
            let group = measure(size, policy, options)?;
            if !options.json {
                println!("{}", group.text());
            }
            groups.push(group);
        }
    }
    if options.json {
        println!("{:#}", document(&groups, floor));
    } else {
        print_missing(&groups);
    }
    let wrong = groups.iter().flat_map(|group| &group.rows).any(|row| row.complaint.is_some());
    Ok(if wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The smallest member, counted by each mode that counts everything.
fn first_difference(modes: &[Mode], setting: &Setting) -> Result<Option<String>, String> {
    let (size, policy) = (Size::new(2, 1), Policy::UnderLock);
    for &mode in modes.iter().filter(|mode| mode.visits_everything()) {
        if let Answer::Found(figures) = peer::run(mode, size, policy, setting)?
            && let Some(why) = known::contradiction(mode, size, policy, &figures)
        {
            return Ok(Some(format!("{}, {size}, {}: {why}", mode.name(), policy.name())));
        }
    }
    Ok(None)
}

fn measure(size: Size, policy: Policy, options: &Options) -> Result<Group, String> {
    let mut rows = Vec::new();
    for &mode in &options.modes {
        let answer = peer::run(mode, size, policy, &options.setting)?;
        let complaint = match &answer {
            Answer::Found(figures) => known::contradiction(mode, size, policy, figures),
            _ => None,
        };
        rows.push(Row { mode, answer, complaint });
    }
    Ok(Group { size, policy, rows })
}

fn heading(floor: Option<u64>) -> String {
    let floor = floor.map_or("an unknown amount".to_owned(), |bytes| {
        format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
    });
    format!(
        "cpu is user and system time of the search, without generating and compiling it;\n\
         MiB is its peak of resident memory, of which a program that does nothing shows\n\
         {floor}; steps are those of the counterexample. One thread each."
    )
}

fn document(groups: &[Group], floor: Option<u64>) -> Value {
    json!({
        "schema": SCHEMA,
        "peak_bytes_of_nothing": floor,
        "groups": groups.iter().map(Group::json).collect::<Vec<_>>(),
    })
}

/// Each missing peer once, with what to do about it.
fn print_missing(groups: &[Group]) {
    println!("Not in this run:\n");
    let mut said: Vec<String> = Vec::new();
    for row in groups.iter().flat_map(|group| &group.rows) {
        if let Answer::Missing { why, install } = &row.answer {
            let line = format!("- {}: {why}; {install}", row.mode.peer().name());
            if !said.contains(&line) {
                println!("{line}");
                said.push(line);
            }
        }
    }
    if said.is_empty() {
        println!("- nothing is missing");
    }
}
