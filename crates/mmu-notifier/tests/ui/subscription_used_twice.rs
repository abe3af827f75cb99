//! One registration is ended twice.
use mmu_notifier::*;

fn wrong<P: Platform>(mm: &Mm<P>, tlb: Subscription<P::Tlb>, task: &mut Task) {
    let _ = mm.unregister_tlb(tlb, task);
    let _ = mm.unregister_tlb(tlb, task);
}

fn main() {}
