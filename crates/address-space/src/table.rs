//! The radix tree of page tables: three levels of 512 entries, 512 GiB.
//!
//! ```text
//!   address   38      30 29      21 20      12 11        0
//!             +---------+----------+----------+-----------+
//!             |  root   |   pmd    |   pte    |  offset   |
//!             +---------+----------+----------+-----------+
//! ```
//!
//! Each table is a frame with a lock of its own (split page table locks). The
//! root and its pointers are made once and stay until the address space goes.

use mmu_notifier::{Locked, PageTableEntry, PtlError};
use mmu_protocol::{MmId, PageSize, VirtAddr, VirtRange};

use crate::entry::Pte;
use crate::memory::{Frame, Memory, OutOfFrames, Pfn, WORDS};
use crate::sync::atomic::Ordering;
use crate::sync::{Arc, Mutex, MutexGuard, lock};

/// First address that the tables cannot map.
pub const END_OF_ADDRESSES: VirtAddr = VirtAddr::new(1 << 39);

/// What one entry of the root maps.
const ROOT_SHIFT: u32 = PageSize::Huge.shift() + 9;

/// The tables of one address space.
pub(crate) struct Tables {
    memory: Arc<Memory>,
    mm: MmId,
    root: Frame,
    /// Serialises making the tables that the root points to.
    growing: Mutex<()>,
}

/// Which addresses the table that holds this entry maps, and the entry's place in it.
pub(crate) fn index(addr: VirtAddr, size: PageSize) -> usize {
    (addr.as_u64() >> size.shift()) as usize % WORDS
}

/// The addresses of the table of entries of this size around `addr`.
pub(crate) fn span(addr: VirtAddr, size: PageSize) -> VirtRange {
    let bytes = size.bytes() * WORDS as u64;
    VirtRange::sized(VirtAddr::new(addr.as_u64() & !(bytes - 1)), bytes)
}

impl Tables {
    pub(crate) fn new(memory: Arc<Memory>, mm: MmId) -> Result<Self, OutOfFrames> {
        let root = memory.alloc_zeroed(PageSize::Base, mm)?;
        Ok(Tables { memory, mm, root, growing: Mutex::new(()) })
    }

    pub(crate) fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    pub(crate) fn mm(&self) -> MmId {
        self.mm
    }

    pub(crate) fn load(&self, table: Pfn, index: usize) -> Pte {
        Pte::from_bits(self.memory.word(table, index as u64 * 8).load(Ordering::Acquire))
    }

    fn pmd_table(&self, addr: VirtAddr) -> Option<Pfn> {
        if addr >= END_OF_ADDRESSES {
            return None;
        }
        let entry = self.load(self.root.pfn(), (addr.as_u64() >> ROOT_SHIFT) as usize % WORDS);
        entry.is_present().then(|| entry.pfn())
    }

    /// The table whose entries of this size map `addr`.
    pub(crate) fn find(&self, addr: VirtAddr, size: PageSize) -> Option<Pfn> {
        let pmd = self.pmd_table(addr)?;
        match size {
            PageSize::Huge => Some(pmd),
            PageSize::Base => {
                let entry = self.load(pmd, index(addr, PageSize::Huge));
                (entry.is_present() && !entry.is_leaf()).then(|| entry.pfn())
            }
        }
    }

    /// Makes sure that there is a table of 2 MiB entries for `addr`. A table of
    /// 4 KiB entries is an entry of that one and installed like any other.
    pub(crate) fn grow(&self, addr: VirtAddr) -> Result<(), OutOfFrames> {
        if self.pmd_table(addr).is_some() {
            return Ok(());
        }
        let _growing = lock(&self.growing);
        if self.pmd_table(addr).is_some() {
            return Ok(());
        }
        let table = self.new_table(addr, PageSize::Huge)?;
        let place = (addr.as_u64() >> ROOT_SHIFT) % WORDS as u64;
        let entry = Pte::table(table.into_pfn());
        self.memory.word(self.root.pfn(), place * 8).store(entry.bits(), Ordering::Release);
        Ok(())
    }

