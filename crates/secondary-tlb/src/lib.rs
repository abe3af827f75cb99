//! secondary-tlb
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
