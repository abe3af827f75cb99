//! Every path by every machine: as text, Markdown, CSV and JSON.

use std::collections::BTreeMap;

use serde::Serialize;
use shootdown_answers::explain::telling::Where;
use shootdown_survey::cell::{Cell, Choice, Found, Need, Shown, WAYS};
use shootdown_survey::table::{Asked, Row};

use super::json;
use super::paint::Paint;
use super::say::place;
use super::text::{and, count, one_line};

/// Version of the JSON form.
pub const SCHEMA: &str = "shootdown.table/1";

/// Widths of the columns of text.
const PATH: usize = 14;
const WAY: usize = 26;
const NEED: usize = 16;
const TELLS: usize = 38;

/// A row as text; the first of a kernel and machine has a head.
pub fn line(row: &Row, head: bool, clients: bool, paint: Paint) -> String {
    let mut out = String::new();
    if head {
        let title = format!("{} on {}", row.kernel, row.machine);
        out.push_str(&format!("\n{}\n", paint.strong(&title)));
        let mut columns = pad("path", PATH);
        for way in &WAYS[..4] {
            columns.push_str(&pad(way, WAY));
        }
        columns.push_str(&pad("latest", NEED));
        columns.push_str(&pad("the kernel tells", TELLS));
        columns.push_str("and that is");
        out.push_str(&format!("{}\n", paint.faint(columns.trim_end())));
    }
    let mut columns = pad(&row.path, PATH);
    match &row.cell {
        Ok(cell) => {
            for found in &cell.found[..4] {
                columns.push_str(&found_padded(found, paint));
            }
            columns.push_str(&pad(need(cell), NEED));
            columns.push_str(&pad(&own(cell), TELLS));
            let choice = cell.choice.text();
            columns.push_str(&match cell.choice {
                Choice::Right | Choice::Holds => paint.good(choice),
                Choice::Stricter | Choice::Twice => paint.open(choice),
                Choice::TooWeak => {
                    paint.bad(&format!("{choice}: {}", codes(&cell.found[4]).join(" ")))
                }
                Choice::Unknown => paint.open(choice),
            });
        }
        Err(why) => columns.push_str(&paint.open(&one_line(&format!("not asked: {why}")))),
    }
    out.push_str(columns.trim_end());
    out.push('\n');
    if let (true, Ok(cell)) = (clients, &row.cell) {
        shown(&mut out, cell);
    }
    out
}

/// Who shows what breaks under the strictest way that is wrong, and under the
/// kernel's own if that is.
fn shown(out: &mut String, cell: &Cell) {
    let wrong = |found: &&(usize, &Found)| matches!(found.1, Found::Broken(_));
    let ways: Vec<(usize, &Found)> = cell.found.iter().enumerate().collect();
    let strictest = ways[..4].iter().rfind(wrong);
    for (at, found) in strictest.into_iter().chain(ways[4..].iter().filter(wrong)) {
        let Found::Broken(list) = found else { continue };
        for Shown { code, client, violation } in list {
            let step = violation.steps.first();
            let step = step.map_or(String::new(), |step| {
                let at =
                    step.place.as_ref().map_or(String::new(), |at| format!(" ({})", place(at)));
                format!(" at {}{at}", step.name)
            });
            out.push_str(&format!("    {}: {code}{step}\n", WAYS[*at]));
            let lines = client.as_deref().unwrap_or_default();
            for line in lines.lines() {
                out.push_str(&format!("        {line}\n"));
            }
            if lines.is_empty() {
                out.push_str("        nobody else is needed\n");
            }
        }
    }
}

fn pad(text: &str, width: usize) -> String {
    format!("{text:<width$} ")
}

fn found_padded(found: &Found, paint: Paint) -> String {
    let text = pad(&said(found), WAY);
    match found {
        Found::Clean => paint.good(&text),
        Found::Broken(_) => paint.bad(&text),
        Found::NotApplicable => paint.faint(&text),
        Found::Unknown(_) => paint.open(&text),
    }
}

fn said(found: &Found) -> String {
    match found {
        Found::Clean => "clean".to_owned(),
        Found::Broken(_) => codes(found).join(" "),
        Found::NotApplicable => "n/a".to_owned(),
        Found::Unknown(_) => "unknown".to_owned(),
    }
}

