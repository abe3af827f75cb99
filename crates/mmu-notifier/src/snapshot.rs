//! Who has to be told, fixed when a range or a lock begins.

use mmu_protocol::{PageSize, RecordKind, VirtRange};

use crate::context::Atomic;
use crate::mm::Mm;
use crate::platform::Platform;
use crate::srcu::{SrcuGuard, StripeId};
use crate::subscriber::{Invalidation, Notifier, SecondaryTlb};

/// The subscribers of an address space during one read section (INV-SNAPSHOT).
pub(crate) struct Snapshot<'m, P: Platform> {
    pub(crate) mm: &'m Mm<P>,
    pub(crate) tlbs: u64,
    pub(crate) notifiers: u64,
    _section: SrcuGuard<'m, P::Fence>,
}

impl<'m, P: Platform> Snapshot<'m, P> {
    #[inline]
    pub(crate) fn take(mm: &'m Mm<P>, stripe: StripeId) -> Self {
        let section = mm.srcu.read(stripe);
        Snapshot {
            mm,
            tlbs: mm.tlbs.snapshot(),
            notifiers: mm.notifiers.snapshot(),
            _section: section,
        }
    }

    /// Whether a CPU flush tells the secondary TLBs as well.
    const FLUSH_NOTIFIES: bool = P::PROFILE.cpu_flush_notifies;

    /// Waits for a CPU flush; in the profile that says so this notifies too.
    #[inline]
    pub(crate) fn wait_flush(&self, flushing: P::Flushing, range: VirtRange, size: PageSize) {
        self.mm.platform.wait_flush(flushing);
        self.mm.platform.observe(RecordKind::Flush { range });
        if Self::FLUSH_NOTIFIES {
            self.invalidate(self.tlbs, range, size);
        }
    }

    /// Flushes the CPU TLBs; in the profile that says so this notifies too.
    #[inline]
    pub(crate) fn flush(&self, range: VirtRange, size: PageSize) {
        let flushing = self.mm.platform.begin_flush(range, size);
        self.wait_flush(flushing, range, size);
    }

    /// Tells the secondary TLBs, unless the flush that went before has done so.
    #[inline]
    pub(crate) fn notify(&self, range: VirtRange, size: PageSize) {
        if !Self::FLUSH_NOTIFIES {
            self.invalidate(self.tlbs, range, size);
        }
    }

    /// Makes every TLB forget the range, CPU and secondary.
    #[inline]
    pub(crate) fn flush_and_notify(&self, range: VirtRange, size: PageSize) {
        self.flush(range, size);
        self.notify(range, size);
    }

    /// Tells those TLBs of the snapshot that are in `which`.
    #[inline]
    pub(crate) fn invalidate(&self, which: u64, range: VirtRange, size: PageSize) {
        let told = self.tlbs & which;
        if told == 0 {
            return;
        }
        let invalidation = Invalidation::new(range, size);
        // SAFETY: INV-SNAPSHOT: the section is ours and lasts as long as `self`.
        unsafe {
            self.mm.tlbs.for_each(told, |tlb| tlb.invalidate_range(&invalidation, Atomic::new()));
        }
        self.mm.platform.observe(RecordKind::Invalidate { range });
    }

    /// Asks every mirror whether the range was accessed.
    pub(crate) fn test_and_clear_young(&self, range: VirtRange, flush: bool) -> bool {
        let mut young = false;
        // SAFETY: INV-SNAPSHOT: the section is ours and lasts as long as `self`.
        unsafe {
            self.mm.notifiers.for_each(self.notifiers, |notifier| {
                young |= notifier.test_and_clear_young(range, flush, Atomic::new());
            });
        }
        young
    }
}
