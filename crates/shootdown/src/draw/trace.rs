//! What the rules say of a recording, as text and as JSON.

use mmu_protocol::MmId;
use serde::Serialize;
use shootdown_trace::casemate::{Answer, Log, Question};
use shootdown_trace::check::{Checked, ClockSaid};
use shootdown_trace::era::By;
use shootdown_trace::event::Event;
use shootdown_trace::finding::{Finding, Lack};
use shootdown_trace::monitor::{Row, Verdict, explain};
use shootdown_trace::read::{Compression, TimeUnit};
use shootdown_trace::statistics::{Histogram, OfMm};

use super::Paint;
use crate::command::trace::Asked;

/// Version of the JSON form.
pub const SCHEMA: &str = "shootdown.trace/1";

/// How much is told.
pub struct Shown<'a> {
    /// Which rules and address spaces.
    pub asked: &'a Asked,
    /// How many findings of each rule.
    pub findings: usize,
    /// Whether there are figures.
    pub statistics: bool,
}

/// All recordings as text.
pub fn text(all: &[Checked], shown: &Shown<'_>, paint: Paint) -> String {
    let parts: Vec<String> = all.iter().map(|checked| one(checked, shown, paint)).collect();
    parts.join("\n")
}

fn one(checked: &Checked, shown: &Shown<'_>, paint: Paint) -> String {
    if let Some(log) = &checked.casemate {
        return side_by_side(checked, log, paint);
    }
    let mut out = head(checked);
    let era = checked.known.map(|known| known.era);
    let mut last = None;
    let rows = || checked.report.rows.iter().filter(|row| shown.asked.wants(row.rule, row.mm));
    for row in rows() {
        if last != Some(row.mm) {
            last = Some(row.mm);
            out.push_str(&format!("\n{}\n", paint.strong(&whose(row.mm))));
        }
        let verdict = match row.verdict {
            Verdict::Ok { checks, coarse: 0 } => format!("{}, {checks} checks", paint.good("ok")),
            Verdict::Ok { checks, coarse } => {
                let good = paint.good("ok");
                format!("{good}, {checks} checks ({coarse} of them only to within a range)")
            }
            Verdict::Violation { violations, checks } => {
                let bad = paint.bad("VIOLATION");
                format!("{bad}, {} ({checks} checks held)", times(violations))
            }
            Verdict::NotChecked { why } => {
                format!("{}: {}", paint.open("not checked"), explain(why, era))
            }
        };
        let suspicions = match row.suspicions {
            0 => String::new(),
            count => format!("; {} {}", paint.open("suspicious"), times(count)),
        };
        let about = row.rule.about();
        out.push_str(&format!("  {}  {:<15}  {verdict}{suspicions}\n", row.rule, about.name));
        for (lack, count) in open(row) {
            out.push_str(&format!(
                "{:23}not checked {}: {}\n",
                "",
                times(count),
                explain(lack, era)
            ));
        }
    }
    for row in rows() {
        for finding in told(row, shown) {
            out.push_str(&story(finding, row, checked, paint));
        }
    }
    if shown.statistics {
        out.push_str(&figures(checked));
    }
    out.push_str(&format!("\n{}\n", last_line(checked, shown)));
    out
}

/// What casemate said, and what is said here where both ask the same.
fn side_by_side(checked: &Checked, log: &Log, paint: Paint) -> String {
    let mut out = format!("{}: {}\n", checked.source.name, checked.source.format);
    let theirs = log.theirs.as_deref();
    for (question, name, answer) in [
        (Question::Replace, "R4  case B (break before make)", &log.replace),
        (Question::Table, "R5  case A (a table's page)   ", &log.table),
    ] {
        let ours = match (&answer.first, answer.checks) {
            (Some(broken), _) => {
                let since =
                    broken.since.map_or(String::new(), |line| format!(", since line {line}"));
                format!("{}, line {}{since}: {}", paint.bad("VIOLATION"), broken.line, broken.what)
            }
            (None, 0) => format!("{}: nothing of the kind happened", paint.open("not checked")),
            (None, checks) => format!("{}, {checks} checks", paint.good("ok")),
        };
        let casemate = match (theirs, log.overlap()) {
            (Some(said), Some(of)) if of == question => format!("refused: {said}"),
            // It stops at the first thing that it refuses.
            (Some(_), _) => "did not come to it".to_owned(),
            (None, _) => "accepted".to_owned(),
        };
        out.push_str(&format!("  {name}  here: {ours}; casemate: {casemate}\n"));
    }
    if let (Some(said), None) = (theirs, log.overlap()) {
        out.push_str(&format!("  no rule here asks what casemate refuses: {said}\n"));
    }
    out
}

