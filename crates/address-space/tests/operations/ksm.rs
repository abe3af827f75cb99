//! KSM: the same bytes become one page, different bytes never do, and a write
//! makes them two again.

use address_space::{Cpu, Error, Ksm, Merge, Operation, Stage};

use crate::support::{HUGE, RW, World, block, blocks, page, pages, stopped_at, task};

#[test]
fn same_bytes_are_merged_and_a_write_unmerges() {
    let world = World::new(64);
    let ksm = Ksm::new(&world.memory);
    let mut task = task();
    let mut one = world.process(pages(16, 3), RW, &mut task);
    let mut two = world.process(pages(16, 1), RW, &mut task);
    for number in 16..19 {
        one.thread.store(page(number).offset(80), 7).unwrap();
    }
    two.thread.store(page(16).offset(80), 7).unwrap();
    one.thread.store(page(18), 1).unwrap();

    let free = world.memory.free_frames();
    assert_eq!(one.space.ksm_scan(page(16), &ksm, &mut task), Ok(Merge::Shared));
    assert_eq!(one.space.ksm_scan(page(17), &ksm, &mut task), Ok(Merge::Merged));
    assert_eq!(two.space.ksm_scan(page(16), &ksm, &mut task), Ok(Merge::Merged), "another space");
    assert_eq!(one.space.ksm_scan(page(18), &ksm, &mut task), Ok(Merge::Shared), "other bytes");
    assert_eq!(one.space.ksm_scan(page(16), &ksm, &mut task), Ok(Merge::Unchanged));
    assert_eq!(ksm.shared(), 2);
    assert_eq!(world.memory.free_frames(), free + 2);
    let (_, shared) = one.thread.load_from(page(16)).unwrap();
    assert_eq!(two.thread.load_from(page(16)), Ok((0, shared)));
    assert_eq!(world.memory.mappings(shared).len(), 3);
    world.check(&[&one.space, &two.space], Some(&ksm));

    one.thread.store(page(17), 5).unwrap();
    assert_eq!(one.cpu.load(page(17).offset(80), &mut task), Ok(7), "the rest is as before");
    assert_eq!(one.cpu.load(page(16), &mut task), Ok(0));
    assert_eq!(two.cpu.load(page(16), &mut task), Ok(0));
    // Even the last user does not write to a shared page.
    one.space.dontneed(pages(16, 1), &mut task).unwrap();
    two.thread.store(page(16), 6).unwrap();
    assert_ne!(two.thread.load_from(page(16)).unwrap().1, shared);
    world.check(&[&one.space, &two.space], Some(&ksm));
    let (one, two) = (one.stop(&mut task), two.stop(&mut task));
    drop(task);
    world.finish([one, two], Some(ksm));
}

#[test]
fn nothing_to_scan() {
    let world = World::new(2048);
    let ksm = Ksm::new(&world.memory);
    let mut task = task();
    let mut process = world.process(pages(16, 1), RW, &mut task);
    process.space.mmap(blocks(1, 1), HUGE).unwrap();
    process.thread.store(block(1), 1).unwrap();
    let scan = |addr, task: &mut mmu_notifier::Task| process.space.ksm_scan(addr, &ksm, task);
    let absent = |addr| Err(Error::NotPresent { addr });
    assert_eq!(scan(page(16), &mut task), absent(page(16)), "never touched");
    assert_eq!(scan(page(40), &mut task), absent(page(40)), "not mapped");
    assert_eq!(scan(block(1), &mut task), absent(block(1)), "2 MiB");
    let last = mmu_protocol::VirtAddr::new(u64::MAX);
    assert!(scan(last, &mut task).is_err(), "beyond what can be mapped");
    assert_eq!(process.thread.load(page(16)), Ok(0));
    assert_eq!(process.space.ksm_scan(page(16), &ksm, &mut task), Ok(Merge::Unchanged), "zero");
    assert_eq!(ksm.shared(), 0);
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], Some(ksm));
}

