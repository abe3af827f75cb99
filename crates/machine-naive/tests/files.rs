//! Every shipped file, in every variant, on both machines.
//!
//! A file that has too many states for the naive machine needs a twin in
//! `litmus/twins`, of the same name, with something cut off: the twin is
//! compared in its stead. With `SHOOTDOWN_NAIVE_LARGE=1` the limit is fifty
//! million states.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use shootdown_litmus::read_file;
use shootdown_machine::setting::MemoryModel;
use shootdown_machine_naive::compare::LARGE_CAP;
use shootdown_machine_naive::{Comparison, compare};

use support::{listed, litmus, lowered};

/// States of either machine, if nobody has more patience.
const CAP: u64 = 250_000;

/// What became of the files.
#[derive(Debug, Default)]
struct Tally {
    same: usize,
    naive: u64,
    sets: u64,
    refused: Vec<String>,
    too_large: BTreeSet<String>,
    failures: Vec<String>,
}

fn files(folder: &str) -> Vec<PathBuf> {
    let Ok(listing) = fs::read_dir(litmus().join(folder)) else { return Vec::new() };
    let paths = listing.map(|entry| entry.expect("a readable folder").path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|ending| ending == "litmus")).collect();
    paths.sort();
    paths
}

fn name_of(path: &Path) -> String {
    path.file_name().expect("a file").to_string_lossy().into_owned()
}

/// One file under one model. Once a variant is too large the others are not
/// tried.
fn compare_file(path: &Path, model: MemoryModel, cap: u64, tally: &Mutex<Tally>) {
    let name = name_of(path);
    let text = read_file(path).expect("a text");
    let list = listed(&name, &text).unwrap_or_else(|errors| panic!("{errors}"));
    for variant in list {
        let label = format!("{name} {variant} under {model}");
        let result = lowered(&name, &text, &variant, model)
            .map(|(lowered, setting)| compare(&lowered, setting, cap));
        let mut tally = tally.lock().expect("no other worker panicked");
        match result {
            Err(why) => tally.refused.push(format!("{label}: {why}")),
            Ok(Comparison::TooLarge) => {
                tally.too_large.insert(name);
                return;
            }
            Ok(Comparison::Same { naive, sets, .. }) => {
                tally.same += 1;
                tally.naive += naive;
                tally.sets += sets;
            }
            Ok(Comparison::Differs(difference)) => {
                tally.failures.push(format!("{label}:\n{difference}"));
            }
        }
    }
}

/// All files of a folder under both models.
fn compare_folder(folder: &str, cap: u64) -> Tally {
    let tally = Mutex::new(Tally::default());
    let files = files(folder);
    std::thread::scope(|scope| {
        for model in [MemoryModel::Sc, MemoryModel::Tso] {
            let (files, tally) = (&files, &tally);
            scope
                .spawn(move || files.iter().for_each(|path| compare_file(path, model, cap, tally)));
        }
    });
    let tally = tally.into_inner().expect("no worker panicked");
    println!(
        "{folder}: {} files, {} variants and models agree; states: naive {}, sets {}",
        files.len(),
        tally.same,
        tally.naive,
        tally.sets
    );
    for refused in &tally.refused {
        println!("refused: {refused}");
    }
    assert!(tally.failures.is_empty(), "the machines disagree:\n{}", tally.failures.join("\n"));
    assert!(tally.refused.is_empty(), "a file has no meaning");
    tally
}

#[test]
fn shapes_of_the_kernels_memory_model() {
    let tally = compare_folder("lkmm", CAP);
    assert!(tally.too_large.is_empty(), "{:?}", tally.too_large);
    let shapes = files("lkmm").len();
    assert!(shapes >= 33);
    assert_eq!(tally.same, 2 * shapes);
}

#[test]
fn seeds_or_their_twins() {
    let large = std::env::var("SHOOTDOWN_NAIVE_LARGE").is_ok_and(|value| value == "1");
    let cap = if large { LARGE_CAP } else { CAP };
    let seeds = compare_folder("seed", cap);
    let twins = compare_folder("twins", cap);
    let there: BTreeSet<String> = files("twins").iter().map(|path| name_of(path)).collect();
    for name in &seeds.too_large {
        println!("too large: {name}; its twin was compared: {}", there.contains(name));
    }
    assert!(twins.too_large.is_empty(), "twins that are too large: {:?}", twins.too_large);
    let missing: Vec<&String> = seeds.too_large.difference(&there).collect();
    assert!(missing.is_empty(), "files that are too large and have no twin: {missing:?}");
}

/// The other folders: what fits under a small limit is compared, the rest is
/// named. Their larger files have no twins.
#[test]
fn checks_controls_bugs_paths_and_user_programs() {
    let mut same = 0;
    let large = std::env::var("SHOOTDOWN_NAIVE_LARGE").is_ok_and(|value| value == "1");
    let cap = if large { LARGE_CAP } else { 20_000 };
    for folder in ["checks", "controls", "zoo", "disputes", "user", "paths"] {
        let tally = compare_folder(folder, cap);
        println!("{folder}: too large: {:?}", tally.too_large);
        same += tally.same;
    }
    // 917 when this was written; files come, and few should grow too large.
    assert!(same > 800, "{same}");
}
