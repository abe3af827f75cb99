//! Shipped files, in every variant, on both machines.
//!
//! Tests have to be quick, so what has many states is left out here and named;
//! `cargo xtask naive` compares every file, or the twin that stands for it.

use std::path::PathBuf;

use shootdown_machine_naive::files::{MODELS, TWINS, Tally, compare_all, files, runs, twins};

/// States of either machine where most files are small.
const CAP: u64 = 100_000;
/// And in the other folders, which have many files.
const SMALL_CAP: u64 = 20_000;

fn litmus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../litmus")
}

fn listed(folder: &str) -> Vec<String> {
    files(&litmus(), folder).expect("a folder")
}

/// All files of a folder under each model, two at a time.
fn compare_folder(folder: &str, cap: u64) -> Tally {
    let list = listed(folder);
    let all = list.iter().flat_map(|file| runs(&litmus(), file).expect("a test"));
    let tally = compare_all(&litmus(), &all.collect::<Vec<_>>(), cap, 2, &|_, _, _| {});
    println!(
        "{folder}: {} files, {} runs agree; states: naive {}, sets {}; too large: {:?}",
        list.len(),
        tally.same,
        tally.naive,
        tally.sets,
        tally.too_large
    );
    assert!(tally.refused.is_empty(), "a file has no meaning:\n{}", tally.refused.join("\n"));
    assert!(tally.holds(), "the machines disagree:\n{}", tally.failures.join("\n"));
    tally
}

#[test]
fn shapes_of_the_kernels_memory_model() {
    let tally = compare_folder("lkmm", CAP);
    assert!(tally.too_large.is_empty(), "{:?}", tally.too_large);
    let shapes = listed("lkmm").len();
    assert!(shapes >= 33);
    assert_eq!(tally.same, MODELS.len() * shapes);
}

#[test]
fn seeds_and_twins() {
    compare_folder("seed", CAP);
    compare_folder(TWINS, CAP);
    twins(&litmus()).expect("each twin stands for a file");
}

#[test]
fn checks_controls_bugs_paths_and_user_programs() {
    let folders = ["checks", "controls", "zoo", "disputes", "user", "paths"];
    let same: usize = folders.iter().map(|folder| compare_folder(folder, SMALL_CAP).same).sum();
    // 917 when this was written; files come, and few should grow too large.
    assert!(same > 800, "{same}");
}
