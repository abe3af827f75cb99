//! The answer by exploration: the decision table, the witness of case B, and
//! the same witness on a running address space.

use std::fmt::Write;

use serde::Serialize;
use shootdown_answers::check::{check, wrong_end};
use shootdown_answers::decision::{Cell, Decided, PLACES, decide, subject};
use shootdown_answers::request::Request;
use shootdown_answers::verdict::Status;
use shootdown_live::{Policy, replay};

use crate::draw;

/// The file whose witness is told and played.
const CASE_B: &str = "seed/cow-two-writers.litmus";

/// What exploration says.
#[derive(Clone, Debug, Serialize)]
pub struct Computed {
    /// A row for each change.
    pub rows: Vec<Row>,
    /// The shortest run of case B with a late notification, in the document's
    /// form.
    pub witness: String,
    /// The same run on the address space with the late policy: the values that
    /// it ends with, or why it could not be played.
    pub late: Result<Vec<String>, String>,
    /// And with the right policy: why it is refused.
    pub right: Result<Vec<String>, String>,
    #[serde(skip)]
    decided: Vec<Decided>,
}

/// A row of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What changes.
    pub change: &'static str,
    /// The litmus file.
    pub file: &'static str,
    /// For each place of the notification: `n/a`, `clean`, or what is violated.
    pub places: Vec<(&'static str, String)>,
    /// States that were explored.
    pub states: u64,
}

impl Computed {
    /// Explores and plays.
    pub fn make() -> Computed {
        let request = Request::default();
        let decided = decide(&request);
        let rows = decided.iter().map(row).collect();
        let late = subject(CASE_B, &["LATE"], &request);
        let mut computed = Computed {
            rows,
            witness: String::new(),
            late: Err("there is no run to play".to_owned()),
            right: Err("there is no run to play".to_owned()),
            decided,
        };
        let Ok(subject) = late else { return computed };
        let checked = check(&subject, &request);
        let new = checked.verdicts.iter().find(|verdict| verdict.code == "NEW");
        if let Some(Status::Violated(violation)) = new.map(|verdict| &verdict.status) {
            computed.witness = draw::document::text(&violation.timeline);
        }
        if let Some((machine, run)) = wrong_end(&subject, &request) {
            let played = |policy: &str| {
                let policy = Policy::of(policy).unwrap_or_default();
                replay(&subject.program, &subject.lowered, &machine, &run, policy)
                    .map(|played| {
                        played
                            .values
                            .iter()
                            .map(|(name, value)| format!("{name}={value}"))
                            .collect()
                    })
                    .map_err(|refused| refused.to_string())
            };
            computed.late = played("late-notify");
            computed.right = played("right");
        }
        computed
    }

    /// Every variant is as its file expects, the witness comes out under the
    /// late policy, and the right one refuses it.
    pub fn as_expected(&self) -> bool {
        self.decided.iter().all(|row| row.as_expected)
            && !self.witness.is_empty()
            && self.late.is_ok()
            && self.right.is_err()
    }

    /// The form for people.
    pub fn text(&self) -> String {
        let mut out = String::from(
            "Computed: every interleaving of a litmus file for each row, under sequential\n\
             consistency, with TLBs that fill and drop at any time. NEW is case B, FREE is case A.\n\n",
        );
        out.push_str(&draw::decision::text(&self.decided));
        let states: u64 = self.decided.iter().map(|row| row.states).sum();
        // Writing into a string does not fail.
        let _ = writeln!(
            out,
            "{states} states in all; `shootdown check litmus/FILE` tells each of them.\n"
        );
        let _ = writeln!(out, "The shortest run of case B that shows it, notified at range_end:\n");
        out.push_str(&self.witness);
        let _ = writeln!(out);
        let _ = match &self.late {
            Ok(values) => writeln!(
                out,
                "The same run, step by step on the running address space that notifies late: {}.",
                values.join(", ")
            ),
            Err(why) => writeln!(out, "The same run could not be played: {why}."),
        };
        let _ = match &self.right {
            Err(why) => writeln!(out, "On the one that follows the protocol it is refused: {why}."),
            Ok(_) => writeln!(out, "And on the one that follows the protocol too: THAT IS WRONG."),
        };
        out
    }
}

fn row(decided: &Decided) -> Row {
    let word = |cell: &Cell| match cell {
        Cell::NotApplicable => "n/a".to_owned(),
        Cell::Clean => "clean".to_owned(),
        Cell::Violated(codes) => codes.join(", "),
        Cell::Unknown(why) => format!("unknown: {why}"),
    };
    let places = PLACES.iter().zip(&decided.cells).map(|(place, cell)| (*place, word(cell)));
    Row {
        change: decided.change,
        file: decided.file,
        places: places.collect(),
        states: decided.states,
    }
}
