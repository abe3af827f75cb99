//! The way to a state, found backwards and told forwards.
//!
//! No parents are stored. The levels are: of a state in level `d` some state of
//! level `d - 1` is a predecessor, and the least of them is taken. With
//! [symmetry](crate::Reductions) the states found so are representatives; the
//! run that is told begins at a real initial state and follows them, so it is a
//! run of the model as it stands, in its original steps.

use std::fmt;

use crate::model::Model;
use crate::packed::Packed;
use crate::store::Store;
use crate::successor::Successors;

/// One step of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<S> {
    /// Who takes it.
    pub process: usize,
    /// Which of its choices.
    pub choice: u32,
    /// Where it leads.
    pub state: S,
}

/// A run of the model, from an initial state on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness<S> {
    /// Where it begins.
    pub start: S,
    /// Every step, fused or not.
    pub steps: Vec<Step<S>>,
    /// Levels of the search that it crosses: its length with each chain of
    /// fused steps counted once. Shortest in this measure.
    pub levels: u32,
}

/// Why a run is not one of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayError {
    /// It does not begin at an initial state.
    Start,
    /// The process cannot take this step there.
    Step {
        /// Its place in the run.
        index: usize,
    },
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplayError::Start => f.write_str("the run does not begin at an initial state"),
            ReplayError::Step { index } => {
                write!(f, "step {index} of the run is none that its process can take there")
            }
        }
    }
}

impl std::error::Error for ReplayError {}

impl<S: Packed> Witness<S> {
    /// The state that it ends in.
    pub fn end(&self) -> S {
        self.steps.last().map_or(self.start, |step| step.state)
    }

    /// Checks that it is a run of the model.
    ///
    /// # Errors
    ///
    /// The first place at which it is not.
    pub fn replay<M: Model<State = S>>(&self, model: &M) -> Result<(), ReplayError> {
        if !model.initial().iter().any(|open| model.close(open) == self.start) {
            return Err(ReplayError::Start);
        }
        let mut state = self.start;
        for (index, step) in self.steps.iter().enumerate() {
            let mut possible = false;
            model.steps(&model.open(&state), step.process, &mut |choice, next| {
                possible |= choice == step.choice && model.close(&next) == step.state;
            });
            if !possible {
                return Err(ReplayError::Step { index });
            }
            state = step.state;
        }
        Ok(())
    }

    /// The shortest run to a state of this level.
    pub(crate) fn find<M: Model<State = S>>(
        successors: &Successors<'_, M>,
        store: &Store<S>,
        depth: usize,
        state: S,
    ) -> Self {
        let mut way = vec![state];
        for level in (0..depth).rev() {
            let target = *way.last().expect("it begins with the end");
            way.push(predecessor(successors, store, level, &target));
        }
        way.reverse();
        tell(successors, &way)
    }
}

/// The least state of the level that leads to `target`.
fn predecessor<M: Model>(
    successors: &Successors<'_, M>,
    store: &Store<M::State>,
    level: usize,
    target: &M::State,
) -> M::State {
    debug_assert!(store.find(target).is_some(), "the way ends at a state that was visited");
    let mut least: Option<M::State> = None;
    for state in store.level(level) {
        if least.is_some_and(|known| known <= *state) {
            continue;
        }
        let mut leads = false;
        let open = successors.model.open(state);
        successors.each(&open, &mut |next| leads |= next.state == *target);
        if leads {
            least = Some(*state);
        }
    }
    least.expect("a state of a level was found from the level before")
}

/// The run of the model that passes by these representatives.
fn tell<M: Model>(successors: &Successors<'_, M>, way: &[M::State]) -> Witness<M::State> {
    let model = successors.model;
    // An initial state whose representative is the first of the way.
    let begun = model.initial().into_iter().find_map(|start| {
        let packed = model.close(&start);
        let mut steps = Vec::new();
        let state = settle(successors, start, &mut steps);
        (successors.close(state.clone()) == way[0]).then_some((packed, state, steps))
    });
    let (start, mut state, mut steps) = begun.expect("the way begins at an initial state");
    for target in &way[1..] {
        state = one_level(successors, &state, target, &mut steps);
    }
    Witness { start, steps, levels: (way.len() - 1) as u32 }
}

/// Takes the steps from a state to one whose representative is `target`.
fn one_level<M: Model>(
    successors: &Successors<'_, M>,
    state: &M::Open,
    target: &M::State,
    steps: &mut Vec<Step<M::State>>,
) -> M::Open {
    let model = successors.model;
    let before = steps.len();
    for process in 0..model.processes() {
        let mut reached = None;
        model.steps(state, process, &mut |choice, next| {
            if reached.is_some() {
                return;
            }
            steps.push(Step { process, choice, state: model.close(&next) });
            let end = settle(successors, next, steps);
            if successors.close(end.clone()) == *target {
                reached = Some(end);
            } else {
                steps.truncate(before);
            }
        });
        if let Some(end) = reached {
            return end;
        }
    }
    unreachable!("equal states have equal successors")
}

/// Takes the fused steps after a state.
fn settle<M: Model>(
    successors: &Successors<'_, M>,
    state: M::Open,
    steps: &mut Vec<Step<M::State>>,
) -> M::Open {
    let mut tell = |process, choice, open: &M::Open| {
        steps.push(Step { process, choice, state: successors.model.close(open) });
    };
    successors.settle(state, &mut tell).state
}
