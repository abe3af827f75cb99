//! Invalidation, from the source outwards.
//!
//! # One TLB
//!
//! 1. The counts of the affected sets move and the entries go, under each
//!    set's lock; fills under way find their count moved and install nothing.
//! 2. Full fence.
//! 3. Every access in flight that may have used an entry, or a walk, from
//!    before is waited for (INV-WINDOW).
//!
//! A range of many pages does not visit the sets page by page. It moves one
//! count for the whole TLB, which every fill compares as well, and then sweeps
//! all sets, of which it locks only those that hold a match or are being
//! written to.
//!
//! # Several TLBs
//!
//! A TLB that is invalidated before its source may take the old entry from it
//! once more and keep it for good. The other order is safe:
//!
//! **INV-ORDER**: a TLB is invalidated only after the same scope of its source
//! was. Take a fill of the outer TLB that read the old entry in the source.
//! It did so before the source's invalidation removed it, and it had read the
//! outer counts before that; the outer invalidation comes later and moves
//! them, so the fill either installs nothing or has installed already and is
//! removed. A fill that reads the outer counts afterwards finds the source
//! without the old entry, and a fill *of the source* that is still under way
//! there installs nothing for the same reason one level further in. What such
//! a late fill translates is used inside the outer window, which the outer
//! invalidation waits for.
//!
//! The order is in the types: [`Tlb::invalidate`] exists for TLBs over a
//! [`Root`] only; a TLB over a TLB has [`Tlb::invalidate_after`], which takes
//! the [`SourceDone`] of its source and the scope from it.

use alloc::sync::Arc;
use core::fmt;
use core::marker::PhantomData;

use mmu_protocol::PageSize;

use crate::set::Set;
use crate::source::{Root, Source};
use crate::sync::atomic::{Ordering, fence};
use crate::tlb::{Tlb, block_of, untag};
use crate::translation::{Pasids, Scope};

/// Proof that a TLB holds nothing of a scope that was in it before, and that
/// no access through such an entry is in flight.
///
/// Those that refill from this TLB are told next. The proof speaks of one
/// change of the table: one that was kept from an earlier change proves nothing
/// about a later one.
pub struct SourceDone<'t> {
    scope: Scope,
    /// The address of the TLB, for comparison only.
    tlb: usize,
    life: PhantomData<&'t ()>,
}

impl SourceDone<'_> {
    /// What was invalidated.
    pub const fn scope(&self) -> Scope {
        self.scope
    }
}

impl fmt::Debug for SourceDone<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SourceDone").field(&self.scope).finish()
    }
}

impl<S: Root> Tlb<S> {
    /// Drops what the TLB holds of a scope and waits for the accesses in flight.
    ///
    /// The table was changed before. When this returns, no translation of the
    /// scope from before the call is held here, none will be installed by a
    /// walk that began before, and every access that used one has been
    /// performed. TLBs that refill from this one come next:
    /// [`invalidate_after`](Tlb::invalidate_after).
    ///
    /// Bounded as the windows are; takes no lock under which anybody sleeps.
    pub fn invalidate(&self, scope: Scope) -> SourceDone<'_> {
        self.remove_and_drain(scope)
    }
}

impl<S: Source> Tlb<Arc<Tlb<S>>> {
    /// Drops the scope that was dropped from the source before, and waits for
    /// the accesses in flight.
    ///
    /// # Panics
    ///
    /// If the proof is of another TLB than the one that this one refills from.
    pub fn invalidate_after(&self, source: &SourceDone<'_>) -> SourceDone<'_> {
        assert!(
            source.tlb == self.source().address(),
            "the proof is of another tlb; invalidate the one that this one refills from"
        );
        self.remove_and_drain(source.scope)
    }
}

impl<S: Source> Tlb<S> {
    /// Drops a scope without regard to the source.
    ///
    /// Hardware that executes what was posted does this, and tests that show
    /// what the wrong order leads to.
    ///
    /// # Safety
    ///
    /// INV-ORDER: the same scope of the source was invalidated since the table
    /// changed, or nothing depends on this TLB being without stale entries
    /// afterwards.
    pub unsafe fn invalidate_unordered(&self, scope: Scope) {
        self.remove_and_drain(scope);
    }

    pub(crate) fn address(&self) -> usize {
        core::ptr::from_ref(self).addr()
    }

    fn remove_and_drain(&self, scope: Scope) -> SourceDone<'_> {
        if let Some((first, last)) = scope.pages() {
            // A visit costs a locked instruction, a sweep a few loads for each set.
            let few = (last - first) < self.sets(PageSize::Base).len() as u64 / 8 + 1;
            match scope.pasids {
                Pasids::One(pasid) if few => {
                    for page in first..=last {
                        let set = self.set_index(PageSize::Base, pasid, page);
                        self.sets(PageSize::Base)[set]
                            .invalidate(|tag| untag(tag) == (pasid.get(), page));
                    }
                    for block in block_of(first)..=block_of(last) {
                        let set = self.set_index(PageSize::Huge, pasid, block);
                        self.sets(PageSize::Huge)[set]
                            .invalidate(|tag| untag(tag) == (pasid.get(), block));
                    }
                }
                _ => self.sweep(&scope, first, last),
            }
            self.windows.drain(&scope, first, last);
        }
        SourceDone { scope, tlb: self.address(), life: PhantomData }
    }

    #[cold]
    fn sweep(&self, scope: &Scope, first: u64, last: u64) {
        self.wide.fetch_add(1, Ordering::AcqRel);
        // Pairs with the fence in `Set::install`: a fill that has not seen the
        // new count is seen writing, or has written.
        fence(Ordering::SeqCst);
        let sweep = |sets: &[Set], first: u64, last: u64| {
            for set in sets {
                set.sweep(|tag| {
                    let (pasid, page) = untag(tag);
                    (first..=last).contains(&page) && scope.names(pasid)
                });
            }
        };
        sweep(self.sets(PageSize::Base), first, last);
        sweep(self.sets(PageSize::Huge), block_of(first), block_of(last));
    }
}
