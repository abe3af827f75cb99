//! COPY: a page is copied only when no TLB can write to it any more, even if the
//! write protection is somebody else's, who has yet to tell.
//!
//! A page that was split has one count for all its parts, so a part is copied
//! although only its own entry was write-protected: by KSM, a moment ago.

use address_space::{Cpu, Ksm, Operation, Stage, WrongPolicy};

use crate::support::{HUGE, World, block, blocks, stopped_at, task};

/// Whether a device's write survives that was made between copy and set.
fn write_behind_the_copy(policy: Option<WrongPolicy>) -> bool {
    let world = World::with_policy(2048, policy);
    let ksm = Ksm::new(&world.memory);
    let mut task = task();
    let mut process = world.process(blocks(1, 1), HUGE, &mut task);
    let at = block(1);
    process.thread.store(at, 1).unwrap();
    process.space.split_huge(at, &mut task).unwrap();
    process.thread.store(at, 2).unwrap();

    let protected = (Operation::KsmProtect, Stage::Unlocked, at);
    let copied = (Operation::Cow, Stage::Copied, at);
    let mut writer = Cpu::new(&process.space).unwrap();
    let (scanned, ()) = stopped_at(
        &world.stops,
        protected,
        |task| process.space.ksm_scan(at, &ksm, task),
        || {
            drop(task);
            // The CPU has no translation yet: it faults on the protected entry.
            let (stored, ()) = stopped_at(
                &world.stops,
                copied,
                |task| writer.store(at.offset(8), 5, task),
                || {
                    let stored = process.thread.try_store(at.offset(16), 7);
                    assert_eq!(stored.is_some(), policy.is_some(), "{policy:?}: settled or not");
                    if stored.is_none() {
                        // It asks for the page and gets a right one.
                        process.thread.store(at.offset(16), 7).unwrap();
                    }
                },
            );
            assert_eq!(stored, Ok(()));
        },
    );
    scanned.unwrap();
    let mut task = crate::support::task();
    assert_eq!(process.cpu.load(at, &mut task), Ok(2));
    assert_eq!(process.cpu.load(at.offset(8), &mut task), Ok(5));
    let survived = process.cpu.load(at.offset(16), &mut task) == Ok(7);
    drop(writer);
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], Some(ksm));
    survived
}

#[test]
fn a_copy_settles_what_somebody_else_has_protected() {
    assert!(!write_behind_the_copy(Some(WrongPolicy::UnsettledCopy)), "the write is lost");
    assert!(write_behind_the_copy(None), "the write is kept");
}
