//! Who is there, in one word, as in the library.

use std::sync::atomic::{AtomicU64, Ordering};

/// Up to 64 subscribers, fixed.
pub(super) struct List<T> {
    live: AtomicU64,
    places: [Option<T>; 64],
}

impl<T> List<T> {
    pub(super) fn new(values: Vec<T>) -> Self {
        let live = AtomicU64::new(match values.len() {
            64 => u64::MAX,
            few => (1 << few) - 1,
        });
        let mut values = values.into_iter();
        List { live, places: std::array::from_fn(|_| values.next()) }
    }

    #[inline]
    pub(super) fn live(&self) -> u64 {
        self.live.load(Ordering::Acquire)
    }

    #[inline]
    pub(super) fn for_each(&self, mut who: u64, mut f: impl FnMut(&T)) {
        while who != 0 {
            let place = who.trailing_zeros() as usize;
            who &= who - 1;
            // SAFETY: a bit is set only where `new` put a value, and nothing
            // takes it out.
            f(unsafe { self.places[place].as_ref().unwrap_unchecked() });
        }
    }
}
