//! Case B: two COW faults while a device has both old pages cached.
//!
//! The document's six threads make one access each and share nothing, so what
//! it calls wrong, "new data at addrB and afterwards old data at addrA", is
//! wrong only by the wall clock: no thread could tell. Two words in memory that
//! nobody remaps carry the order: `x` from CPU-thread-2 to CPU-thread-3 and `y`
//! from DEV-thread-2 to DEV-thread-0. With them the outcome `x=1, B=new, y=1,
//! A=old` is impossible on any memory that keeps order, and a device that sees
//! it is broken.

use std::sync::Arc;

use address_space::{
    AddressSpace, Cpu, Device, DeviceThread, Error, Iommu, Memory, Operation, Pfn, Stage, Stops,
    Vma, WrongPolicy,
};
use mmu_notifier::Task;
use mmu_protocol::{Obligation, Rights, VirtAddr, VirtRange};
use serde::Serialize;

use super::actor::{Actor, Pending};
use super::timeline::Timeline;

const ADDR_A: VirtAddr = VirtAddr::new(0x10_000);
const ADDR_B: VirtAddr = VirtAddr::new(0x20_000);
/// The page of the two words that carry the order; nobody remaps it.
const ADDR_X: VirtAddr = VirtAddr::new(0x30_000);
const ADDR_Y: VirtAddr = VirtAddr::new(0x30_040);
/// Where the faulting threads write: the same pages, but no word that is read.
const BESIDE: u64 = 0x80;

const OLD: u64 = 1;
const NEW: u64 = 2;

const THREADS: [&str; 6] = [
    "CPU-thread-0",
    "CPU-thread-1",
    "CPU-thread-2",
    "CPU-thread-3",
    "DEV-thread-0",
    "DEV-thread-2",
];

/// What the threads read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// CPU-thread-3 reads x.
    pub x: u64,
    /// DEV-thread-2 reads addrB.
    pub b: u64,
    /// DEV-thread-0 reads y.
    pub y: u64,
    /// DEV-thread-0 reads addrA.
    pub a: u64,
}

impl Outcome {
    /// Whether memory that keeps order could never give it.
    pub fn is_forbidden(self) -> bool {
        self.x == 1 && self.b == NEW && self.y == 1 && self.a == OLD
    }
}

/// One run of the scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Play {
    /// When the secondary TLBs were told.
    pub notified: &'static str,
    /// What happened.
    pub timeline: Timeline,
    /// What the threads read.
    pub outcome: Outcome,
    /// The obligation that the outcome breaks.
    pub violates: Option<&'static str>,
    /// What DEV-thread-0 reads at addrA once everything has returned.
    pub in_the_end: u64,
}

/// A CPU and the task of the thread that runs on it.
struct Hands {
    cpu: Cpu,
    task: Task,
}

type CpuActor = Actor<Hands>;
type DeviceActor = Actor<DeviceThread>;

struct Scene {
    space: Arc<AddressSpace>,
    /// Shares the pages, which is what makes them copied on write.
    sharer: Arc<AddressSpace>,
    stops: Arc<Stops>,
    cpus: [CpuActor; 4],
    dev0: DeviceActor,
    dev2: DeviceActor,
    device: Option<Device>,
}

impl Scene {
    fn set(policy: Option<WrongPolicy>) -> Result<Self, Error> {
        let memory = Memory::new(256);
        let stops = Arc::new(Stops::new());
        let mut builder = AddressSpace::builder(&memory).schedule(stops.clone());
        if let Some(policy) = policy {
            // SAFETY: INV-ASSUMED: only the printed outcome depends on it.
            builder = unsafe { builder.wrong_policy(policy, "to show what the document warns of") };
        }
        let space = builder.build()?;
        let mut task = Task::current().expect("the play's main thread has no other task");
        let mut cpu = Cpu::new(&space)?;
        let rw = Vma { rights: Rights::ReadWrite, huge: false };
        for addr in [ADDR_A, ADDR_B] {
            space.mmap(VirtRange::sized(addr, 0x1000), rw)?;
            cpu.store(addr, OLD, &mut task)?;
        }
        let sharer = space.fork(&mut task)?;
        space.mmap(VirtRange::sized(ADDR_X, 0x1000), rw)?;
        cpu.store(ADDR_X, 0, &mut task)?;
        drop(cpu);
        let device = Iommu::new(4, 64).attach(&space, &mut task)?;
        let cpu_actor = || {
            let space = space.clone();
            Actor::new(move || Hands {
                cpu: Cpu::new(&space).expect("a new tlb has a free port"),
                task: Task::current().expect("a new thread has no task"),
            })
        };
        let device_actor = |thread: DeviceThread| Actor::new(move || thread);
        Ok(Scene {
            cpus: [cpu_actor(), cpu_actor(), cpu_actor(), cpu_actor()],
            dev0: device_actor(device.thread()?),
            dev2: device_actor(device.thread()?),
            space,
            sharer,
            stops,
            device: Some(device),
        })
    }

    /// CPU-thread-0 or -1 writes to a page that has to be copied.
    fn fault(&self, cpu: usize, addr: VirtAddr) -> Pending<Result<(), Error>> {
        for stage in [Stage::Started, Stage::Unlocked, Stage::Ended] {
            self.stops.arm(Operation::Cow, stage, addr);
        }
        let pending = self.cpus[cpu]
            .begin(move |hands| hands.cpu.store(addr.offset(BESIDE), 1, &mut hands.task));
        self.stops.wait(Operation::Cow, Stage::Started, addr);
        pending
    }

