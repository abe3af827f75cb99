//! DONTNEED: pages read as zero when it has returned, for everybody, also when
//! another call is working on the same pages.

use address_space::{Cpu, Operation, Stage};
use mmu_protocol::RecordKind;

use crate::support::{HUGE, RW, World, block, blocks, page, pages, stopped_at, task};

#[test]
fn pages_read_as_zero_afterwards_for_cpus_and_devices() {
    let world = World::new(64);
    let mut task = task();
    let mut process = world.process(pages(16, 4), RW, &mut task);
    for number in 16..20 {
        process.cpu.store(page(number), number, &mut task).unwrap();
        assert_eq!(process.thread.load(page(number)), Ok(number));
    }
    let before = world.memory.free_frames();
    process.space.dontneed(pages(17, 2), &mut task).unwrap();
    assert_eq!(world.memory.free_frames(), before + 2, "the pages are free");
    for (number, value) in [(16, 16), (17, 0), (18, 0), (19, 19)] {
        assert_eq!(process.thread.load(page(number)), Ok(value), "page {number}");
        assert_eq!(process.cpu.load(page(number), &mut task), Ok(value), "page {number}");
    }
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], None);
}

/// The second call finds the entry cleared already. It must not return before
/// the TLBs were told: its caller may rely on the zeros (RETURN; the kernel's
/// "nested flush", semantics 5.2).
#[test]
fn a_second_call_does_not_return_before_the_tlbs_were_told() {
    for block_of in [false, true] {
        let world = World::new(2048);
        let mut task = task();
        let (range, at, vma) =
            if block_of { (blocks(1, 1), block(1), HUGE) } else { (pages(16, 1), page(16), RW) };
        let mut process = world.process(range, vma, &mut task);
        process.cpu.store(at, 7, &mut task).unwrap();
        assert_eq!(process.thread.load(at), Ok(7), "the device's TLB has it");
        let place = (Operation::Zap, Stage::Unlocked, at);
        let first = |task: &mut mmu_notifier::Task| process.space.dontneed(range, task);
        let (done, ()) = stopped_at(&world.stops, place, first, || {
            process.space.dontneed(range, &mut task).unwrap();
            assert_eq!(process.thread.load(at), Ok(0), "the second call has returned");
            assert_eq!(process.cpu.load(at, &mut task), Ok(0), "the second call has returned");
        });
        assert_eq!(done, Ok(()));
        let space = process.stop(&mut task);
        drop(task);
        world.finish([space], None);
    }
}

/// Until the call returns old and new are both allowed, and a page that comes
/// in meanwhile is told of first: nobody reads new data and then old.
#[test]
fn a_fault_in_the_window_tells_before_it_fills() {
    let world = World::new(64);
    let mut task = task();
    let mut process = world.process(pages(16, 1), RW, &mut task);
    let at = page(16);
    process.cpu.store(at, 7, &mut task).unwrap();
    assert_eq!(process.thread.load(at), Ok(7));
    let (done, ()) = stopped_at(
        &world.stops,
        (Operation::Zap, Stage::Unlocked, at),
        |task| process.space.dontneed(pages(16, 1), task),
        || {
            let told = |log: &address_space::EventLog| {
                log.count(|kind| matches!(kind, RecordKind::Invalidate { .. }))
            };
            assert_eq!(process.thread.load(at), Ok(7), "old is allowed until the return");
            let before = told(&world.log);
            // A CPU that does not know the old page: it faults.
            let mut fresh = Cpu::new(&process.space).unwrap();
            fresh.store(at, 9, &mut task).unwrap();
            assert_eq!(told(&world.log), before + 1, "the fill told first");
            assert_eq!(process.thread.load(at), Ok(9), "new, and never old again");
            assert_eq!(process.cpu.load(at, &mut task), Ok(9), "new, and never old again");
        },
    );
    assert_eq!(done, Ok(()));
    assert_eq!(process.thread.load(at), Ok(9), "a write after the moment is not lost");
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], None);
}

#[test]
fn a_part_of_a_huge_page_goes_and_the_rest_stays() {
    let world = World::new(2048);
    let mut task = task();
    let mut process = world.process(blocks(1, 1), HUGE, &mut task);
    for part in 0..512 {
        process.cpu.store(page(512 + part), part + 1, &mut task).unwrap();
    }
    process.thread.load(block(1)).unwrap();
    process.space.dontneed(pages(512 + 100, 50), &mut task).unwrap();
    for part in 0..512 {
        let value = if (100..150).contains(&part) { 0 } else { part + 1 };
        assert_eq!(process.thread.load(page(512 + part)), Ok(value), "part {part}");
    }
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], None);
}

/// A split by somebody else, between the looks at the two levels of tables,
/// must not hide the pages.
#[test]
fn a_whole_huge_page_goes_although_it_is_split_meanwhile() {
    let world = World::new(2048);
    let mut task = task();
    let mut process = world.process(blocks(1, 1), HUGE, &mut task);
    process.cpu.store(block(1), 7, &mut task).unwrap();
    let (done, ()) = stopped_at(
        &world.stops,
        (Operation::Zap, Stage::Started, block(1)),
        |task| process.space.dontneed(blocks(1, 1), task),
        || process.space.split_huge(block(1), &mut task).unwrap(),
    );
    assert_eq!(done, Ok(()));
    assert_eq!(process.cpu.load(block(1), &mut task), Ok(0));
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], None);
}
