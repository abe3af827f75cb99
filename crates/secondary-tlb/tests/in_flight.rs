//! Invalidations against accesses and fills of other threads.
#![cfg(not(shuttle))]

mod page_table;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread;

use mmu_notifier::{Atomic, Invalidation, SecondaryTlb};
use page_table::{PageTable, huge, page, pages, rw};
use secondary_tlb::protocol::{Access, PageSize, VirtAddr, VirtRange};
use secondary_tlb::{
    Atc, Checked, InvalidationQueue, Iotlb, Order, PageTableWalk, Pasid, PasidTable, Port, Scope,
    Source, Sva, Tlb, Translation,
};

const ROUNDS: u64 = if cfg!(miri) { 30 } else { 30_000 };

fn spin_until(flag: &AtomicBool) {
    while !flag.load(Ordering::Acquire) {
        thread::yield_now();
    }
}

#[test]
fn an_invalidation_waits_for_the_closure_in_flight() {
    let table = Arc::new(PageTable::new(1));
    let pasids = PasidTable::new(1);
    let pasid = pasids.bind(pasids.allocate().unwrap(), Arc::clone(&table)).pasid();
    let iotlb = Arc::new(Iotlb::new(pasids, 64));
    table.set(page(1), rw(10));
    for scope in [
        Scope::page(pasid, page(1), PageSize::Base),
        Scope::page(pasid, page(9), PageSize::Huge),
        Scope::pasid(pasid),
        Scope::ALL,
    ] {
        let [inside, started, left] = [const { AtomicBool::new(false) }; 3];
        thread::scope(|threads| {
            threads.spawn(|| {
                let mut port = iotlb.port().unwrap();
                port.translate_with(pasid, page(1), Access::Write, |_| {
                    inside.store(true, Ordering::Release);
                    spin_until(&started);
                    for _ in 0..if cfg!(miri) { 20 } else { 2_000 } {
                        thread::yield_now();
                    }
                    left.store(true, Ordering::Relaxed);
                })
                .unwrap();
            });
            spin_until(&inside);
            started.store(true, Ordering::Release);
            iotlb.invalidate(scope);
            // Relaxed: the invalidation itself orders it.
            assert!(left.load(Ordering::Relaxed), "{scope:?} did not wait");
        });
    }
}

/// By the time a device TLB is told, its IOTLB was: seen from inside a window
/// of the device, which holds the device's own invalidation back.
#[test]
fn a_binding_tells_the_iotlb_first() {
    for queued in [false, true] {
        let table = Arc::new(PageTable::new(1));
        table.set(page(1), rw(10));
        let iotlb = Arc::new(Iotlb::new(PasidTable::new(1), 64));
        let atc = Arc::new(Atc::new(Arc::clone(&iotlb), 64));
        let devices = vec![Arc::clone(&atc)];
        let sva = if queued {
            let queue = InvalidationQueue::new(Arc::clone(&iotlb), devices, 8, Order::Any);
            let ids = queue.devices().map(|(id, _)| id).collect();
            Sva::bind_queued(Arc::new(queue), ids, table)
        } else {
            Sva::bind(Arc::clone(&iotlb), devices, table)
        }
        .unwrap();
        let pasid = sva.pasid();
        let mut port = atc.port().unwrap();
        let witness = port.translate(pasid, page(1), Access::Read).unwrap();
        assert!(iotlb.lookup(pasid, page(1), Access::Read).is_some());
        thread::scope(|threads| {
            port.translate_with(pasid, page(1), Access::Read, |_| {
                threads.spawn(|| {
                    let told = Invalidation::new(pages(1, 1), PageSize::Base);
                    sva.invalidate_range(&told, Atomic::assume());
                });
                while atc.is_current(&witness) {
                    thread::yield_now();
                }
                assert_eq!(iotlb.lookup(pasid, page(1), Access::Read), None, "queued: {queued}");
            })
            .unwrap();
        });
    }
}

