//! A page that waits for the end of the range is had back early.
use mmu_notifier::*;

fn wrong<P: Platform>(cleared: ClearedPte<'_, P>) -> P::Page {
    cleared.defer()
}

fn main() {}
