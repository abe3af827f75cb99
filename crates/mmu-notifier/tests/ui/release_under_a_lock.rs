//! The address space is released under a page table lock.
use mmu_notifier::protocol::*;
use mmu_notifier::*;

fn wrong<P: Platform>(mm: &Mm<P>, range: &mut InvalidateRange<'_, P>, addr: VirtAddr) {
    let ptl = range.lock_ptl(addr).unwrap();
    let _ = mm.release(range.task());
    drop(ptl);
}

fn main() {}
