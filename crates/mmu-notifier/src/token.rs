//! The entry between clear and set.
//!
//! A token owns the page that the entry pointed to, so the page cannot be
//! freed, and the new one cannot be stored, before the token has gone through
//! its states:
//!
//! ```text
//!   present --clear_flush--> ClearedPte --notify--> NotifiedPte --set--> old page
//!                                |                       |
//!                              defer                   take
//!                                |                       |
//!                    page kept until range_end        old page
//! ```
//!
//! **INV-PAGE-IN-TOKEN**: the page leaves the token only by [`NotifiedPte::set`],
//! [`NotifiedPte::take`], or into the range's store, which frees it after
//! everything was flushed and notified.
//!
//! Dropping a token finishes late but safely: the page goes to the range's
//! store. If that is full the TLBs are told now and the page is released; the
//! *early* way is the fallback of the late one and needs no storage.
//! Forgetting a token leaks the page, leaves the entry pending, and makes the
//! range tell its whole extent when it ends.

use core::fmt;
use core::mem::ManuallyDrop;

use mmu_protocol::{PageSize, RecordKind, Transition, VirtAddr};

use crate::mm::Mm;
use crate::platform::{PageTableEntry, Platform};
use crate::range::RangeState;
use crate::slot::{Entry, assert_absent, move_out};
use crate::snapshot::Snapshot;

/// Takes a change back if a subscriber panics before it was told of it, where
/// no tombstone says that it is still to be told. The lock is held, so nobody
/// has seen the change; forgotten when all went well.
pub(crate) struct Undo<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for Undo<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[inline]
fn clear_to<P: Platform>(entry: Entry<'_, P>, mark: P::Entry) -> P::Entry {
    let old = entry.exchange(mark);
    let pfn = entry.platform().pfn(old);
    entry.platform().observe(RecordKind::Clear { addr: entry.addr, size: entry.size, pfn });
    old
}

/// No ticket is left that the entry could carry, so everybody is told now.
///
/// Takes the entry apart, because what is passed in memory would be put there
/// on every way that leads past this one.
#[cold]
#[inline(never)]
fn clear_and_tell<P: Platform>(
    mm: &Mm<P>,
    tlbs: u64,
    table: P::Table,
    index: usize,
    addr: VirtAddr,
    size: PageSize,
) -> P::Entry {
    let snapshot = Snapshot::of_tlbs(mm, tlbs);
    let entry = Entry { snapshot, table, index, addr, size };
    let old = clear_to(entry, P::Entry::EMPTY);
    let undo = Undo(|| {
        entry.exchange(old);
    });
    entry.snapshot.flush_and_notify(entry.range(), entry.size);
    core::mem::forget(undo);
    old
}

/// A cleared entry and the page it pointed to. Has no drop of its own: the
/// public tokens decide what that means.
pub(crate) struct Taken<'s, P: Platform> {
    pub(crate) entry: Entry<'s, P>,
    range: &'s RangeState<'s, P>,
    old: P::Entry,
    page: ManuallyDrop<P::Page>,
    /// Every TLB, CPU and secondary, knows that the entry is cleared.
    pub(crate) told: bool,
}

impl<'s, P: Platform> Taken<'s, P> {
    /// Clears a present entry. If something will be left owing when the caller
    /// lets go, the entry carries the range's ticket; if there is no ticket
    /// left, everybody is told before this returns.
    #[inline]
    pub(crate) fn clear(entry: Entry<'s, P>, range: &'s RangeState<'s, P>, owing: bool) -> Self {
        let (old, untold) = if !owing {
            (clear_to(entry, P::Entry::EMPTY), false)
        } else if let Some(ticket) = range.ticket() {
            (clear_to(entry, P::Entry::tombstone(ticket).unwrap_or(P::Entry::EMPTY)), false)
        } else {
            let Entry { snapshot, table, index, addr, size } = entry;
            (clear_and_tell(snapshot.mm, snapshot.tlbs, table, index, addr, size), true)
        };
        // SAFETY: INV-OWNED: present entries come in here, and the exchange
        // took this one out of the table.
        let page = ManuallyDrop::new(unsafe { entry.platform().take_page(old, entry.size) });
        range.open_tokens.set(range.open_tokens.get() + 1);
        Taken { entry, range, old, page, told: untold }
    }

    /// Flushes the CPU TLBs. Where that tells the secondary ones too the entry
    /// may carry no tombstone: if one of them panics the old entry goes back.
    #[inline]
    pub(crate) fn flush(&self) {
        let undo = Undo(|| {
            self.entry.exchange(self.old);
            self.account();
        });
        self.entry.snapshot.flush(self.entry.range(), self.entry.size);
        core::mem::forget(undo);
    }

