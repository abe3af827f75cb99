//! Registration and removal of subscribers against running ranges, under loom:
//! both halves of the race that registration is about.
#![cfg(loom)]

mod support;

use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::thread;
use mmu_notifier::protocol::{Event, PageSize};
use mmu_notifier::{
    ExclusiveMm, FullFence, Notifier, RangeInfo, RegisterRefusal, Subscription, UnregisterRefusal,
    WouldBlock,
};
use support::entry::ROOM;
use support::flat::shape;
use support::model::{Arena, NoLight, SharedMm, explore, model_task, must_fail, shared_mm};
use support::*;

shape!(
    /// The platform as it should be.
    Right, V6_1, ROOM, Vec<Page<'w>>, FullFence
);
shape!(
    /// Wrong: ranges announce themselves without a barrier.
    WithoutBarrier, V6_1, ROOM, Vec<Page<'w>>, NoLight
);

const STALE: &str = "the device holds a translation that nobody will invalidate";

fn world() -> World {
    World::build(2, &[(BASE, PageSize::Base, 1, 0)], false)
}

/// One thread takes the page away inside a range; the other registers a device
/// that starts to translate once registration has returned. Whatever the device
/// holds at the end must still be in the table.
fn a_device_registers_while_an_entry_is_cleared<S: Shape>(waits: bool) {
    let arena = Arena::new(world());
    let mm: SharedMm<S> = shared_mm(&arena);
    map(&mm, &mut model_task(0), page(0), RW);

    let updater = {
        let mm = mm.clone();
        thread::spawn(move || {
            let mut task = model_task(0);
            let mut range = start(&mm, pages(0, 1), &mut task);
            let mut ptl = range.lock_ptl(page(0)).unwrap();
            drop(ptl.slot(page(0)).unwrap().present().unwrap().clear_flush_notify().take());
        })
    };

    let device = Arc::new(Device::new(arena.world()));
    if waits {
        drop(mm.register_tlb(device.clone(), &mut model_task(1)).unwrap());
    } else {
        // SAFETY: none: a range may be running. This is the mutation.
        let mut exclusive = unsafe { ExclusiveMm::assume(&mm) };
        drop(exclusive.register_tlb(device.clone()).unwrap());
    }
    device.load(page(0));
    updater.join().unwrap();
    let stale = device.holds(page(0)) && arena.world().walk(page(0)).is_none();
    assert!(!stale, "{STALE}");
    drop(mm);
}

#[test]
fn a_device_that_registers_is_told_or_sees_the_cleared_entry() {
    explore(3, || a_device_registers_while_an_entry_is_cleared::<Right>(true));
}

/// The hardware half: both store and then load what the other stored.
#[test]
fn mutation_without_the_readers_barrier_both_miss_each_other() {
    must_fail(3, STALE, || {
        a_device_registers_while_an_entry_is_cleared::<WithoutBarrier>(true);
    });
}

/// The software half: it registers after the range has looked and before the
/// entry is cleared.
#[test]
fn mutation_registration_that_does_not_wait_is_never_told() {
    must_fail(3, STALE, || a_device_registers_while_an_entry_is_cleared::<Right>(false));
}

/// A mirror whose memory is written when it is given back: a callback that is
/// not ordered before that is a race that loom reports.
struct Mirror {
    alive: UnsafeCell<bool>,
}

// SAFETY: that accesses to the cell are ordered is what the models check.
unsafe impl Sync for Mirror {}
// SAFETY: as above.
unsafe impl Send for Mirror {}

impl Mirror {
    fn touch(&self) {
        // SAFETY: whoever calls a subscriber keeps it alive.
        assert!(self.alive.with(|alive| unsafe { *alive }), "called after it was given back");
    }
}

// SAFETY: INV-MIRROR: it holds no translations.
unsafe impl Notifier for Mirror {
    fn range_start(&self, _: &RangeInfo) -> Result<(), WouldBlock> {
        self.touch();
        Ok(())
    }
    fn range_end(&self, _: &RangeInfo) {
        self.touch();
    }
    fn release(&self) {
        self.touch();
    }
}

type MirrorSubscription<S> = Subscription<<Flat<'static, S> as mmu_notifier::Platform>::Notifier>;

fn with_mirror<S: Shape>(arena: &Arena) -> (SharedMm<S>, Arc<Mirror>, MirrorSubscription<S>) {
    let mm: SharedMm<S> = shared_mm(arena);
    let mirror = Arc::new(Mirror { alive: UnsafeCell::new(true) });
    let subscription = mm.register_notifier(mirror.clone(), &mut model_task(1)).unwrap();
    (mm, mirror, subscription)
}

