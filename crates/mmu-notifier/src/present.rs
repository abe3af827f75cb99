//! A present entry: what can be done to it, and what each change owes.
//!
//! The methods are rows of the [transition table](mmu_protocol::TABLE). What
//! takes nothing away from anybody is on [`PresentView`], which a lock outside
//! a range gives as well; what takes something away is on [`PresentSlot`],
//! which exists inside a range only.

use core::fmt;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};

use mmu_protocol::{PageSize, RecordKind, Transition, VirtAddr};

use crate::error::{ReplaceError, ReplaceRefusal, StillWritable};
use crate::platform::{PageTableEntry, Platform};
use crate::range::RangeState;
use crate::slot::Entry;
use crate::token::{ClearedPte, ClearingPte, NotifiedPte, Taken, Undo};

/// What is known of a write-protected entry once nobody can write through it.
///
/// A value, not a guard: it says that at the time it was made no writable
/// translation to the page was left. It stays true for as long as the entry
/// stays as it is, which [`PresentView::is_still`] tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled<E> {
    addr: VirtAddr,
    entry: E,
}

impl<E: Copy> Settled<E> {
    /// The entry that was seen.
    pub fn entry(self) -> E {
        self.entry
    }
}

/// A present entry, for what takes nothing away from anybody.
pub struct PresentView<'s, P: Platform> {
    pub(crate) entry: Entry<'s, P>,
    range: Option<&'s RangeState<'s, P>>,
}

impl<'s, P: Platform> PresentView<'s, P> {
    #[inline]
    pub(crate) fn new(entry: Entry<'s, P>, range: Option<&'s RangeState<'s, P>>) -> Self {
        PresentView { entry, range }
    }

    /// Start of the page.
    pub fn addr(&self) -> VirtAddr {
        self.entry.addr
    }

    /// What the entry maps.
    pub fn size(&self) -> PageSize {
        self.entry.size
    }

    /// The entry as it is now; hardware may set accessed and dirty bits any time.
    pub fn entry(&self) -> P::Entry {
        self.entry.load()
    }

    /// Lends the page behind the entry.
    pub fn with_page<R>(&self, f: impl FnOnce(&P::Page) -> R) -> R {
        // SAFETY: the entry is present and stays while we borrow it.
        let page = unsafe { borrow_page(self.entry.platform(), self.entry(), self.entry.size) };
        f(&page)
    }

    /// Adds the write permission to the same page. Nobody has to be told: a
    /// stale read-only translation only faults again. [`Transition::MakeWritable`]
    #[inline]
    pub fn make_writable(&mut self) {
        let old = self.entry.update(P::Entry::made_writable);
        if !old.is_writable() {
            self.observe_change(Transition::MakeWritable);
        }
    }

    /// Makes sure that nobody can write to the page through this entry, now or
    /// by a translation taken before, so that it may be copied, compared, or
    /// taken as clean. [`Transition::CopySource`]
    ///
    /// If a range is running that may have write-protected the entry and has
    /// yet to tell, every TLB is told of this entry now.
    ///
    /// # Errors
    ///
    /// [`StillWritable`] if the entry itself grants writes.
    pub fn settle(&mut self) -> Result<Settled<P::Entry>, StillWritable> {
        let entry = self.entry();
        if entry.is_writable() {
            return Err(StillWritable);
        }
        let here = self.entry.range();
        let (own, own_owes) = match self.range {
            Some(range) => (range.drawn_ticket(), range.owes(here)),
            None => (None, false),
        };
        if own_owes || self.entry.snapshot.mm.tickets.any_other_running(own) {
            self.entry.snapshot.flush_and_notify(here, self.entry.size);
        }
        Ok(Settled { addr: self.entry.addr, entry })
    }

    /// Whether the entry is still what was settled (`pte_same`); whether it was
    /// accessed meanwhile does not matter.
    ///
    /// The caller keeps a reference to the page meanwhile: it keeps the page
    /// from being reused in place or freed and mapped here again.
    pub fn is_still(&self, settled: &Settled<P::Entry>) -> bool {
        settled.addr == self.entry.addr && settled.entry.aged() == self.entry().aged()
    }

    /// Clears the accessed bit and asks the mirrors; whether the page was used.
    /// Flushes nothing unless `flush`. [`Transition::ClearYoung`]
    pub fn test_and_clear_young(&mut self, flush: bool) -> bool {
        let old = self.entry.update(P::Entry::aged);
        let here = self.entry.range();
        if flush && old.is_young() {
            self.entry.snapshot.flush(here, self.entry.size);
        }
        let mirrored = self.entry.snapshot.test_and_clear_young(here, flush);
        old.is_young() || mirrored
    }

    fn observe_change(&self, transition: Transition) {
        self.entry.platform().observe(RecordKind::Change {
            addr: self.entry.addr,
            size: self.entry.size,
            transition,
        });
    }
}

impl<P: Platform> fmt::Debug for PresentView<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresentView")
            .field("addr", &self.entry.addr)
            .field("size", &self.entry.size)
            .finish_non_exhaustive()
    }
}

/// A present entry inside a range.
pub struct PresentSlot<'s, P: Platform> {
    view: PresentView<'s, P>,
    range: &'s RangeState<'s, P>,
}

