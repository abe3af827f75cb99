//! A bit for each of some states, set by several threads.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bits that begin clear.
pub(crate) struct Bits {
    words: Vec<AtomicU64>,
    len: usize,
}

impl Bits {
    pub(crate) fn new(len: usize) -> Self {
        Bits { words: (0..len.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(), len }
    }

    #[inline]
    pub(crate) fn get(&self, at: usize) -> bool {
        self.words[at / 64].load(Ordering::Relaxed) >> (at % 64) & 1 == 1
    }

    #[inline]
    pub(crate) fn set(&self, at: usize) {
        // Mostly it is set already, by a step before.
        if !self.get(at) {
            self.words[at / 64].fetch_or(1 << (at % 64), Ordering::Relaxed);
        }
    }

    /// Those that are still clear.
    pub(crate) fn unset(&self) -> impl Iterator<Item = usize> {
        (0..self.len).filter(|at| !self.get(*at))
    }
}
