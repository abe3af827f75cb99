//! The lock is released between the notification and the new page.
use mmu_notifier::protocol::*;
use mmu_notifier::*;

fn wrong<P: Platform>(mut ptl: RangePtl<'_, P>, addr: VirtAddr, new: P::Page, attr: P::Attr) {
    let notified = ptl.slot(addr).unwrap().present().unwrap().clear_flush_notify();
    drop(ptl);
    notified.set(new, attr);
}

fn main() {}