fn head(checked: &Checked) -> String {
    let source = &checked.source;
    let around = match source.compression {
        None => "",
        Some(Compression::Gzip) => " with gzip",
        Some(Compression::Zstd) => " with zstd",
    };
    let kernel = match checked.known {
        None => "not known which; --kernel VERSION says it".to_owned(),
        Some(known) => {
            let by = match known.by {
                By::Asked => "given".to_owned(),
                By::Release => source.kernel.clone().unwrap_or_default(),
                By::Function(function) => format!("it has {function}"),
                By::Field(field) => format!("its probes have `{field}`"),
            };
            format!("like {} ({} are; {by})", known.era.read, known.era.span())
        }
    };
    let clock = match &checked.clock {
        ClockSaid::Asked(name) => format!("{name} (given)"),
        ClockSaid::Recorded(name) => name.clone(),
        ClockSaid::Ticks => "counter or x86-tsc (times are bare counts)".to_owned(),
        ClockSaid::Unknown => "not known; --clock NAME says it".to_owned(),
    };
    format!(
        "{}: {}{around}\n  kernel  {kernel}\n  clock   {clock}\n  events  {} that mean something{}\n",
        source.name,
        source.format,
        checked.report.events,
        match checked.report.gaps {
            0 => String::new(),
            gaps => format!("; events were lost {}", times(gaps)),
        }
    )
}

fn last_line(checked: &Checked, shown: &Shown<'_>) -> String {
    let (mut violated, mut ok, mut open, mut suspicions) = (0, 0, 0, 0);
    for row in checked.report.rows.iter().filter(|row| shown.asked.wants(row.rule, row.mm)) {
        match row.verdict {
            Verdict::Ok { .. } => ok += 1,
            Verdict::Violation { .. } => violated += 1,
            Verdict::NotChecked { .. } => open += 1,
        }
        suspicions += row.suspicions;
    }
    let cut = if checked.error.is_some() { "; reading ended early" } else { "" };
    format!("{violated} violated, {ok} ok, {open} not checked; {suspicions} suspicions{cut}")
}

fn whose(mm: Option<MmId>) -> String {
    match mm {
        Some(MmId(mm)) => format!("address space {mm:#x}"),
        None => "no address space".to_owned(),
    }
}

fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    }
}

/// What could not be checked beside what was; where nothing was, the verdict says why.
fn open(row: &Row) -> impl Iterator<Item = (Lack, u64)> {
    let why = match row.verdict {
        Verdict::NotChecked { why } => Some(why),
        _ => None,
    };
    row.open.iter().copied().filter(move |(lack, _)| Some(*lack) != why)
}

/// Violations, and beside them as many suspicions.
fn told<'a>(row: &'a Row, shown: &Shown<'_>) -> impl Iterator<Item = &'a Finding> {
    let certain = row.findings.iter().filter(|finding| finding.lacks.is_none());
    let rest = row.findings.iter().filter(|finding| finding.lacks.is_some());
    certain.take(shown.findings).chain(rest.take(shown.findings))
}

