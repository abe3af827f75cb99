//! Our own checker: `shootdown check FILE --json` on a generated litmus file.
//!
//! Everything that is assumed about that command is here: how it is started,
//! and [`read`], which fields of its answer are looked for. A program that has
//! no such command is reported as not built.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::child::{self, Limits, Scratch, Usage};
use crate::family::{Policy, Size, litmus};
use crate::peer::{Answer, Figures, Setting, Verdict};

/// Runs the checker on one member.
pub fn run(size: Size, policy: Policy, setting: &Setting) -> Result<Answer, String> {
    if let Some(why) = missing(&setting.ours) {
        let install = "`cargo build --release` in the repository, or `--ours PROGRAM`".to_owned();
        return Ok(Answer::Missing { why, install });
    }
    let scratch = Scratch::new().map_err(|error| format!("no temporary folder: {error}"))?;
    let file = scratch.path().join("cow.litmus");
    fs::write(&file, litmus(size, policy))
        .map_err(|error| format!("cannot write the litmus file: {error}"))?;
    let mut check = Command::new(&setting.ours);
    check.arg("check").arg(&file).args(["--json", "--no-guards"]);
    let ended = child::run(&mut check, &setting.limits)?;
    if let Some(why) = ended.stopped(&setting.limits) {
        return Ok(Answer::Stopped(why, ended.usage));
    }
    // 0 and 1 are verdicts, 3 is a limit; the rest is a fault of somebody.
    if !matches!(ended.status, Some(0 | 1 | 3)) {
        return Err(format!("ours: {}", ended.last_words()));
    }
    let answer = serde_json::from_str(&ended.output)
        .map_err(|error| format!("ours: the answer is no JSON: {error}"))?;
    read(&answer, ended.usage).map_err(|why| format!("ours: {why}"))
}

/// Why the checker cannot be run. The program is older than its command, so
/// the command is asked for too.
fn missing(program: &Path) -> Option<String> {
    if !program.is_file() {
        return Some("not built".to_owned());
    }
    let help = child::run(Command::new(program).args(["check", "--help"]), &Limits::PREPARATION);
    match help {
        Ok(ended) if ended.succeeded() && ended.output.contains("--json") => None,
        Ok(_) => Some("not built: the program has no `check` with `--json`".to_owned()),
        Err(why) => Some(why),
    }
}

/// The figures in an answer, wherever it keeps them: the search is an object
/// with a number of `states`, a violation one with a `timeline`.
fn read(answer: &Value, usage: Usage) -> Result<Answer, String> {
    let search = find(answer, &|value| value["states"].is_u64());
    let search = search.ok_or("the answer has no number of `states`")?;
    if let Some(why) = search["stopped"].as_str() {
        return Ok(Answer::Stopped(format!("none: {why}"), usage));
    }
    let violation = find(answer, &|value| value.get("timeline").is_some_and(|t| !t.is_null()));
    let steps = violation.and_then(|violation| {
        violation["length"].as_u64().or_else(|| {
            find(&violation["timeline"], &|value| value["rows"].is_array())
                .and_then(|timeline| timeline["rows"].as_array())
                .map(|steps| steps.len() as u64)
        })
    });
    Ok(Answer::Found(Figures {
        verdict: if violation.is_some() { Verdict::Violated } else { Verdict::Holds },
        states: search["states"].as_u64().unwrap_or_default(),
        transitions: search["transitions"].as_u64(),
        levels: None,
        length: steps,
        usage,
        ..Figures::default()
    }))
}

/// The first value, outermost first, that is what is looked for.
fn find<'a>(value: &'a Value, wanted: &dyn Fn(&Value) -> bool) -> Option<&'a Value> {
    if wanted(value) {
        return Some(value);
    }
    match value {
        Value::Array(items) => items.iter().find_map(|item| find(item, wanted)),
        Value::Object(fields) => fields.values().find_map(|field| find(field, wanted)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn figures(answer: &Value) -> Figures {
        match read(answer, Usage::default()) {
            Ok(Answer::Found(figures)) => figures,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_answer_is_read() {
        let holds = json!({"checked": [{"search": {"states": 236, "transitions": 500}}]});
        let found = figures(&holds);
        assert_eq!(
            (found.verdict, found.states, found.transitions),
            (Verdict::Holds, 236, Some(500))
        );
        let violated = json!({
            "search": {"states": 90, "stopped": null},
            "verdicts": [{"timeline": {"rows": [1, 2, 3]}}],
        });
        let found = figures(&violated);
        assert_eq!((found.verdict, found.length), (Verdict::Violated, Some(3)));
    }

    #[test]
    fn a_search_that_stopped_is_no_verdict() {
        let stopped = json!({"search": {"states": 90, "stopped": "complete to depth 7"}});
        match read(&stopped, Usage::default()) {
            Ok(Answer::Stopped(why, _)) => assert_eq!(why, "none: complete to depth 7"),
            other => panic!("{other:?}"),
        }
        assert!(read(&json!({}), Usage::default()).is_err());
    }

    #[test]
    fn a_program_that_is_not_there_is_said_to_be_not_built() {
        assert_eq!(missing(Path::new("no/such/program")).as_deref(), Some("not built"));
    }
}
