//! The two explorations of a test: on ideal memory, and on the machine.

use std::collections::BTreeSet;

use shootdown_explore::{Options, Outcome, Stop};
use shootdown_machine::ideal::Ideal;
use shootdown_machine::machine::Machine;
use shootdown_machine::model::{self, Found, failed_of, search};
use shootdown_machine::outcome::{self, Observable};
use shootdown_machine::sets::Sets;
use shootdown_machine::state::State;
use shootdown_machine::world::{Failed, World};
use shootdown_step::Target;

use crate::check::Subject;
use crate::classify::Ends;
use crate::request::Request;

/// What the two searches have found.
pub(crate) struct Explored {
    pub(crate) machine: Machine<Sets>,
    pub(crate) found: Found,
    pub(crate) ideal_states: u64,
    pub(crate) ideal_stopped: Option<String>,
    pub(crate) ends: Ends,
    /// What the condition looks at.
    pub(crate) shown: Vec<Observable>,
    pub(crate) options: Options,
}

/// What a search is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A run to everything that is violated.
    Runs,
    /// What is violated, and runs to ends that ideal memory lacks: they say what.
    Codes,
    /// A run to an end that ideal memory lacks.
    WrongEnd,
}

/// Explores a test. If another one has the same ideal memory and was explored
/// in the same way, that need not be done again.
pub(crate) fn explore(
    subject: &Subject,
    request: &Request,
    wanted: Wanted,
    known: Option<(&Subject, &Explored)>,
) -> Explored {
    let mut options = request.options();
    let compared = outcome::compared(&subject.lowered, &subject.ideal);
    let mut allowed = BTreeSet::new();
    let (mut ideal_states, mut ideal_stopped) = (0, None);
    let known = known.filter(|(other, explored)| {
        other.ideal == subject.ideal
            && other.refusal.is_none()
            && explored.ends.compared == compared
    });
    if let Some((_, explored)) = known.filter(|_| subject.refusal.is_none()) {
        ideal_states = explored.ideal_states;
        ideal_stopped.clone_from(&explored.ideal_stopped);
        allowed.clone_from(&explored.ends.allowed);
    } else if subject.refusal.is_none() {
        let (world, slots) = World::new(subject.ideal.clone(), Target::Ideal, subject.setting);
        let ideal = Machine::new(world, slots, Ideal::default());
        let found = search(&ideal, &options, &|_| 0, &|state| {
            outcome::comparable(&ideal, state, &compared)
        });
        ideal_states = found.states;
        ideal_stopped = incomplete(&found);
        allowed = found.ends;
    }
    let shown = outcome::shown(&subject.program, &subject.lowered);
    let (world, slots) = World::new(subject.lowered.clone(), Target::Machine, subject.setting);
    let mut machine = Machine::new(world, slots, Sets::default());
    if request.renumber {
        let looked_at = shown.iter().chain(&compared).filter_map(|what| match what {
            Observable::Word(word) => Some(*word),
            _ => None,
        });
        machine = machine.renumbering(&looked_at.collect());
    }
    let ends = Ends { compared, allowed };
    let judges = subject.refusal.is_none() && ideal_stopped.is_none();
    let wrong = |state: &State| -> u64 {
        if !judges {
            return 0;
        }
        let mut wrong = false;
        // A representative stands for every naming of equal threads.
        machine.orbit(state, &mut |state| wrong |= !ends.allows(&machine, state));
        u64::from(wrong) << model::OUTCOME
    };
    match wanted {
        Wanted::Runs => options.trapped = true,
        Wanted::Codes => {
            options.trapped = true;
            options.witnessed = 1 << model::OUTCOME;
        }
        Wanted::WrongEnd => {
            options.first_violation_only = true;
            options.properties = 1 << model::OUTCOME;
        }
    }
    let keep = |state: &State| {
        let mut list: Vec<i64> =
            shown.iter().map(|what| outcome::observe(&machine, state, *what)).collect();
        list.extend(outcome::comparable(&machine, state, &ends.compared));
        list
    };
    let found = search(&machine, &options, &wrong, &keep);
    Explored { found, ideal_states, ideal_stopped, ends, shown, options, machine }
}

/// Why a search did not cover everything.
pub(crate) fn incomplete(found: &Found) -> Option<String> {
    let cut = |why: Failed| {
        (0..u64::BITS).any(|bit| found.broken >> bit & 1 != 0 && failed_of(bit) == Some(why))
    };
    stopped(found.outcome, found.states).or_else(|| {
        if cut(Failed::Frames) {
            Some("some runs need more pages than a place that allocates has".to_owned())
        } else if cut(Failed::Stores) {
            Some("some runs keep more stores to one word than are told apart".to_owned())
        } else if cut(Failed::Unordered) {
            Some("some runs change an entry twice and nothing orders the two under ra".to_owned())
        } else if cut(Failed::Endless) {
            Some(
                "some runs loop without a step that others can see, or meet too large a number"
                    .to_owned(),
            )
        } else {
            None
        }
    })
}

/// Why a search did not come to an end.
pub(crate) fn stopped(outcome: Outcome, states: u64) -> Option<String> {
    match outcome {
        Outcome::Limit { stop, complete_to_depth } => {
            let what = match stop {
                Stop::Asked => {
                    return Some(format!(
                        "interrupted at {states} states, complete to depth {complete_to_depth}"
                    ));
                }
                Stop::States => "states",
                Stop::Bytes => "memory",
                Stop::Time => "time",
                Stop::Model => "the model",
            };
            Some(format!(
                "stopped by the limit on {what} at {states} states, complete to depth {complete_to_depth}"
            ))
        }
        _ => None,
    }
}
