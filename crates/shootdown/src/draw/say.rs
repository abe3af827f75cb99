//! Names and sentences that every form of a timeline uses.

use shootdown_answers::timeline::{Column, ColumnKind, Mark, Place, Row, Timeline};

use super::text::ascii;

/// `CPU0`, `DEV2`, `VCPU1`, the name of a queue, `CPU0 buffer`.
pub(super) fn short(timeline: &Timeline, column: &Column) -> String {
    numbered(timeline, column, "")
}

/// `CPU-thread-0`, `DEV-thread-2`, ...
pub(super) fn long(timeline: &Timeline, column: &Column) -> String {
    numbered(timeline, column, "-thread-")
}

fn numbered(timeline: &Timeline, column: &Column, between: &str) -> String {
    let number = column.number;
    match column.kind {
        ColumnKind::Cpu => format!("CPU{between}{number}"),
        ColumnKind::Device => format!("DEV{between}{number}"),
        ColumnKind::Guest => format!("VCPU{between}{number}"),
        ColumnKind::Queue => ascii(&column.name),
        ColumnKind::Buffer => match timeline.columns.get(number as usize) {
            // A buffer of a buffer would never end.
            Some(owner) if owner.kind != ColumnKind::Buffer => {
                format!("{} buffer", numbered(timeline, owner, between))
            }
            _ => ascii(&column.name),
        },
    }
}

/// The function that a thread is in. Hardware that executes what a thread left
/// behind is in none, whatever the thread was in.
pub(super) fn function<'a>(timeline: &Timeline, row: &'a Row) -> Option<&'a str> {
    let kind = timeline.columns.get(row.column).map(|column| column.kind);
    let hardware = matches!(kind, Some(ColumnKind::Queue | ColumnKind::Buffer));
    row.function.as_deref().filter(|name| !hardware && !name.trim().is_empty())
}

/// A step and what came of it: `data = READ_ONCE(*a)  // data = 0`.
pub(super) fn step(row: &Row) -> String {
    let what = ascii(&row.what);
    match row.result.as_deref().map(ascii) {
        Some(result) if !result.is_empty() => format!("{what}  // {result}"),
        _ => what,
    }
}

/// A mark as a sentence; `user` names who uses an entry in a row.
pub(super) fn mark(mark: &Mark, user: impl Fn(usize) -> String) -> String {
    ascii(&match mark {
        Mark::Fill { tlb, entry, used_by } => {
            format!("{tlb} has read {entry} by now, for {}", user(*used_by))
        }
        Mark::Stale { tlb, entry } => {
            format!("through {entry}, stale in {tlb}")
        }
        Mark::Breaks { obligation } => broken(obligation),
        Mark::Impossible => "ideal memory cannot end like this".to_owned(),
    })
}

/// The thread of a row, for a form without numbers: `DEV0`.
pub(super) fn thread(timeline: &Timeline, row: usize, name: Named) -> String {
    let row = timeline.rows.get(row);
    let column = row.and_then(|row| timeline.columns.get(row.column));
    column.map_or("a later step".to_owned(), |column| name(timeline, column))
}

/// [`short`] or [`long`].
pub(super) type Named = fn(&Timeline, &Column) -> String;

/// Obligations are broken; a deadlock, an undefined access and the like happen.
fn broken(code: &str) -> String {
    if code.starts_with(|c: char| c.is_ascii_uppercase()) {
        format!("{code} is broken here")
    } else {
        format!("{code} here")
    }
}

/// Whether a mark says what is wrong, and not how it came about.
pub(super) fn is_wrong(mark: &Mark) -> bool {
    matches!(mark, Mark::Breaks { .. } | Mark::Impossible)
}

/// `cow.litmus:37`
pub(super) fn place(place: &Place) -> String {
    format!("{}:{}", super::text::one_line(&place.file), place.line)
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn who_takes_a_step() {
        let timeline = fixture::queue_run();
        let names = |of: fn(&Timeline, &Column) -> String| -> Vec<String> {
            timeline.columns.iter().map(|column| of(&timeline, column)).collect()
        };
        assert_eq!(names(short), ["CPU0", "CPU1", "DEV0", "Q", "CPU0 buffer"]);
        assert_eq!(
            names(long),
            ["CPU-thread-0", "CPU-thread-1", "DEV-thread-0", "Q", "CPU-thread-0 buffer"]
        );
    }

    #[test]
    fn a_buffer_of_nobody_keeps_its_name() {
        let column = Column { name: "B9".to_owned(), kind: ColumnKind::Buffer, number: 0 };
        let timeline = Timeline { columns: vec![column.clone()], ..Timeline::default() };
        assert_eq!(short(&timeline, &column), "B9");
    }

    #[test]
    fn marks_are_sentences() {
        let step = |row| format!("step {}", row + 1);
        assert_eq!(mark(&Mark::Breaks { obligation: "NEW" }, step), "NEW is broken here");
        assert_eq!(mark(&Mark::Breaks { obligation: "deadlock" }, step), "deadlock here");
        let fill = Mark::Fill { tlb: "T".to_owned(), entry: "a -> Fa ro".to_owned(), used_by: 8 };
        assert_eq!(mark(&fill, step), "T has read a -> Fa ro by now, for step 9");
    }
}
