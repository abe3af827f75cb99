//! What an operation reports, in order, and how often it tells: once where once
//! is enough.

use address_space::{AddressSpace, Ksm};
use mmu_notifier::Task;
use mmu_protocol::{Record, RecordKind, Rights, Transition};

use crate::support::{HUGE, Process, RW, World, block, blocks, page, pages, task};

/// The kinds of the records of one address space, in order.
fn shape(records: &[Record], space: &AddressSpace) -> Vec<&'static str> {
    // What TLBs do on their own is not what an operation tells.
    let by_itself = |kind| matches!(kind, RecordKind::Fill { .. } | RecordKind::Use { .. });
    let own = records.iter().filter(|record| record.mm == space.id() && !by_itself(record.kind));
    own.map(|record| match record.kind {
        RecordKind::Start { .. } => "start",
        RecordKind::End { .. } => "end",
        RecordKind::Clear { .. } => "clear",
        RecordKind::Change { transition: Transition::WriteProtect, .. } => "protect",
        RecordKind::Change { transition: Transition::MakeWritable, .. } => "allow",
        RecordKind::Flush { .. } => "flush",
        RecordKind::Invalidate { .. } => "invalidate",
        RecordKind::Set { transition: Transition::Fill, .. } => "fill",
        RecordKind::Set { .. } => "set",
        RecordKind::Free { .. } => "free",
        other => panic!("{other:?} is not expected"),
    })
    .collect()
}

/// What `operation` reports in a process with one page of 4 KiB and one of
/// 2 MiB, both written, with a device, and a child that shares the 4 KiB page
/// if `forked`.
fn reported(
    forked: bool,
    operation: impl FnOnce(&mut Process, &Ksm, &mut Task),
) -> Vec<&'static str> {
    let world = World::new(4096);
    let ksm = Ksm::new(&world.memory);
    let mut task = task();
    let mut process = world.process(pages(16, 2), RW, &mut task);
    process.thread.store(page(16), 1).unwrap();
    let child = forked.then(|| process.space.fork(&mut task).unwrap());
    process.space.mmap(blocks(1, 1), HUGE).unwrap();
    process.thread.store(block(1), 2).unwrap();
    world.log.take();
    operation(&mut process, &ksm, &mut task);
    let seen = shape(&world.log.take(), &process.space);
    if let Some(child) = child {
        child.exit(&mut task).unwrap();
    }
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], Some(ksm));
    seen
}

#[test]
fn cow_tells_between_clear_and_set_and_nowhere_else() {
    let cow = ["start", "clear", "flush", "invalidate", "set", "end"];
    assert_eq!(reported(true, |p, _, task| p.cpu.store(page(16), 5, task).unwrap()), cow);
    assert_eq!(reported(true, |p, _, _| p.thread.store(page(16), 5).unwrap()), cow);
    let zero_page = |p: &mut Process, _: &Ksm, task: &mut Task| {
        p.thread.load(page(17)).unwrap();
        p.cpu.store(page(17), 5, task).unwrap();
    };
    let expected: Vec<_> = ["fill"].into_iter().chain(cow).collect();
    assert_eq!(reported(false, zero_page), expected);
    let replace = |p: &mut Process, _: &Ksm, task: &mut Task| {
        p.space.replace_page(page(16), |words| words[0] = 5, task).unwrap();
    };
    let and_free: Vec<_> = cow.into_iter().chain(["free"]).collect();
    assert_eq!(reported(false, replace), and_free, "the last user's page is free then");
}

#[test]
fn what_takes_nothing_away_tells_nobody() {
    assert_eq!(reported(false, |p, _, task| p.cpu.store(page(17), 1, task).unwrap()), ["fill"]);
    assert_eq!(reported(false, |p, _, task| p.cpu.store(page(16), 1, task).unwrap()), [""; 0]);
    let given_back = |p: &mut Process, _: &Ksm, task: &mut Task| {
        p.space.mprotect(pages(16, 1), Rights::ReadOnly, task).unwrap();
        p.space.mprotect(pages(16, 1), Rights::ReadWrite, task).unwrap();
        p.thread.store(page(16), 3).unwrap();
    };
    assert_eq!(
        reported(false, given_back),
        ["start", "protect", "flush", "invalidate", "end", "allow"]
    );
}

#[test]
fn what_may_wait_is_told_once_at_the_end() {
    let at_the_end = |what| ["start", what, "flush", "invalidate", "end"];
    let then_free = ["start", "clear", "flush", "invalidate", "end", "free"];
    let dontneed = |p: &mut Process, _: &Ksm, task: &mut Task| {
        p.space.dontneed(pages(16, 1), task).unwrap();
    };
    assert_eq!(reported(false, dontneed), then_free);
    let unmap = |p: &mut Process, _: &Ksm, task: &mut Task| {
        p.space.munmap(pages(16, 1), task).unwrap();
    };
    assert_eq!(reported(false, unmap), then_free);
    let unmap_huge = |p: &mut Process, _: &Ksm, task: &mut Task| {
        p.space.munmap(blocks(1, 1), task).unwrap();
    };
    assert_eq!(reported(false, unmap_huge), then_free);
    let protect = |p: &mut Process, _: &Ksm, task: &mut Task| {
        p.space.mprotect(blocks(1, 1), Rights::ReadOnly, task).unwrap();
    };
    assert_eq!(reported(false, protect), at_the_end("protect"));
    // Nothing there, nothing to tell.
    let untouched = |p: &mut Process, _: &Ksm, task: &mut Task| {
        p.space.dontneed(pages(17, 1), task).unwrap();
    };
    assert_eq!(reported(false, untouched), ["start", "end"]);
}

