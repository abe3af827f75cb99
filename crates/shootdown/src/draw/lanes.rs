//! A lane for each thread, as change logs draw races.
//!
//! One step happens at a time, so all the room to the right of a lane's start
//! is free when its thread takes a step: a long text runs over the lanes to the
//! right of it. So lanes stand as far apart as they can, and no further than the
//! longest text of each allows.

use shootdown_answers::timeline::{Row, Timeline};

use super::say;
use super::text::{ascii, wrap};

/// Between a lane's name or longest text and the next lane.
const GAP: usize = 3;
/// Less than this for the last lane's text is unreadable.
const LEAST: usize = 20;
/// A mark that is longer than this is broken without regret.
const MARK: usize = 34;
/// Steps inside of a function stand this far to the right of its name.
pub(super) const INDENT: usize = 2;
/// The second line of a broken one.
const HANG: usize = 4;

/// What a line of a lane says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// From here on the thread is in this function.
    Function,
    /// A step: its row.
    Step(usize),
    /// A mark of the step before; whether it says what is wrong.
    Mark(bool),
}

/// A line of a lane, before it is broken into several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) column: usize,
    pub(super) indent: usize,
    pub(super) what: What,
    pub(super) text: String,
}

impl Line {
    /// A mark may be broken; then it only needs room to be read.
    fn needs(&self) -> usize {
        let most = if matches!(self.what, What::Mark(_)) { MARK } else { usize::MAX };
        self.indent + self.text.len().min(most)
    }
}

/// A run as lines: the functions that threads enter, their steps, and marks.
pub(super) fn lines(timeline: &Timeline, user: impl Fn(usize) -> String) -> Vec<Line> {
    // Where each thread is: the functions that it has entered and not left.
    let mut inside: Vec<Vec<String>> = vec![Vec::new(); timeline.columns.len()];
    let home = home(timeline);
    let mut out = Vec::new();
    for (index, row) in timeline.rows.iter().enumerate() {
        let Some(inside) = inside.get_mut(row.column) else { continue };
        let function = say::function(timeline, row).map(ascii);
        let mut add = |indent, what, text| {
            out.push(Line { column: row.column, indent, what, text });
        };
        if let Some(head) = entered(inside, function.as_deref()) {
            add(0, What::Function, head + &away(row, home));
        }
        let indent = if function.is_some() { INDENT } else { 0 };
        add(indent, What::Step(index), say::step(row));
        for mark in &row.marks {
            add(indent, What::Mark(say::is_wrong(mark)), format!("^ {}", say::mark(mark, &user)));
        }
    }
    out
}

/// The heading when a thread goes from one function into another, or back.
fn entered(inside: &mut Vec<String>, function: Option<&str>) -> Option<String> {
    let Some(function) = function else {
        inside.clear();
        return None;
    };
    if inside.last().is_some_and(|last| last == function) {
        return None;
    }
    match inside.iter().position(|outer| outer == function) {
        Some(outer) => {
            inside.truncate(outer + 1);
            Some(format!("{function}() again"))
        }
        None => {
            inside.push(function.to_owned());
            Some(format!("{function}()"))
        }
    }
}

/// The file that the first step is in; line numbers without a file mean it.
pub(super) fn home(timeline: &Timeline) -> Option<&str> {
    timeline.rows.iter().find_map(|row| row.place.as_ref()).map(|place| &*place.file)
}

/// The file of a function, if it is another one.
fn away(row: &Row, home: Option<&str>) -> String {
    match &row.place {
        Some(place) if Some(&*place.file) != home => format!(" in {}", ascii(&place.file)),
        _ => String::new(),
    }
}

/// Which columns get a lane: all of them if they are few, otherwise those that
/// take a step.
pub(super) fn drawn(timeline: &Timeline, few: usize) -> Vec<usize> {
    let steps = |column: usize| timeline.rows.iter().any(|row| row.column == column);
    let all = 0..timeline.columns.len();
    if all.len() <= few { all.collect() } else { all.filter(|column| steps(*column)).collect() }
}

/// Where the lanes start.
#[derive(Clone, Debug)]
pub(super) struct Lanes {
    columns: Vec<usize>,
    starts: Vec<usize>,
    width: usize,
}

