//! A program on both machines, and whether they agree.

use std::collections::BTreeSet;
use std::fmt;

use shootdown_explore::{Limits, Options, Outcome, Reductions};
use shootdown_machine::machine::Machine;
use shootdown_machine::mmu::Mmu;
use shootdown_machine::model::{
    CLEAN, FAILED, FREE, Found, OUTCOME, PROGRESS, REST, RETURN, failed_of, search,
};
use shootdown_machine::outcome::{Observable, observe, value_name};
use shootdown_machine::sets::Sets;
use shootdown_machine::setting::Setting;
use shootdown_machine::world::{Failed, World};
use shootdown_step::{Lowered, Target};

use crate::naive::Naive;
use crate::reach::{DEADLOCK, Reached, reach};

/// States of either machine, at most, if nobody says otherwise.
pub const CAP: u64 = 2_000_000;
/// The same with patience.
pub const LARGE_CAP: u64 = 50_000_000;

/// What became of a comparison.
#[derive(Clone, Debug)]
pub enum Comparison {
    /// The same ends, the same broken properties.
    Same {
        /// States of the naive machine.
        naive: u64,
        /// States of the other.
        sets: u64,
        /// A table was given back while a cache led to it. The sets end there;
        /// the naive machine goes on where the pointer happens to be gone, so
        /// only what the sets have was looked for on the other side.
        cut: bool,
        /// The properties that both break.
        broken: u64,
    },
    /// They disagree.
    Differs(Box<Difference>),
    /// One of them has more states than were allowed.
    TooLarge,
}

/// How the machines disagree.
#[derive(Clone, Debug)]
pub struct Difference {
    /// What is compared with what.
    pub sides: (&'static str, &'static str),
    /// What the numbers of an end are.
    pub observed: Vec<Observable>,
    /// Ends that only the first has; of naive machine and sets that is the naive
    /// one, and the sets miss something.
    pub missed: Vec<Vec<i64>>,
    /// Ends that only the second has: the sets allow too much.
    pub extra: Vec<Vec<i64>>,
    /// Properties that only the first breaks.
    pub missed_broken: u64,
    /// Properties that only the second breaks.
    pub extra_broken: u64,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (who, ends, broken) in [
            (self.sides.0, &self.missed, self.missed_broken),
            (self.sides.1, &self.extra, self.extra_broken),
        ] {
            if broken != 0 {
                writeln!(f, "only {who} breaks {}", names(broken))?;
            }
            for end in ends.iter().take(3) {
                write!(f, "only {who} ends with")?;
                for (what, value) in self.observed.iter().zip(end).filter(|(_, value)| **value != 0)
                {
                    write!(f, " {what:?}={}", value_name(*value))?;
                }
                writeln!(f)?;
            }
            if ends.len() > 3 {
                writeln!(f, "only {who}: {} ends in all", ends.len())?;
            }
        }
        Ok(())
    }
}

/// The names of properties.
pub fn names(broken: u64) -> String {
    let name = |bit: u32| match bit {
        FREE => "FREE".to_owned(),
        RETURN => "RETURN".to_owned(),
        REST => "REST".to_owned(),
        PROGRESS => "PROGRESS".to_owned(),
        OUTCOME => "OUTCOME".to_owned(),
        CLEAN => "CLEAN".to_owned(),
        DEADLOCK => "deadlock".to_owned(),
        TRAPPED => "no end".to_owned(),
        bit => failed_of(bit).map_or_else(|| bit.to_string(), |why| format!("{why:?}")),
    };
    let bits = (0..u64::BITS).filter(|bit| broken >> bit & 1 != 0);
    bits.map(name).collect::<Vec<_>>().join(", ")
}

/// Compares the sets with explicit fills on a program that was lowered for the
/// machine.
pub fn compare(lowered: &Lowered, setting: Setting, cap: u64) -> Comparison {
    compare_with(lowered, setting, cap, Sets::default())
}

/// The same with something else instead of the sets.
pub fn compare_with<M: Mmu>(lowered: &Lowered, setting: Setting, cap: u64, sets: M) -> Comparison {
    let observed = everything(lowered);
    let Some(sets) = ends_of(lowered, setting, cap, sets, &observed) else {
        return Comparison::TooLarge;
    };
    let Some(naive) = ends_of(lowered, setting, cap, Naive::default(), &observed) else {
        return Comparison::TooLarge;
    };
    judge(observed, &naive, &sets)
}

fn judge(observed: Vec<Observable>, naive: &Reached, sets: &Reached) -> Comparison {
    let table = 1 << (FAILED + Failed::Table as u32);
    let cut = naive.broken & sets.broken & table != 0;
    let extra: Vec<_> = sets.ends.difference(&naive.ends).cloned().collect();
    let extra_broken = sets.broken & !naive.broken;
    let (mut missed, mut missed_broken) = (Vec::new(), 0);
    if !cut {
        missed = naive.ends.difference(&sets.ends).cloned().collect();
        missed_broken = naive.broken & !sets.broken;
    }
    if missed.is_empty() && extra.is_empty() && missed_broken | extra_broken == 0 {
        return Comparison::Same {
            naive: naive.states,
            sets: sets.states,
            cut,
            broken: sets.broken,
        };
    }
    Comparison::Differs(Box::new(Difference {
        sides: ("naive", "sets"),
        observed,
        missed,
        extra,
        missed_broken,
        extra_broken,
    }))
}

