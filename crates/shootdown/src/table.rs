//! The decision table, printed from the spine.

use std::fmt::Write;

use mmu_protocol::{Row, TABLE};
use serde::Serialize;

/// One row, as JSON.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Decision {
    /// The change of an entry.
    pub change: &'static str,
    /// Who does it in a kernel.
    pub examples: &'static str,
    /// When the secondary TLBs have to be told.
    pub placement: &'static str,
    /// The founding document's letter.
    pub case: Option<char>,
    /// What breaks if they are told later.
    pub why: &'static str,
    /// The method of the library.
    pub method: &'static str,
    /// The test that shows it.
    pub test: &'static str,
}

impl From<&Row> for Decision {
    fn from(row: &Row) -> Self {
        Decision {
            change: row.change,
            examples: row.examples,
            placement: row.placement.name(),
            case: row.case,
            why: row.why,
            method: row.method,
            test: row.test,
        }
    }
}

/// All rows, as JSON.
pub fn decisions() -> Vec<Decision> {
    TABLE.iter().map(Decision::from).collect()
}

/// The table as text, 100 columns: the case, the change, when the secondary TLBs
/// are told, and what breaks if they are told later.
pub fn text() -> String {
    let mut out = String::new();
    for row in &TABLE {
        let codes: Vec<_> = row.obligations.iter().map(|obligation| obligation.code()).collect();
        let case = row.case.unwrap_or(' ');
        let placement = row.placement.name();
        let line = format!("{case} {:<48}{placement:<38}{}", row.change, codes.join(" "));
        // Writing to a string does not fail.
        let _ = writeln!(out, "{}", line.trim_end());
        let _ = writeln!(out, "      {}; shown by", row.examples);
        let _ = writeln!(out, "      {}", row.test);
    }
    out
}
