//! The decision table, printed from the spine.

use std::fmt::Write;

use mmu_protocol::{Obligation, Row, TABLE};
use serde::Serialize;

/// One row, as JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Decision {
    /// The change of an entry.
    pub change: &'static str,
    /// Who does it in a kernel.
    pub examples: &'static str,
    /// When the secondary TLBs have to be told.
    pub placement: &'static str,
    /// The founding document's letter.
    pub case: Option<char>,
    /// The codes of what breaks if they are told later.
    pub obligations: Vec<&'static str>,
    /// Why.
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
            obligations: row.obligations.iter().map(|obligation| obligation.code()).collect(),
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
        for line in wrapped(&format!("{}: {}", row.examples, row.why)) {
            let _ = writeln!(out, "      {line}");
        }
        let _ = writeln!(out, "      shown by {}", row.test);
    }
    let _ = writeln!(out);
    let mentioned =
        |obligation: &&Obligation| TABLE.iter().any(|row| row.obligations.contains(obligation));
    for obligation in Obligation::ALL.iter().filter(mentioned) {
        let _ = writeln!(out, "{:<8}{}", obligation.code(), obligation.forbids());
    }
    out
}

/// Lines of at most 94 characters.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always a line");
        if !line.is_empty() && line.len() + 1 + word.len() > 94 {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}
