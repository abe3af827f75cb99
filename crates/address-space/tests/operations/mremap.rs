//! mremap: both lock orders, one table, parts of 2 MiB pages, and the end of
//! the address space.

use address_space::{END_OF_ADDRESSES, Error};
use mmu_protocol::{VirtAddr, VirtRange};

use crate::support::{HUGE, RW, World, blocks, page, pages, task};

/// Moves two pages from one page number to another and checks both names.
fn moves(from: u64, to: u64, touch_target_table_first: bool) {
    let world = World::new(64);
    let mut task = task();
    let mut process = world.process(pages(from, 2), RW, &mut task);
    if touch_target_table_first {
        // The table of the target gets the lower frame, so its lock the lower place.
        process.space.mmap(pages(to + 8, 1), RW).unwrap();
        process.thread.store(page(to + 8), 8).unwrap();
    }
    process.thread.store(page(from), 1).unwrap();
    process.thread.store(page(from + 1), 2).unwrap();
    process.cpu.load(page(from), &mut task).unwrap();
    process.space.mremap(pages(from, 2), page(to), &mut task).unwrap();
    for number in [from, from + 1] {
        let gone = Error::NoMapping { addr: page(number) };
        assert_eq!(process.thread.try_load(page(number)), None);
        assert_eq!(process.thread.load(page(number)), Err(gone));
        assert_eq!(process.cpu.load(page(number), &mut task), Err(gone));
    }
    assert_eq!(process.thread.load(page(to)), Ok(1));
    assert_eq!(process.cpu.load(page(to + 1), &mut task), Ok(2));
    process.thread.store(page(to), 3).expect("the rights have moved along");
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], None);
}

#[test]
fn to_another_table_in_either_lock_order_and_in_one_table() {
    moves(16, 5000, false);
    moves(5000, 16, false);
    moves(16, 5000, true);
    moves(5000, 16, true);
    moves(16, 32, false);
    moves(32, 16, false);
}

/// Across the border of two tables, at source and target.
#[test]
fn across_tables() {
    moves(511, 1000, false);
    moves(1000, 511, false);
    moves(511, 1535, true);
}

#[test]
fn a_part_of_a_huge_page_moves_and_the_rest_stays() {
    let world = World::new(2048);
    let mut task = task();
    let mut process = world.process(blocks(1, 1), HUGE, &mut task);
    for part in 0..512 {
        process.thread.store(page(512 + part), part + 1).unwrap();
    }
    process.space.mremap(pages(512 + 10, 20), page(5001), &mut task).unwrap();
    for part in 0..512 {
        if (10..30).contains(&part) {
            assert!(process.thread.load(page(512 + part)).is_err());
            assert_eq!(process.thread.load(page(5001 + part - 10)), Ok(part + 1));
        } else {
            assert_eq!(process.thread.load(page(512 + part)), Ok(part + 1));
        }
    }
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], None);
}

/// A target at the end of 64 bits is refused, not a panic.
#[test]
fn a_target_beyond_the_last_address_is_refused() {
    let world = World::new(64);
    let mut task = task();
    let space = world.space();
    space.mmap(pages(16, 2), RW).unwrap();
    for to in [
        VirtAddr::new(!0xfff),
        END_OF_ADDRESSES,
        VirtAddr::new(END_OF_ADDRESSES.as_u64() - 0x1000),
        VirtAddr::new(0x123),
    ] {
        let error = space.mremap(pages(16, 2), to, &mut task).unwrap_err();
        assert!(matches!(error, Error::BadRange { .. }), "{error}");
    }
    // The last page there is.
    let last = VirtAddr::new(END_OF_ADDRESSES.as_u64() - 0x2000);
    space.mremap(pages(16, 2), last, &mut task).unwrap();
    let mapped = VirtRange::new(last, END_OF_ADDRESSES).unwrap();
    assert_eq!(space.mappings(), [(mapped, RW)]);
    drop(task);
    world.finish([space], None);
}
