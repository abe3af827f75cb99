//! The address space, as the protocol sees it: a platform and its subscribers.

use core::fmt;

use mmu_protocol::{Event, PageSize, RecordKind, VirtAddr, VirtRange};

use crate::context::Blockable;
use crate::error::{PtlError, StartError};
use crate::list::SubscriberList;
use crate::platform::{PageTableEntry, Platform};
use crate::ptl::FillPtl;
use crate::range::InvalidateRange;
use crate::snapshot::Snapshot;
use crate::srcu::Srcu;
use crate::subscriber::{Notifier, RangeInfo, SecondaryTlb};
use crate::sync::atomic::{AtomicBool, AtomicU64};
use crate::task::Task;
use crate::ticket::{Ticket, Tickets};

/// An address space whose page-table changes follow the MMU-notifier protocol.
///
/// `Send` and `Sync` if the platform and its handles are. Dropping it releases
/// the subscribers that are left, and only then drops the platform. Forgetting
/// it leaks both; they are told nothing more, because nothing changes.
pub struct Mm<P: Platform> {
    pub(crate) srcu: Srcu<P::Fence>,
    pub(crate) notifiers: SubscriberList<P::Notifier>,
    pub(crate) tlbs: SubscriberList<P::Tlb>,
    /// Those of `tlbs` that cache absent entries.
    pub(crate) absent: AtomicU64,
    pub(crate) tickets: Tickets,
    /// Whether entries have room for a ticket.
    pub(crate) has_tombstones: bool,
    pub(crate) released: AtomicBool,
    /// Tells address spaces apart in a [`Subscription`].
    pub(crate) number: usize,
    /// Last, because fields drop in this order: the lists release whoever is
    /// left in them before the pages can go.
    pub(crate) platform: P,
}

/// Not a model checker's atomic: the numbers outlive its executions.
static NEXT_NUMBER: core::sync::atomic::AtomicUsize = core::sync::atomic::AtomicUsize::new(0);

/// A number that no other address space has had: a subscription that outlives
/// its address space must not fit another one.
fn next_number() -> usize {
    use core::sync::atomic::Ordering::Relaxed;
    NEXT_NUMBER
        .fetch_update(Relaxed, Relaxed, |number| number.checked_add(1))
        .expect("no more numbers for address spaces")
}

impl<P: Platform> Mm<P> {
    /// An address space without subscribers.
    pub fn new(platform: P) -> Self {
        Mm {
            srcu: Srcu::new(),
            notifiers: SubscriberList::new(|notifier| notifier.release()),
            tlbs: SubscriberList::new(|tlb| tlb.release()),
            absent: AtomicU64::new(0),
            tickets: Tickets::new(),
            has_tombstones: Ticket::from_raw(1).and_then(P::Entry::tombstone).is_some(),
            released: AtomicBool::new(false),
            number: next_number(),
            platform,
        }
    }

    /// The platform underneath.
    pub fn platform(&self) -> &P {
        &self.platform
    }

    /// Announces a change, runs `change`, and ends the range.
    ///
    /// The form to prefer: the range cannot be forgotten.
    ///
    /// May sleep: mirrors are asked to drop the range first.
    ///
    /// # Errors
    ///
    /// [`StartError::Nested`] if this task has a range open.
    ///
    /// # Panics
    ///
    /// If a mirror refuses although it may sleep.
    #[inline]
    pub fn invalidate<R>(
        &self,
        range: VirtRange,
        event: Event,
        task: &mut Task,
        change: impl FnOnce(&mut InvalidateRange<'_, P>) -> R,
    ) -> Result<R, StartError> {
        let mut range = self.invalidate_range_start(range, event, task)?;
        let result = change(&mut range);
        range.end();
        Ok(result)
    }

    /// Announces a change: mirrors drop the range and install nothing until
    /// the returned guard ends it.
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// [`StartError::Nested`] if this task has a range open.
    ///
    /// # Panics
    ///
    /// If a mirror refuses although it may sleep.
    #[inline]
    pub fn invalidate_range_start<'r>(
        &'r self,
        range: VirtRange,
        event: Event,
        task: &'r mut Task,
    ) -> Result<InvalidateRange<'r, P>, StartError> {
        InvalidateRange::start(self, RangeInfo::new(range, event, Blockable::Yes), task)
    }

    /// As [`invalidate_range_start`](Self::invalidate_range_start), but no
    /// callback may sleep.
    ///
    /// Stops at the first mirror that refuses and ends those that had started,
    /// in reverse order. (Linux asks the remaining mirrors too and then ends
    /// only those that have an end callback.)
    ///
    /// # Errors
    ///
    /// [`StartError::WouldBlock`] after a refusal: nothing has changed;
    /// [`StartError::Nested`] if this task has a range open.
    pub fn try_invalidate_range_start<'r>(
        &'r self,
        range: VirtRange,
        event: Event,
        task: &'r mut Task,
    ) -> Result<InvalidateRange<'r, P>, StartError> {
        InvalidateRange::start(self, RangeInfo::new(range, event, Blockable::No), task)
    }

    /// Takes a page table lock outside a range, for changes that no TLB has to
    /// be told of: filling an absent entry, adding the write permission, aging.
    ///
    /// # Errors
    ///
    /// [`PtlError::NoTable`] if there is no table.
    #[inline]
    pub fn lock_ptl<'g>(
        &'g self,
        addr: VirtAddr,
        size: PageSize,
        task: &'g mut Task,
    ) -> Result<FillPtl<'g, P>, PtlError> {
        FillPtl::lock(Snapshot::take(self, task.stripe()), addr, size)
    }

    /// Reports a step that the platform itself takes.
    pub fn observe(&self, step: RecordKind) {
        self.platform.observe(step);
    }

    /// Takes the platform out. Subscribers that are still registered are
    /// released first.
    pub fn into_platform(self) -> P {
        self.platform
    }
}

impl<P: Platform> fmt::Debug for Mm<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mm")
            .field("id", &self.platform.id())
            .field("tlbs", &self.tlbs.snapshot().count_ones())
            .field("notifiers", &self.notifiers.snapshot().count_ones())
            .finish_non_exhaustive()
    }
}
