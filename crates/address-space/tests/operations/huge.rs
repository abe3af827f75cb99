//! 2 MiB pages: fault, copy on write, split, collapse, and what happens when
//! there is no memory for one.

use address_space::{Cpu, Error};
use mmu_protocol::PageSize;

use crate::support::{HUGE, RW, World, block, blocks, page, pages, task};

#[test]
fn a_fault_brings_in_2m_where_it_fits() {
    let world = World::new(2048);
    let mut task = task();
    let mut process = world.process(pages(500, 1100), HUGE, &mut task);
    let free = world.memory.free_frames();
    process.thread.store(page(600), 6).unwrap();
    // One for the table of 2 MiB entries.
    assert_eq!(free - world.memory.free_frames(), 512 + 1, "a 2 MiB page");
    let free = world.memory.free_frames();
    process.thread.store(page(501), 5).unwrap();
    assert_eq!(free - world.memory.free_frames(), 2, "4 KiB and a table: the edge does not fit");
    let (_, frame) = process.thread.load_from(page(600)).unwrap();
    assert_eq!(world.memory.mappings(frame).len(), 1);
    assert_eq!(world.memory.mappings(frame)[0].size, PageSize::Huge);
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], None);
}

#[test]
fn a_write_after_fork_copies_all_of_it() {
    let world = World::new(4096);
    let mut task = task();
    let mut process = world.process(blocks(1, 1), HUGE, &mut task);
    for part in 0..512 {
        process.cpu.store(page(512 + part), part, &mut task).unwrap();
    }
    process.thread.store(page(512), 0).unwrap();
    let child = process.space.fork(&mut task).unwrap();
    let free = world.memory.free_frames();
    process.thread.store(page(512 + 3), 33).unwrap();
    assert_eq!(free - world.memory.free_frames(), 512, "copied as one page");
    let mut child_cpu = Cpu::new(&child).unwrap();
    for part in 0..512 {
        let parents = if part == 3 { 33 } else { part };
        assert_eq!(process.thread.load(page(512 + part)), Ok(parents));
        assert_eq!(child_cpu.load(page(512 + part), &mut task), Ok(part));
    }
    // The child is the last user of the old page and writes in place.
    let free = world.memory.free_frames();
    child_cpu.store(page(512), 99, &mut task).unwrap();
    assert_eq!(world.memory.free_frames(), free);
    assert_eq!(process.thread.load(page(512)), Ok(0));
    let space = process.stop(&mut task);
    drop((child_cpu, task));
    world.finish([space, child], None);
}

/// Room for one 2 MiB page only: the write splits it and copies 4 KiB.
#[test]
fn without_room_for_a_copy_it_is_split() {
    let world = World::new(1024);
    let mut task = task();
    let mut process = world.process(blocks(1, 1), HUGE, &mut task);
    process.thread.store(page(512), 1).unwrap();
    process.thread.store(page(513), 2).unwrap();
    let child = process.space.fork(&mut task).unwrap();
    process.thread.store(page(512), 10).unwrap();
    let mut child_cpu = Cpu::new(&child).unwrap();
    assert_eq!(process.thread.load(page(512)), Ok(10));
    assert_eq!(process.thread.load(page(513)), Ok(2));
    assert_eq!(child_cpu.load(page(512), &mut task), Ok(1));
    assert_eq!(child_cpu.load(page(513), &mut task), Ok(2));
    world.check(&[&process.space, &child], None);
    let space = process.stop(&mut task);
    drop((child_cpu, task));
    world.finish([space, child], None);
}

#[test]
fn collapse_makes_one_page_of_512_and_keeps_every_byte() {
    let world = World::new(2048);
    let mut task = task();
    let mut process = world.process(blocks(1, 1), RW, &mut task);
    let refused = Err(Error::NotCollapsible { addr: block(1) });
    assert_eq!(process.space.collapse(block(1), &mut task), refused, "nothing is present");
    for part in 0..511 {
        process.thread.store(page(512 + part), part + 1).unwrap();
    }
    assert_eq!(process.space.collapse(block(1), &mut task), refused, "one is missing");
    // Only read: the zero page may be among them.
    assert_eq!(process.thread.load(page(1023)), Ok(0));
    process.space.collapse(page(700), &mut task).unwrap();
    for part in 0..511 {
        assert_eq!(process.thread.load(page(512 + part)), Ok(part + 1));
        assert_eq!(process.cpu.load(page(512 + part), &mut task), Ok(part + 1));
    }
    assert_eq!(process.thread.load(page(1023)), Ok(0));
    process.thread.store(page(1023), 7).unwrap();
    let (_, frame) = process.thread.load_from(block(1)).unwrap();
    assert_eq!(world.memory.mappings(frame)[0].size, PageSize::Huge);
    assert_eq!(process.space.collapse(block(1), &mut task), refused, "it is one already");
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], None);
}

/// The parts of a page that was split hold one count together; they are still
/// nobody else's.
#[test]
fn a_page_that_was_split_collapses_again() {
    let world = World::new(2048);
    let mut task = task();
    let mut process = world.process(blocks(1, 1), HUGE, &mut task);
    for part in 0..512 {
        process.cpu.store(page(512 + part), part, &mut task).unwrap();
    }
    process.space.split_huge(page(700), &mut task).unwrap();
    process.space.split_huge(page(700), &mut task).expect("a second split does nothing");
    world.check(&[&process.space], None);
    process.space.collapse(block(1), &mut task).unwrap();
    for part in 0..512 {
        assert_eq!(process.thread.load(page(512 + part)), Ok(part));
    }
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], None);
}

#[test]
fn shared_pages_are_not_collapsed() {
    let world = World::new(4096);
    let mut task = task();
    let mut process = world.process(blocks(1, 1), HUGE, &mut task);
    process.cpu.store(block(1), 1, &mut task).unwrap();
    let child = process.space.fork(&mut task).unwrap();
    process.space.split_huge(block(1), &mut task).unwrap();
    let refused = Err(Error::NotCollapsible { addr: block(1) });
    assert_eq!(process.space.collapse(block(1), &mut task), refused, "the child has them too");
    child.exit(&mut task).unwrap();
    process.space.collapse(block(1), &mut task).expect("nobody else has them any more");
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space, child], None);
}
