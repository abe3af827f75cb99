//! Case A in its smallest form: a page is freed while a device writes to it.
//!
//! One thread gives a page back (DONTNEED), another, of a different address
//! space, gets the frame and writes to it, and the device goes on storing at
//! the old address. If the new owner finds something else than it wrote, the
//! device has written into another task's page.
//!
//! A round counts as in the window if the new owner got that very frame.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use address_space::{
    AddressSpace, Cpu, Device, DeviceThread, Error, Iommu, Memory, Vma, WrongPolicy,
};
use mmu_notifier::Task;
use mmu_protocol::{Rights, VirtAddr, VirtRange};

use super::gate::Gate;
use super::{Count, Counts, Parts, Rig, compare};

const PAGE: VirtRange = VirtRange::sized(VirtAddr::new(0x10_000), 0x1000);
const OWN: VirtRange = VirtRange::sized(VirtAddr::new(0x50_000), 0x1000);
const MARK_OF_DEVICE: u64 = 0xd00d;
const MARK_OF_OWNER: u64 = 0x0b0e;

/// What the threads of a round share.
#[derive(Default)]
struct Shared {
    gate: Gate,
    /// The device has the translation and is storing.
    storing: AtomicU64,
    /// The frame that is given back.
    frame: AtomicU64,
    /// Pages freed before the round.
    frees: AtomicU64,
    /// DONTNEED has returned.
    returned: AtomicU64,
    in_window: AtomicU64,
    wrong: AtomicU64,
}

struct EarlyFree {
    space: Arc<AddressSpace>,
    other: Arc<AddressSpace>,
    cpu: Cpu,
    shared: Arc<Shared>,
    device: Option<Device>,
    threads: Vec<JoinHandle<Result<(), Error>>>,
}

impl Rig for EarlyFree {
    fn new(policy: Option<WrongPolicy>, task: &mut Task) -> Result<Self, Error> {
        let memory = Memory::new(256);
        let mut builder = AddressSpace::builder(&memory).yield_after_unlock();
        if let Some(policy) = policy {
            // SAFETY: INV-ASSUMED: only the printed counts depend on it.
            builder = unsafe { builder.wrong_policy(policy, "to count what it does") };
        }
        let space = builder.build()?;
        let other = AddressSpace::new(&memory)?;
        let vma = Vma { rights: Rights::ReadWrite, huge: false };
        space.mmap(PAGE, vma)?;
        other.mmap(OWN, vma)?;
        // Every table is made before the rounds: the frame that is freed in a
        // round is the next one handed out.
        let mut cpu = Cpu::new(&space)?;
        cpu.store(PAGE.start(), 0, task)?;
        Cpu::new(&other)?.store(OWN.start(), 0, task)?;
        other.dontneed(OWN, task)?;
        let shared = Arc::new(Shared::default());
        let device = Iommu::new(2, 64).attach(&space, task)?;
        let port = device.thread()?;
        let threads = vec![
            std::thread::spawn({
                let (other, shared) = (other.clone(), shared.clone());
                move || new_owner(&other, &shared)
            }),
            std::thread::spawn({
                let shared = shared.clone();
                move || store_at_the_old_address(port, &shared)
            }),
        ];
        Ok(EarlyFree { space, other, cpu, shared, device: Some(device), threads })
    }

    fn round(&mut self, count: &mut Count, task: &mut Task) -> Result<(), Error> {
        let shared = &self.shared;
        self.cpu.store(PAGE.start(), 0, task)?;
        let frame = self.space.translate(PAGE.start()).expect("it was stored to just now");
        shared.frame.store(frame.pfn, Ordering::Relaxed);
        shared.frees.store(self.space.memory().frees(), Ordering::Relaxed);
        shared.storing.store(0, Ordering::Relaxed);
        shared.returned.store(0, Ordering::Relaxed);
        shared.gate.open();
        while shared.storing.load(Ordering::Acquire) == 0 {
            std::thread::yield_now();
        }
        self.space.dontneed(PAGE, task)?;
        shared.returned.store(1, Ordering::Release);
        shared.gate.close(2);
        count.rounds += 1;
        count.in_window = shared.in_window.load(Ordering::Acquire);
        count.wrong = shared.wrong.load(Ordering::Acquire);
        Ok(())
    }

    fn parts(&mut self) -> Parts<'_> {
        Parts {
            gate: &self.shared.gate,
            threads: &mut self.threads,
            device: &mut self.device,
            spaces: vec![&self.space, &self.other],
        }
    }
}

/// Takes the frame as soon as it is free, writes to it, and looks again later.
fn new_owner(other: &Arc<AddressSpace>, shared: &Shared) -> Result<(), Error> {
    let mut task = Task::current().expect("a new thread has no task");
    let mut cpu = Cpu::new(other)?;
    let mut round = 0;
    while let Some(next) = shared.gate.next(round) {
        round = next;
        while other.memory().frees() == shared.frees.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        cpu.store(OWN.start(), MARK_OF_OWNER, &mut task)?;
        let frame = other.translate(OWN.start()).expect("it was stored to just now");
        while shared.returned.load(Ordering::Acquire) == 0 {
            std::thread::yield_now();
        }
        if frame.pfn == shared.frame.load(Ordering::Relaxed) {
            shared.in_window.fetch_add(1, Ordering::Relaxed);
            let found = cpu.load(OWN.start(), &mut task)?;
            if found != MARK_OF_OWNER {
                shared.wrong.fetch_add(1, Ordering::Relaxed);
            }
        }
        other.dontneed(OWN, &mut task)?;
        shared.gate.finish();
    }
    Ok(())
}

/// Stores for as long as the TLB or a walk allows it.
fn store_at_the_old_address(mut device: DeviceThread, shared: &Shared) -> Result<(), Error> {
    let mut round = 0;
    while let Some(next) = shared.gate.next(round) {
        round = next;
        device.store(PAGE.start(), MARK_OF_DEVICE)?;
        shared.storing.store(1, Ordering::Release);
        while shared.returned.load(Ordering::Acquire) == 0 {
            if device.try_store(PAGE.start(), MARK_OF_DEVICE).is_none() {
                break;
            }
            std::thread::yield_now();
        }
        shared.gate.finish();
    }
    Ok(())
}

/// Counts pages of a new owner in which a device's store has landed.
///
/// # Errors
///
/// If an operation that a round needs fails.
pub fn early_free(limit: Duration) -> Result<Counts, Error> {
    compare::<EarlyFree>(WrongPolicy::EarlyFree, limit)
}
