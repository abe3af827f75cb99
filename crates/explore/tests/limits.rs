//! A search that gives up says what it has covered, and one that is stuck says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use shootdown_explore::{
    Field, Layout, Limits, Model, Options, Outcome, Packed, Reductions, Stop, Until, explore,
};

/// `count` processes that each count to `to`, in a state of as many words as
/// it takes.
struct Counters<const N: usize> {
    fields: Vec<Field>,
    to: u64,
}

impl<const N: usize> Counters<N> {
    fn new(count: usize, to: u64) -> Self {
        let mut layout = Layout::new();
        let fields = (0..count).map(|_| layout.field(to + 1)).collect();
        assert_eq!(layout.words(), N);
        Counters { fields, to }
    }
}

impl<const N: usize> Model for Counters<N> {
    type State = [u64; N];
    type Open = [u64; N];

    fn open(&self, state: &[u64; N]) -> [u64; N] {
        *state
    }

    fn close(&self, open: &[u64; N]) -> [u64; N] {
        *open
    }

    fn initial(&self) -> Vec<[u64; N]> {
        vec![Packed::ZERO]
    }

    fn processes(&self) -> usize {
        self.fields.len()
    }

    fn steps(&self, state: &[u64; N], process: usize, each: &mut dyn FnMut(u32, [u64; N])) {
        let at = state.get(self.fields[process]);
        if at < self.to {
            let mut next = *state;
            next.set(self.fields[process], at + 1);
            each(0, next);
        }
    }

    fn canonical(&self, state: [u64; N]) -> [u64; N] {
        let mut values: Vec<u64> = self.fields.iter().map(|field| state.get(*field)).collect();
        values.sort_unstable();
        let mut sorted = state;
        for (field, value) in self.fields.iter().zip(values) {
            sorted.set(*field, value);
        }
        sorted
    }

    fn may_fuse(&self, state: &[u64; N], process: usize) -> bool {
        // Nobody looks at another's count.
        state.get(self.fields[process]) < self.to
    }
}

const PLAIN: Options = Options {
    threads: 1,
    limits: Limits { states: u64::MAX, bytes: u64::MAX, time: Duration::MAX },
    reductions: Reductions::NONE,
    first_violation_only: false,
    properties: u64::MAX,
    witnessed: u64::MAX,
    trapped: false,
    until: Until { moment: None, asked: None },
    progress: None,
};

#[test]
fn states_of_several_words_are_counted_exactly() {
    // Five counters of 16 values take 20 bits; nine of 255 more than a word.
    let found = explore(&Counters::<1>::new(5, 15), &PLAIN);
    assert_eq!((found.states, found.depth), (16u64.pow(5), 75));
    let found = explore(
        &Counters::<2>::new(9, 200),
        &Options { reductions: Reductions { fuse: true, symmetry: false }, ..PLAIN },
    );
    assert_eq!((found.states, found.ends.len()), (1, 1), "all of it is one chain of fused steps");
    let orbits = Options { reductions: Reductions { fuse: false, symmetry: true }, ..PLAIN };
    // Multisets of 3 values out of 11: 11 + 2 over 3.
    assert_eq!(explore(&Counters::<1>::new(3, 10), &orbits).states, 286);
}

#[test]
fn a_limit_on_states_says_how_deep_the_search_was_complete() {
    let limits = Limits { states: 1000, ..PLAIN.limits };
    let found = explore(&Counters::<1>::new(5, 15), &Options { limits, ..PLAIN });
    let Outcome::Limit { stop: Stop::States, complete_to_depth } = found.outcome else {
        panic!("{:?}", found.outcome)
    };
    // As many states up to depth d as ways to share d steps among 5: d + 5 over 5.
    let up_to = |depth: u64| (1..=5).map(|i| depth + i).product::<u64>() / 120;
    assert!(up_to(u64::from(complete_to_depth)) <= found.states);
    assert!(found.states > 1000);
}

