//! Sleepable read-copy-update: readers that may sleep, a writer that waits.
//!
//! Whoever reads the subscriber list may block inside a callback, so the
//! writer cannot wait for "all CPUs passed a quiescent state"; it waits for
//! the readers of this domain only. One domain belongs to one address space,
//! so a sleeping reader delays nobody else's registration.
//!
//! Each stripe counts entries and exits of two phases. A reader adds one to
//! the entries of the phase it sees, and on leaving one to the exits of the
//! same phase, perhaps from another stripe: only sums matter. The writer waits
//! until both phases were seen with equal sums, flipping the phase in between
//! so that new readers cannot keep an old phase busy.
//!
//! Invariants:
//!
//! - **INV-GRACE**: when [`Srcu::synchronize`] returns, every read section
//!   that began before the call has ended.
//! - **INV-STRIPE**: an exclusive stripe is written by one task at a time, so
//!   that its counters need no read-modify-write instruction.
//!
//! A guard that is forgotten makes every later `synchronize` wait for ever:
//! registration, unregistration and release stall, nothing is corrupted.

use core::fmt;
use core::marker::PhantomData;

use crate::fence::AsymmetricFence;
use crate::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use crate::sync::relax;

/// Stripes that belong to one task each.
pub(crate) const EXCLUSIVE_STRIPES: usize = if cfg!(loom) { 2 } else { 32 };
/// Stripes for all other tasks.
pub(crate) const SHARED_STRIPES: usize = if cfg!(loom) { 1 } else { 8 };

/// Which counters a task uses in every read section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StripeId {
    index: u16,
    exclusive: bool,
}

impl StripeId {
    /// A stripe that many tasks share: one read-modify-write per step.
    ///
    /// Any number will do, for example that of the processor.
    pub const fn shared(number: usize) -> Self {
        StripeId { index: (number % SHARED_STRIPES) as u16, exclusive: false }
    }

    /// A stripe that belongs to the caller alone: plain loads and stores.
    ///
    /// Returns `None` if there is no stripe with this number (there are 32).
    ///
    /// # Safety
    ///
    /// INV-STRIPE: while a task uses this stripe no other task uses it, in any
    /// address space; handing it to another task is a release of the one and
    /// an acquire of the other.
    pub const unsafe fn exclusive(number: usize) -> Option<Self> {
        if number < EXCLUSIVE_STRIPES {
            Some(StripeId { index: number as u16, exclusive: true })
        } else {
            None
        }
    }

    #[cfg(feature = "std")]
    pub(crate) const fn is_exclusive(self) -> bool {
        self.exclusive
    }

    /// A small number to spread tasks over other arrays.
    pub(crate) const fn hint(self) -> usize {
        self.index as usize
    }
}

/// Entries and exits of both phases, on a cache line of their own.
#[repr(align(64))]
struct Stripe {
    entries: [AtomicU64; 2],
    exits: [AtomicU64; 2],
}

impl Stripe {
    fn new() -> Self {
        Stripe {
            entries: [AtomicU64::new(0), AtomicU64::new(0)],
            exits: [AtomicU64::new(0), AtomicU64::new(0)],
        }
    }
}

#[inline]
fn add_one(counter: &AtomicU64, exclusive: bool, order: Ordering) {
    if exclusive {
        // INV-STRIPE: nobody else writes this counter.
        counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), order);
    } else {
        counter.fetch_add(1, order);
    }
}

/// A domain of readers and the writer that waits for them.
pub struct Srcu<F> {
    phase: AtomicUsize,
    exclusive: [Stripe; EXCLUSIVE_STRIPES],
    shared: [Stripe; SHARED_STRIPES],
    /// One writer at a time.
    writing: AtomicBool,
    fence: PhantomData<fn() -> F>,
}

impl<F: AsymmetricFence> Srcu<F> {
    /// A domain without readers.
    pub fn new() -> Self {
        Srcu {
            phase: AtomicUsize::new(0),
            exclusive: core::array::from_fn(|_| Stripe::new()),
            shared: core::array::from_fn(|_| Stripe::new()),
            writing: AtomicBool::new(false),
            fence: PhantomData,
        }
    }

    fn stripe(&self, id: StripeId) -> &Stripe {
        if id.exclusive {
            &self.exclusive[id.index as usize % EXCLUSIVE_STRIPES]
        } else {
            &self.shared[id.index as usize % SHARED_STRIPES]
        }
    }

    /// Begins a read section, which ends when the guard is dropped.
    ///
    /// The reader may sleep. It must not call [`synchronize`](Self::synchronize)
    /// on the same domain: that would wait for itself.
    #[inline]
    pub fn read(&self, stripe: StripeId) -> SrcuGuard<'_, F> {
        let phase = self.phase.load(Ordering::Relaxed) & 1;
        let counters = self.stripe(stripe);
        add_one(&counters.entries[phase], stripe.exclusive, Ordering::Relaxed);
        // Pairs with the heavy fences of `synchronize`: either the writer
        // counts us, or we see what it unlinked before.
        F::light();
        SrcuGuard {
            exit: &counters.exits[phase],
            exclusive: stripe.exclusive,
            fence: PhantomData,
            not_send: PhantomData,
        }
    }

    /// Waits until every read section that began before the call has ended.
    ///
    /// May sleep. Calls from several threads take turns.
    pub fn synchronize(&self) {
        while self
            .writing
            .compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            relax();
        }
        let phase = self.phase.load(Ordering::Relaxed) & 1;
        // Readers that loaded the phase before an earlier flip may still enter it.
        self.wait_until_even(phase ^ 1);
        self.phase.store(phase ^ 1, Ordering::Relaxed);
        self.wait_until_even(phase);
        self.writing.store(false, Ordering::Release);
    }

    /// Waits until the entries of this phase are all matched by exits.
    fn wait_until_even(&self, phase: usize) {
        loop {
            // Exits first: an exit that is counted here had its entry before,
            // and the fence makes that entry visible below. The other order
            // could count an exit without its entry.
            let exits = self.sum(|stripe| stripe.exits[phase].load(Ordering::Acquire));
            // Pairs with the fence of `read`.
            F::heavy();
            let entries = self.sum(|stripe| stripe.entries[phase].load(Ordering::Relaxed));
            if entries == exits {
                return;
            }
            relax();
        }
    }

    fn sum(&self, of: impl Fn(&Stripe) -> u64) -> u64 {
        self.exclusive
            .iter()
            .chain(&self.shared)
            .fold(0, |sum, stripe| sum.wrapping_add(of(stripe)))
    }
}

impl<F: AsymmetricFence> Default for Srcu<F> {
    fn default() -> Self {
        Self::new()
    }
}

impl<F> fmt::Debug for Srcu<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Srcu").finish_non_exhaustive()
    }
}

/// A read section of an [`Srcu`] domain.
///
/// Neither `Send` nor `Sync`: it counts its exit on its task's own stripe.
pub struct SrcuGuard<'s, F: AsymmetricFence> {
    /// Where the exit is counted: of the same phase as the entry.
    exit: &'s AtomicU64,
    exclusive: bool,
    fence: PhantomData<fn() -> F>,
    not_send: PhantomData<*mut ()>,
}

impl<F: AsymmetricFence> Drop for SrcuGuard<'_, F> {
    #[inline]
    fn drop(&mut self) {
        // Release: what the section read is read before the exit is counted.
        add_one(self.exit, self.exclusive, Ordering::Release);
    }
}

impl<F: AsymmetricFence> fmt::Debug for SrcuGuard<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SrcuGuard").field("exclusive", &self.exclusive).finish_non_exhaustive()
    }
}
