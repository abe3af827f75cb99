//! A second page table lock is taken outside a range.
use mmu_notifier::protocol::*;
use mmu_notifier::*;

fn wrong<P: Platform>(mm: &Mm<P>, addr: VirtAddr, task: &mut Task) {
    let one = mm.lock_ptl(addr, PageSize::Base, task).unwrap();
    let other = mm.lock_ptl(addr, PageSize::Base, task).unwrap();
    drop((one, other));
}

fn main() {}
