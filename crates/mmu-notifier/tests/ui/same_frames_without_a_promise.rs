//! An entry is replaced by another shape without the promise that the frames are the same.
use mmu_notifier::*;

fn wrong<P: Platform>(slot: PresentSlot<'_, P>, new: P::Entry) {
    slot.clear_flush().set_same_frames(|_| new);
}

fn main() {}
