//! Every documented error, provoked, and what it says. Nothing has changed and
//! no frame is missing afterwards.

use address_space::{Cpu, END_OF_ADDRESSES, Error, Iommu, Ksm, OutOfFrames};
use mmu_protocol::{Access, PageSize, Rights, VirtAddr, VirtRange};

use crate::support::{HUGE, RO, RW, World, block, blocks, page, pages, task};

#[track_caller]
fn says<T: std::fmt::Debug>(result: Result<T, Error>, error: Error, message: &str) {
    assert_eq!(result.unwrap_err(), error);
    assert_eq!(error.to_string(), message);
}

#[test]
fn no_mapping_names_the_first_address_without_one() {
    let world = World::new(64);
    let mut task = task();
    let mut process = world.process(pages(16, 2), RW, &mut task);
    process.space.mmap(pages(20, 2), RW).unwrap();
    process.thread.store(page(16), 1).unwrap();
    let hole = Error::NoMapping { addr: page(18) };
    let message = "nothing is mapped at 0x12000; mmap it first";
    let across = pages(16, 6);
    says(process.space.dontneed(across, &mut task), hole, message);
    says(process.space.mprotect(across, Rights::ReadOnly, &mut task), hole, message);
    says(process.space.mremap(across, page(100), &mut task), hole, message);
    says(process.cpu.load(page(18), &mut task), hole, message);
    says(process.thread.load(page(18)), hole, message);
    says(process.thread.store(page(18), 1), hole, message);
    says(process.space.collapse(page(18), &mut task), hole, message);
    says(process.space.handle_fault(page(18), Access::Read, &mut task), hole, message);
    // Addresses that no table can map are mapped by nobody.
    for addr in [END_OF_ADDRESSES, VirtAddr::new(1 << 50), VirtAddr::new(u64::MAX - 7)] {
        let error = Err(Error::NoMapping { addr });
        assert_eq!(process.cpu.load(addr, &mut task), error);
        assert_eq!(process.thread.store(addr, 1), error.map(drop));
        assert_eq!(process.space.collapse(addr, &mut task), error.map(drop));
        process.space.split_huge(addr, &mut task).expect("there is nothing to split");
    }
    process.thread.store(page(16), 2).expect("no right was taken");
    assert_eq!(process.thread.load(page(16)), Ok(2), "nothing has changed");
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], None);
}

#[test]
fn forbidden() {
    let world = World::new(64);
    let mut task = task();
    let mut process = world.process(pages(16, 1), RO, &mut task);
    let error = Error::Forbidden { addr: page(16), access: Access::Write };
    let message = "the mapping of 0x10000 does not allow a write; mprotect it first";
    says(process.cpu.store(page(16), 1, &mut task), error, message);
    says(process.thread.store(page(16), 1), error, message);
    says(process.thread.add(page(16), 1), error, message);
    assert_eq!(process.cpu.load(page(16), &mut task), Ok(0));
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], None);
}

#[test]
fn overlap() {
    let world = World::new(64);
    let mut task = task();
    let space = world.space();
    space.mmap(pages(16, 4), RW).unwrap();
    let error = Error::Overlap { range: pages(19, 2) };
    let message = "part of 0x13000..0x15000 is mapped already; munmap it first";
    says(space.mmap(pages(19, 2), RW), error, message);
    says(
        space.mremap(pages(16, 2), page(19), &mut task),
        Error::Overlap { range: pages(19, 2) },
        message,
    );
    says(
        space.mremap(pages(16, 4), page(18), &mut task),
        Error::Overlap { range: pages(18, 4) },
        "part of 0x12000..0x16000 is mapped already; munmap it first",
    );
    assert_eq!(space.mappings(), [(pages(16, 4), RW)]);
    drop(task);
    world.finish([space], None);
}

