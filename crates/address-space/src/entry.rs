//! The format of a page table entry.
//!
//! ```text
//!   63              32 31     12 11   9 8 7 6   5     4      3     2     1     0
//!   +-----------------+---------+------+-----+-----+-------+-----+-----+-----+-----+
//!   |   frame number (12..44)   |      |     |     | young |table|huge | rw  |  P  |  present
//!   |     ticket      |                  tomb(9)                            |  0  |  tombstone
//!   |                                  0                                    |  0  |  empty
//!   +-----------------+---------------------------------------------------------+
//! ```

use std::fmt;

use mmu_notifier::{PageTableEntry, Ticket};
use mmu_protocol::Rights;

use crate::memory::Pfn;

/// One entry of a page table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pte(u64);

const PRESENT: u64 = 1 << 0;
const WRITABLE: u64 = 1 << 1;
const HUGE: u64 = 1 << 2;
const TABLE: u64 = 1 << 3;
const YOUNG: u64 = 1 << 4;
const TOMBSTONE: u64 = 1 << 9;
const PFN_SHIFT: u32 = 12;
const TICKET_SHIFT: u32 = 32;

/// What an entry says beside its page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attr {
    /// A 4 KiB or 2 MiB page with these rights.
    Leaf(Rights),
    /// A pointer to a table of smaller entries.
    Table,
}

impl Pte {
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Pte(bits)
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    /// A 4 KiB leaf.
    pub(crate) fn page(pfn: Pfn, rights: Rights) -> Self {
        let rights = if rights == Rights::ReadWrite { WRITABLE } else { 0 };
        Pte(pfn << PFN_SHIFT | rights | YOUNG | PRESENT)
    }

    /// A 2 MiB leaf.
    pub(crate) fn huge(pfn: Pfn, rights: Rights) -> Self {
        Pte(Pte::page(pfn, rights).0 | HUGE)
    }

    /// A pointer to a table.
    pub(crate) fn table(pfn: Pfn) -> Self {
        Pte(pfn << PFN_SHIFT | TABLE | PRESENT)
    }

    /// The frame that a present entry points to.
    pub fn pfn(self) -> Pfn {
        self.0 >> PFN_SHIFT
    }

    /// Whether it maps memory, rather than pointing to a table.
    pub fn is_leaf(self) -> bool {
        self.is_present() && self.0 & TABLE == 0
    }

    /// Whether it is a 2 MiB leaf.
    pub fn is_huge(self) -> bool {
        self.0 & HUGE != 0
    }

    /// The rights of a leaf.
    pub fn rights(self) -> Rights {
        if self.is_writable() { Rights::ReadWrite } else { Rights::ReadOnly }
    }

    /// The same entry with the accessed bit set.
    pub(crate) fn made_young(self) -> Self {
        Pte(self.0 | YOUNG)
    }
}

impl PageTableEntry for Pte {
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
        Some(Pte(u64::from(ticket.get()) << TICKET_SHIFT | TOMBSTONE))
    }

    fn ticket(self) -> Option<Ticket> {
        if self.0 & (PRESENT | TOMBSTONE) == TOMBSTONE {
            Ticket::from_raw((self.0 >> TICKET_SHIFT) as u32)
        } else {
            None
        }
    }
}

impl fmt::Debug for Pte {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(ticket) = self.ticket() {
            return write!(f, "{ticket:?}");
        }
        if !self.is_present() {
            return f.write_str("empty");
        }
        let kind = if self.0 & TABLE != 0 {
            "table"
        } else if self.0 & HUGE != 0 {
            "2M"
        } else {
            "4K"
        };
        let rights = if self.is_leaf() { self.rights().to_string() } else { String::new() };
        write!(f, "{kind} frame {} {rights}", self.pfn())
    }
}
