//! A lock for a few words, held for a bounded time, that never sleeps.
//!
//! Invalidations run under a page table lock, so nothing here may be a lock
//! that puts its waiter to sleep.
//!
//! **INV-LOCK**: the value is reached only through a [`Held`], and at most one
//! exists, because only whoever turned the flag from false to true makes one
//! and only its drop turns the flag back.

use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};

use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::relax;

pub(crate) struct Lock<T> {
    locked: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: INV-LOCK: one thread at a time has the value, which therefore only
// has to be `Send`.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    pub(crate) fn new(value: T) -> Self {
        Lock { locked: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    pub(crate) fn lock(&self) -> Held<'_, T> {
        while self
            .locked
            .compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            relax();
        }
        Held { lock: self }
    }
}

/// The lock is held.
pub(crate) struct Held<'l, T> {
    lock: &'l Lock<T>,
}

// SAFETY: INV-LOCK: the guard gives out the value by its own borrow, so sharing
// it shares `&T`.
unsafe impl<T: Sync> Sync for Held<'_, T> {}

impl<T> Deref for Held<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: INV-LOCK: we are the one holder.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Held<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: INV-LOCK: we are the one holder, and borrowed mutably.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Held<'_, T> {
    fn drop(&mut self) {
        self.lock.locked.store(false, Ordering::Release);
    }
}
