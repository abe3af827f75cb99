//! The zero page: what is only read costs no frame, and nobody ever writes it.

use crate::support::{RO, RW, World, page, pages, task};

#[test]
fn reads_share_it_and_the_first_write_gets_a_page() {
    let world = World::new(64);
    let mut task = task();
    let mut process = world.process(pages(16, 3), RW, &mut task);
    // Bring in the tables.
    assert_eq!(process.cpu.load(page(16), &mut task), Ok(0));
    let free = world.memory.free_frames();
    let zero = world.memory.zero_page().pfn();
    for number in 16..19 {
        assert_eq!(process.thread.load_from(page(number)), Ok((0, zero)));
    }
    assert_eq!(world.memory.free_frames(), free, "no frames");
    assert_eq!(world.memory.mappings(zero).len(), 3);
    process.thread.store(page(17), 1).unwrap();
    assert_eq!(world.memory.free_frames(), free - 1);
    assert_eq!(process.cpu.load(page(17), &mut task), Ok(1));
    assert_eq!(process.cpu.load(page(17).offset(8), &mut task), Ok(0), "the rest is zero");
    assert_eq!(process.thread.load_from(page(16)), Ok((0, zero)), "it is still zero");
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], None);
}

#[test]
fn a_first_write_takes_a_page_at_once() {
    let world = World::new(64);
    let mut task = task();
    let mut process = world.process(pages(16, 1), RW, &mut task);
    process.cpu.store(page(16).offset(8), 1, &mut task).unwrap();
    assert_eq!(process.thread.load(page(16)), Ok(0));
    assert_ne!(process.thread.load_from(page(16)).unwrap().1, world.memory.zero_page().pfn());
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], None);
}

#[test]
fn fork_and_exit_leave_it_alone() {
    let world = World::new(64);
    let mut task = task();
    let space = world.space();
    space.mmap(pages(16, 4), RO).unwrap();
    let mut cpu = address_space::Cpu::new(&space).unwrap();
    for number in 16..20 {
        assert_eq!(cpu.load(page(number), &mut task), Ok(0));
    }
    let child = space.fork(&mut task).unwrap();
    world.check(&[&space, &child], None);
    child.exit(&mut task).unwrap();
    world.check(&[&space, &child], None);
    drop((cpu, task));
    world.finish([space, child], None);
}
