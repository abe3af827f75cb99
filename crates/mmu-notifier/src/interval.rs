//! A mirror of part of the page table, filled by software, that is never stale.
//!
//! A GPU or RDMA driver faults pages in and installs them in a table of its
//! own. Between the two the pages may change. The kernel's answer is a sequence
//! count that the driver has to read, compare under its own lock, and advance
//! in its callback; each of the three has been forgotten in some driver. Here
//! the table and its lock belong to the [`Interval`], and the only way to the
//! table is [`ReadSeq::validate`], which compares under that lock:
//!
//! ```text
//!   seq = interval.read_begin()      waits out a running invalidation
//!   pages = fault them in            no lock
//!   seq.validate()                   locks the table; Err(Retry) if a range
//!     -> Valid                         has started since
//!   valid.install(pages)
//! ```
//!
//! [`Interval::mirror`] is that loop.
//!
//! **INV-SEQUENCE**: the sequence moves under the table's lock, together with
//! the invalidation of the table, and before the range's entries change. So a
//! sequence that is unchanged under the lock means that what was read since is
//! still so, and that a later change will find what is installed now.

use core::fmt;
use core::ops::{Deref, DerefMut};

use mmu_protocol::VirtRange;

use crate::context::Blockable;
use crate::subscriber::{Notifier, RangeInfo, WouldBlock};
use crate::task::Task;

/// The driver's own table.
///
/// # Safety
///
/// INV-MIRROR rests on it: after [`invalidate`](Self::invalidate) of a range no
/// translation of it is left in the table or used, and entries come in by
/// [`install`](Self::install) only.
pub unsafe trait MirrorTable {
    /// What a fill has read, and installs.
    type Pages;

    /// Takes the pages in. Called under the table's lock, with pages that are
    /// still what they were when they were read.
    fn install(&mut self, pages: Self::Pages);

    /// Drops every translation of the range, and waits for the accesses that
    /// use one. Called under the table's lock.
    fn invalidate(&mut self, range: VirtRange);
}

/// The lock around the table: a mutex, of any kind that the driver has.
///
/// # Safety
///
/// INV-EXCLUSION: while a guard exists there is no other.
pub unsafe trait MirrorLock: Send + Sync {
    /// What it guards.
    type Inner;
    /// Holds the lock.
    type Guard<'a>: DerefMut<Target = Self::Inner>
    where
        Self: 'a;

    /// Takes the lock; may sleep.
    fn lock(&self) -> Self::Guard<'_>;

    /// Takes the lock if that is possible without sleeping.
    fn try_lock(&self) -> Option<Self::Guard<'_>>;
}

#[cfg(feature = "std")]
// SAFETY: INV-EXCLUSION is what a mutex does. A holder that panicked left the
// table as it was between two whole operations of ours.
unsafe impl<T: Send> MirrorLock for std::sync::Mutex<T> {
    type Inner = T;
    type Guard<'a>
        = std::sync::MutexGuard<'a, T>
    where
        T: 'a;

    fn lock(&self) -> Self::Guard<'_> {
        std::sync::Mutex::lock(self).unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn try_lock(&self) -> Option<Self::Guard<'_>> {
        match std::sync::Mutex::try_lock(self) {
            Ok(guard) => Some(guard),
            Err(std::sync::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(std::sync::TryLockError::WouldBlock) => None,
        }
    }
}

/// A table together with the sequence that says whether it may be filled.
#[derive(Debug)]
pub struct Sequenced<T> {
    table: T,
    /// Ranges that have started, ever.
    starts: u64,
    /// Ranges that have started and not ended.
    running: u64,
    /// The address space is gone; nothing is installed any more.
    released: bool,
}

impl<T> Sequenced<T> {
    /// An empty table, before any range.
    pub const fn new(table: T) -> Self {
        Sequenced { table, starts: 0, running: 0, released: false }
    }
}

/// A range of addresses that a driver mirrors, and its table.
///
/// Register it as a [`Notifier`]; several intervals of one address space are
/// several subscribers. `Send` and `Sync` if the lock is.
pub struct Interval<L> {
    range: VirtRange,
    state: L,
}

impl<T: MirrorTable, L: MirrorLock<Inner = Sequenced<T>>> Interval<L> {
    /// Mirrors this range with a table behind this lock.
    pub fn new(range: VirtRange, state: L) -> Self {
        Interval { range, state }
    }

    /// The addresses that are mirrored.
    pub fn range(&self) -> VirtRange {
        self.range
    }

