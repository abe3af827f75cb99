//! Coming and going of subscribers.
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

use crate::error::{
    RegisterError, RegisterRefusal, StartError, UnregisterError, UnregisterRefusal,
};
use crate::list::SubscriberList;
use crate::mm::Mm;
use crate::platform::Platform;
use crate::srcu::StripeId;
use crate::subscriber::{Notifier, SecondaryTlb};
use crate::sync::atomic::{Ordering, fence};
use crate::task::Task;

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
