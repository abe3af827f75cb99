//! A platform whose entries have no room for a ticket: one question stands for
//! all entries, is any range running that owes something? Coarser, as safe.
#![cfg(not(any(loom, shuttle)))]

mod support;

use std::mem::forget;

use mmu_notifier::protocol::PageSize;
use mmu_notifier::{FillSlot, Mm, Slot};
use support::*;

#[test]
fn every_absent_entry_is_pending_while_a_range_owes() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<NoTombstones>::new(&world));
    map(&mm, &mut task, page(0), RW);
    let device = add_device(&mm, &mut task);
    device.load(page(0)).unwrap();
    let mut range = start(&mm, pages(0, 1), &mut task);
    assert!(
        elsewhere(|task| is_empty(&mm, task, 0)),
        "a range that owes nothing is in nobody's way"
    );
    range.lock_ptl(page(0)).unwrap().slot(page(0)).unwrap().present().unwrap().zap();
    elsewhere(|task| {
        assert!(!is_empty(&mm, task, 0));
        assert!(!is_empty(&mm, task, 5), "nobody can tell which entry is owed");
        map_data(&mm, task, page(0), RW, 3);
        assert!(!device.holds(page(0)), "the fill has told");
    });
    range.end();
    assert!(is_empty(&mm, &mut task, 5));
    assert_eq!(device.load(page(0)), Some(3));
    assert_eq!(world.frees(0), 1);
}

fn is_empty(mm: &TestMm<'_, NoTombstones>, task: &mut mmu_notifier::Task, number: u64) -> bool {
    let mut ptl = mm.lock_ptl(page(number), PageSize::Base, task).unwrap();
    !matches!(ptl.fill(page(number)).unwrap(), FillSlot::Pending(_))
}

#[test]
fn a_refill_under_the_same_guard_and_a_forgotten_token_are_pending() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<NoTombstones>::new(&world));
    map(&mm, &mut task, page(0), RW);
    map(&mm, &mut task, page(1), RW);
    add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
    let mut range = start(&mm, pages(0, 2), &mut task);
    let mut ptl = range.lock_ptl(page(0)).unwrap();
    ptl.slot(page(0)).unwrap().present().unwrap().zap();
    forget(ptl.slot(page(1)).unwrap().present().unwrap().clear_flush());
    assert!(matches!(ptl.slot(page(0)).unwrap(), Slot::Pending(_)));
    assert!(matches!(ptl.slot(page(1)).unwrap(), Slot::Pending(_)));
    drop(ptl);
    world.log();
    range.end();
    assert_eq!(
        world.log(),
        ["begin flush 0..2", "flush 0..2", "tell iommu 0..2 and tables", "free 0"]
    );
}

#[test]
fn after_a_forgotten_range_every_fill_tells() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<NoTombstones>::new(&world));
    map(&mm, &mut task, page(0), RW);
    let device = add_device(&mm, &mut task);
    device.load(page(0)).unwrap();
    let mut range = start(&mm, pages(0, 1), &mut task);
    range.lock_ptl(page(0)).unwrap().slot(page(0)).unwrap().present().unwrap().zap();
    forget(range);
    elsewhere(|task| {
        for number in 0..3 {
            assert!(!is_empty(&mm, task, number));
        }
        map_data(&mm, task, page(0), RW, 7);
    });
    assert_eq!(device.load(page(0)), Some(7));
}