impl Lanes {
    /// Lanes for these columns in `width`; `None` if they do not fit.
    pub(super) fn new(
        columns: &[usize],
        names: &[String],
        lines: &[Line],
        width: usize,
    ) -> Option<Lanes> {
        let of = |column: usize| lines.iter().filter(move |line| line.column == column);
        let needs: Vec<usize> = columns
            .iter()
            .map(|column| {
                let longest = of(*column).map(Line::needs).max().unwrap_or(0);
                longest.max(names[*column].len())
            })
            .collect();
        let apart = columns.iter().map(|column| names[*column].len() + GAP).max()?;
        let last = columns.len() - 1;
        if last * apart + needs[last].min(LEAST).max(names[columns[last]].len()) > width {
            return None;
        }
        // From the right: as far left as the texts want, and their order allows.
        let mut latest = vec![0; columns.len()];
        let mut bound = width;
        for index in (0..columns.len()).rev() {
            let wanted = width.saturating_sub(needs[index]).max(index * apart);
            latest[index] = wanted.min(bound);
            bound = latest[index].saturating_sub(apart);
        }
        let mut natural = 0;
        let mut starts = Vec::new();
        for (need, latest) in needs.iter().zip(&latest) {
            starts.push(natural.min(*latest));
            natural += (need + GAP).max(apart);
        }
        Some(Lanes { columns: columns.to_vec(), starts, width })
    }

    /// The names above the lanes, and a rule below them.
    pub(super) fn head(&self, names: &[String]) -> [String; 2] {
        let mut head = self.bars(' ', '|');
        for (column, start) in self.columns.iter().zip(&self.starts) {
            put(&mut head, *start, &names[*column]);
        }
        [head, self.bars('-', '+')]
    }

    /// A line in its lane, broken where it does not fit; each with the bars
    /// that it does not run over.
    pub(super) fn draw(&self, line: &Line) -> Vec<String> {
        let lane = self.columns.iter().position(|column| *column == line.column);
        let start = lane.map_or(0, |lane| self.starts[lane]) + line.indent;
        // A mark moves to the left rather than take many lines.
        let start = match line.what {
            What::Mark(_) => start.min(self.width - line.text.len().min(LEAST).min(self.width)),
            _ => start,
        };
        let broken = wrap(&line.text, self.width.saturating_sub(start).max(1), HANG);
        let drawn = broken.iter().map(|part| {
            let mut out = self.bars(' ', '|');
            put(&mut out, start, part);
            out
        });
        drawn.collect()
    }

    /// A line with nothing in any lane.
    pub(super) fn empty(&self) -> String {
        self.bars(' ', '|')
    }

    fn bars(&self, blank: char, bar: char) -> String {
        let bars: Vec<usize> = self.starts.iter().skip(1).map(|start| start - 2).collect();
        (0..self.width).map(|at| if bars.contains(&at) { bar } else { blank }).collect()
    }
}

/// Writes over what is there; a bar that would touch the text is taken out.
fn put(line: &mut String, start: usize, text: &str) {
    let end = (start + text.len()).min(line.len());
    line.replace_range(start..end, &text[..end - start]);
    for touching in [start.checked_sub(1), Some(end)].into_iter().flatten() {
        if !text.is_empty() && line[touching..].starts_with('|') {
            line.replace_range(touching..=touching, " ");
        }
    }
    debug_assert!(line.is_ascii());
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    fn heads(timeline: &Timeline) -> Vec<String> {
        let lines = lines(timeline, |_| String::new()).into_iter();
        lines.filter(|line| line.what == What::Function).map(|line| line.text).collect()
    }

    #[test]
    fn a_function_is_named_when_it_is_entered() {
        assert_eq!(heads(&fixture::late_run()), ["wp_page_copy()"]);
        let heads = heads(&fixture::queue_run());
        assert_eq!(
            heads,
            ["zap_one()", "ats_invalidate() in <machine/ats-pasid>", "zap_one() again"]
        );
    }

    #[test]
    fn lanes_stand_apart_if_there_is_room_and_overlap_if_not() {
        let timeline = fixture::late_run();
        let names = ["CPU0", "CPU1", "DEV0"].map(str::to_owned);
        let lines = lines(&timeline, |_| String::new());
        let wide = Lanes::new(&[0, 1, 2], &names, &lines, 200).unwrap();
        assert_eq!(wide.starts, [0, 60, 89]);
        let narrow = Lanes::new(&[0, 1, 2], &names, &lines, 72).unwrap();
        assert_eq!(narrow.starts[0], 0);
        assert!(narrow.starts[1] >= 7 && narrow.starts[2] >= narrow.starts[1] + 7);
        assert!(Lanes::new(&[0, 1, 2], &names, &lines, 33).is_none());
    }

    #[test]
    fn a_bar_does_not_touch_a_text() {
        let mut line = "    |    |".to_owned();
        put(&mut line, 0, "abcd");
        assert_eq!(line, "abcd     |");
    }
}
