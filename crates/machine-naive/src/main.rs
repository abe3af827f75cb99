//! Compares the sets with explicit fills and evictions on every shipped file:
//! `cargo xtask naive`.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use shootdown_machine_naive::Comparison;
use shootdown_machine_naive::compare::{CAP, LARGE_CAP};
use shootdown_machine_naive::files::{
    Became, Run, Tally, compare_all, files, folders, runs, twins,
};

const HELP: &str = "\
usage: shootdown-naive [--large | --cap STATES] [--twins-first] [--each] [FOLDER | FILE]...

Compares every variant of every file under `sc` and `tso` with the machine whose
fills and evictions are steps. What has more states than the cap needs a twin.

  --large        up to 50,000,000 states instead of 2,000,000
  --cap STATES   up to this many
  --twins-first  a file that has a twin is not tried itself
  --each         a line for each run: states of both machines, seconds

Exit status: 0 the machines agree, 1 they do not or a twin is missing, 2 bad usage.
";

struct Asked {
    cap: u64,
    twins_first: bool,
    each: bool,
    only: Vec<String>,
}

fn asked() -> Option<Asked> {
    let mut asked = Asked { cap: CAP, twins_first: false, each: false, only: Vec::new() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--large" => asked.cap = LARGE_CAP,
            "--cap" => asked.cap = words.next()?.replace(',', "").parse().ok()?,
            "--twins-first" => asked.twins_first = true,
            "--each" => asked.each = true,
            flag if flag.starts_with('-') => return None,
            only => asked.only.push(only.trim_end_matches('/').to_owned()),
        }
    }
    Some(asked)
}

fn main() -> ExitCode {
    let Some(asked) = asked() else {
        eprint!("{HELP}");
        return ExitCode::from(2);
    };
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../litmus");
    match compare(&root, &asked) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::from(2)
        }
    }
}

/// Whether the machines agree and every file was compared, or its twin.
fn compare(root: &Path, asked: &Asked) -> Result<bool, String> {
    let twins = twins(root)?;
    let wanted = |file: &String, folder: &String| {
        asked.only.is_empty() || asked.only.iter().any(|only| only == file || only == folder)
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    println!("up to {} states of each machine, {workers} runs at a time", grouped(asked.cap));
    let (mut holds, mut by_twin) = (true, Vec::new());
    let mut without = Vec::new();
    let mut agreed: BTreeMap<String, bool> = BTreeMap::new();
    for folder in folders(root)? {
        let mut list: Vec<String> = files(root, &folder)?;
        list.retain(|file| wanted(file, &folder));
        let untried = |file: &String| asked.twins_first && twins.contains_key(file);
        let tried: Vec<&String> = list.iter().filter(|file| !untried(file)).collect();
        let all: Result<Vec<Vec<Run>>, String> =
            tried.iter().map(|file| runs(root, file)).collect();
        let all = all?.concat();
        if list.is_empty() {
            continue;
        }
        let tally = compare_all(root, &all, asked.cap, workers, &progress(asked, all.len()));
        report(&folder, list.len(), &tally);
        holds &= tally.holds();
        for file in &list {
            let large = untried(file) || tally.too_large.contains(file);
            agreed.insert(file.clone(), !large);
            match twins.get(file) {
                _ if !large => {}
                Some(twin) => by_twin.push((file.clone(), twin)),
                None => without.push(file.clone()),
            }
        }
    }
    for (file, twin) in &by_twin {
        // A twin that was not asked for says nothing; one that is too large is
        // a file without a twin.
        match agreed.get(*twin) {
            Some(_) => println!("only by its twin: {file} by {twin}"),
            None => println!("only by its twin, which was not asked for: {file} by {twin}"),
        }
    }
    for file in &without {
        println!("too large and without a twin: {file}");
    }
    let both =
        twins.iter().filter(|(file, _)| !asked.twins_first && agreed.get(*file) == Some(&true));
    for (file, twin) in both {
        println!("compared itself, and by its twin as well: {file} by {twin}");
    }
    Ok(holds && without.is_empty())
}

fn report(folder: &str, count: usize, tally: &Tally) {
    println!(
        "{folder}: {count} files, {} runs agree; states: naive {}, sets {}",
        tally.same,
        grouped(tally.naive),
        grouped(tally.sets)
    );
    for refused in &tally.refused {
        println!("refused: {refused}");
    }
    for failure in &tally.failures {
        println!("the machines disagree: {failure}");
    }
}

/// Says how far it has come: a line for each run if that was asked for, one
/// line that is written over and over on a terminal.
fn progress(asked: &Asked, all: usize) -> impl Fn(&Run, &Became, f64) + Sync + use<> {
    let (each, done) = (asked.each, AtomicUsize::new(0));
    move |run, became, seconds| {
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        if each {
            let what = match became {
                Became::Compared(Comparison::Same { naive, sets, .. }) => {
                    format!("{naive} {sets}")
                }
                Became::Compared(Comparison::TooLarge) => "too large".to_owned(),
                Became::Compared(Comparison::Differs(_)) => "differs".to_owned(),
                Became::Refused(_) => "refused".to_owned(),
                Became::Skipped => "skipped".to_owned(),
            };
            println!("{run}: {what}, {seconds:.1} s");
        } else if std::io::stderr().is_terminal() {
            eprint!("\r\x1b[K{done}/{all} {run}{}", if done == all { "\r\x1b[K" } else { "" });
            let _ = std::io::stderr().flush();
        }
    }
}

/// 2000000 as 2,000,000.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
