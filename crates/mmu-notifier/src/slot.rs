//! One entry under its lock: present, pending, or empty.
//!
//! An entry is *pending* while it is cleared and some TLB may still hold what
//! it said: it carries the tombstone of a range that is running. A pending
//! entry has no `set`; it can only be notified, by whoever needs it first.
//! That closes four doors at once: filling a slot again under the same lock, a
//! forgotten token, a fill by another thread while the range has yet to flush,
//! and a forgotten range.

use core::fmt;
use core::mem::ManuallyDrop;

use mmu_protocol::{PageSize, RecordKind, Transition, VirtAddr, VirtRange};

use crate::platform::{PageTableEntry, Platform};
use crate::present::{PresentSlot, PresentView};
use crate::range::RangeState;
use crate::snapshot::Snapshot;
use crate::sync::atomic::Ordering;

/// Where an entry is. Exists only while its lock is held.
pub(crate) struct Entry<'s, P: Platform> {
    pub(crate) snapshot: Snapshot<'s, P>,
    pub(crate) table: P::Table,
    pub(crate) index: usize,
    pub(crate) addr: VirtAddr,
    pub(crate) size: PageSize,
}

impl<P: Platform> Clone for Entry<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<P: Platform> Copy for Entry<'_, P> {}

impl<P: Platform> Entry<'_, P> {
    #[inline]
    pub(crate) fn platform(&self) -> &P {
        &self.snapshot.mm.platform
    }

    #[inline]
    pub(crate) fn range(&self) -> VirtRange {
        VirtRange::page(self.addr, self.size)
    }

    #[inline]
    pub(crate) fn load(&self) -> P::Entry {
        // SAFETY: an `Entry` is made under the lock with an index inside the span.
        unsafe { self.platform().load(self.table, self.index) }
    }

    #[inline]
    pub(crate) fn exchange(&self, new: P::Entry) -> P::Entry {
        // SAFETY: as for `load`.
        unsafe { self.platform().exchange(self.table, self.index, new) }
    }

    /// Changes a present entry although hardware may set bits of it meanwhile.
    /// Returns the entry before.
    pub(crate) fn update(&self, change: impl Fn(P::Entry) -> P::Entry) -> P::Entry {
        let mut current = self.load();
        loop {
            let new = change(current);
            if new == current {
                return current;
            }
            // SAFETY: as for `load`.
            match unsafe { self.platform().compare_exchange(self.table, self.index, current, new) }
            {
                Ok(()) => return current,
                Err(now) => current = now,
            }
        }
    }

    /// Stores a present entry over an absent one.
    #[inline]
    pub(crate) fn store_page(&self, page: P::Page, attr: P::Attr, transition: Transition) {
        let new = self.platform().make_entry(page, attr, self.size);
        self.exchange(new);
        self.observe_set(new, transition);
        self.tell_of_presence();
    }

    /// Tells the subscribers that cache absent entries, which may have seen the
    /// entry absent, be it only between clear and set.
    #[inline]
    pub(crate) fn tell_of_presence(&self) {
        let absent = self.snapshot.mm.absent.load(Ordering::Acquire);
        self.snapshot.invalidate(absent, self.range(), self.size);
    }

    pub(crate) fn observe_set(&self, new: P::Entry, transition: Transition) {
        self.platform().observe(RecordKind::Set {
            addr: self.addr,
            size: self.size,
            pfn: self.platform().pfn(new),
            transition,
        });
    }

    /// Whether some TLB may still hold what this absent entry said before.
    #[inline]
    fn is_pending(&self, raw: P::Entry) -> bool {
        let tickets = &self.snapshot.mm.tickets;
        match raw.ticket() {
            Some(ticket) => tickets.is_running(ticket),
            // No room for tickets in entries: any running range may be the one.
            None => !self.snapshot.mm.has_tombstones && tickets.any_other_running(None),
        }
    }
}

/// An entry inside a range: any change.
#[derive(Debug)]
pub enum Slot<'s, P: Platform> {
    /// Hardware translates through it.
    Present(PresentSlot<'s, P>),
    /// Cleared, and some TLB may not have been told.
    Pending(PendingSlot<'s, P>),
    /// Absent, and every TLB knows.
    Empty(EmptySlot<'s, P>),
}

impl<'s, P: Platform> Slot<'s, P> {
    #[inline]
    pub(crate) fn new(entry: Entry<'s, P>, range: &'s RangeState<'s, P>) -> Self {
        match FillSlot::classify(entry, Some(range)) {
            FillSlot::Present(view) => Slot::Present(PresentSlot::new(view, range)),
            FillSlot::Pending(slot) => Slot::Pending(slot),
            FillSlot::Empty(slot) => Slot::Empty(slot),
        }
    }

    /// The present entry, if it is one.
    #[inline]
    pub fn present(self) -> Option<PresentSlot<'s, P>> {
        match self {
            Slot::Present(slot) => Some(slot),
            _ => None,
        }
    }

    /// The absent entry, notified first if need be; `None` if it is present.
    #[inline]
    pub fn vacant(self) -> Option<EmptySlot<'s, P>> {
        match self {
            Slot::Present(_) => None,
            Slot::Pending(slot) => Some(slot.notify()),
            Slot::Empty(slot) => Some(slot),
        }
    }
}

