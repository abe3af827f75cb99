//! The document's exemption: write-protect and KSM replace may leave the
//! notification to `range_end`, even if the thread is preempted right after
//! releasing the page table lock.
//!
//! The thread is stopped there, and a device goes on reading and writing
//! through the translations it has. It must read no wrong value and lose no
//! write.

use std::sync::Arc;

use address_space::{
    AddressSpace, Cpu, Error, Iommu, Ksm, Memory, Merge, Operation, Stage, Stops, Vma,
};
use mmu_notifier::Task;
use mmu_protocol::{Rights, VirtAddr, VirtRange};
use serde::Serialize;

use super::actor::{Actor, Pending};

const PAGE: u64 = 0x1000;
const SHARED: VirtAddr = VirtAddr::new(0x10_000);
const TWIN: VirtAddr = VirtAddr::new(0x20_000);
const WORDS: u64 = PAGE / 8;

/// Something that a thread did or saw, in order.
#[derive(Clone, Debug, Serialize)]
pub struct Observation {
    /// The thread.
    pub thread: &'static str,
    /// What it did, and what it found.
    pub what: String,
    /// Whether that is what memory without page tables would have shown.
    pub right: bool,
}

/// One exemption and what was seen while the notification was outstanding.
#[derive(Clone, Debug, Serialize)]
pub struct Exemption {
    /// The change.
    pub change: &'static str,
    /// In order.
    pub observations: Vec<Observation>,
}

impl Exemption {
    /// No wrong value, no lost write.
    pub fn holds(&self) -> bool {
        self.observations.iter().all(|seen| seen.right)
    }

    fn see(&mut self, thread: &'static str, what: String, right: bool) {
        self.observations.push(Observation { thread, what, right });
    }
}

/// Plays both halves of the exemption: KSM's write-protect, and its replace.
///
/// # Errors
///
/// If an operation that the play needs fails.
pub fn exemption() -> Result<[Exemption; 2], Error> {
    Ok([write_protect()?, ksm_replace()?])
}

struct Scene {
    space: Arc<AddressSpace>,
    stops: Arc<Stops>,
    ksm: Arc<Ksm>,
    cpu: Cpu,
    task: Task,
    device: address_space::Device,
    /// The thread that KSM runs in.
    scanner: Actor<Task>,
}

/// Two pages with the same words, and a device that has both cached, writable.
fn scene() -> Result<(Scene, address_space::DeviceThread), Error> {
    let memory = Memory::new(256);
    let stops = Arc::new(Stops::new());
    let space = AddressSpace::builder(&memory).schedule(stops.clone()).build()?;
    let mut task = Task::current().expect("the play's main thread has no other task");
    let mut cpu = Cpu::new(&space)?;
    for page in [SHARED, TWIN] {
        let vma = Vma { rights: Rights::ReadWrite, huge: false };
        space.mmap(VirtRange::sized(page, PAGE), vma)?;
        for word in 0..WORDS {
            cpu.store(page.offset(word * 8), word + 1, &mut task)?;
        }
    }
    let device = Iommu::new(4, 64).attach(&space, &mut task)?;
    let mut thread = device.thread()?;
    for page in [SHARED, TWIN] {
        thread.add(page, 0)?;
    }
    let ksm = Arc::new(Ksm::new(&memory));
    let scanner = Actor::new(|| Task::current().expect("a new thread has no task"));
    Ok((Scene { space, stops, ksm, cpu, task, device, scanner }, thread))
}

impl Scene {
    /// Lets KSM look at a page.
    fn scan(&self, page: VirtAddr) -> Pending<Result<Merge, Error>> {
        let (space, ksm) = (self.space.clone(), self.ksm.clone());
        self.scanner.begin(move |task| space.ksm_scan(page, &ksm, task))
    }

    fn close(mut self) -> Result<(), Error> {
        self.device.detach(&mut self.task)?;
        self.space.exit(&mut self.task)
    }
}

fn write_protect() -> Result<Exemption, Error> {
    let (mut scene, mut device) = scene()?;
    let mut seen = Exemption { change: "write-protect (KSM)", observations: Vec::new() };
    scene.stops.arm(Operation::KsmProtect, Stage::Unlocked, TWIN);
    let pending = scene.scan(TWIN);
    scene.stops.wait(Operation::KsmProtect, Stage::Unlocked, TWIN);
    seen.see("CPU-thread-0", "write-protect the page, release the lock, preempted".into(), true);

    let word = |index: u64| TWIN.offset(index * 8);
    let sum = read_all(|index| device.load(word(index)))?;
    seen.see("DEV-thread-0", format!("read {WORDS} words: {}", verdict(sum)), sum == 0);
    let wrote = device.try_store(word(3), 1000).is_some();
    seen.see(
        "DEV-thread-0",
        format!("write 1000 to word 3: {}", if wrote { "done" } else { "faults" }),
        true,
    );
    if !wrote {
        device.store(word(3), 1000)?;
    }
    scene.stops.pass(Operation::KsmProtect, Stage::Unlocked, TWIN);
    let merge = pending.wait()?;
    seen.see("CPU-thread-0", format!("range_end; compare: {}", became(merge)), true);

    let by_device = device.load(word(3))?;
    let by_cpu = scene.cpu.load(word(3), &mut scene.task)?;
    seen.see("DEV-thread-0", format!("read word 3 = {by_device}"), by_device == 1000);
    seen.see("CPU-thread-1", format!("read word 3 = {by_cpu}"), by_cpu == 1000);
    scene.close()?;
    Ok(seen)
}

