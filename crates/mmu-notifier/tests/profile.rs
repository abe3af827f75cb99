//! The profile in which the CPU flush notifies: each change is told once, by
//! the flush, and the end of a range tells hardware nothing of its own.
#![cfg(not(any(loom, shuttle)))]

mod support;

use mmu_notifier::Mm;
use support::*;

fn told(log: &[String]) -> usize {
    log.iter().filter(|line| line.starts_with("tell iommu")).count()
}

#[test]
fn the_flush_notifies_and_the_notification_is_free() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V612>::new(&world));
    map(&mm, &mut task, page(1), RO);
    add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
    add_mirror(&mm, &mut task, Recorder::new("kvm", &world));
    world.log();

    let mut range = start(&mm, pages(1, 2), &mut task);
    let mut ptl = range.lock_ptl(page(1)).unwrap();
    let slot = ptl.slot(page(1)).unwrap().present().unwrap();
    let old = slot.clear_flush_notify().set(world.alloc(1), RW);
    drop(ptl);
    range.end();
    drop(old);
    assert_eq!(
        world.log(),
        [
            "start kvm 1",
            "lock",
            "clear 1",
            "begin flush 1",
            "flush 1",
            "tell iommu 1",
            "set 1 to frame 1 rw",
            "unlock",
            "end kvm 1",
            "free 0"
        ]
    );
}

#[test]
fn each_change_is_told_exactly_once() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V612>::new(&world));
    add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
    for number in 0..6 {
        map(&mm, &mut task, page(number), RW);
    }
    world.log();

    let mut range = start(&mm, pages(0, 1), &mut task);
    range.lock_ptl(page(0)).unwrap().slot(page(0)).unwrap().present().unwrap().zap();
    assert_eq!(told(&world.log()), 0, "a zap waits");
    range.end();
    assert_eq!(told(&world.log()), 1, "zap");

    let mut range = start(&mm, pages(1, 2), &mut task);
    range.lock_ptl(page(1)).unwrap().slot(page(1)).unwrap().present().unwrap().write_protect();
    range.end();
    assert_eq!(told(&world.log()), 1, "write-protect");

    let mut range = start(&mm, pages(2, 3), &mut task);
    range
        .lock_ptl(page(2))
        .unwrap()
        .slot(page(2))
        .unwrap()
        .present()
        .unwrap()
        .clear_flush()
        .defer();
    range.end();
    assert_eq!(told(&world.log()), 1, "clear, flush, defer");

    let mut range = start(&mm, pages(3, 4), &mut task);
    let mut ptl = range.lock_ptl(page(3)).unwrap();
    let clearing = ptl.slot(page(3)).unwrap().present().unwrap().clear_flush_begin();
    drop(clearing.wait().notify().take());
    drop(ptl);
    range.end();
    assert_eq!(told(&world.log()), 1, "begin, wait, take");

    let mut range = start(&mm, pages(4, 6), &mut task);
    let mut ptl = range.lock_ptl(page(4)).unwrap();
    let mut batch = ptl.batch::<2>();
    batch.clear(page(4)).unwrap();
    batch.clear(page(5)).unwrap();
    batch.flush_notify(|notified| drop(notified.take()));
    drop(ptl);
    range.end();
    assert_eq!(told(&world.log()), 1, "batch");
    assert_eq!(world.allocated(), 1, "only the write-protected page is left");
}

#[test]
fn a_pending_entry_is_told_once_by_its_flush() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V612>::new(&world));
    map(&mm, &mut task, page(0), RW);
    add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
    let mut range = start(&mm, pages(0, 1), &mut task);
    range.lock_ptl(page(0)).unwrap().slot(page(0)).unwrap().present().unwrap().zap();
    world.log();
    let mut ptl = range.lock_ptl(page(0)).unwrap();
    ptl.slot(page(0)).unwrap().vacant().unwrap().set(world.alloc(1), RW);
    drop(ptl);
    assert_eq!(
        world.log(),
        ["lock", "begin flush 0", "flush 0", "tell iommu 0", "set 0 to frame 1 rw", "unlock"]
    );
    range.end();
}

#[test]
fn a_page_with_the_same_content_is_told_of_by_the_flush_before_it_is_stored() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V612>::new(&world));
    map_data(&mm, &mut task, page(0), RO, 4);
    add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
    let shared = world.alloc(4);
    world.seal(shared.pfn());
    world.log();
    let mut range = start(&mm, pages(0, 1), &mut task);
    let mut ptl = range.lock_ptl(page(0)).unwrap();
    ptl.slot(page(0)).unwrap().present().unwrap().replace_same_content(shared, RW).unwrap();
    drop(ptl);
    range.end();
    assert_eq!(
        world.log(),
        [
            "lock",
            "clear 0",
            "begin flush 0",
            "flush 0",
            "tell iommu 0",
            "set 0 to frame 1 ro",
            "unlock",
            "free 0"
        ]
    );
}

#[test]
fn one_that_caches_absence_is_told_of_the_page_with_the_same_content() {
    // The flush told it before the page was stored, and nothing tells it later.
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V612>::new(&world));
    map_data(&mm, &mut task, page(0), RO, 4);
    add_tlb(&mm, &mut task, Recorder::caching_absent("vtd", &world));
    let shared = world.alloc(4);
    world.seal(shared.pfn());
    let mut range = start(&mm, pages(0, 1), &mut task);
    let mut ptl = range.lock_ptl(page(0)).unwrap();
    world.log();
    ptl.slot(page(0)).unwrap().present().unwrap().replace_same_content(shared, RW).unwrap();
    assert_eq!(
        world.log(),
        ["clear 0", "begin flush 0", "flush 0", "tell vtd 0", "set 0 to frame 1 ro", "tell vtd 0"]
    );
}
