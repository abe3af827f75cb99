//! Tickets of running ranges, for tombstones.
//!
//! An entry that was cleared while some TLB is still to be told holds a
//! *tombstone* with the ticket of the range that cleared it. Whoever meets the
//! tombstone asks whether that ticket is still running: if so a TLB may still
//! hold the old translation, and the entry can only be notified, never set.
//!
//! **INV-TICKET**: a ticket is retired after everything that its range owed
//! was flushed and notified, so a ticket that is seen as retired means that the
//! TLBs were told. Ticket numbers wrap: a tombstone so old that its number runs
//! again is taken for pending and costs one notification too many, never one
//! too few.

use core::fmt;
use core::num::NonZeroU32;

use crate::sync::atomic::{AtomicU32, Ordering};

const SLOT_BITS: u32 = 6;
const SLOTS: usize = if cfg!(loom) { 2 } else { 1 << SLOT_BITS };

/// The number of a running range, to be stored in a tombstone.
///
/// Thirty-two bits, never zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket(NonZeroU32);

impl Ticket {
    /// The number, for encoding it in an entry.
    #[inline]
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// The ticket that was encoded; `None` for zero.
    #[inline]
    pub const fn from_raw(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Ticket(number)),
            None => None,
        }
    }

    #[inline]
    fn slot(self) -> usize {
        self.0.get() as usize & ((1 << SLOT_BITS) - 1)
    }

    /// What the slot holds while this ticket runs: always odd.
    #[inline]
    fn running_state(self) -> u32 {
        (self.0.get() >> SLOT_BITS) << 1 | 1
    }

    #[inline]
    fn from_state(slot: usize, state: u32) -> Option<Self> {
        Ticket::from_raw((state >> 1) << SLOT_BITS | slot as u32)
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ticket({}.{})", self.0.get() >> SLOT_BITS, self.slot())
    }
}

/// The tickets that are running in one address space: at most 64.
pub(crate) struct Tickets {
    /// `sequence << 1 | running`, the sequence in the bits that a ticket holds.
    slots: [AtomicU32; SLOTS],
}

impl Tickets {
    pub(crate) fn new() -> Self {
        Tickets { slots: core::array::from_fn(|_| AtomicU32::new(0)) }
    }

    /// Draws a ticket, or `None` if all are running: then the caller notifies
    /// at once instead of leaving a tombstone.
    #[inline]
    pub(crate) fn draw(&self, hint: usize) -> Option<Ticket> {
        const SEQUENCE: u32 = (1 << (32 - SLOT_BITS)) - 1;
        for step in 0..SLOTS {
            let slot = (hint + step) % SLOTS;
            let state = self.slots[slot].load(Ordering::Relaxed);
            if state & 1 == 1 {
                continue;
            }
            // Zero is left out: it would make the ticket of slot 0 zero.
            let sequence = match (state >> 1).wrapping_add(1) & SEQUENCE {
                0 => 1,
                next => next,
            };
            let running = sequence << 1 | 1;
            // Acquire: our own `retire` is a plain store, so it hands on what
            // the previous owner of the slot told only if we have it.
            if self.slots[slot]
                .compare_exchange(state, running, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
            {
                return Ticket::from_state(slot, running);
            }
        }
        None
    }

    /// Retires a ticket whose range owes nothing any more (INV-TICKET).
    #[inline]
    pub(crate) fn retire(&self, ticket: Ticket) {
        // Release: whoever sees the ticket retired sees the TLBs told. A later
        // draw from this slot is a read-modify-write and carries it on, and as
        // it acquires, so does the retirement of its own ticket.
        self.slots[ticket.slot()].store(ticket.running_state() & !1, Ordering::Release);
    }

    /// Whether a TLB may still have to be told on behalf of this ticket.
    #[inline]
    pub(crate) fn is_running(&self, ticket: Ticket) -> bool {
        self.slots[ticket.slot() % SLOTS].load(Ordering::Acquire) == ticket.running_state()
    }

    /// Whether any ticket but `own` is running.
    pub(crate) fn any_other_running(&self, own: Option<Ticket>) -> bool {
        self.slots.iter().enumerate().any(|(slot, state)| {
            let state = state.load(Ordering::Acquire);
            state & 1 == 1 && Ticket::from_state(slot, state) != own
        })
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_retired_ticket_is_not_running_and_its_successor_is_another() {
        let tickets = Tickets::new();
        let first = tickets.draw(3).unwrap();
        assert!(tickets.is_running(first));
        assert!(tickets.any_other_running(None));
        assert!(!tickets.any_other_running(Some(first)));
        tickets.retire(first);
        assert!(!tickets.is_running(first));
        let second = tickets.draw(3).unwrap();
        assert_ne!(first, second);
        assert!(!tickets.is_running(first), "the successor must not revive the first");
    }

    #[test]
    fn the_sixty_fifth_range_gets_no_ticket() {
        let tickets = Tickets::new();
        let all: [_; SLOTS] = core::array::from_fn(|i| tickets.draw(i).unwrap());
        assert_eq!(tickets.draw(0), None);
        tickets.retire(all[17]);
        assert_eq!(tickets.draw(0).unwrap().slot(), 17);
    }

    #[test]
    fn numbers_wrap_without_becoming_zero() {
        let tickets = Tickets::new();
        let last = ((1 << (32 - SLOT_BITS)) - 1) << 1;
        tickets.slots[0].store(last, Ordering::Relaxed);
        let ticket = tickets.draw(0).unwrap();
        assert_eq!(ticket.get() >> SLOT_BITS, 1);
        assert!(tickets.is_running(ticket));
    }
}
