//! Translation caches that are never stale once they were told.
//!
//! Everything that a page table feeds and that is not a CPU: the IOTLB of an
//! IOMMU, the TLBs of devices with ATS, the PASID table that tells address
//! spaces apart, the invalidation queue, page requests. For hypervisors and
//! device models that *are* such hardware, and for tests of those who drive it.
//!
//! One structure serves for all of them. A [`Tlb`] is a set-associative cache
//! in front of a [`Source`]: a page table, or another TLB.
//!
//! ```text
//!   device thread -Port-> Tlb<Arc<Iotlb>>  (ATC)
//!                              | refills from
//!   device thread -Port-> Tlb<PasidTable>  (IOTLB)
//!                              | walks
//!                         page tables          Sva: SecondaryTlb, told by mmu-notifier
//! ```
//!
//! - [`Port::translate`] gives a value that can be checked again, without a
//!   shared write; [`Port::translate_with`] lends the translation to a closure,
//!   and an invalidation waits for it.
//! - [`Tlb::invalidate`] and [`Tlb::invalidate_after`] go from the source
//!   outwards, by type.
//! - [`Sva`] binds an address space to a PASID and subscribes to its
//!   [`Mm`](mmu_notifier::Mm).
//! - [`WorstCaseTlb`] is for tests of other people's page-table code: it finds
//!   a missing invalidation at once and says where.
//!
//! # Example
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use secondary_tlb::protocol::{Access, PageSize, Rights, VirtAddr};
//! use secondary_tlb::{Atc, Iotlb, PageTableWalk, PasidTable, Scope, Sva, Translation};
//!
//! struct OneEntry(Mutex<Option<Translation>>);
//! impl PageTableWalk for OneEntry {
//!     fn walk(&self, _: VirtAddr) -> Option<Translation> {
//!         *self.0.lock().unwrap()
//!     }
//! }
//!
//! let page = Translation { pfn: 7, size: PageSize::Base, rights: Rights::ReadWrite };
//! let table = Arc::new(OneEntry(Mutex::new(Some(page))));
//!
//! let iotlb = Arc::new(Iotlb::new(PasidTable::new(16), 4096));
//! let atc = Arc::new(Atc::new(Arc::clone(&iotlb), 64));
//! let sva = Sva::bind(Arc::clone(&iotlb), vec![Arc::clone(&atc)], Arc::clone(&table))?;
//! // mm.register_tlb(&sva, ...) makes it told of every change; here by hand.
//!
//! let addr = VirtAddr::new(0x1000);
//! let mut device = atc.port()?;
//! let frame = device.translate_with(sva.pasid(), addr, Access::Write, |page| page.pfn)?;
//! assert_eq!(frame, 7);
//!
//! *table.0.lock().unwrap() = None;
//! let done = iotlb.invalidate(Scope::page(sva.pasid(), addr, PageSize::Base));
//! atc.invalidate_after(&done);
//! assert!(device.translate_with(sva.pasid(), addr, Access::Read, |_| ()).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! - `std` (default): waiting yields to the operating system; an invalidation
//!   inside a window of the same thread is recognised in debug builds. Without
//!   it the crate needs an allocator, and nothing of it allocates after
//!   construction (except the worst-case TLB, which is for tests).
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

mod invalidate;
mod lock;
#[cfg(shuttle)]
#[doc(hidden)]
pub mod mutation;
mod pasid;
mod port;
mod pri;
mod queue;
mod set;
mod source;
mod sva;
mod sync;
mod tlb;
mod translation;
mod window;
mod worst_case;

pub use invalidate::SourceDone;
pub use pasid::{
    Atc, BoundPasid, Exhausted, FlushedPasid, FreshPasid, Iotlb, PasidTable, RetiredPasid,
};
pub use port::{NoPort, Port};
pub use pri::{AccessError, DevicePort, FaultHandler, PageRequest, PageResponse};
pub use queue::{Descriptor, DeviceId, InvalidationQueue, Order, RingFull, WaitNumber};
pub use source::{PageTableWalk, Root, Source};
pub use sva::{BindError, Sva};
pub use tlb::{Checked, Observer, Tlb};
pub use translation::{ADDRESS_BITS, Fault, Pasid, Pasids, Scope, Translation};
pub use window::PORTS;
pub use worst_case::{Change, Held, StaleUse, StillHeld, WorstCaseTlb};

pub use mmu_protocol as protocol;