    /// An empty table of entries of this size for the addresses around `addr`.
    pub(crate) fn new_table(&self, addr: VirtAddr, size: PageSize) -> Result<Frame, OutOfFrames> {
        let table = self.memory.alloc_zeroed(PageSize::Base, self.mm)?;
        self.memory.set_table_base(table.pfn(), span(addr, size).start());
        Ok(table)
    }

    pub(crate) fn lock(
        &self,
        addr: VirtAddr,
        size: PageSize,
    ) -> Result<Locked<MutexGuard<'_, ()>, Pfn>, PtlError> {
        loop {
            let table = self.find(addr, size).ok_or(PtlError::NoTable { addr, size })?;
            let ptl = lock(self.memory.ptl(table));
            // The table may have been freed before its lock was ours, and the
            // frame be another table by now.
            if self.find(addr, size) == Some(table) {
                return Ok(Locked { ptl, table, span: span(addr, size) });
            }
        }
    }

    /// What hardware finds for `addr`: the leaf entry, and its size.
    ///
    /// Takes no lock; reads each level as it is now.
    pub(crate) fn walk(&self, addr: VirtAddr) -> Option<(Pte, PageSize, Pfn, usize)> {
        let pmd = self.pmd_table(addr)?;
        let at = index(addr, PageSize::Huge);
        let entry = self.load(pmd, at);
        if !entry.is_present() {
            return None;
        }
        if entry.is_leaf() {
            return Some((entry, PageSize::Huge, pmd, at));
        }
        let at = index(addr, PageSize::Base);
        let table = entry.pfn();
        if table >= self.memory.frames() as Pfn {
            // Only a walker that reads a freed table gets here: hardware would
            // find no memory at that address.
            return None;
        }
        let entry = self.load(table, at);
        entry.is_leaf().then_some((entry, PageSize::Base, table, at))
    }

    /// The start of every 2 MiB that has an entry, lowest first.
    pub(crate) fn for_each_upper_entry(&self, mut each: impl FnMut(VirtAddr)) {
        self.for_each_entry(|addr, size, _| {
            if size == PageSize::Huge {
                each(addr);
            }
        });
    }

    /// Every table and every leaf that can be reached, for teardown and checks.
    pub(crate) fn for_each_entry(&self, mut each: impl FnMut(VirtAddr, PageSize, Pte)) {
        for root_index in 0..WORDS {
            let pointer = self.load(self.root.pfn(), root_index);
            if !pointer.is_present() {
                continue;
            }
            for pmd_index in 0..WORDS {
                let entry = self.load(pointer.pfn(), pmd_index);
                if !entry.is_present() {
                    continue;
                }
                let addr = ((root_index * WORDS + pmd_index) as u64) << PageSize::Huge.shift();
                each(VirtAddr::new(addr), PageSize::Huge, entry);
                if entry.is_leaf() {
                    continue;
                }
                for pte_index in 0..WORDS {
                    let leaf = self.load(entry.pfn(), pte_index);
                    if leaf.is_present() {
                        let addr = addr + ((pte_index as u64) << PageSize::Base.shift());
                        each(VirtAddr::new(addr), PageSize::Base, leaf);
                    }
                }
            }
        }
    }

    /// The tables that the root points to.
    fn upper_tables(&self) -> impl Iterator<Item = Pfn> + '_ {
        (0..WORDS).filter_map(|index| {
            let entry = self.load(self.root.pfn(), index);
            entry.is_present().then(|| entry.pfn())
        })
    }

    /// The root and the tables that it points to: what is left when every entry
    /// was taken down.
    pub(crate) fn for_each_upper(&self, each: impl FnMut(Pfn)) {
        std::iter::once(self.root.pfn()).chain(self.upper_tables()).for_each(each);
    }
}

impl Drop for Tables {
    fn drop(&mut self) {
        let mut entries = 0;
        self.for_each_entry(|_, _, _| entries += 1);
        if entries != 0 {
            // The address space was dropped without `exit`: what its entries
            // own leaks, tables included. Nobody was told, so nothing may be freed.
            let root = std::mem::replace(&mut self.root, self.memory.zero_page());
            std::mem::forget(root);
            return;
        }
        for table in self.upper_tables() {
            // SAFETY: INV-OWNED: the root's entry owns the table and is read for
            // the last time: nobody walks any more.
            drop(unsafe { self.memory.adopt(table) });
        }
    }
}
