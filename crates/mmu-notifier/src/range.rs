//! A running range: between `invalidate_range_start` and its end.
//!
//! The range keeps account of what it owes. A change that may wait (the
//! [transition table](mmu_protocol::TABLE) says which) adds its addresses to
//! what is owed; ending the range, or [flushing](InvalidateRange::flush) it on
//! the way, pays: first the CPU TLBs, then the secondary ones, then the mirrors
//! are let in again, and only then are the pages released.

use core::cell::{Cell, RefCell};
use core::fmt;
use core::mem::ManuallyDrop;

use mmu_protocol::{PageSize, Placement, RecordKind, Transition, VirtAddr, VirtRange};

use crate::context::Blockable;
use crate::deferred::DeferPages;
use crate::error::{PtlError, StartError};
use crate::mm::Mm;
use crate::platform::Platform;
use crate::ptl::{RangePtl, RangePtlPair};
use crate::snapshot::Snapshot;
use crate::subscriber::{Notifier, RangeInfo, WouldBlock};
use crate::task::Task;
use crate::ticket::Ticket;

/// What a range owes the TLBs: the addresses, and the largest entry among them.
#[derive(Clone, Copy)]
struct Owed {
    range: VirtRange,
    size: PageSize,
}

impl Owed {
    const NOTHING: Self = Owed { range: VirtRange::EMPTY, size: PageSize::Base };

    #[inline]
    fn add(self, range: VirtRange, size: PageSize) -> Self {
        Owed { range: self.range.union(range), size: self.size.max(size) }
    }
}

/// The account of a range. Tokens and locks borrow it.
pub(crate) struct RangeState<'m, P: Platform> {
    pub(crate) snapshot: Snapshot<'m, P>,
    pub(crate) info: RangeInfo,
    /// Drawn when something is left owing for the first time.
    ticket: Cell<Option<Ticket>>,
    hint: usize,
    /// What the CPU TLBs, and with them the secondary ones, are owed.
    flush: Cell<Owed>,
    /// What the secondary TLBs alone are owed.
    notify: Cell<Owed>,
    /// Tokens that exist. What is left over at the end was forgotten.
    /// Sixty-four bits: a loop that forgets tokens must not wrap it to zero.
    pub(crate) open_tokens: Cell<u64>,
    /// Not dropped unless everything was paid: after a panic in a callback the
    /// pages leak instead (INV-PAID).
    deferred: ManuallyDrop<RefCell<P::Deferred>>,
}

impl<P: Platform> RangeState<'_, P> {
    /// The ticket of this range, or `None` if the address space has none left.
    #[inline]
    pub(crate) fn ticket(&self) -> Option<Ticket> {
        if self.ticket.get().is_none() {
            self.ticket.set(self.snapshot.mm.tickets.draw(self.hint));
        }
        self.ticket.get()
    }

    pub(crate) fn drawn_ticket(&self) -> Option<Ticket> {
        self.ticket.get()
    }

    /// The CPU TLBs and the secondary ones are to be told of `range` later, as
    /// far as the table lets this change wait.
    pub(crate) fn owe_flush(&self, transition: Transition, range: VirtRange, size: PageSize) {
        debug_assert!(transition.row().placement.may_wait());
        self.flush.set(self.flush.get().add(range, size));
        if transition.row().placement == Placement::AtRangeEnd {
            self.owe_notify(transition, range, size);
        }
    }

    /// The secondary TLBs are to be told of `range` later.
    pub(crate) fn owe_notify(&self, transition: Transition, range: VirtRange, size: PageSize) {
        debug_assert!(transition.row().placement.may_wait());
        self.owe_notify_unchecked(range, size);
    }

    /// As [`owe_notify`](Self::owe_notify), for the escapes that put off what
    /// the table does not let wait.
    pub(crate) fn owe_notify_unchecked(&self, range: VirtRange, size: PageSize) {
        self.notify.set(self.notify.get().add(range, size));
    }

    /// Whether this range itself owes some TLB a part of `range`.
    pub(crate) fn owes(&self, range: VirtRange) -> bool {
        self.flush.get().range.overlaps(range) || self.notify.get().range.overlaps(range)
    }

    /// Keeps a page until everything owed is paid, or gives it back.
    pub(crate) fn defer(&self, page: P::Page) -> Result<(), P::Page> {
        self.deferred.borrow_mut().push(page)
    }

    /// Pays everything that is owed and retires the ticket (INV-TICKET).
    fn pay(&self) {
        if self.open_tokens.replace(0) != 0 {
            // A token was forgotten between clear and notify: we no longer
            // know of which entry, so the whole range is told.
            self.flush.set(self.flush.get().add(self.info.range, PageSize::Huge));
            self.notify.set(self.notify.get().add(self.info.range, PageSize::Huge));
        }
        let flush = self.flush.get();
        if !flush.range.is_empty() {
            self.snapshot.flush(flush.range, flush.size);
        }
        let notify = self.notify.get();
        if !notify.range.is_empty() {
            self.snapshot.notify(notify.range, notify.size);
        }
        self.flush.set(Owed::NOTHING);
        self.notify.set(Owed::NOTHING);
        if let Some(ticket) = self.ticket.take() {
            self.snapshot.mm.tickets.retire(ticket);
        }
    }

    /// Frees the pages that waited. Only after [`pay`](Self::pay).
    fn free_deferred(&self) {
        // Out of the cell first: freeing a page may run any code.
        let mut pages = self.deferred.take();
        pages.drain(drop);
    }
}

