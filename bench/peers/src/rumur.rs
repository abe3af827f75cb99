//! Rumur: a C program is generated from `models/cow.m`, compiled, and run.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::child::{self, Limits, Scratch};
use crate::family::{Policy, Size};
use crate::peer::{Answer, Figures, Mode, Verdict};

const MODEL: &str = include_str!("../models/cow.m");

/// Runs one mode.
pub fn run(mode: Mode, size: Size, policy: Policy, limits: &Limits) -> Result<Answer, String> {
    if let Some(missing) = missing() {
        return Ok(missing);
    }
    let scratch = Scratch::new().map_err(|error| format!("no temporary folder: {error}"))?;
    let preparation = prepare(mode, size, policy, scratch.path())?;
    let ended = child::run(&mut Command::new(scratch.path().join("checker")), limits)?;
    if let Some(why) = ended.stopped(limits) {
        return Ok(Answer::Stopped(why, ended.usage));
    }
    let summary = ended.output.lines().find(|line| line.starts_with("<summary "));
    let number = |name| attribute(summary?, name);
    let (Some(states), Some(errors)) = (number("states"), number("errors")) else {
        return Err(format!("rumur: {}", ended.last_words()));
    };
    let steps = ended.output.matches("<transition>").count() as u64;
    Ok(Answer::Found(Figures {
        verdict: if errors == 0 { Verdict::Holds } else { Verdict::Violated },
        states,
        transitions: number("rules_fired"),
        levels: None,
        // The first is that into the first state.
        length: (errors > 0).then(|| steps.saturating_sub(1)),
        usage: ended.usage,
        preparation,
    }))
}

fn missing() -> Option<Answer> {
    let missing = |why: &str, install: &str| {
        Some(Answer::Missing { why: why.to_owned(), install: install.to_owned() })
    };
    match () {
        () if !child::is_installed("rumur") => {
            missing("no `rumur` on the path", "`apt-get install rumur`, or github.com/Smattr/rumur")
        }
        () if !child::is_installed("gcc") => {
            missing("no `gcc` on the path, which rumur needs", "`apt-get install gcc`")
        }
        () => None,
    }
}

/// Writes `checker`, and says how long it took.
fn prepare(mode: Mode, size: Size, policy: Policy, folder: &Path) -> Result<Duration, String> {
    let model = format!(
        "const PAGES: {}; DEVICES: {}; UNDER_LOCK: {};\n{MODEL}",
        size.pages,
        size.devices,
        i32::from(policy == Policy::UnderLock),
    );
    fs::write(folder.join("cow.m"), model)
        .map_err(|error| format!("cannot write the model for rumur: {error}"))?;
    // For these small sorted devices the cheap normal form is a canonical one.
    let sorted = if mode == Mode::RumurSorted { "heuristic" } else { "off" };
    let mut rumur = Command::new("rumur");
    rumur
        .current_dir(folder)
        .arg(format!("--symmetry-reduction={sorted}"))
        .args(["--threads", "1", "--deadlock-detection=off"])
        .args(["--output-format", "machine-readable", "--output", "checker.c", "cow.m"]);
    let mut gcc = Command::new("gcc");
    gcc.current_dir(folder).args(["-std=c11", "-O3", "-march=native", "-w"]);
    if cfg!(target_arch = "x86_64") {
        // Its queue wants a compare-and-swap of two words.
        gcc.arg("-mcx16");
    }
    gcc.args(["-o", "checker", "checker.c", "-lpthread"]);
    let mut spent = Duration::ZERO;
    for mut command in [rumur, gcc] {
        let ended = child::run(&mut command, &Limits::PREPARATION)?;
        if !ended.succeeded() {
            return Err(format!("rumur does not take its model: {}", ended.last_words()));
        }
        spent += ended.usage.cpu;
    }
    Ok(spent)
}

/// A number that is an attribute of an element.
fn attribute(element: &str, name: &str) -> Option<u64> {
    let mut words = element.split_whitespace();
    let value = words.find_map(|word| word.strip_prefix(name)?.strip_prefix("=\""))?;
    value.split('"').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_read() {
        let said = r#"<summary states="843" rules_fired="2262" errors="1" duration_seconds="0"/>"#;
        assert_eq!(attribute(said, "states"), Some(843));
        assert_eq!(attribute(said, "rules_fired"), Some(2262));
        assert_eq!(attribute(said, "errors"), Some(1));
        assert_eq!(attribute(said, "fired"), None);
    }
}
