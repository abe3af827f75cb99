//! What is said of each obligation, and what that rests on.
//!
//! One line for each thing that is said, its key first, so that `grep ^NEW`
//! works: the obligations, then `needs` (without which it would not be clean),
//! `machine`, `search`, `limit`, `expected` and `note`. Lines are as long as
//! they have to be; a terminal may wrap them, `grep` would not find them again.

use shootdown_answers::timeline::{Mark, Place};
use shootdown_answers::verdict::{
    BreakingStep, Checked, Guard, Judgement, Search, Status, Verdict, Violation,
};

use super::paint::Paint;
use super::say::place;
use super::text::{bytes, count, one_line};

/// Keys are padded to this, or to the longest code.
const KEY: usize = 8;

/// The lines, each with its end.
pub fn text(checked: &Checked, paint: Paint) -> String {
    let longest = checked.verdicts.iter().map(|verdict| verdict.code.len()).max();
    let mut lines = Lines { out: String::new(), width: longest.unwrap_or(0).max(KEY) };
    for verdict in &checked.verdicts {
        lines.add(verdict.code, &status(verdict, paint));
    }
    if let Some(guards) = &checked.guards {
        add_guards(&mut lines, guards, &checked.file);
    }
    if !checked.params.is_empty() {
        let params = checked.params.iter().map(|(name, value)| format!("{name}={value}"));
        lines.add("machine", &one_line(&params.collect::<Vec<_>>().join(" ")));
    }
    lines.add("search", &search(&checked.search));
    if let Some(stopped) = &checked.search.stopped {
        lines.add("limit", &paint.open(&one_line(stopped)));
    }
    add_judgement(&mut lines, &checked.judgement, paint);
    for note in &checked.notes {
        lines.add("note", &one_line(note));
    }
    lines.out
}

struct Lines {
    out: String,
    width: usize,
}

impl Lines {
    fn add(&mut self, key: &str, what: &str) {
        self.out.push_str(&format!("{key:<width$} {what}\n", width = self.width));
    }
}

fn status(verdict: &Verdict, paint: Paint) -> String {
    match &verdict.status {
        Status::Clean => paint.good("clean"),
        Status::Violated(violation) => violated(verdict.code, violation, paint),
        Status::NotExercised(why) => paint.faint(&because("not exercised", why)),
        Status::NotCovered(why) => paint.open(&because("not covered", why)),
        Status::Unknown(why) => paint.open(&because("unknown", why)),
    }
}

/// The answer in a word, and why.
pub(super) fn because(word: &str, why: &str) -> String {
    if why.is_empty() { word.to_owned() } else { format!("{word}: {}", one_line(why)) }
}

fn violated(code: &str, violation: &Violation, paint: Paint) -> String {
    let steps: Vec<String> =
        violation.steps.iter().map(|step| breaking(code, step, violation)).collect();
    let head =
        if steps.is_empty() { String::new() } else { format!(" at {}", steps.join(", or ")) };
    let why = one_line(&violation.why);
    let why = if why.is_empty() { why } else { format!(": {why}") };
    format!("{}{head}{why}", paint.bad("violated"))
}

/// `set_pte_at (cow.litmus:37, wp_page_copy)`
fn breaking(code: &str, step: &BreakingStep, violation: &Violation) -> String {
    let name = one_line(&step.name);
    let Some(at) = &step.place else { return name };
    match function(code, at, violation) {
        Some(function) if function != name => {
            format!("{name} ({}, {})", place(at), one_line(function))
        }
        _ => format!("{name} ({})", place(at)),
    }
}

/// The function that the breaking step is in, as the run has it.
pub(super) fn function<'a>(code: &str, at: &Place, violation: &'a Violation) -> Option<&'a str> {
    let breaks = |marks: &[Mark]| {
        marks.iter().any(|mark| matches!(mark, Mark::Breaks { obligation } if *obligation == code))
    };
    let here = violation.timeline.rows.iter().filter(|row| {
        row.place.as_ref().is_some_and(|place| place.file == at.file && place.line == at.line)
    });
    // The same line may be run by several; the one that breaks it comes first.
    let row = here.max_by_key(|row| breaks(&row.marks))?;
    row.function.as_deref()
}

fn add_guards(lines: &mut Lines, guards: &[Guard], file: &str) {
    let (needed, rest): (Vec<&Guard>, Vec<&Guard>) =
        guards.iter().filter(|guard| !guard.unknown).partition(|guard| !guard.without.is_empty());
    for guard in &needed {
        let at = match &guard.place {
            Some(at) if at.file == file => format!(" at line {}", at.line),
            Some(at) => format!(" at {}", place(at)),
            None => String::new(),
        };
        let codes = guard.without.join(", ");
        lines.add("needs", &format!("{}{at}: without it {codes}", one_line(&guard.what)));
    }
    let unknown = guards.iter().filter(|guard| guard.unknown).count();
    if unknown != 0 {
        let s = if unknown == 1 { "step was" } else { "steps were" };
        let what = format!("unknown: {unknown} {s} taken out, and the search reached its limit");
        lines.add("needs", &what);
    }
    let others = match (needed.len(), rest.len()) {
        (_, 0) => return,
        (0, 1) => "nothing: the one step that was taken out does not matter".to_owned(),
        (0, n) => format!("nothing: none of {n} steps matters, taken out one at a time"),
        (_, n) => {
            let s = if n == 1 { "step does" } else { "steps do" };
            format!("nothing else: {n} other {s} not matter, taken out one at a time")
        }
    };
    lines.add("needs", &others);
}

