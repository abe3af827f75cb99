//! Every file of `litmus/`, by the rules of the machine alone: what the suite
//! expects of each variant is what is found, under both memory models.

use std::path::{Path, PathBuf};

use shootdown_answers::LIBRARY;
use shootdown_answers::check::{Refused, check, read};
use shootdown_answers::judge::violated;
use shootdown_answers::request::{MemoryModel, Request};
use shootdown_answers::verdict::Judgement;
use shootdown_litmus::{read_file, variants};

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../litmus").join(folder);
    let entries = std::fs::read_dir(folder).expect("a folder of the repository");
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "litmus"));
    files.sort();
    files
}

/// How many checks were judged.
fn all(folder: &str, model: MemoryModel) -> usize {
    let request = Request { model, ..Request::default() };
    let mut judged = 0;
    for path in files(folder) {
        let name = path.display().to_string();
        let text = read_file(&path).expect("a text");
        let offered = variants(&name, &text, &LIBRARY).expect("a test");
        for variant in &offered.listed {
            let subject = match read(&name, &text, &LIBRARY, variant, &request) {
                Ok(subject) => subject,
                Err(Refused::NotCovered { why, .. }) => panic!("{name} {variant}: {why}"),
                Err(Refused::Input(error)) => panic!("{error}"),
            };
            let checked = check(&subject, &request);
            match checked.judgement {
                Judgement::Met { .. } => judged += 1,
                Judgement::Unjudged => {}
                Judgement::Differs { place, differences } => {
                    panic!(
                        "{}:{} {variant} {}: {differences:?}",
                        place.file, place.line, checked.model
                    )
                }
            }
        }
    }
    judged
}

#[test]
fn the_seeds_are_as_expected() {
    assert!(all("seed", MemoryModel::Sc) > 40);
}

#[test]
fn the_paths_are_as_expected() {
    assert!(all("paths", MemoryModel::Sc) > 15);
}

#[test]
fn each_check_has_a_file_that_it_refuses() {
    assert!(all("checks", MemoryModel::Sc) >= 28);
}

#[test]
fn nothing_is_clean_of_weak_machines_but_under_ra() {
    assert!(all("devices", MemoryModel::Sc) >= 60);
}

#[test]
fn user_programs_are_as_expected() {
    assert!(all("user", MemoryModel::Sc) >= 10);
}

#[test]
fn store_buffers_change_no_verdict_of_the_checks() {
    assert!(all("checks", MemoryModel::Tso) >= 28);
    assert!(all("paths", MemoryModel::Tso) > 15);
}

/// Every interleaving is one under `ra` too: what is broken under `sc` is broken
/// there. What `ra` does not cover it has to say. Views cost states: a test that
/// has more than a few thousand under `ra` is left out.
#[test]
fn ra_misses_nothing_that_sc_shows() {
    let (mut compared, mut refused) = (0, 0);
    for path in ["checks", "paths"].into_iter().flat_map(files) {
        let name = path.display().to_string();
        let text = read_file(&path).expect("a text");
        for variant in &variants(&name, &text, &LIBRARY).expect("a test").listed {
            let found = [MemoryModel::Sc, MemoryModel::Ra].map(|model| {
                let mut request = Request { model, ..Request::default() };
                request.limits.states = 3_000;
                let subject = read(&name, &text, &LIBRARY, variant, &request).ok()?;
                let checked = check(&subject, &request);
                checked.search.stopped.is_none().then(|| violated(&checked))
            });
            let [Some(sc), Some(ra)] = found else {
                refused += 1;
                continue;
            };
            let missing: Vec<_> = sc.iter().filter(|code| !ra.contains(code)).collect();
            assert!(missing.is_empty(), "{name} {variant}: {missing:?} is broken under sc alone");
            compared += 1;
        }
    }
    println!("{compared} variants, {refused} not covered under ra or too large");
    assert!(compared > 40, "{compared} compared, {refused} not");
}
