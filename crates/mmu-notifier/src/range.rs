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
use crate::srcu::SrcuGuard;
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
    /// Ends after everything else.
    section: SrcuGuard<'m, P::Fence>,
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
    #[inline]
    fn pay(&self) {
        let forgotten = self.open_tokens.replace(0) != 0;
        let (mut flush, mut notify) = (self.flush.get(), self.notify.get());
        if forgotten {
            // A token was forgotten between clear and notify: we no longer
            // know of which entry, so the whole range is told.
            flush = flush.add(self.info.range, PageSize::Huge);
            notify = notify.add(self.info.range, PageSize::Huge);
            // Kept, should a subscriber panic: whoever pays next tells it.
            self.flush.set(flush);
            self.notify.set(notify);
        }
        if !(flush.range.is_empty() && notify.range.is_empty()) {
            let Snapshot { mm, tlbs, .. } = self.snapshot;
            pay_debts(mm, tlbs, flush.range, flush.size, notify.range, notify.size);
            self.flush.set(Owed::NOTHING);
            self.notify.set(Owed::NOTHING);
        }
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
    #[inline(always)]
    pub(crate) fn start(
        mm: &'r Mm<P>,
        info: RangeInfo,
        task: &'r mut Task,
    ) -> Result<Self, StartError> {
        if task.open_ranges != 0 {
            return Err(StartError::Nested);
        }
        let stripe = task.stripe();
        let (snapshot, section) = Snapshot::take(mm, stripe);
        if snapshot.notifiers != 0 {
            start_each(snapshot, info)?;
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
                section,
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

    /// Takes the page table lock of the 4 KiB entries around `addr`, which may be
    /// any address; [`RangePtl::slot`] wants the start of a page.
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
    pub fn end(self) {
        // Not left to the drop: that one is a call for every way out of the
        // caller, this one is the way that most take.
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is not dropped, and its section is not used again.
        let section = unsafe { core::ptr::read(&this.state.section) };
        // SAFETY: `this` is not dropped, and not used again.
        unsafe { this.finish() };
        drop(section);
    }

    /// # Safety
    ///
    /// To be called once; the range is not used afterwards.
    #[inline(always)]
    unsafe fn finish(&mut self) {
        let state = &mut self.state;
        self.task.open_ranges = 0;
        state.pay();
        if state.snapshot.notifiers != 0 {
            end_each(state.snapshot, state.info, state.snapshot.notifiers);
        }
        state
            .snapshot
            .mm
            .platform
            .observe(RecordKind::End { range: state.info.range, event: state.info.event });
        // SAFETY: taken here once, and never used again. INV-PAID: everything
        // was paid.
        let deferred = unsafe { ManuallyDrop::take(&mut state.deferred) };
        deferred.into_inner().drain(drop);
    }
}

/// Asks every mirror to drop the range; on a refusal ends those that did, in
/// reverse order. A panic does the same before it goes on.
#[inline(never)]
fn start_each<P: Platform>(snapshot: Snapshot<'_, P>, info: RangeInfo) -> Result<(), StartError> {
    struct Started<'m, P: Platform> {
        snapshot: Snapshot<'m, P>,
        info: RangeInfo,
        places: u64,
    }
    impl<P: Platform> Drop for Started<'_, P> {
        fn drop(&mut self) {
            end_each(self.snapshot, self.info, self.places);
        }
    }

    let mut started = Started { snapshot, info, places: 0 };
    let mut left = snapshot.notifiers;
    while left != 0 {
        let place = left.trailing_zeros() as usize;
        left &= left - 1;
        // SAFETY: INV-SNAPSHOT: a bit of the snapshot, inside its section.
        let answer =
            unsafe { snapshot.mm.notifiers.with(place, |notifier| notifier.range_start(&info)) };
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
#[inline(never)]
fn end_each<P: Platform>(snapshot: Snapshot<'_, P>, info: RangeInfo, places: u64) {
    let mut left = places;
    while left != 0 {
        let place = left.ilog2() as usize;
        left ^= 1 << place;
        // SAFETY: INV-SNAPSHOT: a bit of the snapshot, inside its section.
        unsafe { snapshot.mm.notifiers.with(place, |notifier| notifier.range_end(&info)) };
    }
}

impl<P: Platform> Drop for InvalidateRange<'_, P> {
    fn drop(&mut self) {
        // SAFETY: called once, and the fields that it takes have no drop of their own.
        unsafe { self.finish() };
    }
}

/// Out of line and by value: most ranges owe nothing when they end, and then
/// the account need not live in memory.
#[inline(never)]
fn pay_debts<P: Platform>(
    mm: &Mm<P>,
    tlbs: u64,
    flush: VirtRange,
    flush_size: PageSize,
    notify: VirtRange,
    notify_size: PageSize,
) {
    let snapshot = Snapshot::of_tlbs(mm, tlbs);
    if !flush.is_empty() {
        snapshot.flush(flush, flush_size);
    }
    if !notify.is_empty() {
        snapshot.notify(notify, notify_size);
    }
}

impl<P: Platform> fmt::Debug for InvalidateRange<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InvalidateRange").field("info", &self.state.info).finish_non_exhaustive()
    }
}
