//! Counts that other checkers gave for the same model: Spin, Rumur, TLC,
//! stateright and LTSmin agree on every number that they finished.

#[path = "family/mod.rs"]
mod model;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model::{Family, Policy};
use shootdown_explore::{Exploration, Limits, Model, Options, Outcome, Reductions, explore};

fn unreduced(model: &Family) -> Exploration<u64> {
    explore(model, &Options { reductions: Reductions::NONE, threads: 2, ..Options::default() })
}

#[test]
fn the_state_space_is_the_one_that_other_checkers_find() {
    // pages, devices, states, transitions, levels
    let known = [
        (2, 1, 828, 2_386, 23),
        (2, 2, 8_816, 35_542, 27),
        (2, 3, 102_852, 537_102, 32),
        (3, 1, 11_272, 44_736, 34),
        (3, 2, 286_624, 1_613_844, 40),
        (4, 1, 130_160, 650_808, 45),
    ];
    for (pages, devices, states, transitions, depth) in known {
        let found = unreduced(&Family::new(pages, 1, devices, Policy::UnderLock));
        assert_eq!(
            (found.states, found.transitions, found.depth + 1),
            (states, transitions, depth),
            "{pages} pages, {devices} devices"
        );
        assert_eq!(found.outcome, Outcome::Complete);
        assert!(found.violations.is_empty() && found.deadlock.is_none());
    }
}

#[test]
fn per_page_locks_and_a_second_writer_change_the_counts_as_elsewhere() {
    let locks = unreduced(&Family::new(4, 1, 1, Policy::UnderLock).per_page_locks());
    assert_eq!(locks.states, 390_583);
    assert_eq!(unreduced(&Family::new(2, 2, 2, Policy::UnderLock)).states, 22_284);
    assert_eq!(unreduced(&Family::new(3, 2, 2, Policy::UnderLock)).states, 862_968);
}

#[test]
fn the_large_state_spaces_are_the_same_too() {
    let found = unreduced(&Family::new(3, 1, 3, Policy::UnderLock));
    assert_eq!((found.states, found.transitions, found.depth + 1), (8_237_320, 60_689_344, 47));
    let found = unreduced(&Family::new(4, 1, 2, Policy::UnderLock));
    assert_eq!((found.states, found.transitions, found.depth + 1), (7_379_648, 52_797_688, 53));
}

#[test]
fn symmetry_alone_finds_as_many_orbits_as_elsewhere() {
    let options = Options {
        reductions: Reductions { fuse: false, symmetry: true },
        threads: 2,
        ..Options::default()
    };
    let orbits = |pages, devices| {
        explore(&Family::new(pages, 1, devices, Policy::UnderLock), &options).states
    };
    assert_eq!(orbits(3, 2), 148_948);
    assert_eq!(orbits(3, 3), 1_519_956);
    assert_eq!(orbits(4, 2), 3_754_904);
}

#[test]
fn the_shortest_violation_is_as_long_as_elsewhere() {
    for policy in [Policy::AtRangeEnd, Policy::Never] {
        for (pages, devices, length) in
            [(2, 1, 17), (2, 2, 17), (2, 3, 17), (3, 1, 19), (3, 2, 19), (4, 1, 21)]
        {
            let model = Family::new(pages, 1, devices, policy);
            let options = Options {
                reductions: Reductions::NONE,
                first_violation_only: true,
                ..Options::default()
            };
            let found = explore(&model, &options);
            let witness = &found.violations[0].witness;
            assert_eq!(witness.steps.len(), length, "{pages} pages, {devices} devices");
            assert_eq!(witness.replay(&model), Ok(()));
        }
    }
}

#[test]
fn every_combination_of_reductions_gives_the_same_verdict() {
    let switches = [false, true];
    for (pages, devices) in [(2, 1), (2, 2), (2, 3), (3, 1), (3, 2), (4, 1)] {
        for policy in [Policy::UnderLock, Policy::AtRangeEnd, Policy::Never] {
            for locks in switches {
                for reductions in switches
                    .map(|fuse| switches.map(|symmetry| Reductions { fuse, symmetry }))
                    .into_iter()
                    .flatten()
                {
                    let mut model = Family::new(pages, 1, devices, policy);
                    if locks {
                        model = model.per_page_locks();
                    }
                    let found = explore(&model, &Options { reductions, ..Options::default() });
                    let violated = policy != Policy::UnderLock;
                    assert_eq!(!found.violations.is_empty(), violated, "{policy:?} {reductions:?}");
                    assert!(found.deadlock.is_none());
                    for violation in &found.violations {
                        assert_eq!(violation.witness.replay(&model), Ok(()));
                    }
                }
            }
        }
    }
}

#[test]
fn one_thread_and_several_report_the_same() {
    let model = Family::new(3, 1, 2, Policy::AtRangeEnd);
    let with = |threads, reductions| {
        explore(&model, &Options { threads, reductions, ..Options::default() })
    };
    for reductions in [Reductions::NONE, Reductions::ALL] {
        let one = with(1, reductions);
        for threads in [2, 3, 7] {
            let many = with(threads, reductions);
            assert_eq!(
                (one.states, one.transitions, one.depth, &one.ends),
                (many.states, many.transitions, many.depth, &many.ends)
            );
            assert_eq!(one.violations[0].witness, many.violations[0].witness);
        }
    }
}

/// Adds up how many states each representative stands for.
struct Orbits {
    family: Family,
    sum: AtomicU64,
}

impl Model for Orbits {
    type State = u64;
    type Open = u64;

    /// A state is opened once: when it is expanded.
    fn open(&self, state: &u64) -> u64 {
        self.sum.fetch_add(self.family.orbit(state), Ordering::Relaxed);
        *state
    }

    fn close(&self, open: &u64) -> u64 {
        *open
    }

    fn initial(&self) -> Vec<u64> {
        self.family.initial()
    }

    fn processes(&self) -> usize {
        self.family.processes()
    }

    fn steps(&self, state: &u64, process: usize, each: &mut dyn FnMut(u32, u64)) {
        self.family.steps(state, process, each);
    }

    fn broken(&self, state: &u64) -> u64 {
        self.family.broken(state)
    }

    fn is_end(&self, state: &u64) -> bool {
        self.family.is_end(state)
    }

    fn canonical(&self, state: u64) -> u64 {
        self.family.canonical(state)
    }
}

/// Representatives, the states that they stand for, and levels.
fn orbits(pages: usize, devices: usize) -> (u64, u64, u32) {
    let family = Family::new(pages, 1, devices, Policy::UnderLock);
    let model = Orbits { family, sum: AtomicU64::new(0) };
    let options = Options {
        reductions: Reductions { fuse: false, symmetry: true },
        threads: 2,
        limits: Limits { states: u64::MAX, bytes: 8 << 30, time: Duration::MAX },
        ..Options::default()
    };
    let found = explore(&model, &options);
    assert_eq!(found.outcome, Outcome::Complete, "{} bytes", found.bytes);
    assert!(found.violations.is_empty() && found.deadlock.is_none());
    (found.states, model.sum.into_inner(), found.depth + 1)
}

#[test]
fn the_orbits_hold_as_many_states_as_there_are_without_symmetry() {
    assert_eq!(orbits(3, 2), (148_948, 286_624, 40));
}

#[test]
#[ignore = "takes minutes and 1.2 GB: cargo test --test family -- --ignored"]
fn four_pages_and_three_devices_fit_in_eight_gibibytes() {
    assert_eq!(orbits(4, 3), (84_581_000, 485_086_736, 62));
}
