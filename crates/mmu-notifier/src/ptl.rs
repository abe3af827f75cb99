//! Page table locks: with a range, which may change anything in it, and
//! without one, which may only add.

use core::fmt;
use core::marker::PhantomData;

use mmu_protocol::{PageSize, VirtAddr, VirtRange};

use crate::batch::Batch;
use crate::error::PtlError;
use crate::platform::{Locked, Platform};
use crate::range::RangeState;
use crate::slot::{Entry, FillSlot, Slot};
use crate::snapshot::Snapshot;
use crate::srcu::SrcuGuard;

/// The entries of one locked table.
pub(crate) struct Entries<P: Platform> {
    pub(crate) table: P::Table,
    pub(crate) span: VirtRange,
    pub(crate) size: PageSize,
}

impl<P: Platform> Clone for Entries<P> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<P: Platform> Copy for Entries<P> {}

impl<P: Platform> Entries<P> {
    #[inline]
    pub(crate) fn at<'s>(
        &self,
        snapshot: Snapshot<'s, P>,
        addr: VirtAddr,
    ) -> Result<Entry<'s, P>, PtlError> {
        if !addr.is_aligned(self.size) {
            return Err(PtlError::Misaligned { addr, size: self.size });
        }
        if !self.span.contains(addr) {
            return Err(PtlError::OutsideTable { addr, table: self.span });
        }
        let index = (addr.as_u64() - self.span.start().as_u64()) >> self.size.shift();
        Ok(Entry { snapshot, table: self.table, index: index as usize, addr, size: self.size })
    }
}

/// A page table lock inside a range.
///
/// Holds the range borrowed, so nothing that may sleep and no second lock can
/// be reached. Not `Send`. Forgetting it leaves the table locked.
pub struct RangePtl<'g, P: Platform + 'g> {
    range: &'g RangeState<'g, P>,
    entries: Entries<P>,
    _ptl: P::Ptl<'g>,
    not_send: PhantomData<*mut ()>,
}

impl<'g, P: Platform> RangePtl<'g, P> {
    #[inline]
    pub(crate) fn lock(
        range: &'g RangeState<'g, P>,
        addr: VirtAddr,
        size: PageSize,
    ) -> Result<Self, PtlError> {
        let Locked { ptl, table, span } = range.snapshot.mm.platform.lock_ptl(addr, size)?;
        let entries = Entries { table, span, size };
        Ok(RangePtl { range, entries, _ptl: ptl, not_send: PhantomData })
    }

    /// The addresses that the locked table maps.
    pub fn span(&self) -> VirtRange {
        self.entries.span
    }

    /// The entry of the page that starts at `addr`, for any change.
    ///
    /// # Errors
    ///
    /// If the address is not the start of a page, or lies outside the range or
    /// the table.
    #[inline]
    pub fn slot(&mut self, addr: VirtAddr) -> Result<Slot<'_, P>, PtlError> {
        slot_in_range(self.range, &self.entries, addr)
    }

    /// The entry of any page of the table, in the range or not, to be filled.
    ///
    /// # Errors
    ///
    /// If the address is not the start of a page or lies outside the table.
    #[inline]
    pub fn fill(&mut self, addr: VirtAddr) -> Result<FillSlot<'_, P>, PtlError> {
        Ok(FillSlot::new(self.entries.at(self.range.snapshot, addr)?))
    }

    /// Every entry of the table that lies in the range, one after the other.
    /// Stops at the first error.
    ///
    /// # Errors
    ///
    /// What `each` returns.
    pub fn for_each_slot<E>(
        &mut self,
        mut each: impl FnMut(Slot<'_, P>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Entries { table, span, size } = self.entries;
        let here = self.range.info.range.intersection(span);
        let mut addr = here.start();
        if !addr.is_aligned(size) {
            addr = addr.align_down(size).offset(size.bytes());
        }
        let mut index = ((addr.as_u64() - span.start().as_u64()) >> size.shift()) as usize;
        while addr < here.end() && here.end().as_u64() - addr.as_u64() >= size.bytes() {
            let entry = Entry { snapshot: self.range.snapshot, table, index, addr, size };
            each(Slot::new(entry, self.range))?;
            index += 1;
            addr = addr.offset(size.bytes());
        }
        Ok(())
    }

    /// A batch of at most `N` entries that are cleared one by one and flushed
    /// and notified together.
    pub fn batch<const N: usize>(&mut self) -> Batch<'_, P, N> {
        Batch::new(self.range, self.entries)
    }
}

#[inline]
fn slot_in_range<'s, P: Platform>(
    range: &'s RangeState<'_, P>,
    entries: &Entries<P>,
    addr: VirtAddr,
) -> Result<Slot<'s, P>, PtlError> {
    let entry = entries.at(range.snapshot, addr)?;
    if !range.info.range.covers(VirtRange::page(addr, entries.size)) {
        return Err(PtlError::OutsideRange { addr, range: range.info.range });
    }
    Ok(Slot::new(entry, range))
}

