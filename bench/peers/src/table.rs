//! What was found, as text and as JSON, with the ratios of ours to each.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use crate::child::Usage;
use crate::family::{Policy, Size};
use crate::peer::{Answer, Figures, Mode};

/// All runs of one member of the family.
pub struct Group {
    pub size: Size,
    pub policy: Policy,
    pub rows: Vec<Row>,
}

/// One run.
pub struct Row {
    pub mode: Mode,
    pub answer: Answer,
    /// What it contradicts.
    pub complaint: Option<String>,
}

/// The heads of the columns and their widths; the first is to the left.
const COLUMNS: [(&str, usize); 10] = [
    ("", 18),
    ("verdict", 9),
    ("states", 11),
    ("transitions", 12),
    ("cpu s", 8),
    ("MiB", 8),
    ("steps", 6),
    ("states/ours", 12),
    ("cpu/ours", 9),
    ("MiB/ours", 9),
];

impl Group {
    /// As lines of text.
    pub fn text(&self) -> String {
        let mut text = format!("{}, {}\n", self.size, self.policy.name());
        text.push_str(&line(COLUMNS.map(|(head, _)| head.to_owned())));
        let ours = self.ours();
        for row in &self.rows {
            match &row.answer {
                Answer::Found(figures) => text.push_str(&line(cells(row.mode, figures, ours))),
                Answer::Missing { why, .. } => sentence(&mut text, row.mode, why),
                Answer::NotTried(why) => {
                    sentence(&mut text, row.mode, &format!("not tried: {why}"));
                }
                Answer::Stopped(why, Usage { cpu, peak, .. }) => {
                    let used = format!("{} cpu s, {} MiB", seconds(*cpu), mebibytes(*peak));
                    sentence(&mut text, row.mode, &format!("answer: {why} ({used})"));
                }
            }
            if let Some(complaint) = &row.complaint {
                sentence(&mut text, row.mode, &format!("WRONG: {complaint}"));
            }
        }
        text
    }

    /// As JSON; ratios are left out where there is nothing to divide by.
    pub fn json(&self) -> Value {
        let ours = self.ours();
        json!({
            "pages": self.size.pages,
            "devices": self.size.devices,
            "policy": self.policy.name(),
            "runs": self.rows.iter().map(|row| row.json(ours)).collect::<Vec<_>>(),
        })
    }

    fn ours(&self) -> Option<&Figures> {
        self.rows.iter().find_map(|row| match &row.answer {
            Answer::Found(figures) if row.mode == Mode::Ours => Some(figures),
            _ => None,
        })
    }
}

impl Row {
    fn json(&self, ours: Option<&Figures>) -> Value {
        let mut value = match &self.answer {
            Answer::Found(figures) => json!({
                "answer": figures.verdict.name(),
                "states": figures.states,
                "transitions": figures.transitions,
                "levels": figures.levels,
                "length": figures.length,
                "preparation_cpu_seconds": figures.preparation.as_secs_f64(),
                "to_ours": ours.filter(|_| self.mode != Mode::Ours).map(|ours| {
                    let [states, cpu, memory] = ratios(figures, ours);
                    json!({ "states": states, "cpu": cpu, "memory": memory })
                }),
            }),
            Answer::Missing { why, install } => {
                json!({ "answer": "missing", "why": why, "install": install })
            }
            Answer::NotTried(why) => json!({ "answer": "not tried", "why": why }),
            Answer::Stopped(why, _) => json!({ "answer": "none", "why": why }),
        };
        if let Answer::Found(Figures { usage, .. }) | Answer::Stopped(_, usage) = &self.answer {
            value["cpu_seconds"] = json!(usage.cpu.as_secs_f64());
            value["wall_seconds"] = json!(usage.wall.as_secs_f64());
            value["peak_bytes"] = json!(usage.peak);
        }
        value["mode"] = json!(self.mode.name());
        value["contradicts"] = json!(self.complaint);
        value
    }
}

