//! `shootdown trace`: did the kernel that was recorded follow the protocol?

use std::fs;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use mmu_protocol::MmId;
use shootdown_trace::check::{self, Checked, Options};
use shootdown_trace::finding::Finding;
use shootdown_trace::monitor::Verdict;
use shootdown_trace::read::Reader;
use shootdown_trace::rules::Rule;
use shootdown_trace::{era, litmus, meaning};

use super::status::Status;
use crate::draw::{Paint, trace as draw};

/// What `trace` is told.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// Recordings; `-` is standard input. Text of tracefs, trace-cmd report, perf script
    /// and our bpftrace program, trace.dat, each also with gzip or zstd
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// The kernel that was recorded, such as 6.12, where the recording does not say
    #[arg(long, value_name = "VERSION")]
    pub kernel: Option<String>,
    /// The clock of the recording, where it does not say: local, mono, counter ...
    #[arg(long, value_name = "NAME")]
    pub clock: Option<String>,
    /// Only these rules: R1 to R8, D1 to D3 (may be given several times)
    #[arg(long, value_name = "RULE")]
    pub rule: Vec<String>,
    /// Only this address space: the mm's address, in hexadecimal
    #[arg(long, value_name = "ADDRESS")]
    pub mm: Option<String>,
    /// How many findings of each rule are told
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub show: usize,
    /// Also figures: ranges by event, times, invalidations, retries
    #[arg(long)]
    pub statistics: bool,
    /// Write the first violation as a litmus test, for `check`
    #[arg(long, value_name = "FILE")]
    pub to_litmus: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Which rows are asked for.
#[derive(Default)]
pub struct Asked {
    rules: Vec<Rule>,
    mm: Option<MmId>,
}

impl Asked {
    /// Whether this row is.
    pub fn wants(&self, rule: Rule, mm: Option<MmId>) -> bool {
        (self.rules.is_empty() || self.rules.contains(&rule))
            && (self.mm.is_none() || self.mm == mm)
    }
}

fn wrong(why: &dyn std::fmt::Display) -> Status {
    eprintln!("shootdown: {why}");
    Status { input: true, ..Status::default() }
}

/// Runs the command.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Status {
    let (options, asked) = match understood(arguments) {
        Ok(understood) => understood,
        Err(why) => return wrong(&why),
    };
    let mut status = Status::default();
    let mut all = Vec::new();
    for file in &arguments.files {
        let checked = match Reader::open(file, &meaning::wanted()) {
            Ok(reader) => check::check(reader, &options, |_| {}),
            Err(error) => {
                eprintln!("shootdown: {error}");
                status.input = true;
                continue;
            }
        };
        if let Some(error) = &checked.error {
            eprintln!("shootdown: {error}; what was read before it is checked");
            status.input = true;
        }
        status = status.and(of(&checked, &asked));
        all.push(checked);
    }
    if let Some(file) = &arguments.to_litmus {
        status = status.and(write_litmus(file, &all, &asked));
    }
    let shown =
        draw::Shown { asked: &asked, findings: arguments.show, statistics: arguments.statistics };
    let text = if arguments.json {
        match draw::json(&all, &shown) {
            Ok(json) => json + "\n",
            Err(error) => {
                eprintln!("shootdown: the report could not be written as json: {error}");
                return Status { internal: true, ..Status::default() };
            }
        }
    } else {
        draw::text(&all, &shown, Paint::new(std::io::stdout().is_terminal()))
    };
    // A reader that has seen enough (`| head`) is no error.
    let _ = out.write_all(text.as_bytes());
    status
}

fn understood(arguments: &Arguments) -> Result<(Options, Asked), String> {
    let era = arguments.kernel.as_deref().map(era::of_version).transpose()?;
    let rules = arguments.rule.iter().flat_map(|list| list.split(',')).map(|code| {
        Rule::of(code).ok_or_else(|| format!("`{code}` is no rule; they are R1 to R8, D1 to D3"))
    });
    let mm = arguments.mm.as_deref().map(|text| {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        u64::from_str_radix(digits, 16)
            .map(MmId)
            .map_err(|_| format!("`{text}` is no address of an mm; it is hexadecimal"))
    });
    let asked = Asked { rules: rules.collect::<Result<_, _>>()?, mm: mm.transpose()? };
    Ok((Options { era, clock: arguments.clock.clone() }, asked))
}

/// Something broken; or nothing checked.
fn of(checked: &Checked, asked: &Asked) -> Status {
    if let Some(log) = &checked.casemate {
        let (differs, held) = (log.violated(), log.exercised());
        return Status { differs, open: !differs && !held, ..Status::default() };
    }
    let rows = || checked.report.rows.iter().filter(|row| asked.wants(row.rule, row.mm));
    let violated = rows().any(|row| matches!(row.verdict, Verdict::Violation { .. }));
    let held = rows().any(|row| matches!(row.verdict, Verdict::Ok { .. }));
    Status { differs: violated, open: !violated && !held, ..Status::default() }
}

fn write_litmus(file: &Path, all: &[Checked], asked: &Asked) -> Status {
    let found = all.iter().find_map(|checked| {
        let rows = checked.report.rows.iter().filter(|row| asked.wants(row.rule, row.mm));
        let mut findings = rows.flat_map(|row| &row.findings);
        findings.find_map(|finding| {
            let certain = finding.lacks.is_none();
            let text = certain.then(|| of_finding(finding, checked)).flatten()?;
            Some((text, finding))
        })
    });
    let Some((text, finding)) = found else {
        eprintln!(
            "shootdown: {}: not written: no violation that has a litmus form was found (R1, R4 to \
             R7, D1 to D3, and R2 where a refused range has an end)",
            file.display()
        );
        return Status { open: true, ..Status::default() };
    };
    match fs::write(file, text) {
        Ok(()) => {
            eprintln!(
                "shootdown: {}: {} as a litmus test, to be refuted for {}",
                file.display(),
                finding.rule,
                litmus::refuted_as(finding.rule)
            );
            Status::default()
        }
        Err(error) => wrong(&format!("{}: cannot be written: {error}", file.display())),
    }
}

/// The litmus test of a finding.
pub fn of_finding(finding: &Finding, checked: &Checked) -> Option<String> {
    let name = Path::new(&checked.source.name).file_name();
    let name = name.map_or(checked.source.name.clone(), |name| name.to_string_lossy().into_owned());
    litmus::litmus(finding, &name, |event| draw::line(event, checked))
}
