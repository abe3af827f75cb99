//! The range ends while its page table lock is held.
use mmu_notifier::protocol::*;
use mmu_notifier::*;

fn wrong<P: Platform>(mut range: InvalidateRange<'_, P>, addr: VirtAddr) {
    let ptl = range.lock_ptl(addr).unwrap();
    range.end();
    drop(ptl);
}

fn main() {}