/// A peer's states, processor time and memory, each divided by ours.
fn ratios(peer: &Figures, ours: &Figures) -> [Option<f64>; 3] {
    let ratio = |peer: f64, ours: f64| (ours > 0.0).then(|| peer / ours);
    [
        ratio(peer.states as f64, ours.states as f64),
        ratio(peer.usage.cpu.as_secs_f64(), ours.usage.cpu.as_secs_f64()),
        ratio(peer.usage.peak as f64, ours.usage.peak as f64),
    ]
}

fn cells(mode: Mode, figures: &Figures, ours: Option<&Figures>) -> [String; 10] {
    let count = |count: Option<u64>| count.map_or("-".to_owned(), thousands);
    let [states, cpu, memory] = match ours {
        Some(ours) if mode != Mode::Ours => ratios(figures, ours),
        _ => [None; 3],
    };
    let ratio = |ratio: Option<f64>| match ratio {
        None => "-".to_owned(),
        Some(ratio) if ratio < 10.0 => format!("{ratio:.2}"),
        Some(ratio) => thousands(ratio.round() as u64),
    };
    [
        mode.name().to_owned(),
        figures.verdict.name().to_owned(),
        thousands(figures.states),
        count(figures.transitions),
        seconds(figures.usage.cpu),
        mebibytes(figures.usage.peak),
        count(figures.length),
        ratio(states),
        ratio(cpu),
        ratio(memory),
    ]
}

fn line(cells: [String; 10]) -> String {
    let mut text = String::new();
    for (index, (cell, (_, width))) in cells.iter().zip(COLUMNS).enumerate() {
        let _ = match index {
            0 | 1 => write!(text, "  {cell:<width$}"),
            _ => write!(text, "{cell:>width$}"),
        };
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn sentence(text: &mut String, mode: Mode, what: &str) {
    let _ = writeln!(text, "  {:<18}  {what}", mode.name());
}

fn seconds(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 1.0 { format!("{seconds:.3}") } else { format!("{seconds:.1}") }
}

fn mebibytes(bytes: u64) -> String {
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    if mebibytes < 100.0 { format!("{mebibytes:.1}") } else { thousands(mebibytes.round() as u64) }
}

/// A number with commas.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Verdict;

    fn found(mode: Mode, states: u64, cpu: u64, peak: u64) -> Row {
        let usage = Usage { cpu: Duration::from_millis(cpu), peak, ..Usage::default() };
        let verdict = Verdict::Holds;
        let figures = Figures { verdict, states, usage, ..Figures::default() };
        Row { mode, answer: Answer::Found(figures), complaint: None }
    }

    fn group(rows: Vec<Row>) -> Group {
        Group { size: Size::new(4, 3), policy: Policy::UnderLock, rows }
    }

    #[test]
    fn ratios_are_of_ours() {
        let group = group(vec![
            found(Mode::Ours, 467_000, 100, 10 << 20),
            found(Mode::SpinReduced, 79_903_855, 326_000, 5400 << 20),
        ]);
        let text = group.text();
        assert!(text.starts_with("4 pages, 3 devices, under the lock\n"), "{text}");
        let spin = text.lines().last().expect("a line");
        let words: Vec<&str> = spin.split_whitespace().collect();
        assert_eq!(words[2..5], ["holds", "79,903,855", "-"], "{text}");
        assert_eq!(words[8..], ["171", "3,260", "540"], "{text}");
        assert_eq!(group.json()["runs"][1]["to_ours"]["memory"], 540.0);
        assert!(group.json()["runs"][0]["to_ours"].is_null());
    }

    #[test]
    fn what_is_missing_is_said() {
        let missing = Answer::Missing { why: "not built".to_owned(), install: "build".to_owned() };
        let mut rows = vec![Row { mode: Mode::Ours, answer: missing, complaint: None }];
        rows.push(found(Mode::Rumur, 829, 1, 1 << 20));
        rows[1].complaint = Some("829 states, known are 828".to_owned());
        let group = group(rows);
        let text = group.text();
        assert!(text.contains("  ours                not built\n"), "{text}");
        assert!(text.contains("WRONG: 829 states, known are 828"), "{text}");
        assert_eq!(group.json()["runs"][0]["install"], "build");
        assert!(group.json()["runs"][1]["to_ours"].is_null());
    }
}
