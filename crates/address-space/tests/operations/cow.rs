//! Copy on write after fork: each side keeps its values, the page is copied
//! once, and its last user writes in place.

use address_space::Cpu;

use crate::support::{RW, World, page, pages, task};

#[test]
fn each_side_keeps_its_values() {
    let world = World::new(64);
    let mut task = task();
    let mut parent = world.process(pages(16, 2), RW, &mut task);
    parent.cpu.store(page(16), 1, &mut task).unwrap();
    parent.thread.store(page(17), 2).unwrap();
    let child = parent.space.fork(&mut task).unwrap();
    let (_, shared) = parent.thread.load_from(page(16)).unwrap();
    assert_eq!(world.memory.references(shared), 2);
    assert_eq!(world.memory.mappings(shared).len(), 2);
    world.check(&[&parent.space, &child], None);

    let mut child_cpu = Cpu::new(&child).unwrap();
    let mut child_device = world.iommu.attach(&child, &mut task).unwrap();
    let mut child_thread = child_device.thread().unwrap();
    let free = world.memory.free_frames();
    parent.thread.store(page(16), 10).unwrap();
    assert_eq!(world.memory.free_frames(), free - 1, "one copy");
    assert_eq!(world.memory.references(shared), 1, "the parent's is gone");
    child_thread.store(page(16), 100).unwrap();
    assert_eq!(world.memory.free_frames(), free - 1, "the last user writes in place");
    let (_, childs) = child_thread.load_from(page(16)).unwrap();
    assert_eq!(childs, shared);

    child_cpu.store(page(17), 200, &mut task).unwrap();
    assert_eq!(parent.cpu.load(page(16), &mut task), Ok(10));
    assert_eq!(parent.thread.load(page(17)), Ok(2));
    assert_eq!(child_cpu.load(page(16), &mut task), Ok(100));
    assert_eq!(child_thread.load(page(17)), Ok(200));
    world.check(&[&parent.space, &child], None);

    drop((child_cpu, child_thread));
    child_device.detach(&mut task).unwrap();
    child_device = world.iommu.attach(&child, &mut task).unwrap();
    child_device.detach(&mut task).unwrap();
    let parent = parent.stop(&mut task);
    drop(task);
    world.finish([parent, child], None);
}

#[test]
fn a_page_that_the_child_gave_up_is_written_in_place() {
    let world = World::new(64);
    let mut task = task();
    let mut parent = world.process(pages(16, 1), RW, &mut task);
    parent.thread.store(page(16), 1).unwrap();
    let (_, before) = parent.thread.load_from(page(16)).unwrap();
    let child = parent.space.fork(&mut task).unwrap();
    child.dontneed(pages(16, 1), &mut task).unwrap();
    parent.thread.store(page(16), 2).unwrap();
    assert_eq!(parent.thread.load_from(page(16)), Ok((2, before)), "no copy");
    let parent = parent.stop(&mut task);
    drop(task);
    world.finish([parent, child], None);
}

#[test]
fn generations_share_until_they_write() {
    let world = World::new(128);
    let mut task = task();
    let first = world.space();
    first.mmap(pages(16, 1), RW).unwrap();
    let mut spaces = vec![first];
    for generation in 0..5 {
        let mut cpu = Cpu::new(&spaces[generation]).unwrap();
        cpu.store(page(16).offset(8 * generation as u64), 1, &mut task).unwrap();
        let child = spaces[generation].fork(&mut task).unwrap();
        spaces.push(child);
    }
    for (generation, space) in spaces.iter().enumerate() {
        let mut cpu = Cpu::new(space).unwrap();
        for word in 0..6 {
            let expected = u64::from(word <= generation && word < 5);
            let value = cpu.load(page(16).offset(8 * word as u64), &mut task).unwrap();
            assert_eq!(value, expected, "generation {generation}, word {word}");
        }
    }
    drop(task);
    let spaces: [_; 6] = spaces.try_into().unwrap();
    world.finish(spaces, None);
}

/// Without a frame for the copy the write is refused and nothing has changed.
#[test]
fn without_a_frame_the_write_is_refused() {
    let world = World::new(16);
    let mut task = task();
    let mut parent = world.process(pages(16, 1), RW, &mut task);
    parent.cpu.store(page(16), 1, &mut task).unwrap();
    let child = parent.space.fork(&mut task).unwrap();
    let mut taken = Vec::new();
    while let Ok(frame) = world.memory.alloc(mmu_protocol::PageSize::Base, parent.space.id()) {
        taken.push(frame);
    }
    let error = address_space::Error::OutOfFrames;
    assert_eq!(parent.cpu.store(page(16), 2, &mut task), Err(error));
    assert_eq!(parent.thread.store(page(16), 2), Err(error));
    assert_eq!(parent.thread.load(page(16)), Ok(1));
    drop(taken);
    parent.thread.store(page(16), 2).expect("there are frames again");
    let parent = parent.stop(&mut task);
    drop(task);
    world.finish([parent, child], None);
}
