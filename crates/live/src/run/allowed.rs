//! What the checker allows a test to end with.

use std::collections::BTreeSet;

use shootdown_explore::{Limits, Options, Outcome};
use shootdown_litmus::Program;
use shootdown_machine::machine::Machine;
use shootdown_machine::model::search;
use shootdown_machine::outcome::{Observable, UNMAPPED, observe};
use shootdown_machine::sets::Sets;
use shootdown_machine::setting::Setting;
use shootdown_machine::world::World;
use shootdown_step::{Lowered, Target};

/// The final states of the checker's machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Values of what the test looks at, in that order. An address that leads
    /// nowhere is like one that leads to zeroes: whether a fault has mapped a
    /// page yet is nothing that a program can see.
    pub ends: BTreeSet<Vec<i64>>,
    /// Why these are not all.
    pub incomplete: Option<String>,
}

/// Searches for them, visiting this many states at most.
pub fn allowed(
    program: &Program,
    lowered: &Lowered,
    setting: Setting,
    looked_at: &[Observable],
    states: u64,
) -> Allowed {
    let (world, slots) = World::new(lowered.clone(), Target::Machine, setting);
    let machine = Machine::new(world, slots, Sets::default());
    let limits = Limits { states, ..Limits::default() };
    let options = Options { limits, properties: 0, ..Options::default() };
    let found = search(&machine, &options, &|_| 0, &|state| {
        looked_at.iter().map(|what| seen(observe(&machine, state, *what))).collect()
    });
    let incomplete = match found.outcome {
        Outcome::Complete | Outcome::FirstViolation => None,
        Outcome::Limit { complete_to_depth, .. } => Some(format!(
            "the checker stopped at {} states of `{}`, complete to depth {complete_to_depth}; \
             nothing is said of outcomes that it has not seen",
            found.states, program.header.name
        )),
    };
    Allowed { ends: found.ends, incomplete }
}

/// A value as a program can see it.
pub(crate) fn seen(value: i64) -> i64 {
    if value == UNMAPPED { 0 } else { value }
}
