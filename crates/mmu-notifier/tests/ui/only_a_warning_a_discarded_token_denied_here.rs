//! A token is dropped by accident. By itself this only warns; dropping is late but safe.
#![deny(unused_must_use)]
use mmu_notifier::*;

fn wrong<P: Platform>(slot: PresentSlot<'_, P>) {
    slot.clear_flush();
}

fn main() {}
