//! A token of a batch is kept beyond the closure that it was lent to.
use mmu_notifier::*;

fn wrong<'a, P: Platform>(batch: Batch<'a, P, 4>, leaked: &mut Vec<NotifiedPte<'a, P>>) {
    batch.flush_notify(|notified| leaked.push(notified));
}

fn main() {}
