//! A page table of four levels in memory: what misses walk.
//!
//! The same table feeds our TLB, refills vm-memory's, and is what the
//! *no cache, walk under a lock* peer walks on every access.

use std::sync::atomic::{AtomicU64, Ordering};

use secondary_tlb::protocol::{PageSize, Rights, VirtAddr};
use secondary_tlb::{PageTableWalk, Translation};

const LEVELS: u32 = 4;
const INDEX_BITS: u32 = 9;

struct Table {
    entries: [AtomicU64; 512],
}

/// The table. Entry: number of the next table or of the frame, plus one.
pub struct Radix {
    tables: Vec<Table>,
}

impl Radix {
    /// Maps the pages `first..first + frames.len()` to these frames.
    pub fn new(first: u64, frames: &[u64]) -> Self {
        let mut radix = Radix { tables: vec![Table::new()] };
        for (page, &frame) in (first..).zip(frames) {
            let mut table = 0;
            for level in (1..LEVELS).rev() {
                let index = index(page, level);
                let next = radix.tables[table].entries[index].load(Ordering::Relaxed);
                table = if next == 0 {
                    radix.tables.push(Table::new());
                    let new = radix.tables.len() - 1;
                    radix.tables[table].entries[index].store(new as u64 + 1, Ordering::Relaxed);
                    new
                } else {
                    next as usize - 1
                };
            }
            radix.tables[table].entries[index(page, 0)].store(frame + 1, Ordering::Relaxed);
        }
        radix
    }

    /// The frame of a page, if it has one.
    #[inline]
    pub fn frame(&self, page: u64) -> Option<u64> {
        let mut found = 0;
        for level in (0..LEVELS).rev() {
            let entry =
                self.tables[found as usize].entries[index(page, level)].load(Ordering::Acquire);
            found = entry.checked_sub(1)?;
        }
        Some(found)
    }
}

fn index(page: u64, level: u32) -> usize {
    (page >> (level * INDEX_BITS)) as usize % 512
}

impl Table {
    fn new() -> Self {
        Table { entries: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

impl PageTableWalk for Radix {
    fn walk(&self, addr: VirtAddr) -> Option<Translation> {
        let pfn = self.frame(addr.as_u64() >> PageSize::Base.shift())?;
        Some(Translation { pfn, size: PageSize::Base, rights: Rights::ReadWrite })
    }
}
