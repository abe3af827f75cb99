//! Where a TLB refills from.
//!
//! A TLB that misses asks its source: a page table, or another TLB. So one
//! structure serves as the TLB of a CPU, as the IOTLB of an IOMMU, and as the
//! TLB of a device with ATS, which refills from the IOTLB.

use alloc::sync::Arc;

use mmu_protocol::{Access, VirtAddr};

use crate::tlb::Tlb;
use crate::translation::{Pasid, Translation};

/// Gives a TLB the translations that it does not hold.
pub trait Source: Send + Sync {
    /// The translation of `addr` now, whether or not it grants the access.
    ///
    /// `access` matters to a source that is a TLB itself: an entry that does
    /// not grant it is dropped and walked again, or a page that became
    /// writable would fault for ever behind a read-only entry.
    ///
    /// Must be bounded and must not take a lock under which somebody
    /// invalidates. It is called inside the caller's window, so whoever
    /// invalidates that caller waits for it.
    fn walk(&self, pasid: Pasid, addr: VirtAddr, access: Access) -> Option<Translation>;
}

/// A source that reads page tables, not another TLB.
///
/// Only a TLB over such a source is invalidated without a proof that its
/// source was invalidated before ([`SourceDone`](crate::SourceDone)).
pub trait Root: Source {}

/// Walks the page table of one address space, as hardware would: bounded,
/// without a page table lock, and at any time.
pub trait PageTableWalk: Send + Sync {
    /// The translation of `addr` as the table has it now; `None` where no
    /// entry is present.
    fn walk(&self, addr: VirtAddr) -> Option<Translation>;
}

impl<W: PageTableWalk + ?Sized> PageTableWalk for Arc<W> {
    fn walk(&self, addr: VirtAddr) -> Option<Translation> {
        W::walk(self, addr)
    }
}

impl<W: PageTableWalk + ?Sized> PageTableWalk for &W {
    fn walk(&self, addr: VirtAddr) -> Option<Translation> {
        W::walk(self, addr)
    }
}

/// A device TLB refills from an IOTLB. The IOTLB's lookup, and its walk if it
/// misses, run in the device TLB's window.
impl<S: Source> Source for Arc<Tlb<S>> {
    fn walk(&self, pasid: Pasid, addr: VirtAddr, access: Access) -> Option<Translation> {
        self.answer(pasid, addr, access)
    }
}
