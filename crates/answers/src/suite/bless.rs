//! What was found, written into the `expect` table.
//!
//! A line is rewritten if a check differs from it and all checks that it speaks
//! about found the same, completely. Of the text only the verdict changes:
//! between the `:` and the `;`. Comments behind it stay in their column while
//! there is room. What would make the table say less (a test that was clean and
//! is not, an obligation that is no longer broken, `Never` that is no more)
//! looks like a repair and may be a bug, so it has to be forced.

use std::collections::BTreeMap;

use shootdown_litmus::{Claim, Expectation, HowOften, Program, Sources};

use super::Outcome;
use super::run::{Case, TestFile, read};
use crate::judge::{code, how_often, judge};
use crate::request::Request;
use crate::verdict::{Checked, Judgement, Status};

/// What is to become of a file.
#[derive(Clone, Debug)]
pub struct Blessing {
    /// The file.
    pub file: String,
    /// The lines that change, in the order of the text.
    pub edits: Vec<Edit>,
    /// `file:line: why` of the lines that differ and stay.
    pub refused: Vec<String>,
    /// The whole new text.
    pub text: String,
}

/// A line that changes.
#[derive(Clone, Debug)]
pub struct Edit {
    /// From 1.
    pub line: usize,
    /// The verdict as it stands.
    pub old: String,
    /// The verdict that was found.
    pub new: String,
    /// Whether the table says less from now on.
    pub weaker: bool,
    /// A check that the line speaks about: index into the cases.
    pub case: usize,
    /// The bytes that are replaced.
    start: usize,
    end: usize,
}

/// Compares a file's table with what was found. Lines that would say less are
/// refused unless `force` is given. Nothing is written.
pub fn bless(
    file: &TestFile,
    cases: &[Case],
    sources: &dyn Sources,
    base: &Request,
    force: bool,
) -> Blessing {
    let mut blessing = Blessing {
        file: file.name.clone(),
        edits: Vec::new(),
        refused: Vec::new(),
        text: file.text.clone(),
    };
    // Which checks each line speaks about, also those that it is right about.
    let mut lines: BTreeMap<(u32, u32), Vec<usize>> = BTreeMap::new();
    for (at, case) in cases.iter().enumerate().filter(|(_, case)| case.file == file.name) {
        let Some(checked) = &case.checked else { continue };
        if let Judgement::Met { place } | Judgement::Differs { place, .. } = &checked.judgement
            && place.file == file.name
        {
            lines.entry((place.line, place.column)).or_default().push(at);
        }
    }
    for ((line, column), spoken) in lines {
        if !spoken.iter().any(|at| cases[*at].outcome == Outcome::Differs) {
            continue;
        }
        match edit(file, cases, &spoken, (line, column)) {
            Ok(edit) if edit.weaker && !force => blessing.refused.push(format!(
                "{}:{line}: `{}` would become `{}`, which says less; add --force if that is meant",
                file.name, edit.old, edit.new
            )),
            Ok(edit) => blessing.edits.push(edit),
            Err(why) => blessing.refused.push(format!("{}:{line}: {why}", file.name)),
        }
    }
    blessing.text = apply(&file.text, &blessing.edits);
    verify(file, cases, sources, base, &mut blessing);
    blessing
}

fn edit(
    file: &TestFile,
    cases: &[Case],
    spoken: &[usize],
    place: (u32, u32),
) -> Result<Edit, String> {
    let (program, expectation) = find(file, place)
        .ok_or("the line was not found again; the file has no `expect` line there")?;
    let mut found: Option<(String, &Case)> = None;
    let mut first = None;
    for at in spoken {
        let case = &cases[*at];
        let Some(checked) = &case.checked else { continue };
        if checked.search.stopped.is_some()
            || matches!(case.outcome, Outcome::Unknown | Outcome::NotCovered)
        {
            return Err(format!("left alone, since {} has no complete answer", case.name));
        }
        let new = verdict(expectation, checked)?;
        match &found {
            Some((known, other)) if *known != new => {
                return Err(format!(
                    "speaks of checks that found different things, {}: {known}, and {}: {new}; \
                     give each a line of its own",
                    other.name, case.name
                ));
            }
            Some(_) => {}
            None => found = Some((new, case)),
        }
        // The witness is told of a check that differs.
        if case.outcome == Outcome::Differs {
            first.get_or_insert(*at);
        }
    }
    let ((new, case), first) = found.zip(first).ok_or("nothing was found")?;
    let span = expectation.span;
    let text = program.files.text(span);
    let (from, to) =
        verdict_text(text).ok_or("a comment stands inside of the verdict; edit it by hand")?;
    let start = span.start as usize;
    let checked = case.checked.as_deref().ok_or("nothing was found")?;
    Ok(Edit {
        line: place.0 as usize,
        old: text[from..to].to_owned(),
        weaker: weaker(expectation, checked),
        new,
        case: first,
        start: start + from,
        end: start + to,
    })
}