/// A range of addresses that is changing.
///
/// Ends when dropped. Neither `Send` nor `Sync`. Forgetting it leaks its
/// deferred pages; entries that it cleared and did not notify stay notified-
/// on-every-fill, mirrors wait for its end, and registration waits for ever:
/// nothing is corrupted. [`Mm::invalidate`] cannot be forgotten.
pub struct InvalidateRange<'r, P: Platform> {
    state: RangeState<'r, P>,
    task: &'r mut Task,
}

impl<'r, P: Platform> InvalidateRange<'r, P> {
    #[inline]
    pub(crate) fn start(
        mm: &'r Mm<P>,
        info: RangeInfo,
        task: &'r mut Task,
    ) -> Result<Self, StartError> {
        if task.open_ranges != 0 {
            return Err(StartError::Nested);
        }
        let stripe = task.stripe();
        let snapshot = Snapshot::take(mm, stripe);
        if snapshot.notifiers != 0 {
            start_each(&snapshot, &info)?;
        }
        task.open_ranges = 1;
        mm.platform.observe(RecordKind::Start {
            range: info.range,
            event: info.event,
            blockable: info.blockable == Blockable::Yes,
        });
        Ok(InvalidateRange {
            state: RangeState {
                snapshot,
                info,
                ticket: Cell::new(None),
                hint: stripe.hint(),
                flush: Cell::new(Owed::NOTHING),
                notify: Cell::new(Owed::NOTHING),
                open_tokens: Cell::new(0),
                deferred: ManuallyDrop::new(RefCell::new(P::Deferred::default())),
            },
            task,
        })
    }

    /// What was announced.
    pub fn info(&self) -> RangeInfo {
        self.state.info
    }

    /// The task, for what may sleep inside a range: taking a lock, faulting a
    /// page in. Not available while a page table lock is held.
    pub fn task(&mut self) -> &mut Task {
        self.task
    }

