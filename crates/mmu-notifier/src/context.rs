//! What a callback may do: zero-sized proofs of the context it runs in.

use core::marker::PhantomData;

/// The callback runs under a page table lock: it must be bounded, must not
/// sleep, and must not fault.
///
/// Everything in this crate that may sleep takes a [`Task`](crate::Task), which
/// a callback cannot get: the lock borrows it.
#[derive(Debug)]
pub struct Atomic<'a> {
    inner: PhantomData<&'a mut ()>,
}

impl Atomic<'_> {
    pub(crate) fn new() -> Self {
        Atomic { inner: PhantomData }
    }

    /// For callers outside this crate that hold a lock of their own and call a
    /// [`SecondaryTlb`](crate::SecondaryTlb) by hand, a device model's tests
    /// for example. Promising less than the context allows is always right.
    pub fn assume() -> Self {
        Self::new()
    }
}

/// Whether the callback of a range may sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blockable {
    /// It may.
    Yes,
    /// It must not: it answers [`WouldBlock`](crate::WouldBlock) instead. The
    /// out-of-memory reaper starts its ranges so.
    No,
}
