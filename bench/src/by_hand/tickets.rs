//! Tickets of running ranges, as in the library.

use std::sync::atomic::{AtomicU32, Ordering};

const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const SEQUENCE: u32 = (1 << (32 - SLOT_BITS)) - 1;

pub(super) struct Tickets {
    /// `sequence << 1 | running`.
    slots: [AtomicU32; SLOTS],
}

impl Tickets {
    pub(super) fn new() -> Self {
        Tickets { slots: std::array::from_fn(|_| AtomicU32::new(0)) }
    }

    /// A number that is not zero; `None` if 64 are running.
    #[inline]
    pub(super) fn draw(&self, hint: usize) -> Option<u32> {
        for step in 0..SLOTS {
            let slot = (hint + step) % SLOTS;
            let state = self.slots[slot].load(Ordering::Relaxed);
            if state & 1 == 1 {
                continue;
            }
            let sequence = match (state >> 1).wrapping_add(1) & SEQUENCE {
                0 => 1,
                next => next,
            };
            let running = sequence << 1 | 1;
            if self.slots[slot]
                .compare_exchange(state, running, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
            {
                return Some(sequence << SLOT_BITS | slot as u32);
            }
        }
        None
    }

    #[inline]
    pub(super) fn retire(&self, ticket: u32) {
        let state = (ticket >> SLOT_BITS) << 1;
        self.slots[ticket as usize % SLOTS].store(state, Ordering::Release);
    }
}
