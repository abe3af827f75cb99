//! A slot of a walk is kept beyond the closure that it was lent to.
use mmu_notifier::*;

fn wrong<'a, P: Platform>(ptl: &'a mut RangePtl<'_, P>, leaked: &mut Vec<Slot<'a, P>>) {
    let _ = ptl.for_each_slot(|slot| {
        leaked.push(slot);
        Ok::<_, ()>(())
    });
}

fn main() {}
