//! Subscribers of known cost.

use std::sync::Mutex;

use mmu_notifier::protocol::VirtRange;
use mmu_notifier::{Atomic, Invalidation, Notifier, RangeInfo, SecondaryTlb, WouldBlock};

/// Does nothing: what is left is the cost of calling it.
#[derive(Debug)]
pub struct NoOp;

// SAFETY: INV-TOLD: it translates nothing.
unsafe impl SecondaryTlb for NoOp {
    fn invalidate_range(&self, _: &Invalidation, _: Atomic<'_>) {}
    fn release(&self) {}
}

// SAFETY: INV-MIRROR: it translates nothing.
unsafe impl Notifier for NoOp {
    fn range_start(&self, _: &RangeInfo) -> Result<(), WouldBlock> {
        Ok(())
    }
    fn range_end(&self, _: &RangeInfo) {}
    fn release(&self) {}
}

/// Keeps account of the running ranges under a lock, at start and at end, as
/// KVM does. (KVM looks up its memory slots as well; this does not.)
#[derive(Debug, Default)]
pub struct Accountant {
    account: Mutex<(u64, VirtRange)>,
}

// SAFETY: INV-MIRROR: it translates nothing.
unsafe impl Notifier for Accountant {
    fn range_start(&self, info: &RangeInfo) -> Result<(), WouldBlock> {
        let mut account = self.account.lock().expect("nobody panics with it");
        account.0 += 1;
        account.1 = account.1.union(info.range);
        Ok(())
    }
    fn range_end(&self, _: &RangeInfo) {
        let mut account = self.account.lock().expect("nobody panics with it");
        account.0 -= 1;
        account.1 = VirtRange::EMPTY;
    }
    fn release(&self) {}
}