fn codes(found: &Found) -> Vec<&'static str> {
    match found {
        Found::Broken(list) => list.iter().map(|shown| shown.code).collect(),
        _ => Vec::new(),
    }
}

fn need(cell: &Cell) -> &'static str {
    cell.need.map_or("unknown", |need| need.text())
}

fn own(cell: &Cell) -> String {
    let words: Vec<&str> = cell
        .own
        .iter()
        .map(|own| match own {
            Where::RangeEnd => "at range_end",
            Where::Outside => "outside",
            Where::UnderLock => "under the lock",
        })
        .collect();
    if cell.need == Some(Need::Ranges) {
        return "at start, at end".to_owned();
    }
    if words.is_empty() { "never".to_owned() } else { words.join(", ") }
}

/// What was asked, below the table.
pub fn foot(asked: &Asked, assumed: &str, rows: &[Row], paint: Paint) -> String {
    let cells = || rows.iter().filter_map(|row| row.cell.as_ref().ok());
    let programs: u64 = cells().map(|cell| cell.explorations).sum();
    let states: u64 = cells().map(|cell| cell.states).sum();
    let most = cells().map(|cell| cell.clients).max().unwrap_or(0);
    let of = |wanted: Choice| cells().filter(|cell| cell.choice == wanted).count() as u64;
    let mut parts = Vec::new();
    for choice in [
        Choice::Right,
        Choice::Holds,
        Choice::Stricter,
        Choice::Twice,
        Choice::TooWeak,
        Choice::Unknown,
    ] {
        if of(choice) > 0 {
            parts.push(format!("{} {}", of(choice), choice.text()));
        }
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let covered = match rows.len() < asked.rows() {
        true => format!("covered  {} of {} rows\n", rows.len(), asked.rows()),
        false => String::new(),
    };
    format!(
        "\n{covered}kernel   {}\nclients  all up to {}: at most {} around a path\nmodel    {}\nsearch   {}, {}\n{}\n",
        and(&parts),
        asked.bound,
        most,
        assumed,
        count(programs, "program"),
        count(states, "state"),
        paint.faint(
            "note     `clean` is: no client up to the bound breaks it; a larger one may. Where telling \
             only takes\n         translations away, who sees nothing of its own when nobody is told is \
             asked once"
        ),
    )
}

/// As a table of a document.
pub fn markdown(asked: &Asked, assumed: &str, rows: &[Row]) -> String {
    let mut out = String::from(
        "| kernel | machine | path | never | range_end | flush | change | latest | the kernel tells | that is |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        out.push_str(&format!("| {} | {} | {} | ", row.kernel, row.machine, one_line(&row.title)));
        match &row.cell {
            Ok(cell) => {
                let found: Vec<String> = cell.found[..4].iter().map(said).collect();
                out.push_str(&format!(
                    "{} | {} | {} | {} |\n",
                    found.join(" | "),
                    need(cell),
                    own(cell),
                    cell.choice.text()
                ));
            }
            Err(why) => {
                let why = one_line(why).replace('|', "/");
                out.push_str(&format!("| | | | | | not asked: {why} |\n"));
            }
        }
    }
    if rows.len() < asked.rows() {
        out.push_str(&format!("\nCovered: {} of {} rows.\n", rows.len(), asked.rows()));
    }
    out.push_str(&format!("\nClients: all up to {}. Model: {assumed}.\n", asked.bound));
    out
}

/// One line for each row, with a head.
pub fn csv(rows: &[Row]) -> String {
    let mut out = String::from(
        "kernel,machine,path,never,range_end,flush,change,own,latest,because,kernel_tells,choice,clients,states,why\n",
    );
    for row in rows {
        let mut fields = vec![row.kernel.clone(), row.machine.clone(), row.path.clone()];
        match &row.cell {
            Ok(cell) => {
                fields.extend(cell.found.iter().map(said));
                fields.push(need(cell).to_owned());
                fields.push(cell.because.join(" "));
                fields.push(own(cell));
                fields.push(cell.choice.text().to_owned());
                fields.push(cell.clients.to_string());
                fields.push(cell.states.to_string());
                fields.push(String::new());
            }
            Err(why) => {
                fields.extend(std::iter::repeat_n(String::new(), 11));
                fields.push(one_line(why));
            }
        }
        let fields: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
        out.push_str(&fields.join(","));
        out.push('\n');
    }
    out
}

/// A field of CSV, as RFC 4180 has it.
fn quoted(field: &str) -> String {
    match field.contains([',', '"', '\n']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field.to_owned(),
    }
}

#[derive(Serialize)]
struct Report<'r> {
    schema: &'static str,
    bound: String,
    /// The model, and the dials that were turned.
    model: &'r str,
    /// How many there are if nobody interrupts.
    rows_asked: usize,
    rows: Vec<JsonRow<'r>>,
}

