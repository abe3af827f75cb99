//! Instructions, counted by callgrind.
//!
//! The program runs itself under valgrind, which counts only inside one
//! function, [`counted_region`]. No library and no runner of matching version
//! is needed, only `valgrind` on the path.

use std::env;
use std::process::{Command, Stdio};

/// The argument that makes the program run one case for callgrind.
pub const ARGUMENT: &str = "--counted";

/// How many steps of a case are counted.
pub const STEPS: u64 = 128;

/// The only function in which callgrind counts. A name without a hash, so that
/// the option that names it always fits.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn shootdown_counted_region(steps: &mut &mut dyn FnMut()) {
    steps();
}

/// Runs steps in the counted region.
pub fn counted_region(steps: &mut dyn FnMut()) {
    let mut steps = steps;
    shootdown_counted_region(&mut steps);
}

/// Why there are no counts.
pub fn missing() -> Option<String> {
    let probe = Command::new("valgrind")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match probe {
        Ok(status) if status.success() => None,
        _ => Some("valgrind does not run here; install it for instruction counts".to_owned()),
    }
}

/// Instructions of one step of the case, and its share of what surrounds it.
///
/// # Errors
///
/// What valgrind said if it did not count.
pub fn count(case: &str) -> Result<f64, String> {
    Ok(total(case, STEPS)? as f64 / STEPS as f64)
}

/// Instructions of one step and of a turn of the loop around it, without what
/// comes before and after the loop.
///
/// # Errors
///
/// As for [`count`].
pub fn count_exactly(case: &str) -> Result<f64, String> {
    Ok((total(case, 2 * STEPS)? - total(case, STEPS)?) as f64 / STEPS as f64)
}

fn total(case: &str, steps: u64) -> Result<u64, String> {
    let this = env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .arg("--toggle-collect=shootdown_counted_region")
        .arg(this)
        .args([ARGUMENT, case, &steps.to_string()])
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let total =
        said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    match (output.status.success(), total) {
        (true, Some(total)) => Ok(total),
        _ => Err(format!("callgrind did not count {case}: {}", said.lines().last().unwrap_or(""))),
    }
}