/// The parts of a 2 MiB page that was split are shared one by one.
#[test]
fn a_part_of_a_split_page() {
    let world = World::new(2048);
    let ksm = Ksm::new(&world.memory);
    let mut task = task();
    let mut process = world.process(blocks(1, 1), HUGE, &mut task);
    for part in 0..4 {
        process.thread.store(page(512 + part), part / 2).unwrap();
    }
    process.space.split_huge(block(1), &mut task).unwrap();
    let scan = |part: u64, task: &mut mmu_notifier::Task| {
        process.space.ksm_scan(page(512 + part), &ksm, task)
    };
    assert_eq!(scan(2, &mut task), Ok(Merge::Shared));
    assert_eq!(scan(3, &mut task), Ok(Merge::Merged));
    assert_eq!(scan(0, &mut task), Ok(Merge::Shared), "it is not its neighbour");
    assert_eq!(scan(1, &mut task), Ok(Merge::Merged));
    process.thread.store(page(512 + 2), 9).unwrap();
    process.thread.store(page(512 + 100), 9).unwrap();
    for (part, value) in [(0, 0), (1, 0), (2, 9), (3, 1), (100, 9), (101, 0)] {
        assert_eq!(process.thread.load(page(512 + part)), Ok(value), "part {part}");
    }
    world.check(&[&process.space], Some(&ksm));
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], Some(ksm));
}

/// A write between the steps: the page is not what was compared any more.
#[test]
fn a_write_in_the_window_is_never_lost() {
    let stages = [
        (Operation::KsmProtect, Stage::Started),
        (Operation::KsmProtect, Stage::Unlocked),
        (Operation::KsmProtect, Stage::Ended),
        (Operation::KsmReplace, Stage::Copied),
        (Operation::KsmReplace, Stage::Started),
        (Operation::KsmReplace, Stage::Unlocked),
        (Operation::KsmReplace, Stage::Ended),
    ];
    for (operation, stage) in stages {
        for by_device in [false, true] {
            let world = World::new(64);
            let ksm = Ksm::new(&world.memory);
            let mut task = task();
            let mut process = world.process(pages(16, 2), RW, &mut task);
            let (shared, at) = (page(16), page(17));
            process.thread.store(shared, 7).unwrap();
            process.space.ksm_scan(shared, &ksm, &mut task).unwrap();
            process.thread.store(at, 7).unwrap();
            process.cpu.store(at, 7, &mut task).unwrap();
            let (merged, ()) = stopped_at(
                &world.stops,
                (operation, stage, at),
                |task| process.space.ksm_scan(at, &ksm, task),
                || {
                    if by_device {
                        process.thread.store(at, 8).unwrap();
                    } else {
                        process.cpu.store(at, 8, &mut task).unwrap();
                    }
                },
            );
            let merged = merged.unwrap();
            let late = matches!(
                (operation, stage),
                (Operation::KsmReplace, Stage::Unlocked | Stage::Ended)
            );
            let place = format!("{operation:?} {stage:?}, device {by_device}");
            assert_eq!(merged == Merge::Merged, late, "{place}: {merged:?}");
            assert_eq!(process.thread.load(at), Ok(8), "{place}");
            assert_eq!(process.cpu.load(at, &mut task), Ok(8), "{place}");
            assert_eq!(Cpu::new(&process.space).unwrap().load(shared, &mut task), Ok(7), "{place}");
            let space = process.stop(&mut task);
            drop(task);
            world.finish([space], Some(ksm));
        }
    }
}

/// Without the shared pages' keeper the pages live as long as they are mapped,
/// and stay unwritable.
#[test]
fn shared_pages_outlive_their_keeper() {
    let world = World::new(64);
    let ksm = Ksm::new(&world.memory);
    let mut task = task();
    let mut process = world.process(pages(16, 2), RW, &mut task);
    for number in [16, 17] {
        process.thread.store(page(number), 7).unwrap();
        process.space.ksm_scan(page(number), &ksm, &mut task).unwrap();
    }
    drop(ksm);
    world.check(&[&process.space], None);
    process.thread.store(page(16), 8).unwrap();
    process.thread.store(page(17), 9).unwrap();
    assert_eq!(process.cpu.load(page(16), &mut task), Ok(8));
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], None);
}
