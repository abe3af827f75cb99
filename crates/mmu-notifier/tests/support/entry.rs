//! The entry format of the test platform.

use mmu_notifier::{PageTableEntry, Ticket};

pub(crate) const PRESENT: u64 = 1 << 0;
pub(crate) const WRITABLE: u64 = 1 << 1;
const YOUNG: u64 = 1 << 2;
const TOMBSTONE: u64 = 1 << 3;
const SWAP: u64 = 1 << 4;
const PAYLOAD_SHIFT: u32 = 32;

/// Tombstones carry their ticket.
pub(crate) const ROOM: u8 = 0;
/// There is no room for a ticket, and the platform says so.
pub(crate) const NO_ROOM: u8 = 1;
/// Wrong: a tombstone is promised, and what is stored carries nothing.
pub(crate) const LOSES_TOMBSTONE: u8 = 2;
/// Wrong: the tombstone is stored, and its ticket cannot be read back.
pub(crate) const LOSES_TICKET: u8 = 3;

/// An entry whose tombstones behave as `KIND` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pte<const KIND: u8>(pub(crate) u64);

impl<const KIND: u8> Pte<KIND> {
    pub(crate) fn page(pfn: usize, writable: bool) -> Self {
        let rights = if writable { WRITABLE } else { 0 };
        Pte((pfn as u64) << PAYLOAD_SHIFT | rights | YOUNG | PRESENT)
    }

    /// An absent entry of the platform's own.
    pub(crate) fn swap(place: u64) -> Self {
        Pte(place << PAYLOAD_SHIFT | SWAP)
    }

    pub(crate) fn pfn(self) -> usize {
        (self.0 >> PAYLOAD_SHIFT) as usize
    }
}

impl<const KIND: u8> PageTableEntry for Pte<KIND> {
    const EMPTY: Self = Pte(0);

    fn is_present(self) -> bool {
        self.0 & PRESENT != 0
    }

    fn is_writable(self) -> bool {
        self.0 & WRITABLE != 0
    }

    fn write_protected(self) -> Self {
        Pte(self.0 & !WRITABLE)
    }

    fn made_writable(self) -> Self {
        Pte(self.0 | WRITABLE)
    }

    fn is_young(self) -> bool {
        self.0 & YOUNG != 0
    }

    fn aged(self) -> Self {
        Pte(self.0 & !YOUNG)
    }

    fn tombstone(ticket: Ticket) -> Option<Self> {
        match KIND {
            NO_ROOM => None,
            LOSES_TOMBSTONE => Some(Pte(TOMBSTONE)),
            _ => Some(Pte(u64::from(ticket.get()) << PAYLOAD_SHIFT | TOMBSTONE)),
        }
    }

    fn ticket(self) -> Option<Ticket> {
        if KIND == LOSES_TICKET || self.0 & (PRESENT | TOMBSTONE) != TOMBSTONE {
            return None;
        }
        Ticket::from_raw((self.0 >> PAYLOAD_SHIFT) as u32)
    }
}