    /// Takes the page table lock of the 4 KiB entries around `addr`.
    ///
    /// # Errors
    ///
    /// [`PtlError::NoTable`] if there is none.
    #[inline]
    pub fn lock_ptl(&mut self, addr: VirtAddr) -> Result<RangePtl<'_, P>, PtlError> {
        self.lock(addr, PageSize::Base)
    }

    /// Takes the page table lock of the 2 MiB entries around `addr`.
    ///
    /// # Errors
    ///
    /// [`PtlError::NoTable`] if there is none.
    #[inline]
    pub fn lock_pmd(&mut self, addr: VirtAddr) -> Result<RangePtl<'_, P>, PtlError> {
        self.lock(addr, PageSize::Huge)
    }

    /// Takes the page table lock of the entries of this size around `addr`.
    ///
    /// # Errors
    ///
    /// [`PtlError::NoTable`] if there is none.
    #[inline]
    pub fn lock(&mut self, addr: VirtAddr, size: PageSize) -> Result<RangePtl<'_, P>, PtlError> {
        RangePtl::lock(&self.state, addr, size)
    }

    /// Takes two page table locks in their order, or one if they are the same:
    /// `source` lies in this range, `target` need not.
    ///
    /// # Errors
    ///
    /// [`PtlError::NoTable`] if there is no table for one of them.
    pub fn lock_ptl_pair(
        &mut self,
        source: VirtAddr,
        target: VirtAddr,
        size: PageSize,
    ) -> Result<RangePtlPair<'_, P>, PtlError> {
        RangePtlPair::lock(&self.state, source, target, size)
    }

    /// Pays what is owed so far and frees the pages that waited for it: the
    /// flush of a full gather.
    ///
    /// The range goes on. Mirrors have dropped it at its start and install
    /// nothing yet, so the pages are nobody's.
    pub fn flush(&mut self) {
        self.state.pay();
        self.state.free_deferred();
    }

    /// Ends the range: flushes, notifies, lets the mirrors in again, frees.
    #[inline]
    pub fn end(self) {}
}

/// Asks every mirror to drop the range; on a refusal ends those that did, in
/// reverse order. A panic does the same before it goes on.
fn start_each<P: Platform>(snapshot: &Snapshot<'_, P>, info: &RangeInfo) -> Result<(), StartError> {
    struct Started<'a, 'm, P: Platform> {
        snapshot: &'a Snapshot<'m, P>,
        info: &'a RangeInfo,
        places: u64,
    }
    impl<P: Platform> Drop for Started<'_, '_, P> {
        fn drop(&mut self) {
            end_each(self.snapshot, self.info, self.places);
        }
    }

    let mut started = Started { snapshot, info, places: 0 };
    for place in (0..64).filter(|place| snapshot.notifiers & (1 << place) != 0) {
        // SAFETY: INV-SNAPSHOT: a bit of the snapshot, inside its section.
        let answer =
            unsafe { snapshot.mm.notifiers.with(place, |notifier| notifier.range_start(info)) };
        match answer {
            Ok(()) => started.places |= 1 << place,
            Err(WouldBlock) => {
                assert!(
                    info.blockable == Blockable::No,
                    "a subscriber refused a range start in which it may sleep"
                );
                return Err(StartError::WouldBlock);
            }
        }
    }
    core::mem::forget(started);
    Ok(())
}

/// Ends the range for these mirrors, in reverse order of their start.
fn end_each<P: Platform>(snapshot: &Snapshot<'_, P>, info: &RangeInfo, places: u64) {
    for place in (0..64).rev().filter(|place| places & (1 << place) != 0) {
        // SAFETY: INV-SNAPSHOT: a bit of the snapshot, inside its section.
        unsafe { snapshot.mm.notifiers.with(place, |notifier| notifier.range_end(info)) };
    }
}

impl<P: Platform> Drop for InvalidateRange<'_, P> {
    #[inline]
    fn drop(&mut self) {
        let state = &mut self.state;
        self.task.open_ranges = 0;
        state.pay();
        if state.snapshot.notifiers != 0 {
            end_each(&state.snapshot, &state.info, state.snapshot.notifiers);
        }
        state
            .snapshot
            .mm
            .platform
            .observe(RecordKind::End { range: state.info.range, event: state.info.event });
        state.free_deferred();
        // SAFETY: dropped here once, and never used again. INV-PAID: everything
        // was paid, and the store was emptied.
        unsafe { ManuallyDrop::drop(&mut state.deferred) };
    }
}

impl<P: Platform> fmt::Debug for InvalidateRange<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InvalidateRange").field("info", &self.state.info).finish_non_exhaustive()
    }
}
