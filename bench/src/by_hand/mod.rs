//! The COW path by hand, with the same duties and nothing that enforces them.
//!
//! It shares with the library what is not the question: the read section
//! ([`Srcu`]), the platform's functions, the subscribers' traits. The list, the
//! tickets and the order of the steps are written out.

mod list;
mod tickets;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mmu_notifier::protocol::{Event, PageSize, VirtAddr, VirtRange};
use mmu_notifier::{
    Atomic, Blockable, Invalidation, Membarrier, Notifier, PageTableEntry, PtlError, RangeInfo,
    SecondaryTlb, Srcu, StartError, StripeId,
};

use self::list::List;
use self::tickets::Tickets;
use crate::arena::{Arena, Page, Pte, SPAN};
use crate::typed::Refused;

/// What the library's `Mm` holds, in the open.
pub struct Space {
    srcu: Srcu<Membarrier>,
    notifiers: List<Arc<dyn Notifier>>,
    tlbs: List<Arc<dyn SecondaryTlb>>,
    /// Those of `tlbs` that cache absent entries.
    absent: AtomicU64,
    tickets: Tickets,
    arena: Arena,
}

/// What the library's `Task` holds.
pub struct HandTask {
    stripe: StripeId,
    hint: usize,
    open_ranges: u32,
}

impl HandTask {
    /// # Safety
    ///
    /// INV-STRIPE, with the stripe of this number.
    pub unsafe fn new(number: usize) -> Self {
        // SAFETY: the caller's promise, passed on.
        let stripe = unsafe { StripeId::exclusive(number) }.expect("there are 32");
        HandTask { stripe, hint: number, open_ranges: 0 }
    }
}

impl Space {
    /// An address space with these subscribers.
    pub fn new(tlbs: Vec<Arc<dyn SecondaryTlb>>) -> Self {
        Space {
            srcu: Srcu::new(),
            notifiers: List::new(Vec::new()),
            tlbs: List::new(tlbs),
            absent: AtomicU64::new(0),
            tickets: Tickets::new(),
            arena: Arena::new(),
        }
    }

    #[inline]
    fn tell(&self, who: u64, range: VirtRange) {
        let invalidation = Invalidation::new(range, PageSize::Base);
        self.tlbs.for_each(who, |tlb| tlb.invalidate_range(&invalidation, Atomic::assume()));
    }
}

/// Puts a new page in place of the one at `addr`; returns the old one.
#[inline(never)]
pub fn cow(space: &Space, task: &mut HandTask, addr: VirtAddr, new: Page) -> Result<Page, Refused> {
    let range = VirtRange::page(addr, PageSize::Base);
    if task.open_ranges != 0 {
        return Err(Refused::Start(StartError::Nested));
    }
    let section = space.srcu.read(task.stripe);
    let tlbs = space.tlbs.live();
    let notifiers = space.notifiers.live();
    let info = RangeInfo::new(range, Event::Clear, Blockable::Yes);
    if notifiers != 0 {
        start_each(space, notifiers, &info);
    }
    task.open_ranges = 1;
    // Pages that may only be freed at the end. This path defers none.
    let deferred: Vec<Page> = Vec::new();
    let mut ticket = None;

    let result = 'change: {
        if !SPAN.contains(addr) {
            break 'change Err(PtlError::NoTable { addr, size: PageSize::Base }.into());
        }
        let ptl = space.arena.lock();
        if !addr.is_aligned(PageSize::Base) {
            break 'change Err(PtlError::Misaligned { addr, size: PageSize::Base }.into());
        }
        if !SPAN.contains(addr) {
            break 'change Err(PtlError::OutsideTable { addr, table: SPAN }.into());
        }
        if !range.covers(VirtRange::page(addr, PageSize::Base)) {
            break 'change Err(PtlError::OutsideRange { addr, range }.into());
        }
        let index = ((addr.as_u64() - SPAN.start().as_u64()) >> PageSize::Base.shift()) as usize;
        if !space.arena.read(index).is_present() {
            break 'change Err(Refused::Absent);
        }

        // Until everybody was told the entry says which range is to tell.
        let owing = tlbs != 0;
        if owing {
            ticket = space.tickets.draw(task.hint);
        }
        let mark = ticket.map_or(Pte::EMPTY, Pte::tombstone_of);
        let old = space.arena.swap(index, mark).into_page();
        space.arena.flush();
        if owing {
            space.tell(tlbs, range);
        }
        space.arena.swap(index, Pte::page(new.0, true));
        let absent = space.absent.load(Ordering::Acquire) & tlbs;
        if absent != 0 {
            space.tell(absent, range);
        }
        drop(ptl);
        Ok(old)
    };

    task.open_ranges = 0;
    if let Some(ticket) = ticket {
        space.tickets.retire(ticket);
    }
    if notifiers != 0 {
        end_each(space, notifiers, &info);
    }
    drop(deferred);
    drop(section);
    result
}

#[cold]
fn start_each(space: &Space, notifiers: u64, info: &RangeInfo) {
    space.notifiers.for_each(notifiers, |notifier| {
        notifier.range_start(info).expect("a blockable start is not refused");
    });
}

#[cold]
fn end_each(space: &Space, notifiers: u64, info: &RangeInfo) {
    space.notifiers.for_each(notifiers, |notifier| notifier.range_end(info));
}

impl From<PtlError> for Refused {
    fn from(error: PtlError) -> Self {
        Refused::Ptl(error)
    }
}
