//! Copy on write against a device, under loom, in the doorbell form: a thread
//! copies the page, another writes through the new entry and rings, and a
//! device that had the old translation hears the bell and reads.
#![cfg(loom)]

mod support;

use std::sync::Arc;

use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;
use mmu_notifier::protocol::PageSize;
use mmu_notifier::{FullFence, PresentSlot};
use support::entry::ROOM;
use support::flat::shape;
use support::model::{Arena, SharedMm, explore, model_task, must_fail, shared_mm};
use support::*;

shape!(
    /// Notification is a step of its own.
    Separate, V6_1, ROOM, Vec<Page<'w>>, FullFence
);
shape!(
    /// The flush notifies.
    InFlush, V6_12, ROOM, Vec<Page<'w>>, FullFence
);

const OLD: u64 = 1;
const NEW: u64 = 2;
const SEEN: &str = "the device heard of the new data and read the old";

/// How the middle of the copy is written.
type Replace<S> =
    for<'a> fn(PresentSlot<'a, Flat<'static, S>>, Page<'static>) -> Option<Page<'static>>;

fn doorbell<S: Shape>(replace: Replace<S>) {
    let arena = Arena::new(World::build(2, &[(BASE, PageSize::Base, 1, 0)], false));
    let world = arena.world();
    let mm: SharedMm<S> = shared_mm(&arena);
    let mut task = model_task(0);
    map_data(&mm, &mut task, page(0), RO, OLD);
    let device = add_device(&mm, &mut task);
    assert_eq!(device.load(page(0)), Some(OLD));
    let copy = world.alloc(OLD);
    let new = copy.pfn();
    let bell = Arc::new(AtomicU32::new(0));

    // The address space is quiet until here; only the race is explored.
    let mut range = start(&mm, pages(0, 1), &mut task);
    let writer = {
        let bell = bell.clone();
        thread::spawn(move || {
            // A CPU that writes as soon as the new entry lets it.
            if world.walk(page(0)) == Some((new, true)) {
                world.write(new, NEW);
                bell.store(1, Ordering::Release);
            }
        })
    };
    let reader = {
        let (bell, device) = (bell.clone(), device.clone());
        thread::spawn(move || {
            if bell.load(Ordering::Acquire) == 1 {
                assert!(device.load(page(0)) != Some(OLD), "{SEEN}");
            } else {
                // Without the bell old and new are both right; freed is not.
                let _ = device.load(page(0));
            }
        })
    };
    let mut ptl = range.lock_ptl(page(0)).unwrap();
    let old = replace(ptl.slot(page(0)).unwrap().present().unwrap(), copy);
    drop(ptl);
    drop(old);
    range.end();
    writer.join().unwrap();
    reader.join().unwrap();
    drop(mm);
}

#[test]
fn a_device_that_hears_the_bell_reads_the_new_page() {
    explore(4, || doorbell::<Separate>(|slot, copy| Some(slot.clear_flush_notify().set(copy, RW))));
}

#[test]
fn a_device_that_hears_the_bell_reads_the_new_page_where_the_flush_notifies() {
    explore(4, || {
        doorbell::<InFlush>(|slot, copy| Some(slot.clear_flush().notify().set(copy, RW)))
    });
}

#[test]
fn a_page_that_is_zapped_is_not_reached_after_its_free() {
    explore(4, || {
        doorbell::<Separate>(|slot, copy| {
            slot.zap();
            Some(copy)
        });
    });
}

#[test]
fn mutation_a_late_notification_shows_old_data_after_new() {
    must_fail(4, SEEN, || {
        doorbell::<Separate>(|slot, copy| {
            // SAFETY: none: this is the mutation.
            let notified = unsafe { slot.clear_flush().assume_notified("late") };
            // Kept, so that only the data is wrong.
            std::mem::forget(notified.set(copy, RW));
            None
        });
    });
}

#[test]
fn mutation_an_early_free_lets_the_device_into_a_freed_page() {
    must_fail(4, "frame 0", || {
        doorbell::<Separate>(|slot, copy| {
            // SAFETY: none: this is the mutation.
            let notified = unsafe { slot.clear_flush().assume_notified("early") };
            drop(notified.take());
            Some(copy)
        });
    });
}
