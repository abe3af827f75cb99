//! From one state to the next that is worth keeping.

use crate::model::{Model, Reductions};

/// More steps than any chain of fused steps has unless it is a cycle; then the
/// state is kept and the chain goes on from there.
const LONGEST_CHAIN: usize = 4096;

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

impl<M: Model> Successors<'_, M> {
    /// The states to begin with.
    pub(crate) fn initial(&self) -> Vec<M::State> {
        let settled = |state| self.canonical(&self.settle(state, &mut |_, _, _| {}));
        self.model.initial().into_iter().map(settled).collect()
    }

    pub(crate) fn canonical(&self, state: &M::State) -> M::State {
        if self.reductions.symmetry { self.model.canonical(state) } else { *state }
    }

    /// Every state that one step, and the fused steps after it, lead to; the
    /// same may come several times. Returns how many steps there were.
    #[inline]
    pub(crate) fn each(&self, state: &M::State, each: &mut impl FnMut(M::State)) -> u64 {
        let mut steps = 0;
        for process in 0..self.model.processes() {
            self.model.steps(state, process, &mut |_, next| {
                steps += 1;
                let next = self.settle(next, &mut |_, _, _| {});
                each(self.canonical(&next));
            });
        }
        steps
    }

    /// Takes fused steps until there is none, and tells each of them.
    ///
    /// Stops at a state that breaks a property, so that it is kept and looked at.
    #[inline]
    pub(crate) fn settle(
        &self,
        mut state: M::State,
        tell: &mut dyn FnMut(usize, u32, M::State),
    ) -> M::State {
        if !self.reductions.fuse {
            return state;
        }
        for _ in 0..LONGEST_CHAIN {
            if self.model.broken(&state) != 0 {
                return state;
            }
            let ready = |process: &usize| self.model.may_fuse(&state, *process);
            let Some(process) = (0..self.model.processes()).find(ready) else { return state };
            let mut taken = None;
            self.model.steps(&state, process, &mut |choice, next| {
                assert!(taken.is_none(), "process {process} may fuse a step and has two");
                taken = Some((choice, next));
            });
            let (choice, next) = taken.expect("a process that may fuse a step has one");
            tell(process, choice, next);
            state = next;
        }
        state
    }
}
