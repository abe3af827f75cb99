//! The smallest platform that the protocol runs on: one table of entries, a
//! lock of one word, and a flush that counts its calls.
//!
//! Nothing here costs more than it must, so that what is measured is the
//! protocol. The typed path and the one by hand use the same functions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use mmu_notifier::protocol::{PageSize, Rights, VirtAddr, VirtRange};
use mmu_notifier::{
    Locked, Membarrier, Notifier, PageTableEntry, Platform, PtlError, SecondaryTlb, Ticket,
};

/// The addresses of the one table.
pub const SPAN: VirtRange = VirtRange::sized(VirtAddr::new(0x4000_0000), 512 << 12);

/// The pages of the table, and whether somebody holds its lock.
pub struct Arena {
    entries: Box<[AtomicU64]>,
    locked: AtomicBool,
    flushes: AtomicU64,
}

impl Arena {
    /// A table in which every page is present.
    pub fn new() -> Self {
        let entries = (0..512).map(|page| AtomicU64::new(Pte::page(page, false).0)).collect();
        Arena { entries, locked: AtomicBool::new(false), flushes: AtomicU64::new(0) }
    }

    /// The address of a page of the table.
    pub fn addr(page: u64) -> VirtAddr {
        SPAN.start().offset((page % 512) << 12)
    }

    /// How often the CPU TLBs were flushed.
    pub fn flushes(&self) -> u64 {
        self.flushes.load(Ordering::Relaxed)
    }

    /// Takes the lock. There is one thread, so it is always free.
    #[inline]
    pub fn lock(&self) -> Ptl<'_> {
        while self
            .locked
            .compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            std::hint::spin_loop();
        }
        Ptl { locked: &self.locked }
    }

    /// Reads an entry, as hardware might.
    #[inline]
    pub fn read(&self, index: usize) -> Pte {
        Pte(self.entries[index].load(Ordering::Acquire))
    }

    /// Stores an entry and returns the one before.
    #[inline]
    pub fn swap(&self, index: usize, new: Pte) -> Pte {
        Pte(self.entries[index].swap(new.0, Ordering::SeqCst))
    }

    /// Flushes CPU TLBs that are not there, and counts that.
    #[inline]
    pub fn flush(&self) {
        // The lock is held, so a plain addition is enough.
        self.flushes.store(self.flushes.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
}

impl Default for Arena {
    fn default() -> Self {
        Self::new()
    }
}

/// The lock is held.
pub struct Ptl<'a> {
    locked: &'a AtomicBool,
}

impl Drop for Ptl<'_> {
    #[inline]
    fn drop(&mut self) {
        self.locked.store(false, Ordering::Release);
    }
}

/// A page: an index, and nothing to do when it goes. No allocator is measured.
#[derive(Debug)]
pub struct Page(pub u32);

const PRESENT: u64 = 1;
const WRITABLE: u64 = 2;
const TOMBSTONE: u64 = 4;
const PAYLOAD_SHIFT: u32 = 32;

/// An entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pte(u64);

impl Pte {
    /// A present entry.
    #[inline]
    pub fn page(page: u32, writable: bool) -> Self {
        let rights = if writable { WRITABLE } else { 0 };
        Pte(u64::from(page) << PAYLOAD_SHIFT | rights | PRESENT)
    }

    /// The page of a present entry.
    #[inline]
    pub fn into_page(self) -> Page {
        Page((self.0 >> PAYLOAD_SHIFT) as u32)
    }

    /// The entry that carries this number in place of a page.
    #[inline]
    pub fn tombstone_of(ticket: u32) -> Self {
        Pte(u64::from(ticket) << PAYLOAD_SHIFT | TOMBSTONE)
    }
}

impl PageTableEntry for Pte {
    const EMPTY: Self = Pte(0);

    #[inline]
    fn is_present(self) -> bool {
        self.0 & PRESENT != 0
    }
    #[inline]
    fn is_writable(self) -> bool {
        self.0 & WRITABLE != 0
    }
    #[inline]
    fn write_protected(self) -> Self {
        Pte(self.0 & !WRITABLE)
    }
    #[inline]
    fn made_writable(self) -> Self {
        Pte(self.0 | WRITABLE)
    }
    #[inline]
    fn tombstone(ticket: Ticket) -> Option<Self> {
        Some(Pte::tombstone_of(ticket.get()))
    }
    #[inline]
    fn ticket(self) -> Option<Ticket> {
        if self.0 & (PRESENT | TOMBSTONE) != TOMBSTONE {
            return None;
        }
        Ticket::from_raw((self.0 >> PAYLOAD_SHIFT) as u32)
    }
}

// SAFETY: INV-OWNED: `make_entry` and `take_page` move the index between a
// `Page` and an entry. INV-PTL: the flag. INV-FLUSHED: there are no CPU TLBs,
// and exchanges are sequentially consistent. INV-SAME: never claimed.
// INV-KEPT: `Vec`.
unsafe impl Platform for Arena {
    type Page = Page;
    type Attr = Rights;
    type Entry = Pte;
    type Table = ();
    type Ptl<'a> = Ptl<'a>;
    type Flushing = ();
    type Deferred = Vec<Page>;
    type Tlb = Arc<dyn SecondaryTlb>;
    type Notifier = Arc<dyn Notifier>;
    type Fence = Membarrier;

    #[inline]
    fn lock_ptl(&self, addr: VirtAddr, size: PageSize) -> Result<Locked<Ptl<'_>, ()>, PtlError> {
        if size != PageSize::Base || !SPAN.contains(addr) {
            return Err(PtlError::NoTable { addr, size });
        }
        Ok(Locked { ptl: self.lock(), table: (), span: SPAN })
    }

    fn ptl_order(&self, addr: VirtAddr, size: PageSize) -> Option<usize> {
        (size == PageSize::Base && SPAN.contains(addr)).then_some(0)
    }

    unsafe fn table_under(
        &self,
        _held: &Ptl<'_>,
        addr: VirtAddr,
        size: PageSize,
    ) -> Result<((), VirtRange), PtlError> {
        self.ptl_order(addr, size).map(|_| ((), SPAN)).ok_or(PtlError::NoTable { addr, size })
    }

    #[inline]
    unsafe fn load(&self, _: (), index: usize) -> Pte {
        self.read(index)
    }

    #[inline]
    unsafe fn exchange(&self, _: (), index: usize, new: Pte) -> Pte {
        self.swap(index, new)
    }

    #[inline]
    unsafe fn compare_exchange(
        &self,
        _: (),
        index: usize,
        current: Pte,
        new: Pte,
    ) -> Result<(), Pte> {
        self.entries[index]
            .compare_exchange(current.0, new.0, Ordering::SeqCst, Ordering::SeqCst)
            .map(drop)
            .map_err(Pte)
    }

    #[inline]
    fn make_entry(&self, page: Page, attr: Rights, _: PageSize) -> Pte {
        Pte::page(page.0, attr == Rights::ReadWrite)
    }

    #[inline]
    unsafe fn take_page(&self, entry: Pte, _: PageSize) -> Page {
        entry.into_page()
    }

    #[inline]
    fn begin_flush(&self, _: VirtRange, _: PageSize) {
        self.flush();
    }

    #[inline]
    fn wait_flush(&self, (): ()) {}
}
