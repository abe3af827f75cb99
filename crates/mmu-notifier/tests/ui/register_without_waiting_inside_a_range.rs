//! A subscriber registers without waiting while a range is running.
use mmu_notifier::protocol::*;
use mmu_notifier::*;

fn wrong<P: Platform>(mm: &mut Mm<P>, tlb: P::Tlb, page: VirtRange, task: &mut Task) {
    let range = mm.invalidate_range_start(page, Event::Clear, task).unwrap();
    let _ = mm.register_tlb_exclusive(tlb);
    drop(range);
}

fn main() {}
