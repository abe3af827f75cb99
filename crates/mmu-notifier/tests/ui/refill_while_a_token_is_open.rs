//! An entry is filled again while its token is still on the way.
use mmu_notifier::protocol::*;
use mmu_notifier::*;

fn wrong<P: Platform>(ptl: &mut RangePtl<'_, P>, addr: VirtAddr, new: P::Page, attr: P::Attr) {
    let cleared = ptl.slot(addr).unwrap().present().unwrap().clear_flush();
    ptl.fill(addr).unwrap().vacant().unwrap().set(new, attr);
    cleared.defer();
}

fn main() {}
