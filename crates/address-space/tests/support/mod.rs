//! What the tests share: a machine whose books are checked when a test ends,
//! and threads that stop where a test wants them.
#![allow(dead_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use address_space::{
    AddressSpace, Cpu, Device, DeviceThread, EventLog, Iommu, Ksm, Memory, Operation, Stage, Stops,
    Vma, WrongPolicy, verify,
};
use mmu_notifier::Task;
use mmu_protocol::{PageSize, Rights, VirtAddr, VirtRange};

/// Readable and writable, in 4 KiB pages.
pub(crate) const RW: Vma = Vma { rights: Rights::ReadWrite, huge: false };
/// Readable and writable, in 2 MiB pages where they fit.
pub(crate) const HUGE: Vma = Vma { rights: Rights::ReadWrite, huge: true };
/// Readable, in 4 KiB pages.
pub(crate) const RO: Vma = Vma { rights: Rights::ReadOnly, huge: false };

/// A place at which a thread is stopped.
pub(crate) type Place = (Operation, Stage, VirtAddr);

/// Start of the 4 KiB page with this number.
pub(crate) const fn page(number: u64) -> VirtAddr {
    VirtAddr::new(number << 12)
}

/// `count` 4 KiB pages from the one with this number on.
pub(crate) const fn pages(number: u64, count: u64) -> VirtRange {
    VirtRange::sized(page(number), count << 12)
}

/// Start of the 2 MiB page with this number.
pub(crate) const fn block(number: u64) -> VirtAddr {
    VirtAddr::new(number << 21)
}

/// `count` 2 MiB pages from the one with this number on.
pub(crate) const fn blocks(number: u64, count: u64) -> VirtRange {
    VirtRange::sized(block(number), count * PageSize::Huge.bytes())
}

/// The token of the calling thread.
pub(crate) fn task() -> Task {
    Task::current().expect("the thread has no task yet")
}

/// A machine, and what its address spaces are watched and steered by.
pub(crate) struct World {
    pub(crate) memory: Arc<Memory>,
    pub(crate) stops: Arc<Stops>,
    pub(crate) log: Arc<EventLog>,
    pub(crate) iommu: Iommu,
    policy: Option<WrongPolicy>,
}

impl World {
    /// A machine whose address spaces follow the protocol.
    pub(crate) fn new(frames: usize) -> Self {
        Self::with_policy(frames, None)
    }

    /// A machine whose address spaces break the protocol in this way, if any.
    pub(crate) fn with_policy(frames: usize, policy: Option<WrongPolicy>) -> Self {
        World {
            memory: Memory::new(frames),
            stops: Arc::new(Stops::new()),
            log: Arc::new(EventLog::new()),
            iommu: Iommu::new(8, 256),
            policy,
        }
    }

    /// An empty address space.
    pub(crate) fn space(&self) -> Arc<AddressSpace> {
        let builder = AddressSpace::builder(&self.memory)
            .observer(self.log.clone())
            .schedule(self.stops.clone());
        let builder = match self.policy {
            None => builder,
            // SAFETY: INV-ASSUMED: these tests look at the outcome and nothing else.
            Some(policy) => unsafe { builder.wrong_policy(policy, "the test wants to see it") },
        };
        builder.build().expect("there is a frame for the root")
    }

    /// An address space with this mapping, a CPU in it, and a device.
    pub(crate) fn process(&self, range: VirtRange, vma: Vma, task: &mut Task) -> Process {
        let space = self.space();
        space.mmap(range, vma).expect("nothing is mapped yet");
        let device = self.iommu.attach(&space, task).expect("there is a PASID");
        let thread = device.thread().expect("there is a port");
        let cpu = Cpu::new(&space).expect("there is a place");
        Process { space, cpu, device, thread }
    }

    /// Frames that are free when nothing is in use: all but the zero page.
    pub(crate) fn all_frames(&self) -> usize {
        self.memory.frames() - 1
    }

    /// Every reference has an owner.
    #[track_caller]
    pub(crate) fn check(&self, spaces: &[&AddressSpace], ksm: Option<&Ksm>) {
        if let Err(imbalance) = verify(&self.memory, spaces, ksm) {
            panic!("{imbalance}");
        }
    }

    /// Ends the address spaces: the books balance before, and every frame is
    /// free afterwards.
    #[track_caller]
    pub(crate) fn finish<const N: usize>(self, spaces: [Arc<AddressSpace>; N], ksm: Option<Ksm>) {
        let all: Vec<&AddressSpace> = spaces.iter().map(|space| &**space).collect();
        self.check(&all, ksm.as_ref());
        in_task(|task| {
            for space in &spaces {
                space.exit(task).expect("the task has no range open");
            }
        });
        drop((spaces, ksm));
        assert_eq!(self.memory.free_frames(), self.all_frames(), "every frame is back");
        let users = Arc::strong_count(&self.memory);
        assert_eq!(users, 1, "nobody holds on to the memory itself");
    }
}

/// An address space in use.
pub(crate) struct Process {
    pub(crate) space: Arc<AddressSpace>,
    pub(crate) cpu: Cpu,
    pub(crate) device: Device,
    pub(crate) thread: DeviceThread,
}

impl Process {
    /// The address space alone; the CPU and the device stop using it.
    pub(crate) fn stop(self, task: &mut Task) -> Arc<AddressSpace> {
        drop((self.cpu, self.thread));
        self.device.detach(task).expect("the task has no range open");
        self.space
    }
}

/// Runs `work` in a thread of its own, which has a task of its own.
pub(crate) fn in_task<R: Send>(work: impl FnOnce(&mut Task) -> R + Send) -> R {
    let done = thread::scope(|scope| scope.spawn(|| work(&mut task())).join());
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Runs `operation` in a thread of its own until it stands at `place`, then
/// `meanwhile` in this one, then lets the operation go on.
///
/// `meanwhile` must not wait for a lock that the operation holds there.
#[track_caller]
pub(crate) fn stopped_at<R: Send, M>(
    stops: &Stops,
    place: Place,
    operation: impl FnOnce(&mut Task) -> R + Send,
    meanwhile: impl FnOnce() -> M,
) -> (R, M) {
    let (what, stage, addr) = place;
    let finished = AtomicBool::new(false);
    stops.arm(what, stage, addr);
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // An operation that never gets there must not leave us waiting.
            let _passed = OnDrop(|| {
                finished.store(true, Ordering::SeqCst);
                stops.pass(what, stage, addr);
            });
            operation(&mut task())
        });
        let goes_on = OnDrop(|| stops.pass(what, stage, addr));
        stops.wait(what, stage, addr);
        let missed = finished.load(Ordering::SeqCst);
        assert!(!missed, "the operation never came to {what:?} {stage:?} at {addr}");
        let result = meanwhile();
        drop(goes_on);
        match thread.join() {
            Ok(done) => (done, result),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Runs a closure when dropped, also by a panic.
pub(crate) struct OnDrop<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
