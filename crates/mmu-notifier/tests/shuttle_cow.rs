//! Copy on write against devices in random schedules, with more threads and
//! more steps than an exhaustive search can take.
#![cfg(shuttle)]

mod support;

use std::sync::Arc;

use mmu_notifier::protocol::PageSize;
use mmu_notifier::{ClearedPte, NotifiedPte};
use shuttle::sync::atomic::{AtomicU64, Ordering};
use shuttle::thread;
use support::arena::{Arena, SharedMm, shared_mm};
use support::*;

const SCHEDULES: usize = 3_000;

/// Two pages, each copied by a thread of its own; one writer goes through the
/// new entries in order and rings; two devices, each with both old
/// translations, hear the bell and read in the opposite order.
fn two_pages<S: Shape>(
    notify: for<'a> fn(ClearedPte<'a, Flat<'static, S>>) -> NotifiedPte<'a, Flat<'static, S>>,
) {
    let arena = Arena::new(World::build(4, &[(BASE, PageSize::Base, 2, 0)], false));
    let world = arena.world();
    let mm: SharedMm<S> = shared_mm(&arena);
    let bell = Arc::new(AtomicU64::new(0));
    let devices: Vec<_> = {
        let mut task = task();
        for number in 0..2 {
            map_data(&mm, &mut task, page(number), RO, 1);
        }
        (0..2).map(|_| add_device(&mm, &mut task)).collect()
    };
    for device in &devices {
        assert_eq!((device.load(page(0)), device.load(page(1))), (Some(1), Some(1)));
    }
    let mut threads = Vec::new();
    for number in 0..2 {
        let mm = mm.clone();
        threads.push(thread::spawn(move || {
            let mut task = task();
            let mut range = start(&mm, pages(number, number + 1), &mut task);
            let mut ptl = range.lock_ptl(page(number)).unwrap();
            let mut slot = ptl.slot(page(number)).unwrap().present().unwrap();
            slot.settle().unwrap();
            let copy = world.alloc(slot.with_page(Page::data));
            let old = notify(slot.clear_flush()).set(copy, RW);
            drop(ptl);
            range.end();
            drop(old);
        }));
    }
    {
        let bell = bell.clone();
        threads.push(thread::spawn(move || {
            for number in 0..2 {
                let pfn = loop {
                    match world.walk(page(number)) {
                        Some((pfn, true)) => break pfn,
                        _ => thread::yield_now(),
                    }
                };
                world.write(pfn, 2);
                bell.store(number + 1, Ordering::SeqCst);
            }
        }));
    }
    for device in devices {
        let bell = bell.clone();
        threads.push(thread::spawn(move || {
            for number in [1, 0] {
                while bell.load(Ordering::SeqCst) <= number {
                    thread::yield_now();
                }
                let seen = device.load(page(number));
                assert!(seen != Some(1), "old data after new");
            }
        }));
    }
    for thread in threads {
        thread.join().unwrap();
    }
    drop(mm);
}

#[test]
fn devices_never_see_old_data_after_new() {
    shuttle::check_random(|| two_pages::<V61>(|cleared| cleared.notify()), SCHEDULES);
    shuttle::check_random(|| two_pages::<V612>(|cleared| cleared.notify()), SCHEDULES);
}

#[test]
#[should_panic(expected = "old data after new")]
fn mutation_a_late_notification_is_seen() {
    // SAFETY: none: this is the mutation.
    shuttle::check_random(
        || two_pages::<V61>(|cleared| unsafe { cleared.assume_notified("late") }),
        SCHEDULES,
    );
}
