//! Instructions, counted by callgrind: the program runs itself on two lengths of text,
//! and what the longer one costs more is the work.

use std::process::{Command, ExitCode, Stdio};

use crate::cases::CASES;
use crate::recording;

/// The argument that makes the program run one case for callgrind.
pub const ARGUMENT: &str = "--counted";

const SHORT: usize = 1 << 20;
const LONG: usize = 3 << 20;

/// Why there are no counts.
pub fn missing() -> Option<&'static str> {
    let probe = Command::new("valgrind")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match probe {
        Ok(status) if status.success() => None,
        _ => Some("valgrind does not run here"),
    }
}

/// Instructions for each line and for each byte.
pub fn count(case: &str) -> Result<(f64, f64), String> {
    let more = total(case, LONG)?.saturating_sub(total(case, SHORT)?) as f64;
    let (short, long) = (recording::text(SHORT), recording::text(LONG));
    let lines = |text: &[u8]| memchr::memchr_iter(b'\n', text).count();
    Ok((more / (lines(&long) - lines(&short)) as f64, more / (long.len() - short.len()) as f64))
}

/// Instructions of the reading alone.
fn total(case: &str, bytes: usize) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args(["--toggle-collect=shootdown_counted_region", "--collect-atstart=no"])
        .arg(program)
        .args([ARGUMENT, case, &bytes.to_string()])
        .output()
        .map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr);
    said.lines()
        .find_map(|line| line.split_once("Collected :"))
        .and_then(|(_, count)| count.trim().parse().ok())
        .ok_or_else(|| said.lines().last().unwrap_or("valgrind said nothing").to_owned())
}

/// The only function in which callgrind counts.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn shootdown_counted_region(work: &mut &mut dyn FnMut()) {
    work();
}

pub fn child(case: &str, bytes: &str) -> ExitCode {
    let (Some(case), Ok(bytes)) = (CASES.iter().find(|other| other.name == case), bytes.parse())
    else {
        return ExitCode::from(2);
    };
    let mut prepared = Some(case.prepare(&recording::text(bytes)));
    let mut work = || {
        std::hint::black_box(case.run(prepared.take().expect("once")));
    };
    let mut work: &mut dyn FnMut() = &mut work;
    shootdown_counted_region(&mut work);
    ExitCode::SUCCESS
}
