//! The decision table, computed: each way to change an entry, with the
//! notification at each place where it could stand, explored.
//!
//! A row is a file of `litmus/` and the variants that put the notification
//! there. Where a change has no such place the table says `n/a`.

use shootdown_litmus::{Include, Sources, Variant, text_of};

use crate::LIBRARY;
use crate::check::{Refused, Subject, check, read};
use crate::judge::violated;
use crate::request::Request;
use crate::verdict::Checked;

/// Where the secondary TLBs are told.
pub const PLACES: [&str; 5] = ["before clear", "clear..set", "after set", "range_end", "never"];

/// A row: a change, its file, and the variant for each of [`PLACES`].
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What changes.
    pub change: &'static str,
    /// The file in `litmus/`.
    pub file: &'static str,
    /// Switches for each place; `None` where the notification cannot stand.
    pub places: [Option<&'static [&'static str]>; 5],
}

const NA: Option<&[&str]> = None;

/// All rows.
#[rustfmt::skip]
pub const ROWS: [Row; 13] = [
    Row { change: "COW of one page, a doorbell",       file: "seed/doorbell.litmus",                    places: [Some(&["EARLY"]), Some(&[]), Some(&["AFTERSET"]), Some(&["LATE"]), Some(&["NONE"])] },
    Row { change: "COW of two pages, two writers",     file: "seed/cow-two-writers.litmus",             places: [Some(&["EARLY"]), Some(&[]), Some(&["AFTERSET"]), Some(&["LATE"]), Some(&["NONE"])] },
    Row { change: "write fault on the zero page",      file: "seed/zero-page.litmus",                   places: [NA, Some(&[]), NA, Some(&["LATE"]), Some(&["NONE"])] },
    Row { change: "__replace_page, entry writable",    file: "seed/replace-page.litmus",                places: [NA, Some(&["WRITABLE"]), NA, Some(&["WRITABLE", "LATE"]), NA] },
    Row { change: "__replace_page, write-protected",   file: "seed/replace-page.litmus",                places: [NA, Some(&[]), NA, Some(&["LATE"]), Some(&["NONE"])] },
    Row { change: "COW of a huge page (pmd)",          file: "paths/pmd-cow.litmus",                    places: [NA, Some(&[]), NA, Some(&["LATE"]), NA] },
    Row { change: "split of a huge page, same rights", file: "paths/pmd-split.litmus",                  places: [NA, NA, NA, NA, Some(&[])] },
    Row { change: "page freed before range_end",       file: "seed/page-freed-before-range-end.litmus", places: [NA, Some(&[]), NA, Some(&["LATE"]), Some(&["NONE"])] },
    Row { change: "page freed after range_end",        file: "seed/page-freed-before-range-end.litmus", places: [NA, NA, NA, Some(&["FREE_LATE"]), NA] },
    Row { change: "write protection",                  file: "seed/write-protect.litmus",               places: [NA, NA, Some(&["UNDER_LOCK"]), Some(&[]), Some(&["NONE"])] },
    Row { change: "KSM: protect, then compare",        file: "seed/ksm.litmus",                         places: [NA, NA, NA, Some(&[]), Some(&["PROTECT_SILENTLY"])] },
    Row { change: "KSM: replace by an equal page",     file: "seed/ksm.litmus",                         places: [NA, Some(&["REPLACE_UNDER_LOCK"]), NA, Some(&[]), NA] },
    Row { change: "KSM: replace, page freed earlier",  file: "seed/ksm.litmus",                         places: [NA, NA, NA, Some(&["FREE_EARLY"]), NA] },
];

/// What was found for one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// The notification cannot stand there.
    NotApplicable,
    /// Nothing is violated.
    Clean,
    /// These are.
    Violated(Vec<&'static str>),
    /// The search did not answer.
    Unknown(String),
}

/// A row with its answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// What changes.
    pub change: &'static str,
    /// The file.
    pub file: &'static str,
    /// For each of [`PLACES`].
    pub cells: Vec<Cell>,
    /// States that were explored.
    pub states: u64,
    /// Each variant was as the file expects.
    pub as_expected: bool,
}

/// Explores every row.
pub fn decide(request: &Request) -> Vec<Decided> {
    ROWS.iter().map(|row| row.decide(request)).collect()
}

impl Row {
    fn decide(&self, request: &Request) -> Decided {
        let mut decided = Decided {
            change: self.change,
            file: self.file,
            cells: Vec::new(),
            states: 0,
            as_expected: true,
        };
        for place in self.places {
            let Some(switches) = place else {
                decided.cells.push(Cell::NotApplicable);
                continue;
            };
            decided.cells.push(match subject(self.file, switches, request) {
                Ok(subject) => {
                    let checked = check(&subject, request);
                    decided.states += checked.search.states;
                    decided.as_expected &=
                        matches!(checked.judgement, crate::verdict::Judgement::Met { .. });
                    cell(&checked)
                }
                Err(why) => {
                    decided.as_expected = false;
                    Cell::Unknown(why)
                }
            });
        }
        decided
    }
}

fn cell(checked: &Checked) -> Cell {
    let violated = violated(checked);
    match &checked.search.stopped {
        _ if !violated.is_empty() => Cell::Violated(violated),
        Some(why) => Cell::Unknown(why.clone()),
        None => Cell::Clean,
    }
}

/// A file that comes with the program, ready to be explored.
///
/// # Errors
///
/// Why it cannot be: never, if the program was built from a whole tree.
pub fn subject(file: &str, switches: &[&str], request: &Request) -> Result<Subject, String> {
    let found = LIBRARY
        .read(Include { path: file, local: false, from: "" })
        .map_err(|_| format!("{file} is not in the program"))?;
    let text = text_of(&found.name, &found.text).map_err(|error| error.to_string())?;
    let variant = Variant::new(switches.iter().copied());
    read(&format!("litmus/{file}"), &text, &LIBRARY, &variant, request).map_err(|refused| {
        match refused {
            Refused::Input(error) => error.to_string(),
            Refused::NotCovered { why, .. } => why,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The founding document's answer, from exploration alone.
    #[test]
    fn the_table_says_what_the_document_says() {
        let table = decide(&Request::default());
        let row =
            |change: &str| table.iter().find(|row| row.change.starts_with(change)).expect("a row");
        for decided in &table {
            assert!(decided.as_expected, "{decided:?}");
        }
        let new = |cell: &Cell| matches!(cell, Cell::Violated(codes) if codes.contains(&"NEW"));
        for change in ["COW of one", "COW of two"] {
            let cells = &row(change).cells;
            assert_eq!(cells[1], Cell::Clean);
            assert!([0, 2, 3, 4].iter().all(|at| new(&cells[*at])), "{cells:?}");
        }
        // Case A, and the two that may wait.
        assert_eq!(row("page freed before").cells[1], Cell::Clean);
        assert!(
            matches!(&row("page freed before").cells[3], Cell::Violated(codes) if codes.contains(&"FREE"))
        );
        assert_eq!(row("write protection").cells[3], Cell::Clean);
        assert_eq!(row("KSM: replace by").cells[3], Cell::Clean);
    }
}
