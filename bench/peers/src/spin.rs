//! Spin: a C program is generated from `models/cow.pml`, compiled, and run.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::child::{self, Limits, Scratch};
use crate::family::{Policy, Size};
use crate::known;
use crate::peer::{Answer, Figures, Mode, Verdict};

const MODEL: &str = include_str!("../models/cow.pml");

/// Runs one mode.
pub fn run(mode: Mode, size: Size, policy: Policy, limits: &Limits) -> Result<Answer, String> {
    if let Some(missing) = missing() {
        return Ok(missing);
    }
    let scratch = Scratch::new().map_err(|error| format!("no temporary folder: {error}"))?;
    let preparation = prepare(mode, size, policy, scratch.path())?;
    let mut pan = Command::new(scratch.path().join("pan"));
    pan.current_dir(scratch.path()).arg(slots(mode, size, policy));
    let ended = child::run(&mut pan, limits)?;
    if let Some(why) = ended.stopped(limits) {
        return Ok(Answer::Stopped(why, ended.usage));
    }
    let number = |before| number_before(&ended.output, before);
    let (Some(states), Some(errors)) =
        (number(" states, stored"), number_after(&ended.output, "errors: "))
    else {
        return Err(format!("spin: {}", ended.last_words()));
    };
    let depth = number_after(&ended.output, "depth reached ");
    Ok(Answer::Found(Figures {
        verdict: if errors == 0 { Verdict::Holds } else { Verdict::Violated },
        states,
        // That into the first state is counted too.
        transitions: number(" transitions (= stored+matched)").map(|count| count - 1),
        levels: depth.filter(|_| mode == Mode::SpinBroad).map(|depth| depth + 1),
        length: if errors == 0 { None } else { Some(length_of_trail(scratch.path())?) },
        usage: ended.usage,
        preparation,
    }))
}

fn missing() -> Option<Answer> {
    let missing = |why: &str, install: &str| {
        Some(Answer::Missing { why: why.to_owned(), install: install.to_owned() })
    };
    match () {
        () if !child::is_installed("spin") => {
            missing("no `spin` on the path", "`apt-get install spin`, or spinroot.com")
        }
        () if !child::is_installed("gcc") => {
            missing("no `gcc` on the path, which spin needs", "`apt-get install gcc`")
        }
        () => None,
    }
}

/// Writes `pan`, and says how long it took.
fn prepare(mode: Mode, size: Size, policy: Policy, folder: &Path) -> Result<Duration, String> {
    fs::write(folder.join("cow.pml"), MODEL)
        .map_err(|error| format!("cannot write the model for spin: {error}"))?;
    let mut spin = Command::new("spin");
    spin.current_dir(folder)
        .arg(format!("-DPAGES={}", size.pages))
        .arg(format!("-DDEVICES={}", size.devices))
        .arg(format!("-DUNDER_LOCK={}", i32::from(policy == Policy::UnderLock)))
        .args(["-a", "cow.pml"]);
    // Only assertions are asked for, no cycles: the fastest search it has. A
    // higher level of optimisation was measured not to make it faster.
    let mut gcc = Command::new("gcc");
    gcc.current_dir(folder).args(["-O2", "-march=native", "-DSAFETY"]);
    gcc.args(match mode {
        Mode::SpinReduced => &[] as &[&str],
        Mode::SpinBroad => &["-DBFS", "-DNOREDUCE"],
        _ => &["-DNOREDUCE"],
    });
    gcc.args(["-w", "-o", "pan", "pan.c"]);
    let mut spent = Duration::ZERO;
    for mut command in [spin, gcc] {
        let ended = child::run(&mut command, &Limits::PREPARATION)?;
        if !ended.succeeded() {
            return Err(format!("spin does not take its model: {}", ended.last_words()));
        }
        spent += ended.usage.cpu;
    }
    Ok(spent)
}

/// Slots of the hash table, as a power of two: about as many as there are
/// states. All of them become resident, so it matters to small searches.
fn slots(mode: Mode, size: Size, policy: Policy) -> String {
    // A reduction leaves at most what there is without.
    let states = known::states(mode, size).or_else(|| known::states(Mode::SpinDeep, size));
    let states = match policy {
        Policy::UnderLock => states.unwrap_or(1 << 24),
        Policy::Deferred if mode.is_breadth_first() => states.unwrap_or(1 << 24) / 2,
        // Depth first the violation is met at once.
        Policy::Deferred => 1 << 18,
    };
    let power = states.next_power_of_two().trailing_zeros().clamp(16, 27);
    format!("-w{power}")
}

/// A line for each step; lines that begin with a minus are about the run.
fn length_of_trail(folder: &Path) -> Result<u64, String> {
    let trail = fs::read_to_string(folder.join("cow.pml.trail"))
        .map_err(|error| format!("spin found a violation and left no trail: {error}"))?;
    Ok(trail.lines().filter(|line| !line.starts_with('-')).count() as u64)
}

/// The number that ends just before some words. From 100 million on it is
/// written with eight digits and an exponent: then the last ones are zeroes.
fn number_before(text: &str, words: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.contains(words))?;
    let before = &line[..line.find(words)?];
    let number = before.rsplit(' ').next()?;
    number.parse().ok().or_else(|| number.parse().ok().map(|rounded: f64| rounded as u64))
}

/// The number that begins just after some words.
fn number_after(text: &str, words: &str) -> Option<u64> {
    let after = &text[text.find(words)? + words.len()..];
    let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
    after[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "\
State-vector 84 byte, depth reached 16, errors: 1
   286624 states, stored
\t  286624 nominal states (stored-atomic)
  1327221 states, matched
  1613845 transitions (= stored+matched)
";

    #[test]
    fn the_report_is_read() {
        assert_eq!(number_before(SAID, " states, stored"), Some(286_624));
        assert_eq!(number_before(SAID, " transitions (= stored+matched)"), Some(1_613_845));
        let long = "4.1058320e+08 transitions (= stored+matched)";
        assert_eq!(number_before(long, " transitions (= stored+matched)"), Some(410_583_200));
        assert_eq!(number_after(SAID, "errors: "), Some(1));
        assert_eq!(number_after(SAID, "depth reached "), Some(16));
        assert_eq!(number_after(SAID, "nothing of this"), None);
    }

    #[test]
    fn the_table_has_room_for_the_states() {
        let locked = |mode, size| slots(mode, size, Policy::UnderLock);
        assert_eq!(locked(Mode::SpinDeep, Size::new(2, 1)), "-w16");
        assert_eq!(locked(Mode::SpinReduced, Size::new(3, 2)), "-w19");
        assert_eq!(locked(Mode::SpinDeep, Size::new(3, 3)), "-w23");
        assert_eq!(locked(Mode::SpinReduced, Size::new(4, 3)), "-w27");
        assert_eq!(slots(Mode::SpinDeep, Size::new(4, 3), Policy::Deferred), "-w18");
    }
}
