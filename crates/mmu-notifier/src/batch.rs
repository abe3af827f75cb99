//! Many entries, one flush, one notification.
//!
//! The tokens are lent to a closure one by one: an iterator that handed them
//! out could outlive the lock.

use core::fmt;
use core::mem::MaybeUninit;

use mmu_protocol::{PageSize, VirtAddr, VirtRange};

use crate::error::BatchError;
use crate::platform::Platform;
use crate::ptl::Entries;
use crate::range::RangeState;
use crate::slot::Slot;
use crate::token::{NotifiedPte, Taken};

/// Cleared entries of one table that are flushed and notified together.
///
/// Holds at most `N`, in place. A batch that is dropped flushes, notifies and
/// releases its pages; one that is forgotten leaks them, and its entries stay
/// pending until the range has told its whole extent.
#[must_use = "flush_notify lends the pages; dropping the batch releases them"]
pub struct Batch<'b, P: Platform, const N: usize> {
    range: &'b RangeState<'b, P>,
    entries: Entries<P>,
    /// `items[next..len]` are initialised.
    items: [MaybeUninit<Taken<'b, P>>; N],
    next: usize,
    len: usize,
    /// What the TLBs are still to be told.
    owed: VirtRange,
}

impl<'b, P: Platform, const N: usize> Batch<'b, P, N> {
    pub(crate) fn new(range: &'b RangeState<'b, P>, entries: Entries<P>) -> Self {
        Batch {
            range,
            entries,
            items: [const { MaybeUninit::uninit() }; N],
            next: 0,
            len: 0,
            owed: VirtRange::EMPTY,
        }
    }

    /// How many entries are in it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Clears an entry and keeps its page.
    ///
    /// # Errors
    ///
    /// [`BatchError::Full`] if it holds `N` already, [`BatchError::NotPresent`]
    /// if there is nothing to clear, [`BatchError::Ptl`] if the address does
    /// not fit. This call has changed nothing then; what is
    /// in the batch already is completed when it is flushed or dropped.
    pub fn clear(&mut self, addr: VirtAddr) -> Result<(), BatchError> {
        if self.len == N {
            return Err(BatchError::Full);
        }
        let entry = self.entries.at(self.range.snapshot, addr)?;
        let page = VirtRange::page(addr, self.entries.size);
        if !self.range.info.range.covers(page) {
            let range = self.range.info.range;
            return Err(crate::error::PtlError::OutsideRange { addr, range }.into());
        }
        if Slot::new(entry, self.range).present().is_none() {
            return Err(BatchError::NotPresent);
        }
        let taken = Taken::clear(entry, self.range, true);
        if !taken.told {
            self.owed = self.owed.union(page);
        }
        self.items[self.len].write(taken);
        self.len += 1;
        Ok(())
    }

    /// Flushes the CPU TLBs once, tells the secondary ones once, and lends
    /// each entry to `each`, in the order in which they were cleared.
    pub fn flush_notify(mut self, mut each: impl FnMut(NotifiedPte<'_, P>)) {
        self.tell();
        while let Some(notified) = self.pop() {
            each(notified);
        }
    }

    fn tell(&mut self) {
        if !self.owed.is_empty() {
            self.range.snapshot.flush_and_notify(self.owed, self.size());
            self.owed = VirtRange::EMPTY;
        }
    }

    fn size(&self) -> PageSize {
        self.entries.size
    }

    /// The next entry. Only after [`tell`](Self::tell).
    fn pop(&mut self) -> Option<NotifiedPte<'b, P>> {
        if self.next == self.len {
            return None;
        }
        let place = self.next;
        self.next += 1;
        // SAFETY: `next..len` is initialised, and this place has just left it.
        Some(NotifiedPte::new(unsafe { self.items[place].assume_init_read() }))
    }
}

impl<P: Platform, const N: usize> Drop for Batch<'_, P, N> {
    fn drop(&mut self) {
        self.tell();
        while let Some(notified) = self.pop() {
            drop(notified);
        }
    }
}

impl<P: Platform, const N: usize> fmt::Debug for Batch<'_, P, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("len", &self.len).finish_non_exhaustive()
    }
}
