//! A range is started under the lock of another.
use mmu_notifier::protocol::*;
use mmu_notifier::*;

fn wrong<P: Platform>(
    mm: &Mm<P>,
    range: &mut InvalidateRange<'_, P>,
    addr: VirtAddr,
    page: VirtRange,
) {
    let ptl = range.lock_ptl(addr).unwrap();
    let other = mm.invalidate_range_start(page, Event::Clear, range.task()).unwrap();
    drop((other, ptl));
}

fn main() {}
