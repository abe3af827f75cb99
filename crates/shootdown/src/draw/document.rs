//! `--timeline document`: the form of the kernel's `mm/mmu_notifier.rst`.
//!
//! A block for each time, in it a line for each thread: what it does, `{}` for
//! nothing, `{preempted}` for a CPU in the middle of a function. Where the
//! document lets threads act at one time, here one block has the steps of one
//! thread, as many as it takes before another thread does anything: so nobody
//! has to guess which came first. Marks follow the block, behind a caret.
//!
//! A CPU is in the middle of a function if its last step was in one, unless
//! that step returned from it or the thread goes on outside.

use shootdown_answers::timeline::{ColumnKind, Row, Timeline};

use super::say;
use super::text::{ascii, cut, pack, wrap};

/// The width of a line of the document.
const WIDTH: usize = 78;
/// Longer names of threads are cut.
const NAME: usize = 24;

/// The blocks, and what is wrong at the end.
pub fn text(timeline: &Timeline) -> String {
    let mut out = String::new();
    let start = timeline.start.iter().map(|entry| ascii(entry)).filter(|entry| !entry.is_empty());
    let start: Vec<String> = start.collect();
    if !start.is_empty() {
        paragraph(&mut out, " ", &format!("start: {}", start.join("; ")), 7);
    }
    let shown = shown(timeline);
    let sentence = |mark| say::mark(mark, |row| say::thread(timeline, row, say::long));
    let name = |column: usize| cut(&say::long(timeline, &timeline.columns[column]), NAME);
    let longest = shown.iter().map(|column| name(*column).len()).max().unwrap_or(0);
    for (time, block) in blocks(&timeline.rows).into_iter().enumerate() {
        let time = if time == 0 { "N".to_owned() } else { format!("N+{time}") };
        let head = format!("[Time {time}] ");
        out.push_str(&format!(" {head}{}\n", "-".repeat(WIDTH - 1 - head.len())));
        let rows = &timeline.rows[block.clone()];
        for column in &shown {
            let does = if rows[0].column == *column {
                steps(timeline, rows)
            } else if preempted(timeline, *column, block.start) {
                vec!["{preempted}".to_owned()]
            } else {
                vec!["{}".to_owned()]
            };
            let before = format!(" {:<longest$}  ", name(*column));
            put(&mut out, &before, &pack(&does, WIDTH - before.len(), 1));
        }
        for (offset, row) in rows.iter().enumerate() {
            for mark in &row.marks {
                let at = if rows.len() == 1 { String::new() } else { at(rows, offset) };
                paragraph(&mut out, "   ^ ", &format!("{at}{}", sentence(mark)), 2);
            }
        }
    }
    let end = ascii(&timeline.end);
    if !end.is_empty() {
        paragraph(&mut out, " ", &end, 0);
    }
    out
}

fn paragraph(out: &mut String, before: &str, text: &str, hang: usize) {
    put(out, before, &wrap(text, WIDTH - before.len(), hang));
}

fn put(out: &mut String, before: &str, lines: &[String]) {
    for (index, line) in lines.iter().enumerate() {
        let before = if index == 0 { before.to_owned() } else { " ".repeat(before.len()) };
        out.push_str(format!("{before}{line}").trim_end());
        out.push('\n');
    }
}

/// Which columns get a line: threads always, hardware if it takes a step.
fn shown(timeline: &Timeline) -> Vec<usize> {
    let steps = |column: usize| timeline.rows.iter().any(|row| row.column == column);
    let all = timeline.columns.iter().enumerate();
    let shown = all.filter(|(index, column)| match column.kind {
        ColumnKind::Cpu | ColumnKind::Device | ColumnKind::Guest => true,
        ColumnKind::Queue | ColumnKind::Buffer => steps(*index),
    });
    shown.map(|(index, _)| index).collect()
}

/// Steps of one thread that no other thread's step separates.
fn blocks(rows: &[Row]) -> Vec<std::ops::Range<usize>> {
    let mut blocks: Vec<std::ops::Range<usize>> = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        match blocks.last_mut() {
            Some(block) if rows[block.start].column == row.column => block.end = index + 1,
            _ => blocks.push(index..index + 1),
        }
    }
    blocks
}

/// `{wp_page_copy: {ptep_clear_flush(vmf->pte);`, `set_pte_at(...)}}`: with its
/// brackets, in pieces between which a line may end.
fn steps(timeline: &Timeline, rows: &[Row]) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    let mut inside: Option<&str> = None;
    for (index, row) in rows.iter().enumerate() {
        let function = say::function(timeline, row);
        let mut piece = step(row);
        if let Some(function) = function.filter(|_| inside != function) {
            piece = format!("{}: {{{piece}", ascii(function));
        }
        if index == 0 {
            piece.insert(0, '{');
        }
        let next = rows.get(index + 1);
        if function.is_some() && next.is_none_or(|next| say::function(timeline, next) != function) {
            piece.push('}');
        }
        piece.push(if next.is_some() { ';' } else { '}' });
        pieces.push(piece);
        inside = function;
    }
    pieces
}

