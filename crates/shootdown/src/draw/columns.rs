//! `--timeline columns`: the run for a terminal, with what each step changed.
//!
//! A lane for each thread, the number and the line of each step before it, and
//! beside it what is different afterwards. Marks stand on lines of their own
//! under the step. Line numbers are those of the file that the first step is
//! in; a function of another file is introduced with its file.

use shootdown_answers::timeline::{Row, Timeline};

use super::changelog::listed;
use super::lanes::{Lanes, Line, What, drawn, lines};
use super::paint::Paint;
use super::text::{and, ascii, pack, wrap};

/// The width if nobody says another.
pub const WIDTH: usize = 100;
/// On less nothing can be drawn; what is narrower gets this.
const NARROWEST: usize = 40;
/// More columns than this are only drawn if they take a step.
const FEW: usize = 6;
/// A line of a step is broken into this many; more is cut.
const LINES: usize = 3;

/// The run in at most `width` columns.
pub fn text(timeline: &Timeline, width: usize, paint: Paint) -> String {
    let width = width.max(NARROWEST);
    let mut drawing = Drawing::new(timeline, width, paint);
    let start = timeline.start.iter().map(|entry| ascii(entry)).filter(|entry| !entry.is_empty());
    let start: Vec<String> = start.collect();
    if !start.is_empty() {
        drawing.plain(&format!("at the start: {}", start.join("; ")), 14);
        drawing.out.push('\n');
    }
    if timeline.rows.is_empty() {
        drawing.plain("no step is taken", 0);
    } else {
        drawing.run();
        drawing.idle();
    }
    let end = ascii(&timeline.end);
    if !end.is_empty() {
        drawing.out.push('\n');
        drawing.plain(&end, 0);
    }
    drawing.out
}

struct Drawing<'a> {
    timeline: &'a Timeline,
    names: Vec<String>,
    columns: Vec<usize>,
    lines: Vec<Line>,
    paint: Paint,
    out: String,
    /// Of everything.
    width: usize,
    /// Of the number of a step, and of the number of a line.
    numbers: (usize, usize),
    /// Of what changed; 0 if nothing did.
    changes: usize,
}

