//! A task that has a range open somewhere cannot open another one: every
//! operation says so before it changes anything.

use std::sync::Arc;

use address_space::{Error, Ksm};
use mmu_notifier::{
    DeferArray, FullFence, Locked, Mm, Nobody, PageTableEntry, Platform, PtlError, Task, Ticket,
};
use mmu_protocol::{Access, Event, PageSize, Rights, VirtAddr, VirtRange};

use crate::support::{HUGE, RW, World, block, blocks, page, pages, task};

/// An address space of another kind, without any tables: only its ranges are
/// of use here.
struct NoTables;

#[derive(Clone, Copy, PartialEq, Eq)]
struct Absent;

impl PageTableEntry for Absent {
    const EMPTY: Self = Absent;
    fn is_present(self) -> bool {
        false
    }
    fn is_writable(self) -> bool {
        false
    }
    fn write_protected(self) -> Self {
        self
    }
    fn made_writable(self) -> Self {
        self
    }
    fn tombstone(_: Ticket) -> Option<Self> {
        None
    }
    fn ticket(self) -> Option<Ticket> {
        None
    }
}

// SAFETY: there is no table, no entry and no page, so no promise is ever called in.
unsafe impl Platform for NoTables {
    type Page = ();
    type Attr = ();
    type Entry = Absent;
    type Table = ();
    type Ptl<'a> = ();
    type Flushing = ();
    type Deferred = DeferArray<(), 1>;
    type Tlb = Nobody;
    type Notifier = Nobody;
    type Fence = FullFence;

    fn lock_ptl(&self, addr: VirtAddr, size: PageSize) -> Result<Locked<(), ()>, PtlError> {
        Err(PtlError::NoTable { addr, size })
    }
    fn ptl_order(&self, _: VirtAddr, _: PageSize) -> Option<usize> {
        None
    }
    unsafe fn table_under(
        &self,
        (): &(),
        addr: VirtAddr,
        size: PageSize,
    ) -> Result<((), VirtRange), PtlError> {
        Err(PtlError::NoTable { addr, size })
    }
    unsafe fn load(&self, (): (), _: usize) -> Absent {
        Absent
    }
    unsafe fn exchange(&self, (): (), _: usize, _: Absent) -> Absent {
        Absent
    }
    unsafe fn compare_exchange(
        &self,
        (): (),
        _: usize,
        _: Absent,
        _: Absent,
    ) -> Result<(), Absent> {
        Ok(())
    }
    fn make_entry(&self, (): (), (): (), _: PageSize) -> Absent {
        Absent
    }
    unsafe fn take_page(&self, _: Absent, _: PageSize) {}
    fn begin_flush(&self, _: VirtRange, _: PageSize) {}
    fn wait_flush(&self, (): ()) {}
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Error>) {
    assert_eq!(result.unwrap_err(), Error::Nested);
}

fn try_everything(process: &mut crate::support::Process, world: &World, task: &mut Task) {
    let ksm = Ksm::new(&world.memory);
    let space = &process.space;
    let range = pages(16, 2);
    refused(space.munmap(range, task));
    refused(space.dontneed(range, task));
    refused(space.mprotect(range, Rights::ReadOnly, task));
    refused(space.mremap(range, page(40), task));
    refused(space.fork(task));
    refused(space.replace_page(page(16), |_| unreachable!("not edited"), task));
    refused(space.ksm_scan(page(16), &ksm, task));
    refused(space.split_huge(block(1), task));
    refused(space.collapse(block(2), task));
    refused(space.munmap(pages(520, 3), task));
    refused(space.exit(task));
    // The copy of a write fault needs a range too; a fill does not.
    refused(space.handle_fault(page(17), Access::Write, task));
    space.handle_fault(page(17), Access::Read, task).unwrap();
    assert_eq!(ksm.shared(), 0);
    // Registration would wait for the range that this task has open.
    assert_eq!(world.iommu.attach(space, task).unwrap_err(), Error::Device);
}

#[test]
fn every_operation_says_so_and_changes_nothing() {
    let world = World::new(4096);
    let mut task = task();
    let mut process = world.process(pages(16, 2), RW, &mut task);
    process.space.mmap(blocks(1, 2), HUGE).unwrap();
    process.thread.store(page(16), 1).unwrap();
    process.thread.load(page(17)).unwrap();
    process.thread.store(block(1), 2).unwrap();
    let mappings = process.space.mappings();

    let mm = Mm::new(NoTables);
    let mut range = mm.invalidate_range_start(pages(0, 1), Event::Clear, &mut task).unwrap();
    try_everything(&mut process, &world, range.task());
    range.end();

    assert_eq!(
        Error::Nested.to_string(),
        "this task has a range open (or forgot one); end it before starting another"
    );
    assert_eq!(process.space.mappings(), mappings);
    world.check(&[&process.space], None);
    process.thread.store(page(16), 3).expect("no right was taken");
    assert_eq!(process.cpu.load(page(16), &mut task), Ok(3));
    assert_eq!(process.cpu.load(block(1), &mut task), Ok(2));
    let device = world.iommu.attach(&process.space, &mut task).unwrap();
    let mut range = mm.invalidate_range_start(pages(0, 1), Event::Clear, &mut task).unwrap();
    refused(device.detach(range.task()));
    range.end();
    let space: Arc<_> = process.stop(&mut task);
    drop(task);
    world.finish([space], None);
}