#[test]
fn fork_tells_once_for_each_mapping() {
    let fork = |p: &mut Process, _: &Ksm, task: &mut Task| {
        let child = p.space.fork(task).unwrap();
        child.exit(task).unwrap();
    };
    assert_eq!(
        reported(false, fork),
        [
            "start",
            "protect",
            "flush",
            "invalidate",
            "end", // 4 KiB
            "start",
            "protect",
            "flush",
            "invalidate",
            "end", // 2 MiB
        ]
    );
    assert_eq!(
        reported(true, fork),
        ["start", "end", "start", "protect", "flush", "invalidate", "end"],
        "what is protected already is not told again"
    );
}

#[test]
fn ksm_tells_once_for_each_of_its_two_steps() {
    let merge = |p: &mut Process, ksm: &Ksm, task: &mut Task| {
        p.cpu.store(page(17), 1, task).unwrap();
        p.space.ksm_scan(page(16), ksm, task).unwrap();
        p.space.ksm_scan(page(17), ksm, task).unwrap();
    };
    assert_eq!(
        reported(false, merge),
        [
            "fill", //
            "start",
            "protect",
            "flush",
            "invalidate",
            "end", // the first becomes a shared page
            "start",
            "protect",
            "flush",
            "invalidate",
            "end", // the second is protected
            "start",
            "clear",
            "flush",
            "set",
            "invalidate",
            "end",
            "free", // and replaced, told late
        ]
    );
}

#[test]
fn shapes_of_the_others() {
    let moved = |p: &mut Process, _: &Ksm, task: &mut Task| {
        p.space.mremap(pages(16, 1), page(18), task).unwrap();
    };
    assert_eq!(
        reported(false, moved),
        ["start", "clear", "flush", "invalidate", "fill", "end"],
        "told before the page arrives"
    );
    let split_and_collapse = |p: &mut Process, _: &Ksm, task: &mut Task| {
        p.space.split_huge(block(1), task).unwrap();
        p.space.collapse(block(1), task).unwrap();
    };
    assert_eq!(
        reported(false, split_and_collapse),
        [
            "start",
            "clear",
            "flush",
            "set",
            "invalidate",
            "end", // split: at the end
            "start",
            "clear",
            "flush",
            "invalidate",
            "set",
            "end",
            "free",
            "free", // collapse: case B
        ]
    );
}

/// With nobody to tell nobody is told.
#[test]
fn without_devices_only_the_cpus_are_flushed() {
    let world = World::new(64);
    let mut task = task();
    let space = world.space();
    space.mmap(pages(16, 1), RW).unwrap();
    let mut cpu = address_space::Cpu::new(&space).unwrap();
    cpu.store(page(16), 1, &mut task).unwrap();
    let child = space.fork(&mut task).unwrap();
    world.log.take();
    cpu.store(page(16), 2, &mut task).unwrap();
    space.dontneed(pages(16, 1), &mut task).unwrap();
    assert_eq!(
        shape(&world.log.take(), &space),
        ["start", "clear", "flush", "set", "end", "start", "clear", "flush", "end", "free"]
    );
    drop((cpu, task));
    world.finish([space, child], None);
}

#[test]
fn the_tlbs_of_cpus_and_devices_report_fills_and_uses() {
    use address_space::{Cpu, EventLog, Iommu, Memory};
    use std::sync::Arc;

    let memory = Memory::new(64);
    let log = Arc::new(EventLog::new());
    let space = AddressSpace::builder(&memory).observer(log.clone()).build().unwrap();
    let mut task = task();
    let addr = page(3);
    space.mmap(pages(3, 1), RW).unwrap();
    let mut cpu = Cpu::new(&space).unwrap();
    let device = Iommu::new(1, 64).attach(&space, &mut task).unwrap();
    let mut thread = device.thread().unwrap();

    cpu.store(addr, 7, &mut task).unwrap();
    let pfn = space.translate(addr).unwrap().pfn;
    let told = |write| {
        let fill = log.count(|kind| matches!(kind, RecordKind::Fill { pfn: to, .. } if *to == pfn));
        let used = RecordKind::Use { addr, pfn, write };
        (fill, log.count(|kind| *kind == used))
    };
    assert_eq!(told(true), (1, 1), "by the CPU");
    assert_eq!(thread.load(addr), Ok(7));
    assert_eq!(told(false), (2, 1), "and by the device");

    drop((cpu, thread));
    device.detach(&mut task).unwrap();
    space.exit(&mut task).unwrap();
}
