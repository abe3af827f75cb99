//! Where the threads of a round meet before and after it.

use std::sync::atomic::{AtomicU64, Ordering};

/// A barrier that yields instead of sleeping: rounds are short.
#[derive(Default)]
pub(crate) struct Gate {
    /// Rounds that have begun; `STOP` if there will be no further one.
    round: AtomicU64,
    /// Threads that have finished the round.
    finished: AtomicU64,
}

const STOP: u64 = u64::MAX;

impl Gate {
    /// Begins a round for the threads that wait in [`next`](Self::next).
    pub(crate) fn open(&self) -> u64 {
        self.finished.store(0, Ordering::Relaxed);
        self.round.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Waits until this many threads have finished the round.
    pub(crate) fn close(&self, threads: u64) {
        while self.finished.load(Ordering::Acquire) < threads {
            std::thread::yield_now();
        }
    }

    /// No further round.
    pub(crate) fn stop(&self) {
        self.round.store(STOP, Ordering::Release);
    }

    /// Waits for the round after `last`; `None` if there is none.
    pub(crate) fn next(&self, last: u64) -> Option<u64> {
        loop {
            match self.round.load(Ordering::Acquire) {
                STOP => return None,
                round if round > last => return Some(round),
                _ => std::thread::yield_now(),
            }
        }
    }

    /// This thread has done its part of the round.
    pub(crate) fn finish(&self) {
        self.finished.fetch_add(1, Ordering::AcqRel);
    }
}
