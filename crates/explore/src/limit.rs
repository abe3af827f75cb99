//! When to give up, and what is known then.

use std::time::Duration;

/// Caps on a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// States that may be visited.
    pub states: u64,
    /// Bytes that the visited set and its queues may take.
    pub bytes: u64,
    /// Time that may pass; looked at between blocks of states.
    pub time: Duration,
}

impl Default for Limits {
    /// A hundred million states, 4 GiB, ten minutes.
    fn default() -> Self {
        Limits { states: 100_000_000, bytes: 4 << 30, time: Duration::from_secs(600) }
    }
}

/// What ended the search before it was complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// [`Limits::states`].
    States,
    /// [`Limits::bytes`].
    Bytes,
    /// [`Limits::time`].
    Time,
    /// [`Model::stopped`](crate::Model::stopped): none of them.
    Model,
}

/// How much of the state space was covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it.
    Complete,
    /// The search ended at the first level with a violation, as it was told to.
    FirstViolation,
    /// Every state up to this many steps from the start, and no more.
    Limit {
        /// What ended it.
        stop: Stop,
        /// The last level that was covered whole.
        complete_to_depth: u32,
    },
}
