//! A page table of atomics that hardware may walk at any time: a few 2 MiB
//! blocks, each a huge entry or 512 small ones.
#![allow(dead_code, unreachable_pub)] // Each test uses its part of it.

use std::sync::atomic::{AtomicU64, Ordering};

use secondary_tlb::protocol::{PageSize, Rights, VirtAddr, VirtRange};
use secondary_tlb::{PageTableWalk, Translation};

pub struct PageTable {
    base: Vec<AtomicU64>,
    huge: Vec<AtomicU64>,
}

pub fn rw(pfn: u64) -> Option<Translation> {
    Some(Translation { pfn, size: PageSize::Base, rights: Rights::ReadWrite })
}

pub fn ro(pfn: u64) -> Option<Translation> {
    Some(Translation { pfn, size: PageSize::Base, rights: Rights::ReadOnly })
}

pub fn huge(pfn: u64) -> Option<Translation> {
    Some(Translation { pfn, size: PageSize::Huge, rights: Rights::ReadWrite })
}

/// The address of a 4 KiB page.
pub const fn page(number: u64) -> VirtAddr {
    VirtAddr::new(number << 12)
}

pub fn pages(first: u64, count: u64) -> VirtRange {
    VirtRange::sized(page(first), count << 12)
}

impl PageTable {
    pub fn new(blocks: usize) -> Self {
        let zeros = |count| (0..count).map(|_| AtomicU64::new(0)).collect();
        PageTable { base: zeros(blocks * 512), huge: zeros(blocks) }
    }

    /// Changes the entry of a page. An entry of one size hides the other.
    pub fn set(&self, addr: VirtAddr, entry: Option<Translation>) {
        let place = match entry {
            Some(Translation { size: PageSize::Huge, .. }) => {
                &self.huge[(addr.as_u64() >> 21) as usize]
            }
            _ => &self.base[(addr.as_u64() >> 12) as usize],
        };
        place.store(entry.map_or(0, encode), Ordering::Release);
    }

    pub fn clear_huge(&self, addr: VirtAddr) {
        self.huge[(addr.as_u64() >> 21) as usize].store(0, Ordering::Release);
    }
}

fn encode(entry: Translation) -> u64 {
    entry.pfn << 2 | u64::from(entry.rights == Rights::ReadWrite) << 1 | 1
}

fn decode(word: u64, size: PageSize) -> Option<Translation> {
    let rights = if word & 2 != 0 { Rights::ReadWrite } else { Rights::ReadOnly };
    (word & 1 != 0).then_some(Translation { pfn: word >> 2, size, rights })
}

impl PageTableWalk for PageTable {
    fn walk(&self, addr: VirtAddr) -> Option<Translation> {
        let huge = self.huge.get((addr.as_u64() >> 21) as usize)?.load(Ordering::Acquire);
        let base = || self.base[(addr.as_u64() >> 12) as usize].load(Ordering::Acquire);
        decode(huge, PageSize::Huge).or_else(|| decode(base(), PageSize::Base))
    }
}