    /// Begins to read the page table for a fill. May sleep: it waits until no
    /// range that touches the interval is running.
    ///
    /// `None` once the address space or the registration is gone.
    pub fn read_begin(&self, _may_sleep: &mut Task) -> Option<ReadSeq<'_, L>> {
        loop {
            let state = self.state.lock();
            if state.released {
                return None;
            }
            if state.running == 0 {
                return Some(ReadSeq { interval: self, starts: state.starts });
            }
            drop(state);
            crate::sync::relax();
        }
    }

    /// Fills the mirror: `fault` reads the pages without a lock, they go into
    /// the table, and if a range started in between it all begins anew.
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// What `fault` returns, or that the address space is gone.
    pub fn mirror<E>(
        &self,
        task: &mut Task,
        mut fault: impl FnMut(&mut Task) -> Result<T::Pages, E>,
    ) -> Result<(), MirrorError<E>> {
        loop {
            let sequence = self.read_begin(task).ok_or(MirrorError::Released)?;
            let pages = fault(task).map_err(MirrorError::Fault)?;
            if let Ok(valid) = sequence.validate() {
                valid.install(pages);
                return Ok(());
            }
        }
    }

    /// Uses the table as it is, under its lock.
    pub fn with_table<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        f(&self.state.lock().table)
    }
}

/// Why a mirror was not filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MirrorError<E> {
    /// The address space, or the registration, is gone.
    Released,
    /// The pages could not be read.
    Fault(E),
}

impl<E: fmt::Display> fmt::Display for MirrorError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MirrorError::Released => f.write_str("the mirrored address space is gone"),
            MirrorError::Fault(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for MirrorError<E> {}

/// The sequence as it was when a fill began to read.
///
/// Knows its interval: it cannot be compared with another's.
#[must_use = "validate it before installing what was read"]
pub struct ReadSeq<'i, L> {
    interval: &'i Interval<L>,
    starts: u64,
}

/// A range has started since the fill began: read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry;

impl fmt::Display for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a range has started since the pages were read; read them again")
    }
}

impl core::error::Error for Retry {}

impl<'i, T: MirrorTable, L: MirrorLock<Inner = Sequenced<T>>> ReadSeq<'i, L> {
    /// Locks the table, if what was read since is still so.
    ///
    /// # Errors
    ///
    /// [`Retry`] if a range that touches the interval has started since.
    pub fn validate(self) -> Result<Valid<'i, L>, Retry> {
        let state = self.interval.state.lock();
        if !state.released && state.running == 0 && state.starts == self.starts {
            Ok(Valid { state })
        } else {
            Err(Retry)
        }
    }
}

impl<L> fmt::Debug for ReadSeq<'_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadSeq").field("starts", &self.starts).finish_non_exhaustive()
    }
}

/// The table, locked, and proof that what was read may be installed in it.
pub struct Valid<'i, L: MirrorLock + 'i> {
    state: L::Guard<'i>,
}

impl<T, L: MirrorLock<Inner = Sequenced<T>>> Deref for Valid<'_, L> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.state.table
    }
}

impl<T: MirrorTable, L: MirrorLock<Inner = Sequenced<T>>> Valid<'_, L> {
    /// Puts what was read into the table.
    ///
    /// The table itself is not lent for writing: exchanged with that of another
    /// interval it would miss its invalidations.
    pub fn install(mut self, pages: T::Pages) {
        self.state.table.install(pages);
    }
}

impl<L: MirrorLock> fmt::Debug for Valid<'_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Valid").finish_non_exhaustive()
    }
}

// SAFETY: INV-MIRROR: `range_start` drops the range from the table under its
// lock and moves the sequence; until the matching `range_end` `running` is not
// zero, so nobody gets a `Valid`, which is the only way to the table
// (INV-SEQUENCE). `release` drops everything and sets the flag that ends all fills.
unsafe impl<T: MirrorTable + Send, L: MirrorLock<Inner = Sequenced<T>>> Notifier for Interval<L> {
    fn range_start(&self, info: &RangeInfo) -> Result<(), WouldBlock> {
        if !info.range.overlaps(self.range) {
            return Ok(());
        }
        let mut state = match info.blockable {
            Blockable::Yes => self.state.lock(),
            Blockable::No => self.state.try_lock().ok_or(WouldBlock)?,
        };
        state.running += 1;
        state.starts += 1;
        state.table.invalidate(info.range.intersection(self.range));
        Ok(())
    }

    fn range_end(&self, info: &RangeInfo) {
        if info.range.overlaps(self.range) {
            self.state.lock().running -= 1;
        }
    }

    fn release(&self) {
        let mut state = self.state.lock();
        state.released = true;
        state.table.invalidate(self.range);
    }
}

impl<L> fmt::Debug for Interval<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interval").field("range", &self.range).finish_non_exhaustive()
    }
}
