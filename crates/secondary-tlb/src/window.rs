//! Accesses in flight: one word for each port.
//!
//! # Protocol
//!
//! A port publishes which page it is about to use, runs a full fence, and only
//! then looks the page up, walks, and accesses. An invalidation removes the
//! entries, runs a full fence, and only then looks at the words. So of the two
//! at least one sees the other: either the port finds the entry gone and the
//! table changed, or the invalidation finds the word and waits.
//!
//! **INV-WINDOW**: a translation that a port took from its TLB, and a walk
//! that it caused, are used only while the port's word names the page; and an
//! invalidation returns only after every word that named a page of it when it
//! looked has changed. A word that is published later belongs to an access
//! that no longer finds what was removed, so it is not waited for: a device
//! that never rests delays nobody for ever.

use alloc::boxed::Box;

use mmu_protocol::PageSize;

use crate::sync::atomic::{AtomicU64, Ordering, fence};
use crate::sync::relax;
use crate::translation::{ADDRESS_BITS, Pasid, Scope};

/// Ports of one TLB: the bits of a word.
pub const PORTS: usize = 64;

const PAGE_BITS: u32 = ADDRESS_BITS - PageSize::Base.shift();
const VALID: u64 = 1 << 63;
const TURN_SHIFT: u32 = PAGE_BITS + Pasid::BITS;
const TURN_MASK: u64 = (VALID >> TURN_SHIFT) - 1;

/// What a port is about to use; zero if nothing. From the top: valid, a turn
/// that tells successive windows apart, PASID, page number.
#[repr(align(64))]
struct Word {
    word: AtomicU64,
    /// Who is inside, to recognise a thread that waits for itself.
    #[cfg(all(debug_assertions, feature = "std", not(shuttle)))]
    owner: core::sync::atomic::AtomicUsize,
}

/// The words of all ports of a TLB.
pub(crate) struct Windows {
    claimed: AtomicU64,
    words: Box<[Word]>,
}

/// A number that only the calling thread has.
#[cfg(all(debug_assertions, feature = "std", not(shuttle)))]
fn this_thread() -> usize {
    std::thread_local!(static MARK: u8 = const { 0 });
    MARK.with(|mark| core::ptr::from_ref(mark).addr())
}

impl Windows {
    pub(crate) fn new() -> Self {
        let word = |_| Word {
            word: AtomicU64::new(0),
            #[cfg(all(debug_assertions, feature = "std", not(shuttle)))]
            owner: core::sync::atomic::AtomicUsize::new(0),
        };
        Windows { claimed: AtomicU64::new(0), words: (0..PORTS).map(word).collect() }
    }

    /// Claims a place of its own for a port.
    pub(crate) fn claim(&self) -> Option<usize> {
        loop {
            let claimed = self.claimed.load(Ordering::Relaxed);
            let place = claimed.trailing_ones() as usize;
            if place >= PORTS {
                return None;
            }
            // Acquire: pairs with `unclaim` of the previous owner.
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
                return Some(place);
            }
        }
    }

    pub(crate) fn unclaim(&self, place: usize) {
        self.claimed.fetch_and(!(1 << place), Ordering::Release);
    }

    /// Opens the window of a port on one page. `turn` differs from that of its
    /// last window.
    #[inline]
    pub(crate) fn open(&self, place: usize, turn: u64, pasid: Pasid, page: u64) -> Window<'_> {
        let word = &self.words[place % PORTS];
        #[cfg(all(debug_assertions, feature = "std", not(shuttle)))]
        {
            word.owner.store(this_thread(), core::sync::atomic::Ordering::Relaxed);
            // Whoever sees the word sees its owner, not the last one.
            fence(Ordering::Release);
        }
        let name = u64::from(pasid.get()) << PAGE_BITS | page;
        word.word.store(VALID | (turn & TURN_MASK) << TURN_SHIFT | name, Ordering::Relaxed);
        // Pairs with the fence of `drain`.
        fence(Ordering::SeqCst);
        Window { word }
    }

    /// Waits until no access is in flight that may have used what the caller
    /// has removed.
    #[inline]
    pub(crate) fn drain(&self, scope: &Scope, first: u64, last: u64) {
        // Pairs with the fence of `open`.
        fence(Ordering::SeqCst);
        #[cfg(shuttle)]
        if crate::mutation::is(crate::mutation::NO_DRAIN) {
            return;
        }
        let mut claimed = self.claimed.load(Ordering::Acquire);
        while claimed != 0 {
            let place = claimed.trailing_zeros() as usize;
            claimed &= claimed - 1;
            let word = &self.words[place % PORTS];
            // Acquire: the accesses of the windows that have closed precede us.
            let seen = word.word.load(Ordering::Acquire);
            let page = seen & ((1 << PAGE_BITS) - 1);
            let pasid = (seen >> PAGE_BITS) as u32 & ((1 << Pasid::BITS) - 1);
            if seen & VALID != 0 && (first..=last).contains(&page) && scope.names(pasid) {
                wait_for(word, seen);
            }
        }
    }
}

#[cold]
fn wait_for(word: &Word, seen: u64) {
    while word.word.load(Ordering::Acquire) == seen {
        #[cfg(all(debug_assertions, feature = "std", not(shuttle)))]
        assert!(
            word.owner.load(core::sync::atomic::Ordering::Relaxed) != this_thread(),
            "an invalidation inside a window on the same page would wait for itself; \
             return from translate_with first"
        );
        relax();
    }
}

/// A port is using a page; ends when dropped, also by a panic.
pub(crate) struct Window<'w> {
    word: &'w Word,
}

impl Drop for Window<'_> {
    #[inline]
    fn drop(&mut self) {
        // Release: the accesses precede the end of the window.
        self.word.word.store(0, Ordering::Release);
    }
}