#[derive(Serialize)]
struct JsonRow<'r> {
    kernel: &'r str,
    machine: &'r str,
    path: &'r str,
    title: &'r str,
    /// Why it could not be asked.
    not_asked: Option<&'r str>,
    /// By way: `clean`, `broken`, `n/a`, `unknown`.
    ways: BTreeMap<&'static str, JsonFound<'r>>,
    latest: Option<&'static str>,
    because: &'r [&'static str],
    kernel_tells: Vec<&'static str>,
    choice: Option<&'static str>,
    clients: usize,
    explorations: u64,
    states: u64,
    /// The only field that differs from run to run.
    seconds: f64,
}

#[derive(Serialize)]
struct JsonFound<'r> {
    found: &'static str,
    why: Option<&'r str>,
    broken: Vec<JsonShown<'r>>,
}

#[derive(Serialize)]
struct JsonShown<'r> {
    code: &'static str,
    client: Option<&'r str>,
    timeline: json::Timeline,
}

/// As JSON.
///
/// # Errors
///
/// It could not be written.
pub fn json(asked: &Asked, assumed: &str, rows: &[Row]) -> Result<String, serde_json::Error> {
    let rows = rows.iter().map(json_row).collect();
    let report = Report {
        schema: SCHEMA,
        bound: asked.bound.to_string(),
        model: assumed,
        rows_asked: asked.rows(),
        rows,
    };
    serde_json::to_string_pretty(&report)
}

fn json_row(row: &Row) -> JsonRow<'_> {
    let cell = row.cell.as_ref().ok();
    let ways = cell.map_or(BTreeMap::new(), |cell| {
        WAYS.iter().zip(&cell.found).map(|(way, found)| (*way, json_found(found))).collect()
    });
    let tells = |own: &Where| match own {
        Where::RangeEnd => "range_end",
        Where::Outside => "outside",
        Where::UnderLock => "under_lock",
    };
    JsonRow {
        kernel: &row.kernel,
        machine: &row.machine,
        path: &row.path,
        title: &row.title,
        not_asked: row.cell.as_ref().err().map(String::as_str),
        ways,
        latest: cell.and_then(|cell| cell.need).map(|need| need.text()),
        because: cell.map_or(&[], |cell| &cell.because),
        kernel_tells: cell.map_or(Vec::new(), |cell| cell.own.iter().map(tells).collect()),
        choice: cell.map(|cell| cell.choice.text()),
        clients: cell.map_or(0, |cell| cell.clients),
        explorations: cell.map_or(0, |cell| cell.explorations),
        states: cell.map_or(0, |cell| cell.states),
        seconds: row.time.as_secs_f64(),
    }
}

fn json_found(found: &Found) -> JsonFound<'_> {
    let (word, why, list): (_, _, &[Shown]) = match found {
        Found::Clean => ("clean", None, &[]),
        Found::Broken(list) => ("broken", None, list),
        Found::NotApplicable => ("n/a", None, &[]),
        Found::Unknown(why) => ("unknown", Some(why.as_str()), &[]),
    };
    let broken = list
        .iter()
        .map(|shown| JsonShown {
            code: shown.code,
            client: shown.client.as_deref(),
            timeline: json::run(&shown.violation.timeline),
        })
        .collect();
    JsonFound { found: word, why, broken }
}
