//! Case B in its smallest form: one COW page and one doorbell word.
//!
//! A thread faults on the page; another writes data through the new entry as
//! soon as there is one and rings the bell; the device, which has the old page
//! cached, sees the bell and reads the data. If it reads the old data, the bell
//! has overtaken what it announced. It is the bug that drivers meet.
//!
//! A read counts as in the window if it began after the bell was seen and had
//! finished before `range_end` returned. Told between clear and set, the device
//! reads the new page there; told at `range_end`, the old one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use address_space::{
    AddressSpace, Cpu, Device, DeviceThread, Error, Iommu, Memory, Observer, Vma, WrongPolicy,
};
use mmu_notifier::Task;
use mmu_protocol::{Event, Record, RecordKind, Rights, VirtAddr, VirtRange};

use super::gate::Gate;
use super::{Count, Counts, Parts, Rig, compare};

const DATA: VirtAddr = VirtAddr::new(0x10_000);
/// In the same page, and read by nobody: where the faulting thread writes.
const BESIDE: VirtAddr = VirtAddr::new(0x10_080);
/// In a page that nobody remaps.
const BELL: VirtAddr = VirtAddr::new(0x20_000);

/// Sees when a COW range has ended.
#[derive(Default)]
struct Ends {
    ended: AtomicU64,
}

impl Observer for Ends {
    fn record(&self, record: Record) {
        if let RecordKind::End { event: Event::Clear, .. } = record.kind {
            self.ended.fetch_add(1, Ordering::Release);
        }
    }
}

/// What the threads of a round share.
struct Shared {
    gate: Gate,
    ends: Arc<Ends>,
    in_window: AtomicU64,
    wrong: AtomicU64,
    wrong_after: AtomicU64,
    rounds_ready: AtomicU64,
}

/// An address space under one policy, with its threads.
struct Doorbell {
    space: Arc<AddressSpace>,
    cpu: Cpu,
    shared: Arc<Shared>,
    device: Option<Device>,
    threads: Vec<JoinHandle<Result<(), Error>>>,
}

impl Rig for Doorbell {
    fn new(policy: Option<WrongPolicy>, task: &mut Task) -> Result<Self, Error> {
        let memory = Memory::new(256);
        let ends = Arc::new(Ends::default());
        let mut builder =
            AddressSpace::builder(&memory).yield_after_unlock().observer(ends.clone());
        if let Some(policy) = policy {
            // SAFETY: INV-ASSUMED: only the printed counts depend on it.
            builder = unsafe { builder.wrong_policy(policy, "to count what it does") };
        }
        let space = builder.build()?;
        let mut cpu = Cpu::new(&space)?;
        for page in [DATA, BELL] {
            let vma = Vma { rights: Rights::ReadWrite, huge: false };
            space.mmap(VirtRange::sized(page, 0x1000), vma)?;
            cpu.store(page, 0, task)?;
        }
        let shared = Arc::new(Shared {
            gate: Gate::default(),
            ends,
            in_window: AtomicU64::new(0),
            wrong: AtomicU64::new(0),
            wrong_after: AtomicU64::new(0),
            rounds_ready: AtomicU64::new(0),
        });
        let device = Iommu::new(2, 64).attach(&space, task)?;
        let reader = device.thread()?;
        let threads = vec![
            std::thread::spawn({
                let (space, shared) = (space.clone(), shared.clone());
                move || writer(&space, &shared)
            }),
            std::thread::spawn({
                let shared = shared.clone();
                move || read_behind_the_bell(reader, &shared)
            }),
        ];
        Ok(Doorbell { space, cpu, shared, device: Some(device), threads })
    }

    fn round(&mut self, count: &mut Count, task: &mut Task) -> Result<(), Error> {
        // The child shares the pages, which write-protects them.
        let sharer = self.space.fork(task)?;
        // The bell's page is nobody's but ours again before the round begins.
        let rung = self.cpu.load(BELL, task)?;
        self.cpu.store(BELL, rung, task)?;
        self.shared.ends.ended.store(0, Ordering::Release);
        self.shared.gate.open();
        // The device takes the old translation first.
        while self.shared.rounds_ready.load(Ordering::Acquire) == 0 {
            std::thread::yield_now();
        }
        self.cpu.store(BESIDE, 1, task)?;
        self.shared.gate.close(2);
        self.shared.rounds_ready.store(0, Ordering::Release);
        count.rounds += 1;
        count.in_window = self.shared.in_window.load(Ordering::Acquire);
        count.wrong = self.shared.wrong.load(Ordering::Acquire);
        count.wrong_after = self.shared.wrong_after.load(Ordering::Acquire);
        sharer.exit(task)
    }

    fn parts(&mut self) -> Parts<'_> {
        Parts {
            gate: &self.shared.gate,
            threads: &mut self.threads,
            device: &mut self.device,
            spaces: vec![&self.space],
        }
    }
}

/// Writes the number of the round through the new entry, and rings.
fn writer(space: &Arc<AddressSpace>, shared: &Shared) -> Result<(), Error> {
    let mut task = Task::current().expect("a new thread has no task");
    let mut cpu = Cpu::new(space)?;
    let mut round = 0;
    while let Some(next) = shared.gate.next(round) {
        round = next;
        // It never faults itself: it waits for the entry that the other sets.
        while cpu.try_store(DATA, round).is_err() {
            std::thread::yield_now();
        }
        cpu.store(BELL, round, &mut task)?;
        shared.gate.finish();
    }
    Ok(())
}

/// Waits for the bell and reads the data.
fn read_behind_the_bell(mut device: DeviceThread, shared: &Shared) -> Result<(), Error> {
    let mut round = 0;
    while let Some(next) = shared.gate.next(round) {
        round = next;
        let before = device.load(DATA)?;
        debug_assert!(before < round, "the data is written in the round");
        shared.rounds_ready.store(1, Ordering::Release);
        while device.load(BELL)? != round {
            std::thread::yield_now();
        }
        loop {
            let has_ended = || shared.ends.ended.load(Ordering::Acquire) != 0;
            let ended_before = has_ended();
            let data = device.load(DATA)?;
            let old = u64::from(data != round);
            // A read that `range_end` returned in the middle of is in neither.
            if ended_before {
                shared.wrong_after.fetch_add(old, Ordering::Relaxed);
                break;
            }
            if !has_ended() {
                shared.in_window.fetch_add(1, Ordering::Relaxed);
                shared.wrong.fetch_add(old, Ordering::Relaxed);
            }
            std::thread::yield_now();
        }
        shared.gate.finish();
    }
    Ok(())
}

/// Counts device reads that began after the bell and found old data.
///
/// # Errors
///
/// If an operation that a round needs fails.
pub fn doorbell(limit: Duration) -> Result<Counts, Error> {
    compare::<Doorbell>(WrongPolicy::LateNotify, limit)
}
