//! A device that was stopped reaches nothing any more, whoever gets its PASID.

use address_space::Cpu;

use crate::support::{RW, World, page, pages, task};

#[test]
fn a_detached_device_reaches_nothing_and_the_rest_goes_on() {
    let world = World::new(64);
    let mut task = task();
    let mut process = world.process(pages(16, 1), RW, &mut task);
    let other = world.iommu.attach(&process.space, &mut task).unwrap();
    let mut other_thread = other.thread().unwrap();
    process.thread.store(page(16), 5).unwrap();
    process.device.detach(&mut task).unwrap();
    assert_eq!(process.thread.try_load(page(16)), None);
    assert_eq!(process.thread.try_store(page(16), 6), None);
    assert_eq!(other_thread.load(page(16)), Ok(5));
    drop((process.cpu, process.thread, other_thread, other, task));
    world.finish([process.space], None);
}

/// The number of a device whose thread is still alive must not stand for
/// another address space: the device would read and write there, through a TLB
/// that nobody tells.
#[test]
fn a_pasid_in_use_is_not_given_to_another_address_space() {
    for exits in [false, true] {
        let world = World::new(64);
        let mut task = task();
        let mut old = world.process(pages(16, 1), RW, &mut task);
        old.thread.store(page(16), 5).unwrap();
        if exits {
            old.space.exit(&mut task).unwrap();
        }
        old.device.detach(&mut task).unwrap();

        let mut new = world.process(pages(16, 1), RW, &mut task);
        new.thread.store(page(16), 1000).unwrap();
        assert_eq!(old.thread.try_load(page(16)), None, "another process's page");
        assert_eq!(old.thread.try_store(page(16), 6), None, "another process's page");
        assert_eq!(new.thread.load(page(16)), Ok(1000));

        let new = new.stop(&mut task);
        drop((old.cpu, old.thread, task));
        world.finish([old.space, new], None);
    }
}

#[test]
fn the_pasid_comes_back_when_the_last_user_has_gone() {
    let world = World::new(64);
    let mut task = task();
    let space = world.space();
    space.mmap(pages(16, 1), RW).unwrap();
    let mut cpu = Cpu::new(&space).unwrap();
    cpu.store(page(16), 9, &mut task).unwrap();
    // The IOMMU has 8; each round takes one and gives it back.
    for _ in 0..20 {
        let device = world.iommu.attach(&space, &mut task).expect("the PASID came back");
        let mut thread = device.thread().unwrap();
        assert_eq!(thread.load(page(16)), Ok(9));
        device.detach(&mut task).unwrap();
        assert_eq!(thread.try_load(page(16)), None);
    }
    drop((cpu, task));
    world.finish([space], None);
}
