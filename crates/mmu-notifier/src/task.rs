//! The linear task token.
//!
//! A thread has one [`Task`]. Whatever may sleep borrows it mutably, and a page
//! table lock borrows it for as long as it is held; so under a lock nothing
//! that may sleep can be reached, and no second lock either, because the token
//! is already borrowed (`E0499`). There is nothing to check at run time.

use core::marker::PhantomData;

use crate::srcu::StripeId;

/// The running task, as a token that cannot be copied, forged or sent.
#[derive(Debug)]
pub struct Task {
    stripe: StripeId,
    /// Ranges this task has open: at most one, or a forgotten one.
    pub(crate) open_ranges: u32,
    #[cfg(feature = "std")]
    hosted: bool,
    not_send: PhantomData<*mut ()>,
}

impl Task {
    /// Makes the token of a task.
    ///
    /// # Safety
    ///
    /// INV-ONE-TASK: a task that may hold page table locks has at most one
    /// token at a time, and the token is used by that task only.
    pub unsafe fn new(stripe: StripeId) -> Self {
        Task {
            stripe,
            open_ranges: 0,
            #[cfg(feature = "std")]
            hosted: false,
            not_send: PhantomData,
        }
    }

    pub(crate) fn stripe(&self) -> StripeId {
        self.stripe
    }
}

/// The thread already has its token.
#[cfg(feature = "std")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskTaken;

#[cfg(feature = "std")]
impl core::fmt::Display for TaskTaken {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("this thread already has its task token; pass that one on by `&mut`")
    }
}

#[cfg(feature = "std")]
impl core::error::Error for TaskTaken {}

#[cfg(feature = "std")]
mod hosted {
    use core::cell::Cell;
    // Stripe numbers outlive an execution of a model checker, and which one a
    // task gets does not matter to the protocol: always the real atomics.
    use core::sync::atomic::{AtomicU32, Ordering};

    use super::{Task, TaskTaken};
    use crate::srcu::{EXCLUSIVE_STRIPES, StripeId};

    /// One bit for each exclusive stripe that a task holds.
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    /// Spreads the tasks that found no exclusive stripe.
    static NEXT_SHARED: AtomicU32 = AtomicU32::new(0);

    #[cfg(shuttle)]
    use shuttle::thread_local;
    #[cfg(not(shuttle))]
    use std::thread_local;

    thread_local! {
        // Shuttle's `thread_local!` has no `const` form.
        #[allow(clippy::missing_const_for_thread_local)]
        static HAS_TASK: Cell<bool> = Cell::new(false);
    }

    fn claim_stripe() -> StripeId {
        loop {
            let taken = TAKEN.load(Ordering::Relaxed);
            let number = taken.trailing_ones() as usize;
            if number >= EXCLUSIVE_STRIPES.min(32) {
                let any = NEXT_SHARED.fetch_add(1, Ordering::Relaxed) as usize;
                return StripeId::shared(any);
            }
            // Acquire and release: the counters of the previous owner are
            // read before we write them (INV-STRIPE).
            if TAKEN
                .compare_exchange_weak(
                    taken,
                    taken | 1 << number,
                    Ordering::Acquire,
                    Ordering::Relaxed,
                )
                .is_ok()
            {
                // SAFETY: INV-STRIPE: the bit is ours until `drop` clears it.
                return unsafe { StripeId::exclusive(number) }.expect("number was checked");
            }
        }
    }

    impl Task {
        /// The token of the calling thread.
        ///
        /// # Errors
        ///
        /// [`TaskTaken`] if the thread has one already. It may be taken again
        /// after that one was dropped.
        pub fn current() -> Result<Self, TaskTaken> {
            if HAS_TASK.with(|has| has.replace(true)) {
                return Err(TaskTaken);
            }
            // SAFETY: INV-ONE-TASK: the flag was clear, and the token is not `Send`.
            let mut task = unsafe { Task::new(claim_stripe()) };
            task.hosted = true;
            Ok(task)
        }
    }

    impl Drop for Task {
        fn drop(&mut self) {
            if !self.hosted {
                return;
            }
            if self.stripe.is_exclusive() {
                TAKEN.fetch_and(!(1 << self.stripe.hint()), Ordering::Release);
            }
            HAS_TASK.with(|has| has.set(false));
        }
    }
}
