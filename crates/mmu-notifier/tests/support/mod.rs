//! A small platform for tests: see [`World`] for what it runs on, [`Flat`] for
//! the platform, [`Recorder`] and [`Device`] for its subscribers.
// Each test file uses its own part of this.
#![allow(dead_code, unused_imports)]

#[cfg(any(loom, shuttle))]
pub(crate) mod arena;
pub(crate) mod device;
pub(crate) mod entry;
pub(crate) mod flat;
#[cfg(loom)]
pub(crate) mod model;
pub(crate) mod recorder;
pub(crate) mod sync;
pub(crate) mod world;

use std::sync::Arc;

use mmu_notifier::protocol::{Event, PageSize, Rights, VirtAddr, VirtRange};
use mmu_notifier::{InvalidateRange, Mm, Task};

pub(crate) use device::Device;
pub(crate) use flat::{Flat, InPlace, NoPlace, NoTombstones, OnePlace, Shape, V61, V612};
pub(crate) use recorder::Recorder;
pub(crate) use world::{BASE, HUGE_BASE, Page, World, huge, huge_pages, page, pages};

pub(crate) const RO: Rights = Rights::ReadOnly;
pub(crate) const RW: Rights = Rights::ReadWrite;

/// An address space on the test platform.
pub(crate) type TestMm<'w, S> = Mm<Flat<'w, S>>;

/// The token of this thread.
#[cfg(not(loom))]
pub(crate) fn task() -> Task {
    Task::current().expect("each test has a thread of its own")
}

/// Runs `f` on a thread of its own and waits for it.
#[cfg(not(any(loom, shuttle)))]
pub(crate) fn elsewhere<R: Send>(f: impl FnOnce(&mut Task) -> R + Send) -> R {
    std::thread::scope(|scope| scope.spawn(|| f(&mut task())).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Fills a page outside any range.
pub(crate) fn map<S: Shape>(mm: &TestMm<'_, S>, task: &mut Task, addr: VirtAddr, rights: Rights) {
    map_data(mm, task, addr, rights, 0);
}

/// As [`map`], with contents. Returns the frame.
pub(crate) fn map_data<S: Shape>(
    mm: &TestMm<'_, S>,
    task: &mut Task,
    addr: VirtAddr,
    rights: Rights,
    data: u64,
) -> usize {
    let new = mm.platform().world.alloc(data);
    let pfn = new.pfn();
    let mut ptl = mm.lock_ptl(addr, size_of_table(addr), task).expect("there is a table");
    let slot = ptl.fill(addr).expect("the address fits");
    slot.vacant().expect("the entry is absent").set(new, rights);
    pfn
}

fn size_of_table(addr: VirtAddr) -> PageSize {
    if addr.as_u64() >= HUGE_BASE { PageSize::Huge } else { PageSize::Base }
}

/// The frame behind an entry.
pub(crate) fn frame_at<S: Shape>(mm: &TestMm<'_, S>, addr: VirtAddr) -> Option<usize> {
    mm.platform().world.walk(addr).map(|(pfn, _)| pfn)
}

/// Starts a range of the kind that most tests use.
pub(crate) fn start<'r, 'w, S: Shape>(
    mm: &'r TestMm<'w, S>,
    range: VirtRange,
    task: &'r mut Task,
) -> InvalidateRange<'r, Flat<'w, S>> {
    mm.invalidate_range_start(range, Event::Clear, task).expect("no range is open")
}

/// Registers a recorder as a TLB and returns it. The subscription is dropped:
/// it stays registered as long as the address space.
pub(crate) fn add_tlb<'w, S: Shape>(
    mm: &TestMm<'w, S>,
    task: &mut Task,
    recorder: Recorder<'w>,
) -> Arc<Recorder<'w>> {
    let recorder = Arc::new(recorder);
    drop(mm.register_tlb(recorder.clone(), task).expect("there is a place"));
    recorder
}

/// As [`add_tlb`], as a mirror.
pub(crate) fn add_mirror<'w, S: Shape>(
    mm: &TestMm<'w, S>,
    task: &mut Task,
    recorder: Recorder<'w>,
) -> Arc<Recorder<'w>> {
    let recorder = Arc::new(recorder);
    drop(mm.register_notifier(recorder.clone(), task).expect("there is a place"));
    recorder
}

/// Registers a device and returns it.
pub(crate) fn add_device<'w, S: Shape>(mm: &TestMm<'w, S>, task: &mut Task) -> Arc<Device<'w>> {
    let device = Arc::new(Device::new(mm.platform().world));
    drop(mm.register_tlb(device.clone(), task).expect("there is a place"));
    device
}
