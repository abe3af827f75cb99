//! From one state to the next that is worth keeping.

use crate::model::{Model, Reductions};

/// More steps than any chain of fused steps has unless it is a cycle; then the
/// state is kept and the chain goes on from there.
const LONGEST_CHAIN: u64 = 4096;

/// What the search does with a model.
pub(crate) struct Successors<'m, M> {
    pub(crate) model: &'m M,
    pub(crate) reductions: Reductions,
}

impl<M> Clone for Successors<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<M> Copy for Successors<'_, M> {}

/// A state after which nothing is fused.
pub(crate) struct Settled<T> {
    pub(crate) state: T,
    /// The properties that it breaks.
    pub(crate) broken: u64,
    /// Fused steps that led to it.
    pub(crate) fused: u64,
}

impl<M: Model> Successors<'_, M> {
    /// The states to begin with.
    pub(crate) fn initial(&self) -> Vec<Settled<M::State>> {
        self.model.initial().into_iter().map(|open| self.keep(open)).collect()
    }

    /// The packed representative of an open state.
    #[inline]
    pub(crate) fn close(&self, open: M::Open) -> M::State {
        let open = if self.reductions.symmetry { self.model.canonical(open) } else { open };
        self.model.close(&open)
    }

    /// Every state that one step, and the fused steps after it, lead to; the
    /// same may come several times. Returns how many steps there were.
    #[inline]
    pub(crate) fn each(&self, open: &M::Open, each: &mut impl FnMut(Settled<M::State>)) -> u64 {
        let mut steps = 0;
        for process in 0..self.model.processes() {
            self.model.steps(open, process, &mut |_, next| {
                steps += 1;
                each(self.keep(next));
            });
        }
        steps
    }

    /// The state to be kept for this one.
    #[inline]
    fn keep(&self, open: M::Open) -> Settled<M::State> {
        let Settled { state, broken, fused } = self.settle(open, &mut |_, _, _| {});
        Settled { state: self.close(state), broken, fused }
    }

    /// Takes fused steps until there is none, and tells each of them.
    ///
    /// Stops at a state that breaks a property, so that it is kept and reported.
    #[inline]
    pub(crate) fn settle(
        &self,
        mut state: M::Open,
        tell: &mut dyn FnMut(usize, u32, &M::Open),
    ) -> Settled<M::Open> {
        let mut fused = 0;
        loop {
            let broken = self.model.broken(&state);
            if !self.reductions.fuse || broken != 0 || fused == LONGEST_CHAIN {
                return Settled { state, broken, fused };
            }
            let Some((process, choice, next)) = self.fusable(&state) else {
                return Settled { state, broken, fused };
            };
            tell(process, choice, &next);
            state = next;
            fused += 1;
        }
    }

    /// The step of the first process that may fuse one.
    #[inline]
    fn fusable(&self, state: &M::Open) -> Option<(usize, u32, M::Open)> {
        (0..self.model.processes()).find_map(|process| {
            let (choice, next) = self.model.fused(state, process)?;
            Some((process, choice, next))
        })
    }
}
