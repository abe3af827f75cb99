//! Subscribers that panic: whatever was not told is told later, taken back, or
//! leaked; no page is freed and no entry filled before.
#![cfg(not(any(loom, shuttle)))]

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};

use mmu_notifier::protocol::PageSize;
use mmu_notifier::{FillSlot, Mm, PresentSlot, StripeId, Task};
use support::*;

/// Runs `change` on the present page 0 inside a range; a panic leaves the lock
/// and then the range, as it would in real code. Returns whether it panicked,
/// and whether the entry was still present when the lock was free again.
fn in_range<'w, S: Shape>(
    mm: &TestMm<'w, S>,
    task: &mut Task,
    change: impl for<'a> FnOnce(PresentSlot<'a, Flat<'w, S>>),
) -> (bool, bool) {
    let mut range = start(mm, pages(0, 1), task);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let mut ptl = range.lock_ptl(page(0)).unwrap();
        change(ptl.slot(page(0)).unwrap().present().unwrap());
    }))
    .is_err();
    // The lock is free and the range still runs: somebody else may come in.
    let present = elsewhere(|task| {
        let mut ptl = mm.lock_ptl(page(0), PageSize::Base, task).unwrap();
        match ptl.fill(page(0)).unwrap() {
            FillSlot::Present(_) => true,
            FillSlot::Pending(_) => false,
            FillSlot::Empty(_) => panic!("nobody was told, yet it could be filled"),
        }
    });
    range.end();
    (panicked, present)
}

#[test]
fn unwinding_between_clear_and_set_frees_the_page_only_after_flush_and_notification() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map(&mm, &mut task, page(0), RW);
    let first = add_tlb(&mm, &mut task, Recorder::new("first", &world));
    add_tlb(&mm, &mut task, Recorder::new("second", &world));
    first.panic_after(0);
    world.log();
    let (panicked, present) = in_range(&mm, &mut task, |slot| drop(slot.clear_flush_notify()));
    assert!(panicked && !present);
    let log = world.log();
    assert_eq!(log[..4], ["lock", "clear 0", "begin flush 0", "flush 0"]);
    assert_eq!(log[log.len() - 3..], ["tell first 0", "tell second 0", "free 0"]);
}

#[test]
fn where_the_flush_notifies_a_panic_in_it_takes_the_clear_back() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V612>::new(&world));
    map(&mm, &mut task, page(0), RW);
    let tlb = add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
    tlb.panic_after(0);
    let (panicked, present) = in_range(&mm, &mut task, |slot| drop(slot.clear_flush()));
    assert!(panicked && present, "the old entry is back");
    assert_eq!(frame_at(&mm, page(0)), Some(0));
    assert_eq!(world.frees(0), 0);

    tlb.panic_after(0);
    let (panicked, present) =
        in_range(&mm, &mut task, |slot| drop(slot.clear_flush_begin().wait()));
    assert!(panicked && !present, "the tombstone says that it is to be told");
    assert_eq!(world.frees(0), 0, "the page leaks");
}

#[test]
fn a_panic_under_the_comparison_of_two_pages_takes_the_clear_back() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V612>::new(&world));
    map_data(&mm, &mut task, page(0), RO, 4);
    let shared = world.alloc(4);
    world.seal(shared.pfn());
    let tlb = add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
    tlb.panic_after(0);
    let (panicked, present) = in_range(&mm, &mut task, |slot| {
        slot.replace_same_content(shared, RO).unwrap();
    });
    assert!(panicked && present);
    assert_eq!(frame_at(&mm, page(0)), Some(0), "the old page is back");
    assert_eq!(world.frees(0), 0);
}

/// Draws all tickets, so that every change is told at once.
fn exhaust<S: Shape>(mm: &TestMm<'_, S>, last: u64) {
    for number in 0..64 {
        // SAFETY: INV-ONE-TASK: the task holds no lock when the next one begins.
        let mut other = unsafe { Task::new(StripeId::shared(number)) };
        let mut range = start(mm, pages(last, last + 1), &mut other);
        let mut ptl = range.lock_ptl(page(last)).unwrap();
        // Protecting a writable page is the change that leaves it in place.
        let mut slot = ptl.slot(page(last)).unwrap().present().unwrap();
        slot.write_protect();
        slot.make_writable();
        drop(ptl);
        std::mem::forget(range);
    }
}

#[test]
fn without_tickets_a_panic_takes_the_change_back() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map(&mm, &mut task, page(0), RW);
    map(&mm, &mut task, page(7), RW);
    let tlb = add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
    exhaust(&mm, 7);
    type Change = fn(PresentSlot<'_, Flat<'_, V61>>);
    let changes: [(&str, Change); 4] = [
        ("zap", |slot| slot.zap()),
        ("clear_flush", |slot| drop(slot.clear_flush())),
        ("clear_flush_begin", |slot| drop(slot.clear_flush_begin())),
        ("write_protect", |mut slot| slot.write_protect()),
    ];
    for (name, change) in changes {
        tlb.panic_after(0);
        let (panicked, present) = in_range(&mm, &mut task, change);
        assert!(panicked && present, "{name}");
        assert_eq!(world.walk(page(0)), Some((0, true)), "{name}: the old entry is back");
        assert_eq!(world.frees(0), 0, "{name}");
    }
}