fn a_mirror_leaves_while_a_range_runs<S: Shape>() {
    let arena = Arena::new(world());
    let (mm, mirror, subscription) = with_mirror::<S>(&arena);
    let updater = {
        let mm = mm.clone();
        thread::spawn(move || {
            mm.invalidate(pages(0, 1), Event::Clear, &mut model_task(0), |_| thread::yield_now())
                .unwrap();
        })
    };
    drop(mm.unregister_notifier(subscription, &mut model_task(1)).unwrap());
    // SAFETY: it was given back, so nobody calls it any more.
    mirror.alive.with_mut(|alive| unsafe { *alive = false });
    updater.join().unwrap();
    drop(mm);
}

#[test]
fn a_mirror_is_not_called_after_it_was_given_back() {
    explore(3, a_mirror_leaves_while_a_range_runs::<Right>);
}

#[test]
fn mutation_without_the_readers_barrier_a_mirror_is_called_after_it_left() {
    must_fail(3, "Causality violation", a_mirror_leaves_while_a_range_runs::<WithoutBarrier>);
}

#[test]
fn of_release_and_unregister_one_gets_the_mirror() {
    explore(3, || {
        let arena = Arena::new(world());
        let (mm, mirror, subscription) = with_mirror::<Right>(&arena);
        let releaser = {
            let mm = mm.clone();
            thread::spawn(move || mm.release(&mut model_task(0)).unwrap())
        };
        match mm.unregister_notifier(subscription, &mut model_task(1)) {
            Ok(ours) => drop(ours),
            Err(refused) => assert_eq!(refused.reason, UnregisterRefusal::Released),
        }
        releaser.join().unwrap();
        assert_eq!(Arc::strong_count(&mirror), 1, "it was dropped once");
        drop(mm);
    });
}

#[test]
fn a_mirror_that_registers_during_a_release_is_refused_or_released() {
    explore(3, || {
        let arena = Arena::new(world());
        let mm: SharedMm<Right> = shared_mm(&arena);
        let mirror = Arc::new(Mirror { alive: UnsafeCell::new(true) });
        let releaser = {
            let mm = mm.clone();
            thread::spawn(move || mm.release(&mut model_task(0)).unwrap())
        };
        let subscription = match mm.register_notifier(mirror.clone(), &mut model_task(1)) {
            Ok(subscription) => Some(subscription),
            Err(refused) => {
                assert_eq!(refused.reason, RegisterRefusal::Released);
                None
            }
        };
        releaser.join().unwrap();
        // Whoever was let in before the release was released by it.
        if let Some(subscription) = subscription {
            let refused = mm.unregister_notifier(subscription, &mut model_task(1)).err().unwrap();
            assert_eq!(refused.reason, UnregisterRefusal::Released);
        }
        assert_eq!(Arc::strong_count(&mirror), 1, "nobody is left in the list");
        drop(mm);
    });
}

#[test]
fn a_place_goes_to_the_next_only_when_the_last_one_has_left_it() {
    explore(3, || {
        let arena = Arena::new(world());
        let (mm, _mirror, subscription) = with_mirror::<Right>(&arena);
        let more = || Arc::new(Mirror { alive: UnsafeCell::new(true) });
        // Under loom a list has two places: now they are taken.
        drop(mm.register_notifier(more(), &mut model_task(0)).unwrap());
        let next = {
            let mm = mm.clone();
            let mirror = more();
            thread::spawn(move || match mm.register_notifier(mirror, &mut model_task(0)) {
                Ok(_subscription) => {}
                Err(refused) => assert_eq!(refused.reason, RegisterRefusal::Full),
            })
        };
        drop(mm.unregister_notifier(subscription, &mut model_task(1)).unwrap());
        next.join().unwrap();
        drop(mm);
    });
}

#[test]
fn after_the_second_of_two_releases_all_are_released() {
    explore(3, || {
        let arena = Arena::new(world());
        let (mm, mirror, subscription) = with_mirror::<Right>(&arena);
        drop(subscription);
        let other = {
            let mm = mm.clone();
            thread::spawn(move || mm.release(&mut model_task(0)).unwrap())
        };
        mm.release(&mut model_task(1)).unwrap();
        // SAFETY: a release has returned, so the callback of the other has too.
        mirror.alive.with_mut(|alive| unsafe { *alive = false });
        other.join().unwrap();
        drop(mm);
    });
}
