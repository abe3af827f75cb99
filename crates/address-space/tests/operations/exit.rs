//! The end of an address space: devices stop first, every frame comes back,
//! also those of tables that no mapping needs any more.

use address_space::{Cpu, Error};

use crate::support::{HUGE, RW, World, block, blocks, page, pages, task};

#[test]
fn exit_stops_the_devices_and_frees_everything() {
    let world = World::new(2048);
    let mut task = task();
    let mut process = world.process(pages(16, 4), RW, &mut task);
    process.space.mmap(blocks(4, 1), HUGE).unwrap();
    process.thread.store(page(16), 1).unwrap();
    process.thread.store(block(4), 2).unwrap();
    process.space.exit(&mut task).unwrap();
    assert_eq!(process.thread.load(page(16)), Err(Error::NoMapping { addr: page(16) }));
    assert_eq!(process.thread.try_load(block(4)), None);
    assert_eq!(
        process.cpu.load(page(16), &mut task),
        Err(Error::NoMapping { addr: page(16) }),
        "nothing is mapped any more"
    );
    process.space.exit(&mut task).expect("a second exit does nothing");
    // It was told to stop when the address space went; detaching is no error.
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], None);
}

/// munmap of less than a table leaves the table; nothing is mapped by it any
/// more when the address space goes.
#[test]
fn tables_that_no_mapping_needs_are_freed() {
    let world = World::new(64);
    let mut task = task();
    let space = world.space();
    space.mmap(pages(16, 2), RW).unwrap();
    let mut cpu = Cpu::new(&space).unwrap();
    cpu.store(page(16), 1, &mut task).unwrap();
    space.munmap(pages(16, 2), &mut task).unwrap();
    assert_eq!(space.mappings(), []);
    drop((cpu, task));
    world.finish([space], None);
}

/// mremap leaves the table of the old place behind.
#[test]
fn tables_that_pages_moved_away_from_are_freed() {
    let world = World::new(64);
    let mut task = task();
    let space = world.space();
    space.mmap(pages(16, 2), RW).unwrap();
    let mut cpu = Cpu::new(&space).unwrap();
    cpu.store(page(16), 1, &mut task).unwrap();
    space.mremap(pages(16, 2), page(5000), &mut task).unwrap();
    assert_eq!(cpu.load(page(5000), &mut task), Ok(1));
    drop((cpu, task));
    world.finish([space], None);
}

/// Mappings next to each other that share a table.
#[test]
fn mappings_that_share_a_table_are_freed() {
    let world = World::new(64);
    let mut task = task();
    let space = world.space();
    let mut cpu = Cpu::new(&space).unwrap();
    for number in [16, 18, 511, 512] {
        space.mmap(pages(number, 1), RW).unwrap();
        cpu.store(page(number), number, &mut task).unwrap();
    }
    space.munmap(pages(18, 1), &mut task).unwrap();
    assert_eq!(cpu.load(page(511), &mut task), Ok(511));
    drop((cpu, task));
    world.finish([space], None);
}