#[test]
fn a_page_for_which_there_is_no_room_leaks_if_it_cannot_be_told_of() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<NoPlace>::new(&world));
    map(&mm, &mut task, page(0), RW);
    let tlb = add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
    tlb.panic_after(0);
    let (panicked, present) = in_range(&mm, &mut task, |slot| slot.zap());
    assert!(panicked && !present);
    assert_eq!(world.frees(0), 0);
    assert!(
        world.log().iter().any(|line| line.starts_with("tell iommu 0")),
        "the range tells it at its end"
    );
}

#[test]
fn a_panic_in_a_batch_has_it_told_again_before_its_pages_go() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map(&mm, &mut task, page(0), RW);
    map(&mm, &mut task, page(1), RW);
    let tlb = add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
    tlb.panic_after(0);
    let mut range = start(&mm, pages(0, 2), &mut task);
    let mut ptl = range.lock_ptl(page(0)).unwrap();
    let mut batch = ptl.batch::<2>();
    batch.clear(page(0)).unwrap();
    batch.clear(page(1)).unwrap();
    world.log();
    let result = catch_unwind(AssertUnwindSafe(|| {
        batch.flush_notify(|_| unreachable!("the notification panics"));
    }));
    assert!(result.is_err());
    assert_eq!(
        world.log(),
        [
            "begin flush 0..2",
            "flush 0..2",
            "begin flush 0..2",
            "flush 0..2",
            "tell iommu 0..2",
            "free 0",
            "free 1"
        ]
    );
}

#[test]
fn a_panic_in_a_range_start_ends_those_that_started() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    add_mirror(&mm, &mut task, Recorder::new("a", &world));
    add_mirror(&mm, &mut task, Recorder::new("b", &world));
    let third = add_mirror(&mm, &mut task, Recorder::new("c", &world));
    third.panic_after(0);
    let result = catch_unwind(AssertUnwindSafe(|| drop(start(&mm, pages(0, 1), &mut task))));
    assert!(result.is_err());
    assert_eq!(world.log(), ["start a 0", "start b 0", "end b 0", "end a 0"]);
    start(&mm, pages(0, 1), &mut task).end();
}

#[test]
fn a_panic_at_the_end_leaks_the_pages_and_leaves_the_entries_pending() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<InPlace>::new(&world));
    map(&mm, &mut task, page(0), RW);
    let tlb = add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
    let mut range = start(&mm, pages(0, 1), &mut task);
    range.lock_ptl(page(0)).unwrap().slot(page(0)).unwrap().present().unwrap().zap();
    tlb.panic_after(0);
    assert!(catch_unwind(AssertUnwindSafe(|| range.end())).is_err());
    assert_eq!(world.frees(0), 0, "nobody knows whether it was told");
    let mut ptl = mm.lock_ptl(page(0), PageSize::Base, &mut task).unwrap();
    assert!(matches!(ptl.fill(page(0)).unwrap(), FillSlot::Pending(_)));
    world.log();
    ptl.fill(page(0)).unwrap().vacant().unwrap().set(world.alloc(1), RW);
    assert_eq!(world.log(), ["begin flush 0", "flush 0", "tell iommu 0", "set 0 to frame 1 rw"]);
}

#[test]
fn a_panic_in_a_flush_on_the_way_is_paid_at_the_end() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map(&mm, &mut task, page(0), RW);
    let tlb = add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
    let mut range = start(&mm, pages(0, 1), &mut task);
    range.lock_ptl(page(0)).unwrap().slot(page(0)).unwrap().present().unwrap().zap();
    tlb.panic_after(0);
    assert!(catch_unwind(AssertUnwindSafe(|| range.flush())).is_err());
    assert_eq!(world.frees(0), 0);
    world.log();
    range.end();
    assert_eq!(world.log(), ["begin flush 0", "flush 0", "tell iommu 0", "free 0"]);
}

#[test]
fn a_panic_while_an_entry_is_told_to_be_filled_leaves_it_pending() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map(&mm, &mut task, page(0), RW);
    let tlb = add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
    let mut range = start(&mm, pages(0, 1), &mut task);
    let mut ptl = range.lock_ptl(page(0)).unwrap();
    ptl.slot(page(0)).unwrap().present().unwrap().zap();
    tlb.panic_after(0);
    let result = catch_unwind(AssertUnwindSafe(|| {
        let _ = ptl.slot(page(0)).unwrap().vacant();
    }));
    assert!(result.is_err());
    assert!(matches!(ptl.slot(page(0)).unwrap(), mmu_notifier::Slot::Pending(_)));
    drop(ptl);
    range.end();
}
