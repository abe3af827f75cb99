//! Schedules chosen by shuttle, and two mistakes that must be found:
//! `RUSTFLAGS="--cfg shuttle" cargo test -p secondary-tlb --test shuttle_tlb`.
#![cfg(shuttle)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use secondary_tlb::protocol::{Access, PageSize, Rights, VirtAddr};
use secondary_tlb::{
    Atc, InvalidationQueue, Iotlb, Order, PageTableWalk, PasidTable, Scope, Source, Tlb,
    Translation, mutation,
};
use shuttle::sync::atomic::{AtomicU64, Ordering};
use shuttle::thread;

const ADDR: VirtAddr = VirtAddr::new(0x1000);
const SCHEDULES: usize = 3_000;

/// One entry; zero is absent.
struct OneEntry(AtomicU64);

impl PageTableWalk for OneEntry {
    fn walk(&self, _: VirtAddr) -> Option<Translation> {
        let pfn = self.0.load(Ordering::SeqCst);
        let (size, rights) = (PageSize::Base, Rights::ReadWrite);
        (pfn != 0).then_some(Translation { pfn, size, rights })
    }
}

/// Mistakes are made by the whole process: one test at a time.
static ONE: Mutex<()> = Mutex::new(());

const STALE: &str = "left: Some(1)\n right: Some(2)";

/// A mistake shows if one thread stands still while another runs a whole
/// invalidation: few preemptions at the right places, not many at random.
fn explore(scenario: fn()) {
    shuttle::check_random(scenario, SCHEDULES);
    shuttle::check_pct(scenario, SCHEDULES, 3);
}

fn check(scenario: fn()) {
    let _one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    mutation::set(0);
    explore(scenario);
}

/// `shows` is what the failed assertion says: a deadlock would not count.
fn finds(mistake: u32, shows: &str, scenario: fn()) {
    let _one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    mutation::set(mistake);
    let found = catch_unwind(AssertUnwindSafe(|| explore(scenario)));
    mutation::set(0);
    let panic = found.expect_err("no schedule shows the mistake");
    let said = panic.downcast_ref::<String>().map_or("", String::as_str);
    assert!(said.contains(shows), "another failure: {said}");
}

struct Machine {
    table: Arc<OneEntry>,
    iotlb: Arc<Iotlb<Arc<OneEntry>>>,
    pasid: secondary_tlb::Pasid,
}

fn machine() -> Machine {
    let table = Arc::new(OneEntry(AtomicU64::new(1)));
    let pasids = PasidTable::new(1);
    let pasid = pasids.bind(pasids.allocate().unwrap(), Arc::clone(&table)).pasid();
    Machine { table, iotlb: Arc::new(Iotlb::new(pasids, 1)), pasid }
}

fn read<S: Source + 'static>(tlb: &Arc<Tlb<S>>, pasid: secondary_tlb::Pasid) -> Option<u64> {
    tlb.port().unwrap().translate_with(pasid, ADDR, Access::Read, |t| t.pfn).ok()
}

/// A fill that races with an invalidation must not leave the old entry behind.
fn fill_against(scope: fn(secondary_tlb::Pasid) -> Scope) {
    let m = machine();
    let (tlb, pasid) = (Arc::clone(&m.iotlb), m.pasid);
    let device = thread::spawn(move || read(&tlb, pasid));
    m.table.0.store(2, Ordering::SeqCst);
    m.iotlb.invalidate(scope(m.pasid));
    assert_eq!(read(&m.iotlb, m.pasid), Some(2));
    device.join().unwrap();
    assert_eq!(read(&m.iotlb, m.pasid), Some(2));
}

fn fill_against_page() {
    fill_against(|pasid| Scope::page(pasid, ADDR, PageSize::Base));
}

fn fill_against_sweep() {
    fill_against(Scope::pasid);
}

/// The frame is freed after the invalidation: nobody may still be inside.
fn access_against_free() {
    let m = machine();
    let freed = Arc::new(AtomicU64::new(0));
    let (tlb, pasid, gone) = (Arc::clone(&m.iotlb), m.pasid, Arc::clone(&freed));
    let device = thread::spawn(move || {
        let mut port = tlb.port().unwrap();
        for _ in 0..2 {
            let _ = port.translate_with(pasid, ADDR, Access::Write, |t| {
                thread::yield_now();
                assert_eq!(gone.load(Ordering::SeqCst), 0, "wrote to freed frame {}", t.pfn);
            });
        }
    });
    m.table.0.store(0, Ordering::SeqCst);
    m.iotlb.invalidate(Scope::page(m.pasid, ADDR, PageSize::Base));
    freed.store(1, Ordering::SeqCst);
    device.join().unwrap();
}

