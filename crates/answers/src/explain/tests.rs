use super::answer::Broken;
use super::*;
use shootdown_litmus::{Directories, Either, Variant, check_source};

use crate::LIBRARY;

fn explained(file: &str, variant: &[&str]) -> Explained {
    let path = format!("{}/../../litmus/seed/{file}.litmus", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect("a file of the repository");
    of_text(file, &text, variant)
}

fn of_text(name: &str, text: &str, variant: &[&str]) -> Explained {
    let sources = Either(Directories(Vec::new()), LIBRARY);
    let variant = Variant::new(variant.iter().map(|name| (*name).to_owned()));
    let program = check_source(name, text, &sources, &variant).expect("a right text");
    explain(&program, &Request::default(), None).expect("a test that is covered")
}

/// The step of this name.
fn step<'e>(explained: &'e Explained, what: &str) -> &'e Step {
    let mut steps = explained.paths.iter().flat_map(|path| &path.steps);
    steps.find(|step| step.what == what).unwrap_or_else(|| panic!("no {what} in {explained:#?}"))
}

fn ends(interval: &Interval) -> (&str, &str) {
    let name = |bound: &'_ Bound| bound.name.clone().unwrap_or_default().leak() as &str;
    (name(&interval.after), name(&interval.before))
}

fn codes(broken: &[Broken]) -> Vec<&'static str> {
    broken.iter().map(|broken| broken.code).collect()
}

const RANGE: &str = "mmu_notifier_invalidate_range";
const END: &str = "mmu_notifier_invalidate_range_end";

#[test]
fn copy_on_write_is_told_between_clear_and_set() {
    for file in ["doorbell", "zero-page"] {
        let explained = explained(file, &[]);
        let Answer::Required { without, interval } = &step(&explained, RANGE).answer else {
            panic!("{explained:#?}")
        };
        assert!(codes(without).contains(&"NEW"));
        assert_eq!(answer::case(without), answer::Case::B);
        assert_eq!(ends(interval), ("ptep_clear_flush", "set_pte_at"));
        assert_eq!(interval.lock, Lock::Yes);
        assert!(
            matches!(&interval.after.why, Why::Breaks(broken) if codes(broken).contains(&"NEW"))
        );
        assert!(
            matches!(&interval.before.why, Why::Breaks(broken) if codes(broken).contains(&"NEW"))
        );
        let cost = explained.paths[0].cost.expect("a thread runs it");
        assert_eq!(cost.flushes.most, 1);
        assert_eq!((cost.posted.most, cost.waits.most), (2, 2));
    }
}

#[test]
fn an_unmap_tells_before_it_frees() {
    let explained = explained("page-freed-before-range-end", &[]);
    let Answer::Required { without, interval } = &step(&explained, RANGE).answer else {
        panic!("{explained:#?}")
    };
    assert!(codes(without).contains(&"FREE"));
    assert!(matches!(answer::case(without), answer::Case::A));
    assert_eq!(ends(interval), ("ptep_clear_flush", "put_page"));
    assert_eq!(interval.lock, Lock::Either, "the lock may be dropped before");
    // What range_end tells once more does not matter.
    assert_eq!(step(&explained, END).answer, Answer::Redundant { twins: Vec::new() });
}

#[test]
fn write_protection_may_wait() {
    let explained = explained("write-protect", &[]);
    let Answer::MayWait { without, interval } = &step(&explained, END).answer else {
        panic!("{explained:#?}")
    };
    assert!(codes(without).contains(&"RETURN"));
    assert_eq!(ends(interval).0, "ptep_set_wrprotect");
    assert_eq!(interval.lock, Lock::Either);
    // Told under the lock it could have waited as well.
    let early = explained_under_lock();
    assert!(matches!(step(&early, RANGE).answer, Answer::MayWait { .. }), "{early:#?}");
}

fn explained_under_lock() -> Explained {
    explained("write-protect", &["UNDER_LOCK"])
}

#[test]
fn told_twice_is_told_once_too_often() {
    let path = format!("{}/../../litmus/seed/write-protect.litmus", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("a file of the repository");
    // Under the lock, and again at a full range_end.
    let twice = text.replace("#ifdef UNDER_LOCK\n", "#ifndef NEVER\n");
    assert_ne!(text, twice);
    let explained = of_text("twice", &twice, &[]);
    for (own, other) in [(RANGE, END), (END, RANGE)] {
        let Answer::Redundant { twins } = &step(&explained, own).answer else {
            panic!("{explained:#?}")
        };
        let twin = twins.iter().find(|twin| twin.what == other).expect("a twin");
        assert!(codes(&twin.without).contains(&"RETURN"));
    }
}

#[test]
fn nothing_is_said_of_what_is_broken_already() {
    let explained = explained("doorbell", &["LATE"]);
    assert!(matches!(&explained.base, Base::Violated(broken) if codes(broken).contains(&"NEW")));
    assert!(matches!(step(&explained, END).answer, Answer::Unknown(_)));
    assert_eq!(explained.work.explorations, 1);
}

#[test]
fn a_search_that_stops_says_nothing() {
    let path = format!("{}/../../litmus/seed/doorbell.litmus", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("a file of the repository");
    let sources = Either(Directories(Vec::new()), LIBRARY);
    let program = check_source("t", &text, &sources, &Variant::base()).expect("a right text");
    let mut request = Request::default();
    request.limits.states = 100;
    let explained = explain(&program, &request, None).expect("a test that is covered");
    assert!(matches!(explained.base, Base::Unknown(_)));
    assert!(
        explained
            .paths
            .iter()
            .flat_map(|path| &path.steps)
            .all(|step| matches!(step.answer, Answer::Unknown(_)))
    );
}
