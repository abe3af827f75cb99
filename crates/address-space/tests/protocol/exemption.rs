//! The exemption: write protection, and a switch to a page with the same bytes,
//! may wait until `range_end`, outside the lock, "even if the thread doing the
//! page table update is preempted right after releasing page table lock".
//!
//! The thread stands exactly there while devices and CPUs read and write. No
//! value is wrong and no write is lost.

use address_space::{Cpu, Error, Ksm, Merge, Operation, Stage};
use mmu_protocol::{Access, RecordKind, Rights};

use crate::support::{RW, World, page, pages, stopped_at, task};

#[test]
fn ksm_replace_may_wait_until_range_end() {
    let world = World::new(64);
    let ksm = Ksm::new(&world.memory);
    let mut task = task();
    let mut process = world.process(pages(16, 3), RW, &mut task);
    let (shared, at, bell) = (page(16), page(17), page(18));
    process.cpu.store(shared, 7, &mut task).unwrap();
    process.cpu.store(at, 7, &mut task).unwrap();
    process.cpu.store(bell, 0, &mut task).unwrap();
    assert_eq!(process.space.ksm_scan(shared, &ksm, &mut task), Ok(Merge::Shared));
    let (_, old) = process.thread.load_from(at).unwrap();

    let frees = world.memory.frees();
    let (merged, ()) = stopped_at(
        &world.stops,
        (Operation::KsmReplace, Stage::Unlocked, at),
        |task| process.space.ksm_scan(at, &ksm, task),
        || {
            // The old page or the new one: they hold the same bytes.
            assert_eq!(process.thread.load(at), Ok(7));
            assert_eq!(process.cpu.load(at, &mut task), Ok(7));
            assert_eq!(world.memory.frees(), frees, "nobody gets the old page yet");
            assert!(world.memory.references(old) > 0);
            // A write makes a page of its own, and whoever heard of it sees it.
            process.cpu.store(at, 8, &mut task).unwrap();
            process.cpu.store(bell, 1, &mut task).unwrap();
            assert_eq!(process.thread.load(bell), Ok(1));
            assert_eq!(process.thread.load(at), Ok(8), "the bell, then the new data");
            process.thread.store(at.offset(8), 9).unwrap();
        },
    );
    assert_eq!(merged, Ok(Merge::Merged));
    assert_eq!(process.thread.load(at), Ok(8));
    assert_eq!(process.cpu.load(at.offset(8), &mut task), Ok(9), "no write was lost");
    assert_eq!(process.cpu.load(shared, &mut task), Ok(7), "the shared page is as it was");
    assert_eq!(world.memory.frees(), frees + 1, "the old page is free");
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], Some(ksm));
}

/// As above, with a device that holds the translation to the old page in the
/// window: it took it between the two steps of KSM.
#[test]
fn an_old_translation_in_the_window_reads_the_same_bytes() {
    let world = World::new(64);
    let ksm = Ksm::new(&world.memory);
    let mut task = task();
    let mut process = world.process(pages(16, 2), RW, &mut task);
    let (shared, at) = (page(16), page(17));
    process.cpu.store(shared, 7, &mut task).unwrap();
    process.cpu.store(at, 7, &mut task).unwrap();
    process.space.ksm_scan(shared, &ksm, &mut task).unwrap();
    let (_, shared_frame) = process.thread.load_from(shared).unwrap();
    let (started, replaced) =
        ((Operation::KsmReplace, Stage::Started, at), (Operation::KsmReplace, Stage::Unlocked, at));
    world.stops.arm(replaced.0, replaced.1, replaced.2);
    let (merged, ()) = stopped_at(
        &world.stops,
        started,
        |task| process.space.ksm_scan(at, &ksm, task),
        || {
            let (_, old) = process.thread.load_from(at).unwrap();
            world.stops.pass(started.0, started.1, started.2);
            world.stops.wait(replaced.0, replaced.1, replaced.2);
            let (value, frame) = process.thread.load_from(at).unwrap();
            assert_eq!((value, frame), (7, old), "an old translation, the same bytes");
            let (value, frame) = {
                let mut fresh = Cpu::new(&process.space).unwrap();
                (fresh.load(at, &mut task).unwrap(), process.space.translate(at).unwrap().pfn)
            };
            assert_eq!((value, frame), (7, shared_frame), "the new one, the same bytes");
            assert_eq!(process.thread.try_store(at, 1), None, "neither can be written");
            world.stops.pass(replaced.0, replaced.1, replaced.2);
        },
    );
    assert_eq!(merged, Ok(Merge::Merged));
    assert_eq!(process.thread.load_from(at), Ok((7, shared_frame)), "told at range_end");
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], Some(ksm));
}