fn ends_of<M: Mmu>(
    lowered: &Lowered,
    setting: Setting,
    cap: u64,
    mmu: M,
    observed: &[Observable],
) -> Option<Reached> {
    let (world, slots) = World::new(lowered.clone(), Target::Machine, setting);
    let machine = Machine::new(world, slots, mmu);
    reach(&machine, cap, &|state| {
        observed.iter().map(|what| observe(&machine, state, *what)).collect()
    })
}

/// The bit of a state that no end can be reached from.
pub const TRAPPED: u32 = 62;

/// Compares the search of the checker, without reductions and with all of them,
/// with [`reach`]: the same states, ends and broken properties. A search with
/// reductions may visit fewer states.
///
/// # Errors
///
/// In what they differ.
pub fn compare_searches(
    lowered: &Lowered,
    setting: Setting,
    cap: u64,
) -> Result<Searched, Box<Difference>> {
    let observed = everything(lowered);
    let reached = ends_of(lowered, setting, cap, Sets::default(), &observed);
    let found = |reductions| found_by(lowered, setting, cap, reductions, &observed);
    let (Some(reached), Some(plain)) = (reached, found(Reductions::NONE)) else {
        return Ok(Searched::TooLarge);
    };
    // Whoever only waits for hardware is no deadlock to the one and may be one
    // to the other; traps only the search looks for.
    let states = |found: &Found| {
        found.broken
            | u64::from(found.deadlock.is_some()) << DEADLOCK
            | u64::from(found.trapped.is_some()) << TRAPPED
    };
    let reached_broken = reached.broken & !(1 << DEADLOCK);
    let differ = |sides, left: (&BTreeSet<Vec<i64>>, u64), right: (&BTreeSet<Vec<i64>>, u64)| {
        let only = |one: &BTreeSet<Vec<i64>>, other| one.difference(other).cloned().collect();
        Box::new(Difference {
            sides,
            observed: observed.clone(),
            missed: only(left.0, right.0),
            extra: only(right.0, left.0),
            missed_broken: left.1 & !right.1,
            extra_broken: right.1 & !left.1,
        })
    };
    if reached.ends != plain.ends
        || reached_broken != plain.broken
        || reached.states != plain.states
    {
        let right = (&plain.ends, plain.broken);
        return Err(differ(("reach", "the search"), (&reached.ends, reached_broken), right));
    }
    let mut kept = plain.states;
    for (which, reductions) in
        [("fused steps", FUSED), ("fused steps and equal threads", Reductions::ALL)]
    {
        let reduced = found(reductions).expect("no more states than without");
        if plain.ends != reduced.ends || states(&plain) != states(&reduced) {
            let left = (&plain.ends, states(&plain));
            let right = (&reduced.ends, states(&reduced));
            return Err(differ(("no reductions", which), left, right));
        }
        kept = reduced.states;
    }
    Ok(Searched::Same { plain: plain.states, reduced: kept })
}

const FUSED: Reductions = Reductions { fuse: true, symmetry: false };

/// What the searches of the checker came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Searched {
    /// The same.
    Same {
        /// States without reductions.
        plain: u64,
        /// States with all of them.
        reduced: u64,
    },
    /// There are more states than were allowed.
    TooLarge,
}

fn found_by(
    lowered: &Lowered,
    setting: Setting,
    cap: u64,
    reductions: Reductions,
    observed: &[Observable],
) -> Option<Found> {
    let (world, slots) = World::new(lowered.clone(), Target::Machine, setting);
    let machine = Machine::new(world, slots, Sets::default());
    let options = Options {
        reductions,
        trapped: true,
        limits: Limits { states: cap, ..Limits::default() },
        ..Options::default()
    };
    let found = search(&machine, &options, &|_| 0, &|state| {
        observed.iter().map(|what| observe(&machine, state, *what)).collect()
    });
    matches!(found.outcome, Outcome::Complete).then_some(found)
}

/// All that can be looked at in the end: numbers of threads, faults, words,
/// what addresses lead to, and every word of every frame.
pub fn everything(lowered: &Lowered) -> Vec<Observable> {
    let shape = &lowered.shape;
    let mut list = Vec::new();
    for (thread, code) in lowered.threads.iter().enumerate() {
        list.push(Observable::Fault(thread));
        let numbers = code.variables.iter().enumerate().filter(|(_, variable)| variable.number);
        list.extend(numbers.map(|(at, _)| Observable::Variable(thread, at)));
    }
    list.extend((0..shape.words.len()).map(Observable::Word));
    let words = 0..shape.words_per_frame;
    for space in 0..shape.spaces.len() {
        for page in 0..shape.pages.len() {
            list.extend(words.clone().map(|word| Observable::Memory(space, page, word)));
        }
    }
    for frame in 0..shape.frames.len() {
        list.extend(words.clone().map(|word| Observable::Frame(frame, word)));
    }
    list
}
