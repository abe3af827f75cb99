//! 2 MiB pages: splitting one entry into a table, and back.
//!
//! A split changes the shape of the tables and nothing else: the same frames
//! with the same rights. The secondary TLBs may keep their 2 MiB translation
//! until the range ends, because each later change of a 4 KiB entry drops it.
//! A collapse copies, so it is case B for every page it covers, and the table
//! it takes away must have no walker (TABLE).

use std::collections::HashMap;

use mmu_notifier::{PageTableEntry, Task};
use mmu_protocol::{Event, PageSize, Rights, VirtAddr, VirtRange};

use crate::entry::{Attr, Pte};
use crate::error::Error;
use crate::memory::{Frame, Pfn, WORDS, ZERO_PFN};
use crate::point::{Operation, Stage};
use crate::space::AddressSpace;
use crate::sync::{read, write};

impl AddressSpace {
    /// Makes sure that the 2 MiB around `addr` are not one entry.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfFrames`] if there is none for the table.
    pub fn split_huge(&self, addr: VirtAddr, task: &mut Task) -> Result<(), Error> {
        // Nobody takes tables down meanwhile.
        let _vmas = read(&self.vmas);
        self.split(addr, task)
    }

    /// As [`split_huge`](Self::split_huge), for those who hold the mmap_lock.
    pub(crate) fn split(&self, addr: VirtAddr, task: &mut Task) -> Result<(), Error> {
        let start = addr.align_down(PageSize::Huge);
        if !self.is_huge(start, task) {
            return Ok(());
        }
        let table = self.kernel().tables.new_table(start, PageSize::Base)?;
        let whole = VirtRange::page(start, PageSize::Huge);
        let mut range = self.mm.invalidate_range_start(whole, Event::Clear, task)?;
        self.reach(Operation::Split, Stage::Started, start);
        let Ok(mut ptl) = range.lock_pmd(start) else { return Ok(()) };
        let slot = ptl.slot(start).expect("the page is the range").present();
        let Some(slot) = slot.filter(|slot| slot.entry().is_leaf()) else { return Ok(()) };
        let rights = slot.entry().rights();
        let cleared = slot.clear_flush();
        self.reach(Operation::Split, Stage::Cleared, start);
        // SAFETY: INV-SAME-FRAMES: entry i of the table maps frame i of the page
        // with the rights that the 2 MiB entry had, and the table is still ours
        // alone; every `SecondaryTlb` drops a large translation on an
        // invalidation of any byte in it (INV-TOLD).
        unsafe {
            cleared.set_same_frames(|page| {
                self.fill_split(&table, page, rights);
                Pte::table(table.into_pfn())
            });
        }
        self.reach(Operation::Split, Stage::Set, start);
        drop(ptl);
        self.reach(Operation::Split, Stage::Unlocked, start);
        range.end();
        self.reach(Operation::Split, Stage::Ended, start);
        Ok(())
    }

    /// Whether there is a 2 MiB entry. Under the lock: a copy on write clears
    /// the entry for a moment, which does not mean that it is gone.
    fn is_huge(&self, start: VirtAddr, task: &mut Task) -> bool {
        let Ok(mut ptl) = self.mm.lock_ptl(start, PageSize::Huge, task) else { return false };
        let slot = ptl.fill(start).expect("the address is in its own table");
        slot.present().is_some_and(|view| view.entry().is_leaf())
    }

    /// Writes the entries that map each part of `page`. The page has one
    /// reference for each of them afterwards.
    fn fill_split(&self, table: &Frame, page: Frame, rights: Rights) {
        let head = page.pfn();
        for part in 1..WORDS as Pfn {
            let frame = self.memory().get(head + part);
            let entry = Pte::page(frame.into_pfn(), rights);
            self.kernel().replace_entry(table.pfn(), part as usize, entry);
        }
        let entry = Pte::page(page.into_pfn(), rights);
        self.kernel().replace_entry(table.pfn(), 0, entry);
    }

    /// Replaces the 512 pages of a table by one of 2 MiB with the same contents.
    ///
    /// # Errors
    ///
    /// [`Error::NotCollapsible`] unless all 512 pages are present and nobody
    /// else has any of them (the zero page may be among them), and the mapping
    /// covers them; [`Error::OutOfFrames`].
    pub fn collapse(&self, addr: VirtAddr, task: &mut Task) -> Result<(), Error> {
        let start = addr.align_down(PageSize::Huge);
        let refuse = Err(Error::NotCollapsible { addr: start });
        // For writing: nobody faults while the entry is away.
        let vmas = write(&self.vmas);
        let Some((mapped, vma)) = vmas.find(addr) else { return Err(Error::NoMapping { addr }) };
        let whole = VirtRange::page(start, PageSize::Huge);
        if !mapped.covers(whole) {
            return refuse;
        }
        let new = self.memory().alloc(PageSize::Huge, self.id())?;
        let mut range = self.mm.invalidate_range_start(whole, Event::Clear, task)?;
        self.reach(Operation::Collapse, Stage::Started, start);
        let Ok(mut ptl) = range.lock_pmd(start) else { return refuse };
        let Some(slot) = ptl.slot(start).expect("the page is the range").present() else {
            return refuse;
        };
        let table = slot.entry();
        if table.is_leaf() || !self.is_collapsible(table.pfn()) {
            return refuse;
        }
        let cleared = slot.clear_flush();
        self.reach(Operation::Collapse, Stage::Cleared, start);
        // COPY: after this nobody writes to the pages; TABLE: nobody walks here.
        let notified = self.notify_in_time(cleared, Operation::Collapse);
        let mut pages = Vec::with_capacity(WORDS);
        for index in 0..WORDS {
            let entry = self.kernel().replace_entry(table.pfn(), index, Pte::EMPTY);
            // SAFETY: INV-OWNED: the entry was taken out of the table just now.
            let page = unsafe { self.memory().adopt(entry.pfn()) };
            self.memory().copy(page.pfn(), new.pfn() + index as Pfn, PageSize::Base);
            pages.push(page);
        }
        let old_table = notified.set(new, Attr::Leaf(vma.rights));
        self.reach(Operation::Collapse, Stage::Set, start);
        drop(ptl);
        self.reach(Operation::Collapse, Stage::Unlocked, start);
        range.end();
        self.reach(Operation::Collapse, Stage::Ended, start);
        drop((old_table, pages));
        Ok(())
    }

    /// Whether every entry of the table is present and nothing but the table
    /// refers to what they map.
    fn is_collapsible(&self, table: Pfn) -> bool {
        let memory = self.memory();
        // By page, because the parts of a 2 MiB page that was split are counted
        // together.
        let mut entries: HashMap<Pfn, u32> = HashMap::new();
        for index in 0..WORDS {
            let entry = self.kernel().tables.load(table, index);
            if !entry.is_present() || memory.is_ksm(entry.pfn()) {
                return false;
            }
            if entry.pfn() != ZERO_PFN {
                *entries.entry(memory.head(entry.pfn())).or_default() += 1;
            }
        }
        entries.into_iter().all(|(page, entries)| memory.references(page) == entries)
    }
}
