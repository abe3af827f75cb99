//! One TLB and one thread: what hits, what is dropped, what faults.
#![cfg(not(shuttle))]

mod page_table;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use page_table::{PageTable, huge, page, pages, ro, rw};
use secondary_tlb::protocol::{Access, PageSize, RecordKind, VirtAddr, VirtRange};
use secondary_tlb::{Fault, Iotlb, NoPort, PORTS, Pasid, PasidTable, Port, Scope, Translation};

type Table = Arc<PageTable>;

struct Iommu {
    iotlb: Arc<Iotlb<Table>>,
    table: Table,
    pasid: Pasid,
}

fn iommu(entries: usize) -> Iommu {
    let table = Arc::new(PageTable::new(4));
    let pasids = PasidTable::new(8);
    let pasid = pasids.bind(pasids.allocate().unwrap(), Arc::clone(&table)).pasid();
    Iommu { iotlb: Arc::new(Iotlb::new(pasids, entries)), table, pasid }
}

impl Iommu {
    fn port(&self) -> Port<PasidTable<Table>> {
        self.iotlb.port().unwrap()
    }

    fn read(&self, addr: VirtAddr) -> Result<u64, Fault> {
        self.port().translate_with(self.pasid, addr, Access::Read, |t| t.frame(addr))
    }

    fn holds(&self, addr: VirtAddr) -> bool {
        self.iotlb.lookup(self.pasid, addr, Access::Read).is_some()
    }
}

#[test]
fn an_entry_is_kept_until_it_is_invalidated() {
    let i = iommu(64);
    i.table.set(page(3), rw(30));
    assert_eq!(i.read(page(3)), Ok(30));
    i.table.set(page(3), rw(31));
    assert_eq!(i.read(page(3)), Ok(30), "nobody has told it");
    i.iotlb.invalidate(Scope::range(i.pasid, pages(4, 1)));
    assert_eq!(i.read(page(3)), Ok(30), "it was told of another page");
    i.iotlb.invalidate(Scope::range(i.pasid, VirtRange::sized(page(3).offset(4095), 1)));
    assert_eq!(i.read(page(3)), Ok(31), "one byte is enough");
    i.table.set(page(3), None);
    i.iotlb.invalidate(Scope::range(i.pasid, VirtRange::EMPTY));
    assert_eq!(i.read(page(3)), Ok(31), "the empty range drops nothing");
    i.iotlb.invalidate(Scope::ALL);
    assert_eq!(i.read(page(3)), Err(Fault::NotPresent { pasid: i.pasid, addr: page(3) }));
}

#[test]
fn an_entry_that_does_not_grant_the_access_is_walked_again() {
    let i = iommu(64);
    let mut port = i.port();
    let (pasid, addr, access) = (i.pasid, page(5), Access::Write);
    i.table.set(addr, ro(50));
    assert_eq!(i.read(addr), Ok(50));
    let denied = port.translate(pasid, addr, access);
    assert_eq!(denied, Err(Fault::NotGranted { pasid, addr, access }));
    // Nobody is told that a page became writable.
    i.table.set(addr, rw(50));
    assert_eq!(port.translate(pasid, addr, access).unwrap().translation(), rw(50).unwrap());
}

#[test]
fn an_entry_that_did_not_grant_an_access_is_gone() {
    let i = iommu(64);
    i.table.set(page(5), ro(50));
    assert_eq!(i.read(page(5)), Ok(50));
    i.table.set(page(5), None);
    assert!(i.holds(page(5)), "nobody has told it");
    i.port().translate(i.pasid, page(5), Access::Write).unwrap_err();
    assert!(!i.holds(page(5)));
}

