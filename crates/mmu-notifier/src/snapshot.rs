//! Who has to be told, fixed when a range or a lock begins.

use core::marker::PhantomData;

use mmu_protocol::{PageSize, RecordKind, VirtRange};

use crate::context::Atomic;
use crate::mm::Mm;
use crate::platform::Platform;
use crate::srcu::{SrcuGuard, StripeId};
use crate::subscriber::{Invalidation, Notifier, SecondaryTlb};

/// The subscribers of an address space during one read section (INV-SNAPSHOT).
///
/// A value, so that what is called on the way does not keep the range it came
/// from in memory. Whoever took it keeps the section for at least as long.
pub(crate) struct Snapshot<'m, P: Platform> {
    pub(crate) mm: &'m Mm<P>,
    pub(crate) tlbs: u64,
    pub(crate) notifiers: u64,
    /// Good on the thread that took it: its section is.
    not_send: PhantomData<*mut ()>,
}

impl<P: Platform> Clone for Snapshot<'_, P> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}
impl<P: Platform> Copy for Snapshot<'_, P> {}

impl<'m, P: Platform> Snapshot<'m, P> {
    #[inline]
    pub(crate) fn take(mm: &'m Mm<P>, stripe: StripeId) -> (Self, SrcuGuard<'m, P::Fence>) {
        let section = mm.srcu.read(stripe);
        let (tlbs, notifiers) = (mm.tlbs.snapshot(), mm.notifiers.snapshot());
        (Snapshot { mm, tlbs, notifiers, not_send: PhantomData }, section)
    }

    /// The part of a snapshot that a function out of line was given, while
    /// whoever called it keeps the section.
    #[inline]
    pub(crate) fn of_tlbs(mm: &'m Mm<P>, tlbs: u64) -> Self {
        Snapshot { mm, tlbs, notifiers: 0, not_send: PhantomData }
    }

    /// Whether a CPU flush tells the secondary TLBs as well.
    const FLUSH_NOTIFIES: bool = P::PROFILE.cpu_flush_notifies;

    /// Waits for a CPU flush; in the profile that says so this notifies too.
    #[inline]
    pub(crate) fn wait_flush(self, flushing: P::Flushing, range: VirtRange, size: PageSize) {
        self.mm.platform.wait_flush(flushing);
        self.mm.platform.observe(RecordKind::Flush { range });
        if Self::FLUSH_NOTIFIES {
            self.invalidate(self.tlbs, range, size);
        }
    }

    /// Flushes the CPU TLBs; in the profile that says so this notifies too.
    #[inline]
    pub(crate) fn flush(self, range: VirtRange, size: PageSize) {
        let flushing = self.mm.platform.begin_flush(range, size);
        self.wait_flush(flushing, range, size);
    }

    /// Tells the secondary TLBs, unless the flush that went before has done so.
    #[inline]
    pub(crate) fn notify(self, range: VirtRange, size: PageSize) {
        if !Self::FLUSH_NOTIFIES {
            self.invalidate(self.tlbs, range, size);
        }
    }

    /// Makes every TLB forget the range, CPU and secondary.
    #[inline]
    pub(crate) fn flush_and_notify(self, range: VirtRange, size: PageSize) {
        tell_now(self.mm, self.tlbs, range, size);
    }

    /// Tells those TLBs of the snapshot that are in `which`.
    #[inline]
    pub(crate) fn invalidate(self, which: u64, range: VirtRange, size: PageSize) {
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
    pub(crate) fn test_and_clear_young(self, range: VirtRange, flush: bool) -> bool {
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

/// Out of line, and with arguments that fit in registers: this is the way of
/// those who could not wait, and must cost nothing where it is not taken.
#[cold]
#[inline(never)]
fn tell_now<P: Platform>(mm: &Mm<P>, tlbs: u64, range: VirtRange, size: PageSize) {
    let snapshot = Snapshot::of_tlbs(mm, tlbs);
    snapshot.flush(range, size);
    snapshot.notify(range, size);
}