/// The line of the table at a place of the file.
fn find(file: &TestFile, (line, column): (u32, u32)) -> Option<(&Program, &Expectation)> {
    file.programs.iter().find_map(|program| {
        let expectation = program.expectations.lines.iter().find(|expectation| {
            let at = program.files.position(expectation.span);
            program.files.name(expectation.span.file) == file.name
                && (at.line, at.column) == (line as usize, column as usize)
        })?;
        Some((program, expectation))
    })
}

/// Where in a line the verdict stands; `None` if that is not plain.
fn verdict_text(line: &str) -> Option<(usize, usize)> {
    // Names before the colon have none in them.
    let colon = line.find(':')?;
    let blanks = line[colon + 1..].len() - line[colon + 1..].trim_start().len();
    let (from, to) = (colon + 1 + blanks, line.trim_end().len());
    let text = line.get(from..to)?;
    let plain = !line.contains("//") && !line.contains("/*") && !text.contains(['\n', ';', '#']);
    (plain && !text.is_empty()).then_some((from, to))
}

/// The verdict as the table says it.
fn verdict(old: &Expectation, checked: &Checked) -> Result<String, String> {
    let mut parts = Vec::new();
    for verdict in &checked.verdicts {
        let Status::Violated(violation) = &verdict.status else { continue };
        const WORDS: [&str; 11] = [
            "FREE", "NEW", "COPY", "TABLE", "CLEAN", "RETURN", "PROGRESS", "LIFETIME", "RECLAIM",
            "REST", "outcome",
        ];
        if !WORDS.contains(&verdict.code) {
            return Err(format!(
                "a `{}` was found, and no table can expect one: mend the test",
                verdict.code
            ));
        }
        let known = old.claims.iter().find_map(|claim| match claim {
            Claim::Violated { finding, step } if code(*finding) == verdict.code => {
                Some(step.as_deref())
            }
            _ => None,
        });
        let is = |name: &str| violation.steps.iter().any(|step| step.name == name);
        // Who left the step open did so on purpose; a new line names one that is sure.
        let step = match known {
            Some(None) => None,
            Some(Some(step)) if is(step) => Some(step.to_owned()),
            Some(Some(_)) => violation.steps.first().map(|step| step.name.clone()),
            None => match &violation.steps[..] {
                [only] => Some(only.name.clone()),
                _ => None,
            },
        };
        // A step that no table can name (a device's access) is left out.
        let step = step.filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
        parts.push(match step {
            Some(step) => format!("{} at \"{step}\"", verdict.code),
            None => verdict.code.to_owned(),
        });
    }
    if parts.is_empty() {
        let exercised = checked.verdicts.iter().any(|verdict| verdict.status == Status::Clean);
        parts.push(if exercised { "clean" } else { "unexercised" }.to_owned());
    }
    if old.outcome.is_some() {
        let often = how_often(checked).ok_or("how often the condition holds is unknown")?;
        parts.push(format!("{often:?}"));
    }
    Ok(parts.join(", "))
}

/// Whether what was found is less than what the table claims.
fn weaker(old: &Expectation, checked: &Checked) -> bool {
    let found = crate::judge::violated(checked);
    let lost = old.claims.iter().any(|claim| match claim {
        Claim::Clean => {
            !found.is_empty()
                || !checked.verdicts.iter().any(|verdict| verdict.status == Status::Clean)
        }
        Claim::Violated { finding, .. } => !found.contains(&code(*finding)),
        Claim::NotExercised | Claim::Uncovered => false,
    });
    let sometimes = match (old.outcome, how_often(checked)) {
        (Some(HowOften::Never | HowOften::Always), now) => now != old.outcome,
        _ => false,
    };
    lost || sometimes
}

