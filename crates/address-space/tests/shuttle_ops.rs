//! Zapping, KSM and splitting under shuttle's schedules, against faults and
//! devices.
//!
//! `RUSTFLAGS="--cfg shuttle" cargo test --release -p address-space --test shuttle_ops`
#![cfg(shuttle)]

#[path = "support/explore.rs"]
mod explore;

use std::sync::Arc;

use address_space::{AddressSpace, Cpu, Ksm, WrongPolicy};
use explore::{HUGE, RW, World, block, finds, holds, page, pages, task};
use shuttle::rand::Rng;
use shuttle::thread;

const PAGE: u64 = 16;
const BELL: u64 = 17;

/// DONTNEED against a writer, a device that reads, and a second DONTNEED.
///
/// The old 7 may be read until either call has returned; after that, and after
/// the bell, it is dead for everybody.
fn dontneed(policy: Option<WrongPolicy>) {
    let world = World::new(32, policy, pages(PAGE, 2), RW);
    let mut main = task();
    let mut cpu = world.cpu();
    cpu.store(page(PAGE), 7, &mut main).unwrap();
    cpu.store(page(BELL), 0, &mut main).unwrap();
    let device = world.iommu.attach(&world.space, &mut main).unwrap();
    drop((cpu, main));
    let mut reader = device.thread().unwrap();
    assert_eq!(reader.load(page(PAGE)), Ok(7));

    let zap = |mut cpu: Cpu| {
        thread::spawn(move || {
            let mut task = task();
            let space = cpu.space().clone();
            space.dontneed(pages(PAGE, 1), &mut task).unwrap();
            let value = cpu.load(page(PAGE), &mut task).unwrap();
            assert_ne!(value, 7, "the old page after the return");
            cpu.store(page(BELL), 1, &mut task).unwrap();
        })
    };
    let mut cpus = [world.cpu(), world.cpu()];
    for cpu in &mut cpus {
        let value = cpu.load(page(PAGE), &mut task());
        assert_eq!(value, Ok(7), "the CPU has the old translation");
    }
    let zaps = cpus.map(zap);
    let mut writer = world.cpu();
    let write = thread::spawn(move || {
        let mut task = task();
        writer.store(page(PAGE), 9, &mut task).unwrap();
        let value = writer.load(page(PAGE), &mut task).unwrap();
        assert_ne!(value, 7, "the old page after a write");
    });
    let look = thread::spawn(move || {
        for _ in 0..2 {
            let bell = reader.load(page(BELL)).unwrap();
            let value = reader.load(page(PAGE)).unwrap();
            assert!(bell == 0 || value != 7, "the old page after the bell");
            assert!([0, 7, 9].contains(&value), "another page: {value:#x}");
        }
    });
    zaps.into_iter().for_each(|thread| thread.join().unwrap());
    write.join().unwrap();
    look.join().unwrap();
    world.finish(Vec::new(), vec![device], None);
}

#[test]
fn dontneed_against_faults_devices_and_itself() {
    holds(1_000, dontneed);
    finds(2_000, WrongPolicy::EarlyFree, "another page", dontneed);
}

/// munmap against a device that writes, while another process takes frames.
fn munmap(policy: Option<WrongPolicy>) {
    let world = World::new(32, policy, pages(PAGE, 1), RW);
    let mut main = task();
    let device = world.iommu.attach(&world.space, &mut main).unwrap();
    let other = AddressSpace::new(&world.memory).unwrap();
    other.mmap(pages(PAGE, 4), RW).unwrap();
    let mut owner = Cpu::new(&other).unwrap();
    owner.store(page(PAGE), 0, &mut main).unwrap();
    drop(main);
    let mut writer = device.thread().unwrap();
    writer.store(page(PAGE), 7 << 40).unwrap();
    let space = world.space.clone();
    let unmap = thread::spawn(move || {
        space.munmap(pages(PAGE, 1), &mut task()).unwrap();
    });
    let write = thread::spawn(move || {
        // Absent as an entry, should it land in a table.
        for _ in 0..3 {
            let _gone_is_fine = writer.try_store(page(PAGE), 666 << 40);
        }
        writer
    });
    let own = thread::spawn(move || {
        let mut task = task();
        owner.store(page(PAGE + 1), 42, &mut task).unwrap();
        for _ in 0..3 {
            let value = owner.load(page(PAGE + 1), &mut task).unwrap();
            assert_eq!(value, 42, "written by a device of another process");
        }
    });
    unmap.join().unwrap();
    own.join().unwrap();
    let mut writer = write.join().unwrap();
    assert_eq!(writer.try_store(page(PAGE), 1), None, "the call has returned");
    drop(writer);
    world.finish(vec![other], vec![device], None);
}

#[test]
fn munmap_against_a_device() {
    holds(800, munmap);
    finds(2_000, WrongPolicy::EarlyFree, "written by a device of another process", munmap);
}

