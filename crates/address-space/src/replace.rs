//! `replace_page`: another page with other contents, as uprobes does.

use mmu_notifier::Task;
use mmu_protocol::{Event, PageSize, VirtAddr, VirtRange};

use crate::entry::Attr;
use crate::error::Error;
use crate::memory::WORDS;
use crate::point::{Operation, Stage};
use crate::space::AddressSpace;
use crate::sync::atomic::Ordering;
use crate::sync::write;
use crate::table::END_OF_ADDRESSES;

impl AddressSpace {
    /// Replaces the page at `addr` by a copy that `edit` has changed: it gets
    /// the old words and returns the new ones.
    ///
    /// The copy is made while the entry is cleared and every TLB knows, so no
    /// write is lost, and readers see the old page or the new one. `edit` runs
    /// under the page table lock: it must not use the address space.
    ///
    /// # Errors
    ///
    /// [`Error::NotPresent`] if there is no 4 KiB page, [`Error::OutOfFrames`].
    pub fn replace_page(
        &self,
        addr: VirtAddr,
        edit: impl FnOnce(&mut [u64; WORDS]),
        task: &mut Task,
    ) -> Result<(), Error> {
        let start = addr.align_down(PageSize::Base);
        let not_present = Error::NotPresent { addr: start };
        if start >= END_OF_ADDRESSES {
            return Err(not_present);
        }
        let _vmas = write(&self.vmas);
        let new = self.memory().alloc(PageSize::Base, self.id())?;
        let page = VirtRange::page(start, PageSize::Base);
        let mut range = self.mm.invalidate_range_start(page, Event::Clear, task)?;
        self.reach(Operation::Replace, Stage::Started, start);
        let mut ptl = range.lock_ptl(start).map_err(|_| not_present)?;
        let slot = ptl.slot(start).expect("the page is the range").present().ok_or(not_present)?;
        let cleared = slot.clear_flush();
        self.reach(Operation::Replace, Stage::Cleared, start);
        let notified = self.notify_in_time(cleared, Operation::Replace);

        let (from, rights) = (notified.page().pfn(), notified.old_entry().rights());
        let word = |pfn, index| self.memory().word(pfn, index as u64 * 8);
        let mut words = std::array::from_fn(|index| word(from, index).load(Ordering::Acquire));
        edit(&mut words);
        for (index, value) in words.into_iter().enumerate() {
            word(new.pfn(), index).store(value, Ordering::Release);
        }

        let old = notified.set(new, Attr::Leaf(rights));
        self.reach(Operation::Replace, Stage::Set, start);
        drop(ptl);
        self.reach(Operation::Replace, Stage::Unlocked, start);
        range.end();
        self.reach(Operation::Replace, Stage::Ended, start);
        drop(old);
        Ok(())
    }
}