#[test]
fn write_protect_may_wait_until_range_end() {
    mprotect_in_the_window();
    fork_in_the_window();
    ksm_protect_in_the_window();
}

/// The device goes on writing until the call returns, and not after.
fn mprotect_in_the_window() {
    let world = World::new(64);
    let mut task = task();
    let mut process = world.process(pages(16, 1), RW, &mut task);
    let at = page(16);
    process.thread.store(at, 1).unwrap();
    let (done, ()) = stopped_at(
        &world.stops,
        (Operation::Mprotect, Stage::Unlocked, at),
        |task| process.space.mprotect(pages(16, 1), Rights::ReadOnly, task),
        || {
            assert_eq!(process.thread.try_store(at, 2), Some(()), "allowed until the return");
            assert_eq!(process.thread.try_load(at), Some(2));
        },
    );
    assert_eq!(done, Ok(()));
    assert_eq!(process.cpu.load(at, &mut task), Ok(2), "the write was not lost");
    let forbidden = Error::Forbidden { addr: at, access: Access::Write };
    assert_eq!(process.thread.store(at, 3), Err(forbidden), "the call has returned");
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], None);
}

/// A write before the return of fork may be in the child; one after may not.
fn fork_in_the_window() {
    let world = World::new(64);
    let mut task = task();
    let mut process = world.process(pages(16, 1), RW, &mut task);
    let at = page(16);
    process.thread.store(at, 1).unwrap();
    let (child, ()) = stopped_at(
        &world.stops,
        (Operation::Fork, Stage::Unlocked, at),
        |task| process.space.fork(task),
        || assert_eq!(process.thread.try_store(at, 2), Some(()), "the fork has not returned"),
    );
    let child = child.unwrap();
    process.thread.store(at, 3).unwrap();
    let mut child_cpu = Cpu::new(&child).unwrap();
    assert_eq!(child_cpu.load(at, &mut task), Ok(2), "before the return, not after");
    assert_eq!(process.cpu.load(at, &mut task), Ok(3));
    drop(child_cpu);
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space, child], None);
}

/// A device that still writes while KSM is between its two steps makes KSM
/// look again: the compare comes after everybody was told.
fn ksm_protect_in_the_window() {
    let world = World::new(64);
    let ksm = Ksm::new(&world.memory);
    let mut task = task();
    let mut process = world.process(pages(16, 2), RW, &mut task);
    let (shared, at) = (page(16), page(17));
    process.cpu.store(shared, 7, &mut task).unwrap();
    process.space.ksm_scan(shared, &ksm, &mut task).unwrap();
    process.thread.store(at, 7).unwrap();
    let (merged, ()) = stopped_at(
        &world.stops,
        (Operation::KsmProtect, Stage::Unlocked, at),
        |task| process.space.ksm_scan(at, &ksm, task),
        || {
            let told = |kind: &RecordKind| matches!(kind, RecordKind::Invalidate { .. });
            let before = world.log.count(told);
            assert_eq!(process.thread.try_store(at, 8), Some(()), "told at range_end");
            assert_eq!(world.log.count(told), before);
        },
    );
    assert_eq!(merged, Ok(Merge::Shared), "no longer the same bytes: a shared page of its own");
    assert_eq!(process.thread.load(at), Ok(8), "the write was not lost");
    assert_eq!(process.cpu.load(shared, &mut task), Ok(7));
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], Some(ksm));
}
