//! The old page is had back before the secondary TLBs were told.
use mmu_notifier::*;

fn wrong<P: Platform>(slot: PresentSlot<'_, P>) -> P::Page {
    slot.clear_flush().take()
}

fn main() {}
