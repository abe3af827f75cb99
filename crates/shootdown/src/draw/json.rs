//! `--json`: the answers for programs, in a versioned form.
//!
//! The types of [`shootdown_answers`] may change; these names may not without a
//! new version. Codes and kinds are lower-case strings; fields may be added
//! without changing the version. Steps count from 1, as everywhere. `seconds` is
//! the only field that differs from run to run.

use std::collections::BTreeMap;

use serde::Serialize;
use shootdown_answers::timeline::{self, ChangeKind, ColumnKind};
use shootdown_answers::verdict::{self, Checked, Judgement, Status};

use super::block::how_often;

/// Version of this form.
pub const SCHEMA: &str = "shootdown.check/1";

/// All checks of one run of the program.
#[derive(Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA`]
    pub schema: &'static str,
    /// In the order in which they were made.
    pub checks: Vec<Check>,
}

/// One variant of one file, under one setting.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names are those of `Checked`")]
pub struct Check {
    pub test: String,
    pub file: String,
    pub variant: String,
    pub model: String,
    pub params: BTreeMap<String, String>,
    pub block: Block,
    pub verdicts: Vec<Verdict>,
    pub search: Search,
    /// `null` if it was not asked for, or the check is not clean.
    pub guards: Option<Vec<Guard>>,
    pub judgement: Judged,
    pub notes: Vec<String>,
}

/// The final states.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names are those of `Block`")]
pub struct Block {
    /// `allowed`, `forbidden`, `required`.
    pub kind: String,
    pub states: Vec<String>,
    pub validated: Option<bool>,
    /// `never`, `sometimes`, `always`, `unknown`.
    pub observation: String,
    pub satisfying: u64,
    pub others: u64,
    pub condition: String,
    pub hash: String,
}

/// What is said of an obligation.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// `free`, `new`, ..., `outcome`.
    pub code: String,
    /// `clean`, `violated`, `not_exercised`, `not_covered`, `unknown`.
    pub status: &'static str,
    /// Why; `null` if it is clean.
    pub why: Option<String>,
    /// If it is violated, how.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finding: Option<Finding>,
}

/// A violation.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// The same for the same test, variant, model, code and breaking step,
    /// wherever in the file the step stands.
    pub id: String,
    /// The steps that break it, the earliest first.
    pub steps: Vec<Step>,
    /// The shortest run.
    pub timeline: Timeline,
}

/// A breaking step.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names are those of `BreakingStep`")]
pub struct Step {
    pub name: String,
    pub function: Option<String>,
    pub place: Option<Place>,
}

/// How much was searched.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names are those of `Search`")]
pub struct Search {
    pub states: u64,
    pub transitions: u64,
    pub depth: u32,
    pub bytes: u64,
    pub ideal_states: u64,
    pub complete: bool,
    pub stopped: Option<String>,
    pub seconds: f64,
}

/// A step, and what is broken without it.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names are those of `Guard`")]
pub struct Guard {
    pub what: String,
    pub place: Option<Place>,
    pub without: Vec<String>,
    /// Nothing was found without it before the search reached a limit.
    pub unknown: bool,
}

/// What the `expect` table says.
#[derive(Debug, Serialize)]
pub struct Judged {
    /// `unjudged`, `met`, `differs`.
    pub result: &'static str,
    /// The line of the table.
    pub place: Option<Place>,
    /// One line for each.
    pub differences: Vec<String>,
}

/// A line of a file.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names are those of `Place`")]
pub struct Place {
    pub file: String,
    pub line: u32,
    pub column: u32,
    pub text: String,
}

/// A run.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names are those of `Timeline`")]
pub struct Timeline {
    pub columns: Vec<Column>,
    pub start: Vec<String>,
    pub steps: Vec<Row>,
    pub end: String,
}

/// Who takes steps.
#[derive(Debug, Serialize)]
pub struct Column {
    /// As in the file.
    pub name: String,
    /// `cpu`, `device`, `guest`, `queue`, `buffer`.
    pub kind: &'static str,
    /// Its number among its kind; for a buffer its thread's column, from 0.
    pub number: u32,
}

/// A step.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names are those of `Row`")]
pub struct Row {
    /// From 1.
    pub step: usize,
    /// Index into the columns, from 0.
    pub column: usize,
    pub what: String,
    pub result: Option<String>,
    pub function: Option<String>,
    pub place: Option<Place>,
    pub changes: Vec<Change>,
    pub marks: Vec<Mark>,
}

/// Something that a step changed.
#[derive(Debug, Serialize)]
pub struct Change {
    /// `table`, `lock`, `tlb`, `queue`, `frame`, `word`, `range`.
    pub kind: &'static str,
    /// What.
    pub text: String,
}

