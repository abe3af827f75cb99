//! What the engine is told of a program.

use crate::packed::Packed;

/// A finite model: processes that take steps.
pub trait Model: Sync {
    /// Its states.
    type State: Packed;

    /// Where it may begin.
    fn initial(&self) -> Vec<Self::State>;

    /// How many processes there are.
    fn processes(&self) -> usize;

    /// Every step that a process can take in a state: a number that tells the
    /// choices of one process apart, and where it leads. The order must depend
    /// on nothing but the state.
    fn steps(&self, state: &Self::State, process: usize, each: &mut dyn FnMut(u32, Self::State));

    /// Which properties the state breaks, a bit for each.
    fn broken(&self, state: &Self::State) -> u64 {
        let _ = state;
        0
    }

    /// Whether a state in which nobody can take a step is an end. If not it is
    /// a deadlock.
    fn is_end(&self, state: &Self::State) -> bool {
        let _ = state;
        true
    }

    /// Whether the process's next step may be taken at once, before anybody
    /// else's.
    ///
    /// To be sound the step must be the only one that the process can take;
    /// nothing that the others can do before this process goes on may depend on
    /// it, disable it, or be disabled by it; and it must not lead round a
    /// cycle of such steps.
    fn may_fuse(&self, state: &Self::State, process: usize) -> bool {
        let _ = (state, process);
        false
    }

    /// The representative of all states that differ only by which of several
    /// equal processes is which.
    fn canonical(&self, state: &Self::State) -> Self::State {
        *state
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
