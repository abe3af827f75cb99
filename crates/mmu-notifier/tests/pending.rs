//! Entries that were cleared and not told: they can be notified, never set, by
//! whoever meets them, for as long as the range that owes them runs.
#![cfg(not(any(loom, shuttle)))]

mod support;

use std::mem::forget;

use mmu_notifier::protocol::PageSize;
use mmu_notifier::{FillSlot, Mm, Slot, StripeId, Task};
use support::*;

#[test]
fn a_refill_under_the_same_guard_is_told_first() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map(&mm, &mut task, page(0), RW);
    add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
    let mut range = start(&mm, pages(0, 1), &mut task);
    let mut ptl = range.lock_ptl(page(0)).unwrap();
    ptl.slot(page(0)).unwrap().present().unwrap().zap();
    world.log();
    let Slot::Pending(pending) = ptl.slot(page(0)).unwrap() else { panic!("it was not told") };
    assert_eq!(pending.addr(), page(0));
    let empty = pending.notify();
    assert_eq!(empty.addr(), page(0));
    empty.set(world.alloc(1), RW);
    assert_eq!(world.log(), ["begin flush 0", "flush 0", "tell iommu 0", "set 0 to frame 1 rw"]);
    drop(ptl);
    range.end();
    assert_eq!(world.frees(0), 1);
}

#[test]
fn a_fill_by_another_thread_while_the_flush_is_late_is_told_first() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map(&mm, &mut task, page(0), RW);
    let device = add_device(&mm, &mut task);
    device.store(page(0), 1).unwrap();
    let mut range = start(&mm, pages(0, 1), &mut task);
    range.lock_ptl(page(0)).unwrap().slot(page(0)).unwrap().present().unwrap().zap();
    assert_eq!(device.load(page(0)), Some(1));
    elsewhere(|task| {
        let mut ptl = mm.lock_ptl(page(0), PageSize::Base, task).unwrap();
        let FillSlot::Pending(pending) = ptl.fill(page(0)).unwrap() else {
            panic!("the range has yet to flush");
        };
        let empty = pending.notify();
        assert!(!device.holds(page(0)));
        empty.set(world.alloc(2), RW);
        drop(ptl);
        assert_eq!(device.load(page(0)), Some(2));
    });
    assert_eq!(world.frees(0), 0, "the page still waits for the end of its range");
    range.end();
    assert_eq!(world.frees(0), 1);
    assert_eq!(device.load(page(0)), Some(2));
}

#[test]
fn an_entry_is_empty_again_once_its_range_has_paid() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map(&mm, &mut task, page(0), RW);
    add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
    let mut range = start(&mm, pages(0, 2), &mut task);
    range.lock_ptl(page(0)).unwrap().slot(page(0)).unwrap().present().unwrap().zap();
    range.flush();
    assert!(matches!(range.lock_ptl(page(0)).unwrap().slot(page(0)).unwrap(), Slot::Empty(_)));
    // What the range owes afterwards is pending under a new ticket.
    range
        .lock_ptl(page(0))
        .unwrap()
        .fill(page(1))
        .unwrap()
        .vacant()
        .unwrap()
        .set(world.alloc(1), RW);
    range.lock_ptl(page(0)).unwrap().slot(page(1)).unwrap().present().unwrap().zap();
    let mut ptl = range.lock_ptl(page(0)).unwrap();
    assert!(matches!(ptl.slot(page(0)).unwrap(), Slot::Empty(_)));
    assert!(matches!(ptl.slot(page(1)).unwrap(), Slot::Pending(_)));
}

