//! `--timeline changelog`: a race as commit messages draw it, ready for a mail.
//!
//! Plain ASCII and never wider than 72 columns, whatever the run. With more
//! than four columns those that take no step are left out; if the rest does not
//! fit side by side, each step stands on a line behind its thread's name.

use shootdown_answers::timeline::Timeline;

use super::lanes::{Lanes, Line, What, drawn, lines};
use super::say::{short, thread};
use super::text::{ascii, cut, wrap};

/// The width of a change log: 75 less the indentation of a reply or of git.
pub const WIDTH: usize = 72;
/// More columns than this are only drawn if they take a step.
const FEW: usize = 4;
/// Longer names of threads are cut in the list.
const NAME: usize = 20;

/// The run, from the start to what is wrong at the end.
pub fn text(timeline: &Timeline) -> String {
    let names: Vec<String> =
        timeline.columns.iter().map(|column| short(timeline, column)).collect();
    let lines = lines(timeline, |row| thread(timeline, row, short));
    let mut out = Vec::new();
    let start = timeline.start.iter().map(|entry| ascii(entry)).collect::<Vec<_>>().join("; ");
    if !start.is_empty() {
        out.extend(wrap(&format!("start: {start}"), WIDTH, 7));
        out.push(String::new());
    }
    let lanes = |few| Lanes::new(&drawn(timeline, few), &names, &lines, WIDTH);
    match lanes(FEW).or_else(|| lanes(0)) {
        Some(lanes) => {
            out.extend(lanes.head(&names));
            out.extend(lines.iter().flat_map(|line| lanes.draw(line)));
        }
        None => out.extend(lines.iter().flat_map(|line| listed(line, &names, WIDTH))),
    }
    let end = ascii(&timeline.end);
    if !end.is_empty() {
        out.push(String::new());
        out.extend(wrap(&end, WIDTH, 0));
    }
    out.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// `CPU0: step`, where lanes do not fit.
pub(super) fn listed(line: &Line, names: &[String], width: usize) -> Vec<String> {
    let indent = line.indent;
    let text = match line.what {
        What::Mark(_) => format!("{:indent$}  {}", "", line.text),
        _ => format!("{}: {:indent$}{}", cut(&names[line.column], NAME), "", line.text),
    };
    wrap(&text, width, 6)
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn a_cow_with_late_notification() {
        let expected = "\
start: a -> Fa ro

CPU0                 | CPU1 | DEV0
---------------------+------+-------------------------------------------
wp_page_copy()       |      |
  new = alloc_page() |      |
  copy_page(new, old)       |
  mmu_notifier_invalidate_range_start(vmf->address)
  vmf->pte = pte_offset_map_lock(vmf->address, &vmf->ptl)
  ptep_clear_flush(vmf->pte)
  ^ T has read a -> Fa ro by now, for DEV0
  set_pte_at(vmf->pte, mk_pte(new, RW))
  ^ NEW is broken here      |
                     | WRITE_ONCE(*a, 1)
                     | smp_store_release(bell, 1)
                     |      | rung = smp_load_acquire(bell)  // rung = 1
                     |      | data = READ_ONCE(*a)  // data = 0
                     |      | ^ through a -> Fa ro, stale in T
                     |      | ^ ideal memory cannot end like this

D0 saw the bell, and then the data of before: new data, then old.
";
        assert_eq!(text(&fixture::late_run()), expected);
    }

    #[test]
    fn of_many_columns_the_idle_ones_are_left_out() {
        let text = text(&fixture::queue_run());
        assert!(text.contains("CPU0 "), "{text}");
        assert!(!text.contains("CPU1"), "{text}");
    }

    #[test]
    fn what_does_not_fit_side_by_side_is_a_list() {
        let mut timeline = fixture::late_run();
        for number in 0..8 {
            let kind = shootdown_answers::timeline::ColumnKind::Guest;
            timeline.columns.push(fixture::column("V", kind, number));
            timeline.rows.push(fixture::row(3 + number as usize, 70, "", "READ_ONCE(*a)"));
        }
        let text = text(&timeline);
        assert!(text.contains("\nCPU0:   set_pte_at(vmf->pte, mk_pte(new, RW))\n"), "{text}");
        assert!(text.contains("\nVCPU7: READ_ONCE(*a)\n"), "{text}");
    }

    #[test]
    fn nothing_is_wider_than_a_change_log() {
        let mut dice = fixture::Dice(1);
        for _ in 0..2000 {
            let timeline = dice.run();
            let text = text(&timeline);
            for line in text.lines() {
                assert!(line.len() <= WIDTH, "{} wide:\n{text}", line.len());
                assert!(line.is_ascii() && line.trim_end() == line, "{text:?}");
            }
        }
    }

    #[test]
    fn an_empty_run() {
        assert_eq!(text(&Timeline::default()), "");
    }
}
