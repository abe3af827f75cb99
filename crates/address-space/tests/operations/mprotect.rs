//! mprotect: a right that was taken is gone at the return, for CPUs and
//! devices; one that was given is found by the next fault.

use address_space::Error;
use mmu_protocol::{Access, Rights};

use crate::support::{HUGE, RO, RW, World, block, blocks, page, pages, task};

#[test]
fn taken_at_the_return_and_given_by_the_next_fault() {
    let world = World::new(64);
    let mut task = task();
    let mut process = world.process(pages(16, 3), RW, &mut task);
    for number in 16..19 {
        process.thread.store(page(number), number).unwrap();
        process.cpu.store(page(number), number, &mut task).unwrap();
    }
    let (_, frame) = process.thread.load_from(page(17)).unwrap();
    process.space.mprotect(pages(17, 1), Rights::ReadOnly, &mut task).unwrap();
    let forbidden = Err(Error::Forbidden { addr: page(17), access: Access::Write });
    assert_eq!(process.thread.store(page(17), 1), forbidden);
    assert_eq!(process.thread.try_store(page(17), 1), None);
    assert_eq!(process.cpu.store(page(17), 1, &mut task), forbidden);
    assert_eq!(process.thread.load(page(17)), Ok(17), "reads go on");
    process.thread.store(page(16), 1).expect("its neighbours are as before");
    process.thread.store(page(18), 1).expect("its neighbours are as before");

    process.space.mprotect(pages(16, 3), Rights::ReadWrite, &mut task).unwrap();
    process.thread.store(page(17), 2).unwrap();
    assert_eq!(process.thread.load_from(page(17)), Ok((2, frame)), "in place: it is not shared");
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], None);
}

#[test]
fn a_part_of_a_huge_page() {
    let world = World::new(2048);
    let mut task = task();
    let mut process = world.process(blocks(1, 1), HUGE, &mut task);
    process.thread.store(block(1), 1).unwrap();
    process.space.mprotect(pages(512 + 100, 10), Rights::ReadOnly, &mut task).unwrap();
    for part in 0..512 {
        let stored = process.thread.store(page(512 + part), part);
        assert_eq!(stored.is_ok(), !(100..110).contains(&part), "part {part}");
    }
    assert_eq!(process.space.mappings().len(), 3);
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], None);
}

#[test]
fn a_whole_huge_page_stays_one() {
    let world = World::new(2048);
    let mut task = task();
    let mut process = world.process(blocks(1, 1), HUGE, &mut task);
    process.thread.store(page(700), 1).unwrap();
    let (_, frame) = process.thread.load_from(page(700)).unwrap();
    process.space.mprotect(blocks(1, 1), Rights::ReadOnly, &mut task).unwrap();
    assert_eq!(process.thread.try_store(page(700), 2), None);
    process.space.mprotect(blocks(1, 1), Rights::ReadWrite, &mut task).unwrap();
    process.thread.store(page(700), 2).unwrap();
    assert_eq!(process.thread.load_from(page(700)), Ok((2, frame)));
    assert_eq!(world.memory.mappings(frame).len(), 1);
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], None);
}

/// A page shared with a child is copied, not made writable, when the right
/// comes back.
#[test]
fn a_right_given_back_does_not_write_to_a_shared_page() {
    let world = World::new(64);
    let mut task = task();
    let mut process = world.process(pages(16, 1), RW, &mut task);
    process.thread.store(page(16), 1).unwrap();
    process.space.mprotect(pages(16, 1), Rights::ReadOnly, &mut task).unwrap();
    let child = process.space.fork(&mut task).unwrap();
    assert_eq!(child.mappings(), [(pages(16, 1), RO)]);
    process.space.mprotect(pages(16, 1), Rights::ReadWrite, &mut task).unwrap();
    process.thread.store(page(16), 2).unwrap();
    let mut cpu = address_space::Cpu::new(&child).unwrap();
    assert_eq!(cpu.load(page(16), &mut task), Ok(1));
    drop(cpu);
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space, child], None);
}
