//! Tokens that are dropped, tokens that are forgotten, and stores that are
//! full: all finish late or leak, none frees or stores early.
#![cfg(not(any(loom, shuttle)))]

mod support;

use std::mem::forget;

use mmu_notifier::{Mm, PresentSlot};
use support::*;

/// How far a test takes the token before it lets go.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Clearing,
    Cleared,
    Waited,
    Notified,
}

const STATES: [State; 4] = [State::Clearing, State::Cleared, State::Waited, State::Notified];

/// Takes the token to a state and hands it to `drop` or `forget`.
fn let_go<S: Shape>(slot: PresentSlot<'_, Flat<'_, S>>, state: State, forgets: bool) {
    macro_rules! end {
        ($token:expr) => {
            if forgets { forget($token) } else { drop($token) }
        };
    }
    match state {
        State::Clearing => end!(slot.clear_flush_begin()),
        State::Cleared => end!(slot.clear_flush()),
        State::Waited => end!(slot.clear_flush_begin().wait()),
        State::Notified => end!(slot.clear_flush_notify()),
    }
}

#[test]
fn a_dropped_token_finishes_late() {
    for state in STATES {
        let (world, mut task) = (World::new(8), task());
        let mm = Mm::new(Flat::<V61>::new(&world));
        map(&mm, &mut task, page(1), RW);
        add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
        let mut range = start(&mm, pages(0, 4), &mut task);
        let mut ptl = range.lock_ptl(page(1)).unwrap();
        let_go(ptl.slot(page(1)).unwrap().present().unwrap(), state, false);
        let freed_under_the_lock = state == State::Notified;
        assert_eq!(world.is_allocated(0), !freed_under_the_lock, "{state:?}");
        drop(ptl);
        world.log();
        range.end();
        let expected: &[&str] = match state {
            State::Clearing => &["begin flush 1", "flush 1", "tell iommu 1", "free 0"],
            State::Cleared | State::Waited => &["tell iommu 1", "free 0"],
            State::Notified => &[],
        };
        assert_eq!(world.log(), expected, "{state:?}");
        assert_eq!((world.allocated(), world.frees(0)), (0, 1), "{state:?}");
    }
}

#[test]
fn a_dropped_token_in_the_other_profile_is_told_by_its_flush() {
    for state in STATES {
        let (world, mut task) = (World::new(8), task());
        let mm = Mm::new(Flat::<V612>::new(&world));
        map(&mm, &mut task, page(1), RW);
        add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
        world.log();
        let mut range = start(&mm, pages(0, 4), &mut task);
        let_go(
            range.lock_ptl(page(1)).unwrap().slot(page(1)).unwrap().present().unwrap(),
            state,
            false,
        );
        range.end();
        let log = world.log();
        let told = log.iter().position(|line| line == "tell iommu 1").expect("it was told");
        let freed = log.iter().position(|line| line == "free 0").expect("it was freed");
        assert!(told < freed, "{state:?}: {log:?}");
        assert_eq!(log.iter().filter(|line| line.starts_with("tell")).count(), 1, "{state:?}");
    }
}

#[test]
fn a_forgotten_token_leaks_the_page_and_has_the_whole_range_told() {
    for state in STATES {
        let (world, mut task) = (World::new(8), task());
        let mm = Mm::new(Flat::<V61>::new(&world));
        map(&mm, &mut task, page(1), RW);
        let device = add_device(&mm, &mut task);
        device.store(page(1), 1).unwrap();
        add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
        let mut range = start(&mm, pages(0, 4), &mut task);
        let mut ptl = range.lock_ptl(page(1)).unwrap();
        let_go(ptl.slot(page(1)).unwrap().present().unwrap(), state, true);
        drop(ptl);
        world.log();
        range.end();
        if state == State::Notified {
            // Everybody knows already; only the page is lost.
            assert_eq!(world.log(), [""; 0]);
        } else {
            assert_eq!(
                world.log(),
                ["begin flush 0..4", "flush 0..4", "tell iommu 0..4 and tables"],
                "{state:?}"
            );
        }
        assert_eq!((world.allocated(), world.frees(0)), (1, 0), "{state:?}");
        assert!(!device.holds(page(1)), "{state:?}");
        // The entry is usable again, and costs nothing extra.
        world.log();
        map(&mm, &mut task, page(1), RW);
        assert_eq!(world.log(), ["lock", "set 1 to frame 1 rw", "unlock"], "{state:?}");
    }
}

