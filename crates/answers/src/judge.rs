//! What the `expect` table says of a verdict.

use shootdown_litmus::{Claim, Expectation, Finding, HowOften, Program, Setting};

use crate::check::place;
use crate::request::Request;
use crate::verdict::{Checked, Judgement, Status, Verdict};

/// The code of a finding.
pub fn code(finding: Finding) -> &'static str {
    match finding {
        Finding::Free => "FREE",
        Finding::New => "NEW",
        Finding::Copy => "COPY",
        Finding::Table => "TABLE",
        Finding::Clean => "CLEAN",
        Finding::Return => "RETURN",
        Finding::Progress => "PROGRESS",
        Finding::Lifetime => "LIFETIME",
        Finding::Reclaim => "RECLAIM",
        Finding::Rest => "REST",
        Finding::Outcome => "outcome",
        Finding::Deadlock => "deadlock",
        Finding::Sleep => "sleep",
        Finding::Unlock => "unlock",
        Finding::Range => "range",
        Finding::Undefined => "undefined",
        Finding::Warning => "warning",
        Finding::Page => "page",
    }
}

/// Judges a verdict. A setting that no line speaks about is unjudged.
pub(crate) fn judge(program: &Program, request: &Request, checked: &Checked) -> Judgement {
    let params: Vec<(&str, &str)> =
        checked.params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let setting = Setting {
        variant: program.variant.clone(),
        model: &checked.model,
        machine: request.machine.as_deref(),
        kernel: request.kernel.as_deref(),
        params: &params,
    };
    let Some(line) = program.expectations.judge(&setting) else { return Judgement::Unjudged };
    let Some(place) = place(program, line.span) else { return Judgement::Unjudged };
    let differences = differences(line, checked);
    match differences.is_empty() {
        true => Judgement::Met { place },
        false => Judgement::Differs { place, differences },
    }
}

/// The codes of what is violated.
pub fn violated(checked: &Checked) -> Vec<&'static str> {
    let broken = checked.verdicts.iter().filter(|v| matches!(v.status, Status::Violated(_)));
    broken.map(|verdict| verdict.code).collect()
}

/// How often the condition holds; `None` if the search did not end.
pub fn how_often(checked: &Checked) -> Option<HowOften> {
    match (checked.block.satisfying, checked.block.others, &checked.search.stopped) {
        (0, _, Some(_)) | (_, 0, Some(_)) => None,
        (0, ..) => Some(HowOften::Never),
        (_, 0, _) => Some(HowOften::Always),
        _ => Some(HowOften::Sometimes),
    }
}

fn differences(line: &Expectation, checked: &Checked) -> Vec<String> {
    let mut list = Vec::new();
    let found = violated(checked);
    let open = |verdict: &&Verdict| matches!(verdict.status, Status::Unknown(_));
    let unknown: Vec<&str> = checked.verdicts.iter().filter(open).map(|v| v.code).collect();
    let uncovered = checked.search.stopped.as_deref() == Some("not covered");
    let mut named = Vec::new();
    for claim in &line.claims {
        match claim {
            Claim::Clean if uncovered => list.push("expected clean, found not covered".to_owned()),
            Claim::Clean => {
                for code in &found {
                    list.push(format!("{code}: expected clean, found violated"));
                }
                for code in &unknown {
                    list.push(format!("{code}: expected clean, found unknown"));
                }
                let exercised = checked.verdicts.iter().any(|v| v.status == Status::Clean);
                if found.is_empty() && unknown.is_empty() && !exercised {
                    list.push("expected clean, but nothing was exercised".to_owned());
                }
            }
            Claim::Violated { finding, step } => {
                let wanted = code(*finding);
                named.push(wanted);
                let verdict = checked.verdicts.iter().find(|verdict| verdict.code == wanted);
                match verdict.map(|verdict| &verdict.status) {
                    Some(Status::Violated(violation)) => {
                        if let Some(step) = step
                            && !violation.steps.iter().any(|found| *found.name == **step)
                        {
                            let names: Vec<&str> =
                                violation.steps.iter().map(|s| s.name.as_str()).collect();
                            list.push(format!(
                                "{wanted}: expected at {step}, found at {}",
                                names.join(", ")
                            ));
                        }
                    }
                    other => {
                        list.push(format!("{wanted}: expected violated, found {}", word(other)))
                    }
                }
            }
            Claim::NotExercised => {
                if checked
                    .verdicts
                    .iter()
                    .any(|v| matches!(v.status, Status::Clean | Status::Violated(_)))
                {
                    list.push("expected that nothing is exercised".to_owned());
                }
            }
            Claim::Uncovered if !uncovered => list.push("expected not covered".to_owned()),
            Claim::Uncovered => {}
        }
    }
    // A line that names what is violated names all of it.
    if !named.is_empty() {
        for code in found.iter().filter(|code| !named.contains(code)) {
            list.push(format!("{code}: found violated, and the line does not say so"));
        }
    }
    if let Some(wanted) = line.outcome {
        let found = how_often(checked);
        if found != Some(wanted) {
            let found = found.map_or("unknown".to_owned(), |found| format!("{found:?}"));
            list.push(format!("condition: expected {wanted:?}, found {found}"));
        }
    }
    list
}

fn word(status: Option<&Status>) -> &'static str {
    match status {
        Some(Status::Clean) | None => "clean",
        Some(Status::Violated(_)) => "violated",
        Some(Status::NotExercised(_)) => "not exercised",
        Some(Status::NotCovered(_)) => "not covered",
        Some(Status::Unknown(_)) => "unknown",
    }
}
