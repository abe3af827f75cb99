//! One clear is notified twice, which would give the page out twice.
use mmu_notifier::*;

fn wrong<P: Platform>(cleared: ClearedPte<'_, P>) -> (P::Page, P::Page) {
    (cleared.notify().take(), cleared.notify().take())
}

fn main() {}
