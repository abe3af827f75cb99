//! Taking pages away: munmap and DONTNEED, with a gather.
//!
//! Entries are cleared table by table and their pages wait in the range. When
//! the gather is full, and at the end, the range flushes, tells, and only then
//! frees: case A. An entry that was cleared and not yet flushed is pending, so
//! a fault that meets it tells first; that closes the window in which a new
//! page becomes usable while old translations live.

use mmu_notifier::{InvalidateRange, Slot, Task};
use mmu_protocol::{Event, PageSize, VirtAddr, VirtRange};

use crate::error::Error;
use crate::platform::Kernel;
use crate::point::{Operation, Stage};
use crate::policy::WrongPolicy;
use crate::space::{AddressSpace, check_range};
use crate::sync::{read, write};

/// Tables whose pages wait together before they are flushed.
const GATHER_TABLES: usize = 4;

impl AddressSpace {
    /// Removes the mappings of a range and frees what they mapped.
    ///
    /// When it has returned, no CPU and no device reaches the pages.
    ///
    /// # Errors
    ///
    /// [`Error::BadRange`]; [`Error::OutOfFrames`] if a 2 MiB page that lies in
    /// the range only partly cannot be split.
    pub fn munmap(&self, range: VirtRange, task: &mut Task) -> Result<(), Error> {
        check_range(range)?;
        let mut vmas = write(&self.vmas);
        self.split_edges(range, task)?;
        for (part, _) in vmas.overlapping(range) {
            self.zap(part, Event::Unmap, true, task)?;
        }
        // Last, so that nothing has changed if the range could not start.
        vmas.remove(range);
        Ok(())
    }

    /// Frees the pages of a range; its addresses read as zero afterwards.
    ///
    /// # Errors
    ///
    /// As for [`munmap`](Self::munmap), and [`Error::NoMapping`] if part of the
    /// range is not mapped.
    pub fn dontneed(&self, range: VirtRange, task: &mut Task) -> Result<(), Error> {
        check_range(range)?;
        let vmas = read(&self.vmas);
        if let Some(addr) = vmas.first_hole(range) {
            return Err(Error::NoMapping { addr });
        }
        self.split_edges(range, task)?;
        self.zap(range, Event::Clear, false, task)
    }

    /// Clears every entry of the range. With `tables` the tables that lie in
    /// it as a whole are freed too; then nobody may fault here meanwhile.
    pub(crate) fn zap(
        &self,
        range: VirtRange,
        event: Event,
        tables: bool,
        task: &mut Task,
    ) -> Result<(), Error> {
        let operation = Operation::Zap;
        let mut change = self.mm.invalidate_range_start(range, event, task)?;
        self.reach(operation, Stage::Started, range.start());
        let mut gathered = 0;
        for start in range.pages(PageSize::Huge) {
            let here = VirtRange::page(start, PageSize::Huge).intersection(range);
            self.zap_table(&mut change, start, here, tables);
            gathered += 1;
            if gathered % GATHER_TABLES == 0 {
                change.flush();
            }
        }
        self.reach(operation, Stage::Unlocked, range.start());
        change.end();
        self.reach(operation, Stage::Ended, range.start());
        Ok(())
    }

    /// What lies in the 2 MiB from `start` on, as far as it lies in `here`.
    fn zap_table(
        &self,
        change: &mut InvalidateRange<'_, Kernel>,
        start: VirtAddr,
        here: VirtRange,
        tables: bool,
    ) {
        let whole = here.len() == PageSize::Huge.bytes();
        // The upper level first: a split may turn its entry into a table at any
        // time, and never back while we hold the mmap_lock.
        if whole && let Ok(mut ptl) = change.lock_pmd(start) {
            match ptl.slot(start).expect("the 2 MiB lie in the range") {
                // A table.
                Slot::Present(slot) if !slot.entry().is_leaf() => {}
                slot => return self.zap_slot(slot),
            }
        }
        if let Ok(mut ptl) = change.lock_ptl(start) {
            let done: Result<(), ()> = ptl.for_each_slot(|slot| {
                self.zap_slot(slot);
                Ok(())
            });
            done.expect("zapping a slot does not fail");
        }
        if !(whole && tables) {
            return;
        }
        let Ok(mut ptl) = change.lock_pmd(start) else { return };
        let slot = ptl.slot(start).expect("the 2 MiB lie in the range");
        if let Some(slot) = slot.present() {
            // TABLE: no walker reads the table when its frame is freed. The
            // invalidation of the whole 2 MiB also pays for its entries.
            drop(slot.clear_flush_notify().take());
        }
    }

    fn zap_slot(&self, slot: Slot<'_, Kernel>) {
        let slot = match slot {
            Slot::Present(slot) => slot,
            Slot::Pending(slot) => {
                // Somebody else cleared it and has yet to tell. Our caller may
                // rely on our return, so we tell (RETURN).
                slot.notify();
                return;
            }
            Slot::Empty(_) => return,
        };
        if self.is_wrong(WrongPolicy::EarlyFree) {
            let cleared = slot.clear_flush();
            // SAFETY: INV-ASSUMED: whoever chose this policy promised that only
            // the outcome of a demonstration depends on it.
            let page = unsafe { cleared.assume_notified("the early free, asked for by name") };
            drop(page.take());
            return;
        }
        slot.zap();
    }

    /// Splits the 2 MiB pages that lie in the range only partly.
    pub(crate) fn split_edges(&self, range: VirtRange, task: &mut Task) -> Result<(), Error> {
        for edge in [range.start(), range.end()] {
            if !edge.is_aligned(PageSize::Huge) {
                self.split(edge.align_down(PageSize::Huge), task)?;
            }
        }
        Ok(())
    }
}
