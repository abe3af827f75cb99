//! Whatever a file says, the whole way from its text to a verdict ends with an
//! answer: reading, lowering, both searches up to a limit, and the words for what
//! was found. The files are those that the fuzzer begins with.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use shootdown_answers::check::{Refused, check, read};
use shootdown_answers::request::{MemoryModel, Request};
use shootdown_explore::Limits;
use shootdown_litmus::{Directories, Variant};

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

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every text below these folders.
fn corpus() -> Vec<String> {
    let mut open = vec![root().join("litmus"), root().join("crates/litmus/tests/bad")];
    let mut files = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the repository") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "litmus") {
                files.push(path);
            }
        }
    }
    files.sort();
    assert!(files.len() > 80, "the corpus is not where it was: {} files", files.len());
    // Some of the bad files are no text at all; the language's own tests have them.
    files.iter().filter_map(|path| fs::read_to_string(path).ok()).collect()
}

/// How far a text came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    Refused,
    NotCovered,
    Searched,
}

fn whole(text: &str, model: MemoryModel) -> Came {
    let sources = Directories(vec![root().join("litmus")]);
    let limits = Limits { states: 1500, time: Duration::from_secs(20), ..Limits::default() };
    let request = Request { limits, model, ..Request::default() };
    match read("t.litmus", text, &sources, &Variant::base(), &request) {
        Ok(subject) => {
            let checked = check(&subject, &request);
            assert!(!checked.verdicts.is_empty(), "no verdict at all:\n{text}");
            Came::Searched
        }
        Err(Refused::NotCovered { why, .. }) => {
            assert!(!why.is_empty(), "not covered without a reason:\n{text}");
            Came::NotCovered
        }
        Err(Refused::Input(messages)) => {
            assert!(messages.has_errors(), "refused without a reason:\n{text}");
            Came::Refused
        }
    }
}

/// Changes that mostly leave a text that can be read: a line goes, comes twice
/// or elsewhere, a number or a name becomes another of the same file.
fn mutate(text: &str, random: &mut Random) -> String {
    let mut lines: Vec<String> = text.lines().map(String::from).collect();
    for _ in 0..1 + random.below(3) {
        let at = random.below(lines.len());
        match random.below(5) {
            0 => {
                lines.remove(at);
            }
            1 => {
                let line = lines[at].clone();
                lines.insert(random.below(lines.len()), line);
            }
            2 => {
                let other = random.below(lines.len());
                lines.swap(at, other);
            }
            _ => {
                let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let words: Vec<&str> =
                    text.split(|c| !is_word(c)).filter(|word| !word.is_empty()).collect();
                let own: Vec<String> = lines[at]
                    .split(|c| !is_word(c))
                    .filter(|word| !word.is_empty())
                    .map(String::from)
                    .collect();
                if own.is_empty() || words.is_empty() {
                    continue;
                }
                let from = &own[random.below(own.len())];
                let digit = from.starts_with(|c: char| c.is_ascii_digit());
                let alike: Vec<&&str> = words
                    .iter()
                    .filter(|word| word.starts_with(|c: char| c.is_ascii_digit()) == digit)
                    .collect();
                let to = alike[random.below(alike.len())];
                lines[at] = lines[at].replacen(from.as_str(), to, 1);
            }
        }
        if lines.is_empty() {
            break;
        }
    }
    lines.join("\n")
}

#[test]
fn every_file_as_it_is() {
    for text in corpus() {
        for model in [MemoryModel::Sc, MemoryModel::Tso] {
            whole(&text, model);
        }
    }
}

#[test]
fn files_with_lines_and_words_exchanged() {
    let texts = corpus();
    let mut random = Random(0x5eed_0004);
    let mut searched = 0;
    for round in 0..700 {
        let text = mutate(&texts[random.below(texts.len())], &mut random);
        let model = if round % 3 == 0 { MemoryModel::Tso } else { MemoryModel::Sc };
        if whole(&text, model) == Came::Searched {
            searched += 1;
        }
    }
    // Otherwise this is a test of the parser.
    assert!(searched > 150, "only {searched} of 700 came so far as to be searched");
}