/// An entry outside a range: it can be filled, but not taken away from.
#[derive(Debug)]
pub enum FillSlot<'s, P: Platform> {
    /// Hardware translates through it.
    Present(PresentView<'s, P>),
    /// Cleared, and some TLB may not have been told.
    Pending(PendingSlot<'s, P>),
    /// Absent, and every TLB knows.
    Empty(EmptySlot<'s, P>),
}

impl<'s, P: Platform> FillSlot<'s, P> {
    #[inline]
    pub(crate) fn new(entry: Entry<'s, P>) -> Self {
        Self::classify(entry, None)
    }

    #[inline]
    fn classify(entry: Entry<'s, P>, range: Option<&'s RangeState<'s, P>>) -> Self {
        let raw = entry.load();
        if raw.is_present() {
            FillSlot::Present(PresentView::new(entry, range))
        } else if entry.is_pending(raw) {
            FillSlot::Pending(PendingSlot { entry })
        } else {
            FillSlot::Empty(EmptySlot { entry, raw })
        }
    }

    /// The present entry, if it is one.
    #[inline]
    pub fn present(self) -> Option<PresentView<'s, P>> {
        match self {
            FillSlot::Present(view) => Some(view),
            _ => None,
        }
    }

    /// The absent entry, notified first if need be; `None` if it is present.
    #[inline]
    pub fn vacant(self) -> Option<EmptySlot<'s, P>> {
        match self {
            FillSlot::Present(_) => None,
            FillSlot::Pending(slot) => Some(slot.notify()),
            FillSlot::Empty(slot) => Some(slot),
        }
    }
}

/// An absent entry that some TLB may not know to be absent.
///
/// There is no `set`.
pub struct PendingSlot<'s, P: Platform> {
    entry: Entry<'s, P>,
}

impl<'s, P: Platform> PendingSlot<'s, P> {
    /// Start of the page.
    pub fn addr(&self) -> VirtAddr {
        self.entry.addr
    }

    /// Tells every TLB, CPU and secondary, in place of the range that owes it.
    pub fn notify(self) -> EmptySlot<'s, P> {
        self.entry.snapshot.flush_and_notify(self.entry.range(), self.entry.size);
        self.entry.exchange(P::Entry::EMPTY);
        EmptySlot { entry: self.entry, raw: P::Entry::EMPTY }
    }
}

impl<P: Platform> fmt::Debug for PendingSlot<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingSlot").field("addr", &self.entry.addr).finish_non_exhaustive()
    }
}

/// An absent entry of which every TLB knows.
pub struct EmptySlot<'s, P: Platform> {
    entry: Entry<'s, P>,
    raw: P::Entry,
}

impl<P: Platform> EmptySlot<'_, P> {
    /// Start of the page.
    pub fn addr(&self) -> VirtAddr {
        self.entry.addr
    }

    /// What the platform keeps there: empty, a swap entry, an old tombstone.
    pub fn entry(&self) -> P::Entry {
        self.raw
    }

    /// Stores a page. Only subscribers that cache absent entries are told.
    /// [`Transition::Fill`]
    #[inline]
    pub fn set(self, page: P::Page, attr: P::Attr) {
        self.entry.store_page(page, attr, Transition::Fill);
    }

    /// Stores an absent entry of the platform's own, for swap or migration.
    ///
    /// # Panics
    ///
    /// If the entry is present or a tombstone.
    pub fn set_absent(self, entry: P::Entry) {
        assert_absent(entry);
        self.entry.exchange(entry);
    }
}

pub(crate) fn assert_absent<E: PageTableEntry>(entry: E) {
    assert!(
        !entry.is_present() && entry.ticket().is_none(),
        "set_absent takes an entry that is neither present nor a tombstone"
    );
}

impl<P: Platform> fmt::Debug for EmptySlot<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmptySlot").field("addr", &self.entry.addr).finish_non_exhaustive()
    }
}

/// Moves the page out of a token without running the token's own drop.
pub(crate) fn move_out<P>(page: &mut ManuallyDrop<P>) -> P {
    // SAFETY: each caller consumes its token and takes the page once.
    unsafe { ManuallyDrop::take(page) }
}
