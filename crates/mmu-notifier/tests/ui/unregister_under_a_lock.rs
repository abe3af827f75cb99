//! A subscriber leaves, which waits for ranges, under a page table lock.
use mmu_notifier::protocol::*;
use mmu_notifier::*;

fn wrong<P: Platform>(mm: &Mm<P>, tlb: Subscription<P::Tlb>, addr: VirtAddr, task: &mut Task) {
    let ptl = mm.lock_ptl(addr, PageSize::Base, task).unwrap();
    let _ = mm.unregister_tlb(tlb, task);
    drop(ptl);
}

fn main() {}
