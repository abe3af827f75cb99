//! Counters without read-modify-write are claimed for a task that may not be alone.
use mmu_notifier::*;

fn wrong() -> Option<StripeId> {
    StripeId::exclusive(0)
}

fn main() {}
