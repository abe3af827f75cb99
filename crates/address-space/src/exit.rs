//! The end of an address space.

use mmu_notifier::Task;
use mmu_protocol::{Event, PageSize};

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
            // Whole tables, also those that a mapping covers only in part: no
            // mapping is left when we are done.
            self.zap(range.widen(PageSize::Huge), Event::Unmap, true, task)?;
        }
        Ok(())
    }
}
