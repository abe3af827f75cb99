//! A token outlives the lock under which it was made.
use mmu_notifier::protocol::*;
use mmu_notifier::*;

fn wrong<P: Platform>(range: &mut InvalidateRange<'_, P>, addr: VirtAddr) {
    let escaped;
    {
        let mut ptl = range.lock_ptl(addr).unwrap();
        escaped = ptl.slot(addr).unwrap().present().unwrap().clear_flush();
    }
    drop(escaped.notify());
}

fn main() {}