/// What a reader has to know of a step; `kind` says what.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are those of `Mark`")]
pub enum Mark {
    Fill { tlb: String, entry: String, used_by_step: usize },
    Stale { tlb: String, entry: String },
    Breaks { code: String },
    Impossible,
}

/// The report as text, with its last line's end.
///
/// # Errors
///
/// None of these types can fail to be written; the error is serde's.
pub fn text(checks: &[Checked]) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(&report(checks))? + "\n")
}

/// The report as data.
pub fn report(checks: &[Checked]) -> Report {
    Report { schema: SCHEMA, checks: checks.iter().map(check).collect() }
}

fn check(checked: &Checked) -> Check {
    let block = &checked.block;
    let search = &checked.search;
    let guard = |guard: &verdict::Guard| Guard {
        what: guard.what.clone(),
        place: guard.place.as_ref().map(place),
        without: guard.without.iter().map(|code| code.to_lowercase()).collect(),
        unknown: guard.unknown,
    };
    Check {
        test: checked.test.clone(),
        file: checked.file.clone(),
        variant: checked.variant.clone(),
        model: checked.model.clone(),
        params: checked.params.iter().cloned().collect(),
        block: Block {
            kind: block.kind.to_lowercase(),
            states: block.states.clone(),
            validated: block.validated,
            observation: how_often(checked).to_lowercase(),
            satisfying: block.satisfying,
            others: block.others,
            condition: block.condition.clone(),
            hash: block.hash.clone(),
        },
        verdicts: checked.verdicts.iter().map(|verdict| said(checked, verdict)).collect(),
        search: Search {
            states: search.states,
            transitions: search.transitions,
            depth: search.depth,
            bytes: search.bytes,
            ideal_states: search.ideal_states,
            complete: search.stopped.is_none(),
            stopped: search.stopped.clone(),
            seconds: search.time.as_secs_f64(),
        },
        guards: checked.guards.as_ref().map(|guards| guards.iter().map(guard).collect()),
        judgement: judged(&checked.judgement),
        notes: checked.notes.clone(),
    }
}

fn said(checked: &Checked, verdict: &verdict::Verdict) -> Verdict {
    let (status, why) = match &verdict.status {
        Status::Clean => ("clean", None),
        Status::Violated(violation) => ("violated", Some(&violation.why)),
        Status::NotExercised(why) => ("not_exercised", Some(why)),
        Status::NotCovered(why) => ("not_covered", Some(why)),
        Status::Unknown(why) => ("unknown", Some(why)),
    };
    let finding = match &verdict.status {
        Status::Violated(violation) => Some(finding(checked, verdict.code, violation)),
        _ => None,
    };
    Verdict { code: verdict.code.to_lowercase(), status, why: why.cloned(), finding }
}

fn finding(checked: &Checked, code: &str, violation: &verdict::Violation) -> Finding {
    let step = |step: &verdict::BreakingStep| Step {
        name: step.name.clone(),
        function: step
            .place
            .as_ref()
            .and_then(|at| super::verdict::function(code, at, violation).map(str::to_owned)),
        place: step.place.as_ref().map(place),
    };
    Finding {
        id: finding_id(checked, code, violation),
        steps: violation.steps.iter().map(step).collect(),
        timeline: run(&violation.timeline),
    }
}

/// Twelve hexadecimal digits that stay the same as long as test, variant, model,
/// code and first breaking step do; lines may move.
pub fn finding_id(checked: &Checked, code: &str, violation: &verdict::Violation) -> String {
    let step = violation.steps.first().map_or("", |step| &*step.name);
    // FNV-1a: stable over versions of Rust, and nobody attacks a finding's name.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for part in [&*checked.test, &*checked.variant, &*checked.model, code, step] {
        for byte in part.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    format!("{:012x}", hash >> 16)
}

fn judged(judgement: &Judgement) -> Judged {
    let (result, at, differences) = match judgement {
        Judgement::Unjudged => ("unjudged", None, Vec::new()),
        Judgement::Met { place } => ("met", Some(place), Vec::new()),
        Judgement::Differs { place, differences } => ("differs", Some(place), differences.clone()),
    };
    Judged { result, place: at.map(place), differences }
}

pub(super) fn place(place: &timeline::Place) -> Place {
    let timeline::Place { file, line, column, text } = place.clone();
    Place { file, line, column, text }
}

