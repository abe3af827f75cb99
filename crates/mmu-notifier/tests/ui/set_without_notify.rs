//! A new page is stored before the secondary TLBs were told.
use mmu_notifier::*;

fn wrong<P: Platform>(slot: PresentSlot<'_, P>, new: P::Page, attr: P::Attr) -> P::Page {
    slot.clear_flush().set(new, attr)
}

fn main() {}