    /// The entry owes nothing that its range does not know of.
    #[inline]
    fn account(&self) {
        self.range.open_tokens.set(self.range.open_tokens.get() - 1);
    }

    /// Keeps the page until the range has flushed and told everybody.
    pub(crate) fn defer_unflushed(self, transition: Transition) {
        if !self.told {
            self.range.owe_flush(transition, self.entry.range(), self.entry.size);
        }
        self.keep_or_release();
    }

    /// Keeps the page until the range has told the secondary TLBs.
    pub(crate) fn defer_flushed(self, transition: Transition) {
        if !self.told {
            self.range.owe_notify(transition, self.entry.range(), self.entry.size);
        }
        self.keep_or_release();
    }

    fn keep_or_release(mut self) {
        let page = move_out(&mut self.page);
        if let Err(page) = self.range.defer(page) {
            // No room: tell now, then let go. What the range owes besides is
            // told once more when it ends. If a subscriber panics the page leaks.
            let page = ManuallyDrop::new(page);
            if !self.told {
                self.entry.snapshot.flush_and_notify(self.entry.range(), self.entry.size);
            }
            drop(ManuallyDrop::into_inner(page));
        }
        self.account();
    }
}

macro_rules! accessors {
    ($token:ident) => {
        impl<P: Platform> $token<'_, P> {
            /// Start of the page.
            pub fn addr(&self) -> VirtAddr {
                self.taken.entry.addr
            }

            /// What the entry mapped.
            pub fn size(&self) -> PageSize {
                self.taken.entry.size
            }

            /// The entry as it was cleared, with its accessed and dirty bits.
            pub fn old_entry(&self) -> P::Entry {
                self.taken.old
            }

            /// The page that the entry pointed to.
            pub fn page(&self) -> &P::Page {
                &self.taken.page
            }
        }

        impl<P: Platform> fmt::Debug for $token<'_, P> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($token))
                    .field("addr", &self.taken.entry.addr)
                    .field("size", &self.taken.entry.size)
                    .finish_non_exhaustive()
            }
        }
    };
}

/// Cleared; the flush of the CPU TLBs has begun.
#[must_use = "wait for the flush; dropping the token defers the page to the end of the range"]
pub struct ClearingPte<'s, P: Platform> {
    taken: ManuallyDrop<Taken<'s, P>>,
    flushing: Option<P::Flushing>,
}

impl<'s, P: Platform> ClearingPte<'s, P> {
    pub(crate) fn new(taken: Taken<'s, P>, flushing: Option<P::Flushing>) -> Self {
        ClearingPte { taken: ManuallyDrop::new(taken), flushing }
    }

    /// Waits until no CPU uses the old translation.
    pub fn wait(self) -> ClearedPte<'s, P> {
        let mut this = ManuallyDrop::new(self);
        let flushing = this.flushing.take();
        // SAFETY: `this` is not dropped, and `taken` is not used again.
        let mut taken = unsafe { ManuallyDrop::take(&mut this.taken) };
        if let Some(flushing) = flushing {
            let entry = taken.entry;
            entry.snapshot.wait_flush(flushing, entry.range(), entry.size);
            taken.told = entry.snapshot.tlbs == 0 || P::PROFILE.cpu_flush_notifies;
        }
        ClearedPte::new(taken)
    }
}

impl<P: Platform> Drop for ClearingPte<'_, P> {
    fn drop(&mut self) {
        drop(self.flushing.take());
        // SAFETY: the token is being dropped, and `taken` is not used again.
        unsafe { ManuallyDrop::take(&mut self.taken) }.defer_unflushed(Transition::ZapDefer);
    }
}

accessors!(ClearingPte);

/// Cleared and flushed from the CPU TLBs. The secondary TLBs may still
/// translate to the page, which is why it cannot be had yet.
#[must_use = "notify it, or defer it; dropping it defers the page to the end of the range"]
pub struct ClearedPte<'s, P: Platform> {
    taken: ManuallyDrop<Taken<'s, P>>,
}

impl<'s, P: Platform> ClearedPte<'s, P> {
    #[inline]
    pub(crate) fn new(taken: Taken<'s, P>) -> Self {
        ClearedPte { taken: ManuallyDrop::new(taken) }
    }