impl<P: Platform> fmt::Debug for PresentSlot<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view.fmt(f)
    }
}

impl<'s, P: Platform> Deref for PresentSlot<'s, P> {
    type Target = PresentView<'s, P>;
    fn deref(&self) -> &Self::Target {
        &self.view
    }
}

impl<P: Platform> DerefMut for PresentSlot<'_, P> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.view
    }
}

impl<'s, P: Platform> PresentSlot<'s, P> {
    #[inline]
    pub(crate) fn new(view: PresentView<'s, P>, range: &'s RangeState<'s, P>) -> Self {
        PresentSlot { view, range }
    }

    /// Clears the entry and flushes the CPU TLBs. The secondary TLBs are still
    /// to be told: the token can be [notified](ClearedPte::notify) or
    /// [deferred](ClearedPte::defer), and nothing else.
    #[inline]
    pub fn clear_flush(self) -> ClearedPte<'s, P> {
        // Nothing is left owing if there is nobody to tell, or if the flush tells.
        let owing = self.view.entry.snapshot.tlbs != 0 && !P::PROFILE.cpu_flush_notifies;
        let mut taken = Taken::clear(self.view.entry, self.range, owing);
        if taken.told {
            // No ticket was left, so `clear` has flushed and told everybody.
            return ClearedPte::new(taken);
        }
        taken.flush();
        taken.told = !owing;
        ClearedPte::new(taken)
    }

    /// Clears the entry and begins to flush the CPU TLBs, to be waited for with
    /// [`ClearingPte::wait`].
    #[inline]
    pub fn clear_flush_begin(self) -> ClearingPte<'s, P> {
        let taken = Taken::clear(self.view.entry, self.range, true);
        let entry = taken.entry;
        let flushing =
            (!taken.told).then(|| entry.platform().begin_flush(entry.range(), entry.size));
        ClearingPte::new(taken, flushing)
    }

    /// Clears the entry, flushes the CPU TLBs and tells the secondary ones:
    /// `ptep_clear_flush_notify`. The token may store a new page or give the
    /// old one up.
    #[inline]
    pub fn clear_flush_notify(self) -> NotifiedPte<'s, P> {
        self.clear_flush().notify()
    }

    /// Clears the entry; flush, notification and the free of the page wait for
    /// the end of the range or its next [flush](crate::InvalidateRange::flush).
    /// [`Transition::ZapDefer`]
    ///
    /// If there is no room for the page, everybody is told now and the page is
    /// released.
    pub fn zap(self) {
        let taken = Taken::clear(self.view.entry, self.range, true);
        taken.defer_unflushed(Transition::ZapDefer);
    }

    /// Removes the write permission. Flush and notification wait for the end
    /// of the range. [`Transition::WriteProtect`]
    ///
    /// Whoever copies or compares the page before that calls
    /// [`settle`](PresentView::settle) and is safe.
    pub fn write_protect(&mut self) {
        let entry = self.view.entry;
        let old = entry.update(P::Entry::write_protected);
        if !old.is_writable() {
            return;
        }
        self.observe_change(Transition::WriteProtect);
        if self.range.ticket().is_some() {
            self.range.owe_flush(Transition::WriteProtect, entry.range(), entry.size);
        } else {
            // Nobody could see that this entry is owed: tell now.
            let undo = Undo(|| {
                entry.update(P::Entry::made_writable);
            });
            entry.snapshot.flush_and_notify(entry.range(), entry.size);
            core::mem::forget(undo);
        }
    }

    /// Replaces the page by one with the same bytes, both write-protected. The
    /// secondary TLBs are told at the end of the range; the old page is kept
    /// until then. [`Transition::SameContent`]
    ///
    /// The entry is [settled](PresentView::settle) and the pages are compared
    /// here, under the lock.
    ///
    /// # Errors
    ///
    /// The new page comes back if the entry is writable or the pages differ.
    pub fn replace_same_content(
        mut self,
        new: P::Page,
        attr: P::Attr,
    ) -> Result<(), ReplaceError<P::Page>> {
        if self.settle().is_err() {
            return Err(ReplaceError { page: new, reason: ReplaceRefusal::StillWritable });
        }
        let entry = self.view.entry;
        if !self.with_page(|old| entry.platform().same_content(old, &new)) {
            return Err(ReplaceError { page: new, reason: ReplaceRefusal::NotSame });
        }
        // Break before make: no CPU holds the old entry when the new one appears.
        // The token never leaves this function, so no tombstone is needed.
        let taken = Taken::clear(entry, self.range, false);
        taken.flush();
        let new = entry.platform().make_entry(new, attr, entry.size).write_protected();
        entry.exchange(new);
        entry.observe_set(new, Transition::SameContent);
        taken.defer_flushed(Transition::SameContent);
        entry.tell_of_presence();
        Ok(())
    }
}

/// Borrows the page behind an entry without taking it out.
///
/// # Safety
///
/// The entry is present and stays in its table for the life of the result,
/// which must not be dropped.
unsafe fn borrow_page<P: Platform>(
    platform: &P,
    entry: P::Entry,
    size: PageSize,
) -> ManuallyDrop<P::Page> {
    // SAFETY: INV-OWNED: `ManuallyDrop` keeps the count as it is.
    ManuallyDrop::new(unsafe { platform.take_page(entry, size) })
}
