//! munmap: parts of mappings and of 2 MiB pages, tables, concurrent splits.

use address_space::Error;
use mmu_protocol::Access;

use crate::support::{HUGE, RW, World, block, blocks, page, pages, task};

#[test]
fn a_part_of_a_huge_page_goes_and_the_rest_stays() {
    let world = World::new(4096);
    let mut task = task();
    // From the middle of one 2 MiB page to the middle of the next but one.
    let mut process = world.process(blocks(1, 3), HUGE, &mut task);
    for number in 512..2048 {
        process.cpu.store(page(number), number, &mut task).unwrap();
    }
    process.thread.load(block(1)).unwrap();
    process.thread.load(block(2)).unwrap();
    let gone = pages(512 + 200, 1024);
    process.space.munmap(gone, &mut task).unwrap();
    for number in 512..2048 {
        let expected = if gone.contains(page(number)) {
            Err(Error::NoMapping { addr: page(number) })
        } else {
            Ok(number)
        };
        assert_eq!(process.thread.load(page(number)), expected);
        assert_eq!(process.cpu.load(page(number), &mut task), expected);
    }
    assert_eq!(process.space.mappings().len(), 2);
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], None);
}

#[test]
fn a_whole_table_goes_with_its_pages() {
    let world = World::new(2048);
    let mut task = task();
    let mut process = world.process(blocks(1, 1), RW, &mut task);
    // The root, its one table, and no more.
    let before = world.memory.free_frames();
    for number in [512, 700, 1023] {
        process.thread.store(page(number), number).unwrap();
    }
    let upper = 1;
    assert_eq!(world.memory.free_frames(), before - upper - 1 - 3);
    process.space.munmap(blocks(1, 1), &mut task).unwrap();
    assert_eq!(world.memory.free_frames(), before - upper, "table and pages are free");
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], None);
}

/// A mapping removed and made again is empty, and the device knows.
#[test]
fn a_new_mapping_in_the_same_place_is_empty() {
    let world = World::new(64);
    let mut task = task();
    let mut process = world.process(pages(16, 2), RW, &mut task);
    process.thread.store(page(17), 7).unwrap();
    process.space.munmap(pages(16, 2), &mut task).unwrap();
    assert_eq!(
        process.thread.store(page(17), 8),
        Err(Error::NoMapping { addr: page(17) }),
        "not \"forbidden\": nothing is mapped"
    );
    process.space.mmap(pages(17, 1), RW).unwrap();
    assert_eq!(process.thread.load(page(17)), Ok(0));
    process.space.mprotect(pages(17, 1), mmu_protocol::Rights::ReadOnly, &mut task).unwrap();
    assert_eq!(
        process.thread.store(page(17), 8),
        Err(Error::Forbidden { addr: page(17), access: Access::Write })
    );
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], None);
}
