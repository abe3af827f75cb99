//! An entry that was cleared and not told is filled.
use mmu_notifier::*;

fn wrong<P: Platform>(pending: PendingSlot<'_, P>, new: P::Page, attr: P::Attr) {
    pending.set(new, attr);
}

fn main() {}
