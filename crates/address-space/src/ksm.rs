//! KSM: pages with the same contents become one.
//!
//! Write-protect, compare, replace. The founding document's exemption: both
//! steps may leave the notification to `range_end`, even if the thread is
//! preempted between releasing the lock and reaching it. The compare may not
//! come before the write protection was told, and does not: the library settles
//! the entry under the lock first.

use std::collections::HashMap;
use std::fmt;

use mmu_notifier::{ReplaceRefusal, Task};
use mmu_protocol::{Event, PageSize, Rights, VirtAddr, VirtRange};

use crate::entry::Attr;
use crate::error::Error;
use crate::memory::{Frame, Memory, Pfn, ZERO_PFN};
use crate::point::{Operation, Stage};
use crate::space::AddressSpace;
use crate::sync::{Arc, Mutex, lock, read};
use crate::table::END_OF_ADDRESSES;

/// The shared pages of a machine.
///
/// Holds one reference to each. One that nobody maps any more is let go when
/// the next one is added.
pub struct Ksm {
    memory: Arc<Memory>,
    pages: Mutex<Vec<Frame>>,
}

/// What became of a page that KSM looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// It is mapped to a shared page now.
    Merged,
    /// It is a shared page from now on.
    Shared,
    /// It was one already, or the zero page.
    Unchanged,
}

impl Ksm {
    /// No shared pages yet.
    pub fn new(memory: &Arc<Memory>) -> Self {
        Ksm { memory: memory.clone(), pages: Mutex::new(Vec::new()) }
    }

    /// Shared pages there are.
    pub fn shared(&self) -> usize {
        lock(&self.pages).len()
    }

    /// The frames of the shared pages.
    pub(crate) fn frames(&self) -> Vec<u64> {
        lock(&self.pages).iter().map(Frame::pfn).collect()
    }

    /// Adds a page that was marked as shared.
    fn add(&self, page: Frame) {
        let mut pages = lock(&self.pages);
        // The parts of a 2 MiB page that was split are counted together.
        let mut ours: HashMap<Pfn, u32> = HashMap::new();
        for page in pages.iter() {
            *ours.entry(self.memory.head(page.pfn())).or_default() += 1;
        }
        // Only `candidate` makes references from ours, under the same lock.
        let is_mapped = |page: &Frame| page.references() > ours[&self.memory.head(page.pfn())];
        let all = std::mem::take(&mut *pages);
        let (mapped, unmapped): (Vec<_>, Vec<_>) = all.into_iter().partition(is_mapped);
        *pages = mapped;
        // Two address spaces may have shared the same page at the same time.
        if pages.iter().all(|known| known.pfn() != page.pfn()) {
            pages.push(page);
        }
        drop(pages);
        // Without the lock: freeing a page tells observers.
        drop(unmapped);
    }

    /// A shared page that looks like this frame; only a hint until it is
    /// compared under the lock.
    fn candidate(&self, pfn: u64) -> Option<Frame> {
        let pages = lock(&self.pages);
        pages.iter().find(|page| self.memory.same(page.pfn(), pfn, PageSize::Base)).cloned()
    }
}

impl fmt::Debug for Ksm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ksm").field("shared", &self.shared()).finish_non_exhaustive()
    }
}

impl AddressSpace {
    /// Lets KSM look at the page at `addr`: shares it if a shared page has the
    /// same contents, and otherwise makes it one.
    ///
    /// # Errors
    ///
    /// [`Error::NotPresent`] if there is no 4 KiB page.
    pub fn ksm_scan(&self, addr: VirtAddr, ksm: &Ksm, task: &mut Task) -> Result<Merge, Error> {
        let start = addr.align_down(PageSize::Base);
        let not_present = Error::NotPresent { addr: start };
        if start >= END_OF_ADDRESSES {
            return Err(not_present);
        }
        let _vmas = read(&self.vmas);
        let page = VirtRange::page(start, PageSize::Base);
        self.write_protect(page, Event::Clear, Operation::KsmProtect, task)?;

        // Under the lock: a copy on write clears the entry for a moment.
        let entry = {
            let locked = self.mm.lock_ptl(start, PageSize::Base, task);
            let mut ptl = locked.map_err(|_| not_present)?;
            let slot = ptl.fill(start).expect("the address is in its own table");
            slot.present().ok_or(not_present)?.entry()
        };
        if entry.pfn() == ZERO_PFN || self.memory().is_ksm(entry.pfn()) {
            return Ok(Merge::Unchanged);
        }
        let candidate = ksm.candidate(entry.pfn());
        self.reach(Operation::KsmReplace, Stage::Copied, start);
        match candidate {
            Some(shared) => self.ksm_replace(start, shared, task),
            None => self.ksm_share(start, ksm, task),
        }
    }

    /// Maps the shared page in place of one with the same contents.
    fn ksm_replace(&self, start: VirtAddr, shared: Frame, task: &mut Task) -> Result<Merge, Error> {
        let operation = Operation::KsmReplace;
        let page = VirtRange::page(start, PageSize::Base);
        let mut range = self.mm.invalidate_range_start(page, Event::Clear, task)?;
        self.reach(operation, Stage::Started, start);
        let not_present = Error::NotPresent { addr: start };
        let mut ptl = range.lock_ptl(start).map_err(|_| not_present)?;
        let slot = ptl.slot(start).expect("the page is the range").present().ok_or(not_present)?;
        let merged = match slot.replace_same_content(shared, Attr::Leaf(Rights::ReadOnly)) {
            Ok(()) => Merge::Merged,
            Err(error) => {
                // Somebody wrote to the page since it was protected.
                debug_assert!(matches!(
                    error.reason,
                    ReplaceRefusal::StillWritable | ReplaceRefusal::NotSame
                ));
                Merge::Unchanged
            }
        };
        self.reach(operation, Stage::Set, start);
        drop(ptl);
        self.reach(operation, Stage::Unlocked, start);
        range.end();
        self.reach(operation, Stage::Ended, start);
        Ok(merged)
    }

    /// Makes the page a shared one, unless somebody wrote to it meanwhile.
    fn ksm_share(&self, start: VirtAddr, ksm: &Ksm, task: &mut Task) -> Result<Merge, Error> {
        let not_present = Error::NotPresent { addr: start };
        let locked = self.mm.lock_ptl(start, PageSize::Base, task);
        let mut ptl = locked.map_err(|_| not_present)?;
        let slot = ptl.fill(start).expect("the address is in its own table");
        let mut view = slot.present().ok_or(not_present)?;
        if view.settle().is_err() {
            return Ok(Merge::Unchanged);
        }
        let page = view.with_page(Clone::clone);
        if page.pfn() == ZERO_PFN {
            return Ok(Merge::Unchanged);
        }
        self.memory().mark_ksm(&page);
        drop(ptl);
        ksm.add(page);
        Ok(Merge::Shared)
    }
}
