//! The list of subscribers: one word that says who is there.
//!
//! A reader takes that word once, at the start of its section, and calls
//! exactly those subscribers until the section ends.
//!
//! **INV-SNAPSHOT**: a subscriber in the snapshot stays valid for the whole
//! section, because its removal waits for the section; and a subscriber that
//! is missing from it uses no translation during the section, because its
//! registration has not returned (it waits for the section too).

use core::mem::MaybeUninit;

use crate::sync::Cell;
use crate::sync::atomic::{AtomicU64, Ordering};

/// Places in a list: the bits of the word.
const PLACES: usize = if cfg!(loom) { 2 } else { 64 };

pub(crate) struct SubscriberList<T> {
    /// Who takes part in sections that begin now.
    live: AtomicU64,
    /// Which places hold a value or are about to.
    claimed: AtomicU64,
    /// Whose removal has begun: of two removers one wins.
    leaving: AtomicU64,
    places: [Cell<MaybeUninit<T>>; PLACES],
    /// Called with whoever is left when the list goes.
    release: fn(&T),
}

// SAFETY: values are written by whoever claimed the place and read by many
// threads once the place is live; both bounds are what that needs.
unsafe impl<T: Send + Sync> Sync for SubscriberList<T> {}
// SAFETY: the list owns its values.
unsafe impl<T: Send> Send for SubscriberList<T> {}

impl<T> SubscriberList<T> {
    pub(crate) fn new(release: fn(&T)) -> Self {
        SubscriberList {
            live: AtomicU64::new(0),
            claimed: AtomicU64::new(0),
            leaving: AtomicU64::new(0),
            places: core::array::from_fn(|_| Cell::new(MaybeUninit::uninit())),
            release,
        }
    }

    /// Who is there now. To be called inside a read section of the address
    /// space's domain; the answer is good until that section ends.
    #[inline]
    pub(crate) fn snapshot(&self) -> u64 {
        // Acquire: pairs with the release in `publish`.
        self.live.load(Ordering::Acquire)
    }

    /// Puts the value in a free place and makes it visible to sections that
    /// begin from now on.
    pub(crate) fn publish(&self, value: T) -> Result<usize, T> {
        let place = loop {
            let claimed = self.claimed.load(Ordering::Relaxed);
            let place = claimed.trailing_ones() as usize;
            if place >= PLACES {
                return Err(value);
            }
            // Acquire: pairs with the release in `take`.
            if self
                .claimed
                .compare_exchange_weak(
                    claimed,
                    claimed | 1 << place,
                    Ordering::Acquire,
                    Ordering::Relaxed,
                )
                .is_ok()
            {
                break place;
            }
        };
        // SAFETY: the place is claimed by us and not live, so nobody reads it.
        self.places[place].with_mut(|slot| unsafe { (*slot).write(value) });
        self.live.fetch_or(1 << place, Ordering::Release);
        Ok(place)
    }

    /// Claims the removal of a value; `false` if somebody else has.
    pub(crate) fn begin_leave(&self, place: usize) -> bool {
        let bit = 1 << place;
        self.leaving.fetch_or(bit, Ordering::AcqRel) & bit == 0
    }

    /// Hides values from sections that begin from now on.
    pub(crate) fn hide(&self, places: u64) {
        self.live.fetch_and(!places, Ordering::Relaxed);
    }

    /// Takes a hidden value out and keeps its place closed: whoever still has
    /// its subscription must find that the removal has begun.
    ///
    /// # Safety
    ///
    /// INV-SNAPSHOT: the caller's `begin_leave` won and it hid the place, and
    /// every section that began before that has ended.
    pub(crate) unsafe fn take_for_good(&self, place: usize) -> T {
        // SAFETY: no section that saw the place live is left, and only one
        // caller can have won.
        self.places[place].with_mut(|slot| unsafe { (*slot).assume_init_read() })
    }

    /// Takes a hidden value out and gives its place to the next.
    ///
    /// # Safety
    ///
    /// As for [`take_for_good`](Self::take_for_good), and nobody else has the
    /// subscription of this place.
    pub(crate) unsafe fn take(&self, place: usize) -> T {
        // SAFETY: the caller's promise, passed on.
        let value = unsafe { self.take_for_good(place) };
        self.leaving.fetch_and(!(1 << place), Ordering::Relaxed);
        self.claimed.fetch_and(!(1 << place), Ordering::Release);
        value
    }

    /// Calls `f` with one subscriber of a snapshot.
    ///
    /// # Safety
    ///
    /// INV-SNAPSHOT: `place` is a bit of a snapshot whose section has not ended.
    #[inline]
    pub(crate) unsafe fn with<R>(&self, place: usize, f: impl FnOnce(&T) -> R) -> R {
        // SAFETY: the place was live in the snapshot, and `take` waits for the section.
        self.places[place % PLACES].with(|slot| f(unsafe { (*slot).assume_init_ref() }))
    }

    /// Calls `f` with every subscriber of a snapshot, in the order of registration places.
    ///
    /// # Safety
    ///
    /// INV-SNAPSHOT: the snapshot's section has not ended.
    #[inline]
    pub(crate) unsafe fn for_each(&self, mut snapshot: u64, mut f: impl FnMut(&T)) {
        while snapshot != 0 {
            let place = snapshot.trailing_zeros() as usize;
            snapshot &= snapshot - 1;
            // SAFETY: the caller's promise, passed on.
            unsafe { self.with(place, &mut f) };
        }
    }
}

impl<T> Drop for SubscriberList<T> {
    fn drop(&mut self) {
        /// Panics when dropped: on the way of another panic that aborts.
        struct Abort;
        impl Drop for Abort {
            fn drop(&mut self) {
                panic!("a subscriber did not let go of an address space that is being dropped");
            }
        }

        let live = self.live.load(Ordering::Relaxed);
        let release = self.release;
        for place in (0..PLACES).filter(|place| live & (1 << place) != 0) {
            self.places[place].with_mut(|slot| {
                // The page tables go next: a subscriber that cannot be made to
                // let go of them must not outlive this.
                let abort = Abort;
                // SAFETY: we own the list, so no section is left, and a live place holds a value.
                release(unsafe { (*slot).assume_init_ref() });
                core::mem::forget(abort);
                // SAFETY: as above, and the list is gone afterwards.
                unsafe { (*slot).assume_init_drop() };
            });
        }
    }
}