#[test]
fn bad_range() {
    let world = World::new(64);
    let mut task = task();
    let space = world.space();
    let end = END_OF_ADDRESSES;
    let ranges = [
        VirtRange::EMPTY,
        VirtRange::sized(page(16), 0),
        VirtRange::sized(page(16), 100),
        VirtRange::sized(page(16).offset(8), 0x1000),
        VirtRange::sized(end, 0x1000),
        VirtRange::new(VirtAddr::new(end.as_u64() - 0x1000), end.offset(0x1000)).unwrap(),
        VirtRange::ALL,
    ];
    for range in ranges {
        let error = Error::BadRange { range };
        let message =
            format!("{range} is empty, not a whole number of pages, or beyond the last address");
        says(space.mmap(range, RW), error, &message);
        says(space.munmap(range, &mut task), error, &message);
        says(space.dontneed(range, &mut task), error, &message);
        says(space.mprotect(range, Rights::ReadOnly, &mut task), error, &message);
        says(space.mremap(range, page(16), &mut task), error, &message);
    }
    drop(task);
    world.finish([space], None);
}

/// The last page of all works like any other.
#[test]
fn the_last_page() {
    let world = World::new(2048);
    let mut task = task();
    let last = VirtAddr::new(END_OF_ADDRESSES.as_u64() - 0x1000);
    let block = VirtRange::page(last, PageSize::Huge);
    let mut process = world.process(block, HUGE, &mut task);
    process.thread.store(last.offset(0xff8), 1).unwrap();
    process.space.dontneed(VirtRange::page(last, PageSize::Base), &mut task).unwrap();
    assert_eq!(process.thread.load(last.offset(0xff8)), Ok(0));
    let child = process.space.fork(&mut task).unwrap();
    process.thread.store(last, 2).unwrap();
    process.space.munmap(block, &mut task).unwrap();
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space, child], None);
}

#[test]
fn misaligned() {
    let world = World::new(64);
    let mut task = task();
    let mut process = world.process(pages(16, 1), RW, &mut task);
    let addr = page(16).offset(4);
    let error = Error::Misaligned { addr };
    let message = "0x10004 is not aligned to a word of 8 bytes";
    says(process.cpu.load(addr, &mut task), error, message);
    says(process.cpu.store(addr, 1, &mut task), error, message);
    says(process.cpu.add(addr, 1, &mut task), error, message);
    says(process.thread.load(addr), error, message);
    says(process.thread.store(addr, 1), error, message);
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], None);
}

#[test]
fn not_present() {
    let world = World::new(64);
    let ksm = Ksm::new(&world.memory);
    let mut task = task();
    let mut process = world.process(pages(16, 1), RW, &mut task);
    let error = Error::NotPresent { addr: page(16) };
    let message = "no page of the needed kind is present at 0x10000; touch it first";
    let inside = page(16).offset(100);
    says(process.space.replace_page(inside, |_| (), &mut task), error, message);
    says(process.space.ksm_scan(inside, &ksm, &mut task), error, message);
    says(process.cpu.try_load(page(16)), error, message);
    says(process.cpu.try_store(page(16), 1), error, message);
    assert_eq!(process.thread.try_load(page(16)), None);
    let top = VirtAddr::new(u64::MAX);
    assert!(process.space.replace_page(top, |_| (), &mut task).is_err(), "not a panic");
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], Some(ksm));
}

#[test]
fn not_collapsible() {
    let world = World::new(2048);
    let mut task = task();
    let mut process = world.process(pages(512, 511), RW, &mut task);
    let error = Error::NotCollapsible { addr: block(1) };
    let message = "the pages at 0x200000 cannot become one of 2M: all must be present and unshared";
    for part in 0..511 {
        process.thread.store(page(512 + part), part).unwrap();
    }
    says(process.space.collapse(page(600), &mut task), error, message);
    process.space.mmap(pages(1023, 1), RW).unwrap();
    process.thread.store(page(1023), 511).unwrap();
    says(process.space.collapse(page(600), &mut task), error, message);
    for part in 0..512 {
        assert_eq!(process.thread.load(page(512 + part)), Ok(part));
    }
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], None);
}

