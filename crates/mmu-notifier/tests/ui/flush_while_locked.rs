//! The range is flushed, and its pages freed, under the lock.
use mmu_notifier::protocol::*;
use mmu_notifier::*;

fn wrong<P: Platform>(mut range: InvalidateRange<'_, P>, addr: VirtAddr) {
    let ptl = range.lock_ptl(addr).unwrap();
    range.flush();
    drop(ptl);
}

fn main() {}
