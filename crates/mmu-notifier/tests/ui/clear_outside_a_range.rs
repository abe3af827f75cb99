//! An entry is cleared although nobody was told that anything would change.
use mmu_notifier::protocol::*;
use mmu_notifier::*;

fn wrong<P: Platform>(mm: &Mm<P>, addr: VirtAddr, task: &mut Task) {
    let mut ptl = mm.lock_ptl(addr, PageSize::Base, task).unwrap();
    let view = ptl.fill(addr).unwrap().present().unwrap();
    view.clear_flush_notify();
}

fn main() {}