fn ksm_replace() -> Result<Exemption, Error> {
    let (mut scene, mut device) = scene()?;
    let mut seen =
        Exemption { change: "replace by a page of same content (KSM)", observations: Vec::new() };
    let (space, ksm) = (scene.space.clone(), scene.ksm.clone());
    let first = scene.scanner.run(move |task| space.ksm_scan(SHARED, &ksm, task))?;
    assert_eq!(first, Merge::Shared, "the first of two equal pages becomes the shared one");
    let word = |index: u64| TWIN.offset(index * 8);

    // The write protection was told when the device takes its translation: what
    // is late here is the notification of the replace alone.
    scene.stops.arm(Operation::KsmReplace, Stage::Copied, TWIN);
    let pending = scene.scan(TWIN);
    scene.stops.wait(Operation::KsmReplace, Stage::Copied, TWIN);
    let (_, before) = device.load_from(TWIN)?;
    scene.stops.arm(Operation::KsmReplace, Stage::Unlocked, TWIN);
    scene.stops.pass(Operation::KsmReplace, Stage::Copied, TWIN);
    scene.stops.wait(Operation::KsmReplace, Stage::Unlocked, TWIN);
    seen.see(
        "CPU-thread-0",
        "compare, point to the shared page, release the lock, preempted".into(),
        true,
    );
    let (_, from) = device.load_from(TWIN)?;
    let wrong = read_all(|index| device.load(word(index)))?;
    seen.see(
        "DEV-thread-0",
        format!("read {WORDS} words from {} page: {}", old_or_new(from, before), verdict(wrong)),
        wrong == 0,
    );
    let wrong = read_all(|index| scene.cpu.load(word(index), &mut scene.task))?;
    seen.see("CPU-thread-1", format!("read {WORDS} words: {}", verdict(wrong)), wrong == 0);
    let faults = device.try_store(word(5), 2000).is_none();
    if faults {
        device.store(word(5), 2000)?;
    }
    let (_, to) = device.load_from(word(5))?;
    let shared = scene.space.translate(SHARED).map(|found| found.pfn);
    seen.see(
        "DEV-thread-0",
        format!(
            "write 2000 to word 5: {}, now {}",
            if faults { "faults" } else { "done at once" },
            if to == before || Some(to) == shared { "IN A SHARED PAGE" } else { "in a copy" },
        ),
        faults && to != before && Some(to) != shared,
    );

    scene.stops.pass(Operation::KsmReplace, Stage::Unlocked, TWIN);
    let merge = pending.wait()?;
    seen.see("CPU-thread-0", format!("range_end: {}", became(merge)), merge == Merge::Merged);
    let by_device = device.load(word(5))?;
    let by_cpu = scene.cpu.load(word(5), &mut scene.task)?;
    let shared = scene.cpu.load(SHARED.offset(5 * 8), &mut scene.task)?;
    seen.see("DEV-thread-0", format!("read word 5 = {by_device}"), by_device == 2000);
    seen.see("CPU-thread-1", format!("read word 5 = {by_cpu}"), by_cpu == 2000);
    seen.see("CPU-thread-1", format!("read word 5 of the other page = {shared}"), shared == 6);
    scene.close()?;
    Ok(seen)
}

/// How many of the words are not what was written to them.
fn read_all(mut read: impl FnMut(u64) -> Result<u64, Error>) -> Result<u64, Error> {
    let mut wrong = 0;
    for index in 0..WORDS {
        wrong += u64::from(read(index)? != index + 1);
    }
    Ok(wrong)
}

fn verdict(wrong: u64) -> String {
    if wrong == 0 { "all as written".into() } else { format!("{wrong} WRONG") }
}

fn old_or_new(now: u64, before: u64) -> &'static str {
    if now == before { "the old" } else { "the new" }
}

fn became(merge: Merge) -> &'static str {
    match merge {
        Merge::Merged => "merged",
        Merge::Shared => "no equal page, shared from now on",
        Merge::Unchanged => "left alone",
    }
}
