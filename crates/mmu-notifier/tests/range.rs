//! Starting and ending ranges: order, refusals, nesting, and addresses that do
//! not fit.
#![cfg(not(any(loom, shuttle)))]

mod support;

use std::sync::atomic::Ordering;

use mmu_notifier::protocol::{Event, PageSize, VirtAddr, VirtRange};
use mmu_notifier::{Blockable, Mm, PtlError, StartError};
use support::*;

#[test]
fn mirrors_start_in_order_and_end_in_reverse() {
    let (world, mut task) = (World::new(4), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    for name in ["a", "b", "c"] {
        add_mirror(&mm, &mut task, Recorder::new(name, &world));
    }
    let range = start(&mm, pages(0, 2), &mut task);
    assert_eq!(range.info().range, pages(0, 2));
    assert_eq!((range.info().event, range.info().blockable), (Event::Clear, Blockable::Yes));
    range.end();
    assert_eq!(
        world.log(),
        ["start a 0..2", "start b 0..2", "start c 0..2", "end c 0..2", "end b 0..2", "end a 0..2"]
    );
}

#[test]
fn a_refused_start_ends_those_that_had_started_in_reverse() {
    let (world, mut task) = (World::new(4), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    let mut mirrors = Vec::new();
    for name in ["a", "b", "c", "d"] {
        mirrors.push(add_mirror(&mm, &mut task, Recorder::new(name, &world)));
    }
    mirrors[2].busy.store(true, Ordering::Relaxed);
    let refused = mm.try_invalidate_range_start(pages(0, 1), Event::Unmap, &mut task);
    assert_eq!(refused.err(), Some(StartError::WouldBlock));
    assert_eq!(world.log(), ["start a 0", "start b 0", "refuse c", "end b 0", "end a 0"]);
    // Nothing is left open: the task may start again where it may sleep.
    start(&mm, pages(0, 1), &mut task).end();
    world.log();
    mirrors[2].busy.store(false, Ordering::Relaxed);
    let range = mm.try_invalidate_range_start(pages(0, 1), Event::Unmap, &mut task).unwrap();
    assert_eq!(range.info().blockable, Blockable::No);
}

#[test]
fn a_task_has_one_range_at_a_time_in_all_address_spaces() {
    let (world, mut task) = (World::new(4), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    let other_world = World::new(4);
    let other = Mm::new(Flat::<V612>::new(&other_world));
    add_mirror(&mm, &mut task, Recorder::new("a", &world));
    let mut range = start(&mm, pages(0, 1), &mut task);
    world.log();
    let nested = mm.invalidate_range_start(pages(1, 2), Event::Clear, range.task());
    assert_eq!(nested.err(), Some(StartError::Nested));
    let nested = other.try_invalidate_range_start(pages(1, 2), Event::Clear, range.task());
    assert_eq!(nested.err(), Some(StartError::Nested));
    let nested = mm.invalidate(pages(1, 2), Event::Clear, range.task(), |_| unreachable!());
    assert_eq!(nested, Err(StartError::Nested));
    assert_eq!(mm.release(range.task()), Err(StartError::Nested));
    assert_eq!(world.log(), [""; 0], "nobody was asked");
    range.end();
    start(&other, pages(0, 1), &mut task).end();
}

#[test]
fn a_forgotten_range_keeps_its_task_from_another() {
    let (world, mut task) = (World::new(4), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    std::mem::forget(start(&mm, pages(0, 1), &mut task));
    let again = mm.invalidate_range_start(pages(1, 2), Event::Clear, &mut task);
    assert_eq!(again.err(), Some(StartError::Nested));
}

#[test]
fn the_closure_form_ends_the_range_also_when_it_panics() {
    let (world, mut task) = (World::new(4), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map(&mm, &mut task, page(0), RW);
    add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
    add_mirror(&mm, &mut task, Recorder::new("kvm", &world));
    world.log();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        mm.invalidate(pages(0, 1), Event::Unmap, &mut task, |range| {
            range.lock_ptl(page(0)).unwrap().slot(page(0)).unwrap().present().unwrap().zap();
            panic!("in the middle");
        })
    }));
    assert!(result.is_err());
    assert_eq!(
        world.log(),
        [
            "start kvm 0",
            "lock",
            "clear 0",
            "unlock",
            "begin flush 0",
            "flush 0",
            "tell iommu 0",
            "end kvm 0",
            "free 0"
        ]
    );
    assert_eq!(mm.invalidate(pages(0, 1), Event::Unmap, &mut task, |_| 5), Ok(5));
}

#[test]
fn addresses_that_do_not_fit_are_refused() {
    let world =
        World::build(16, &[(BASE, PageSize::Base, 8, 0), (HUGE_BASE, PageSize::Huge, 4, 1)], true);
    let mut task = task();
    let mm = Mm::new(Flat::<V61>::new(&world));
    let nowhere = VirtAddr::new(0x9_0000_0000);
    let mut range = start(&mm, pages(2, 4), &mut task);
    assert_eq!(
        range.lock_ptl(nowhere).err(),
        Some(PtlError::NoTable { addr: nowhere, size: PageSize::Base })
    );
    assert_eq!(
        range.lock_pmd(page(2)).err(),
        Some(PtlError::NoTable { addr: page(2), size: PageSize::Huge })
    );
    let mut ptl = range.lock_ptl(page(2)).unwrap();
    let table = ptl.span();
    assert_eq!(table, pages(0, 8));
    let outside = |addr| Some(PtlError::OutsideRange { addr, range: pages(2, 4) });
    assert_eq!(ptl.slot(page(1)).err(), outside(page(1)));
    assert_eq!(ptl.slot(page(4)).err(), outside(page(4)));
    assert_eq!(ptl.slot(page(8)).err(), Some(PtlError::OutsideTable { addr: page(8), table }));
    assert_eq!(ptl.fill(page(8)).err(), Some(PtlError::OutsideTable { addr: page(8), table }));
    let odd = VirtAddr::new(BASE + 0x2800);
    let misaligned = Some(PtlError::Misaligned { addr: odd, size: PageSize::Base });
    assert_eq!(ptl.slot(odd).err(), misaligned);
    assert_eq!(ptl.fill(odd).err(), misaligned);
    assert!(ptl.slot(page(3)).is_ok());
    assert!(ptl.fill(page(0)).is_ok(), "a fill need not be announced");
    drop(ptl);
    range.end();

    // A huge entry has to lie in the range with all of its 2 MiB.
    let half = VirtRange::new(huge(1), huge(1).offset(0x10_0000)).unwrap();
    let mut range = start(&mm, half, &mut task);
    let mut ptl = range.lock_pmd(huge(1)).unwrap();
    assert_eq!(
        ptl.slot(huge(1)).err(),
        Some(PtlError::OutsideRange { addr: huge(1), range: half })
    );
    let inside = huge(1).offset(0x1000);
    assert_eq!(
        ptl.slot(inside).err(),
        Some(PtlError::Misaligned { addr: inside, size: PageSize::Huge })
    );
}

#[test]
fn the_walk_over_a_table_visits_the_whole_pages_of_the_range() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    for number in 0..8 {
        map(&mm, &mut task, page(number), RW);
    }
    let ragged = VirtRange::new(page(1).offset(1), page(5).offset(0xfff)).unwrap();
    let mut range = start(&mm, ragged, &mut task);
    let mut ptl = range.lock_ptl(page(0)).unwrap();
    let mut seen = Vec::new();
    ptl.for_each_slot(|slot| {
        let slot = slot.present().expect("all are mapped");
        seen.push((slot.addr(), slot.entry().pfn()));
        Ok::<_, ()>(())
    })
    .unwrap();
    assert_eq!(seen, [(page(2), 2), (page(3), 3), (page(4), 4)]);
    let mut visits = 0;
    let stopped = ptl.for_each_slot(|_| {
        visits += 1;
        if visits == 2 { Err("enough") } else { Ok(()) }
    });
    assert_eq!((stopped, visits), (Err("enough"), 2));
}

#[test]
fn a_walk_that_zaps_is_told_once_at_the_end() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    for number in 0..8 {
        map(&mm, &mut task, page(number), RW);
    }
    add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
    let mut range = start(&mm, pages(0, 8), &mut task);
    let mut ptl = range.lock_ptl(page(0)).unwrap();
    ptl.for_each_slot(|slot| {
        slot.present().ok_or(())?.zap();
        Ok::<_, ()>(())
    })
    .unwrap();
    drop(ptl);
    world.log();
    range.end();
    let log = world.log();
    assert_eq!(log[..3], ["begin flush 0..8", "flush 0..8", "tell iommu 0..8"]);
    assert_eq!(log.len(), 3 + 8);
}