#[test]
fn limits_on_bytes_and_time_end_a_search_too() {
    let bytes = Limits { bytes: 100_000, ..PLAIN.limits };
    let found = explore(&Counters::<1>::new(5, 15), &Options { limits: bytes, ..PLAIN });
    assert!(matches!(found.outcome, Outcome::Limit { stop: Stop::Bytes, .. }));
    let time = Limits { time: Duration::ZERO, ..PLAIN.limits };
    let found = explore(&Counters::<1>::new(5, 15), &Options { limits: time, ..PLAIN });
    assert!(matches!(found.outcome, Outcome::Limit { stop: Stop::Time, complete_to_depth: 0 }));
}

#[test]
fn progress_is_told() {
    let told = Arc::new(AtomicU64::new(0));
    let progress = {
        let told = told.clone();
        Arc::new(move |progress: shootdown_explore::Progress| {
            told.fetch_max(progress.states, Ordering::Relaxed);
        })
    };
    let found = explore(&Counters::<1>::new(4, 9), &Options { progress: Some(progress), ..PLAIN });
    let told = told.load(Ordering::Relaxed);
    assert!(told > 0 && told <= found.states);
}

/// A counter that has no room for more than 9.
#[derive(Default)]
struct Full {
    full: AtomicBool,
}

impl Model for Full {
    type State = u64;
    type Open = u64;

    fn open(&self, state: &u64) -> u64 {
        *state
    }

    fn close(&self, open: &u64) -> u64 {
        self.full.fetch_or(*open > 9, Ordering::Relaxed);
        (*open).min(9)
    }

    fn initial(&self) -> Vec<u64> {
        vec![0]
    }

    fn processes(&self) -> usize {
        1
    }

    fn steps(&self, state: &u64, _: usize, each: &mut dyn FnMut(u32, u64)) {
        each(0, state + 1);
    }

    fn broken(&self, state: &u64) -> u64 {
        u64::from(*state > 9)
    }

    fn stopped(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }
}

#[test]
fn a_model_that_cannot_go_on_ends_the_search_before_it_is_believed() {
    let found = explore(&Full::default(), &PLAIN);
    assert_eq!(found.outcome, Outcome::Limit { stop: Stop::Model, complete_to_depth: 9 });
    assert_eq!((found.states, found.violations.len()), (10, 0));
}

/// Two processes that take two locks in opposite orders.
struct Abba {
    pc: [Field; 2],
    locks: [Field; 2],
}

impl Model for Abba {
    type State = u64;
    type Open = u64;

    fn open(&self, state: &u64) -> u64 {
        *state
    }

    fn close(&self, open: &u64) -> u64 {
        *open
    }

    fn initial(&self) -> Vec<u64> {
        vec![0]
    }

    fn processes(&self) -> usize {
        2
    }

    fn steps(&self, state: &u64, process: usize, each: &mut dyn FnMut(u32, u64)) {
        let pc = state.get(self.pc[process]);
        let mut next = *state;
        match pc {
            0 | 1 => {
                let lock = self.locks[(pc as usize + process) % 2];
                if state.get(lock) == 1 {
                    return;
                }
                next.set(lock, 1);
            }
            2 => self.locks.iter().for_each(|lock| next.set(*lock, 0)),
            _ => return,
        }
        next.set(self.pc[process], pc + 1);
        each(0, next);
    }

    fn is_end(&self, state: &u64) -> bool {
        self.pc.iter().all(|pc| state.get(*pc) == 3)
    }
}

#[test]
fn a_deadlock_is_told_apart_from_an_end_and_has_a_witness() {
    let mut layout = Layout::new();
    let mut two = |values| [layout.field(values), layout.field(values)];
    let model = Abba { pc: two(4), locks: two(2) };
    let found = explore(&model, &PLAIN);
    let witness = found.deadlock.expect("each holds what the other wants");
    assert_eq!(witness.steps.len(), 2);
    assert_eq!(witness.replay(&model), Ok(()));
    assert_eq!(found.ends.len(), 1);

    // A run with two steps exchanged is none of the model.
    let ended = explore(&model, &PLAIN).ends[0];
    assert_eq!(model.pc.map(|pc| ended.get(pc)), [3, 3]);
    let mut swapped = witness;
    swapped.steps.swap(0, 1);
    assert!(swapped.replay(&model).is_err());
}
