//! The mappings of an address space: which addresses may be used, and how.

use std::collections::BTreeMap;

use mmu_protocol::{Rights, VirtAddr, VirtRange};

/// One mapping: anonymous memory with these rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vma {
    /// What accesses are allowed.
    pub rights: Rights,
    /// Whether 2 MiB pages are used where they fit.
    pub huge: bool,
}

/// All mappings, none overlapping another.
#[derive(Debug, Default)]
pub(crate) struct Vmas {
    /// By first address: the first address after it, and the mapping.
    by_start: BTreeMap<VirtAddr, (VirtAddr, Vma)>,
}

impl Vmas {
    /// The mapping that holds `addr`.
    pub(crate) fn find(&self, addr: VirtAddr) -> Option<(VirtRange, Vma)> {
        let (start, (end, vma)) = self.by_start.range(..=addr).next_back()?;
        (addr < *end).then(|| (range(*start, *end), *vma))
    }

    /// The mappings that touch `within`, each cut to it, lowest first.
    pub(crate) fn overlapping(&self, within: VirtRange) -> Vec<(VirtRange, Vma)> {
        let before = self.by_start.range(..within.start()).next_back();
        let inside = self.by_start.range(within.start()..within.end());
        before
            .into_iter()
            .chain(inside)
            .map(|(start, (end, vma))| (range(*start, *end).intersection(within), *vma))
            .filter(|(range, _)| !range.is_empty())
            .collect()
    }

    /// The first address of `within` that is not mapped.
    pub(crate) fn first_hole(&self, within: VirtRange) -> Option<VirtAddr> {
        let mut next = within.start();
        for (range, _) in self.overlapping(within) {
            if range.start() != next {
                break;
            }
            next = range.end();
        }
        (next < within.end()).then_some(next)
    }

    /// Adds a mapping where there is none; `false` if there is.
    pub(crate) fn insert(&mut self, at: VirtRange, vma: Vma) -> bool {
        if !self.overlapping(at).is_empty() {
            return false;
        }
        self.by_start.insert(at.start(), (at.end(), vma));
        true
    }

    /// Takes the addresses of `within` out of every mapping; what was there.
    pub(crate) fn remove(&mut self, within: VirtRange) -> Vec<(VirtRange, Vma)> {
        self.split_at(within.start());
        self.split_at(within.end());
        let removed = self.overlapping(within);
        for (range, _) in &removed {
            self.by_start.remove(&range.start());
        }
        removed
    }

    /// Every mapping, lowest first.
    pub(crate) fn all(&self) -> Vec<(VirtRange, Vma)> {
        self.by_start.iter().map(|(start, (end, vma))| (range(*start, *end), *vma)).collect()
    }

    fn split_at(&mut self, addr: VirtAddr) {
        let Some((whole, vma)) = self.find(addr) else { return };
        if whole.start() != addr {
            self.by_start.insert(whole.start(), (addr, vma));
            self.by_start.insert(addr, (whole.end(), vma));
        }
    }
}

fn range(start: VirtAddr, end: VirtAddr) -> VirtRange {
    VirtRange::new(start, end).expect("a mapping ends after it starts")
}

#[cfg(test)]
mod tests {
    use super::*;

    const RW: Vma = Vma { rights: Rights::ReadWrite, huge: false };

    fn pages(start: u64, end: u64) -> VirtRange {
        range(VirtAddr::new(start << 12), VirtAddr::new(end << 12))
    }

    #[test]
    fn removing_the_middle_leaves_both_ends() {
        let mut vmas = Vmas::default();
        assert!(vmas.insert(pages(10, 20), RW));
        assert!(!vmas.insert(pages(19, 21), RW), "overlaps");
        assert_eq!(vmas.remove(pages(12, 15)), [(pages(12, 15), RW)]);
        assert_eq!(vmas.all(), [(pages(10, 12), RW), (pages(15, 20), RW)]);
        assert!(vmas.find(VirtAddr::new(12 << 12)).is_none());
        assert_eq!(vmas.first_hole(pages(15, 20)), None);
        assert_eq!(vmas.first_hole(pages(11, 16)), Some(VirtAddr::new(12 << 12)));
        assert_eq!(vmas.first_hole(pages(13, 16)), Some(VirtAddr::new(13 << 12)));
    }

    #[test]
    fn removing_across_mappings_takes_parts_of_both() {
        let mut vmas = Vmas::default();
        assert!(vmas.insert(pages(0, 4), RW) && vmas.insert(pages(6, 9), RW));
        assert_eq!(vmas.remove(pages(2, 7)), [(pages(2, 4), RW), (pages(6, 7), RW)]);
        assert_eq!(vmas.all(), [(pages(0, 2), RW), (pages(7, 9), RW)]);
    }
}