pub(super) fn run(timeline: &timeline::Timeline) -> Timeline {
    let column = |column: &timeline::Column| Column {
        name: column.name.clone(),
        kind: match column.kind {
            ColumnKind::Cpu => "cpu",
            ColumnKind::Device => "device",
            ColumnKind::Guest => "guest",
            ColumnKind::Queue => "queue",
            ColumnKind::Buffer => "buffer",
        },
        number: column.number,
    };
    let row = |(index, row): (usize, &timeline::Row)| Row {
        step: index + 1,
        column: row.column,
        what: row.what.clone(),
        result: row.result.clone(),
        function: row.function.clone(),
        place: row.place.as_ref().map(place),
        changes: row.changes.iter().map(change).collect(),
        marks: row.marks.iter().map(mark).collect(),
    };
    Timeline {
        columns: timeline.columns.iter().map(column).collect(),
        start: timeline.start.clone(),
        steps: timeline.rows.iter().enumerate().map(row).collect(),
        end: timeline.end.clone(),
    }
}

fn change(change: &timeline::Change) -> Change {
    let kind = match change.kind {
        ChangeKind::Table => "table",
        ChangeKind::Lock => "lock",
        ChangeKind::Tlb => "tlb",
        ChangeKind::Queue => "queue",
        ChangeKind::Frame => "frame",
        ChangeKind::Word => "word",
        ChangeKind::Range => "range",
    };
    Change { kind, text: change.text.clone() }
}

fn mark(mark: &timeline::Mark) -> Mark {
    match mark.clone() {
        timeline::Mark::Fill { tlb, entry, used_by } => {
            Mark::Fill { tlb, entry, used_by_step: used_by + 1 }
        }
        timeline::Mark::Stale { tlb, entry } => Mark::Stale { tlb, entry },
        timeline::Mark::Breaks { obligation } => Mark::Breaks { code: obligation.to_lowercase() },
        timeline::Mark::Impossible => Mark::Impossible,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::fixture;
    use super::*;

    fn value(checks: &[Checked]) -> Value {
        serde_json::from_str(&text(checks).unwrap()).unwrap()
    }

    #[test]
    fn a_violation() {
        let value = value(&fixture::all());
        assert_eq!(value["schema"], "shootdown.check/1");
        assert_eq!(value["checks"].as_array().unwrap().len(), 4);
        let new = &value["checks"][1]["verdicts"][1];
        assert_eq!((&new["code"], &new["status"]), (&json!("new"), &json!("violated")));
        let finding = &new["finding"];
        assert_eq!(finding["steps"][0]["name"], "set_pte_at");
        assert_eq!(finding["steps"][0]["function"], "wp_page_copy");
        assert_eq!(finding["steps"][0]["place"]["line"], 38);
        assert_eq!(finding["timeline"]["columns"][2]["kind"], "device");
        let step = &finding["timeline"]["steps"][4];
        assert_eq!(step["step"], 5);
        assert_eq!(step["changes"][0], json!({"kind": "table", "text": "a: Fa ro -> none"}));
        let fill = json!({"kind": "fill", "tlb": "T", "entry": "a -> Fa ro", "used_by_step": 10});
        assert_eq!(step["marks"][0], fill);
        let breaks = &finding["timeline"]["steps"][5]["marks"][0];
        assert_eq!(*breaks, json!({"kind": "breaks", "code": "new"}));
    }

    #[test]
    fn what_is_not_violated() {
        let value = value(&fixture::all());
        let clean = &value["checks"][0];
        assert_eq!(clean["verdicts"][0], json!({"code": "free", "status": "clean", "why": null}));
        assert_eq!(clean["verdicts"][3]["status"], "not_exercised");
        assert_eq!(clean["guards"][0]["without"], json!(["new"]));
        assert_eq!(clean["block"]["kind"], "allowed");
        assert_eq!(clean["judgement"]["result"], "met");
        let stopped = &value["checks"][2];
        assert_eq!(stopped["block"]["observation"], "unknown");
        assert_eq!(stopped["block"]["validated"], Value::Null);
        assert_eq!(stopped["search"]["complete"], false);
        assert_eq!(stopped["judgement"]["result"], "differs");
    }

    #[test]
    fn the_id_of_a_finding_is_stable_and_its_own() {
        let id = |checked: &Checked, code: &str| {
            let Status::Violated(violation) = &checked.verdicts[1].status else { panic!() };
            finding_id(checked, code, violation)
        };
        let mut checked = fixture::late();
        let first = id(&checked, "NEW");
        assert_eq!(first, "b7fb8fdefd02");
        assert_ne!(first, id(&checked, "COPY"));
        let Status::Violated(violation) = &mut checked.verdicts[1].status else { panic!() };
        violation.steps[0].place.as_mut().unwrap().line += 7;
        assert_eq!(first, id(&checked, "NEW"));
        checked.variant = "NONE".to_owned();
        assert_ne!(first, id(&checked, "NEW"));
    }
}
