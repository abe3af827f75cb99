//! The rows of the transition table that one crate can show by itself: who is
//! told of each change, and when. The whole log is compared, so nobody is told
//! twice either.
#![cfg(not(any(loom, shuttle)))]

mod support;

use mmu_notifier::Mm;
use mmu_notifier::protocol::{Event, TABLE};
use support::*;

#[test]
fn every_method_of_the_table_is_one_of_this_crate() {
    let known = [
        "EmptySlot::set",
        "NotifiedPte::take",
        "PresentSlot::zap",
        "NotifiedPte::set",
        "PresentSlot::replace_same_content",
        "PresentSlot::write_protect",
        "PresentView::settle",
        "PresentView::make_writable",
        "PresentView::test_and_clear_young",
        "RangePtlPair::source",
        "ClearedPte::set_same_frames",
    ];
    for row in TABLE {
        assert!(known.contains(&row.method), "{} is no method that is tested here", row.method);
    }
}

#[test]
fn fill_tells_only_those_that_cache_absence() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    add_tlb(&mm, &mut task, Recorder::new("plain", &world));
    add_tlb(&mm, &mut task, Recorder::caching_absent("vtd", &world));
    add_mirror(&mm, &mut task, Recorder::new("kvm", &world));

    map(&mm, &mut task, page(3), RW);
    assert_eq!(world.log(), ["lock", "set 3 to frame 0 rw", "tell vtd 3", "unlock"]);
}

#[test]
fn one_that_caches_absence_is_told_of_the_page_that_replaces_another() {
    // Between clear and set the entry was absent, and it may have seen that.
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map(&mm, &mut task, page(3), RO);
    add_tlb(&mm, &mut task, Recorder::caching_absent("vtd", &world));
    world.log();

    let mut range = start(&mm, pages(3, 4), &mut task);
    let mut ptl = range.lock_ptl(page(3)).unwrap();
    let slot = ptl.slot(page(3)).unwrap().present().unwrap();
    let old = slot.clear_flush_notify().set(world.alloc(1), RW);
    drop(ptl);
    range.end();
    assert_eq!(
        world.log(),
        [
            "lock",
            "clear 3",
            "begin flush 3",
            "flush 3",
            "tell vtd 3",
            "set 3 to frame 1 rw",
            "tell vtd 3",
            "unlock",
        ]
    );
    drop(old);
}

#[test]
fn a_new_page_is_stored_after_clear_flush_and_notification() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map(&mm, &mut task, page(1), RO);
    add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
    add_tlb(&mm, &mut task, Recorder::new("gpu", &world));
    add_mirror(&mm, &mut task, Recorder::new("kvm", &world));
    world.log();

    let mut range = start(&mm, pages(1, 2), &mut task);
    let mut ptl = range.lock_ptl(page(1)).unwrap();
    let slot = ptl.slot(page(1)).unwrap().present().unwrap();
    let cleared = slot.clear_flush();
    assert_eq!((cleared.addr(), cleared.page().pfn()), (page(1), 0));
    assert_eq!(cleared.old_entry().pfn(), 0);
    let notified = cleared.notify();
    let old = notified.set(world.alloc(1), RW);
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
            "tell gpu 1",
            "set 1 to frame 1 rw",
            "unlock",
            "end kvm 1",
            "free 0",
        ]
    );
}

#[test]
fn a_flush_that_is_waited_for_later_is_waited_for_once() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map(&mm, &mut task, page(1), RO);
    add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
    world.log();

    let mut range = start(&mm, pages(1, 2), &mut task);
    let mut ptl = range.lock_ptl(page(1)).unwrap();
    let clearing = ptl.slot(page(1)).unwrap().present().unwrap().clear_flush_begin();
    assert_eq!(world.log(), ["lock", "clear 1", "begin flush 1"]);
    let old = clearing.wait().notify().set(world.alloc(1), RW);
    drop(ptl);
    range.end();
    assert_eq!(world.log(), ["flush 1", "tell iommu 1", "set 1 to frame 1 rw", "unlock"]);
    drop(old);
}

#[test]
fn a_page_that_is_freed_at_once_is_told_before() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map(&mm, &mut task, page(2), RW);
    add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
    world.log();

    let mut range = start(&mm, pages(2, 3), &mut task);
    let mut ptl = range.lock_ptl(page(2)).unwrap();
    drop(ptl.slot(page(2)).unwrap().present().unwrap().clear_flush_notify().take());
    drop(ptl);
    range.end();
    assert_eq!(
        world.log(),
        ["lock", "clear 2", "begin flush 2", "flush 2", "tell iommu 2", "free 0", "unlock"]
    );
    assert_eq!(frame_at(&mm, page(2)), None);
}

