//! Copy on write under shuttle's schedules: a device that has seen the bell
//! sees the data, whenever it registered, and no write is lost.
//!
//! `RUSTFLAGS="--cfg shuttle" cargo test --release -p address-space --test shuttle_cow`
#![cfg(shuttle)]

#[path = "support/explore.rs"]
mod explore;

use std::sync::Arc;

use address_space::{Cpu, DeviceThread, Ksm, WrongPolicy};
use explore::{HUGE, RW, World, block, finds, holds, page, pages, task};
use shuttle::thread;

const DATA: u64 = 16;
const BELL: u64 = 17;

/// The child shares the data page; the bell's page is the parent's own.
fn forked(policy: Option<WrongPolicy>) -> (World, Arc<address_space::AddressSpace>) {
    let world = World::new(32, policy, pages(DATA, 2), RW);
    let mut task = task();
    let mut cpu = world.cpu();
    cpu.store(page(DATA), 1, &mut task).unwrap();
    cpu.store(page(BELL), 0, &mut task).unwrap();
    let child = world.space.fork(&mut task).unwrap();
    cpu.store(page(BELL), 0, &mut task).unwrap();
    (world, child)
}

/// Two CPUs write to the page that has to be copied; one of them rings when it
/// has written.
fn writers(world: &World) -> [thread::JoinHandle<()>; 2] {
    let (mut one, mut two) = (world.cpu(), world.cpu());
    [
        thread::spawn(move || {
            let mut task = task();
            one.store(page(DATA).offset(8), 5, &mut task).unwrap();
        }),
        thread::spawn(move || {
            let mut task = task();
            two.store(page(DATA), 2, &mut task).unwrap();
            two.store(page(BELL), 1, &mut task).unwrap();
        }),
    ]
}

/// The device waits for the bell and then reads the data.
fn look_after_the_bell(reader: &mut DeviceThread) {
    while reader.load(page(BELL)) != Ok(1) {
        thread::yield_now();
    }
    assert_eq!(reader.load(page(DATA)), Ok(2), "old data after the bell");
}

/// Fork, COW, another writer, and a device with the old translation.
fn doorbell(policy: Option<WrongPolicy>) {
    let (world, child) = forked(policy);
    let mut main = task();
    let device = world.iommu.attach(&world.space, &mut main).unwrap();
    drop(main);
    let mut reader = device.thread().unwrap();
    assert_eq!(reader.load(page(DATA)), Ok(1), "the device has the old translation");
    assert_eq!(reader.load(page(BELL)), Ok(0));
    let threads = writers(&world);
    let looks = thread::spawn(move || look_after_the_bell(&mut reader));
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    looks.join().unwrap();
    let mut childs = Cpu::new(&child).unwrap();
    assert_eq!(childs.load(page(DATA), &mut task()), Ok(1), "the child keeps its value");
    drop(childs);
    world.finish(vec![child], vec![device], None);
}

#[test]
fn a_device_sees_the_data_after_the_bell() {
    holds(1_000, doorbell);
    finds(2_000, WrongPolicy::LateNotify, "old data after the bell", doorbell);
}

/// The device registers while the pages are being copied: a range that started
/// before does not know it and must have ended before the device may walk.
fn registration(policy: Option<WrongPolicy>) {
    let (world, child) = forked(policy);
    let threads = writers(&world);
    let (iommu, space) = (world.iommu.clone(), world.space.clone());
    let comes = thread::spawn(move || {
        let mut task = task();
        let device = iommu.attach(&space, &mut task).unwrap();
        drop(task);
        let mut reader = device.thread().unwrap();
        // Perhaps the old translation, perhaps not any more.
        assert!(reader.load(page(DATA)).is_ok());
        look_after_the_bell(&mut reader);
        device
    });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let device = comes.join().unwrap();
    world.finish(vec![child], vec![device], None);
}

#[test]
fn a_device_may_register_at_any_time() {
    holds(1_000, registration);
    finds(2_000, WrongPolicy::LateNotify, "old data after the bell", registration);
}

/// A part of a split page is copied while KSM has just protected it and a
/// device adds to it.
fn unsettled(policy: Option<WrongPolicy>) {
    let at = block().start();
    let world = World::new(1200, policy, block(), HUGE);
    let mut main = task();
    let device = world.iommu.attach(&world.space, &mut main).unwrap();
    drop(main);
    let mut adds = device.thread().unwrap();
    adds.store(at, 0).unwrap();
    world.space.split_huge(at, &mut task()).unwrap();
    adds.store(at, 0).unwrap();
    let ksm = Arc::new(Ksm::new(&world.memory));
    let (space, pages) = (world.space.clone(), ksm.clone());
    let scan = thread::spawn(move || {
        space.ksm_scan(at, &pages, &mut task()).unwrap();
    });
    let mut cpu = world.cpu();
    let write = thread::spawn(move || {
        cpu.store(at.offset(8), 1, &mut task()).unwrap();
    });
    let add = thread::spawn(move || {
        for _ in 0..4 {
            adds.add(at, 1).unwrap();
        }
    });
    [scan, write, add].into_iter().for_each(|thread| thread.join().unwrap());
    let mut cpu = world.cpu();
    let mut main = task();
    assert_eq!(cpu.load(at, &mut main), Ok(4), "a write of the device is lost");
    assert_eq!(cpu.load(at.offset(8), &mut main), Ok(1));
    drop((cpu, main));
    let ksm = Arc::into_inner(ksm).expect("the scan has ended");
    world.finish(Vec::new(), vec![device], Some(ksm));
}

#[test]
fn a_copy_waits_for_whoever_protected_the_page() {
    holds(400, unsettled);
    finds(2_000, WrongPolicy::UnsettledCopy, "a write of the device is lost", unsettled);
}
