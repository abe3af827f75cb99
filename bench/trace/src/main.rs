//! How fast a trace is read, beside others that do the same work in the same run: a
//! search for the same word (`memchr`, and `grep` where it is installed), and a reader
//! made of one regular expression, as a script would be.

mod cases;
mod counting;
mod recording;
mod resident;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use cases::{CASES, Case};

/// How much text is timed.
const BYTES: usize = 64 << 20;
/// Each case is timed so often, in turn with the others; the best counts.
const ROUNDS: usize = 5;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => {
            times();
            counts();
            resident::print();
            ExitCode::SUCCESS
        }
        ["--counts-only"] => {
            counts();
            ExitCode::SUCCESS
        }
        [counting::ARGUMENT, case, bytes] => counting::child(case, bytes),
        [resident::ARGUMENT, file] => resident::child(file),
        _ => {
            eprintln!("usage: shootdown-trace-bench [--counts-only]");
            ExitCode::from(2)
        }
    }
}

fn times() {
    let input = recording::text(BYTES);
    println!("| {} MiB of ftrace text, one core | MB/s | M lines/s | of the first |", BYTES >> 20);
    println!("|---|---:|---:|---:|");
    let mut best = vec![Duration::MAX; CASES.len()];
    let mut found = vec![0; CASES.len()];
    for _ in 0..ROUNDS {
        for (at, case) in CASES.iter().enumerate() {
            let prepared = case.prepare(&input);
            let start = Instant::now();
            found[at] = case.run(prepared);
            best[at] = best[at].min(start.elapsed());
        }
    }
    let lines = memchr::memchr_iter(b'\n', &input).count();
    for (at, case) in CASES.iter().enumerate() {
        let reference = CASES.iter().position(|other| other.group == case.group).unwrap_or(at);
        assert_eq!(found[at], found[reference], "{} finds other events", case.name);
        let seconds = best[at].as_secs_f64();
        println!(
            "| {} | {:.0} | {:.1} | {:.2} |",
            case.name,
            input.len() as f64 / 1e6 / seconds,
            lines as f64 / 1e6 / seconds,
            best[at].as_secs_f64() / best[reference].as_secs_f64(),
        );
    }
    println!();
}

fn counts() {
    if let Some(reason) = counting::missing() {
        println!("instructions: not counted, {reason}\n");
        return;
    }
    println!("| instructions | for each line | for each byte | of the first |");
    println!("|---|---:|---:|---:|");
    let mut first: Option<(&Case, f64)> = None;
    for case in CASES.iter().filter(|case| case.countable) {
        match counting::count(case.name) {
            Ok((line, byte)) => {
                let base = match first {
                    Some((other, base)) if other.group == case.group => base,
                    _ => {
                        first = Some((case, line));
                        line
                    }
                };
                println!("| {} | {line:.0} | {byte:.2} | {:.2} |", case.name, line / base);
            }
            Err(reason) => println!("| {} | not counted: {reason} | | |", case.name),
        }
    }
    println!();
}
