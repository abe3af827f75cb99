//! A range, whose start may sleep, is started under a page table lock.
use mmu_notifier::protocol::*;
use mmu_notifier::*;

fn wrong<P: Platform>(mm: &Mm<P>, addr: VirtAddr, page: VirtRange, task: &mut Task) {
    let ptl = mm.lock_ptl(addr, PageSize::Base, task).unwrap();
    let range = mm.invalidate_range_start(page, Event::Clear, task).unwrap();
    drop((range, ptl));
}

fn main() {}