#[test]
fn a_value_whose_entry_was_evicted_does_not_survive_a_sweep() {
    let i = iommu(1);
    for number in 1..5 {
        i.table.set(page(number), rw(number));
    }
    let mut port = i.port();
    let checked = port.translate(i.pasid, page(1), Access::Read).unwrap();
    for number in 2..5 {
        port.translate(i.pasid, page(number), Access::Read).unwrap();
    }
    assert!(!i.holds(page(1)), "one set of three ways");
    assert!(i.iotlb.is_current(&checked), "and still true");
    i.iotlb.invalidate(Scope { range: pages(1, 1), ..Scope::ALL });
    assert!(i.holds(page(4)), "the set was not touched");
    assert!(!i.iotlb.is_current(&checked));
}

#[test]
fn any_byte_of_a_large_translation_drops_it() {
    let i = iommu(64);
    i.table.set(page(512), huge(1024));
    let checked = i.port().translate(i.pasid, page(512 + 7), Access::Write).unwrap();
    assert_eq!(checked.translation(), huge(1024).unwrap());
    assert_eq!(checked.frame(page(512 + 7)), 1024 + 7);
    assert!(i.holds(page(1023)), "one entry serves the whole block");
    i.iotlb.invalidate(Scope::page(i.pasid, page(600), PageSize::Base));
    assert!(!i.holds(page(512 + 7)));
    assert!(!i.iotlb.is_current(&checked));
    // And a small entry hidden behind a large one is found after the split.
    i.table.set(page(600), ro(9));
    i.table.clear_huge(page(512));
    assert_eq!(i.read(page(600)), Ok(9));
}

#[test]
fn the_closure_is_lent_the_four_kilobytes_of_its_window() {
    let i = iommu(64);
    i.table.set(page(512), huge(1024));
    let lent = i.port().translate_with(i.pasid, page(515), Access::Write, |t| *t);
    assert_eq!(lent, Ok(rw(1024 + 3).unwrap()));
}

#[test]
fn a_wide_range_drops_what_it_covers_and_nothing_else() {
    let i = iommu(64);
    for number in 0..40 {
        i.table.set(page(number * 8), rw(number + 1));
        i.read(page(number * 8)).unwrap();
    }
    let held = |from: u64, to: u64| (from..to).filter(|n| i.holds(page(n * 8))).count();
    let before = held(0, 10) + held(30, 40);
    assert!(before > 0, "the tlb is big enough to hold some of them");
    // 160 pages of a tlb with 32 sets: swept, not visited page by page.
    i.iotlb.invalidate(Scope::range(i.pasid, pages(80, 160)));
    assert_eq!(held(10, 30), 0);
    assert_eq!(held(0, 10) + held(30, 40), before);
}

#[test]
fn address_spaces_do_not_see_each_other() {
    let pasids = PasidTable::new(8);
    let tables = [Arc::new(PageTable::new(1)), Arc::new(PageTable::new(1))];
    let [a, b] = [0, 1].map(|n: usize| {
        tables[n].set(page(1), rw(10 + n as u64));
        pasids.bind(pasids.allocate().unwrap(), Arc::clone(&tables[n])).pasid()
    });
    let iotlb = Arc::new(Iotlb::new(pasids, 64));
    let mut port = iotlb.port().unwrap();
    let mut read = |pasid| port.translate_with(pasid, page(1), Access::Read, |t| t.pfn).unwrap();
    assert_eq!((read(a), read(b)), (10, 11));
    tables[0].set(page(1), rw(20));
    tables[1].set(page(1), rw(21));
    iotlb.invalidate(Scope::page(a, page(1), PageSize::Base));
    assert_eq!((read(a), read(b)), (20, 11), "one address space was told");
    iotlb.invalidate(Scope { range: pages(1, 1), ..Scope::ALL });
    assert_eq!((read(a), read(b)), (20, 21), "all were told");
}

