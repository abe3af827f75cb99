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

#[path = "../support/mod.rs"]
mod support;

mod load;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use address_space::{
    AddressSpace, Cpu, Ksm, Memory, Operation, Point, Schedule, Stage, Stops, WrongPolicy,
};
use load::{BLOCK, Dice, Feed, HERE, MOVED_COUNT, SEEN, SMALL, SMALL_COUNT, Stress, WorstCase};
use mmu_protocol::{Access, Obligation, VirtAddr};
use secondary_tlb::{StaleUse, WorstCaseTlb};
use shootdown_trace::monitor::{Monitor, Report, Verdict};
use shootdown_trace::rules::Rule;
use shootdown_trace::world::Clock;
use support::{HUGE, RW, World, block, blocks, pages, task};

/// Operations of a default run: some twenty seconds on two busy cores.
const DEFAULT_OPERATIONS: u64 = 4_000_000;

/// What a run came to.
struct Outcome {
    stale: Option<StaleUse>,
    held_when_freed: usize,
    operations: u64,
    seen: Vec<(&'static str, u64)>,
    /// What the rules for recordings of kernels say of the same run.
    rules: Report,
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
    let mut monitor = Monitor::new(Clock::Ordered);
    monitor.registered(space.id());
    assert!(feed.monitor.set(Mutex::new(monitor)).is_ok());

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
    let monitor = std::mem::replace(
        &mut *feed.monitor.get().unwrap().lock().unwrap(),
        Monitor::new(Clock::Ordered),
    );
    let rules = monitor.finish(None);
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
    let seen = SEEN.into_iter().zip(&feed.seen);
    let seen = seen.map(|(what, count)| (what, count.load(Ordering::Relaxed))).collect();
    drop((space, tlb, feed, ksm));
    assert_eq!(memory.free_frames(), memory.frames() - 1, "every frame is back");
    Outcome {
        stale,
        held_when_freed: found.len(),
        operations: operations.into_inner(),
        seen,
        rules,
    }
}

/// A thread that fails must not leave the others running.
fn stop_if_panicking(stress: &Stress) {
    if std::thread::panicking() {
        stress.stop.store(true, Ordering::Relaxed);
    }
}

/// What a rule says of the address space that has the device.
fn rule(report: &Report, rule: Rule) -> &Verdict {
    let rows = report.rows.iter().find(|row| row.rule == rule && row.mm.is_some());
    &rows.expect("it was monitored").verdict
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
    for row in &outcome.rules.rows {
        assert_eq!((row.findings.as_slice(), row.suspicions), (&[][..], 0), "{}", row.rule);
    }
    for (of, least) in [(Rule::R1, 100), (Rule::R3, 100), (Rule::R4, 100), (Rule::R5, 10)] {
        let verdict = rule(&outcome.rules, of);
        assert!(
            matches!(verdict, Verdict::Ok { checks, .. } if *checks > least),
            "{of}: {verdict:?}"
        );
    }
    println!("{} operations, no stale use; {:?}", outcome.operations, outcome.seen);
    if outcome.operations >= 1_000_000 {
        let never = outcome.seen.iter().find(|(_, count)| *count == 0);
        assert_eq!(never, None, "everything has happened");
    }
}

#[test]
fn late_notification_is_caught() {
    let outcome = run(20_000_000, Some(WrongPolicy::LateNotify));
    let stale = outcome.stale.expect("an old page is used after the new one is there");
    assert_eq!(stale.obligation, Obligation::New, "{stale}");
    assert!(matches!(rule(&outcome.rules, Rule::R4), Verdict::Violation { .. }), "and by R4");
    assert!(matches!(rule(&outcome.rules, Rule::R1), Verdict::Ok { .. }), "ranges are right");
}

#[test]
fn early_free_is_caught() {
    let outcome = run(20_000_000, Some(WrongPolicy::EarlyFree));
    assert!(outcome.held_when_freed > 0, "held when it was freed");
    let stale = outcome.stale.expect("and used when it was free");
    assert_eq!(stale.obligation, Obligation::Free, "{stale}");
    assert!(matches!(rule(&outcome.rules, Rule::R5), Verdict::Violation { .. }), "and by R5");
    assert!(matches!(rule(&outcome.rules, Rule::R4), Verdict::Ok { .. }), "case B is right");
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