#[test]
fn out_of_frames() {
    let world = World::new(512);
    let mut task = task();
    let mut process = world.process(pages(16, 8), RW, &mut task);
    process.thread.store(page(16), 1).unwrap();
    process.space.mmap(blocks(1, 1), HUGE).unwrap();
    let mut taken = Vec::new();
    while let Ok(frame) = world.memory.alloc(PageSize::Base, process.space.id()) {
        taken.push(frame);
    }
    let error = Error::OutOfFrames;
    let message = "no frame of this size is free; unmap something or give the machine more memory";
    assert_eq!(OutOfFrames.to_string(), message);
    says(process.cpu.store(page(17), 1, &mut task), error, message);
    says(process.thread.store(page(17), 1), error, message);
    says(process.thread.store(block(1), 1), error, message);
    says(process.space.fork(&mut task), error, message);
    says(process.space.replace_page(page(16), |_| (), &mut task), error, message);
    says(process.space.collapse(block(1), &mut task), error, message);
    says(process.space.mremap(pages(16, 1), page(3000), &mut task), error, message);
    assert_eq!(world.memory.alloc(PageSize::Huge, process.space.id()).unwrap_err(), OutOfFrames);
    assert!(address_space::AddressSpace::new(&world.memory).is_err());
    assert_eq!(process.thread.load(page(16)), Ok(1), "nothing has moved");
    assert_eq!(process.thread.load(page(17)), Ok(0), "a read needs no frame");
    drop(taken);
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], None);
}

/// A 2 MiB page cannot be cut without a frame for the table.
#[test]
fn out_of_frames_for_a_split() {
    let world = World::new(1024);
    let mut task = task();
    let mut process = world.process(blocks(1, 1), HUGE, &mut task);
    process.thread.store(page(520), 8).unwrap();
    let mut taken = Vec::new();
    while let Ok(frame) = world.memory.alloc(PageSize::Base, process.space.id()) {
        taken.push(frame);
    }
    let space = &process.space;
    let part = pages(520, 1);
    assert_eq!(space.split_huge(block(1), &mut task), Err(Error::OutOfFrames));
    assert_eq!(space.munmap(part, &mut task), Err(Error::OutOfFrames));
    assert_eq!(space.dontneed(part, &mut task), Err(Error::OutOfFrames));
    assert_eq!(space.mprotect(part, Rights::ReadOnly, &mut task), Err(Error::OutOfFrames));
    assert_eq!(space.mremap(part, page(100), &mut task), Err(Error::OutOfFrames));
    assert_eq!(space.mappings(), [(blocks(1, 1), HUGE)]);
    assert_eq!(process.thread.load(page(520)), Ok(8));
    process.thread.store(page(520), 9).expect("no right was taken");
    drop(taken);
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], None);
}

#[test]
fn device() {
    let world = World::new(64);
    let mut task = task();
    let process = world.process(pages(16, 1), RW, &mut task);
    let error = Error::Device;
    let message = "the device was refused: no PASID, port or place is left, \
                   or the address space has exited";
    let one = Iommu::new(1, 64);
    let device = one.attach(&process.space, &mut task).unwrap();
    says(one.attach(&process.space, &mut task), error, message);
    let threads: Vec<_> = std::iter::from_fn(|| device.thread().ok()).collect();
    assert_eq!(threads.len(), 64);
    says(device.thread(), error, message);
    drop(threads);
    device.thread().expect("the ports came back");
    device.detach(&mut task).unwrap();

    process.space.exit(&mut task).unwrap();
    says(world.iommu.attach(&process.space, &mut task), error, message);
    one.attach(&process.space, &mut task).expect_err("and the PASID is not lost by that");
    let other = world.space();
    one.attach(&other, &mut task).expect("it is there").detach(&mut task).unwrap();
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space, other], None);
}

/// Never happens today, and says what it would mean.
#[test]
fn too_many_cpus() {
    assert_eq!(
        Error::TooManyCpus.to_string(),
        "all places for processors of this address space are taken"
    );
    let world = World::new(16);
    let space = world.space();
    let cpus: Vec<_> = (0..200).map(|_| Cpu::new(&space).unwrap()).collect();
    drop(cpus);
    world.finish([space], None);
}
