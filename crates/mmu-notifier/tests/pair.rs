//! Two locks at once, and huge entries: a page moves, a huge entry is split.
#![cfg(not(any(loom, shuttle)))]

mod support;

use mmu_notifier::protocol::{PageSize, VirtAddr};
use mmu_notifier::{Mm, PtlError};
use support::entry::{Pte, ROOM};
use support::*;

const SECOND: u64 = BASE + 0x10_0000;

/// Two tables of four pages with a lock each, or with one lock for both.
fn two_tables(same_lock: bool) -> World {
    let second_lock = usize::from(!same_lock);
    World::build(
        16,
        &[(BASE, PageSize::Base, 4, 0), (SECOND, PageSize::Base, 4, second_lock)],
        true,
    )
}

#[test]
fn a_moved_page_is_told_of_before_it_appears_elsewhere() {
    for same_lock in [false, true] {
        for backwards in [false, true] {
            let (world, mut task) = (two_tables(same_lock), task());
            let mm = Mm::new(Flat::<V61>::new(&world));
            let (mut from, mut to) = (page(1), VirtAddr::new(SECOND));
            if backwards {
                (from, to) = (to, from);
            }
            map(&mm, &mut task, from, RW);
            let device = add_device(&mm, &mut task);
            device.store(from, 8).unwrap();
            let announced = mmu_notifier::protocol::VirtRange::page(from, PageSize::Base);
            let mut range = start(&mm, announced, &mut task);
            let mut pair = range.lock_ptl_pair(from, to, PageSize::Base).unwrap();
            let old = pair.source(from).unwrap().present().unwrap().clear_flush_notify();
            assert!(!device.holds(from));
            let page = old.take();
            pair.target(to).unwrap().vacant().unwrap().set(page, RW);
            assert!(matches!(pair.source(to), Err(PtlError::OutsideTable { .. })));
            assert!(pair.target(from).is_err());
            drop(pair);
            range.end();
            assert_eq!(device.load(to), Some(8));
            assert_eq!(device.load(from), None);
            assert_eq!((world.allocated(), world.frees(0)), (1, 0));
        }
    }
}

#[test]
fn both_tables_may_be_the_same() {
    let (world, mut task) = (World::new(4), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map(&mm, &mut task, page(0), RW);
    let mut range = start(&mm, pages(0, 1), &mut task);
    let mut pair = range.lock_ptl_pair(page(0), page(3), PageSize::Base).unwrap();
    let moved = pair.source(page(0)).unwrap().present().unwrap().clear_flush_notify().take();
    pair.target(page(3)).unwrap().vacant().unwrap().set(moved, RW);
    assert!(pair.source(page(3)).is_err(), "it was not announced");
    drop(pair);
    range.end();
    assert_eq!(frame_at(&mm, page(3)), Some(0));
}

#[test]
fn a_missing_table_is_an_error_and_leaves_no_lock_held() {
    let (world, mut task) = (two_tables(false), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    let nowhere = VirtAddr::new(0x9_0000_0000);
    let mut range = start(&mm, pages(0, 1), &mut task);
    for (from, to) in [(page(0), nowhere), (nowhere, page(0))] {
        assert_eq!(
            range.lock_ptl_pair(from, to, PageSize::Base).err(),
            Some(PtlError::NoTable { addr: nowhere, size: PageSize::Base })
        );
    }
    drop(range.lock_ptl_pair(page(0), VirtAddr::new(SECOND), PageSize::Base).unwrap());
}

#[test]
fn threads_that_move_in_opposite_directions_do_not_wait_for_each_other() {
    let rounds = if cfg!(miri) { 20 } else { 2_000 };
    let (world, mut task) = (two_tables(false), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map(&mm, &mut task, page(0), RW);
    map(&mm, &mut task, VirtAddr::new(SECOND), RW);
    drop(task);
    let shuttle = |from: VirtAddr, to: VirtAddr| {
        let mut task = support::task();
        for round in 0..rounds {
            let (from, to) = if round % 2 == 0 { (from, to) } else { (to, from) };
            let announced = mmu_notifier::protocol::VirtRange::page(from, PageSize::Base);
            let mut range = start(&mm, announced, &mut task);
            let mut pair = range.lock_ptl_pair(from, to, PageSize::Base).unwrap();
            let page = pair.source(from).unwrap().present().unwrap().clear_flush_notify().take();
            pair.target(to).unwrap().vacant().unwrap().set(page, RW);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| shuttle(page(0), VirtAddr::new(SECOND + 0x1000)));
        scope.spawn(|| shuttle(VirtAddr::new(SECOND), page(1)));
    });
    assert_eq!(world.allocated(), 2);
}

#[test]
fn a_split_keeps_the_frame_and_is_told_at_the_end() {
    let world = World::build(8, &[(HUGE_BASE, PageSize::Huge, 4, 0)], true);
    let mut task = task();
    let mm = Mm::new(Flat::<V61>::new(&world));
    map(&mm, &mut task, huge(1), RW);
    add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
    world.log();
    let mut range = start(&mm, huge_pages(1, 2), &mut task);
    let mut pmd = range.lock_pmd(huge(1)).unwrap();
    let cleared = pmd.slot(huge(1)).unwrap().present().unwrap().clear_flush();
    assert_eq!(cleared.size(), PageSize::Huge);
    // SAFETY: INV-SAME-FRAMES: the new entry maps the same frame with the same rights.
    unsafe {
        cleared.set_same_frames(|page| Pte::<ROOM>::page(page.into_pfn(), true));
    }
    drop(pmd);
    assert_eq!(
        world.log(),
        [
            "lock",
            "clear H1",
            "begin flush H1..H2",
            "flush H1..H2",
            "set H1 to frame 0 rw",
            "unlock"
        ]
    );
    range.end();
    assert_eq!(world.log(), ["tell iommu H1..H2 and tables"]);
    assert_eq!((world.allocated(), world.frees(0)), (1, 0));
}

#[test]
fn one_that_caches_absence_is_told_of_what_a_split_stores() {
    let world = World::build(8, &[(HUGE_BASE, PageSize::Huge, 4, 0)], true);
    let mut task = task();
    let mm = Mm::new(Flat::<V612>::new(&world));
    map(&mm, &mut task, huge(1), RW);
    add_tlb(&mm, &mut task, Recorder::caching_absent("vtd", &world));
    let mut range = start(&mm, huge_pages(1, 2), &mut task);
    let mut pmd = range.lock_pmd(huge(1)).unwrap();
    let cleared = pmd.slot(huge(1)).unwrap().present().unwrap().clear_flush();
    world.log();
    // SAFETY: INV-SAME-FRAMES: the new entry maps the same frame with the same rights.
    unsafe {
        cleared.set_same_frames(|page| Pte::<ROOM>::page(page.into_pfn(), true));
    }
    assert_eq!(world.log(), ["set H1 to frame 0 rw", "tell vtd H1..H2 and tables"]);
}
