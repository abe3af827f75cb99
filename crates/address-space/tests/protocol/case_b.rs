//! Case B with one page and a doorbell: the form that drivers meet.
//!
//! The COW thread stands between releasing the lock and `range_end`. Another
//! CPU writes through the new entry and then rings a bell in a page that nobody
//! remaps; a device that has seen the bell reads the data. The bell is what
//! makes old data wrong: without it "before" and "after" mean nothing to the
//! device.

use address_space::{Cpu, Operation, Stage, WrongPolicy};

use crate::support::{RW, World, page, pages, stopped_at, task};

const DATA: u64 = 16;
const BELL: u64 = 17;

/// What the device sees: first the bell, then the data.
fn bell_then_data(policy: Option<WrongPolicy>, zero_page: bool) -> (u64, u64) {
    let world = World::with_policy(64, policy);
    let mut task = task();
    let mut process = world.process(pages(16, 2), RW, &mut task);
    let old = if zero_page { 0 } else { 1 };
    if !zero_page {
        process.cpu.store(page(DATA), old, &mut task).unwrap();
    }
    process.cpu.store(page(BELL), 0, &mut task).unwrap();
    let child = process.space.fork(&mut task).unwrap();
    // The bell's page is the parent's own from here on.
    process.cpu.store(page(BELL), 0, &mut task).unwrap();
    assert_eq!(process.thread.load(page(DATA)), Ok(old), "the device has the old translation");
    assert_eq!(process.thread.load(page(BELL)), Ok(0));

    let operation = if zero_page { Operation::ZeroPage } else { Operation::Cow };
    let mut faulting = Cpu::new(&process.space).unwrap();
    let (done, seen) = stopped_at(
        &world.stops,
        (operation, Stage::Unlocked, page(DATA)),
        |task| faulting.store(page(DATA).offset(8), 5, task),
        || {
            process.cpu.store(page(DATA), 2, &mut task).unwrap();
            process.cpu.store(page(BELL), 1, &mut task).unwrap();
            let bell = process.thread.load(page(BELL)).unwrap();
            (bell, process.thread.load(page(DATA)).unwrap())
        },
    );
    assert_eq!(done, Ok(()));
    assert_eq!(process.thread.load(page(DATA)), Ok(2), "after range_end it is right again");
    assert_eq!(process.thread.load(page(DATA).offset(8)), Ok(5));
    drop(faulting);
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space, child], None);
    seen
}

#[test]
fn late_notify_shows_old_data_after_new() {
    assert_eq!(bell_then_data(Some(WrongPolicy::LateNotify), false), (1, 1), "old data");
    assert_eq!(bell_then_data(None, false), (1, 2), "the bell, then the new data");
}

#[test]
fn late_notify_of_a_zero_page_shows_zero_after_new() {
    assert_eq!(bell_then_data(Some(WrongPolicy::LateNotify), true), (1, 0), "old data");
    assert_eq!(bell_then_data(None, true), (1, 2), "the bell, then the new data");
}

/// `replace_page`: the document's third example of case B. The device's write
/// to the old page would be lost, and its read old.
#[test]
fn late_notify_of_a_replaced_page_loses_a_write() {
    for (policy, kept) in [(Some(WrongPolicy::LateNotify), false), (None, true)] {
        let world = World::with_policy(64, policy);
        let mut task = task();
        let mut process = world.process(pages(16, 1), RW, &mut task);
        process.thread.store(page(16), 1).unwrap();
        let (done, stored) = stopped_at(
            &world.stops,
            (Operation::Replace, Stage::Unlocked, page(16)),
            |task| process.space.replace_page(page(16), |words| words[0] += 10, task),
            // Only if the device still has a translation: a fault would wait
            // for the operation, which holds the mmap_lock.
            || process.thread.try_store(page(16).offset(8), 7),
        );
        assert_eq!((done, stored), (Ok(()), Some(())));
        assert_eq!(process.cpu.load(page(16), &mut task), Ok(11));
        let value = process.cpu.load(page(16).offset(8), &mut task).unwrap();
        assert_eq!(value == 7, kept, "{policy:?}: the device's write");
        let space = process.stop(&mut task);
        drop(task);
        world.finish([space], None);
    }
}
