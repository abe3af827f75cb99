//! What the tests under shuttle's schedules share.
//!
//! `RUSTFLAGS="--cfg shuttle" cargo test --release -p address-space --test 'shuttle_*'`
//!
//! Contents of frames are not words of shuttle's: each single access is a place
//! where another thread may run, a copy of a page is two. That leaves the
//! schedules to the protocol.
#![allow(dead_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use address_space::{
    AddressSpace, Cpu, Device, Iommu, Ksm, Memory, Point, Schedule, Stage, Vma, WrongPolicy, verify,
};
use mmu_notifier::Task;
use mmu_protocol::{PageSize, Rights, VirtAddr, VirtRange};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

/// Readable and writable, in 4 KiB pages.
pub(crate) const RW: Vma = Vma { rights: Rights::ReadWrite, huge: false };
/// Readable and writable, in 2 MiB pages.
pub(crate) const HUGE: Vma = Vma { rights: Rights::ReadWrite, huge: true };

/// Start of the 4 KiB page with this number.
pub(crate) const fn page(number: u64) -> VirtAddr {
    VirtAddr::new(number << 12)
}

/// `count` pages from the one with this number on.
pub(crate) const fn pages(number: u64, count: u64) -> VirtRange {
    VirtRange::sized(page(number), count << 12)
}

/// The first 2 MiB page that is not at zero.
pub(crate) const fn block() -> VirtRange {
    VirtRange::sized(VirtAddr::new(PageSize::Huge.bytes()), PageSize::Huge.bytes())
}

/// The token of the calling thread.
pub(crate) fn task() -> Task {
    Task::current().expect("the thread has no task yet")
}

/// "The thread doing the page table update is preempted right after releasing
/// page table lock", or while the entry is away: to the random scheduler a few
/// steps of others, to PCT all that they can do.
struct Lingers;

impl Schedule for Lingers {
    fn reach(&self, point: Point) {
        if matches!(point.stage, Stage::Copied | Stage::Cleared | Stage::Unlocked) {
            for _ in 0..10 {
                shuttle::thread::yield_now();
            }
        }
    }
}

/// An address space with this mapping, and an IOMMU for its devices.
pub(crate) struct World {
    pub(crate) memory: Arc<Memory>,
    pub(crate) space: Arc<AddressSpace>,
    pub(crate) iommu: Iommu,
}

impl World {
    pub(crate) fn new(
        frames: usize,
        policy: Option<WrongPolicy>,
        range: VirtRange,
        vma: Vma,
    ) -> Self {
        let memory = Memory::new(frames);
        let builder = AddressSpace::builder(&memory).schedule(Arc::new(Lingers));
        let builder = match policy {
            None => builder,
            // SAFETY: INV-ASSUMED: the test looks at the outcome and nothing else.
            Some(policy) => unsafe { builder.wrong_policy(policy, "shuttle must find it") },
        };
        let space = builder.build().unwrap();
        space.mmap(range, vma).unwrap();
        World { memory, space, iommu: Iommu::new(4, 8) }
    }

    /// A CPU in the address space.
    pub(crate) fn cpu(&self) -> Cpu {
        Cpu::new(&self.space).unwrap()
    }

    /// The books balance, and every frame comes back.
    pub(crate) fn finish(
        self,
        others: Vec<Arc<AddressSpace>>,
        devices: Vec<Device>,
        ksm: Option<Ksm>,
    ) {
        let mut task = task();
        let World { memory, space, iommu } = self;
        let all: Vec<&AddressSpace> =
            std::iter::once(&*space).chain(others.iter().map(|o| &**o)).collect();
        verify(&memory, &all, ksm.as_ref()).unwrap();
        for device in devices {
            device.detach(&mut task).unwrap();
        }
        for space in std::iter::once(&space).chain(&others) {
            space.exit(&mut task).unwrap();
        }
        drop((space, others, iommu, ksm));
        assert_eq!(memory.free_frames(), memory.frames() - 1, "every frame is back");
    }
}

fn config() -> Config {
    let mut config = Config::new();
    config.stack_size = 0x4_0000;
    config
}

/// How many schedules of each kind: `SHOOTDOWN_ITERATIONS`, or what the test says.
fn schedules(default: usize) -> usize {
    std::env::var("SHOOTDOWN_ITERATIONS")
        .ok()
        .map_or(default, |text| text.parse().expect("SHOOTDOWN_ITERATIONS is a number"))
}

fn run(count: usize, scenario: fn(Option<WrongPolicy>), policy: Option<WrongPolicy>) {
    // Seeds of our own: a failure is the same one tomorrow. A mistake shows if
    // one thread stands still while others do much, so PCT comes first.
    let pct = PctScheduler::new_from_seed(0x5eed, 3, count);
    Runner::new(pct, config()).run(move || scenario(policy));
    let random = RandomScheduler::new_from_seed(0x5eed, count);
    Runner::new(random, config()).run(move || scenario(policy));
}

/// No schedule breaks the scenario under the right policy.
pub(crate) fn holds(default: usize, scenario: fn(Option<WrongPolicy>)) {
    run(schedules(default), scenario, None);
}

/// Some schedule of the first `within` breaks it under the wrong policy, and
/// what fails says `shows`: a deadlock would not count.
pub(crate) fn finds(
    within: usize,
    policy: WrongPolicy,
    shows: &str,
    scenario: fn(Option<WrongPolicy>),
) {
    let found = catch_unwind(AssertUnwindSafe(|| run(within, scenario, Some(policy))));
    let panic = found.expect_err("no schedule shows the mistake");
    let said = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or_default();
    assert!(said.contains(shows), "another failure: {said}");
}
