//! The one place that chooses between the standard library's locks and atomics
//! and those of the schedule explorer (`--cfg shuttle`).

#[cfg(shuttle)]
pub(crate) use shuttle::sync::{
    Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic,
};
#[cfg(shuttle)]
pub(crate) use shuttle::thread;

#[cfg(not(shuttle))]
pub(crate) use std::sync::{
    Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic,
};
#[cfg(not(shuttle))]
pub(crate) use std::thread;

/// A word of a frame. Never a schedule explorer's: what it explores are the
/// single accesses, each announced by [`crate::Memory::word`]; to explore every
/// word of a copy would leave nothing for the rest.
pub(crate) use std::sync::atomic::AtomicU64 as Word;

/// Takes a lock whose holder may have panicked: what it guards is checked by
/// [`crate::AddressSpace::verify`], not by the lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// As [`lock`], for reading.
pub(crate) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// As [`lock`], for writing.
pub(crate) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Never a model checker's: counting references is not what is explored.
pub(crate) use std::sync::Arc;
