//! Millions of mixed operations from several threads, with the TLB that forgets
//! nothing it was not told to forget: no stale use.
//!
//! Workers load, store, zap, protect, fork, merge, move, split and collapse;
//! device threads go through real TLBs and through a `WorstCaseTlb`, which is a
//! subscriber like any other and learns of changes from the records. Values
//! carry the name of their page: whoever reads another page's data, or that of
//! a free frame, notices.
//!
//! `SHOOTDOWN_ITERATIONS` sets how many operations there are in all. The long
//! run:
//! `SHOOTDOWN_ITERATIONS=10000000 cargo test --release -p address-space --test stress_worst_case`
#![cfg(not(shuttle))]

mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use address_space::{
    AddressSpace, Cpu, DeviceThread, Error, Ksm, Memory, Observer, Operation, POISON, Point,
    Schedule, Stage, Stops, Walker, WrongPolicy,
};
use mmu_notifier::Task;
use mmu_protocol::{Access, MmId, Obligation, Record, RecordKind, Rights, VirtAddr};
use secondary_tlb::{StaleUse, WorstCaseTlb};
use support::{HUGE, RW, World, block, blocks, page, pages, task};

type WorstCase = WorstCaseTlb<Walker>;

/// Small pages across the border of two tables.
const SMALL: u64 = 500;
const SMALL_COUNT: u64 = 24;
/// Two places between which pages move.
const HERE: u64 = 1000;
const THERE: u64 = 1600;
const MOVED_COUNT: u64 = 4;
/// The 2 MiB page.
const BLOCK: u64 = 4;

/// Operations of a default run: about twenty seconds on two cores.
const DEFAULT_OPERATIONS: u64 = 1_000_000;

/// Feeds the worst-case TLB of one address space with what all of them report.
#[derive(Default)]
struct Feed {
    tlb: OnceLock<(MmId, Arc<WorstCase>)>,
}

impl Observer for Feed {
    fn record(&self, record: Record) {
        let Some((mm, tlb)) = self.tlb.get() else { return };
        match record.kind {
            // Of that it is told as a subscriber.
            RecordKind::Invalidate { .. } => {}
            // Whoever asked for the frame: nobody may hold it now.
            RecordKind::Free { .. } => tlb.observe(record.kind),
            kind if record.mm == *mm => tlb.observe(kind),
            _ => {}
        }
    }
}

/// A small generator, one for each thread.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Dice((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % end
    }
}

/// What all threads share.
struct Stress {
    space: Arc<AddressSpace>,
    tlb: Arc<WorstCase>,
    ksm: Ksm,
    operations: AtomicU64,
    limit: u64,
    stop: AtomicBool,
    /// For each small page: begun and ended scans. While one runs the pages may
    /// differ that the records have yet to call the same.
    scans: Vec<AtomicU64>,
    stale: OnceLock<StaleUse>,
}

/// The name in a value: what page it was stored to.
fn name(number: u64) -> u64 {
    match number {
        // Pages that move have one name together.
        HERE.. if number < HERE + MOVED_COUNT => 1,
        THERE.. if number < THERE + MOVED_COUNT => 1,
        _ => number,
    }
}

/// Zero, or something that was stored to this page.
#[track_caller]
fn check_value(number: u64, value: u64) {
    assert_ne!(value, POISON, "page {number}: a free frame was read");
    assert!(value == 0 || value >> 32 == name(number), "page {number} reads as {value:#x}");
}

/// What may be answered where rights and mappings come and go.
#[track_caller]
fn check_error(number: u64, error: Error) {
    let moved = name(number) == 1;
    match error {
        Error::Forbidden { .. } if !moved => {}
        Error::NoMapping { .. } if moved => {}
        error => panic!("page {number}: {error}"),
    }
}

impl Stress {
    /// A page that is used by everybody, mostly a small one.
    fn page(&self, dice: &mut Dice) -> u64 {
        match dice.below(16) {
            0 => HERE + dice.below(MOVED_COUNT),
            1 => THERE + dice.below(MOVED_COUNT),
            2 | 3 => BLOCK * 512 + [0, 1, 100, 511][dice.below(4) as usize],
            _ => SMALL + dice.below(SMALL_COUNT),
        }
    }

    /// Whether there is more to do; counts `done` operations.
    fn go_on(&self, done: u64) -> bool {
        let before = self.operations.fetch_add(done, Ordering::Relaxed);
        before + done < self.limit && !self.stop.load(Ordering::Relaxed)
    }

