//! mprotect: a right is taken away now and told at the end, or given at once.

use mmu_notifier::Task;
use mmu_protocol::{Event, PageSize, Rights, VirtRange};

use crate::error::Error;
use crate::point::{Operation, Stage};
use crate::space::{AddressSpace, check_range};
use crate::sync::write;
use crate::vma::Vma;

impl AddressSpace {
    /// Sets the rights of a range.
    ///
    /// When it has returned, no CPU and no device uses a right that was taken
    /// away. A right that was added is found by the next fault.
    ///
    /// # Errors
    ///
    /// [`Error::BadRange`], [`Error::NoMapping`] if part of it is not mapped,
    /// [`Error::OutOfFrames`] if a 2 MiB page cannot be split.
    pub fn mprotect(&self, range: VirtRange, rights: Rights, task: &mut Task) -> Result<(), Error> {
        check_range(range)?;
        let mut vmas = write(&self.vmas);
        if let Some(addr) = vmas.first_hole(range) {
            return Err(Error::NoMapping { addr });
        }
        self.split_edges(range, task)?;
        if rights == Rights::ReadOnly {
            self.write_protect(range, Event::ProtectionVma, Operation::Mprotect, task)?;
        }
        // Last, so that nothing has changed if the range could not start; no
        // fault looks before we release the lock.
        for (part, vma) in vmas.remove(range) {
            vmas.insert(part, Vma { rights, ..vma });
        }
        Ok(())
    }

    /// Takes the write permission from every entry of a range.
    pub(crate) fn write_protect(
        &self,
        range: VirtRange,
        event: Event,
        operation: Operation,
        task: &mut Task,
    ) -> Result<(), Error> {
        let mut change = self.mm.invalidate_range_start(range, event, task)?;
        self.reach(operation, Stage::Started, range.start());
        for start in range.pages(PageSize::Huge) {
            for size in [PageSize::Huge, PageSize::Base] {
                let locked = match size {
                    PageSize::Huge => change.lock_pmd(start),
                    PageSize::Base => change.lock_ptl(start),
                };
                let Ok(mut ptl) = locked else { continue };
                if size == PageSize::Huge {
                    // The lock covers 1 GiB; of that only the entry at hand.
                    if let Ok(slot) = ptl.slot(start)
                        && let Some(mut slot) = slot.present()
                        && slot.entry().is_leaf()
                    {
                        slot.write_protect();
                    }
                    continue;
                }
                let done: Result<(), ()> = ptl.for_each_slot(|slot| {
                    if let Some(mut slot) = slot.present() {
                        slot.write_protect();
                    }
                    Ok(())
                });
                done.expect("protecting a slot does not fail");
            }
        }
        self.reach(operation, Stage::Unlocked, range.start());
        change.end();
        self.reach(operation, Stage::Ended, range.start());
        Ok(())
    }
}
