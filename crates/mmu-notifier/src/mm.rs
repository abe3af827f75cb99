//! The address space, as the protocol sees it: a platform and its subscribers.
//!
//! # Registration
//!
//! A subscriber that registers while a range is running must not be missed by
//! it: the range looked at the list before, and would change entries without
//! telling. Linux takes every lock of the address space; here there are two
//! ways, both in the types:
//!
//! - hosted, [`Mm::register_tlb`] waits until every range that was running has
//!   ended. For that a range holds a read section even when nobody is
//!   registered, which costs about 2 ns and no shared write;
//! - in a kernel, [`Mm::register_tlb_exclusive`] takes `&mut Mm`, or the proof
//!   of the address-space write lock, [`ExclusiveMm`]: no range can be running.
//!
//! The device may translate once registration has *returned*.

use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;

use mmu_protocol::{Event, PageSize, RecordKind, VirtAddr, VirtRange};

use crate::context::Blockable;
use crate::error::{
    PtlError, RegisterError, RegisterRefusal, StartError, UnregisterError, UnregisterRefusal,
};
use crate::list::SubscriberList;
use crate::platform::{PageTableEntry, Platform};
use crate::ptl::FillPtl;
use crate::range::InvalidateRange;
use crate::snapshot::Snapshot;
use crate::srcu::{Srcu, StripeId};
use crate::subscriber::{Notifier, RangeInfo, SecondaryTlb};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
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
    released: AtomicBool,
    /// Tells address spaces apart in a [`Subscription`].
    number: usize,
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

/// Proof that no range of the address space is running and none can start.
#[derive(Debug)]
pub struct ExclusiveMm<'m, P: Platform> {
    mm: &'m Mm<P>,
    not_send: PhantomData<*mut ()>,
}

impl<'m, P: Platform> ExclusiveMm<'m, P> {
    /// # Safety
    ///
    /// INV-EXCLUSIVE: for the life of the proof the caller holds the lock that
    /// excludes every range and page table lock of this address space (the
    /// address-space lock for writing), and nobody else holds such a proof.
    pub unsafe fn assume(mm: &'m Mm<P>) -> Self {
        ExclusiveMm { mm, not_send: PhantomData }
    }

    /// Registers a hardware-walking TLB without waiting.
    ///
    /// # Errors
    ///
    /// As for [`Mm::register_tlb`], but never `InsideRange`.
    pub fn register_tlb(
        &mut self,
        tlb: P::Tlb,
    ) -> Result<Subscription<P::Tlb>, RegisterError<P::Tlb>> {
        self.mm.publish_tlb(tlb)
    }

    /// Registers a software mirror without waiting.
    ///
    /// # Errors
    ///
    /// As for [`Mm::register_notifier`], but never `InsideRange`.
    pub fn register_notifier(
        &mut self,
        notifier: P::Notifier,
    ) -> Result<Subscription<P::Notifier>, RegisterError<P::Notifier>> {
        self.mm.publish_notifier(notifier)
    }
}

/// A registered subscriber, to be given back to [`Mm::unregister_tlb`] or
/// [`Mm::unregister_notifier`].
///
/// Dropping or forgetting it leaves the subscriber registered until the
/// address space is released: it goes on being told.
#[must_use = "without the subscription the subscriber stays registered until release"]
pub struct Subscription<T> {
    mm: usize,
    list: List,
    place: usize,
    kind: PhantomData<fn() -> T>,
}

// By hand: a derive would ask the same of the handle, and `dyn` handles have neither.
impl<T> fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("list", &self.list)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl<T> PartialEq for Subscription<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.mm, self.list, self.place) == (other.mm, other.list, other.place)
    }
}
impl<T> Eq for Subscription<T> {}

