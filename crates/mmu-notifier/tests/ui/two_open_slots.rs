//! Two entries are open under one guard, so one could be the other's.
use mmu_notifier::protocol::*;
use mmu_notifier::*;

fn wrong<P: Platform>(ptl: &mut RangePtl<'_, P>, addr: VirtAddr) {
    let one = ptl.slot(addr).unwrap();
    let other = ptl.slot(addr).unwrap();
    drop((one, other));
}

fn main() {}