/// Answers from the table, but only after an invalidation has begun.
struct SlowWalk {
    table: PageTable,
    slow: AtomicBool,
    walking: AtomicBool,
    tlb: OnceLock<Weak<Iotlb<Arc<SlowWalk>>>>,
    witness: OnceLock<Checked>,
}

impl PageTableWalk for SlowWalk {
    fn walk(&self, addr: VirtAddr) -> Option<Translation> {
        let read = self.table.walk(addr);
        if self.slow.swap(false, Ordering::Relaxed) {
            self.walking.store(true, Ordering::Release);
            let tlb = self.tlb.get().and_then(Weak::upgrade).expect("the tlb walks");
            while tlb.is_current(self.witness.get().expect("set before")) {
                thread::yield_now();
            }
        }
        read
    }
}

/// The walk read the old entry before the invalidation began, and answers
/// after the invalidation has removed what it found: nothing may be installed.
#[test]
fn a_walk_that_an_invalidation_overtakes_leaves_nothing_behind() {
    for wide in [false, true] {
        let walker = Arc::new(SlowWalk {
            table: PageTable::new(1),
            slow: AtomicBool::new(false),
            walking: AtomicBool::new(false),
            tlb: OnceLock::new(),
            witness: OnceLock::new(),
        });
        let pasids = PasidTable::new(1);
        let pasid = pasids.bind(pasids.allocate().unwrap(), Arc::clone(&walker)).pasid();
        // One set: page 2 is a witness for page 1.
        let iotlb = Arc::new(Iotlb::new(pasids, 1));
        walker.table.set(page(1), rw(10));
        walker.table.set(page(2), rw(20));
        let mut port = iotlb.port().unwrap();
        walker.witness.set(port.translate(pasid, page(2), Access::Read).unwrap()).unwrap();
        walker.tlb.set(Arc::downgrade(&iotlb)).unwrap();
        walker.slow.store(true, Ordering::Relaxed);
        thread::scope(|threads| {
            let device = threads.spawn(|| {
                iotlb.port().unwrap().translate_with(pasid, page(1), Access::Read, |t| t.pfn)
            });
            spin_until(&walker.walking);
            walker.table.set(page(1), rw(11));
            iotlb.invalidate(if wide {
                Scope::pasid(pasid)
            } else {
                Scope::page(pasid, page(1), PageSize::Base)
            });
            let held = iotlb.lookup(pasid, page(1), Access::Read);
            assert!(held.is_none_or(|held| held.translation().pfn == 11), "stale: {held:?}");
            assert_eq!(device.join().unwrap(), Ok(10), "it was in flight, and was waited for");
        });
    }
}

/// Frames count up by 512 with each change; `floor` is the count that the last
/// finished invalidation has made the oldest allowed.
struct Race {
    table: Arc<PageTable>,
    floor: AtomicU64,
    stop: AtomicBool,
    accesses: AtomicU64,
}

/// Stops the devices also when the other side panics.
struct StopAtEnd<'r>(&'r Race);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

const RACE_PAGE: u64 = 512 + 3;

impl Race {
    fn count(translation: &Translation) -> u64 {
        translation.frame(page(RACE_PAGE)) / 512
    }

