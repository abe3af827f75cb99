//! From one state to the next that is worth keeping.
//!
//! A stored state is one after which nothing is fused, so a step that leads to
//! one has come to its end. Most steps do, and a look into the store costs less
//! than to ask every process whether its next step may be fused.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::model::{Model, Reductions};
use crate::packed::Packed;
use crate::store::Store;

/// More steps than any chain of fused steps has unless it is a cycle; then the
/// state is kept and the chain goes on from there.
const LONGEST_CHAIN: u64 = 4096;

/// What the search does with a model.
pub(crate) struct Successors<'m, M> {
    pub(crate) model: &'m M,
    pub(crate) reductions: Reductions,
    /// Whether a state was kept only because its chain had become too long: then
    /// a stored state may be one that fused steps follow.
    pub(crate) cut: &'m AtomicBool,
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
    /// The properties that it breaks; of a stored state they are known.
    pub(crate) broken: u64,
    /// Fused steps that led to it.
    pub(crate) fused: u64,
}

impl<M: Model> Successors<'_, M> {
    /// The states to begin with.
    pub(crate) fn initial(&self) -> Vec<Settled<M::State>> {
        let keep = |open| {
            let Settled { state, broken, fused } = self.settle(open, &mut |_, _, _| {});
            Settled { state: self.close(state), broken, fused }
        };
        self.model.initial().into_iter().map(keep).collect()
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
    pub(crate) fn each(
        &self,
        open: &M::Open,
        store: &Store<M::State>,
        each: &mut impl FnMut(u64, Settled<M::State>),
    ) -> u64 {
        let mut steps = 0;
        for process in 0..self.model.processes() {
            self.model.steps(open, process, &mut |_, next| {
                steps += 1;
                let (hash, settled) = self.keep(next, store);
                each(hash, settled);
            });
        }
        steps
    }

    /// The state to be kept for this one, and its hash.
    #[inline]
    fn keep(&self, mut open: M::Open, store: &Store<M::State>) -> (u64, Settled<M::State>) {
        let mut fused = 0;
        loop {
            let state = self.close(open.clone());
            let hash = state.hash();
            if store.holds(&state, hash) && !self.cut.load(Ordering::Relaxed) {
                return (hash, Settled { state, broken: 0, fused });
            }
            let (broken, next) = self.go_on(&open, fused);
            match next {
                Some((_, _, next)) => open = next,
                None => return (hash, Settled { state, broken, fused }),
            }
            fused += 1;
        }
    }

    /// The properties that a state breaks, and the fused step that follows it:
    /// none if there are any, so that the state is kept and reported.
    #[inline]
    fn go_on(&self, state: &M::Open, fused: u64) -> (u64, Option<(usize, u32, M::Open)>) {
        let broken = self.model.broken(state);
        if !self.reductions.fuse || broken != 0 {
            return (broken, None);
        }
        if fused == LONGEST_CHAIN {
            self.cut.store(true, Ordering::Relaxed);
            return (broken, None);
        }
        (broken, self.fusable(state))
    }

    /// Takes fused steps until there is none, and tells each of them.
    #[inline]
    pub(crate) fn settle(
        &self,
        mut state: M::Open,
        tell: &mut dyn FnMut(usize, u32, &M::Open),
    ) -> Settled<M::Open> {
        let mut fused = 0;
        loop {
            let (broken, next) = self.go_on(&state, fused);
            let Some((process, choice, next)) = next else {
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
