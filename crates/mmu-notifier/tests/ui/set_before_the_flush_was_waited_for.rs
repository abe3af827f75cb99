//! A new page is stored while the CPU flush is still on its way.
use mmu_notifier::*;

fn wrong<P: Platform>(slot: PresentSlot<'_, P>, new: P::Page, attr: P::Attr) -> P::Page {
    slot.clear_flush_begin().notify().set(new, attr)
}

fn main() {}