    /// Lets the worst-case TLB use an address.
    fn use_worst(&self, number: u64, access: Access) {
        let scans = self.scans.get((number - SMALL.min(number)) as usize);
        let scans = || scans.map_or(0, |scans| scans.load(Ordering::SeqCst));
        let before = scans();
        let Err(stale) = self.tlb.access(page(number), access) else { return };
        // KSM has stored the entry and not yet recorded that the bytes are the
        // same: a gap in what the TLB is told, not in the protocol.
        let told_late = before % 2 == 1 || scans() != before;
        if stale.obligation == Obligation::New && told_late {
            return;
        }
        let _ = self.stale.set(stale);
        self.stop.store(true, Ordering::Relaxed);
    }

    fn device(&self, mut thread: Option<DeviceThread>, mut dice: Dice) {
        let mut stores = 0;
        while self.go_on(32) {
            for _ in 0..32 {
                let number = self.page(&mut dice);
                let write = dice.below(3) == 0;
                self.use_worst(number, if write { Access::Write } else { Access::Read });
                let Some(thread) = &mut thread else { continue };
                let at = page(number).offset(8 * dice.below(4));
                let done = if write {
                    stores += 1;
                    thread.store(at, name(number) << 32 | stores).map(|()| 0)
                } else {
                    thread.load(at)
                };
                match done {
                    Ok(value) => check_value(number, value),
                    Err(error) => check_error(number, error),
                }
            }
        }
    }

    fn worker(&self, mut dice: Dice, mover: bool) {
        let mut task = Task::current().expect("a new thread has no task");
        let mut cpu = Cpu::new(&self.space).expect("there is a place");
        let mut stores = 0;
        while self.go_on(16) {
            for _ in 0..16 {
                let number = self.page(&mut dice);
                match dice.below(100) {
                    0..2 if mover => self.travel(&mut task),
                    0..6 => self.protect(&mut dice, &mut task),
                    6..16 => self.zap(&mut dice, &mut task),
                    16..20 => self.child(&mut dice, &mut task),
                    20..32 => self.scan(&mut dice, &mut task),
                    32..36 => self.replace(&mut dice, &mut task),
                    36 if mover && dice.below(8) == 0 => self.reshape(&mut cpu, &mut task),
                    37..70 => {
                        stores += 1;
                        let value = name(number) << 32 | stores;
                        let at = page(number).offset(8 * dice.below(4));
                        if let Err(error) = cpu.store(at, value, &mut task) {
                            check_error(number, error);
                        }
                    }
                    _ => match cpu.load(page(number).offset(8 * dice.below(4)), &mut task) {
                        Ok(value) => check_value(number, value),
                        Err(error) => check_error(number, error),
                    },
                }
            }
        }
    }

    fn zap(&self, dice: &mut Dice, task: &mut Task) {
        let range = match dice.below(40) {
            0 => blocks(BLOCK, 1),
            1 => pages(BLOCK * 512 + 1, 3),
            _ => {
                let first = dice.below(SMALL_COUNT);
                pages(SMALL + first, 1 + dice.below((SMALL_COUNT - first).min(4)))
            }
        };
        self.space.dontneed(range, task).expect("it is mapped");
    }

    fn protect(&self, dice: &mut Dice, task: &mut Task) {
        let first = dice.below(SMALL_COUNT);
        let range = pages(SMALL + first, 1 + dice.below((SMALL_COUNT - first).min(4)));
        let rights = if dice.below(2) == 0 { Rights::ReadOnly } else { Rights::ReadWrite };
        self.space.mprotect(range, rights, task).expect("it is mapped");
    }

    /// A child that reads and writes its copies and goes away again.
    fn child(&self, dice: &mut Dice, task: &mut Task) {
        let child = self.space.fork(task).expect("there are frames");
        let mut cpu = Cpu::new(&child).expect("there is a place");
        for _ in 0..4 {
            let number = self.page(dice);
            match cpu.load(page(number), task) {
                Ok(value) => check_value(number, value),
                Err(error) => check_error(number, error),
            }
            if let Err(error) = cpu.store(page(number), name(number) << 32, task) {
                check_error(number, error);
            }
        }
        drop(cpu);
        child.exit(task).expect("no range is open");
    }