    /// A device: no access may use what was invalidated before it began, and
    /// none may end after such an invalidation has.
    fn device<S: Source>(&self, tlb: &Arc<Tlb<S>>, pasid: Pasid) {
        let mut port: Port<S> = tlb.port().unwrap();
        let mut accesses = 0_u64;
        while !self.stop.load(Ordering::Relaxed) {
            let before = self.floor.load(Ordering::Acquire);
            let access = if accesses % 2 == 0 { Access::Read } else { Access::Write };
            let result = port.translate_with(pasid, page(RACE_PAGE), access, |translation| {
                let count = Self::count(translation);
                assert!(count >= before, "used {count} after {before} was the oldest allowed");
                let after = self.floor.load(Ordering::Relaxed);
                assert!(count >= after, "{after} was finished while {count} was in flight");
            });
            result.unwrap();
            let before = self.floor.load(Ordering::Acquire);
            let checked = port.translate(pasid, page(RACE_PAGE), access).unwrap();
            let count = Self::count(&checked.translation());
            assert!(count >= before);
            let after = self.floor.load(Ordering::Acquire);
            if tlb.is_current(&checked) {
                assert!(count >= after, "{count} called current after {after}");
            }
            accesses += 1;
            self.accesses.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn change(&self, round: u64) {
        // The large entry comes and goes over the small one.
        let frame = round * 512;
        self.table.set(page(RACE_PAGE), rw(frame + 3));
        if round % 3 == 0 {
            self.table.set(page(512), huge(frame));
        } else {
            self.table.clear_huge(page(512));
        }
    }
}

fn told(round: u64) -> VirtRange {
    match round % 5 {
        0 => VirtRange::ALL,
        1 => pages(512, 512),
        _ => pages(RACE_PAGE, 1),
    }
}

#[test]
fn no_access_outlives_an_invalidation_and_no_fill_comes_back() {
    let race = Race {
        table: Arc::new(PageTable::new(2)),
        floor: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        accesses: AtomicU64::new(0),
    };
    race.change(1);
    let iotlb = Arc::new(Iotlb::new(PasidTable::new(4), 64));
    let atc = Arc::new(Atc::new(Arc::clone(&iotlb), 16));
    let sva =
        Sva::bind(Arc::clone(&iotlb), vec![Arc::clone(&atc)], Arc::clone(&race.table)).unwrap();
    thread::scope(|threads| {
        let devices = [
            threads.spawn(|| race.device(&atc, sva.pasid())),
            threads.spawn(|| race.device(&iotlb, sva.pasid())),
        ];
        let stop = StopAtEnd(&race);
        let mut round = 1;
        // Until both sides have had their share, however they are scheduled.
        while round < ROUNDS || race.accesses.load(Ordering::Relaxed) < ROUNDS {
            round += 1;
            race.change(round);
            // The whole block, because the entry may have had either size.
            let invalidation = Invalidation::new(told(round), PageSize::Huge);
            sva.invalidate_range(&invalidation, Atomic::assume());
            race.floor.store(round, Ordering::Release);
            assert!(!devices.iter().any(|device| device.is_finished()), "a device died");
            if cfg!(miri) {
                thread::yield_now();
            }
        }
        drop(stop);
        for device in devices {
            device.join().unwrap();
        }
    });
}

/// One access and one unmap, no more: the smallest thing that needs the fence
/// between publishing a window and looking the page up. Processors show its
/// absence rarely; miri's weak memory shows it (`-Zmiri-many-seeds`).
#[test]
fn an_access_and_an_unmap_meet() {
    for _ in 0..if cfg!(miri) { 4 } else { 300 } {
        let table = Arc::new(PageTable::new(1));
        let pasids = PasidTable::new(1);
        let pasid = pasids.bind(pasids.allocate().unwrap(), Arc::clone(&table)).pasid();
        let iotlb = Arc::new(Iotlb::new(pasids, 1));
        table.set(page(1), rw(10));
        let mut port = iotlb.port().unwrap();
        port.translate(pasid, page(1), Access::Read).unwrap();
        let freed = AtomicBool::new(false);
        thread::scope(|threads| {
            threads.spawn(|| {
                // A fault is as good: the unmap came first.
                let _ = port.translate_with(pasid, page(1), Access::Write, |_| {
                    thread::yield_now();
                    assert!(!freed.load(Ordering::Relaxed), "wrote to a freed frame");
                });
            });
            table.set(page(1), None);
            iotlb.invalidate(Scope::page(pasid, page(1), PageSize::Base));
            freed.store(true, Ordering::Relaxed);
        });
    }
}
