//! The round trip of a PASID, and what release leaves behind.
#![cfg(not(shuttle))]

mod page_table;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use mmu_notifier::SecondaryTlb;
use page_table::{PageTable, page, rw};
use secondary_tlb::protocol::Access;
use secondary_tlb::{
    Atc, BindError, Exhausted, InvalidationQueue, Iotlb, Order, Pasid, PasidTable, Sva,
};

type Table = Arc<PageTable>;

fn table(pfn: u64) -> Table {
    let table = Arc::new(PageTable::new(1));
    table.set(page(1), rw(pfn));
    table
}

#[test]
fn a_number_comes_back_only_after_it_was_flushed() {
    let iotlb = Arc::new(Iotlb::new(PasidTable::new(2), 64));
    let atc = Arc::new(Atc::new(Arc::clone(&iotlb), 64));
    let pasids = iotlb.source();
    let bound = pasids.bind(pasids.allocate().unwrap(), table(10));
    let other = pasids.allocate().unwrap();
    assert_eq!(pasids.allocate().unwrap_err(), Exhausted);
    let number = bound.pasid();
    let mut port = atc.port().unwrap();
    let mut read = || port.translate_with(number, page(1), Access::Read, |t| t.pfn).ok();
    assert_eq!(read(), Some(10));

    let retired = pasids.unbind(bound);
    assert_eq!(read(), Some(10), "unbound, and not flushed yet");
    assert_eq!(pasids.allocate().unwrap_err(), Exhausted);
    let flushed = iotlb.flush_retired(retired, &[Arc::clone(&atc)]);
    assert_eq!(read(), None);
    assert_eq!(pasids.allocate().unwrap_err(), Exhausted);
    pasids.reclaim(flushed);

    let again = pasids.allocate().unwrap();
    assert_eq!(again.pasid(), number);
    let _bound = pasids.bind(again, table(20));
    assert_eq!(read(), Some(20), "nothing of the first address space is left");
    drop(other);
    assert_eq!(pasids.allocate().unwrap_err(), Exhausted, "a dropped token leaks its number");
}

#[test]
#[should_panic(expected = "allocated in another table")]
fn a_number_of_another_table_is_refused() {
    let (one, two) = (PasidTable::<Table>::new(1), PasidTable::new(1));
    let _ = two.bind(one.allocate().unwrap(), table(1));
}

#[test]
fn releasing_a_binding_ends_its_translations_and_dropping_it_frees_the_number() {
    for queued in [false, true] {
        let iotlb = Arc::new(Iotlb::new(PasidTable::new(1), 64));
        let atc = Arc::new(Atc::new(Arc::clone(&iotlb), 64));
        let devices = vec![Arc::clone(&atc)];
        let queue = InvalidationQueue::new(Arc::clone(&iotlb), devices.clone(), 4, Order::Any);
        let queue = Arc::new(queue);
        let ids: Vec<_> = queue.devices().map(|(id, _)| id).collect();
        let bind = |table: Table| match queued {
            false => Sva::bind(Arc::clone(&iotlb), devices.clone(), table),
            true => Sva::bind_queued(Arc::clone(&queue), ids.clone(), table),
        };
        let tree = table(10);
        let sva = bind(Arc::clone(&tree)).unwrap();
        let mut port = atc.port().unwrap();
        let mut read =
            |sva: &Sva<Table>| port.translate_with(sva.pasid(), page(1), Access::Read, |t| t.pfn);
        assert_eq!(read(&sva), Ok(10));
        assert_eq!(Arc::strong_count(&tree), 2);
        sva.release();
        assert!(read(&sva).is_err());
        assert_eq!(Arc::strong_count(&tree), 1, "the walker is gone");
        assert_eq!(bind(table(11)).unwrap_err(), BindError::Exhausted, "the number is not");
        drop(sva);
        // Dropped without a release: the same happens then.
        drop(bind(table(12)).unwrap());
        assert_eq!(read(&bind(table(13)).unwrap()), Ok(13));
    }
}

/// Walks on one side, bind and unbind of the same number on the other. What
/// could go wrong is a walker that is used while it is taken away: for miri.
#[test]
fn walks_do_not_outlive_the_binding() {
    let iotlb = Arc::new(Iotlb::new(PasidTable::new(1), 64));
    let pasids = iotlb.source();
    let stop = AtomicBool::new(false);
    let number = Pasid::new(1).unwrap();
    thread::scope(|threads| {
        threads.spawn(|| {
            let mut port = iotlb.port().unwrap();
            while !stop.load(Ordering::Relaxed) {
                let _ = port.translate_with(number, page(1), Access::Read, |_| ());
                thread::yield_now();
            }
        });
        for round in 1..if cfg!(miri) { 12 } else { 2_000 } {
            let tree = table(round);
            let bound = pasids.bind(pasids.allocate().unwrap(), Arc::clone(&tree));
            thread::yield_now();
            let retired = pasids.unbind(bound);
            assert_eq!(Arc::strong_count(&tree), 1);
            pasids.reclaim(iotlb.flush_retired(retired, &[]));
            assert_eq!(iotlb.lookup(number, page(1), Access::Read), None);
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_device_behind_another_iotlb_is_refused() {
    let iotlb = || Arc::new(Iotlb::new(PasidTable::<Table>::new(1), 64));
    let foreign = Arc::new(Atc::new(iotlb(), 64));
    let refused = Sva::bind(iotlb(), vec![foreign], table(1)).unwrap_err();
    assert_eq!(refused, BindError::ForeignDevice);
}
