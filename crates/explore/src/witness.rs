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

    /// The shortest run to each of these: a level and a state of it.
    pub(crate) fn find<M: Model<State = S>>(
        successors: &Successors<'_, M>,
        store: &Store<S>,
        ends: &[(usize, S)],
    ) -> Vec<Self> {
        let mut ways: Vec<Vec<S>> = ends.iter().map(|(_, state)| vec![*state]).collect();
        let deepest = ends.iter().map(|(depth, _)| *depth).max().unwrap_or(0);
        for level in (0..deepest).rev() {
            // A level is looked at once for all ways that cross it.
            let crosses = |end: &(usize, S)| end.0 > level;
            let mut open: Vec<&mut Vec<S>> = (ways.iter_mut().zip(ends))
                .filter_map(|(way, end)| crosses(end).then_some(way))
                .collect();
            let targets: Vec<S> = open.iter().map(|way| way[way.len() - 1]).collect();
            let before = predecessors(successors, store, level, &targets);
            for (way, state) in open.iter_mut().zip(before) {
                way.push(state);
            }
        }
        let tell = |mut way: Vec<S>| {
            way.reverse();
            tell(successors, &way)
        };
        ways.into_iter().map(tell).collect()
    }
}

/// The least state of the level that leads to each of the targets.
fn predecessors<M: Model>(
    successors: &Successors<'_, M>,
    store: &Store<M::State>,
    level: usize,
    targets: &[M::State],
) -> Vec<M::State> {
    let mut least: Vec<Option<M::State>> = vec![None; targets.len()];
    for state in store.level(level) {
        if least.iter().all(|known| known.is_some_and(|known| known <= *state)) {
            continue;
        }
        let open = successors.model.open(state);
        successors.each(&open, store, &mut |_, next| {
            for (target, least) in targets.iter().zip(&mut least) {
                if next.state == *target && least.is_none_or(|known| *state < known) {
                    *least = Some(*state);
                }
            }
        });
    }
    let found = |least: Option<M::State>| {
        least.expect("a state of a level was found from the level before")
    };
    least.into_iter().map(found).collect()
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
