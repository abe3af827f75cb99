//! The notification is skipped without saying so.
use mmu_notifier::*;

fn wrong<P: Platform>(slot: PresentSlot<'_, P>) -> P::Page {
    slot.clear_flush().assume_notified("it is faster").take()
}

fn main() {}
