//! A unit test of somebody else's unmap, with the TLB that forgets nothing.
//!
//! On real hardware a missing invalidation shows once in a million runs. Here
//! it shows at once, with the line where the entry was taken and the line where
//! it should have been dropped.

use std::collections::BTreeMap;
use std::sync::Mutex;

use secondary_tlb::protocol::{Access, PageSize, Rights, VirtAddr, VirtRange};
use secondary_tlb::{PageTableWalk, Translation, WorstCaseTlb};

/// The page table under test.
#[derive(Default)]
struct Table(Mutex<BTreeMap<u64, u64>>);

impl PageTableWalk for Table {
    fn walk(&self, addr: VirtAddr) -> Option<Translation> {
        let pfn = *self.0.lock().unwrap().get(&addr.align_down(PageSize::Base).as_u64())?;
        Some(Translation { pfn, size: PageSize::Base, rights: Rights::ReadWrite })
    }
}

fn map(table: &Table, tlb: &WorstCaseTlb<&Table>, addr: VirtAddr, pfn: u64) {
    table.0.lock().unwrap().insert(addr.as_u64(), pfn);
    tlb.changed(addr);
}

/// The function under test: `invalidates` is the line that a patch dropped.
fn unmap(table: &Table, tlb: &WorstCaseTlb<&Table>, addr: VirtAddr, invalidates: bool) {
    table.0.lock().unwrap().remove(&addr.as_u64());
    tlb.changed(addr);
    if invalidates {
        tlb.invalidate(VirtRange::page(addr, PageSize::Base), PageSize::Base);
    }
}

fn main() {
    let addr = VirtAddr::new(0x1000);
    for invalidates in [true, false] {
        let table = Table::default();
        let tlb = WorstCaseTlb::new(&table);
        map(&table, &tlb, addr, 7);
        unmap(&table, &tlb, addr, invalidates);
        println!("unmap that invalidates: {invalidates}");
        match tlb.access(addr, Access::Write) {
            Ok(None) => println!("  the access faults, as it should"),
            Ok(Some(found)) => println!("  the access reaches {found}"),
            Err(stale) => {
                for line in stale.to_string().lines() {
                    println!("  {line}");
                }
            }
        }
    }
}
