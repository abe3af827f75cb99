//! Which known bugs the default bound finds, with generated clients in the place of
//! the threads that their files have.

use std::path::{Path, PathBuf};

use shootdown_answers::LIBRARY;
use shootdown_answers::request::{MemoryModel, Request};
use shootdown_clients::Bound;
use shootdown_litmus::{Variant, variants};
use shootdown_survey::generated::generate;

fn zoo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../litmus/zoo")
}

/// The codes that the clients of one file find under `BUGGY`; `None` if there is
/// nothing to put clients around.
fn found(name: &str) -> Option<Vec<&'static str>> {
    let path = zoo().join(format!("{name}.litmus"));
    let text = std::fs::read_to_string(path).expect("a file of the zoo");
    let offered = variants(name, &text, &LIBRARY).expect("a right text");
    if !offered.switches.iter().any(|switch| switch == "BUGGY") {
        return None;
    }
    let variant = Variant::new(["BUGGY"]);
    // What sc shows, the weaker models show too.
    let request = Request { model: MemoryModel::Sc, ..Request::default() };
    let program = request.read(name, &text, &LIBRARY, &variant).expect("a right text");
    let list =
        generate(name, &program, &LIBRARY, &variant, &request, &Bound::default(), &|_, _| ())
            .ok()?;
    let mut codes: Vec<&str> =
        list.clients.iter().flat_map(|generated| generated.codes()).collect();
    codes.sort_unstable();
    codes.dedup();
    Some(codes)
}

#[test]
fn a_sample_of_the_bugs() {
    for (name, code) in [
        ("mremap-flush-after-unlock", "FREE"),
        ("asterinas-cow-no-flush", "NEW"),
        ("seed-cow-clear-notify-set", "NEW"),
        ("hugetlb-unshare-no-flush", "FREE"),
    ] {
        let codes = found(name).expect("a path");
        assert!(codes.contains(&code), "{name}: {codes:?}");
    }
}

/// Run with `cargo test --release -p shootdown-survey --test zoo -- --ignored`.
#[test]
#[ignore = "a minute"]
fn all_of_them() {
    let mut missed = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(zoo()).expect("the zoo") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if path.extension().is_none_or(|extension| extension != "litmus") {
            continue;
        }
        match found(&name) {
            Some(codes) if !codes.is_empty() => count += 1,
            _ => missed.push(name),
        }
    }
    missed.sort();
    println!("{count} found, not {missed:?}");
    assert!(count >= 88, "{count} found, not {missed:?}");
}
