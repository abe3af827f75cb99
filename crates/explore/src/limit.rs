//! When to give up, and what is known then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

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

/// What ends many searches together. Each of [`Limits`] is about one search: a
/// question that takes thousands of them has one end for all.
#[derive(Clone, Debug, Default)]
pub struct Until {
    /// None goes on behind this moment.
    pub moment: Option<Instant>,
    /// None goes on once somebody has set this.
    pub asked: Option<Arc<AtomicBool>>,
}

impl Until {
    /// What ends them, if it is so far. Who asked comes first: it is what a reader
    /// did, and a moment that is over too has changed nothing for it.
    pub fn over(&self) -> Option<Stop> {
        let is_set = |flag: &Arc<AtomicBool>| flag.load(Ordering::Relaxed);
        if self.asked.as_ref().is_some_and(is_set) {
            return Some(Stop::Asked);
        }
        self.moment.filter(|moment| Instant::now() > *moment).map(|_| Stop::Time)
    }

    /// The same in words.
    pub fn why(&self) -> Option<&'static str> {
        self.over()
            .map(|stop| if stop == Stop::Asked { "interrupted" } else { "the time was over" })
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
    /// [`Until::asked`].
    Asked,
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
