//! The vocabulary of the MMU-notifier protocol.
//!
//! Everybody who changes a page table that something other than a CPU also
//! reads asks one question: *when do the secondary TLBs have to be notified
//! inside the page table lock, and when may it wait?* This crate holds the
//! words in which the question is asked and the table that answers it:
//!
//! - [`VirtAddr`], [`VirtRange`], [`PageSize`]: where;
//! - [`Event`]: what kind of change a range announces;
//! - [`Obligation`]: what must not go wrong;
//! - [`Placement`]: when the secondary TLBs are told;
//! - [`Transition`] and [`TABLE`]: which change of an entry
//!   needs which placement, and why;
//! - [`Record`]: what a running system reports, for monitors and traces;
//! - [`Profile`]: the two switches in which kernels differ.
//!
//! There is no code here beyond constructors and accessors: the library's
//! tokens, the printed decision table and the trace rules all read the same
//! constants, so they cannot disagree.
//!
//! "Secondary TLB" means every translation cache that is not a CPU's own: an
//! IOMMU's IOTLB, the TLB of a device that uses ATS and PASID, a hypervisor's
//! second-level tables, the page tables that a GPU or RDMA driver mirrors.
//!
//! # Example
//!
//! ```
//! use mmu_protocol::{Obligation, Placement, Transition};
//!
//! let cow = Transition::Replace.row();
//! assert_eq!(cow.placement, Placement::BetweenClearAndSet);
//! assert!(cow.obligations.contains(&Obligation::New));
//!
//! let ksm = Transition::SameContent.row();
//! assert_eq!(ksm.placement, Placement::AtRangeEnd);
//! ```
#![no_std]
#![forbid(unsafe_code)]

mod address;
mod event;
mod obligation;
mod page_size;
mod placement;
mod profile;
mod record;
mod rights;
mod transition;

pub use address::{VirtAddr, VirtRange};
pub use event::Event;
pub use obligation::Obligation;
pub use page_size::PageSize;
pub use placement::Placement;
pub use profile::Profile;
pub use record::{MmId, Record, RecordKind};
pub use rights::{Access, Rights};
pub use transition::{Row, TABLE, Transition};
