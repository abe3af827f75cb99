//! The MMU-notifier protocol as types.
//!
//! A page table entry is changed under its page table lock (PTL). CPU TLBs are
//! flushed; *secondary* TLBs, those of IOMMUs, of devices with ATS and PASID,
//! of hypervisors and GPU drivers, must be told too: under the lock, or when
//! the announced range ends. Which of the two is right depends on the change,
//! and getting it wrong corrupts memory rarely and far away. In this crate safe
//! code cannot skip or reorder the steps:
//!
//! - the next step needs the token of the step before. A new page is stored
//!   over an old one only by [`NotifiedPte::set`], and a [`NotifiedPte`] comes
//!   only from clearing the entry, flushing, and telling every subscriber;
//! - the page travels inside the token, so it cannot be freed early;
//! - dropping a token at any point finishes late but safely, forgetting one
//!   leaks or stalls. Nothing depends on discipline;
//! - there is no `ignore`. The escapes are `unsafe` and name what they rest on.
//!
//! The [transition table](mmu_protocol::TABLE) says for each change which
//! placement it needs and why; the methods here are its rows:
//!
//! | change | method | secondary TLBs are told |
//! |---|---|---|
//! | absent to present | [`EmptySlot::set`] | not at all |
//! | present to absent, freed at once | [`NotifiedPte::take`] | before the free |
//! | present to absent, freed later | [`PresentSlot::zap`], [`ClearedPte::defer`] | at the end of the range |
//! | present to another page | [`NotifiedPte::set`] | between clear and set |
//! | ... with the same bytes, both write-protected | [`PresentSlot::replace_same_content`] | at the end of the range |
//! | write permission removed | [`PresentSlot::write_protect`] | at the end of the range |
//! | copied or compared | [`PresentView::settle`] | before the copy |
//! | write permission added | [`PresentView::make_writable`] | not at all |
//! | accessed bit cleared | [`PresentView::test_and_clear_young`] | not at all |
//! | moved elsewhere | [`RangePtlPair::source`] | under the locks |
//! | huge entry split | [`ClearedPte::set_same_frames`] | at the end of the range |
//! | table replaced by a huge page | [`NotifiedPte::set`] | between clear and set |
//! | table page freed | [`NotifiedPte::take`] | before the free |
//!
//! # The path of a COW fault
//!
//! ```no_run
//! # use mmu_notifier::*; use mmu_protocol::*;
//! # fn cow<P: Platform>(mm: &Mm<P>, addr: VirtAddr, attr: P::Attr, task: &mut Task,
//! #     copy: impl Fn(&P::Page) -> P::Page) -> Result<Option<P::Page>, PtlError>
//! # where P::Page: Clone {
//! let page = VirtRange::page(addr, PageSize::Base);
//! // Under the lock, outside a range: nobody can write to the page any more.
//! let (settled, old) = {
//!     let mut ptl = mm.lock_ptl(page.start(), PageSize::Base, task)?;
//!     let Some(mut view) = ptl.fill(page.start())?.present() else { return Ok(None) };
//!     let Ok(settled) = view.settle() else { return Ok(None) };
//!     (settled, view.with_page(Clone::clone))
//! };
//! let new = copy(&old); // no lock
//!
//! let mut range = mm.invalidate_range_start(page, Event::Clear, task).expect("not nested");
//! let mut ptl = range.lock_ptl(page.start())?;
//! let slot = ptl.slot(page.start())?.present();
//! // Changed meanwhile: the fault looks again.
//! let Some(slot) = slot.filter(|slot| slot.is_still(&settled)) else { return Ok(None) };
//! let old = slot
//!     .clear_flush_notify()      // NotifiedPte: owns the old page
//!     .set(new, attr);           // without the notification: error E0599
//! # drop(ptl); drop(range);
//! # Ok(Some(old)) }
//! ```
//!
//! # Features
//!
//! - `alloc`: `Vec` as a store for deferred pages, `Arc` as a handle.
//! - `std` (default): [`Task::current`] and the [`Membarrier`] fence.
//!
//! Without them the crate needs neither an allocator nor an operating system.
#![cfg_attr(not(feature = "std"), no_std)]

#[cfg(feature = "alloc")]
extern crate alloc;

mod batch;
mod context;
mod deferred;
mod error;
mod fence;
mod interval;
mod list;
mod mm;
mod platform;
mod present;
mod ptl;
mod range;
mod register;
mod slot;
mod snapshot;
mod srcu;
mod subscriber;
mod sync;
mod task;
mod ticket;
mod token;

pub use batch::Batch;
pub use context::{Atomic, Blockable};
pub use deferred::{DeferArray, DeferPages};
pub use error::{
    BatchError, PtlError, RegisterError, RegisterRefusal, ReplaceError, ReplaceRefusal, StartError,
    StillWritable, UnregisterError, UnregisterRefusal,
};
#[cfg(feature = "std")]
pub use fence::Membarrier;
pub use fence::{AsymmetricFence, FullFence};
pub use interval::{
    Interval, MirrorError, MirrorLock, MirrorTable, ReadSeq, Retry, Sequenced, Valid,
};
pub use mm::Mm;
pub use platform::{Locked, PageTableEntry, Platform};
pub use present::{PresentSlot, PresentView, Settled};
pub use ptl::{FillPtl, RangePtl, RangePtlPair};
pub use range::InvalidateRange;
pub use register::{ExclusiveMm, Subscription};
pub use slot::{EmptySlot, FillSlot, PendingSlot, Slot};
pub use srcu::{Srcu, SrcuGuard, StripeId};
pub use subscriber::{Invalidation, Nobody, Notifier, RangeInfo, SecondaryTlb, WouldBlock};
pub use task::Task;
#[cfg(feature = "std")]
pub use task::TaskTaken;
pub use ticket::Ticket;
pub use token::{ClearedPte, ClearingPte, NotifiedPte};

pub use mmu_protocol as protocol;
