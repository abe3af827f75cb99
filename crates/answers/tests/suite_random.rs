//! Whatever the text is: messages, "not covered" or a verdict, soon, and never
//! a panic. The shipped tests, with bytes flipped, tokens dropped or doubled and
//! lines swapped, go all the way through the search, with small limits.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use shootdown_answers::LIBRARY;
use shootdown_answers::check::{check, prepare};
use shootdown_answers::request::{MemoryModel, Request};
use shootdown_explore::Limits;
use shootdown_litmus::{Variant, check_source};

/// Texts that are tried; most are refused before the search.
const TEXTS: usize = 3000;

/// A small generator, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

fn seeds() -> Vec<String> {
    let mut texts = Vec::new();
    for folder in ["seed", "lkmm"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../litmus").join(folder);
        for entry in fs::read_dir(path).expect("a folder of the repository") {
            let path = entry.expect("readable").path();
            if path.extension().is_some_and(|extension| extension == "litmus") {
                texts.push(fs::read_to_string(path).expect("a text"));
            }
        }
    }
    texts.sort();
    texts
}

/// Where a text changes: behind the comments, which cannot go wrong.
fn mutate(text: &str, random: &mut Random) -> String {
    let mut text = text.to_owned();
    for _ in 0..1 + random.below(2) {
        let tokens: Vec<&str> =
            text.split_inclusive([' ', '\n', '(', ')', ';', ',', '*']).collect();
        let mut tokens: Vec<String> = tokens.into_iter().map(str::to_owned).collect();
        let at = random.below(tokens.len());
        match random.below(6) {
            0 => {
                let mut bytes = text.into_bytes();
                let at = random.below(bytes.len());
                bytes[at] ^= 1 << random.below(7);
                text = String::from_utf8_lossy(&bytes).into_owned();
                continue;
            }
            1 => drop(tokens.remove(at)),
            2 => tokens.insert(at, tokens[at].clone()),
            3 => {
                let other = random.below(tokens.len());
                tokens[at] = tokens[other].clone();
            }
            kind => {
                let mut lines: Vec<&str> = text.lines().collect();
                let (a, b) = (random.below(lines.len()), random.below(lines.len()));
                match kind {
                    4 => lines.swap(a, b),
                    _ => drop(lines.remove(a)),
                }
                text = lines.join("\n");
                continue;
            }
        }
        text = tokens.concat();
    }
    text
}

const MODELS: [MemoryModel; 2] = [MemoryModel::Sc, MemoryModel::Tso];

/// Whether it came to a search.
fn run(text: &str, model: MemoryModel) -> bool {
    let limits = Limits { states: 2000, time: Duration::from_millis(500), ..Limits::default() };
    let request = Request { model, limits, ..Request::default() };
    let Ok(program) = check_source("random.litmus", text, &LIBRARY, &Variant::base()) else {
        return false;
    };
    let Ok(subject) = prepare(program, &request) else { return false };
    let checked = check(&subject, &request);
    assert!(!checked.verdicts.is_empty());
    true
}

#[test]
fn mutated_files_never_panic() {
    let seeds = seeds();
    assert!(seeds.len() > 20);
    let mut random = Random(0x5eed_1001);
    let (mut searched, mut failed) = (0, Vec::new());
    for number in 0..TEXTS {
        let text = mutate(&seeds[random.below(seeds.len())], &mut random);
        let begun = Instant::now();
        match catch_unwind(AssertUnwindSafe(|| run(&text, MODELS[number % 2]))) {
            Ok(done) => searched += usize::from(done),
            Err(payload) => {
                let why = payload.downcast_ref::<String>().cloned();
                let why =
                    why.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                failed.push((why.unwrap_or_default(), text.clone()));
            }
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "no end in sight:\n{text}");
    }
    // Half of the texts and more still mean something; otherwise this tests the
    // parser alone.
    assert!(searched > TEXTS / 10, "{searched} of {TEXTS} were searched");
    failed.sort_by_key(|(why, text)| (why.clone(), text.len()));
    failed.dedup_by(|a, b| a.0 == b.0);
    let told: Vec<String> =
        failed.iter().map(|(why, text)| format!("{why}\n---\n{text}")).collect();
    assert!(told.is_empty(), "{} panics:\n{}", told.len(), told.join("\n=====\n"));
}