fn search(search: &Search) -> String {
    format!(
        "{}, {}, depth {}, {}; ideal memory {}",
        count(search.states, "state"),
        count(search.transitions, "step"),
        search.depth,
        bytes(search.bytes),
        count(search.ideal_states, "state"),
    )
}

fn add_judgement(lines: &mut Lines, judgement: &Judgement, paint: Paint) {
    let said = |at: &Place| format!("{}: {}", place(at), one_line(&at.text));
    match judgement {
        Judgement::Unjudged => {
            lines.add("expected", "nothing: no line of the expect table fits, so this is unjudged");
        }
        Judgement::Met { place } => {
            lines.add("expected", &format!("{}, by {}", paint.good("yes"), said(place)));
        }
        Judgement::Differs { place, differences } => {
            lines.add("expected", &format!("{}, by {}", paint.bad("no"), said(place)));
            for difference in differences {
                lines.add("differs", &one_line(difference));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn a_clean_variant_with_its_guards() {
        let expected = "\
FREE     clean
NEW      clean
COPY     clean
TABLE    not exercised: no page-table page is freed
CLEAN    not exercised: nobody takes a page as clean
RETURN   clean
PROGRESS clean
LIFETIME not exercised: nobody unregisters
RECLAIM  not covered: allocation under a lock is not modelled
REST     clean
deadlock clean
sleep    clean
unlock   clean
range    clean
needs    mmu_notifier_invalidate_range at line 36: without it NEW
needs    pte_offset_map_lock at line 26: without it NEW, FREE
needs    ptep_clear_flush at line 34: without it NEW
needs    nothing else: 2 other steps do not matter, taken out one at a time
machine  perm_miss_rewalk=yes cpu_flush_notifies=no Q=in_order
search   1,234 states, 5,678 steps, depth 31, 12 KB; ideal memory 96 states
expected yes, by litmus/seed/doorbell.litmus:65: * : clean, Never;
note     device accesses are in order (order waits)
";
        assert_eq!(text(&fixture::clean(), Paint::plain()), expected);
    }

    #[test]
    fn a_guard_that_was_not_searched_to_the_end_is_not_said_to_be_none() {
        let mut checked = fixture::clean();
        let guards = checked.guards.as_mut().unwrap();
        for guard in guards.iter_mut().filter(|guard| guard.without.is_empty()).take(1) {
            guard.unknown = true;
        }
        let text = text(&checked, Paint::plain());
        assert!(text.contains("unknown: 1 step was taken out, and the search reached its limit"));
        assert!(text.contains("nothing else: 1 other step does not matter"), "{text}");
    }

    #[test]
    fn a_violation_names_step_place_function_and_reason() {
        let text = text(&fixture::late(), Paint::plain());
        let line = text.lines().find(|line| line.starts_with("NEW ")).unwrap();
        assert_eq!(
            line,
            "NEW      violated at set_pte_at (litmus/seed/doorbell.litmus:38, wp_page_copy): \
             D0 reads 0 at a after it read 1 at bell: no ideal memory gives that"
        );
        assert!(!text.contains("needs"), "{text}");
    }

    #[test]
    fn if_several_steps_break_it_all_are_listed() {
        let mut checked = fixture::late();
        let Status::Violated(violation) = &mut checked.verdicts[1].status else { panic!() };
        violation.steps.push(BreakingStep { name: "munmap".to_owned(), place: None });
        let both = text(&checked, Paint::plain());
        assert!(both.contains("wp_page_copy), or munmap: D0"), "{both}");
        let Status::Violated(violation) = &mut checked.verdicts[1].status else { panic!() };
        violation.steps.clear();
        let none = text(&checked, Paint::plain());
        assert!(none.contains("NEW      violated: D0"), "{none}");
    }

    #[test]
    fn a_limit_and_a_difference() {
        let text = text(&fixture::stopped(), Paint::plain());
        assert!(text.contains("\nlimit    stopped at 1,000,000 states, complete to depth 17\n"));
        assert!(
            text.contains("\nexpected no, by litmus/seed/doorbell.litmus:69: NONE : NEW at"),
            "{text}"
        );
        assert!(text.contains("\ndiffers  NEW: expected violated at set_pte_at"), "{text}");
        assert!(text.contains("NEW      unknown: complete to depth 17\n"), "{text}");
    }

    #[test]
    fn an_unjudged_variant_says_so() {
        let text = text(&fixture::freed(), Paint::plain());
        assert!(text.contains("\nexpected nothing: no line of the expect table fits"), "{text}");
    }

    #[test]
    fn a_longer_code_moves_all_lines() {
        let mut checked = fixture::clean();
        checked.verdicts.push(Verdict { code: "undefined", status: Status::Clean });
        let text = text(&checked, Paint::plain());
        assert!(text.starts_with("FREE      clean\n"), "{text}");
        assert!(text.contains("\nundefined clean\n"), "{text}");
    }

    #[test]
    fn colours_change_nothing_else() {
        for checked in fixture::all() {
            let mut coloured = text(&checked, Paint::new(true));
            for code in ["32", "1;31", "33", "2", "1", "0"] {
                coloured = coloured.replace(&format!("\x1b[{code}m"), "");
            }
            assert_eq!(coloured, text(&checked, Paint::plain()));
        }
    }
}
