//! What the engine is told of a program.

use crate::packed::Packed;

/// A finite model: processes that take steps.
///
/// A state has two forms. [Packed](Model::State) it is stored, compared and
/// reported; [open](Model::Open) it is looked at and changed. The engine opens
/// a state once to expand it and closes only what it stores. Where the packed
/// form is as easy to look at as any other, both are the same type and
/// [`open`](Model::open) and [`close`](Model::close) change nothing.
pub trait Model: Sync {
    /// A state as it is stored.
    type State: Packed;

    /// The same state taken apart.
    type Open: Clone + Send;

    /// Takes a state apart.
    fn open(&self, state: &Self::State) -> Self::Open;

    /// Packs a state. Opened again it must have the same steps, break the same
    /// properties, and be packed the same.
    fn close(&self, open: &Self::Open) -> Self::State;

    /// Where it may begin.
    fn initial(&self) -> Vec<Self::Open>;

    /// How many processes there are.
    fn processes(&self) -> usize;

    /// Every step that a process can take in a state: a number that tells the
    /// choices of one process apart, and where it leads. The order must depend
    /// on nothing but the state.
    fn steps(&self, state: &Self::Open, process: usize, each: &mut dyn FnMut(u32, Self::Open));

    /// Which properties the state breaks, a bit for each. States with the same
    /// [representative](Model::canonical) break the same properties.
    fn broken(&self, state: &Self::Open) -> u64 {
        let _ = state;
        0
    }

    /// Whether a state in which nobody can take a step is an end. If not it is
    /// a deadlock.
    fn is_end(&self, state: &Self::Open) -> bool {
        let _ = state;
        true
    }

    /// Whether the process's next step may be taken at once, before anybody
    /// else's.
    ///
    /// To be sound the step must be the only one that the process can take;
    /// nothing that the others can do before this process goes on may depend on
    /// it, disable it, or be disabled by it; and it must not lead round a
    /// cycle of such steps. A process that has no step, or several, is not
    /// fused whatever is said here.
    fn may_fuse(&self, state: &Self::Open, process: usize) -> bool {
        let _ = (state, process);
        false
    }

    /// The process's next step, if it is its only one and
    /// [may be taken at once](Model::may_fuse): the choice and where it leads.
    /// For a model that has to take a step to know whether it may.
    fn fused(&self, state: &Self::Open, process: usize) -> Option<(u32, Self::Open)> {
        if !self.may_fuse(state, process) {
            return None;
        }
        let mut step = None;
        let mut count = 0;
        self.steps(state, process, &mut |choice, next| {
            count += 1;
            step = Some((choice, next));
        });
        step.filter(|_| count == 1)
    }

    /// The representative of all states that differ only by which of several
    /// equal processes is which.
    fn canonical(&self, state: Self::Open) -> Self::Open {
        state
    }

    /// Whether the model cannot go on: it has met a value that its layout has
    /// no room for, or somebody interrupts. Polled between blocks of states;
    /// what the last block led to is then thrown away.
    fn stopped(&self) -> bool {
        false
    }
}

/// Which reductions are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reductions {
    /// Take steps that [`Model::may_fuse`] at once.
    pub fuse: bool,
    /// Keep one of several [equal](Model::canonical) states.
    pub symmetry: bool,
}

impl Reductions {
    /// Both.
    pub const ALL: Self = Reductions { fuse: true, symmetry: true };
    /// Neither.
    pub const NONE: Self = Reductions { fuse: false, symmetry: false };
}

impl Default for Reductions {
    fn default() -> Self {
        Self::ALL
    }
}
