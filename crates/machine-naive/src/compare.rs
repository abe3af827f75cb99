//! A program on both machines, and whether they agree.

use std::fmt;

use shootdown_machine::machine::Machine;
use shootdown_machine::mmu::Mmu;
use shootdown_machine::model::{CLEAN, FAILED, FREE, OUTCOME, PROGRESS, REST, RETURN, failed_of};
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
    /// What the numbers of an end are.
    pub observed: Vec<Observable>,
    /// Ends that only the naive machine has: the sets miss something.
    pub missed: Vec<Vec<i64>>,
    /// Ends that only the sets have: they allow too much.
    pub extra: Vec<Vec<i64>>,
    /// Properties that only the naive machine breaks.
    pub missed_broken: u64,
    /// Properties that only the sets break.
    pub extra_broken: u64,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (who, ends, broken) in [
            ("only naive", &self.missed, self.missed_broken),
            ("only sets", &self.extra, self.extra_broken),
        ] {
            if broken != 0 {
                writeln!(f, "{who} breaks {}", names(broken))?;
            }
            for end in ends.iter().take(3) {
                write!(f, "{who} ends with")?;
                for (what, value) in self.observed.iter().zip(end).filter(|(_, value)| **value != 0)
                {
                    write!(f, " {what:?}={}", value_name(*value))?;
                }
                writeln!(f)?;
            }
            if ends.len() > 3 {
                writeln!(f, "{who}: {} ends in all", ends.len())?;
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
