//! A collapse copies 512 pages: it is case B for each of them, and COPY.

use address_space::{Operation, Stage, WrongPolicy};

use crate::support::{RW, World, block, blocks, page, stopped_at, task};

/// Whether a device's write survives that was made before `range_end`.
fn write_in_the_window(policy: Option<WrongPolicy>) -> bool {
    let world = World::with_policy(2048, policy);
    let mut task = task();
    let mut process = world.process(blocks(1, 1), RW, &mut task);
    for part in 0..512 {
        process.cpu.store(page(512 + part), part, &mut task).unwrap();
    }
    let at = page(512 + 77);
    process.thread.store(at, 77).unwrap();
    let (done, stored) = stopped_at(
        &world.stops,
        (Operation::Collapse, Stage::Unlocked, block(1)),
        |task| process.space.collapse(block(1), task),
        || process.thread.try_store(at, 1077),
    );
    assert_eq!((done, stored), (Ok(()), Some(())));
    for part in (0..512).filter(|part| *part != 77) {
        assert_eq!(process.thread.load(page(512 + part)), Ok(part));
    }
    let survived = process.cpu.load(at, &mut task) == Ok(1077);
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], None);
    survived
}

#[test]
fn late_notify_of_a_collapse_loses_a_write() {
    assert!(!write_in_the_window(Some(WrongPolicy::LateNotify)), "it went to the old page");
    assert!(write_in_the_window(None), "the device has the new page");
}