#[test]
fn an_unbound_pasid_and_a_wide_address_fault() {
    let i = iommu(64);
    let mut port = i.port();
    for number in [0, 7, 8, 9, (1 << 20) - 1] {
        let pasid = Pasid::new(number).unwrap();
        let fault = port.translate(pasid, page(0), Access::Read).unwrap_err();
        assert_eq!(fault, Fault::NotPresent { pasid, addr: page(0) });
    }
    let addr = VirtAddr::new(1 << 48);
    let fault = port.translate_with(i.pasid, addr, Access::Read, |_| ()).unwrap_err();
    assert_eq!(fault, Fault::TooWide { addr });
    assert_eq!(Pasid::new(1 << 20), None);
}

#[test]
fn a_value_is_current_until_its_page_is_invalidated() {
    let i = iommu(4096);
    let mut port = i.port();
    for (scope, dropped) in [
        (Scope::range(i.pasid, pages(9, 1)), true),
        (Scope::range(i.pasid, pages(0, 500)), true),
        (Scope::page(i.pasid, page(9), PageSize::Huge), true),
        (Scope::range(i.pasid, pages(10, 1)), false),
    ] {
        i.table.set(page(9), rw(90));
        // Once from the walk, once from the entry.
        for _ in 0..2 {
            let checked = port.translate(i.pasid, page(9), Access::Read).unwrap();
            assert!(i.iotlb.is_current(&checked));
            i.iotlb.invalidate(scope);
            assert_eq!(i.iotlb.is_current(&checked), !dropped, "{scope:?}");
        }
    }
}

#[test]
fn the_ports_of_a_tlb_are_limited_and_come_back() {
    let i = iommu(64);
    let mut ports: Vec<_> = (0..PORTS).map(|_| i.port()).collect();
    assert_eq!(i.iotlb.port().unwrap_err(), NoPort);
    ports.pop();
    assert!(i.iotlb.port().is_ok());
}

#[test]
fn a_panic_in_the_closure_closes_the_window() {
    let i = iommu(64);
    i.table.set(page(1), rw(1));
    let mut port = i.port();
    let caught = catch_unwind(AssertUnwindSafe(|| {
        port.translate_with(i.pasid, page(1), Access::Read, |_| panic!("device model"))
    }));
    assert!(caught.is_err());
    i.iotlb.invalidate(Scope::page(i.pasid, page(1), PageSize::Base)); // would wait for ever
    assert!(port.translate(i.pasid, page(1), Access::Read).is_ok());
}

#[test]
fn another_page_may_be_invalidated_inside_a_window() {
    let i = iommu(64);
    i.table.set(page(1), rw(1));
    i.port()
        .translate_with(i.pasid, page(1), Access::Read, |_| {
            i.iotlb.invalidate(Scope::page(i.pasid, page(2), PageSize::Base));
            let other = Pasid::new(i.pasid.get() + 1).unwrap();
            i.iotlb.invalidate(Scope::pasid(other));
        })
        .unwrap();
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "would wait for itself")]
fn invalidating_the_page_of_ones_own_window_is_recognised() {
    let i = iommu(64);
    i.table.set(page(1), rw(1));
    let _ = i.port().translate_with(i.pasid, page(1), Access::Read, |_| {
        i.iotlb.invalidate(Scope::page(i.pasid, page(1), PageSize::Base));
    });
}

#[test]
fn fills_and_uses_are_reported() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let table = Arc::new(PageTable::new(1));
    let pasids = PasidTable::new(1);
    let pasid = pasids.bind(pasids.allocate().unwrap(), Arc::clone(&table)).pasid();
    let observer = Arc::new(move |record| sink.lock().unwrap().push(record));
    let iotlb = Arc::new(Iotlb::with_observer(pasids, 64, observer));
    table.set(page(2), rw(20));
    let mut port = iotlb.port().unwrap();
    let addr = page(2).offset(8);
    for _ in 0..2 {
        port.translate_with(pasid, addr, Access::Write, |_: &Translation| ()).unwrap();
    }
    let (size, used) = (PageSize::Base, RecordKind::Use { addr, pfn: 20, write: true });
    let filled = RecordKind::Fill { addr: page(2), size, pfn: 20 };
    assert_eq!(*seen.lock().unwrap(), [filled, used, used]);
}
