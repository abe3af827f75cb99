//! mremap: pages move to another address.
//!
//! Both page table locks are held, in their order. The page leaves its old
//! entry only after every TLB was told, because whoever unmaps the new address
//! frees it without knowing the old one.

use mmu_notifier::Task;
use mmu_protocol::{Event, PageSize, VirtAddr, VirtRange};

use crate::entry::Attr;
use crate::error::Error;
use crate::point::{Operation, Stage};
use crate::space::{AddressSpace, check_range};
use crate::sync::write;

impl AddressSpace {
    /// Moves a range of addresses to `to`.
    ///
    /// When it has returned, no CPU and no device reaches the pages by their
    /// old addresses.
    ///
    /// # Errors
    ///
    /// [`Error::BadRange`], [`Error::NoMapping`] if part of it is not mapped,
    /// [`Error::Overlap`] if something is mapped at the target, and
    /// [`Error::OutOfFrames`]: then nothing has moved.
    pub fn mremap(&self, from: VirtRange, to: VirtAddr, task: &mut Task) -> Result<(), Error> {
        check_range(from)?;
        let end = VirtAddr::new(to.as_u64().saturating_add(from.len()));
        let target = VirtRange::new(to, end).expect("it ends after it starts");
        check_range(target)?;
        let mut vmas = write(&self.vmas);
        if let Some(addr) = vmas.first_hole(from) {
            return Err(Error::NoMapping { addr });
        }
        if target.overlaps(from) || !vmas.overlapping(target).is_empty() {
            return Err(Error::Overlap { range: target });
        }
        for start in from.pages(PageSize::Huge) {
            // The target need not be aligned like the source.
            self.split(start, task)?;
        }
        for start in target.pages(PageSize::Huge) {
            self.install_table(start, task)?;
        }
        let moved = |addr: VirtAddr| to.offset(addr.as_u64() - from.start().as_u64());

        let mut range = self.mm.invalidate_range_start(from, Event::Unmap, task)?;
        // Not earlier: nothing has changed if the range could not start.
        for (part, vma) in vmas.remove(from) {
            vmas.insert(VirtRange::sized(moved(part.start()), part.len()), vma);
        }
        self.reach(Operation::Move, Stage::Started, from.start());
        for old in from.pages(PageSize::Base) {
            let new = moved(old);
            // No table at the source: nothing was ever touched there.
            let Ok(mut pair) = range.lock_ptl_pair(old, new, PageSize::Base) else { continue };
            let source = pair.source(old).expect("the address is in its table and the range");
            let Some(source) = source.present() else { continue };
            let cleared = source.clear_flush();
            self.reach(Operation::Move, Stage::Cleared, old);
            let notified = self.notify_in_time(cleared, Operation::Move);
            let rights = notified.old_entry().rights();
            let page = notified.take();
            let slot = pair.target(new).expect("the address is in its table").vacant();
            slot.expect("nothing is mapped at the target").set(page, Attr::Leaf(rights));
            self.reach(Operation::Move, Stage::Set, old);
        }
        self.reach(Operation::Move, Stage::Unlocked, from.start());
        range.end();
        self.reach(Operation::Move, Stage::Ended, from.start());
        Ok(())
    }
}