#[test]
fn a_zapped_page_is_kept_until_the_secondary_tlbs_were_told() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map(&mm, &mut task, page(2), RW);
    map(&mm, &mut task, page(3), RW);
    add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
    add_mirror(&mm, &mut task, Recorder::new("kvm", &world));
    let device = add_device(&mm, &mut task);
    device.store(page(2), 5).unwrap();
    world.log();

    mm.invalidate(pages(2, 4), Event::Unmap, &mut task, |range| {
        let mut ptl = range.lock_ptl(page(2)).unwrap();
        for addr in [page(2), page(3)] {
            ptl.slot(addr).unwrap().present().unwrap().zap();
        }
        drop(ptl);
        // Nobody was told, so the device still reaches a page that is its own.
        assert_eq!(device.load(page(2)), Some(5));
        assert_eq!(world.log(), ["start kvm 2..4", "lock", "clear 2", "clear 3", "unlock"]);
    })
    .unwrap();
    assert_eq!(
        world.log(),
        ["begin flush 2..4", "flush 2..4", "tell iommu 2..4", "end kvm 2..4", "free 0", "free 1"]
    );
    assert_eq!(device.load(page(2)), None);
}

#[test]
fn a_flush_on_the_way_frees_what_waited_and_owes_nothing_twice() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map(&mm, &mut task, page(2), RW);
    add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
    add_mirror(&mm, &mut task, Recorder::new("kvm", &world));
    world.log();

    let mut range = start(&mm, pages(2, 4), &mut task);
    range.lock_ptl(page(2)).unwrap().slot(page(2)).unwrap().present().unwrap().zap();
    world.log();
    range.flush();
    assert_eq!(world.log(), ["begin flush 2", "flush 2", "tell iommu 2", "free 0"]);
    range.flush();
    range.end();
    assert_eq!(world.log(), ["end kvm 2..4"]);
}

#[test]
fn write_protection_is_told_at_the_end_and_only_if_something_changed() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map(&mm, &mut task, page(0), RW);
    map(&mm, &mut task, page(1), RO);
    add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
    world.log();

    let mut range = start(&mm, pages(0, 2), &mut task);
    let mut ptl = range.lock_ptl(page(0)).unwrap();
    for addr in [page(0), page(1)] {
        ptl.slot(addr).unwrap().present().unwrap().write_protect();
    }
    drop(ptl);
    assert_eq!(world.log(), ["lock", "protect 0", "unlock"]);
    range.end();
    assert_eq!(world.log(), ["begin flush 0", "flush 0", "tell iommu 0"]);
}

#[test]
fn a_copy_waits_for_the_write_protection_to_be_told() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map(&mm, &mut task, page(0), RW);
    let device = add_device(&mm, &mut task);
    device.store(page(0), 1).unwrap();
    add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
    world.log();

    let mut range = start(&mm, pages(0, 1), &mut task);
    range.lock_ptl(page(0)).unwrap().slot(page(0)).unwrap().present().unwrap().write_protect();
    // The protection may wait, so the device can still write ...
    device.store(page(0), 2).unwrap();
    assert_eq!(world.log(), ["lock", "protect 0", "unlock"]);
    // ... and whoever copies on another thread has to tell it first.
    let copy = elsewhere(|task| {
        let mut ptl = mm.lock_ptl(page(0), mmu_notifier::protocol::PageSize::Base, task).unwrap();
        let mut view = ptl.fill(page(0)).unwrap().present().unwrap();
        let settled = view.settle().expect("it is write-protected");
        assert_eq!(device.store(page(0), 3), None, "a write after the copy would be lost");
        assert!(view.is_still(&settled));
        view.with_page(|page| page.data())
    });
    assert_eq!(copy, 2);
    assert_eq!(world.log(), ["lock", "begin flush 0", "flush 0", "tell iommu 0", "unlock"]);
    range.end();
}

#[test]
fn make_writable_tells_nobody() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map(&mm, &mut task, page(4), RO);
    add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
    add_tlb(&mm, &mut task, Recorder::caching_absent("vtd", &world));
    add_mirror(&mm, &mut task, Recorder::new("kvm", &world));
    let device = add_device(&mm, &mut task);
    assert_eq!(device.load(page(4)), Some(0));
    world.log();

    let mut ptl = mm.lock_ptl(page(4), mmu_notifier::protocol::PageSize::Base, &mut task).unwrap();
    let mut view = ptl.fill(page(4)).unwrap().present().unwrap();
    view.make_writable();
    view.make_writable();
    drop(ptl);
    assert_eq!(world.log(), ["lock", "unprotect 4", "unlock"]);
    // The stale read-only translation only makes the device walk again.
    device.store(page(4), 9).unwrap();
}

#[test]
fn nothing_is_told_and_nothing_owed_without_subscribers() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map(&mm, &mut task, page(1), RO);
    world.log();
    let mut range = start(&mm, pages(1, 2), &mut task);
    let mut ptl = range.lock_ptl(page(1)).unwrap();
    let slot = ptl.slot(page(1)).unwrap().present().unwrap();
    drop(slot.clear_flush_notify().set(world.alloc(1), RW));
    drop(ptl);
    range.end();
    assert_eq!(
        world.log(),
        ["lock", "clear 1", "begin flush 1", "flush 1", "set 1 to frame 1 rw", "free 0", "unlock"]
    );
}