#[test]
fn a_page_for_which_there_is_no_room_is_told_of_now_and_released() {
    for state in STATES {
        let (world, mut task) = (World::new(8), task());
        let mm = Mm::new(Flat::<NoPlace>::new(&world));
        map(&mm, &mut task, page(1), RW);
        let device = add_device(&mm, &mut task);
        device.store(page(1), 1).unwrap();
        let mut range = start(&mm, pages(0, 4), &mut task);
        let mut ptl = range.lock_ptl(page(1)).unwrap();
        let_go(ptl.slot(page(1)).unwrap().present().unwrap(), state, false);
        assert!(!device.holds(page(1)), "{state:?}: told under the lock");
        assert_eq!(world.frees(0), 1, "{state:?}: and released");
        drop(ptl);
        range.end();
        assert_eq!(world.frees(0), 1);
    }
}

#[test]
fn the_store_takes_what_it_can_and_the_rest_is_told_of_now() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<OnePlace>::new(&world));
    for number in 0..3 {
        map(&mm, &mut task, page(number), RW);
    }
    add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
    world.log();
    let mut range = start(&mm, pages(0, 3), &mut task);
    let mut ptl = range.lock_ptl(page(0)).unwrap();
    for number in 0..3 {
        ptl.slot(page(number)).unwrap().present().unwrap().zap();
    }
    drop(ptl);
    assert_eq!(
        world.log(),
        [
            "lock",
            "clear 0",
            "clear 1",
            "begin flush 1",
            "flush 1",
            "tell iommu 1",
            "free 1",
            "clear 2",
            "begin flush 2",
            "flush 2",
            "tell iommu 2",
            "free 2",
            "unlock"
        ]
    );
    range.end();
    assert!(world.log().ends_with(&["free 0".to_string()]));
}

#[test]
fn a_range_that_is_dropped_pays_like_one_that_is_ended() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map(&mm, &mut task, page(0), RW);
    add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
    {
        let mut range = start(&mm, pages(0, 1), &mut task);
        range.lock_ptl(page(0)).unwrap().slot(page(0)).unwrap().present().unwrap().zap();
        world.log();
    }
    assert_eq!(world.log(), ["begin flush 0", "flush 0", "tell iommu 0", "free 0"]);
}

#[test]
fn a_token_can_leave_an_entry_of_the_platforms_own() {
    use support::entry::{Pte, ROOM};
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map(&mm, &mut task, page(0), RW);
    let mut range = start(&mm, pages(0, 1), &mut task);
    let mut ptl = range.lock_ptl(page(0)).unwrap();
    let notified = ptl.slot(page(0)).unwrap().present().unwrap().clear_flush_notify();
    drop(notified.set_absent(Pte::<ROOM>::swap(5)));
    let empty = ptl.slot(page(0)).unwrap().vacant().unwrap();
    assert_eq!(empty.entry(), Pte::swap(5));
    empty.set_absent(Pte::swap(6));
    assert_eq!(ptl.slot(page(0)).unwrap().vacant().unwrap().entry(), Pte::swap(6));
    let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        ptl.slot(page(0)).unwrap().vacant().unwrap().set_absent(Pte::page(0, false));
    }));
    assert!(told.is_err(), "a present entry is no absent one");
}

#[test]
fn dropping_an_address_space_releases_who_is_left_before_the_pages_go() {
    for takes_the_platform_out in [false, true] {
        let (world, mut task) = (World::new(8), task());
        let mm = Mm::new(Flat::<V61>::new(&world));
        map(&mm, &mut task, page(0), RW);
        add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
        add_mirror(&mm, &mut task, Recorder::new("kvm", &world));
        let device = add_device(&mm, &mut task);
        device.load(page(0)).unwrap();
        world.log();
        if takes_the_platform_out {
            let platform = mm.into_platform();
            assert_eq!(world.log(), ["release kvm", "release iommu"]);
            assert!(!device.holds(page(0)));
            drop(platform);
            assert_eq!(world.log(), ["free 0"]);
        } else {
            drop(mm);
            assert_eq!(world.log(), ["release kvm", "release iommu", "free 0"]);
            assert!(!device.holds(page(0)));
        }
    }
}
