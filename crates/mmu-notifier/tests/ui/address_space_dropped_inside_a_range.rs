//! The address space goes while a range of it is running.
use mmu_notifier::protocol::*;
use mmu_notifier::*;

fn wrong<P: Platform>(mm: Mm<P>, page: VirtRange, task: &mut Task) -> P {
    let range = mm.invalidate_range_start(page, Event::Clear, task).unwrap();
    let platform = mm.into_platform();
    drop(range);
    platform
}

fn main() {}