    #[inline]
    fn into_taken(self) -> Taken<'s, P> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is not dropped, and `taken` is not used again.
        unsafe { ManuallyDrop::take(&mut this.taken) }
    }

    /// Tells the secondary TLBs, under the lock.
    ///
    /// Costs nothing where the flush has told them, or where there are none.
    #[inline]
    pub fn notify(self) -> NotifiedPte<'s, P> {
        let entry = self.taken.entry;
        if !self.taken.told {
            // If a subscriber panics here the token's drop defers the page.
            entry.snapshot.notify(entry.range(), entry.size);
        }
        NotifiedPte::new(self.into_taken())
    }

    /// Leaves the notification and the free of the page to the end of the
    /// range. Until then the entry is pending. [`Transition::ZapDefer`]
    #[inline]
    pub fn defer(self) {
        self.into_taken().defer_flushed(Transition::ZapDefer);
    }

    /// Stores an entry that maps the same frames with the same rights in
    /// another shape: a table for a huge entry. The secondary TLBs are told at
    /// the end of the range. [`Transition::Split`]
    ///
    /// `build` takes the page and moves its reference into the new shape.
    ///
    /// # Safety
    ///
    /// INV-SAME-FRAMES: the entry that `build` returns, or the table it points
    /// to, maps each address to the frame that the old entry mapped it to and
    /// grants no more; no entry of that table is changed before this returns;
    /// and the registered TLBs drop a large translation on an invalidation of
    /// any address in it (INV-TOLD says they do).
    pub unsafe fn set_same_frames(self, build: impl FnOnce(P::Page) -> P::Entry) {
        let mut taken = self.into_taken();
        let new = build(move_out(&mut taken.page));
        taken.entry.exchange(new);
        taken.entry.observe_set(new, Transition::Split);
        if !taken.told {
            taken.range.owe_notify(Transition::Split, taken.entry.range(), taken.entry.size);
        }
        taken.account();
        taken.entry.tell_of_presence();
    }

    /// Goes on as if the secondary TLBs had been told. They are told at the end
    /// of the range instead. `reason` is for the reader of the call.
    ///
    /// This breaks the protocol on purpose; it exists so that tests can show
    /// what happens then.
    ///
    /// # Safety
    ///
    /// INV-ASSUMED: nothing but the outcome of a test depends on what devices
    /// read or write through the old translation until the range ends.
    pub unsafe fn assume_notified(self, reason: &'static str) -> NotifiedPte<'s, P> {
        let _ = reason;
        let taken = self.into_taken();
        if !taken.told {
            taken.range.owe_notify_unchecked(taken.entry.range(), taken.entry.size);
        }
        NotifiedPte::new(taken)
    }
}

impl<P: Platform> Drop for ClearedPte<'_, P> {
    fn drop(&mut self) {
        // SAFETY: the token is being dropped, and `taken` is not used again.
        unsafe { ManuallyDrop::take(&mut self.taken) }.defer_flushed(Transition::ZapDefer);
    }
}

accessors!(ClearedPte);

/// Cleared, flushed and told: no TLB translates to the page any more.
///
/// Dropping it releases the page and leaves the entry empty.
#[must_use = "store a new page, or take the old one; dropping the token releases it"]
pub struct NotifiedPte<'s, P: Platform> {
    taken: ManuallyDrop<Taken<'s, P>>,
}

impl<'s, P: Platform> NotifiedPte<'s, P> {
    #[inline]
    pub(crate) fn new(taken: Taken<'s, P>) -> Self {
        taken.account();
        NotifiedPte { taken: ManuallyDrop::new(taken) }
    }

    #[inline]
    fn into_parts(self) -> (Entry<'s, P>, P::Page) {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is not dropped, and `taken` is not used again.
        let mut taken = unsafe { ManuallyDrop::take(&mut this.taken) };
        (taken.entry, move_out(&mut taken.page))
    }

    /// Stores a new page and gives the old one back, to be freed at will: the
    /// only way to put a page where another one was. [`Transition::Replace`]
    #[inline]
    pub fn set(self, new: P::Page, attr: P::Attr) -> P::Page {
        let (entry, old) = self.into_parts();
        entry.store_page(new, attr, Transition::Replace);
        old
    }

    /// Leaves the entry empty and gives the page back, to be freed at will.
    /// [`Transition::ZapFree`]
    #[inline]
    pub fn take(self) -> P::Page {
        let (entry, old) = self.into_parts();
        entry.exchange(P::Entry::EMPTY);
        old
    }

    /// Leaves an absent entry of the platform's own, for swap or migration,
    /// and gives the page back.
    ///
    /// # Panics
    ///
    /// If the entry is present or a tombstone.
    pub fn set_absent(self, entry: P::Entry) -> P::Page {
        assert_absent(entry);
        let (place, old) = self.into_parts();
        place.exchange(entry);
        old
    }
}

impl<P: Platform> Drop for NotifiedPte<'_, P> {
    fn drop(&mut self) {
        // SAFETY: the token is being dropped, and `taken` is not used again.
        let mut taken = unsafe { ManuallyDrop::take(&mut self.taken) };
        taken.entry.exchange(P::Entry::EMPTY);
        drop(move_out(&mut taken.page));
    }
}

accessors!(NotifiedPte);
