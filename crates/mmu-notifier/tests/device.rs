//! A device that caches and refills against CPUs that change the table, on
//! real threads: the cases A and B of the founding document, and the escapes
//! that show what happens when the notification is late.
#![cfg(not(any(loom, shuttle)))]

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use mmu_notifier::Mm;
use mmu_notifier::protocol::{Event, PageSize};
use support::*;

/// Copies the page behind an entry, as a write fault does. Returns the old frame.
fn cow<S: Shape>(
    mm: &TestMm<'_, S>,
    task: &mut mmu_notifier::Task,
    addr: mmu_notifier::protocol::VirtAddr,
) {
    let world = mm.platform().world;
    mm.invalidate(
        mmu_notifier::protocol::VirtRange::page(addr, PageSize::Base),
        Event::Clear,
        task,
        |range| {
            let mut ptl = range.lock_ptl(addr).unwrap();
            let mut slot = ptl.slot(addr).unwrap().present().unwrap();
            slot.settle().expect("a shared page is write-protected");
            let copy = world.alloc(slot.with_page(Page::data));
            drop(slot.clear_flush_notify().set(copy, RW));
        },
    )
    .unwrap();
}

#[test]
fn the_device_sees_the_new_page_as_soon_as_anybody_does() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map_data(&mm, &mut task, page(0), RO, 1);
    let device = add_device(&mm, &mut task);
    assert_eq!(device.load(page(0)), Some(1));
    cow(&mm, &mut task, page(0));
    world.write(frame_at(&mm, page(0)).unwrap(), 2);
    assert_eq!(device.load(page(0)), Some(2));
}

#[test]
fn a_late_notification_lets_the_device_read_old_data_after_new() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map_data(&mm, &mut task, page(0), RO, 1);
    let device = add_device(&mm, &mut task);
    device.load(page(0)).unwrap();
    let mut range = start(&mm, pages(0, 1), &mut task);
    let mut ptl = range.lock_ptl(page(0)).unwrap();
    let cleared = ptl.slot(page(0)).unwrap().present().unwrap().clear_flush();
    // SAFETY: INV-ASSUMED: only the outcome of this test depends on it.
    let notified = unsafe { cleared.assume_notified("to show what happens") };
    let old = notified.set(world.alloc(1), RW);
    drop(ptl);
    world.write(frame_at(&mm, page(0)).unwrap(), 2);
    assert_eq!(device.load(page(0)), Some(1), "case B: the old page is still reached");
    range.end();
    assert_eq!(device.load(page(0)), Some(2));
    drop(old);
}

#[test]
fn an_early_free_lets_the_device_into_a_freed_page() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map_data(&mm, &mut task, page(0), RW, 1);
    let device = add_device(&mm, &mut task);
    device.load(page(0)).unwrap();
    let mut range = start(&mm, pages(0, 1), &mut task);
    let mut ptl = range.lock_ptl(page(0)).unwrap();
    let cleared = ptl.slot(page(0)).unwrap().present().unwrap().clear_flush();
    // SAFETY: INV-ASSUMED: only the outcome of this test depends on it.
    drop(unsafe { cleared.assume_notified("to show what happens") });
    drop(ptl);
    let reached = catch_unwind(AssertUnwindSafe(|| device.store(page(0), 3)));
    assert!(reached.is_err(), "case A: the device would have written into a freed page");
    range.end();
}

#[test]
fn devices_and_cpus_on_real_threads_never_reach_a_freed_page() {
    let rounds = if cfg!(miri) { 15 } else { 3_000 };
    for_shape::<V61>(rounds);
    for_shape::<V612>(rounds);
    for_shape::<OnePlace>(rounds);
    for_shape::<NoTombstones>(rounds);
}

fn for_shape<S: Shape>(rounds: usize) {
    let world = World::build(64, &[(BASE, PageSize::Base, 4, 0)], false);
    let mm = Mm::new(Flat::<S>::new(&world));
    let device = add_device(&mm, &mut task());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Fills and zaps the same pages from two threads, in every way there is.
        let cpus: Vec<_> = (0..2)
            .map(|number| {
                let mm = &mm;
                scope.spawn(move || {
                    let mut task = task();
                    for round in 0..rounds {
                        step(mm, &mut task, page(((round + number) % 3) as u64), round + number);
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for number in 0..3 {
                    let _ = device.load(page(number));
                    let _ = device.store(page(number), number);
                }
            }
        });
        for cpu in cpus {
            cpu.join().expect("no page was freed twice or reached after its free");
        }
        stop.store(true, Ordering::Relaxed);
    });
    let left = (0..3).filter(|&number| frame_at(&mm, page(number)).is_some()).count();
    assert_eq!(world.allocated(), left, "every other page was freed");
}

/// Fills an absent page; takes a present one away in one of six ways.
fn step<S: Shape>(
    mm: &TestMm<'_, S>,
    task: &mut mmu_notifier::Task,
    addr: mmu_notifier::protocol::VirtAddr,
    way: usize,
) {
    let world = mm.platform().world;
    let new = world.alloc(0);
    {
        let mut ptl = mm.lock_ptl(addr, PageSize::Base, task).unwrap();
        if let Some(empty) = ptl.fill(addr).unwrap().vacant() {
            empty.set(new, RW);
            return;
        }
    }
    mm.invalidate(pages(0, 4), Event::Unmap, task, |range| {
        let mut ptl = range.lock_ptl(addr).unwrap();
        let Some(slot) = ptl.slot(addr).unwrap().present() else { return };
        match way % 6 {
            0 => slot.zap(),
            1 => slot.clear_flush().defer(),
            2 => drop(slot.clear_flush_notify().take()),
            3 => drop(slot.clear_flush_notify().set(new, RO)),
            4 => drop(slot.clear_flush_begin()),
            _ => {
                let mut batch = ptl.batch::<2>();
                batch.clear(addr).unwrap();
                drop(batch);
            }
        }
        drop(ptl);
        if way % 7 == 0 {
            range.flush();
        }
    })
    .unwrap();
}
