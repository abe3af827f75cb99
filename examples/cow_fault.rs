//! The steps of a COW fault, as the address space reports them.
//!
//! A parent and its child share a page; a device of the parent has it cached.
//! The parent writes. The device is told between clear and set, so it cannot
//! read the old page after anybody has written to the new one.

use std::error::Error;
use std::sync::Arc;

use address_space::{AddressSpace, Cpu, EventLog, Iommu, Memory, Vma};
use mmu_notifier::Task;
use mmu_protocol::{RecordKind, Rights, VirtAddr, VirtRange};

fn main() -> Result<(), Box<dyn Error>> {
    let memory = Memory::new(256);
    let log = Arc::new(EventLog::new());
    let parent = AddressSpace::builder(&memory).observer(log.clone()).build()?;
    let mut task = Task::current()?;
    let mut cpu = Cpu::new(&parent)?;

    let addr = VirtAddr::new(0x10_000);
    let vma = Vma { rights: Rights::ReadWrite, huge: false };
    parent.mmap(VirtRange::sized(addr, 0x1000), vma)?;
    cpu.store(addr, 1, &mut task)?;

    let device = Iommu::new(4, 64).attach(&parent, &mut task)?;
    let mut dev = device.thread()?;
    let child = parent.fork(&mut task)?;
    println!("device reads {} before", dev.load(addr)?);

    log.take();
    cpu.store(addr, 2, &mut task)?;
    for record in log.take() {
        match record.kind {
            RecordKind::Start { range, event, .. } => println!("  range_start {range} {event}"),
            RecordKind::Clear { addr, .. } => println!("  clear       {addr}"),
            RecordKind::Flush { .. } => println!("  flush       the CPU TLBs"),
            RecordKind::Invalidate { .. } => println!("  notify      the secondary TLBs"),
            RecordKind::Set { addr, .. } => println!("  set         {addr} to the new page"),
            RecordKind::End { range, .. } => println!("  range_end   {range}"),
            _ => {}
        }
    }
    println!("device reads {} after", dev.load(addr)?);
    println!("the child reads {}", Cpu::new(&child)?.load(addr, &mut task)?);

    device.detach(&mut task)?;
    drop((cpu, dev));
    child.exit(&mut task)?;
    parent.exit(&mut task)?;
    Ok(())
}
