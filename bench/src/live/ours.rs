//! The same faults in the library's address space.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use address_space::{AddressSpace, Cpu, Memory, Vma};
use mmu_notifier::Task;
use mmu_notifier::protocol::{PageSize, Rights, VirtAddr, VirtRange};

use super::PAGES;
use crate::subscribers::NoOp;

const START: VirtAddr = VirtAddr::new(0x4000_0000);

/// A parent with one mapping, and its no-op mirrors.
fn space(subscribers: usize, task: &mut Task) -> Arc<AddressSpace> {
    let memory = Memory::new(4 * PAGES);
    let space = AddressSpace::new(&memory).expect("there is memory");
    let range = VirtRange::sized(START, (PAGES as u64) << PageSize::Base.shift());
    space.mmap(range, Vma { rights: Rights::ReadWrite, huge: false }).expect("nothing is mapped");
    for _ in 0..subscribers {
        // It stays registered until the address space exits.
        drop(space.register_notifier(Arc::new(NoOp), task).expect("there is a place"));
    }
    space
}

fn addr(page: usize) -> VirtAddr {
    START.offset((page as u64) << PageSize::Base.shift())
}

fn write(cpu: &mut Cpu, value: u64, task: &mut Task) {
    for page in 0..PAGES {
        cpu.store(addr(page), value, task).expect("it is mapped");
    }
}

fn timed_write(cpu: &mut Cpu, value: u64, task: &mut Task, samples: &mut Vec<f64>) {
    let begun = Instant::now();
    write(cpu, value, task);
    samples.push(begun.elapsed().as_nanos() as f64 / PAGES as f64);
}

/// Write faults on pages that a child shares.
pub fn fork_cow(subscribers: usize, rounds: usize, task: &mut Task, samples: &mut Vec<f64>) {
    let parent = space(subscribers, task);
    let mut cpu = Cpu::new(&parent).expect("a new processor");
    for round in 0..rounds as u64 {
        write(&mut cpu, 1, task);
        let child = parent.fork(task).expect("there is memory");
        timed_write(&mut cpu, round, task, samples);
        child.exit(task).expect("no range is open");
    }
    drop(cpu);
    parent.exit(task).expect("no range is open");
}

/// Write faults on pages that were read before: the zero page.
pub fn zero_page(subscribers: usize, rounds: usize, task: &mut Task, samples: &mut Vec<f64>) {
    for _ in 0..rounds {
        let space = space(subscribers, task);
        let mut cpu = Cpu::new(&space).expect("a new processor");
        for page in 0..PAGES {
            black_box(cpu.load(addr(page), task).expect("it is mapped"));
        }
        timed_write(&mut cpu, 1, task, samples);
        drop(cpu);
        space.exit(task).expect("no range is open");
    }
}

/// What the copy costs by itself, over as much memory.
pub fn copy(rounds: usize, samples: &mut Vec<f64>) {
    let from = vec![[1_u8; 4096]; PAGES];
    let mut to = vec![[0_u8; 4096]; PAGES];
    for _ in 0..rounds {
        let begun = Instant::now();
        for (from, to) in from.iter().zip(&mut to) {
            to.copy_from_slice(black_box(from));
        }
        black_box(&mut to);
        samples.push(begun.elapsed().as_nanos() as f64 / PAGES as f64);
    }
}
