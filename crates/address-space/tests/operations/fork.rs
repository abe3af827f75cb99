//! fork: a snapshot, or nothing at all.

use std::sync::Arc;

use address_space::{Cpu, Error, Operation, Stage};
use mmu_protocol::{PageSize, Rights};

use crate::support::{HUGE, RO, RW, World, block, blocks, page, pages, stopped_at, task};

#[test]
fn mappings_and_rights_go_to_the_child() {
    let world = World::new(2048);
    let mut task = task();
    let mut parent = world.process(pages(16, 2), RW, &mut task);
    parent.space.mmap(pages(30, 2), RO).unwrap();
    parent.space.mmap(blocks(2, 1), HUGE).unwrap();
    parent.thread.store(page(17), 1).unwrap();
    parent.thread.store(block(2), 2).unwrap();
    let child = parent.space.fork(&mut task).unwrap();
    assert_eq!(child.mappings(), parent.space.mappings());
    let mut cpu = Cpu::new(&child).unwrap();
    assert_eq!(cpu.load(page(17), &mut task), Ok(1));
    assert_eq!(cpu.load(block(2), &mut task), Ok(2));
    assert_eq!(cpu.load(page(16), &mut task), Ok(0), "never touched");
    assert!(matches!(cpu.store(page(30), 1, &mut task), Err(Error::Forbidden { .. })));
    drop(cpu);
    let parent = parent.stop(&mut task);
    drop(task);
    world.finish([parent, child], None);
}

/// Whatever number of frames is left: the fork succeeds, or everything is as
/// it was and the parent writes in place.
#[test]
fn out_of_frames_gives_everything_back() {
    let world = World::new(64);
    let mut task = task();
    // Two mappings in two tables, so that it fails at different places.
    let mut parent = world.process(pages(16, 3), RW, &mut task);
    parent.space.mmap(pages(1040, 3), RW).unwrap();
    for number in [16, 17, 1040, 1042] {
        parent.thread.store(page(number), number).unwrap();
    }
    // Root, upper table and two tables.
    let needed = 4;
    for left in 0..=needed {
        let mut taken = Vec::new();
        while world.memory.free_frames() > left {
            taken.push(world.memory.alloc(PageSize::Base, parent.space.id()).unwrap());
        }
        let result = parent.space.fork(&mut task);
        assert_eq!(result.is_ok(), left == needed, "with {left} frames");
        match result {
            Ok(child) => child.exit(&mut task).unwrap(),
            Err(error) => assert_eq!(error, Error::OutOfFrames),
        }
        assert_eq!(world.memory.free_frames(), left, "everything is back");
        drop(taken);
        world.check(&[&parent.space], None);
        for number in [16, 17, 1040, 1042] {
            let (value, before) = parent.thread.load_from(page(number)).unwrap();
            assert_eq!(value, number);
            parent.thread.store(page(number), number).unwrap();
            assert_eq!(parent.thread.load_from(page(number)), Ok((number, before)), "in place");
        }
    }
    let parent = parent.stop(&mut task);
    drop(task);
    world.finish([parent], None);
}

/// Two pages, the first shared when the thread stops: a writer that has been
/// made to wait at the first does not write to the second. All of the snapshot
/// is of one moment.
#[test]
fn write_faults_wait_for_the_fork() {
    let world = World::new(64);
    let mut task = task();
    // Two mappings: the first range has ended when the thread stands in the second.
    let mut parent = world.process(pages(16, 1), RW, &mut task);
    parent.space.mmap(pages(17, 1), RW).unwrap();
    let (a, b) = (page(16), page(17));
    parent.thread.store(a, 1).unwrap();
    parent.thread.store(b, 1).unwrap();
    let mut writer = Cpu::new(&parent.space).unwrap();
    let space = &parent.space;
    let child = std::thread::scope(|scope| {
        let (child, writing) = stopped_at(
            &world.stops,
            (Operation::Fork, Stage::Started, b),
            |task| space.fork(task),
            || {
                assert_eq!(parent.thread.try_store(a, 2), None, "shared, and told");
                let writing = scope.spawn(move || {
                    let mut task = task_of_a_new_thread();
                    writer.store(a, 2, &mut task).unwrap();
                    writer.store(b, 2, &mut task).unwrap();
                });
                // Allowed: b is not shared yet, and nobody was made to wait before.
                assert_eq!(parent.thread.try_store(b.offset(8), 3), Some(()));
                writing
            },
        );
        writing.join().unwrap();
        child.unwrap()
    });
    let mut cpu = Cpu::new(&child).unwrap();
    assert_eq!(cpu.load(a, &mut task), Ok(1));
    assert_eq!(cpu.load(b, &mut task), Ok(1), "the write after the one that waited");
    assert_eq!(cpu.load(b.offset(8), &mut task), Ok(3));
    assert_eq!(parent.thread.load(a), Ok(2));
    assert_eq!(parent.thread.load(b), Ok(2));
    drop(cpu);
    let parent = parent.stop(&mut task);
    drop(task);
    world.finish([parent, child], None);
}

fn task_of_a_new_thread() -> mmu_notifier::Task {
    mmu_notifier::Task::current().expect("a new thread has no task")
}

/// The child has an address space of its own, and its own devices.
#[test]
fn the_child_may_change_everything() {
    let world = World::new(64);
    let mut task = task();
    let mut parent = world.process(pages(16, 2), RW, &mut task);
    parent.thread.store(page(16), 1).unwrap();
    let child = parent.space.fork(&mut task).unwrap();
    child.mprotect(pages(16, 1), Rights::ReadOnly, &mut task).unwrap();
    child.mremap(pages(16, 1), page(40), &mut task).unwrap();
    child.munmap(pages(17, 1), &mut task).unwrap();
    let mut cpu = Cpu::new(&child).unwrap();
    assert_eq!(cpu.load(page(40), &mut task), Ok(1));
    assert!(matches!(cpu.store(page(40), 2, &mut task), Err(Error::Forbidden { .. })));
    parent.thread.store(page(16), 5).unwrap();
    parent.thread.store(page(17), 5).unwrap();
    assert_eq!(cpu.load(page(40), &mut task), Ok(1));
    drop(cpu);
    let grandchild = child.fork(&mut task).unwrap();
    assert!(Arc::ptr_eq(grandchild.memory(), child.memory()));
    let parent = parent.stop(&mut task);
    drop(task);
    world.finish([parent, child, grandchild], None);
}