    /// Lets the faulting thread go from one point to the next.
    fn go_on(&self, addr: VirtAddr, from: Stage, to: Stage) {
        self.stops.pass(Operation::Cow, from, addr);
        self.stops.wait(Operation::Cow, to, addr);
    }

    fn close(mut self) -> Result<(), Error> {
        self.stops.pass_all();
        let mut task = Task::current().expect("the play's main thread has no other task");
        if let Some(device) = self.device.take() {
            device.detach(&mut task)?;
        }
        self.space.exit(&mut task)?;
        self.sharer.exit(&mut task)
    }
}

/// Plays the scenario on the implementation.
///
/// `late` puts the notification off to `range_end`.
///
/// # Errors
///
/// If an operation that the scenario needs fails.
pub fn scenario(late: bool) -> Result<Play, Error> {
    let scene = Scene::set(late.then_some(WrongPolicy::LateNotify))?;
    let mut timeline = Timeline::default();
    let mut at = |time, doing: &[(&str, String)]| timeline.add(time, &THREADS, doing);
    let read = |device: &DeviceActor, addr| device.run(move |thread| thread.load_from(addr));

    let (_, old_a) = read(&scene.dev0, ADDR_A)?;
    let (_, old_b) = read(&scene.dev2, ADDR_B)?;
    at(
        0,
        &[
            (THREADS[0], "try to write to addrA".into()),
            (THREADS[1], "try to write to addrB".into()),
            (THREADS[4], "read addrA and populate device TLB".into()),
            (THREADS[5], "read addrB and populate device TLB".into()),
        ],
    );

    let fault_a = scene.fault(0, ADDR_A);
    let fault_b = scene.fault(1, ADDR_B);
    let step0 = |addr| format!("COW_step0: {{mmu_notifier_invalidate_range_start({addr})}}");
    at(1, &[(THREADS[0], step0("addrA")), (THREADS[1], step0("addrB"))]);

    scene.go_on(ADDR_A, Stage::Started, Stage::Unlocked);
    scene.go_on(ADDR_B, Stage::Started, Stage::Unlocked);
    let step1 = |addr| match late {
        true => format!("COW_step1: {{update page table to point to new page for {addr}}}"),
        false => format!("COW_step1: {{clear, notify, point to new page for {addr}}}"),
    };
    at(2, &[(THREADS[0], step1("addrA")), (THREADS[1], step1("addrB"))]);

    let preempted = |thread: &'static str| (thread, "preempted".to_owned());
    let page = |now: Pfn, old: Pfn| if now == old { "old" } else { "new" };
    let wrote = |name: &str, addr, old| {
        let now = scene.space.translate(addr).map_or(old, |found| found.pfn);
        format!("write to {name} which is a write to {} page", page(now, old))
    };
    scene.cpus[2].run(|hands| {
        hands.cpu.store(ADDR_A, NEW, &mut hands.task)?;
        hands.cpu.store(ADDR_X, 1, &mut hands.task)
    })?;
    at(
        3,
        &[
            preempted(THREADS[0]),
            preempted(THREADS[1]),
            (THREADS[2], format!("{}; x = 1", wrote("addrA", ADDR_A, old_a))),
        ],
    );
    let x = scene.cpus[3].run(|hands| {
        let x = hands.cpu.load(ADDR_X, &mut hands.task)?;
        hands.cpu.store(ADDR_B, NEW, &mut hands.task)?;
        Ok::<_, Error>(x)
    })?;
    at(
        3,
        &[
            preempted(THREADS[0]),
            preempted(THREADS[1]),
            (THREADS[3], format!("read x = {x}; {}", wrote("addrB", ADDR_B, old_b))),
        ],
    );

    scene.go_on(ADDR_B, Stage::Unlocked, Stage::Ended);
    let step3 = |addr| format!("COW_step3: {{mmu_notifier_invalidate_range_end({addr})}}");
    at(4, &[preempted(THREADS[0]), (THREADS[1], step3("addrB"))]);

    let (b, b_from) = read(&scene.dev2, ADDR_B)?;
    scene.dev2.run(|thread| thread.store(ADDR_Y, 1))?;
    let read_b = format!("read addrB from {} page = {b}; y = 1", page(b_from, old_b));
    at(5, &[preempted(THREADS[0]), (THREADS[5], read_b)]);
    let y = scene.dev0.run(|thread| thread.load(ADDR_Y))?;
    let (a, a_from) = read(&scene.dev0, ADDR_A)?;
    let read_a = format!("read y = {y}; read addrA from {} page = {a}", page(a_from, old_a));
    at(5, &[preempted(THREADS[0]), (THREADS[4], read_a)]);

    scene.go_on(ADDR_A, Stage::Unlocked, Stage::Ended);
    let (in_the_end, end_from) = read(&scene.dev0, ADDR_A)?;
    at(
        6,
        &[
            (THREADS[0], step3("addrA")),
            (THREADS[4], format!("read addrA from {} page = {in_the_end}", page(end_from, old_a))),
        ],
    );
    scene.stops.pass_all();
    fault_a.wait()?;
    fault_b.wait()?;
    scene.close()?;

    let outcome = Outcome { x, b, y, a };
    Ok(Play {
        notified: if late { "at range_end" } else { "between clear and set" },
        timeline,
        outcome,
        violates: outcome.is_forbidden().then_some(Obligation::New.code()),
        in_the_end,
    })
}