impl<'a> Drawing<'a> {
    fn new(timeline: &'a Timeline, width: usize, paint: Paint) -> Drawing<'a> {
        let names = timeline.columns.iter().map(|column| ascii(&column.name)).collect();
        let line = timeline.rows.iter().filter_map(line_number).max();
        let longest =
            timeline.rows.iter().map(|row| changes(row).join(" ").len()).max().unwrap_or(0);
        let changes = if longest == 0 { 0 } else { longest.clamp(16, 34).min(width * 3 / 10) };
        Drawing {
            timeline,
            names,
            columns: drawn(timeline, FEW),
            lines: lines(timeline, |row| format!("step {}", row + 1)),
            paint,
            out: String::new(),
            width,
            numbers: (digits(timeline.rows.len()).max(2), line.map_or(4, digits).max(4)),
            changes,
        }
    }

    /// A text of its own, over the whole width.
    fn plain(&mut self, text: &str, hang: usize) {
        for line in wrap(text, self.width, hang) {
            self.out.push_str(&line);
            self.out.push('\n');
        }
    }

    fn run(&mut self) {
        let beside = if self.changes == 0 { 0 } else { self.changes + 3 };
        let gutter = self.numbers.0 + self.numbers.1 + 4;
        let room = self.width - beside - gutter;
        let names = std::mem::take(&mut self.names);
        let mut lanes = Lanes::new(&self.columns, &names, &self.lines, room);
        if lanes.is_none() {
            self.columns = drawn(self.timeline, 0);
            lanes = Lanes::new(&self.columns, &names, &self.lines, room);
        }
        if let Some(lanes) = &lanes {
            let [head, rule] = lanes.head(&names);
            let (number, line) = self.numbers;
            let title = format!("{:>number$}  {:>line$}  ", "#", "line");
            let changed = if self.changes == 0 { "" } else { " | changed" };
            let strong = self.paint.strong(format!("{title}{head}{changed}").trim_end());
            let below = if self.changes == 0 { "" } else { "-+-" };
            let blank = " ".repeat(gutter);
            let dashes = "-".repeat(self.changes);
            self.out.push_str(&format!("{strong}\n{blank}{rule}{below}{dashes}\n"));
        }
        for line in std::mem::take(&mut self.lines) {
            let drawn = match &lanes {
                Some(lanes) => lanes.draw(&line),
                None => listed(&line, &names, room),
            };
            let empty = lanes.as_ref().map_or(String::new(), Lanes::empty);
            match line.what {
                What::Step(row) => self.step(row, shortened(drawn), &empty, room),
                What::Mark(wrong) => self.beside_nothing(&drawn, room, |paint, text| {
                    if wrong { paint.bad(text) } else { paint.open(text) }
                }),
                What::Function => {
                    self.beside_nothing(&drawn, room, |_, text| text.to_owned());
                }
            }
        }
        self.names = names;
    }

    /// A step, with its numbers before it and its changes beside it.
    fn step(&mut self, index: usize, drawn: Vec<String>, empty: &str, room: usize) {
        let row = &self.timeline.rows[index];
        let (number, line) = self.numbers;
        let at = line_number(row).map_or(String::new(), |at| at.to_string());
        let mut before = format!("{:>number$}  {at:>line$}", index + 1);
        let changes = shortened(pack(&changes(row), self.changes.max(1), 0));
        for at in 0..drawn.len().max(changes.len()) {
            let text = drawn.get(at).map_or(empty, String::as_str);
            let change = changes.get(at).map_or("", String::as_str);
            let bar = if self.changes == 0 { "" } else { " | " };
            let line = format!("{before}  {text:<room$}{bar}{change}");
            self.out.push_str(line.trim_end());
            self.out.push('\n');
            before = " ".repeat(before.len());
        }
    }

    /// A line that changes nothing. Only its own text is painted.
    fn beside_nothing(
        &mut self,
        drawn: &[String],
        room: usize,
        painted: impl Fn(Paint, &str) -> String,
    ) {
        let gutter = self.numbers.0 + self.numbers.1 + 4;
        for text in drawn {
            let bar = if self.changes == 0 { "" } else { " |" };
            let line = format!("{:gutter$}{text:<room$}{bar}", "");
            let line = line.trim_end();
            let bars = |c: char| c == ' ' || c == '|';
            let start = line.len() - line.trim_start_matches(bars).len();
            let end = line.trim_end_matches(bars).len().max(start);
            self.out.push_str(&line[..start]);
            self.out.push_str(&painted(self.paint, &line[start..end]));
            self.out.push_str(&line[end..]);
            self.out.push('\n');
        }
    }

    /// Who has no lane, so that nobody looks for him.
    fn idle(&mut self) {
        let all = 0..self.names.len();
        let left_out: Vec<&str> =
            all.filter(|at| !self.columns.contains(at)).map(|at| &*self.names[at]).collect();
        if !left_out.is_empty() {
            let verb = if left_out.len() == 1 { "takes" } else { "take" };
            let text = format!("{} {verb} no step", and(&left_out));
            self.out.push('\n');
            self.plain(&text, 2);
        }
    }
}

fn digits(number: impl ToString) -> usize {
    number.to_string().len()
}

fn line_number(row: &Row) -> Option<u32> {
    row.place.as_ref().map(|place| place.line)
}

/// What a step changed, in pieces between which a line may end.
fn changes(row: &Row) -> Vec<String> {
    let texts = row.changes.iter().map(|change| ascii(&change.text));
    let mut pieces: Vec<String> = texts.filter(|text| !text.is_empty()).collect();
    if let Some((_, others)) = pieces.split_last_mut() {
        others.iter_mut().for_each(|piece| piece.push(';'));
    }
    pieces
}

/// At most [`LINES`] lines; the last says that there was more.
fn shortened(mut lines: Vec<String>) -> Vec<String> {
    if lines.len() > LINES {
        lines.truncate(LINES);
        if let Some(last) = lines.last_mut() {
            last.truncate(last.trim_end_matches([' ', '|']).len().saturating_sub(2));
            last.push_str("..");
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    fn plain(timeline: &Timeline, width: usize) -> String {
        text(timeline, width, Paint::plain())
    }

    #[test]
    fn a_cow_with_late_notification() {
        let expected = "\
at the start: a -> Fa ro

 #  line  P0      | P1 | D0                                         | changed
          --------+----+--------------------------------------------+-------------------------------
          wp_page_copy()                                            |
 1    22    new = alloc_page()                                      | F1 taken by mm
 2    24    copy_page(new, old)                                     |
 3    25    mmu_notifier_invalidate_range_start(vmf->address)       | range a open
 4    26    vmf->pte = pte_offset_map_lock(vmf->address, &vmf->ptl) | ptl(a): P0
 5    34    ptep_clear_flush(vmf->pte)                              | a: Fa ro -> none;
                  |    |                                            | CPUs forget a
            ^ T has read a -> Fa ro by now, for step 10             |
 6    38    set_pte_at(vmf->pte, mk_pte(new, RW))                   | a: none -> F1 rw
            ^ NEW is broken here                                    |
 7    55          | WRITE_ONCE(*a, 1)                               | F1 = {1}
 8    55          | smp_store_release(bell, 1)                      | [bell] = 1
 9    58          |    | rung = smp_load_acquire(bell)  // rung = 1 |
10    59          |    | data = READ_ONCE(*a)  // data = 0          |
                  |    | ^ through a -> Fa ro, stale in T           |
                  |    | ^ ideal memory cannot end like this        |

D0 saw the bell, and then the data of before: new data, then old.
";
        assert_eq!(plain(&fixture::late_run(), WIDTH), expected);
    }

    #[test]
    fn a_line_that_does_not_fit_is_broken_and_a_long_one_cut() {
        let mut timeline = fixture::late_run();
        timeline.rows[0].what = "argument, ".repeat(90);
        let text = plain(&timeline, 80);
        assert_eq!(text.matches("argument").count(), 9, "{text}");
        assert!(text.contains(".."), "{text}");
    }

    #[test]
    fn long_names_make_a_list() {
        let mut timeline = fixture::late_run();
        timeline.columns[1].name = "a_thread_with_a_name_that_goes_on_and_on".to_owned();
        let text = plain(&timeline, WIDTH);
        assert!(text.contains("a_thread_with_a_na..: WRITE_ONCE(*a, 1)"), "{text}");
        assert!(text.contains("P0:   ptep_clear_flush(vmf->pte)"), "{text}");
    }

    #[test]
    fn many_columns_leave_out_who_does_nothing() {
        let mut timeline = fixture::free_run();
        for number in 1..5 {
            let kind = shootdown_answers::timeline::ColumnKind::Guest;
            timeline.columns.push(fixture::column(&format!("V{number}"), kind, number));
        }
        let text = plain(&timeline, WIDTH);
        assert!(text.contains("\nV1, V2, V3 and V4 take no step\n"), "{text}");
    }

    #[test]
    fn nothing_is_wider_than_asked() {
        let mut dice = fixture::Dice(2);
        for round in 0..2000 {
            let timeline = dice.run();
            let width = [0, 40, 72, 80, 100, 250][round % 6];
            let text = plain(&timeline, width);
            for line in text.lines() {
                assert!(line.len() <= width.max(NARROWEST), "{} wide:\n{text}", line.len());
                assert!(line.is_ascii() && line.trim_end() == line, "{text:?}");
            }
        }
    }

    #[test]
    fn colours_change_nothing_else() {
        let timeline = fixture::late_run();
        let mut coloured = text(&timeline, WIDTH, Paint::new(true));
        assert!(coloured.contains("\x1b[1;31m^ NEW is broken here\x1b[0m"), "{coloured:?}");
        for code in ["1;31", "33", "1", "0"] {
            coloured = coloured.replace(&format!("\x1b[{code}m"), "");
        }
        assert_eq!(coloured, plain(&timeline, WIDTH));
    }

    #[test]
    fn a_run_of_nobody() {
        assert_eq!(plain(&Timeline::default(), WIDTH), "no step is taken\n");
    }
}
