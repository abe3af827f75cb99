//! The two kinds of subscriber.
//!
//! A [`SecondaryTlb`] walks the page table on its own and keeps what it read
//! until it is told: an IOMMU, a device with ATS. It is told under the page
//! table lock or when a range ends, and cannot be kept from refilling.
//!
//! A [`Notifier`] fills its own tables by software: a hypervisor, a GPU or
//! RDMA driver. It drops what it has when a range starts and installs nothing
//! until the range ends.
//!
//! Kernels since 6.6 refuse a subscriber that is both at once; here they are
//! two traits, and a type may implement both and be registered twice.

use core::fmt;
use core::ops::Deref;

use mmu_protocol::{Event, PageSize, VirtRange};

use crate::context::{Atomic, Blockable};

/// What a hardware-walking TLB has to drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Invalidation {
    /// Every translation of an address in this range, whatever its size: a
    /// 2 MiB translation goes if a single byte of it lies in the range.
    pub range: VirtRange,
    /// The largest entry that changed. Above [`PageSize::Base`] cached
    /// pointers to page tables under the range go too.
    pub size: PageSize,
}

impl Invalidation {
    /// An invalidation of leaf entries and, above [`PageSize::Base`], of the
    /// tables under the range.
    pub const fn new(range: VirtRange, size: PageSize) -> Self {
        Invalidation { range, size }
    }
}

/// A translation cache that refills itself by walking the page table.
///
/// # Safety
///
/// INV-TOLD: when [`invalidate_range`](Self::invalidate_range) returns,
///
/// - no translation of the range that was taken from the table before the call
///   is held anywhere below this subscriber, nor will a walk that began before
///   the call install one;
/// - every access that was translated by such a translation has been
///   performed.
///
/// The same holds for all addresses, and for ever, when
/// [`release`](Self::release) returns.
///
/// It must do so while the caller holds a page table lock: bounded, without
/// sleeping, without faulting, and without waiting for a thread that may wait
/// for that lock.
pub unsafe trait SecondaryTlb: Send + Sync {
    /// Drops the translations of a range and waits for the accesses in flight.
    fn invalidate_range(&self, invalidation: &Invalidation, context: Atomic<'_>);

    /// Whether absent entries are cached, so that a fill must be told as well
    /// (VT-d's caching mode, virtio-iommu). Asked once, at registration.
    fn caches_absent(&self) -> bool {
        false
    }

    /// The address space goes away, or the subscriber is being unregistered:
    /// stop using it. May sleep. Called once.
    fn release(&self);
}

/// What a range announces to the [`Notifier`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RangeInfo {
    /// The addresses that will change.
    pub range: VirtRange,
    /// Why.
    pub event: Event,
    /// Whether the callback may sleep.
    pub blockable: Blockable,
}

impl RangeInfo {
    /// The announcement of a range.
    pub const fn new(range: VirtRange, event: Event, blockable: Blockable) -> Self {
        RangeInfo { range, event, blockable }
    }
}

/// A callback that must not sleep would have to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WouldBlock;

impl fmt::Display for WouldBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a subscriber would have to sleep; start the range again where it may")
    }
}

impl core::error::Error for WouldBlock {}

/// A mirror of the page table that software fills.
///
/// # Safety
///
/// INV-MIRROR: from the return of a successful
/// [`range_start`](Self::range_start) until the matching
/// [`range_end`](Self::range_end) no translation of the range is used or
/// installed, and every access that used one has been performed. The same
/// holds for all addresses, and for ever, when [`release`](Self::release)
/// returns.
pub unsafe trait Notifier: Send + Sync {
    /// The range is about to change: drop it and install nothing until the end.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`] if it would have to sleep and must not
    /// (`info.blockable`). Then the range does not happen and `range_end` is
    /// not called. A refusal of a blockable start is a bug of the subscriber:
    /// [`Mm::invalidate_range_start`](crate::Mm::invalidate_range_start) panics.
    fn range_start(&self, info: &RangeInfo) -> Result<(), WouldBlock>;

    /// The range has changed; translations may be installed again.
    fn range_end(&self, info: &RangeInfo);

    /// Whether the mirror was accessed in the range since it was last asked;
    /// forgets it, and if `flush` also drops what would hide the next access.
    /// Runs under the page table lock.
    fn test_and_clear_young(&self, range: VirtRange, flush: bool, context: Atomic<'_>) -> bool {
        let _ = (range, flush, context);
        false
    }

    /// The address space goes away, or the subscriber is being unregistered:
    /// drop everything. May sleep. Called once.
    fn release(&self);
}

/// A subscriber kind of which an address space has none.
///
/// `type Notifier = Nobody` in a [`Platform`](crate::Platform) that has
/// hardware TLBs only, or the reverse. It has no values.
#[derive(Clone, Copy, Debug)]
pub enum Nobody {}

// SAFETY: there is no value, so nothing is ever called.
unsafe impl SecondaryTlb for Nobody {
    fn invalidate_range(&self, _: &Invalidation, _: Atomic<'_>) {
        match *self {}
    }
    fn release(&self) {
        match *self {}
    }
}

// SAFETY: there is no value, so nothing is ever called.
unsafe impl Notifier for Nobody {
    fn range_start(&self, _: &RangeInfo) -> Result<(), WouldBlock> {
        match *self {}
    }
    fn range_end(&self, _: &RangeInfo) {
        match *self {}
    }
    fn release(&self) {
        match *self {}
    }
}

/// A shared handle on a subscriber is a subscriber: `&T`, `Arc<T>`,
/// `Arc<dyn SecondaryTlb>`. A kernel with one kind of IOMMU uses a plain
/// reference and pays no virtual call.
macro_rules! subscribe_through {
    ($(#[$condition:meta])* [$($generics:tt)*] $handle:ty) => {
        $(#[$condition])*
        // SAFETY: INV-TOLD is the pointee's own promise.
        unsafe impl<$($generics)* T: SecondaryTlb + ?Sized> SecondaryTlb for $handle {
            #[inline]
            fn invalidate_range(&self, invalidation: &Invalidation, context: Atomic<'_>) {
                self.deref().invalidate_range(invalidation, context);
            }
            fn caches_absent(&self) -> bool {
                self.deref().caches_absent()
            }
            fn release(&self) {
                self.deref().release();
            }
        }

        $(#[$condition])*
        // SAFETY: INV-MIRROR is the pointee's own promise.
        unsafe impl<$($generics)* T: Notifier + ?Sized> Notifier for $handle {
            #[inline]
            fn range_start(&self, info: &RangeInfo) -> Result<(), WouldBlock> {
                self.deref().range_start(info)
            }
            #[inline]
            fn range_end(&self, info: &RangeInfo) {
                self.deref().range_end(info);
            }
            fn test_and_clear_young(
                &self,
                range: VirtRange,
                flush: bool,
                context: Atomic<'_>,
            ) -> bool {
                self.deref().test_and_clear_young(range, flush, context)
            }
            fn release(&self) {
                self.deref().release();
            }
        }
    };
}

subscribe_through!(['a,] &'a T);
subscribe_through!(#[cfg(feature = "alloc")] [] alloc::sync::Arc<T>);
