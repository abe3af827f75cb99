//! Page requests: resolved, refused, and given up.
#![cfg(not(shuttle))]

mod page_table;

use std::cell::Cell;
use std::sync::Arc;

use page_table::{PageTable, page, ro, rw};
use secondary_tlb::protocol::{Access, VirtAddr};
use secondary_tlb::{
    AccessError, DevicePort, Fault, FaultHandler, Iotlb, PageRequest, PageResponse, Pasid,
    PasidTable,
};

type Table = Arc<PageTable>;

fn device<H: FaultHandler>(
    table: &Table,
    handler: H,
    retries: u32,
) -> (DevicePort<PasidTable<Table>, H>, Pasid) {
    let pasids = PasidTable::new(1);
    let pasid = pasids.bind(pasids.allocate().unwrap(), Arc::clone(table)).pasid();
    let port = Arc::new(Iotlb::new(pasids, 64)).port().unwrap();
    (DevicePort::new(port, handler, retries), pasid)
}

#[test]
fn a_fault_is_resolved_and_the_access_runs_once() {
    let table = Arc::new(PageTable::new(1));
    let handler = |request: PageRequest| {
        assert_eq!((request.addr, request.access), (page(4), Access::Write));
        // First the page, then the right to write to it.
        let entry = if table.walk_is_empty(page(4)) { ro(40) } else { rw(40) };
        table.set(page(4), entry);
        PageResponse::Success
    };
    let (mut device, pasid) = device(&table, handler, 2);
    let runs = Cell::new(0);
    let frame = device.access(pasid, page(4), Access::Write, |t| {
        runs.set(runs.get() + 1);
        t.pfn
    });
    assert_eq!((frame, runs.get()), (Ok(40), 1));
}

impl PageTable {
    fn walk_is_empty(&self, addr: VirtAddr) -> bool {
        secondary_tlb::PageTableWalk::walk(self, addr).is_none()
    }
}

#[test]
fn retries_are_bounded() {
    for retries in [0, 1, 5] {
        let asked = Cell::new(0);
        let handler = |_| {
            asked.set(asked.get() + 1);
            PageResponse::Success // and takes it away again
        };
        let (mut device, pasid) = device(&Arc::new(PageTable::new(1)), handler, retries);
        let error = device.access(pasid, page(4), Access::Read, |_| ()).unwrap_err();
        let request = PageRequest { pasid, addr: page(4), access: Access::Read };
        assert_eq!(error, AccessError::RetriesExhausted { request, retries });
        assert_eq!(asked.get(), retries);
    }
}

#[test]
fn refusals_are_told_apart() {
    let request = |pasid| PageRequest { pasid, addr: page(4), access: Access::Write };
    let table = Arc::new(PageTable::new(1));
    let (mut invalid, pasid) = device(&table, |_| PageResponse::Invalid, 9);
    let error = invalid.access(pasid, page(4), Access::Write, |_| ()).unwrap_err();
    assert_eq!(error, AccessError::Invalid(request(pasid)));
    assert_eq!(
        error.to_string(),
        "the page request of pasid 1 for a write of 0x4000 was answered invalid"
    );
    let (mut failure, pasid) = device(&table, |_| PageResponse::Failure, 9);
    let error = failure.access(pasid, page(4), Access::Write, |_| ()).unwrap_err();
    assert_eq!(error, AccessError::Failure(request(pasid)));
    let addr = VirtAddr::new(1 << 50);
    let error = failure.access(pasid, addr, Access::Read, |_| ()).unwrap_err();
    assert_eq!(error, AccessError::Unmappable(Fault::TooWide { addr }));
}