fn story(finding: &Finding, row: &Row, checked: &Checked, paint: Paint) -> String {
    let era = checked.known.map(|known| known.era);
    let (head, count) = match (&finding.lacks, &row.verdict) {
        (None, Verdict::Violation { violations, .. }) => {
            (paint.bad(&format!("{} is broken", finding.obligation)), *violations)
        }
        _ => (paint.open(&format!("{} may be broken", finding.obligation)), row.suspicions),
    };
    let mut out = format!("\n{} ({}): {head}: {}\n", finding.rule, whose(finding.mm), finding.what);
    if let Some(lack) = finding.lacks {
        out.push_str(&format!("  no violation for certain: {}\n", explain(lack, era)));
    }
    let cells: Vec<[String; 3]> =
        finding.chain.iter().map(|link| columns(&link.event, checked)).collect();
    let width = |of: usize| cells.iter().map(|cells| cells[of].len()).max().unwrap_or(0);
    let (place, time, who) = (width(0), width(1), width(2));
    for (link, [at, when, thread]) in finding.chain.iter().zip(&cells) {
        let note = match link.note {
            "" => String::new(),
            note => format!("   <- {note}"),
        };
        out.push_str(&format!(
            "    {at:>place$}  {when:>time$}  {thread:<who$}  {}{note}\n",
            link.event.kind
        ));
    }
    if count > 1 {
        out.push_str(&format!("  one of {count}; --show N tells more\n"));
    }
    out
}

fn place(event: &Event, checked: &Checked) -> String {
    let noun = match checked.source.format {
        shootdown_trace::read::Format::TraceDat { .. } => "record",
        _ => "line",
    };
    format!("{noun} {}", event.at.place)
}

fn time(time: u64, unit: Option<TimeUnit>) -> String {
    match unit {
        Some(TimeUnit::Nanoseconds { resolution }) => {
            let (seconds, rest) = (time / 1_000_000_000, time % 1_000_000_000);
            if resolution >= 1000 {
                format!("{seconds}.{:06}", rest / 1000)
            } else {
                format!("{seconds}.{rest:09}")
            }
        }
        _ => time.to_string(),
    }
}

fn columns(event: &Event, checked: &Checked) -> [String; 3] {
    let name = checked.threads.get(&event.at.thread).map_or("", String::as_str);
    let dash = if name.is_empty() { "" } else { "-" };
    let cpu = event.at.cpu.map_or(String::new(), |cpu| format!(" on CPU {cpu}"));
    [
        place(event, checked),
        time(event.at.time, checked.source.unit),
        format!("{name}{dash}{}{cpu}", event.at.thread),
    ]
}

/// One event in one line.
pub fn line(event: &Event, checked: &Checked) -> String {
    let [place, time, who] = columns(event, checked);
    format!("{place}, {time}, {who}: {}", event.kind)
}

fn figures(checked: &Checked) -> String {
    let statistics = &checked.report.statistics;
    let mut out = String::new();
    for (mm, of) in statistics.of_each() {
        out.push_str(&format!("\nfigures of {}\n", whose(Some(mm))));
        let mut line = |name: &str, value: String| {
            out.push_str(&format!("  {name:<28} {value}\n"));
        };
        let list =
            |map: Vec<String>| if map.is_empty() { "none".to_owned() } else { map.join(", ") };
        line(
            "ranges",
            list(of.ranges.iter().map(|(why, count)| format!("{why} {count}")).collect()),
        );
        line("refused, most open at once", format!("{}, {}", of.refused, of.most_open));
        line("of these of everything", of.whole.to_string());
        line("width of a range", bytes(&of.widths));
        line("from start's return to end", inside(of, checked.source.unit));
        line(
            "invalidations",
            format!(
                "{}; {} of everything, {} outside of any range that they meet, {} again what the \
                 range had been told",
                of.invalidations, of.everything, of.outside, of.twice
            ),
        );
        line("width of an invalidation", bytes(&of.invalidated));
        line("ends that tell", of.telling_ends.to_string());
        line(
            "invalidations inside a range",
            list(of.per_range.iter().map(|(n, ranges)| format!("{n}: {ranges} ranges")).collect()),
        );
    }
    out.push_str(&format!(
        "\nguest faults {}, leaves installed {}, taken away {}; faults without a new leaf {}\n",
        statistics.guest_faults,
        statistics.installs,
        statistics.zaps,
        statistics.retries()
    ));
    out
}

