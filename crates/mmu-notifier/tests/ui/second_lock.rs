//! A second page table lock is taken, perhaps of the same table.
use mmu_notifier::protocol::*;
use mmu_notifier::*;

fn wrong<P: Platform>(range: &mut InvalidateRange<'_, P>, addr: VirtAddr) {
    let one = range.lock_ptl(addr).unwrap();
    let other = range.lock_ptl(addr).unwrap();
    drop((one, other));
}

fn main() {}
