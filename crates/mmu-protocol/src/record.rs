//! What a running system reports: one vocabulary for monitors and traces.

use crate::{Event, PageSize, Transition, VirtAddr, VirtRange};

/// Which address space a record speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MmId(pub u64);

/// One step of the protocol, as it happened in one address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The address space.
    pub mm: MmId,
    /// What happened.
    pub kind: RecordKind,
}

/// What happened.
///
/// Addresses are virtual, frames are numbers of 4 KiB frames (`pfn`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordKind {
    /// `invalidate_range_start` returned: software mirrors dropped the range.
    Start {
        /// The range that will change.
        range: VirtRange,
        /// Why.
        event: Event,
        /// Whether callbacks were allowed to block.
        blockable: bool,
    },
    /// `invalidate_range_end`: nothing of the range is owed any more.
    End {
        /// The range of the matching start.
        range: VirtRange,
        /// The event of the matching start.
        event: Event,
    },
    /// An entry was cleared under its page table lock.
    Clear {
        /// Start of the page.
        addr: VirtAddr,
        /// What the entry mapped.
        size: PageSize,
        /// First frame of what it mapped; of the table if it pointed to one.
        pfn: u64,
    },
    /// An entry lost a right or its page under the lock without being cleared
    /// first.
    Change {
        /// Start of the page.
        addr: VirtAddr,
        /// What the entry maps.
        size: PageSize,
        /// Which change it was.
        transition: Transition,
    },
    /// The CPU TLBs no longer hold anything of the range.
    Flush {
        /// What was flushed.
        range: VirtRange,
    },
    /// The secondary TLBs no longer hold anything of the range.
    Invalidate {
        /// What was invalidated.
        range: VirtRange,
    },
    /// A present entry was stored.
    Set {
        /// Start of the page.
        addr: VirtAddr,
        /// What the entry maps.
        size: PageSize,
        /// First frame of the page.
        pfn: u64,
        /// Which change it was.
        transition: Transition,
    },
    /// A frame went back to the allocator.
    Free {
        /// The frame.
        pfn: u64,
    },
    /// A TLB took a translation.
    Fill {
        /// Start of the page.
        addr: VirtAddr,
        /// What the translation maps.
        size: PageSize,
        /// First frame of the page.
        pfn: u64,
    },
    /// An access was performed through a translation.
    Use {
        /// The address that was accessed.
        addr: VirtAddr,
        /// The frame that was reached.
        pfn: u64,
        /// Whether it was a store.
        write: bool,
    },
}