/// Which list a subscription belongs to: one type may be in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    Tlbs,
    Notifiers,
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

    /// Registers a hardware-walking TLB, and waits until every range that was
    /// running has ended. Its device may translate once this has returned.
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// The subscriber comes back if there is no place, if the address space was
    /// released, or if this task has a range open.
    pub fn register_tlb(
        &self,
        tlb: P::Tlb,
        task: &mut Task,
    ) -> Result<Subscription<P::Tlb>, RegisterError<P::Tlb>> {
        if task.open_ranges != 0 {
            return Err(RegisterError { subscriber: tlb, reason: RegisterRefusal::InsideRange });
        }
        let subscription = self.publish_tlb(tlb)?;
        self.srcu.synchronize();
        Ok(subscription)
    }

    /// Registers a software mirror, and waits until every range that was
    /// running has ended. It may install translations once this has returned.
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// As for [`register_tlb`](Self::register_tlb).
    pub fn register_notifier(
        &self,
        notifier: P::Notifier,
        task: &mut Task,
    ) -> Result<Subscription<P::Notifier>, RegisterError<P::Notifier>> {
        if task.open_ranges != 0 {
            return Err(RegisterError {
                subscriber: notifier,
                reason: RegisterRefusal::InsideRange,
            });
        }
        let subscription = self.publish_notifier(notifier)?;
        self.srcu.synchronize();
        Ok(subscription)
    }

    /// Registers a hardware-walking TLB without waiting: nobody else has the
    /// address space.
    ///
    /// # Errors
    ///
    /// The subscriber comes back if there is no place or the address space was released.
    pub fn register_tlb_exclusive(
        &mut self,
        tlb: P::Tlb,
    ) -> Result<Subscription<P::Tlb>, RegisterError<P::Tlb>> {
        self.publish_tlb(tlb)
    }

    /// Registers a software mirror without waiting: nobody else has the
    /// address space.
    ///
    /// # Errors
    ///
    /// The subscriber comes back if there is no place or the address space was released.
    pub fn register_notifier_exclusive(
        &mut self,
        notifier: P::Notifier,
    ) -> Result<Subscription<P::Notifier>, RegisterError<P::Notifier>> {
        self.publish_notifier(notifier)
    }

    fn publish_tlb(&self, tlb: P::Tlb) -> Result<Subscription<P::Tlb>, RegisterError<P::Tlb>> {
        let absent = tlb.caches_absent();
        let subscription = self.publish(&self.tlbs, List::Tlbs, tlb)?;
        let bit = 1 << subscription.place;
        // A bit of an earlier owner of the place only costs a notification.
        if absent {
            self.absent.fetch_or(bit, Ordering::Release);
        } else {
            self.absent.fetch_and(!bit, Ordering::Release);
        }
        Ok(subscription)
    }

    fn publish_notifier(
        &self,
        notifier: P::Notifier,
    ) -> Result<Subscription<P::Notifier>, RegisterError<P::Notifier>> {
        self.publish(&self.notifiers, List::Notifiers, notifier)
    }

    fn publish<T>(
        &self,
        list: &SubscriberList<T>,
        which: List,
        value: T,
    ) -> Result<Subscription<T>, RegisterError<T>> {
        if self.released.load(Ordering::Acquire) {
            return Err(RegisterError { subscriber: value, reason: RegisterRefusal::Released });
        }
        let place = match list.publish(value) {
            Ok(place) => place,
            Err(subscriber) => {
                return Err(RegisterError { subscriber, reason: RegisterRefusal::Full });
            }
        };
        // A release may have taken its snapshot before we published: then we
        // see its flag, because both sides fence between store and load.
        fence(Ordering::SeqCst);
        if self.released.load(Ordering::Relaxed) && list.begin_leave(place) {
            list.hide(1 << place);
            self.srcu.synchronize();
            // SAFETY: INV-SNAPSHOT: we won and hid it; INV-GRACE: no section is left.
            let subscriber = unsafe { list.take(place) };
            return Err(RegisterError { subscriber, reason: RegisterRefusal::Released });
        }
        Ok(Subscription { mm: self.number, list: which, place, kind: PhantomData })
    }

    /// Releases a hardware-walking TLB, waits until nobody can call it any
    /// more, and gives it back.
    ///
    /// May sleep. Its [`release`](SecondaryTlb::release) is called first, while
    /// it is still told of every change.
    ///
    /// # Errors
    ///
    /// The subscription comes back if it belongs to another address space, if
    /// the address space was released, or if this task has a range open. From
    /// inside a callback it cannot be called at all: the task token is taken.
    pub fn unregister_tlb(
        &self,
        subscription: Subscription<P::Tlb>,
        task: &mut Task,
    ) -> Result<P::Tlb, UnregisterError<Subscription<P::Tlb>>> {
        self.unregister(&self.tlbs, List::Tlbs, subscription, task, |tlb| tlb.release())
    }

    /// Releases a software mirror, waits until nobody can call it any more, and
    /// gives it back.
    ///
    /// May sleep. Its [`release`](Notifier::release) is called first. Ranges
    /// that it saw start are ended for it before this returns.
    ///
    /// # Errors
    ///
    /// As for [`unregister_tlb`](Self::unregister_tlb).
    pub fn unregister_notifier(
        &self,
        subscription: Subscription<P::Notifier>,
        task: &mut Task,
    ) -> Result<P::Notifier, UnregisterError<Subscription<P::Notifier>>> {
        self.unregister(&self.notifiers, List::Notifiers, subscription, task, |notifier| {
            notifier.release();
        })
    }

    fn unregister<T>(
        &self,
        list: &SubscriberList<T>,
        which: List,
        subscription: Subscription<T>,
        task: &mut Task,
        release: impl FnOnce(&T),
    ) -> Result<T, UnregisterError<Subscription<T>>> {
        let refuse = |subscription, reason| Err(UnregisterError { subscription, reason });
        if subscription.mm != self.number {
            return refuse(subscription, UnregisterRefusal::OtherMm);
        }
        if subscription.list != which {
            return refuse(subscription, UnregisterRefusal::OtherKind);
        }
        if task.open_ranges != 0 {
            return refuse(subscription, UnregisterRefusal::InsideRange);
        }
        let place = subscription.place;
        if !list.begin_leave(place) {
            return refuse(subscription, UnregisterRefusal::Released);
        }
        {
            // The callback may look at its own registration.
            let _section = self.srcu.read(task.stripe());
            // SAFETY: INV-SNAPSHOT: the value stays until we take it below.
            unsafe { list.with(place, release) };
        }
        list.hide(1 << place);
        self.srcu.synchronize();
        // SAFETY: INV-SNAPSHOT: we won and hid it; INV-GRACE: no section is left.
        Ok(unsafe { list.take(place) })
    }

    /// The address space goes away: releases every subscriber and refuses new
    /// ones. Page tables may be torn down afterwards without telling anybody.
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// [`StartError::Nested`] if this task has a range open.
    pub fn release(&self, task: &mut Task) -> Result<(), StartError> {
        if task.open_ranges != 0 {
            return Err(StartError::Nested);
        }
        // No early return for the second of two callers: when this returns all
        // are released, also those that the other caller is still at (it holds
        // a read section meanwhile).
        self.released.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let stripe = task.stripe();
        let notifiers = self.release_each(&self.notifiers, stripe, |notifier| notifier.release());
        let tlbs = self.release_each(&self.tlbs, stripe, |tlb| tlb.release());
        self.notifiers.hide(notifiers);
        self.tlbs.hide(tlbs);
        // One grace period for all.
        self.srcu.synchronize();
        // SAFETY: INV-SNAPSHOT: we won and hid them; INV-GRACE: no section is left.
        unsafe {
            drop_each(&self.notifiers, notifiers);
            drop_each(&self.tlbs, tlbs);
        }
        Ok(())
    }

    /// Calls `release` on every subscriber whose removal nobody else has begun.
    fn release_each<T>(
        &self,
        list: &SubscriberList<T>,
        stripe: StripeId,
        release: impl Fn(&T),
    ) -> u64 {
        let _section = self.srcu.read(stripe);
        let snapshot = list.snapshot();
        let mut ours = 0;
        for place in (0..64).filter(|place| snapshot & (1 << place) != 0) {
            if list.begin_leave(place) {
                // SAFETY: INV-SNAPSHOT: live inside our own section.
                unsafe { list.with(place, &release) };
                ours |= 1 << place;
            }
        }
        ours
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

/// # Safety
///
/// As for [`SubscriberList::take_for_good`], for each of the places.
unsafe fn drop_each<T>(list: &SubscriberList<T>, places: u64) {
    for place in (0..64).filter(|place| places & (1 << place) != 0) {
        // SAFETY: the caller's promise, passed on.
        drop(unsafe { list.take_for_good(place) });
    }
}

/// Borrows the page behind an entry without taking it out.
///
/// # Safety
///
/// The entry is present and stays in its table for the life of the result,
/// which must not be dropped.
pub(crate) unsafe fn borrow_page<P: Platform>(
    platform: &P,
    entry: P::Entry,
    size: PageSize,
) -> ManuallyDrop<P::Page> {
    // SAFETY: INV-OWNED: `ManuallyDrop` keeps the count as it is.
    ManuallyDrop::new(unsafe { platform.take_page(entry, size) })
}