/// A device TLB that refills from the IOTLB while both are being told.
fn chain(queued: bool) {
    let m = machine();
    let atc = Arc::new(Atc::new(Arc::clone(&m.iotlb), 1));
    let (tlb, pasid) = (Arc::clone(&atc), m.pasid);
    let device = thread::spawn(move || read(&tlb, pasid));
    let (tlb, pasid) = (Arc::clone(&m.iotlb), m.pasid);
    let direct = thread::spawn(move || read(&tlb, pasid));
    m.table.0.store(2, Ordering::SeqCst);
    let scope = Scope::page(m.pasid, ADDR, PageSize::Base);
    if queued {
        let devices = vec![Arc::clone(&atc)];
        let queue = InvalidationQueue::new(Arc::clone(&m.iotlb), devices, 2, Order::Any);
        let ids: Vec<_> = queue.devices().map(|(id, _)| id).collect();
        queue.submit_and_wait(scope, &ids);
    } else {
        let done = m.iotlb.invalidate(scope);
        atc.invalidate_after(&done);
    }
    assert_eq!(read(&atc, m.pasid), Some(2));
    device.join().unwrap();
    direct.join().unwrap();
    assert_eq!(read(&atc, m.pasid), Some(2));
}

fn chain_told_directly() {
    chain(false);
}

fn chain_told_by_queue() {
    chain(true);
}

/// The device TLB is told first, and a device refills in between.
fn chain_in_the_wrong_order() {
    let m = machine();
    let atc = Arc::new(Atc::new(Arc::clone(&m.iotlb), 1));
    assert_eq!(read(&atc, m.pasid), Some(1));
    let (tlb, pasid) = (Arc::clone(&atc), m.pasid);
    let device = thread::spawn(move || read(&tlb, pasid));
    m.table.0.store(2, Ordering::SeqCst);
    let scope = Scope::page(m.pasid, ADDR, PageSize::Base);
    // SAFETY: INV-ORDER is broken on purpose; no memory is behind the frames.
    unsafe { atc.invalidate_unordered(scope) };
    m.iotlb.invalidate(scope);
    device.join().unwrap();
    assert_eq!(read(&atc, m.pasid), Some(2));
}

/// A walker that knows when it is gone. The flag is not part of it.
struct Fragile;

static GONE: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

impl PageTableWalk for Fragile {
    fn walk(&self, _: VirtAddr) -> Option<Translation> {
        thread::yield_now();
        assert!(!GONE.load(Ordering::SeqCst), "walked with a walker that is gone");
        Some(Translation { pfn: 1, size: PageSize::Base, rights: Rights::ReadOnly })
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        GONE.store(true, Ordering::SeqCst);
    }
}

/// No walk gives anything for a number that was unbound, and none is under way.
fn walk_against_unbind() {
    GONE.store(false, Ordering::SeqCst);
    let iotlb = Arc::new(Iotlb::new(PasidTable::new(1), 1));
    let pasids = iotlb.source();
    let bound = pasids.bind(pasids.allocate().unwrap(), Fragile);
    let (tlb, pasid) = (Arc::clone(&iotlb), bound.pasid());
    let device = thread::spawn(move || read(&tlb, pasid));
    let retired = pasids.unbind(bound);
    assert!(GONE.load(Ordering::SeqCst));
    let flushed = iotlb.flush_retired(retired, &[]);
    assert_eq!(read(&iotlb, pasid), None);
    pasids.reclaim(flushed);
    device.join().unwrap();
    assert_eq!(read(&iotlb, pasid), None);
}

#[test]
fn a_fill_never_comes_back_after_an_invalidation() {
    check(fill_against_page);
    check(fill_against_sweep);
}

#[test]
fn a_fill_that_installs_unchecked_is_found() {
    finds(mutation::INSTALL_UNCHECKED, STALE, fill_against_page);
    finds(mutation::INSTALL_UNCHECKED, STALE, fill_against_sweep);
    finds(mutation::INSTALL_UNCHECKED, STALE, chain_told_directly);
}

#[test]
fn no_access_reaches_a_freed_frame() {
    check(access_against_free);
}

#[test]
fn an_invalidation_that_does_not_drain_is_found() {
    finds(mutation::NO_DRAIN, "wrote to freed frame 1", access_against_free);
}

#[test]
fn a_chain_is_clean_from_the_source_outwards() {
    check(chain_told_directly);
    check(chain_told_by_queue);
}

#[test]
fn a_chain_told_in_the_wrong_order_is_found() {
    finds(0, STALE, chain_in_the_wrong_order);
}

#[test]
fn an_unbound_number_has_no_walker() {
    check(walk_against_unbind);
}