impl<P: Platform> fmt::Debug for RangePtl<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RangePtl").field("span", &self.entries.span).finish_non_exhaustive()
    }
}

/// Two page table locks, taken in their order (or one, if they are the same).
///
/// The page moves by hand: [`source`](Self::source) gives it up once every TLB
/// was told, [`target`](Self::target) takes it.
pub struct RangePtlPair<'g, P: Platform + 'g> {
    range: &'g RangeState<'g, P>,
    source: Entries<P>,
    target: Entries<P>,
    _first: P::Ptl<'g>,
    _second: Option<P::Ptl<'g>>,
    not_send: PhantomData<*mut ()>,
}

impl<'g, P: Platform> RangePtlPair<'g, P> {
    pub(crate) fn lock(
        range: &'g RangeState<'g, P>,
        source: VirtAddr,
        target: VirtAddr,
        size: PageSize,
    ) -> Result<Self, PtlError> {
        let platform = &range.snapshot.mm.platform;
        let order = |addr| platform.ptl_order(addr, size).ok_or(PtlError::NoTable { addr, size });
        let build =
            |source: (P::Table, VirtRange), target: (P::Table, VirtRange), first, second| {
                RangePtlPair {
                    range,
                    source: Entries { table: source.0, span: source.1, size },
                    target: Entries { table: target.0, span: target.1, size },
                    _first: first,
                    _second: second,
                    not_send: PhantomData,
                }
            };
        loop {
            let (from, to) = (order(source)?, order(target)?);
            // Tables may come and go until their locks are held: ask again then.
            let settled = || Ok::<_, PtlError>(order(source)? == from && order(target)? == to);
            if from == to {
                let Locked { ptl, table, span } = platform.lock_ptl(source, size)?;
                if settled()? {
                    // SAFETY: equal order is the same lock, which we hold.
                    let other = unsafe { platform.table_under(&ptl, target, size)? };
                    return Ok(build((table, span), other, ptl, None));
                }
                continue;
            }
            // The lock order of the platform, whichever of the two is the source.
            let (first, second) = if from < to { (source, target) } else { (target, source) };
            let a = platform.lock_ptl(first, size)?;
            let b = platform.lock_ptl(second, size)?;
            if settled()? {
                let (a_table, b_table) = ((a.table, a.span), (b.table, b.span));
                let (source, target) =
                    if from < to { (a_table, b_table) } else { (b_table, a_table) };
                return Ok(build(source, target, a.ptl, Some(b.ptl)));
            }
        }
    }

    /// An entry of the source table, for any change.
    ///
    /// # Errors
    ///
    /// As for [`RangePtl::slot`].
    pub fn source(&mut self, addr: VirtAddr) -> Result<Slot<'_, P>, PtlError> {
        slot_in_range(self.range, &self.source, addr)
    }

    /// An entry of the target table, to be filled.
    ///
    /// # Errors
    ///
    /// As for [`RangePtl::fill`].
    pub fn target(&mut self, addr: VirtAddr) -> Result<FillSlot<'_, P>, PtlError> {
        Ok(FillSlot::new(self.target.at(self.range.snapshot, addr)?))
    }
}

impl<P: Platform> fmt::Debug for RangePtlPair<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RangePtlPair")
            .field("source", &self.source.span)
            .field("target", &self.target.span)
            .finish_non_exhaustive()
    }
}

/// A page table lock outside a range.
///
/// Nobody was told that anything changes, so nothing can be taken away here:
/// there is no method that clears an entry or a right.
pub struct FillPtl<'g, P: Platform + 'g> {
    // Released before the section ends: fields drop in this order.
    _ptl: P::Ptl<'g>,
    snapshot: Snapshot<'g, P>,
    _section: SrcuGuard<'g, P::Fence>,
    entries: Entries<P>,
    not_send: PhantomData<*mut ()>,
}

impl<'g, P: Platform> FillPtl<'g, P> {
    #[inline]
    pub(crate) fn lock(
        (snapshot, section): (Snapshot<'g, P>, SrcuGuard<'g, P::Fence>),
        addr: VirtAddr,
        size: PageSize,
    ) -> Result<Self, PtlError> {
        let Locked { ptl, table, span } = snapshot.mm.platform.lock_ptl(addr, size)?;
        let entries = Entries { table, span, size };
        Ok(FillPtl { snapshot, entries, _section: section, _ptl: ptl, not_send: PhantomData })
    }

    /// The addresses that the locked table maps.
    pub fn span(&self) -> VirtRange {
        self.entries.span
    }

    /// The entry of the page that starts at `addr`.
    ///
    /// # Errors
    ///
    /// If the address is not the start of a page or lies outside the table.
    #[inline]
    pub fn fill(&mut self, addr: VirtAddr) -> Result<FillSlot<'_, P>, PtlError> {
        Ok(FillSlot::new(self.entries.at(self.snapshot, addr)?))
    }
}

impl<P: Platform> fmt::Debug for FillPtl<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FillPtl").field("span", &self.entries.span).finish_non_exhaustive()
    }
}
