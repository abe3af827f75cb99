//! Batches: many entries, one flush, one notification.
#![cfg(not(any(loom, shuttle)))]

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};

use mmu_notifier::protocol::VirtAddr;
use mmu_notifier::{BatchError, Mm, PtlError, Slot};
use support::*;

fn four_pages<'w>(world: &'w World, task: &mut mmu_notifier::Task) -> TestMm<'w, V61> {
    let mm = Mm::new(Flat::<V61>::new(world));
    for number in 0..4 {
        map(&mm, task, page(number), RW);
    }
    add_tlb(&mm, task, Recorder::new("iommu", world));
    world.log();
    mm
}

#[test]
fn a_batch_clears_then_flushes_and_tells_once_then_lends_in_order() {
    let (world, mut task) = (World::new(8), task());
    let mm = four_pages(&world, &mut task);
    let mut range = start(&mm, pages(0, 4), &mut task);
    let mut ptl = range.lock_ptl(page(0)).unwrap();
    let mut batch = ptl.batch::<8>();
    assert!(batch.is_empty());
    for number in [2, 0, 3] {
        batch.clear(page(number)).unwrap();
    }
    assert_eq!(batch.len(), 3);
    let mut order = Vec::new();
    batch.flush_notify(|notified| {
        order.push(notified.addr());
        drop(notified.take());
    });
    assert_eq!(order, [page(2), page(0), page(3)]);
    drop(ptl);
    range.end();
    assert_eq!(
        world.log(),
        [
            "lock",
            "clear 2",
            "clear 0",
            "clear 3",
            "begin flush 0..4",
            "flush 0..4",
            "tell iommu 0..4",
            "free 2",
            "free 0",
            "free 3",
            "unlock"
        ]
    );
}

#[test]
fn what_does_not_fit_is_an_error_value_and_changes_nothing() {
    let (world, mut task) = (World::new(8), task());
    let mm = four_pages(&world, &mut task);
    let mut range = start(&mm, pages(0, 3), &mut task);
    let mut ptl = range.lock_ptl(page(0)).unwrap();
    let (announced, table) = (pages(0, 3), ptl.span());
    let mut batch = ptl.batch::<2>();
    let outside = PtlError::OutsideRange { addr: page(3), range: announced };
    assert_eq!(batch.clear(page(3)), Err(BatchError::Ptl(outside)));
    let far = PtlError::OutsideTable { addr: page(8), table };
    assert_eq!(batch.clear(page(8)), Err(BatchError::Ptl(far)));
    let odd = VirtAddr::new(BASE + 1);
    assert!(matches!(
        batch.clear(odd),
        Err(BatchError::Ptl(PtlError::Misaligned { addr, .. })) if addr == odd
    ));
    batch.clear(page(0)).unwrap();
    assert_eq!(batch.clear(page(0)), Err(BatchError::NotPresent), "it is pending now");
    batch.clear(page(1)).unwrap();
    assert_eq!(batch.clear(page(2)), Err(BatchError::Full));
    assert_eq!(batch.len(), 2);
    drop(batch);
    assert!(matches!(ptl.slot(page(2)).unwrap(), Slot::Present(_)));
}

#[test]
fn a_dropped_batch_tells_and_releases() {
    let (world, mut task) = (World::new(8), task());
    let mm = four_pages(&world, &mut task);
    let mut range = start(&mm, pages(0, 4), &mut task);
    let mut ptl = range.lock_ptl(page(0)).unwrap();
    let mut batch = ptl.batch::<4>();
    batch.clear(page(0)).unwrap();
    batch.clear(page(1)).unwrap();
    world.log();
    drop(batch);
    assert_eq!(
        world.log(),
        ["begin flush 0..2", "flush 0..2", "tell iommu 0..2", "free 0", "free 1"]
    );
    assert!(matches!(ptl.slot(page(0)).unwrap(), Slot::Empty(_)));
    drop(ptl);
    world.log();
    range.end();
    assert_eq!(world.log(), [""; 0]);
}

#[test]
fn a_forgotten_batch_leaks_and_has_the_whole_range_told() {
    let (world, mut task) = (World::new(8), task());
    let mm = four_pages(&world, &mut task);
    let device = add_device(&mm, &mut task);
    device.load(page(1)).unwrap();
    let mut range = start(&mm, pages(0, 4), &mut task);
    let mut ptl = range.lock_ptl(page(0)).unwrap();
    let mut batch = ptl.batch::<4>();
    batch.clear(page(1)).unwrap();
    std::mem::forget(batch);
    assert!(matches!(ptl.slot(page(1)).unwrap(), Slot::Pending(_)));
    drop(ptl);
    world.log();
    range.end();
    assert_eq!(world.log(), ["begin flush 0..4", "flush 0..4", "tell iommu 0..4 and tables"]);
    assert!(!device.holds(page(1)));
    assert!(world.is_allocated(1));
}

#[test]
fn a_panic_in_the_closure_releases_the_rest() {
    let (world, mut task) = (World::new(8), task());
    let mm = four_pages(&world, &mut task);
    let mut range = start(&mm, pages(0, 4), &mut task);
    let mut ptl = range.lock_ptl(page(0)).unwrap();
    let mut batch = ptl.batch::<4>();
    for number in 0..4 {
        batch.clear(page(number)).unwrap();
    }
    let kept = std::cell::RefCell::new(None);
    let result = catch_unwind(AssertUnwindSafe(|| {
        batch.flush_notify(|notified| {
            if notified.addr() == page(1) {
                panic!("the closure panics");
            }
            *kept.borrow_mut() = Some(notified.set(world.alloc(9), RO));
        });
    }));
    assert!(result.is_err());
    drop(ptl);
    range.end();
    let log = world.log();
    assert_eq!(log.iter().filter(|line| line.starts_with("tell")).count(), 1, "{log:?}");
    for pfn in 1..4 {
        assert_eq!(world.frees(pfn), 1);
    }
    assert!(world.is_allocated(0), "the closure had taken this one");
    assert_eq!(frame_at(&mm, page(0)), Some(4));
    drop(kept.into_inner());
}

#[test]
fn an_empty_batch_tells_nobody() {
    let (world, mut task) = (World::new(8), task());
    let mm = four_pages(&world, &mut task);
    let mut range = start(&mm, pages(0, 4), &mut task);
    let mut ptl = range.lock_ptl(page(0)).unwrap();
    ptl.batch::<4>().flush_notify(|_| unreachable!("nothing was cleared"));
    drop(ptl.batch::<0>());
    drop(ptl);
    range.end();
    assert_eq!(world.log(), ["lock", "unlock"]);
}
