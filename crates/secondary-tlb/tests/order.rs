//! From the source outwards: why an ATC is told after its IOTLB.
#![cfg(not(shuttle))]

mod page_table;

use std::sync::Arc;

use page_table::{PageTable, page, ro, rw};
use secondary_tlb::protocol::{Access, PageSize};
use secondary_tlb::{Atc, Iotlb, Pasid, PasidTable, Port, Scope};

type Table = Arc<PageTable>;

struct Chain {
    table: Table,
    iotlb: Arc<Iotlb<Table>>,
    atc: Arc<Atc<Table>>,
    pasid: Pasid,
}

fn chain() -> Chain {
    let table = Arc::new(PageTable::new(1));
    let pasids = PasidTable::new(1);
    let pasid = pasids.bind(pasids.allocate().unwrap(), Arc::clone(&table)).pasid();
    let iotlb = Arc::new(Iotlb::new(pasids, 64));
    let atc = Arc::new(Atc::new(Arc::clone(&iotlb), 64));
    Chain { table, iotlb, atc, pasid }
}

impl Chain {
    fn read(&self, port: &mut Port<Arc<Iotlb<Table>>>) -> Option<u64> {
        port.translate_with(self.pasid, page(1), Access::Read, |t| t.pfn).ok()
    }
}

#[test]
fn a_device_tlb_that_is_told_first_takes_the_old_entry_again() {
    let c = chain();
    let mut port = c.atc.port().unwrap();
    c.table.set(page(1), rw(10));
    assert_eq!(c.read(&mut port), Some(10));
    c.table.set(page(1), None);
    let scope = Scope::page(c.pasid, page(1), PageSize::Base);
    // SAFETY: INV-ORDER is broken on purpose; no memory is behind the frames.
    unsafe { c.atc.invalidate_unordered(scope) };
    assert_eq!(c.read(&mut port), Some(10), "refilled from the IOTLB");
    c.iotlb.invalidate(scope);
    assert_eq!(c.read(&mut port), Some(10), "both were told, and it is stale for good");
}

#[test]
fn told_after_its_source_it_is_clean() {
    let c = chain();
    let mut port = c.atc.port().unwrap();
    c.table.set(page(1), rw(10));
    assert_eq!(c.read(&mut port), Some(10));
    c.table.set(page(1), None);
    let done = c.iotlb.invalidate(Scope::page(c.pasid, page(1), PageSize::Base));
    assert_eq!(c.read(&mut port), Some(10), "in between the device may still use it");
    c.atc.invalidate_after(&done);
    assert_eq!(c.read(&mut port), None);
}

#[test]
#[should_panic(expected = "the proof is of another tlb")]
fn the_proof_of_another_iotlb_does_not_count() {
    let (c, other) = (chain(), chain());
    c.atc.invalidate_after(&other.iotlb.invalidate(Scope::ALL));
}

#[test]
fn a_page_made_writable_is_writable_through_both() {
    let c = chain();
    let mut port = c.atc.port().unwrap();
    c.table.set(page(1), ro(10));
    assert_eq!(c.read(&mut port), Some(10));
    c.table.set(page(1), rw(10));
    // Both hold a read-only entry, and nobody is told of more rights.
    let written = port.translate_with(c.pasid, page(1), Access::Write, |t| t.pfn);
    assert_eq!(written, Ok(10), "the miss has to go through the IOTLB's entry to the table");
}
