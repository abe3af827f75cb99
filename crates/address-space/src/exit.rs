//! The end of an address space.

use mmu_notifier::Task;
use mmu_protocol::{Event, PageSize, VirtRange};

use crate::error::Error;
use crate::space::AddressSpace;
use crate::sync::write;

impl AddressSpace {
    /// Releases every device and mirror, then frees everything.
    ///
    /// The devices stop first (each subscriber's `release`), so the teardown
    /// tells nobody. Calling it again does nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Nested`] if this task has a range open.
    pub fn exit(&self, task: &mut Task) -> Result<(), Error> {
        self.mm.release(task)?;
        let mut vmas = write(&self.vmas);
        for (range, _) in vmas.all() {
            vmas.remove(range);
        }
        // Not the mappings but the tables: a table that munmap or mremap left
        // behind has no mapping any more.
        let mut runs: Vec<VirtRange> = Vec::new();
        self.kernel().tables.for_each_upper_entry(|addr| {
            let here = VirtRange::page(addr, PageSize::Huge);
            match runs.last_mut() {
                Some(run) if run.end() == addr => *run = run.union(here),
                _ => runs.push(here),
            }
        });
        for run in runs {
            self.zap(run, Event::Unmap, true, task)?;
        }
        Ok(())
    }
}
