//! `--all-variants`: one table for each test, a row for each variant.
//!
//! A column for each obligation that some variant put to the test or broke; the
//! others are named below the table, so that nothing is left out silently.
//! Below the head `VIOLATED` is the only word in capitals, to be found at a glance.

use shootdown_answers::verdict::{Checked, Judgement, Status};

use super::block::observation;
use super::paint::Paint;
use super::setting::{by_test, names};
use super::text::{and, one_line, thousands};

/// The tables, one for each test.
pub fn text(checks: &[Checked], paint: Paint) -> String {
    let tests = by_test(checks);
    let tables: Vec<String> =
        tests.iter().map(|(test, of_test)| table(test, of_test, paint)).collect();
    tables.join("\n")
}

/// A cell and how it is painted.
struct Cell {
    text: String,
    tone: Tone,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tone {
    Plain,
    Good,
    Bad,
    Open,
    Faint,
}

fn cell(text: impl Into<String>, tone: Tone) -> Cell {
    Cell { text: text.into(), tone }
}

fn table(test: &str, checks: &[&Checked], paint: Paint) -> String {
    let codes = codes(checks);
    let all = |code: &str, wanted: fn(Option<&Status>) -> bool| {
        checks.iter().all(|checked| wanted(status(checked, code)))
    };
    // What is no obligation and was not found is not worth a column; whether it
    // was searched to the end says the number of states.
    let idle = |code: &&&str| all(code, |it| matches!(it, None | Some(Status::NotExercised(_))));
    let quiet = |code: &&&str| {
        code.starts_with(|c: char| c.is_ascii_lowercase())
            && all(code, |it| !matches!(it, Some(Status::Violated(_) | Status::NotCovered(_))))
    };
    let idle: Vec<&str> = codes.iter().filter(idle).copied().collect();
    let quiet: Vec<&str> =
        codes.iter().filter(|code| !idle.contains(code)).filter(quiet).copied().collect();
    let shown = codes.iter().filter(|code| !idle.contains(code) && !quiet.contains(code));
    let shown: Vec<&str> = shown.copied().collect();

    let mut rows = vec![head(&shown)];
    for (name, checked) in names(checks).into_iter().zip(checks) {
        let mut row = vec![cell(name, Tone::Plain)];
        row.extend(shown.iter().map(|code| verdict(status(checked, code))));
        row.push(cell(observation(checked), Tone::Plain));
        row.push(states(checked));
        row.push(judged(&checked.judgement));
        rows.push(row);
    }
    let mut out = format!("{}\n", paint.strong(&one_line(test)));
    draw(&mut out, &rows, paint);
    if !idle.is_empty() {
        out.push_str(&format!("not exercised in any variant: {}\n", and(&idle)));
    }
    if !quiet.is_empty() {
        out.push_str(&format!("found in no variant: {}\n", and(&quiet)));
    }
    out
}

/// All codes, in the order in which the checks have them.
fn codes<'a>(checks: &[&'a Checked]) -> Vec<&'a str> {
    let mut codes = Vec::new();
    for verdict in checks.iter().flat_map(|checked| &checked.verdicts) {
        if !codes.contains(&verdict.code) {
            codes.push(verdict.code);
        }
    }
    codes
}

fn status<'a>(checked: &'a Checked, code: &str) -> Option<&'a Status> {
    let found = checked.verdicts.iter().find(|verdict| verdict.code == code);
    found.map(|verdict| &verdict.status)
}

fn head(shown: &[&str]) -> Vec<Cell> {
    let before = ["variant"].into_iter();
    let titles = before.chain(shown.iter().copied()).chain(["observation", "states", "judged"]);
    titles.map(|title| cell(title, Tone::Faint)).collect()
}

fn verdict(status: Option<&Status>) -> Cell {
    match status {
        Some(Status::Clean) => cell("ok", Tone::Good),
        Some(Status::Violated(_)) => cell("VIOLATED", Tone::Bad),
        Some(Status::NotExercised(_)) | None => cell("-", Tone::Faint),
        Some(Status::NotCovered(_)) => cell("n/c", Tone::Open),
        Some(Status::Unknown(_)) => cell("?", Tone::Open),
    }
}

/// A search that stopped has at least so many.
fn states(checked: &Checked) -> Cell {
    let states = thousands(checked.search.states);
    match checked.search.stopped {
        Some(_) => cell(format!("{states}+"), Tone::Open),
        None => cell(states, Tone::Plain),
    }
}

fn judged(judgement: &Judgement) -> Cell {
    match judgement {
        Judgement::Unjudged => cell("unjudged", Tone::Faint),
        Judgement::Met { .. } => cell("as expected", Tone::Good),
        Judgement::Differs { .. } => cell("differs", Tone::Bad),
    }
}

fn draw(out: &mut String, rows: &[Vec<Cell>], paint: Paint) {
    let count = rows.first().map_or(0, Vec::len);
    let width = |at: usize| rows.iter().map(|row| row[at].text.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count).map(width).collect();
    for row in rows {
        for (at, cell) in row.iter().enumerate() {
            let pad = " ".repeat(widths[at] - cell.text.chars().count());
            let text = match cell.tone {
                Tone::Plain => cell.text.clone(),
                Tone::Good => paint.good(&cell.text),
                Tone::Bad => paint.bad(&cell.text),
                Tone::Open => paint.open(&cell.text),
                Tone::Faint => paint.faint(&cell.text),
            };
            // Numbers end where their title ends.
            if at + 2 == count {
                out.push_str(&format!("{pad}{text}  "));
            } else if at + 1 == count {
                out.push_str(&text);
            } else {
                out.push_str(&format!("{text}{pad}  "));
            }
        }
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn the_variants_of_two_tests() {
        let expected = "\
doorbell
variant   FREE  NEW       COPY  RETURN  PROGRESS  RECLAIM  REST  observation        states  judged
base sc   ok    ok        ok    ok      ok        n/c      ok    Never 0 3           1,234  as expected
LATE sc   ok    VIOLATED  ok    ok      ok        n/c      ok    Sometimes 1 3       1,234  as expected
NONE tso  ?     ?         ?     ?       ?         n/c      ?     Unknown 0 3    1,000,000+  differs
not exercised in any variant: TABLE, CLEAN and LIFETIME
found in no variant: deadlock, sleep, unlock and range

page-freed-before-range-end
variant  FREE      NEW  COPY  RETURN  PROGRESS  RECLAIM  REST  observation    states  judged
LATE     VIOLATED  n/c  ok    ok      ok        n/c      ok    Sometimes 1 3   1,234  unjudged
not exercised in any variant: TABLE, CLEAN and LIFETIME
found in no variant: deadlock, sleep, unlock and range
";
        assert_eq!(text(&fixture::all(), Paint::plain()), expected);
    }

    #[test]
    fn nothing_checked() {
        assert_eq!(text(&[], Paint::plain()), "");
    }

    #[test]
    fn colours_change_nothing_else() {
        let mut coloured = text(&fixture::all(), Paint::new(true));
        for code in ["1;31", "32", "33", "2", "1", "0"] {
            coloured = coloured.replace(&format!("\x1b[{code}m"), "");
        }
        assert_eq!(coloured, text(&fixture::all(), Paint::plain()));
    }
}