    fn scan(&self, dice: &mut Dice, task: &mut Task) {
        let index = dice.below(SMALL_COUNT);
        let scans = &self.scans[index as usize];
        // One at a time for each page, so that odd means "running".
        if scans
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| (n % 2 == 0).then_some(n + 1))
            .is_err()
        {
            return;
        }
        match self.space.ksm_scan(page(SMALL + index), &self.ksm, task) {
            Ok(_) | Err(Error::NotPresent { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        scans.fetch_add(1, Ordering::SeqCst);
    }

    fn replace(&self, dice: &mut Dice, task: &mut Task) {
        let at = page(SMALL + dice.below(SMALL_COUNT));
        match self.space.replace_page(at, |words| words[3] = 0, task) {
            Ok(()) | Err(Error::NotPresent { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Moves the pages that travel to where they are not.
    fn travel(&self, task: &mut Task) {
        let there = self.space.mremap(pages(HERE, MOVED_COUNT), page(THERE), task);
        if there.is_err() {
            let back = self.space.mremap(pages(THERE, MOVED_COUNT), page(HERE), task);
            back.expect("they are here or there, and one thread moves them");
        }
    }

    /// Splits the 2 MiB page, or makes one of the parts.
    fn reshape(&self, cpu: &mut Cpu, task: &mut Task) {
        self.space.split_huge(block(BLOCK), task).expect("there are frames");
        for part in 0..512 {
            cpu.load(page(BLOCK * 512 + part), task).expect("it is mapped");
        }
        match self.space.collapse(block(BLOCK), task) {
            Ok(()) | Err(Error::NotCollapsible { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// What a run came to.
struct Outcome {
    stale: Option<StaleUse>,
    held_when_freed: usize,
    operations: u64,
}

/// Runs until `limit` operations are done or something stale was used. Under a
/// wrong policy there are no real devices: they would write to other
/// processes' pages and to page tables.
fn run(limit: u64, policy: Option<WrongPolicy>) -> Outcome {
    let memory = Memory::new(8 * 512);
    let feed = Arc::new(Feed::default());
    let builder = AddressSpace::builder(&memory).observer(feed.clone());
    let builder = match policy {
        None => builder,
        // SAFETY: INV-ASSUMED: no device of this address space touches memory.
        Some(policy) => unsafe {
            builder.yield_after_unlock().wrong_policy(policy, "the worst-case TLB must see it")
        },
    };
    let space = builder.build().unwrap();
    space.mmap(pages(SMALL, SMALL_COUNT), RW).unwrap();
    space.mmap(pages(HERE, MOVED_COUNT), RW).unwrap();
    space.mmap(blocks(BLOCK, 1), HUGE).unwrap();
    let mut main_task = task();
    let tlb = Arc::new(WorstCaseTlb::new(space.walker()));
    assert!(feed.tlb.set((space.id(), tlb.clone())).is_ok());
    let subscription = space.register_tlb(tlb.clone(), &mut main_task).unwrap();
    tlb.watch(pages(SMALL, SMALL_COUNT));

    let iommu = address_space::Iommu::new(4, 256);
    let devices: Vec<_> = (0..2)
        .map(|_| policy.is_none().then(|| iommu.attach(&space, &mut main_task).unwrap()))
        .collect();
    let stress = Stress {
        space: space.clone(),
        tlb: tlb.clone(),
        ksm: Ksm::new(&memory),
        operations: AtomicU64::new(0),
        limit,
        stop: AtomicBool::new(false),
        scans: (0..SMALL_COUNT).map(|_| AtomicU64::new(0)).collect(),
        stale: OnceLock::new(),
    };
    std::thread::scope(|scope| {
        let stress = &stress;
        for seed in 1..=3 {
            scope.spawn(move || {
                let _stop = support::OnDrop(|| stop_if_panicking(stress));
                stress.worker(Dice::new(seed), seed == 1);
            });
        }
        for (seed, device) in devices.iter().enumerate() {
            let thread = device.as_ref().map(|device| device.thread().unwrap());
            scope.spawn(move || {
                let _stop = support::OnDrop(|| stop_if_panicking(stress));
                stress.device(thread, Dice::new(seed as u64 + 77));
            });
        }
    });
    let Stress { space: again, tlb: too, ksm, stale, operations, .. } = stress;
    drop((again, too));
    let stale = stale.into_inner();
    let found = tlb.take_found();
    if policy.is_none() {
        for held in &found {
            eprintln!("{held}");
        }
        tlb.assert_clean();
        address_space::verify(&memory, &[&space], Some(&ksm)).unwrap();
    }
    for device in devices.into_iter().flatten() {
        device.detach(&mut main_task).unwrap();
    }
    space.unregister_tlb(subscription, &mut main_task).unwrap();
    space.exit(&mut main_task).unwrap();
    drop((space, tlb, feed, ksm));
    assert_eq!(memory.free_frames(), memory.frames() - 1, "every frame is back");
    Outcome { stale, held_when_freed: found.len(), operations: operations.into_inner() }
}

/// A thread that fails must not leave the others running.
fn stop_if_panicking(stress: &Stress) {
    if std::thread::panicking() {
        stress.stop.store(true, Ordering::Relaxed);
    }
}

#[test]
fn no_stale_use() {
    let limit = std::env::var("SHOOTDOWN_ITERATIONS")
        .ok()
        .map_or(DEFAULT_OPERATIONS, |text| text.parse().expect("SHOOTDOWN_ITERATIONS is a number"));
    let outcome = run(limit, None);
    if let Some(stale) = outcome.stale {
        panic!("{stale}");
    }
    assert_eq!(outcome.held_when_freed, 0);
    println!("{} operations, no stale use", outcome.operations);
}

#[test]
fn late_notification_is_caught() {
    let outcome = run(20_000_000, Some(WrongPolicy::LateNotify));
    let stale = outcome.stale.expect("an old page is used after the new one is there");
    assert_eq!(stale.obligation, Obligation::New, "{stale}");
}

#[test]
fn early_free_is_caught() {
    let outcome = run(20_000, Some(WrongPolicy::EarlyFree));
    assert!(outcome.held_when_freed > 0, "held when it was freed");
}

/// Asks the worst-case TLB at each copy whether somebody can still write.
struct AtCopy {
    stops: Stops,
    tlb: OnceLock<Arc<WorstCase>>,
    writable: AtomicBool,
}

impl Schedule for AtCopy {
    fn reach(&self, point: Point) {
        if let (Operation::Cow, Stage::Copied, Some(tlb)) =
            (point.operation, point.stage, self.tlb.get())
        {
            let source = secondary_tlb::PageTableWalk::walk(tlb.table(), point.addr).unwrap();
            if tlb.copied(source.pfn).is_err() {
                self.writable.store(true, Ordering::SeqCst);
            }
        }
        self.stops.reach(point);
    }
}

/// A part of a split page is copied while KSM has write-protected it and has
/// yet to tell.
#[test]
fn an_unsettled_copy_is_caught() {
    for policy in [Some(WrongPolicy::UnsettledCopy), None] {
        let world = World::new(2048);
        let schedule = Arc::new(AtCopy {
            stops: Stops::new(),
            tlb: OnceLock::new(),
            writable: AtomicBool::new(false),
        });
        let builder = AddressSpace::builder(&world.memory).schedule(schedule.clone());
        let builder = match policy {
            None => builder,
            // SAFETY: INV-ASSUMED: no device of this address space touches memory.
            Some(policy) => unsafe { builder.wrong_policy(policy, "it must be seen") },
        };
        let space = builder.build().unwrap();
        space.mmap(blocks(1, 1), HUGE).unwrap();
        let mut task = task();
        let tlb = Arc::new(WorstCaseTlb::new(space.walker()));
        assert!(schedule.tlb.set(tlb.clone()).is_ok());
        let _told_until_exit = space.register_tlb(tlb.clone(), &mut task).unwrap();
        let at: VirtAddr = block(1);
        let mut cpu = Cpu::new(&space).unwrap();
        cpu.store(at, 1, &mut task).unwrap();
        space.split_huge(at, &mut task).unwrap();
        assert_eq!(tlb.access(at, Access::Write).unwrap(), space.translate(at), "it may write");
        let ksm = Ksm::new(&world.memory);
        let (scanned, ()) = support::stopped_at(
            &schedule.stops,
            (Operation::KsmProtect, Stage::Unlocked, at),
            |task| space.ksm_scan(at, &ksm, task),
            || {
                // One that does not know the page yet: it faults, and copies.
                Cpu::new(&space).unwrap().store(at, 2, &mut task).unwrap();
            },
        );
        scanned.unwrap();
        assert_eq!(schedule.writable.load(Ordering::SeqCst), policy.is_some(), "{policy:?}");
        drop((cpu, tlb, schedule, task));
        world.finish([space], Some(ksm));
    }
}
