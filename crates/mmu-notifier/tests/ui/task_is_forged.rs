//! A token is made out of thin air.
use mmu_notifier::*;

fn wrong() -> Task {
    Task::new(StripeId::shared(0))
}

fn main() {}
