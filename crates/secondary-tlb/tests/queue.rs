//! The invalidation queue: order, waits, a full ring.
#![cfg(not(shuttle))]

mod page_table;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use mmu_notifier::{Atomic, Invalidation, SecondaryTlb};
use page_table::{PageTable, page, pages, rw};
use secondary_tlb::protocol::{Access, PageSize};
use secondary_tlb::{
    Atc, Descriptor, DeviceId, InvalidationQueue, Iotlb, Order, Pasid, PasidTable, RingFull, Scope,
    Sva,
};

type Table = Arc<PageTable>;

struct Iommu {
    table: Table,
    atc: Arc<Atc<Table>>,
    queue: Arc<InvalidationQueue<Table>>,
    device: DeviceId,
    pasid: Pasid,
}

fn iommu(capacity: usize, order: Order) -> Iommu {
    let table = Arc::new(PageTable::new(1));
    let pasids = PasidTable::new(2);
    let pasid = pasids.bind(pasids.allocate().unwrap(), Arc::clone(&table)).pasid();
    let iotlb = Arc::new(Iotlb::new(pasids, 64));
    let atc = Arc::new(Atc::new(Arc::clone(&iotlb), 64));
    let devices = vec![Arc::clone(&atc)];
    let queue = InvalidationQueue::new(iotlb, devices, capacity, order);
    let device = queue.devices().next().unwrap().0;
    table.set(page(1), rw(10));
    Iommu { table, atc, queue: Arc::new(queue), device, pasid }
}

impl Iommu {
    fn scope(&self) -> Scope {
        Scope::page(self.pasid, page(1), PageSize::Base)
    }

    fn read(&self) -> Option<u64> {
        let mut port = self.atc.port().unwrap();
        port.translate_with(self.pasid, page(1), Access::Read, |t| t.pfn).ok()
    }

    /// What the ATC answers after the page was unmapped and both descriptors
    /// were executed, with an access between any two steps.
    fn unmap_by_hand(&self, wait_between: bool) -> Option<u64> {
        assert_eq!(self.read(), Some(10));
        self.table.set(page(1), None);
        self.queue.post(Descriptor::Iotlb(self.scope())).unwrap();
        if wait_between {
            self.queue.post_wait().unwrap();
        }
        self.queue.post(Descriptor::Device(self.device, self.scope())).unwrap();
        let wait = self.queue.post_wait().unwrap();
        assert!(!self.queue.is_done(wait), "posted is not done");
        assert_eq!(self.read(), Some(10));
        while self.queue.process() {
            self.read();
        }
        assert!(self.queue.is_done(wait));
        assert_eq!(self.queue.pending(), 0);
        self.read()
    }
}

#[test]
fn in_the_order_of_posting_one_wait_is_enough() {
    assert_eq!(iommu(8, Order::Posted).unmap_by_hand(false), None);
}

#[test]
fn in_any_order_a_device_keeps_the_old_entry_unless_a_wait_is_in_between() {
    assert_eq!(iommu(8, Order::Any).unmap_by_hand(false), Some(10), "stale for good");
    assert_eq!(iommu(8, Order::Any).unmap_by_hand(true), None);
}

#[test]
fn the_typed_path_is_right_in_both_orders_and_however_small_the_ring() {
    for order in [Order::Posted, Order::Any] {
        for capacity in 1..5 {
            let i = iommu(capacity, order);
            assert_eq!(i.read(), Some(10));
            i.table.set(page(1), None);
            i.queue.submit_and_wait(i.scope(), &[i.device]);
            assert_eq!(i.read(), None, "{order:?}, {capacity}");
        }
    }
}

#[test]
fn a_full_ring_takes_nothing_until_a_step_was_made() {
    let i = iommu(2, Order::Posted);
    i.queue.post(Descriptor::Pasid(i.pasid)).unwrap();
    let wait = i.queue.post_wait().unwrap();
    assert_eq!(i.queue.post(Descriptor::Pasid(i.pasid)), Err(RingFull));
    assert_eq!(i.queue.post_wait(), Err(RingFull));
    assert!(i.queue.process());
    assert!(!i.queue.is_done(wait), "the wait itself has not been looked at");
    assert!(!i.queue.process());
    assert!(i.queue.is_done(wait));
    let next = i.queue.post_wait().unwrap();
    assert!(next > wait && !i.queue.is_done(next));
}

/// A descriptor that is still being executed holds up what comes after it.
#[test]
fn a_wait_waits_for_the_descriptor_that_is_running() {
    for order in [Order::Posted, Order::Any] {
        let i = iommu(4, order);
        let iotlb = i.atc.source();
        i.queue.post(Descriptor::Iotlb(i.scope())).unwrap();
        let wait = i.queue.post_wait().unwrap();
        i.queue.post(Descriptor::Device(i.device, i.scope())).unwrap();
        let mut port = iotlb.port().unwrap();
        thread::scope(|threads| {
            port.translate_with(i.pasid, page(1), Access::Read, |_| {
                threads.spawn(|| assert!(i.queue.process()));
                // Until it has removed the entry; now it waits for us.
                while iotlb.lookup(i.pasid, page(1), Access::Read).is_some() {
                    thread::yield_now();
                }
                assert!(!i.queue.process(), "{order:?}");
                assert!(!i.queue.is_done(wait), "{order:?}");
            })
            .unwrap();
        });
        assert!(i.queue.process());
        assert!(i.queue.is_done(wait));
    }
}

struct StopAtEnd<'s>(&'s AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Two address spaces, one ring, a hardware thread, and waiters that help.
#[test]
fn waiters_hardware_and_devices_together() {
    let rounds: u64 = if cfg!(miri) { 8 } else { 3_000 };
    for order in [Order::Posted, Order::Any] {
        let i = iommu(3, order);
        let stop = AtomicBool::new(false);
        thread::scope(|threads| {
            threads.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    if !i.queue.process() {
                        thread::yield_now();
                    }
                }
            });
            // Also when an assertion fails.
            let running = StopAtEnd(&stop);
            let worker = |pasid: Pasid, table: &Table, tell: &dyn Fn()| {
                let mut port = i.atc.port().unwrap();
                for round in 1..rounds {
                    table.set(page(1), rw(round));
                    tell();
                    let read = port.translate_with(pasid, page(1), Access::Read, |t| t.pfn);
                    assert_eq!(read, Ok(round));
                }
            };
            let table = Arc::new(PageTable::new(1));
            let sva =
                Sva::bind_queued(Arc::clone(&i.queue), vec![i.device], Arc::clone(&table)).unwrap();
            let other = threads.spawn(move || {
                worker(sva.pasid(), &table, &|| {
                    let told = Invalidation::new(pages(1, 1), PageSize::Base);
                    sva.invalidate_range(&told, Atomic::assume());
                });
            });
            worker(i.pasid, &i.table, &|| i.queue.submit_and_wait(i.scope(), &[i.device]));
            other.join().unwrap();
            drop(running);
        });
    }
}