/// KSM merges a page that a CPU and a device add to: no addition is lost, and
/// the shared page is never written.
fn ksm(policy: Option<WrongPolicy>) {
    let world = World::new(32, policy, pages(PAGE, 2), RW);
    let mut main = task();
    let ksm = Ksm::new(&world.memory);
    let mut cpu = world.cpu();
    for number in [PAGE, PAGE + 1] {
        cpu.store(page(number), 7, &mut main).unwrap();
    }
    world.space.ksm_scan(page(PAGE), &ksm, &mut main).unwrap();
    let device = world.iommu.attach(&world.space, &mut main).unwrap();
    drop(main);
    let mut adds = device.thread().unwrap();
    adds.add(page(PAGE + 1), 0).unwrap();
    let (space, ksm) = (world.space.clone(), Arc::new(ksm));
    let pages_of = ksm.clone();
    let scan = thread::spawn(move || {
        let mut task = task();
        for _ in 0..2 {
            space.ksm_scan(page(PAGE + 1), &pages_of, &mut task).unwrap();
        }
    });
    let by_device = thread::spawn(move || {
        for _ in 0..2 {
            adds.add(page(PAGE + 1), 10).unwrap();
        }
    });
    let by_cpu = thread::spawn(move || {
        let mut task = task();
        for _ in 0..2 {
            cpu.add(page(PAGE + 1), 100, &mut task).unwrap();
        }
        assert_eq!(cpu.load(page(PAGE), &mut task), Ok(7), "the shared page was written");
    });
    [scan, by_device, by_cpu].into_iter().for_each(|thread| thread.join().unwrap());
    let mut cpu = world.cpu();
    let mut main = task();
    assert_eq!(cpu.load(page(PAGE + 1), &mut main), Ok(227), "an addition is lost");
    assert_eq!(cpu.load(page(PAGE), &mut main), Ok(7), "the shared page was written");
    drop((cpu, main));
    let ksm = Arc::into_inner(ksm).expect("the scan has ended");
    world.finish(Vec::new(), vec![device], Some(ksm));
}

#[test]
fn ksm_against_writers() {
    holds(600, ksm);
}

/// `replace_page` against a device that adds: case B and COPY at once.
fn replace(policy: Option<WrongPolicy>) {
    let world = World::new(32, policy, pages(PAGE, 1), RW);
    let mut main = task();
    let device = world.iommu.attach(&world.space, &mut main).unwrap();
    drop(main);
    let mut adds = device.thread().unwrap();
    adds.store(page(PAGE), 0).unwrap();
    let space = world.space.clone();
    let swap = thread::spawn(move || {
        space.replace_page(page(PAGE), |words| words[1] += 1, &mut task()).unwrap();
    });
    let add = thread::spawn(move || {
        for _ in 0..3 {
            adds.add(page(PAGE), 1).unwrap();
        }
    });
    [swap, add].into_iter().for_each(|thread| thread.join().unwrap());
    let mut cpu = world.cpu();
    assert_eq!(cpu.load(page(PAGE), &mut task()), Ok(3), "an addition is lost");
    drop(cpu);
    world.finish(Vec::new(), vec![device], None);
}

#[test]
fn replace_page_against_a_writer() {
    holds(600, replace);
    finds(2_000, WrongPolicy::LateNotify, "an addition is lost", replace);
}

/// munmap and DONTNEED of a 2 MiB page that somebody splits meanwhile: nothing
/// is left behind, and nothing leaks.
fn split(policy: Option<WrongPolicy>) {
    let at = block().start();
    let world = World::new(1200, policy, block(), HUGE);
    let mut cpu = world.cpu();
    cpu.store(at, 7, &mut task()).unwrap();
    let space = world.space.clone();
    let splits = thread::spawn(move || space.split_huge(at, &mut task()).unwrap());
    let space = world.space.clone();
    let zaps = thread::spawn(move || {
        let mut task = task();
        space.dontneed(block(), &mut task).unwrap();
        assert_eq!(cpu.load(at, &mut task), Ok(0), "the old page after the return");
        drop(cpu);
        space.munmap(block(), &mut task).unwrap();
    });
    splits.join().unwrap();
    zaps.join().unwrap();
    world.finish(Vec::new(), Vec::new(), None);
}

/// DONTNEED of one part of a 2 MiB page while all of it is copied: that the
/// entry is away for a moment does not mean that there is nothing to zap.
fn copy(policy: Option<WrongPolicy>) {
    let at = block().start();
    let part = at.offset(5 << 12);
    let world = World::new(1700, policy, block(), HUGE);
    let mut cpu = world.cpu();
    let mut main = task();
    cpu.store(part, 7, &mut main).unwrap();
    let child = world.space.fork(&mut main).unwrap();
    drop(main);
    let mut writer = world.cpu();
    let writes = thread::spawn(move || writer.store(at, 1, &mut task()).unwrap());
    let zaps = thread::spawn(move || {
        let mut task = task();
        let space = cpu.space().clone();
        // The copy takes long: be there early, late, and in between.
        for _ in 0..shuttle::rand::thread_rng().gen_range(0..60) {
            thread::yield_now();
        }
        space.dontneed(pages(512 + 5, 1), &mut task).unwrap();
        assert_eq!(cpu.load(part, &mut task), Ok(0), "the old page after the return");
    });
    writes.join().unwrap();
    zaps.join().unwrap();
    let mut cpu = world.cpu();
    let mut main = task();
    assert_eq!(cpu.load(at, &mut main), Ok(1));
    assert_eq!(Cpu::new(&child).unwrap().load(part, &mut main), Ok(7));
    drop((cpu, main));
    world.finish(vec![child], Vec::new(), None);
}

#[test]
fn zapping_against_a_split() {
    holds(300, split);
}

#[test]
fn zapping_a_part_against_a_copy_of_the_whole() {
    holds(300, copy);
}
