//! What the threads do, and how the worst-case TLB learns of it.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use address_space::{AddressSpace, Cpu, DeviceThread, Error, Ksm, Observer, POISON, Walker};
use mmu_notifier::Task;
use mmu_protocol::{Access, MmId, Obligation, Record, RecordKind, Rights, Transition, VirtAddr};
use secondary_tlb::{StaleUse, WorstCaseTlb};
use shootdown_trace::monitor::Monitor;

use crate::support::{block, blocks, page, pages};

pub(crate) type WorstCase = WorstCaseTlb<Walker>;

/// Small pages across the border of two tables.
pub(crate) const SMALL: u64 = 500;
pub(crate) const SMALL_COUNT: u64 = 24;
/// Two places between which pages move.
pub(crate) const HERE: u64 = 1000;
pub(crate) const THERE: u64 = 1600;
pub(crate) const MOVED_COUNT: u64 = 4;
/// The 2 MiB page.
pub(crate) const BLOCK: u64 = 4;

/// Feeds the worst-case TLB of one address space with what all of them report.
#[derive(Default)]
pub(crate) struct Feed {
    pub(crate) tlb: OnceLock<(MmId, Arc<WorstCase>)>,
    /// How often each kind of change was made: evidence that all of it happened.
    pub(crate) seen: [AtomicU64; SEEN.len()],
    /// The rules for recordings of kernels, on what is reported here.
    pub(crate) monitor: OnceLock<Mutex<Monitor>>,
}

thread_local! {
    /// What the monitor calls this thread.
    static THREAD: u32 = {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        NEXT.fetch_add(1, Ordering::Relaxed)
    };
}

/// What is counted.
pub(crate) const SEEN: [&str; 8] = [
    "pages replaced",
    "merged",
    "split",
    "entries filled",
    "cleared",
    "protected",
    "ranges",
    "pages freed",
];

impl Feed {
    fn count(&self, kind: &RecordKind) {
        let place = match kind {
            RecordKind::Set { transition: Transition::Replace, .. } => 0,
            RecordKind::Set { transition: Transition::SameContent, .. } => 1,
            RecordKind::Set { transition: Transition::Split, .. } => 2,
            RecordKind::Set { .. } => 3,
            RecordKind::Clear { .. } => 4,
            RecordKind::Change { .. } => 5,
            RecordKind::Start { .. } => 6,
            RecordKind::Free { .. } => 7,
            _ => return,
        };
        self.seen[place].fetch_add(1, Ordering::Relaxed);
    }
}

impl Feed {
    fn watch(&self, record: Record) {
        // Millions of them, and no rule asks.
        if matches!(record.kind, RecordKind::Fill { .. } | RecordKind::Use { .. }) {
            return;
        }
        if let Some(monitor) = self.monitor.get() {
            THREAD.with(|thread| monitor.lock().unwrap().record(record, *thread));
        }
    }
}

impl Observer for Feed {
    fn record(&self, record: Record) {
        self.count(&record.kind);
        self.watch(record);
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
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
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
pub(crate) struct Stress {
    pub(crate) space: Arc<AddressSpace>,
    pub(crate) tlb: Arc<WorstCase>,
    pub(crate) ksm: Ksm,
    pub(crate) operations: AtomicU64,
    pub(crate) limit: u64,
    pub(crate) stop: AtomicBool,
    /// For each small page: begun and ended scans. While one runs the pages may
    /// differ that the records have yet to call the same.
    pub(crate) scans: Vec<AtomicU64>,
    pub(crate) stale: OnceLock<StaleUse>,
}

/// The name in a value: what page it was stored to. Small pages share a few
/// names, so that KSM finds pages with the same bytes.
fn name(number: u64) -> u64 {
    match number {
        // Pages that move have one name together.
        HERE.. if number < HERE + MOVED_COUNT => TRAVELLER,
        THERE.. if number < THERE + MOVED_COUNT => TRAVELLER,
        SMALL.. if number < SMALL + SMALL_COUNT => 2 + number % 4,
        _ => number,
    }
}

/// The name of the pages that move.
const TRAVELLER: u64 = 1;

/// An address in the page, and something to store there: few of both, for KSM.
fn place(dice: &mut Dice, number: u64) -> (VirtAddr, u64) {
    let at = page(number).offset(8 * dice.below(2));
    (at, name(number) << 32 | (1 + dice.below(2)))
}

/// Zero, or something that was stored to this page.
#[track_caller]
pub(crate) fn check_value(number: u64, value: u64) {
    assert_ne!(value, POISON, "page {number}: a free frame was read");
    assert!(value == 0 || value >> 32 == name(number), "page {number} reads as {value:#x}");
}

/// What may be answered where rights and mappings come and go.
#[track_caller]
pub(crate) fn check_error(number: u64, error: Error) {
    let moved = name(number) == TRAVELLER;
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

    pub(crate) fn device(&self, mut thread: Option<DeviceThread>, mut dice: Dice) {
        // Without real accesses only what the workers do counts.
        while self.go_on(if thread.is_some() { 32 } else { 0 }) {
            // The worst-case TLB's lock is not a fair one: let the workers have it.
            std::thread::yield_now();
            for _ in 0..32 {
                let number = self.page(&mut dice);
                let write = dice.below(3) == 0;
                self.use_worst(number, if write { Access::Write } else { Access::Read });
                let Some(thread) = &mut thread else { continue };
                let (at, value) = place(&mut dice, number);
                let done =
                    if write { thread.store(at, value).map(|()| 0) } else { thread.load(at) };
                match done {
                    Ok(value) => check_value(number, value),
                    Err(error) => check_error(number, error),
                }
            }
        }
    }

    pub(crate) fn worker(&self, mut dice: Dice, mover: bool) {
        let mut task = Task::current().expect("a new thread has no task");
        let mut cpu = Cpu::new(&self.space).expect("there is a place");
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
                        let (at, value) = place(&mut dice, number);
                        if let Err(error) = cpu.store(at, value, &mut task) {
                            check_error(number, error);
                        }
                    }
                    _ => match cpu.load(place(&mut dice, number).0, &mut task) {
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
