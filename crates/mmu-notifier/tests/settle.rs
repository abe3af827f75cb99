//! Write-protected pages as sources: settled before they are copied, compared,
//! or replaced by a page with the same bytes.
#![cfg(not(any(loom, shuttle)))]

mod support;

use mmu_notifier::protocol::{PageSize, Transition};
use mmu_notifier::{Mm, ReplaceRefusal, StillWritable};
use support::*;

fn told(world: &World) -> usize {
    world.log().iter().filter(|line| line.starts_with("tell")).count()
}

#[test]
fn a_writable_entry_is_no_source() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map(&mm, &mut task, page(0), RW);
    add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
    world.log();
    let mut ptl = mm.lock_ptl(page(0), PageSize::Base, &mut task).unwrap();
    let mut view = ptl.fill(page(0)).unwrap().present().unwrap();
    assert_eq!(view.settle(), Err(StillWritable));
    assert_eq!(told(&world), 0);
}

#[test]
fn settling_tells_nobody_when_nothing_is_owed() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map(&mm, &mut task, page(0), RO);
    add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
    world.log();
    let mut range = start(&mm, pages(0, 1), &mut task);
    let mut ptl = range.lock_ptl(page(0)).unwrap();
    let settled = ptl.slot(page(0)).unwrap().present().unwrap().settle().unwrap();
    assert_eq!(settled.entry().pfn(), 0);
    drop(ptl);
    range.end();
    assert_eq!(told(&world), 0);
}

#[test]
fn settling_tells_what_the_range_itself_owes_and_only_that() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map(&mm, &mut task, page(0), RW);
    map(&mm, &mut task, page(5), RO);
    add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
    world.log();
    let mut range = start(&mm, pages(0, 8), &mut task);
    let mut ptl = range.lock_ptl(page(0)).unwrap();
    ptl.slot(page(0)).unwrap().present().unwrap().write_protect();
    ptl.slot(page(5)).unwrap().present().unwrap().settle().unwrap();
    assert_eq!(told(&world), 0, "page 5 is not owed");
    ptl.slot(page(0)).unwrap().present().unwrap().settle().unwrap();
    assert_eq!(told(&world), 1);
    drop(ptl);
    range.flush();
    assert_eq!(told(&world), 1);
    let mut ptl = range.lock_ptl(page(0)).unwrap();
    ptl.slot(page(0)).unwrap().present().unwrap().settle().unwrap();
    assert_eq!(told(&world), 0, "it was paid");
}

#[test]
fn a_protection_that_was_told_at_once_for_want_of_a_ticket_is_settled() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map(&mm, &mut task, page(0), RW);
    let device = add_device(&mm, &mut task);
    device.store(page(0), 1).unwrap();
    for number in 0..64 {
        // SAFETY: INV-ONE-TASK: the task holds no lock when the next one begins.
        let mut other = unsafe { mmu_notifier::Task::new(mmu_notifier::StripeId::shared(number)) };
        let mut range = start(&mm, pages(0, 1), &mut other);
        let mut ptl = range.lock_ptl(page(0)).unwrap();
        let mut slot = ptl.slot(page(0)).unwrap().present().unwrap();
        slot.write_protect();
        slot.make_writable();
        drop(ptl);
        std::mem::forget(range);
    }
    device.store(page(0), 2).unwrap();
    let mut range = start(&mm, pages(0, 1), &mut task);
    range.lock_ptl(page(0)).unwrap().slot(page(0)).unwrap().present().unwrap().write_protect();
    assert!(!device.holds(page(0)));
}

#[test]
fn what_was_settled_is_recognised_until_the_entry_changes() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map(&mm, &mut task, page(0), RO);
    map(&mm, &mut task, page(1), RO);
    let mut ptl = mm.lock_ptl(page(0), PageSize::Base, &mut task).unwrap();
    let settled = ptl.fill(page(0)).unwrap().present().unwrap().settle().unwrap();
    assert!(ptl.fill(page(0)).unwrap().present().unwrap().is_still(&settled));
    assert!(!ptl.fill(page(1)).unwrap().present().unwrap().is_still(&settled));
    ptl.fill(page(0)).unwrap().present().unwrap().make_writable();
    assert!(!ptl.fill(page(0)).unwrap().present().unwrap().is_still(&settled));
}

#[test]
fn a_page_is_replaced_by_one_with_the_same_bytes_and_kept_until_the_end() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map_data(&mm, &mut task, page(0), RO, 4);
    let device = add_device(&mm, &mut task);
    assert_eq!(device.load(page(0)), Some(4));
    add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
    let shared = world.alloc(4);
    world.seal(shared.pfn());
    world.log();
    let mut range = start(&mm, pages(0, 1), &mut task);
    let mut ptl = range.lock_ptl(page(0)).unwrap();
    // Asked for writable, stored write-protected all the same.
    ptl.slot(page(0)).unwrap().present().unwrap().replace_same_content(shared, RW).unwrap();
    drop(ptl);
    assert_eq!(
        world.log(),
        ["lock", "clear 0", "begin flush 0", "flush 0", "set 0 to frame 1 ro", "unlock"]
    );
    assert_eq!(device.load(page(0)), Some(4), "still from the old page");
    range.end();
    assert_eq!(world.log(), ["tell iommu 0", "free 0"]);
    assert_eq!(device.load(page(0)), Some(4));
    assert_eq!(Transition::SameContent.row().method, "PresentSlot::replace_same_content");
}

#[test]
fn a_replacement_is_refused_when_the_page_may_be_written_or_differs() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map_data(&mm, &mut task, page(0), RW, 4);
    map_data(&mm, &mut task, page(1), RO, 4);
    let (same, different, unsealed) = (world.alloc(4), world.alloc(5), world.alloc(4));
    world.seal(same.pfn());
    world.seal(different.pfn());
    world.log();
    let mut range = start(&mm, pages(0, 2), &mut task);
    let mut ptl = range.lock_ptl(page(0)).unwrap();
    let mut replace = |number, new| {
        let slot = ptl.slot(page(number)).unwrap().present().unwrap();
        slot.replace_same_content(new, RO).expect_err("it must be refused")
    };
    let refused = replace(0, same);
    assert_eq!(refused.reason, ReplaceRefusal::StillWritable);
    assert_eq!(replace(1, different).reason, ReplaceRefusal::NotSame);
    assert_eq!(replace(1, unsealed).reason, ReplaceRefusal::NotSame);
    drop(ptl);
    range.end();
    drop(refused.page);
    assert_eq!(world.log(), ["lock", "free 3", "free 4", "unlock", "free 2"]);
    assert_eq!((frame_at(&mm, page(0)), frame_at(&mm, page(1))), (Some(0), Some(1)));
}

#[test]
fn a_replacement_waits_for_the_protection_that_its_own_range_owes() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map_data(&mm, &mut task, page(0), RW, 4);
    let device = add_device(&mm, &mut task);
    device.store(page(0), 4).unwrap();
    let shared = world.alloc(4);
    world.seal(shared.pfn());
    let mut range = start(&mm, pages(0, 1), &mut task);
    let mut ptl = range.lock_ptl(page(0)).unwrap();
    ptl.slot(page(0)).unwrap().present().unwrap().write_protect();
    assert!(device.holds(page(0)));
    ptl.slot(page(0)).unwrap().present().unwrap().replace_same_content(shared, RO).unwrap();
    assert_eq!(device.store(page(0), 5), None, "no write may land in the page that was compared");
}
