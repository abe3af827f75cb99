//! A device model with ATS on the TLBs of `secondary-tlb`, without an address
//! space of this project: the page table is somebody else's.
//!
//! The device has a TLB of its own, refilled from the IOMMU's. An invalidation
//! goes from the source outwards; the order is in the types.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, RwLock};

use mmu_protocol::{Access, PageSize, Rights, VirtAddr};
use secondary_tlb::{PageTableWalk, Pasid, PasidTable, Scope, Tlb, Translation};

/// A page table as a hypervisor might keep one for a guest.
#[derive(Clone, Default)]
struct GuestTable(Arc<RwLock<BTreeMap<u64, u64>>>);

impl PageTableWalk for GuestTable {
    fn walk(&self, addr: VirtAddr) -> Option<Translation> {
        let page = addr.align_down(PageSize::Base).as_u64();
        let pfn = *self.0.read().ok()?.get(&page)?;
        Some(Translation { pfn, size: PageSize::Base, rights: Rights::ReadWrite })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let table = GuestTable::default();
    let page = VirtAddr::new(0x4000);
    table.0.write().unwrap().insert(page.as_u64(), 7);

    let pasids = PasidTable::new(16);
    let bound = pasids.bind(pasids.allocate()?, table.clone());
    let pasid: Pasid = bound.pasid();
    let iotlb = Arc::new(Tlb::new(pasids, 1024));
    let atc = Arc::new(Tlb::new(iotlb.clone(), 64));
    let mut port = atc.port()?;

    let frame = |port: &mut secondary_tlb::Port<_>| {
        port.translate_with(pasid, page, Access::Read, |found| found.pfn)
    };
    println!("the device reads frame {}", frame(&mut port)?);

    table.0.write().unwrap().insert(page.as_u64(), 8);
    println!("remapped, not invalidated: still frame {}", frame(&mut port)?);

    // `invalidate_after` takes what `invalidate` of the source returns, so the
    // device cannot be refilled with what the IOMMU is about to drop.
    let done = iotlb.invalidate(Scope::page(pasid, page, PageSize::Base));
    atc.invalidate_after(&done);
    println!("invalidated from the source outwards: frame {}", frame(&mut port)?);

    let retired = iotlb.source().unbind(bound);
    let flushed = iotlb.flush_retired(retired, &[atc]);
    iotlb.source().reclaim(flushed);
    println!("unbound: {}", frame(&mut port).unwrap_err());
    Ok(())
}
