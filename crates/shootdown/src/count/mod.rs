//! The smallest forms of both cases, from threads that run freely.
//!
//! No named point is armed and nobody sleeps. A thread yields after it releases
//! a page table lock, alike under both policies. The right policy and the wrong
//! one take turns, round by round, until the wrong one was caught ten times and
//! the right one was in the window a thousand times, or the time is up.

mod doorbell;
mod early_free;
mod gate;

use std::time::{Duration, Instant};

use address_space::Error;
use serde::Serialize;

pub use doorbell::doorbell;
pub use early_free::early_free;

/// How often the wrong policy has to be caught.
pub const ENOUGH: u64 = 10;

/// How often the right policy has to be in the window: one that never was there
/// has shown nothing, and one that was there ten times hardly more.
pub const ENOUGH_RIGHT: u64 = 1000;

/// What was counted under one policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Rounds played.
    pub rounds: u64,
    /// Events inside the window.
    pub in_window: u64,
    /// Those of them that memory which keeps its promises could not give.
    pub wrong: u64,
    /// Such events after the window: under neither policy may there be any.
    pub wrong_after: u64,
}

/// What was counted under both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Under the right policy.
    pub right: Count,
    /// Under the wrong one.
    pub wrong: Count,
}

impl Counts {
    /// Whether the wrong policy was caught at all: if not, the right one has
    /// not been put to the test.
    pub fn window_hit(&self) -> bool {
        self.wrong.wrong > 0 && self.right.in_window > 0
    }

    /// Plays rounds of both policies in turn until there is enough of both or
    /// `limit` has passed.
    fn take_turns(
        limit: Duration,
        right: &mut dyn FnMut(&mut Count) -> Result<(), Error>,
        wrong: &mut dyn FnMut(&mut Count) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let mut counts = Counts::default();
        let start = Instant::now();
        let enough = |counts: &Counts| {
            counts.wrong.wrong >= ENOUGH && counts.right.in_window >= ENOUGH_RIGHT
        };
        while start.elapsed() < limit && !enough(&counts) {
            right(&mut counts.right)?;
            wrong(&mut counts.wrong)?;
        }
        Ok(counts)
    }
}
