//! fork: the child shares every page, write-protected on both sides.
//!
//! The parent's entries lose their write permission now; its TLBs are told at
//! the end of each mapping's range. Until then a device of the parent may still
//! write to a page that is shared already, which is allowed: the fork has not
//! returned. Write faults wait for the mmap_lock, so nobody copies before.

use mmu_notifier::{InvalidateRange, Task};
use mmu_protocol::{Event, PageSize, Rights, VirtAddr, VirtRange};

use crate::entry::Attr;
use crate::error::Error;
use crate::memory::Frame;
use crate::platform::Kernel;
use crate::point::{Operation, Stage};
use crate::space::AddressSpace;
use crate::sync::{Arc, write};

impl AddressSpace {
    /// A child with the same mappings and the same contents.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfFrames`] if there is none for the child's tables; what the
    /// child had got by then is given back, and the parent goes on.
    pub fn fork(&self, task: &mut Task) -> Result<Arc<Self>, Error> {
        let child = self.sibling()?;
        let vmas = write(&self.vmas);
        let mut result = Ok(());
        for (range, vma) in vmas.all() {
            write(&child.vmas).insert(range, vma);
            result = self.fork_mapping(&child, range, task);
            if result.is_err() {
                break;
            }
        }
        drop(vmas);
        match result {
            Ok(()) => Ok(child),
            Err(error) => {
                child.exit(task)?;
                Err(error)
            }
        }
    }

    fn fork_mapping(
        &self,
        child: &AddressSpace,
        range: VirtRange,
        task: &mut Task,
    ) -> Result<(), Error> {
        let mut change = self.mm.invalidate_range_start(range, Event::ProtectionPage, task)?;
        self.reach(Operation::Fork, Stage::Started, range.start());
        for start in range.pages(PageSize::Huge) {
            let huge = share_huge(&mut change, start);
            if let Some(page) = huge {
                child.adopt_shared(start, PageSize::Huge, [(start, page)], change.task())?;
                continue;
            }
            let pages = share_table(&mut change, start);
            if !pages.is_empty() {
                child.adopt_shared(start, PageSize::Base, pages, change.task())?;
            }
        }
        self.reach(Operation::Fork, Stage::Unlocked, range.start());
        change.end();
        self.reach(Operation::Fork, Stage::Ended, range.start());
        Ok(())
    }

    /// Maps pages that the parent has just write-protected. Nobody else has the
    /// child yet.
    fn adopt_shared(
        &self,
        start: VirtAddr,
        size: PageSize,
        pages: impl IntoIterator<Item = (VirtAddr, Frame)>,
        task: &mut Task,
    ) -> Result<(), Error> {
        self.kernel().tables.grow(start)?;
        if size == PageSize::Base {
            self.install_table(start, task)?;
        }
        let mut ptl = self.mm.lock_ptl(start, size, task).expect("the table was made just now");
        for (addr, page) in pages {
            let slot = ptl.fill(addr).expect("the page is in the table").vacant();
            slot.expect("the child maps nothing yet").set(page, Attr::Leaf(Rights::ReadOnly));
        }
        Ok(())
    }

    /// Makes sure that there is a table of 4 KiB entries for `addr`.
    pub(crate) fn install_table(&self, addr: VirtAddr, task: &mut Task) -> Result<(), Error> {
        self.kernel().tables.grow(addr)?;
        let mut ptl = self.mm.lock_ptl(addr, PageSize::Huge, task).expect("grown just now");
        let slot = ptl.fill(addr.align_down(PageSize::Huge)).expect("the address is in its table");
        if let Some(slot) = slot.vacant() {
            slot.set(self.kernel().tables.new_table(addr, PageSize::Base)?, Attr::Table);
        }
        Ok(())
    }
}

/// Write-protects a 2 MiB page, if there is one, and returns a reference to it.
fn share_huge(change: &mut InvalidateRange<'_, Kernel>, start: VirtAddr) -> Option<Frame> {
    let mut ptl = change.lock_pmd(start).ok()?;
    let mut slot = ptl.slot(start).ok()?.present()?;
    if !slot.entry().is_leaf() {
        return None;
    }
    slot.write_protect();
    Some(slot.with_page(Clone::clone))
}

/// Write-protects the 4 KiB pages of a table and returns a reference to each.
fn share_table(
    change: &mut InvalidateRange<'_, Kernel>,
    start: VirtAddr,
) -> Vec<(VirtAddr, Frame)> {
    let mut pages = Vec::new();
    let Ok(mut ptl) = change.lock_ptl(start) else { return pages };
    let done: Result<(), ()> = ptl.for_each_slot(|slot| {
        if let Some(mut slot) = slot.present() {
            slot.write_protect();
            pages.push((slot.addr(), slot.with_page(Clone::clone)));
        }
        Ok(())
    });
    done.expect("sharing a slot does not fail");
    pages
}