#[test]
fn the_entries_of_a_forgotten_range_stay_pending_and_are_told_of_on_every_fill() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<InPlace>::new(&world));
    map(&mm, &mut task, page(0), RW);
    map(&mm, &mut task, page(1), RW);
    let device = add_device(&mm, &mut task);
    let mut range = start(&mm, pages(0, 2), &mut task);
    {
        let mut ptl = range.lock_ptl(page(0)).unwrap();
        ptl.slot(page(0)).unwrap().present().unwrap().zap();
        ptl.slot(page(1)).unwrap().present().unwrap().write_protect();
    }
    device.load(page(0));
    forget(range);
    assert_eq!(world.allocated(), 2, "its pages leak");
    elsewhere(|task| {
        let mut ptl = mm.lock_ptl(page(0), PageSize::Base, task).unwrap();
        assert!(matches!(ptl.fill(page(0)).unwrap(), FillSlot::Pending(_)));
        ptl.fill(page(0)).unwrap().vacant().unwrap().set(world.alloc(2), RW);
        assert!(!device.holds(page(0)));
        // What it write-protected is told of by everybody who wants to copy.
        let _ = device.store(page(1), 1);
        assert!(ptl.fill(page(1)).unwrap().present().unwrap().settle().is_ok());
        assert!(!device.holds(page(1)));
    });
    assert_eq!(device.load(page(0)), Some(2));
}

#[test]
fn the_sixty_fifth_running_range_tells_at_once() {
    let (world, mut task) = (World::new(80), task());
    let mm = Mm::new(Flat::<InPlace>::new(&world));
    for number in 0..70 {
        map(&mm, &mut task, page(number), RW);
    }
    let device = add_device(&mm, &mut task);
    // Sixty-four ranges that never end, each of a task of its own.
    for number in 0..64 {
        // SAFETY: INV-ONE-TASK: the task holds no lock when the next one begins.
        let mut other = unsafe { Task::new(StripeId::shared(number)) };
        let addr = page(number as u64);
        let mut range = start(&mm, pages(number as u64, number as u64 + 1), &mut other);
        range.lock_ptl(addr).unwrap().slot(addr).unwrap().present().unwrap().zap();
        forget(range);
    }
    world.log();
    add_tlb_without_waiting(&mm, Recorder::new("late", &world));

    for number in 64..70 {
        device.load(page(number)).unwrap();
    }
    let mut range = start(&mm, pages(64, 70), &mut task);
    let mut ptl = range.lock_ptl(page(64)).unwrap();
    ptl.slot(page(64)).unwrap().present().unwrap().zap();
    ptl.slot(page(65)).unwrap().present().unwrap().clear_flush().defer();
    drop(ptl.slot(page(66)).unwrap().present().unwrap().clear_flush_begin());
    ptl.slot(page(67)).unwrap().present().unwrap().write_protect();
    let mut batch = ptl.batch::<1>();
    batch.clear(page(68)).unwrap();
    for number in 64..69 {
        assert!(!device.holds(page(number)), "page {number} was told of under the lock");
    }
    batch.flush_notify(|notified| drop(notified.take()));
    forget(ptl.slot(page(69)).unwrap().present().unwrap().clear_flush());
    assert!(!device.holds(page(69)));
    for number in [64, 65, 66, 68, 69] {
        assert!(matches!(ptl.slot(page(number)).unwrap(), Slot::Empty(_)), "page {number}");
    }
    drop(ptl);
    range.end();
}

/// Registration would wait for the forgotten ranges for ever.
fn add_tlb_without_waiting<'w>(mm: &TestMm<'w, InPlace>, recorder: Recorder<'w>) {
    // SAFETY: INV-EXCLUSIVE: this thread is the only one, and the ranges that
    // were forgotten change nothing any more.
    let mut exclusive = unsafe { mmu_notifier::ExclusiveMm::assume(mm) };
    drop(exclusive.register_tlb(std::sync::Arc::new(recorder)).expect("there is a place"));
}

#[test]
fn many_forgotten_tokens_are_one_invalidation() {
    let (world, mut task) = (World::new(64), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    for number in 0..32 {
        map(&mm, &mut task, page(number), RW);
    }
    add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
    let mut range = start(&mm, pages(0, 32), &mut task);
    let mut ptl = range.lock_ptl(page(0)).unwrap();
    for number in 0..32 {
        forget(ptl.slot(page(number)).unwrap().present().unwrap().clear_flush());
    }
    drop(ptl);
    world.log();
    range.end();
    assert_eq!(world.log(), ["begin flush 0..32", "flush 0..32", "tell iommu 0..32 and tables"]);
    assert_eq!(world.allocated(), 32);
}