fn apply(text: &str, edits: &[Edit]) -> String {
    let mut text = text.to_owned();
    // From the end, so that what comes before stays where it is.
    let mut sorted: Vec<&Edit> = edits.iter().collect();
    sorted.sort_by_key(|edit| std::cmp::Reverse(edit.start));
    for edit in sorted {
        let rest = &text[edit.end..];
        let line = &rest[..rest.find('\n').unwrap_or(rest.len())];
        let blanks = line.find("//").or_else(|| line.find("/*")).map(|comment| {
            let before = &line[..comment];
            (before.trim_end().len(), comment)
        });
        let mut new = edit.new.clone();
        let mut end = edit.end;
        if let Some((code, comment)) = blanks {
            // The comment keeps its column, or comes one blank after.
            let width =
                (edit.end - edit.start + comment).saturating_sub(edit.new.len() + code).max(1);
            new.push_str(&line[..code]);
            new.push_str(&" ".repeat(width));
            end += comment;
        }
        text.replace_range(edit.start..end, &new);
    }
    text
}

/// Reads the new text again: every check of a line that was changed has to be
/// as expected now, or nothing is changed.
fn verify(
    file: &TestFile,
    cases: &[Case],
    sources: &dyn Sources,
    base: &Request,
    blessing: &mut Blessing,
) {
    if blessing.edits.is_empty() {
        return;
    }
    let new = TestFile { text: blessing.text.clone(), ..file.clone() };
    let lines: Vec<usize> = blessing.edits.iter().map(|edit| edit.line).collect();
    let wrong = cases.iter().filter(|case| case.file == file.name).find_map(|case| {
        let (checked, planned) = (case.checked.as_deref()?, case.planned.as_ref()?);
        let (Judgement::Met { place } | Judgement::Differs { place, .. }) = &checked.judgement
        else {
            return None;
        };
        if !lines.contains(&(place.line as usize)) {
            return None;
        }
        let request = planned.request(base);
        match read(&new, sources, &request, &planned.variant) {
            Ok(program) => match judge(&program, &request, checked) {
                Judgement::Met { .. } => None,
                _ => {
                    Some(format!("{}:{}: {} would still differ", file.name, place.line, case.name))
                }
            },
            Err(messages) => Some(format!("the new table could not be read:\n{messages}")),
        }
    });
    if let Some(wrong) = wrong {
        blessing.refused.push(format!("{wrong}; nothing was changed in this file"));
        blessing.edits.clear();
        blessing.text.clone_from(&file.text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit_of(text: &str, old: &str, new: &str) -> Edit {
        let start = text.find(old).expect("the verdict");
        let (old, new) = (old.to_owned(), new.to_owned());
        Edit { line: 1, end: start + old.len(), old, new, weaker: false, case: 0, start }
    }

    #[test]
    fn where_the_verdict_stands() {
        let line = "LATE model sc :  NEW at \"x\", Never";
        let (from, to) = verdict_text(line).expect("plain");
        assert_eq!(&line[from..to], "NEW at \"x\", Never");
        assert_eq!(verdict_text("* : /* why */ clean"), None);
        assert_eq!(verdict_text("* : NEW, // one\n COPY"), None);
        assert_eq!(verdict_text("* :"), None);
    }

    #[test]
    fn a_comment_keeps_its_column() {
        let text = "  * : NEW, REST, Never;   // why\n  L : clean;\n";
        let edit = edit_of(text, "NEW, REST, Never", "clean");
        assert_eq!(apply(text, &[edit]), "  * : clean;              // why\n  L : clean;\n");
        let edit = edit_of(text, "NEW, REST, Never", "FREE at \"put_page\", Never");
        assert_eq!(
            apply(text, &[edit]),
            "  * : FREE at \"put_page\", Never; // why\n  L : clean;\n"
        );
    }

    #[test]
    fn several_lines() {
        let text = "* : clean;\nL : NEW;\n";
        let edits = [edit_of(text, "clean", "FREE"), edit_of(text, "NEW", "unexercised")];
        assert_eq!(apply(text, &edits), "* : FREE;\nL : unexercised;\n");
    }
}
