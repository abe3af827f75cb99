//! The wrong programs of `tests/ui` once more, at run time: what the compiler
//! rejects there is tried here in the form that it accepts, and must be refused
//! or turn out harmless.
#![cfg(not(any(loom, shuttle)))]

mod support;

use mmu_notifier::protocol::{Event, PageSize};
use mmu_notifier::{FillSlot, Mm, RegisterRefusal, Slot, StartError, Task, TaskTaken};
use support::*;

/// `task_is_forged`, `task_is_sent`: a thread has one token, and gets it back.
#[test]
fn a_thread_has_one_task() {
    let task = task();
    assert_eq!(Task::current().err(), Some(TaskTaken));
    assert!(elsewhere(|_| Task::current().is_err()), "each thread has its own");
    drop(task);
    drop(Task::current().unwrap());
    drop(Task::current().unwrap());
}

/// More threads than there are stripes of their own.
#[test]
fn tasks_without_a_stripe_of_their_own_share_one() {
    let world = World::build(64, &[(BASE, PageSize::Base, 48, 0)], false);
    let mm = Mm::new(Flat::<V61>::new(&world));
    let threads = 40;
    let all_have_one = std::sync::Barrier::new(threads);
    std::thread::scope(|scope| {
        for number in 0..threads as u64 {
            let (mm, all_have_one) = (&mm, &all_have_one);
            scope.spawn(move || {
                let mut task = task();
                all_have_one.wait();
                map(mm, &mut task, page(number), RW);
                let mut range = start(mm, pages(number, number + 1), &mut task);
                let mut ptl = range.lock_ptl(page(number)).unwrap();
                ptl.slot(page(number)).unwrap().present().unwrap().zap();
                drop(ptl);
                range.end();
            });
        }
    });
    assert_eq!(world.allocated(), 0);
    let mut task = task();
    // Every section has ended, so this does not wait.
    add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
}

/// `range_under_a_lock`, `second_lock`: inside a range, where the task can be
/// had, a second range is refused and a second lock is another table's.
#[test]
fn a_range_inside_a_range_is_refused() {
    let (world, mut task) = (World::new(4), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    let mut range = start(&mm, pages(0, 1), &mut task);
    let nested = mm.invalidate_range_start(pages(2, 3), Event::Clear, range.task());
    assert_eq!(nested.err(), Some(StartError::Nested));
    // A lock outside the range, one after the other.
    drop(mm.lock_ptl(page(0), PageSize::Base, range.task()).unwrap());
    drop(range.lock_ptl(page(0)).unwrap());
}

/// `register_under_a_lock`, `unregister_under_a_lock`.
#[test]
fn registering_inside_a_range_is_refused() {
    let (world, mut task) = (World::new(4), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    let mut range = start(&mm, pages(0, 1), &mut task);
    let recorder = std::sync::Arc::new(Recorder::new("late", &world));
    let refused = mm.register_tlb(recorder, range.task()).unwrap_err();
    assert_eq!(refused.reason, RegisterRefusal::InsideRange);
}

/// `lock_without_a_range`: a lock outside a range only fills.
#[test]
fn outside_a_range_a_present_entry_can_only_gain() {
    let (world, mut task) = (World::new(4), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map(&mm, &mut task, page(0), RO);
    let mut ptl = mm.lock_ptl(page(0), PageSize::Base, &mut task).unwrap();
    let FillSlot::Present(view) = ptl.fill(page(0)).unwrap() else { panic!("it is mapped") };
    assert_eq!((view.addr(), view.size(), view.with_page(Page::pfn)), (page(0), PageSize::Base, 0));
    assert!(ptl.fill(page(0)).unwrap().vacant().is_none());
}

/// `pending_has_no_set`: and neither has one that another range left.
#[test]
fn a_pending_entry_is_only_to_be_notified() {
    let (world, mut task) = (World::new(4), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map(&mm, &mut task, page(0), RW);
    let mut range = start(&mm, pages(0, 1), &mut task);
    let mut ptl = range.lock_ptl(page(0)).unwrap();
    ptl.slot(page(0)).unwrap().present().unwrap().zap();
    assert!(ptl.slot(page(0)).unwrap().present().is_none());
    assert!(matches!(ptl.fill(page(0)).unwrap(), FillSlot::Pending(_)));
    assert!(matches!(ptl.slot(page(0)).unwrap(), Slot::Pending(_)));
}

/// `deferred_page_early`: the page is with the range and with nobody else.
#[test]
fn a_deferred_page_is_freed_by_nobody_but_its_range() {
    let (world, mut task) = (World::new(4), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map(&mm, &mut task, page(0), RW);
    let mut range = start(&mm, pages(0, 1), &mut task);
    let mut ptl = range.lock_ptl(page(0)).unwrap();
    ptl.slot(page(0)).unwrap().present().unwrap().clear_flush().defer();
    drop(ptl);
    assert_eq!(world.frees(0), 0);
    elsewhere(|task| map(&mm, task, page(0), RW));
    assert_eq!(world.frees(0), 0);
    range.end();
    assert_eq!(world.frees(0), 1);
}

/// A page whose drop comes back to the protocol finds the task taken, whether
/// it is freed under the lock, by a flush, or at the end.
#[test]
fn freeing_a_page_cannot_reenter_the_protocol() {
    use std::cell::Cell;
    thread_local! { static REFUSED: Cell<u32> = const { Cell::new(0) } }
    let (world, mut task) = (World::new(4), task());
    world.on_free.set(|| REFUSED.set(REFUSED.get() + u32::from(Task::current().is_err()))).unwrap();
    let mm = Mm::new(Flat::<V61>::new(&world));
    for number in 0..3 {
        map(&mm, &mut task, page(number), RW);
    }
    let mut range = start(&mm, pages(0, 3), &mut task);
    let mut ptl = range.lock_ptl(page(0)).unwrap();
    drop(ptl.slot(page(0)).unwrap().present().unwrap().clear_flush_notify());
    ptl.slot(page(1)).unwrap().present().unwrap().zap();
    drop(ptl);
    range.flush();
    range.lock_ptl(page(2)).unwrap().slot(page(2)).unwrap().present().unwrap().zap();
    range.end();
    assert_eq!(REFUSED.get(), 3);
}
