//! Whether somebody looked while something was under way.
//!
//! A test whose threads never met in the window has shown nothing. An operation
//! is open from `range_start` to `range_end`, a call from its beginning to its
//! return; an access that another thread begins meanwhile was in the window.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use address_space::{Point, Schedule, Stage};

thread_local! {
    /// The calling thread has an operation open.
    static OPEN: Cell<bool> = const { Cell::new(false) };
}

/// What is open in one iteration.
#[derive(Default)]
pub(crate) struct Window {
    ranges: AtomicU32,
    calls: AtomicU32,
    in_range: AtomicBool,
    in_call: AtomicBool,
    turn: AtomicU64,
}

impl Window {
    /// An access of the calling thread begins.
    pub(crate) fn access(&self) {
        if self.ranges.load(Ordering::Relaxed) != 0 {
            self.in_range.store(true, Ordering::Relaxed);
        }
        if self.calls.load(Ordering::Relaxed) != 0 {
            self.in_call.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) fn call_begins(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn call_ends(&self) {
        self.calls.fetch_sub(1, Ordering::Relaxed);
        self.range_ends();
    }

    /// The calling thread has no range open any more: an operation that finds
    /// that somebody was faster ends without saying so.
    pub(crate) fn range_ends(&self) {
        if OPEN.replace(false) {
            self.ranges.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// In a range, in a call.
    pub(crate) fn hits(&self) -> (bool, bool) {
        (self.in_range.load(Ordering::Relaxed), self.in_call.load(Ordering::Relaxed))
    }
}

impl Schedule for Window {
    fn reach(&self, point: Point) {
        match point.stage {
            Stage::Started if !OPEN.replace(true) => {
                self.ranges.fetch_add(1, Ordering::Relaxed);
            }
            Stage::Ended => self.range_ends(),
            // "Even if the thread is preempted right after releasing the page
            // table lock": every second time it is.
            Stage::Unlocked => {
                let turn = self.turn.fetch_add(1, Ordering::Relaxed);
                for _ in 0..turn % 2 * 3 {
                    std::thread::yield_now();
                }
            }
            _ => {}
        }
    }
}