/// A comment would swallow the brace, so what came of a step is in brackets.
fn step(row: &Row) -> String {
    let what = ascii(&row.what);
    match row.result.as_deref().map(ascii) {
        Some(result) if !result.is_empty() => format!("{what} [{result}]"),
        _ => what,
    }
}

/// Which step of a block a mark belongs to.
fn at(rows: &[Row], offset: usize) -> String {
    let what = ascii(&rows[offset].what);
    let same = rows.iter().filter(|row| ascii(&row.what) == what).count();
    let nth = rows[..=offset].iter().filter(|row| ascii(&row.what) == what).count();
    let nth = if same == 1 { String::new() } else { format!(" (number {nth})") };
    format!("{what}{nth}: ")
}

fn preempted(timeline: &Timeline, column: usize, now: usize) -> bool {
    if !matches!(timeline.columns[column].kind, ColumnKind::Cpu | ColumnKind::Guest) {
        return false;
    }
    let mine = |row: &&Row| row.column == column;
    let Some(last) = timeline.rows[..now].iter().rev().find(mine) else { return false };
    let goes_on = match timeline.rows[now..].iter().find(mine) {
        Some(next) => say::function(timeline, next).is_some(),
        None => true,
    };
    let inside = say::function(timeline, last).is_some();
    inside && goes_on && !last.what.trim_start().starts_with("return")
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{self, With};
    use super::*;

    #[test]
    fn a_cow_with_late_notification() {
        let expected = " start: a -> Fa ro
 [Time N] --------------------------------------------------------------------
 CPU-thread-0  {wp_page_copy: {new = alloc_page(); copy_page(new, old);
                mmu_notifier_invalidate_range_start(vmf->address);
                vmf->pte = pte_offset_map_lock(vmf->address, &vmf->ptl);
                ptep_clear_flush(vmf->pte);
                set_pte_at(vmf->pte, mk_pte(new, RW))}}
 CPU-thread-1  {}
 DEV-thread-0  {}
   ^ ptep_clear_flush(vmf->pte): T has read a -> Fa ro by now, for
       DEV-thread-0
   ^ set_pte_at(vmf->pte, mk_pte(new, RW)): NEW is broken here
 [Time N+1] ------------------------------------------------------------------
 CPU-thread-0  {preempted}
 CPU-thread-1  {WRITE_ONCE(*a, 1); smp_store_release(bell, 1)}
 DEV-thread-0  {}
 [Time N+2] ------------------------------------------------------------------
 CPU-thread-0  {preempted}
 CPU-thread-1  {}
 DEV-thread-0  {rung = smp_load_acquire(bell) [rung = 1];
                data = READ_ONCE(*a) [data = 0]}
   ^ data = READ_ONCE(*a): through a -> Fa ro, stale in T
   ^ data = READ_ONCE(*a): ideal memory cannot end like this
 D0 saw the bell, and then the data of before: new data, then old.
";
        assert_eq!(text(&fixture::late_run()), expected);
    }

    #[test]
    fn who_returned_is_not_preempted() {
        let text = text(&fixture::queue_run());
        let last = text.rsplit("[Time").next().unwrap();
        assert!(last.contains("CPU-thread-0         {}"), "{text}");
        assert!(text.contains("CPU-thread-0         {preempted}"), "{text}");
    }

    #[test]
    fn a_mark_names_its_step_among_equals() {
        let mut timeline = fixture::free_run();
        timeline.rows.truncate(2);
        let step = timeline.rows[1].clone();
        let mark = shootdown_answers::timeline::Mark::Breaks { obligation: "FREE" };
        timeline.rows.push(step.mark(mark));
        let text = text(&timeline);
        let mark = "   ^ pte = pte_offset_map_lock(va, &ptl) (number 2): FREE is broken here\n";
        assert!(text.contains(mark), "{text}");
    }

    #[test]
    fn every_step_is_told_and_no_line_is_too_wide() {
        let mut dice = fixture::Dice(3);
        for _ in 0..1000 {
            let timeline = dice.run();
            let text = text(&timeline);
            let squeezed: String = text.split_whitespace().collect();
            for row in &timeline.rows {
                let what: String = ascii(&row.what).split_whitespace().collect();
                assert!(squeezed.contains(&what), "{what}\n{text}");
            }
            for line in text.lines() {
                assert!(line.len() <= WIDTH && line.trim_end() == line, "{text}");
            }
        }
    }
}