fn bytes(of: &Histogram) -> String {
    if of.count == 0 {
        return "none".to_owned();
    }
    let pages = |bytes: u64| bytes / 4096;
    let small = of.buckets.get(&12).copied().unwrap_or(0);
    format!(
        "{small} of {} one page; mean {} pages, most {}",
        of.count,
        pages(of.mean()),
        pages(of.max)
    )
}

fn inside(of: &OfMm, unit: Option<TimeUnit>) -> String {
    if of.inside.count == 0 {
        return "not recorded".to_owned();
    }
    let said = |value: u64| match unit {
        Some(TimeUnit::Nanoseconds { .. }) => format!("{} us", value / 1000),
        _ => format!("{value} ticks"),
    };
    format!("mean {}, longest {}", said(of.inside.mean()), said(of.inside.max))
}

#[derive(Serialize)]
struct Json<'a> {
    schema: &'static str,
    traces: Vec<Trace<'a>>,
}

#[derive(Serialize)]
struct Trace<'a> {
    name: &'a str,
    format: String,
    kernel: Option<&'static str>,
    clock: Option<String>,
    clock_orders_cpus: bool,
    events: u64,
    gaps: u64,
    error: Option<String>,
    rules: Vec<JsonRow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    casemate: Option<Casemate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    statistics: Option<Vec<Figures>>,
}

#[derive(Serialize)]
struct Casemate {
    theirs: Option<String>,
    same_question: bool,
    case_b: Beside,
    case_a: Beside,
}

#[derive(Serialize)]
struct Beside {
    checks: u64,
    violations: u64,
    line: Option<u64>,
    what: Option<&'static str>,
}

impl Beside {
    fn of(answer: &Answer) -> Beside {
        Beside {
            checks: answer.checks,
            violations: answer.violations,
            line: answer.first.map(|broken| broken.line),
            what: answer.first.map(|broken| broken.what),
        }
    }
}

#[derive(Serialize)]
struct JsonRow {
    rule: &'static str,
    name: &'static str,
    says: &'static str,
    mm: Option<String>,
    status: &'static str,
    why: Option<String>,
    checks: u64,
    coarse: u64,
    violations: u64,
    suspicions: u64,
    not_checked: Vec<Open>,
    findings: Vec<JsonFinding>,
}

#[derive(Serialize)]
struct Open {
    why: String,
    times: u64,
}

#[derive(Serialize)]
struct JsonFinding {
    id: String,
    code: String,
    certain: bool,
    what: &'static str,
    lacks: Option<String>,
    events: Vec<JsonEvent>,
}

#[derive(Serialize)]
struct JsonEvent {
    place: u64,
    time: u64,
    cpu: Option<u32>,
    thread: u32,
    thread_name: Option<String>,
    what: String,
    note: Option<&'static str>,
}

#[derive(Serialize)]
struct Figures {
    mm: String,
    ranges: std::collections::BTreeMap<&'static str, u64>,
    refused: u64,
    most_open: u64,
    ranges_of_everything: u64,
    mean_width: u64,
    mean_inside: u64,
    longest_inside: u64,
    invalidations: u64,
    invalidations_of_everything: u64,
    invalidations_outside: u64,
    invalidations_twice: u64,
    telling_ends: u64,
    ranges_by_invalidations: std::collections::BTreeMap<u64, u64>,
    guest_faults: u64,
    retries: u64,
}

/// All recordings as JSON.
///
/// # Errors
///
/// It cannot be written.
pub fn json(all: &[Checked], shown: &Shown<'_>) -> serde_json::Result<String> {
    let traces = all.iter().map(|checked| trace(checked, shown)).collect();
    serde_json::to_string_pretty(&Json { schema: SCHEMA, traces })
}

