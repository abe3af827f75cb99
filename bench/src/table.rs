//! The table: ours, the peer beside it, and what was to be reached.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::timing::Time;

/// Everything that was measured, by the name of the case.
#[derive(Default)]
pub struct Figures {
    pub times: BTreeMap<&'static str, Time>,
    /// Instructions of a step, the empty case taken off.
    pub counts: BTreeMap<&'static str, f64>,
}

/// What was to be reached.
#[derive(Clone, Copy)]
pub enum Target {
    /// Nanoseconds at most.
    Nanoseconds(f64),
    /// Instructions at most those of the peer.
    PeersInstructions,
}

/// One line of the table.
pub struct Row {
    pub what: &'static str,
    /// The cases.
    pub ours: &'static str,
    pub peer: Option<&'static str>,
    /// What the peer is called in the table.
    pub peer_is: &'static str,
    pub target: Option<Target>,
}

/// Lines that are read together.
pub struct Section {
    pub title: &'static str,
    pub rows: Vec<Row>,
    /// What is fair here and what is not.
    pub note: &'static str,
}

impl Section {
    /// As Markdown. A column for which there are no figures at all is left out.
    pub fn markdown(&self, figures: &Figures) -> String {
        let (timed, counted) = (!figures.times.is_empty(), self.is_counted(figures));
        let mut heads = vec!["what"];
        if timed {
            heads.push("ours, ns");
        }
        if counted {
            heads.push("instructions");
        }
        heads.push("peer");
        if timed {
            heads.push("peer, ns");
        }
        if counted {
            heads.push("instructions");
        }
        if timed {
            heads.push("ours/peer");
        }
        heads.extend(["target", "reached"]);

        let mut text = format!("### {}\n\n", self.title);
        line(&mut text, heads.iter().map(|head| (*head).to_owned()));
        let rules = heads.iter().map(|head| match *head {
            "what" | "peer" | "target" | "reached" => "---".to_owned(),
            _ => "---:".to_owned(),
        });
        line(&mut text, rules);
        for row in &self.rows {
            row.markdown(figures, timed, counted, &mut text);
        }
        let _ = writeln!(text, "\n{}\n", self.note);
        text
    }

    fn is_counted(&self, figures: &Figures) -> bool {
        self.rows.iter().any(|row| figures.counts.contains_key(row.ours))
    }
}

impl Row {
    fn markdown(&self, figures: &Figures, timed: bool, counted: bool, text: &mut String) {
        let time = |case: Option<&str>| case.and_then(|case| figures.times.get(case)).copied();
        let count = |case: Option<&str>| case.and_then(|case| figures.counts.get(case)).copied();
        let (ours, peer) = (time(Some(self.ours)), time(self.peer));
        let (our_count, peer_count) = (count(Some(self.ours)), count(self.peer));
        let mut cells = vec![self.what.to_owned()];
        if timed {
            cells.push(shown(ours));
        }
        if counted {
            cells.push(whole(our_count));
        }
        cells.push(self.peer_is.to_owned());
        if timed {
            cells.push(shown(peer));
        }
        if counted {
            cells.push(whole(peer_count));
        }
        if timed {
            cells.push(match (ours, peer) {
                (Some(ours), Some(peer)) => format!("{:.2}", ours.min / peer.min),
                _ => String::new(),
            });
        }
        let (target, reached) = match self.target {
            None => (String::new(), String::new()),
            Some(Target::Nanoseconds(most)) => (
                format!("{most} ns"),
                ours.map_or("not measured", |time| reached(time, most)).to_owned(),
            ),
            Some(Target::PeersInstructions) => (
                "instructions of the peer".to_owned(),
                match (our_count, peer_count) {
                    // The share of what surrounds the loop is below one.
                    (Some(ours), Some(peer)) if ours.round() <= peer.round() => "yes".to_owned(),
                    (Some(ours), Some(peer)) => format!("no: {:+.0}", ours - peer),
                    _ => "not counted".to_owned(),
                },
            ),
        };
        cells.extend([target, reached]);
        line(text, cells);
    }
}

fn reached(time: Time, most: f64) -> &'static str {
    if time.median <= most {
        "yes"
    } else if time.min <= most {
        "at best"
    } else {
        "no"
    }
}

/// Minimum and median.
fn shown(time: Option<Time>) -> String {
    match time {
        Some(Time { min, median }) if min < 100.0 => format!("{min:.1} / {median:.1}"),
        Some(Time { min, median }) => format!("{min:.0} / {median:.0}"),
        None => String::new(),
    }
}

fn whole(count: Option<f64>) -> String {
    count.map_or(String::new(), |count| format!("{count:.0}"))
}

/// One line of a Markdown table.
pub fn line(text: &mut String, cells: impl IntoIterator<Item = String>) {
    text.push('|');
    for cell in cells {
        let _ = write!(text, " {cell} |");
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_was_reached() {
        let section = Section {
            title: "T",
            rows: vec![Row {
                what: "w",
                ours: "a",
                peer: Some("b"),
                peer_is: "p",
                target: Some(Target::Nanoseconds(3.0)),
            }],
            note: "n",
        };
        let mut figures = Figures::default();
        figures.times.insert("a", Time { min: 2.0, median: 4.0 });
        figures.times.insert("b", Time { min: 4.0, median: 5.0 });
        let text = section.markdown(&figures);
        assert!(
            text.contains("| w | 2.0 / 4.0 | p | 4.0 / 5.0 | 0.50 | 3 ns | at best |"),
            "{text}"
        );
        assert!(!text.contains("instructions"), "{text}");
    }

    #[test]
    fn without_times_only_counts_are_shown() {
        let section = Section {
            title: "T",
            rows: vec![Row {
                what: "w",
                ours: "a",
                peer: Some("b"),
                peer_is: "p",
                target: Some(Target::PeersInstructions),
            }],
            note: "n",
        };
        let mut figures = Figures::default();
        figures.counts.insert("a", 12.0);
        figures.counts.insert("b", 10.0);
        let text = section.markdown(&figures);
        assert!(text.contains("| w | 12 | p | 10 | instructions of the peer | no: +2 |"), "{text}");
        assert!(!text.contains(" ns"), "{text}");
    }
}
