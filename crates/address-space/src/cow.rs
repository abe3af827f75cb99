//! Copy on write: case B of the founding document.
//!
//! ```text
//!   copy the page            no lock; nobody can write to it (settled)
//!   range_start
//!   take the PTL
//!     the entry is still the one that was copied
//!     clear, flush the CPU TLBs
//!     notify                 <- here, or a device reads the old page after
//!     set the new page          somebody has written to the new one
//!   release the PTL
//!   range_end
//!   drop the old page
//! ```

use mmu_notifier::{ClearedPte, NotifiedPte, Settled, Task};
use mmu_protocol::{Event, PageSize, Rights, VirtAddr, VirtRange};

use crate::entry::{Attr, Pte};
use crate::error::Error;
use crate::fault::same_page;
use crate::memory::{Frame, ZERO_PFN};
use crate::platform::Kernel;
use crate::point::{Operation, Stage};
use crate::policy::WrongPolicy;
use crate::space::AddressSpace;

/// A page that a write fault found shared.
pub(crate) struct CopyJob {
    pub(crate) addr: VirtAddr,
    pub(crate) size: PageSize,
    /// A reference of our own to the page.
    pub(crate) page: Frame,
    pub(crate) entry: Pte,
    /// That nobody can write to it (missing only under a wrong policy).
    pub(crate) settled: Option<Settled<Pte>>,
}

impl AddressSpace {
    /// Gives the address space a page of its own in place of a shared one.
    ///
    /// Does nothing if the entry has changed meanwhile: the fault looks again.
    pub(crate) fn copy_on_write(&self, job: CopyJob, task: &mut Task) -> Result<(), Error> {
        let CopyJob { addr, size, page, entry, settled } = job;
        let operation = if page.pfn() == ZERO_PFN { Operation::ZeroPage } else { Operation::Cow };
        let new = match self.memory().alloc(size, self.id()) {
            Ok(new) => new,
            Err(_) if size == PageSize::Huge => return self.split(addr, task),
            Err(error) => return Err(error.into()),
        };
        self.memory().copy(page.pfn(), new.pfn(), size);
        self.reach(operation, Stage::Copied, addr);

        let mut range =
            self.mm.invalidate_range_start(VirtRange::page(addr, size), Event::Clear, task)?;
        self.reach(operation, Stage::Started, addr);
        // Without a table there is no entry to replace either.
        let Ok(mut ptl) = range.lock(addr, size) else { return Ok(()) };
        self.reach(operation, Stage::Locked, addr);
        let slot = ptl.slot(addr).expect("the page is the range").present();
        let still = slot.filter(|slot| match &settled {
            Some(settled) => slot.is_still(settled),
            None => same_page(slot.entry(), entry),
        });
        let Some(slot) = still else { return Ok(()) };
        let cleared = slot.clear_flush();
        self.reach(operation, Stage::Cleared, addr);
        let notified = self.notify_in_time(cleared, operation);
        let old = notified.set(new, Attr::Leaf(Rights::ReadWrite));
        self.reach(operation, Stage::Set, addr);
        drop(ptl);
        self.reach(operation, Stage::Unlocked, addr);
        range.end();
        self.reach(operation, Stage::Ended, addr);
        drop((old, page));
        Ok(())
    }

    /// Tells the secondary TLBs between clear and set, or under the wrong
    /// policy puts it off.
    pub(crate) fn notify_in_time<'s>(
        &self,
        cleared: ClearedPte<'s, Kernel>,
        operation: Operation,
    ) -> NotifiedPte<'s, Kernel> {
        if self.is_wrong(WrongPolicy::LateNotify) {
            // SAFETY: INV-ASSUMED: whoever chose this policy promised that only
            // the outcome of a demonstration depends on it.
            return unsafe { cleared.assume_notified("the late policy, asked for by name") };
        }
        let addr = cleared.addr();
        let notified = cleared.notify();
        self.reach(operation, Stage::Notified, addr);
        notified
    }
}
