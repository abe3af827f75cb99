//! The computed decision table as text.

use std::fmt::Write;

use shootdown_answers::decision::{Cell, Decided, PLACES};

/// The table, 100 columns: a row for each change, a column for each place of
/// the notification.
pub fn text(rows: &[Decided]) -> String {
    let mut out = String::new();
    // Writing into a string does not fail.
    let mut line = |first: &str, cells: &[String]| {
        let mut text = format!("{first:<34}");
        for cell in cells {
            let _ = write!(text, "{cell:<14}");
        }
        let _ = writeln!(out, "{}", text.trim_end());
    };
    line("the secondary TLBs are told:", &PLACES.map(str::to_owned));
    for row in rows {
        let cells: Vec<String> = row.cells.iter().map(word).collect();
        line(row.change, &cells);
    }
    out
}

/// One cell: `ok`, the first code, `n/a`, or `?`.
fn word(cell: &Cell) -> String {
    match cell {
        Cell::NotApplicable => "n/a".to_owned(),
        Cell::Clean => "ok".to_owned(),
        Cell::Violated(codes) => {
            // What is at rest wrong as well, or found at the return, follows
            // from the first.
            let first: Vec<&str> =
                codes.iter().filter(|code| **code != "REST").take(2).copied().collect();
            if first.is_empty() { codes.join(",") } else { first.join(",") }
        }
        Cell::Unknown(_) => "?".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_as_wide_as_its_head() {
        let row = Decided {
            change: "write protection",
            file: "x",
            cells: vec![
                Cell::NotApplicable,
                Cell::Clean,
                Cell::Violated(vec!["FREE", "RETURN", "REST"]),
                Cell::Violated(vec!["REST"]),
                Cell::Unknown(String::new()),
            ],
            states: 1,
            as_expected: true,
        };
        let text = text(&[row]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0].find("clear..set"), lines[1].find("ok"), "{text}");
        assert!(lines[1].ends_with("FREE,RETURN   REST          ?"), "{text}");
    }
}
