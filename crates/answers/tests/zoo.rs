//! The zoo: taking one step of a fix out again is caught.
//!
//! The base of each file is the fixed order. Its guards are the steps without
//! which it is broken; a fix of which no step matters would be no fix.

use std::path::{Path, PathBuf};

use shootdown_answers::LIBRARY;
use shootdown_answers::check::{check, read};
use shootdown_answers::request::Request;
use shootdown_litmus::{Variant, read_file};
use shootdown_step::MemoryModel;

/// Fixes that are not a step which could be taken out, and what they are.
const NO_STEP: [(&str, &str); 3] = [
    ("kvm-pfn-without-reference", "a reference that is not taken"),
    ("range-end-without-start", "what the core of the notifier does, which is a dial"),
    ("sva-iommu-mm-after-mmdrop", "the order of two steps"),
];

fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../litmus/zoo");
    let list = std::fs::read_dir(root).expect("the zoo");
    let mut files: Vec<PathBuf> = list.map(|entry| entry.expect("readable").path()).collect();
    files.retain(|path| path.extension().is_some_and(|kind| kind == "litmus"));
    files.sort();
    files
}

/// Steps of the fix without which something is broken.
fn needed(path: &Path) -> usize {
    let name = path.display().to_string();
    let text = read_file(path).expect("a text");
    let mut request = Request { guards: true, ..Request::default() };
    let read = |request: &Request| {
        let subject = read(&name, &text, &LIBRARY, &Variant::base(), request);
        subject.unwrap_or_else(|_| panic!("{name} is not covered"))
    };
    let mut subject = read(&request);
    if subject.setting.is_too_strong() {
        request.model = MemoryModel::Ra;
        subject = read(&request);
    }
    let guards = check(&subject, &request).guards.unwrap_or_default();
    guards.iter().filter(|guard| !guard.without.is_empty()).count()
}

fn every(step: usize) {
    let mut idle = Vec::new();
    for path in files().iter().step_by(step) {
        let stem = path.file_stem().expect("a file").to_string_lossy().into_owned();
        let none = NO_STEP.iter().any(|(name, _)| *name == stem);
        if (needed(path) == 0) != none {
            idle.push(stem);
        }
    }
    assert!(idle.is_empty(), "no step of these fixes matters, or one does by now: {idle:?}");
}

#[test]
fn a_step_of_a_fix_that_is_taken_out_is_caught_in_every_sixth_bug() {
    every(6);
}

#[test]
#[ignore = "all of them; a few seconds more"]
fn a_step_of_a_fix_that_is_taken_out_is_caught_in_every_bug() {
    every(1);
}