fn trace<'a>(checked: &'a Checked, shown: &Shown<'_>) -> Trace<'a> {
    let era = checked.known.map(|known| known.era);
    let rows = checked.report.rows.iter().filter(|row| shown.asked.wants(row.rule, row.mm));
    Trace {
        name: &checked.source.name,
        format: checked.source.format.to_string(),
        kernel: era.map(|era| era.read),
        clock: match &checked.clock {
            ClockSaid::Asked(name) | ClockSaid::Recorded(name) => Some(name.clone()),
            ClockSaid::Ticks => Some("counter or x86-tsc".to_owned()),
            ClockSaid::Unknown => None,
        },
        clock_orders_cpus: checked.report.clock == shootdown_trace::world::Clock::Ordered,
        events: checked.report.events,
        gaps: checked.report.gaps,
        error: checked.error.as_ref().map(ToString::to_string),
        rules: match checked.casemate {
            Some(_) => Vec::new(),
            None => rows.map(|row| json_row(row, checked, shown)).collect(),
        },
        casemate: checked.casemate.as_ref().map(|log| Casemate {
            theirs: log.theirs.clone(),
            same_question: log.overlap().is_some(),
            case_b: Beside::of(&log.replace),
            case_a: Beside::of(&log.table),
        }),
        statistics: shown.statistics.then(|| json_figures(checked)),
    }
}

fn json_row(row: &Row, checked: &Checked, shown: &Shown<'_>) -> JsonRow {
    let era = checked.known.map(|known| known.era);
    let (status, why, checks, coarse, violations) = match row.verdict {
        Verdict::Ok { checks, coarse } => ("ok", None, checks, coarse, 0),
        Verdict::Violation { violations, checks } => ("violated", None, checks, 0, violations),
        Verdict::NotChecked { why } => ("not_checked", Some(explain(why, era)), 0, 0, 0),
    };
    let about = row.rule.about();
    JsonRow {
        rule: row.rule.code(),
        name: about.name,
        says: about.says,
        mm: row.mm.map(|MmId(mm)| format!("{mm:#x}")),
        status,
        why,
        checks,
        coarse,
        violations,
        suspicions: row.suspicions,
        not_checked: open(row)
            .map(|(lack, times)| Open { why: explain(lack, era), times })
            .collect(),
        findings: told(row, shown).map(|finding| json_finding(finding, checked)).collect(),
    }
}

fn json_finding(finding: &Finding, checked: &Checked) -> JsonFinding {
    let era = checked.known.map(|known| known.era);
    JsonFinding {
        id: id(finding),
        code: finding.obligation.code().to_lowercase(),
        certain: finding.lacks.is_none(),
        what: finding.what,
        lacks: finding.lacks.map(|lack| explain(lack, era)),
        events: finding
            .chain
            .iter()
            .map(|link| JsonEvent {
                place: link.event.at.place,
                time: link.event.at.time,
                cpu: link.event.at.cpu,
                thread: link.event.at.thread,
                thread_name: checked.threads.get(&link.event.at.thread).cloned(),
                what: link.event.kind.to_string(),
                note: Some(link.note).filter(|note| !note.is_empty()),
            })
            .collect(),
    }
}

/// The same for the same finding of the same recording, whatever its file is called:
/// FNV-1a of the rule and of what its events say.
fn id(finding: &Finding) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut eat = |text: &str| {
        for byte in text.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    eat(finding.rule.code());
    for link in &finding.chain {
        eat(&link.event.at.time.to_string());
        eat(&link.event.at.thread.to_string());
        eat(&link.event.kind.to_string());
    }
    format!("{:012x}", hash >> 16)
}

fn json_figures(checked: &Checked) -> Vec<Figures> {
    let statistics = &checked.report.statistics;
    let each = statistics.of_each().map(|(MmId(mm), of)| Figures {
        mm: format!("{mm:#x}"),
        ranges: of.ranges.clone(),
        refused: of.refused,
        most_open: of.most_open,
        ranges_of_everything: of.whole,
        mean_width: of.widths.mean(),
        mean_inside: of.inside.mean(),
        longest_inside: of.inside.max,
        invalidations: of.invalidations,
        invalidations_of_everything: of.everything,
        invalidations_outside: of.outside,
        invalidations_twice: of.twice,
        telling_ends: of.telling_ends,
        ranges_by_invalidations: of.per_range.clone(),
        guest_faults: statistics.guest_faults,
        retries: statistics.retries(),
    });
    each.collect()
}
