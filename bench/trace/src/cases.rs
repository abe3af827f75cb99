//! What is compared. Cases of one group find the same events.

use std::io::{Cursor, Write};
use std::process::{Command, Stdio};

use regex::bytes::Regex;
use shootdown_trace::read::{Item, Reader, Wanted};

/// The event that one line in a hundred has.
pub const WANTED: &str = "start";

pub struct Case {
    pub name: &'static str,
    pub group: u8,
    /// Whether it runs in this process, so that its instructions can be counted.
    pub countable: bool,
    work: Work,
}

#[derive(Clone, Copy)]
enum Work {
    Ours { all: bool, fields: bool, gzip: bool },
    Word,
    Grep,
    Expression { all: bool },
}

pub enum Prepared {
    Ours(Vec<u8>, bool, bool),
    Word(Vec<u8>),
    Grep(Vec<u8>),
    Expression(Vec<u8>, Regex, bool),
}

const fn case(name: &'static str, group: u8, work: Work) -> Case {
    let countable = !matches!(work, Work::Grep);
    Case { name, group, countable, work }
}

pub const CASES: [Case; 8] = [
    case("ours, 1 % of the lines wanted", 1, Work::Ours { all: false, fields: true, gzip: false }),
    case("ours, the same from gzip", 1, Work::Ours { all: false, fields: true, gzip: true }),
    case("memchr: lines with the word", 1, Work::Word),
    case("grep -c: lines with the word", 1, Work::Grep),
    case("regular expression, 1 % of the lines", 1, Work::Expression { all: false }),
    case("ours, all lines", 2, Work::Ours { all: true, fields: false, gzip: false }),
    case(
        "ours, all lines and three fields",
        2,
        Work::Ours { all: true, fields: true, gzip: false },
    ),
    case("regular expression, all lines", 2, Work::Expression { all: true }),
];

impl Case {
    pub fn prepare(&self, input: &[u8]) -> Prepared {
        match self.work {
            Work::Ours { all, fields, gzip: false } => Prepared::Ours(input.to_vec(), all, fields),
            Work::Ours { all, fields, gzip: true } => {
                let fast = flate2::Compression::fast();
                let mut packed = flate2::write::GzEncoder::new(Vec::new(), fast);
                packed.write_all(input).expect("memory");
                Prepared::Ours(packed.finish().expect("memory"), all, fields)
            }
            Work::Word => Prepared::Word(input.to_vec()),
            Work::Grep => Prepared::Grep(input.to_vec()),
            Work::Expression { all } => {
                let name = if all { r"[^ :]+" } else { WANTED };
                let line = format!(
                    r"(?-u)^ *(.+)-(\d+) +(?:\( *(\d+|-+)\) )?\[(\d+)\] (\S+) +([\d.]+): ({name}): (.*)$"
                );
                Prepared::Expression(input.to_vec(), Regex::new(&line).expect("a constant"), all)
            }
        }
    }

    /// How many events were found.
    pub fn run(&self, prepared: Prepared) -> u64 {
        match prepared {
            Prepared::Ours(input, all, fields) => ours(input, all, fields),
            Prepared::Word(input) => {
                let word = memchr::memmem::Finder::new(" start: ");
                let mut found = 0;
                let mut from = 0;
                for end in memchr::memchr_iter(b'\n', &input) {
                    found += u64::from(word.find(&input[from..end]).is_some());
                    from = end + 1;
                }
                found
            }
            Prepared::Grep(input) => grep(input),
            Prepared::Expression(input, line, all) => {
                let mut found = 0;
                for text in input.split(|byte| *byte == b'\n') {
                    let Some(parts) = (if all || memchr::memmem::find(text, b" start: ").is_some() {
                        line.captures(text)
                    } else {
                        None
                    }) else {
                        continue;
                    };
                    std::hint::black_box(parts);
                    found += 1;
                }
                found
            }
        }
    }
}

fn ours(input: Vec<u8>, all: bool, fields: bool) -> u64 {
    // As the rules ask: also for what a driver printed, which is known by its first word.
    let wanted = if all {
        Wanted::everything()
    } else {
        Wanted::nothing().events([WANTED]).printed(["dev_fill", "dev_use", "dev_drop"])
    };
    let mut reader = Reader::new("bench", Cursor::new(input), &wanted).expect("a recording");
    let mut found = 0;
    while let Some(item) = reader.next().expect("readable") {
        let Item::Event(event) = item else { panic!("lost") };
        if fields {
            let numbers = (event.number("mm"), event.number("start"), event.number("end"));
            std::hint::black_box(numbers);
        }
        std::hint::black_box(&event);
        found += 1;
    }
    found
}

/// Through a pipe, as the others read from memory.
fn grep(input: Vec<u8>) -> u64 {
    let child = Command::new("grep")
        .args(["-c", " start: "])
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        // Not installed: the reference's own answer, in no time that anybody would believe.
        return ours(input, false, false);
    };
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(&input).expect("grep reads all");
    drop(stdin);
    let output = child.wait_with_output().expect("grep ends");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a count")
}
