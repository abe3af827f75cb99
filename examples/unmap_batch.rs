//! Embedding the protocol: a platform of your own in eighty lines, and a batch
//! that unmaps many pages with one flush and one notification.

use std::cell::Cell;
use std::error::Error;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use mmu_notifier::{
    Atomic, Invalidation, Locked, Membarrier, Mm, Nobody, PageTableEntry, Platform, PtlError,
    SecondaryTlb, Task, Ticket,
};
use mmu_protocol::{Event, PageSize, Rights, VirtAddr, VirtRange};

/// An entry: present, writable, a ticket, or the number of a frame.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Entry(u64);

impl PageTableEntry for Entry {
    const EMPTY: Self = Entry(0);
    fn is_present(self) -> bool {
        self.0 & 1 != 0
    }
    fn is_writable(self) -> bool {
        self.0 & 2 != 0
    }
    fn write_protected(self) -> Self {
        Entry(self.0 & !2)
    }
    fn made_writable(self) -> Self {
        Entry(self.0 | 2)
    }
    fn tombstone(ticket: Ticket) -> Option<Self> {
        Some(Entry(u64::from(ticket.get()) << 32 | 4))
    }
    fn ticket(self) -> Option<Ticket> {
        if self.0 & 5 == 4 { Ticket::from_raw((self.0 >> 32) as u32) } else { None }
    }
}

/// A frame: whoever has it owns it. Not `Copy`.
struct Frame(u64);

/// One table of 512 entries.
struct OneTable {
    entries: Vec<AtomicU64>,
    lock: Mutex<()>,
    flushes: AtomicUsize,
}

// SAFETY: INV-OWNED: `make_entry` and `take_page` move a `Frame` in and out of
// an entry; nothing copies one. INV-PTL: one mutex guards all entries.
// INV-FLUSHED: there is no CPU here that translates. INV-SAME: never claimed.
unsafe impl Platform for OneTable {
    type Page = Frame;
    type Attr = Rights;
    type Entry = Entry;
    type Table = ();
    type Ptl<'a> = MutexGuard<'a, ()>;
    type Flushing = ();
    type Deferred = Vec<Frame>;
    type Tlb = Arc<CountingIommu>;
    type Notifier = Nobody;
    type Fence = Membarrier;

    fn lock_ptl(
        &self,
        addr: VirtAddr,
        size: PageSize,
    ) -> Result<Locked<MutexGuard<'_, ()>, ()>, PtlError> {
        let span = VirtRange::page(VirtAddr::new(0), PageSize::Huge);
        if size != PageSize::Base || !span.contains(addr) {
            return Err(PtlError::NoTable { addr, size });
        }
        Ok(Locked { ptl: self.lock.lock().unwrap(), table: (), span })
    }
    fn ptl_order(&self, _: VirtAddr, _: PageSize) -> Option<usize> {
        Some(0)
    }
    unsafe fn table_under(
        &self,
        _: &MutexGuard<'_, ()>,
        _: VirtAddr,
        _: PageSize,
    ) -> Result<((), VirtRange), PtlError> {
        Ok(((), VirtRange::page(VirtAddr::new(0), PageSize::Huge)))
    }
    unsafe fn load(&self, (): (), index: usize) -> Entry {
        Entry(self.entries[index].load(Ordering::Acquire))
    }
    unsafe fn exchange(&self, (): (), index: usize, new: Entry) -> Entry {
        Entry(self.entries[index].swap(new.0, Ordering::SeqCst))
    }
    unsafe fn compare_exchange(
        &self,
        (): (),
        index: usize,
        current: Entry,
        new: Entry,
    ) -> Result<(), Entry> {
        let word = &self.entries[index];
        word.compare_exchange(current.0, new.0, Ordering::SeqCst, Ordering::SeqCst)
            .map(drop)
            .map_err(Entry)
    }
    fn make_entry(&self, page: Frame, rights: Rights, _: PageSize) -> Entry {
        Entry(page.0 << 12 | u64::from(rights == Rights::ReadWrite) << 1 | 1)
    }
    unsafe fn take_page(&self, entry: Entry, _: PageSize) -> Frame {
        Frame(entry.0 >> 12)
    }
    fn begin_flush(&self, _: VirtRange, _: PageSize) {
        self.flushes.fetch_add(1, Ordering::Relaxed);
    }
    fn wait_flush(&self, (): ()) {}
}

/// An IOMMU that holds nothing and counts how often it is told.
#[derive(Default)]
struct CountingIommu(AtomicUsize);

// SAFETY: INV-TOLD: it holds no translation at any time.
unsafe impl SecondaryTlb for CountingIommu {
    fn invalidate_range(&self, _: &Invalidation, _: Atomic<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn release(&self) {}
}

fn main() -> Result<(), Box<dyn Error>> {
    let mm = Mm::new(OneTable {
        entries: (0..512).map(|_| AtomicU64::new(0)).collect(),
        lock: Mutex::new(()),
        flushes: AtomicUsize::new(0),
    });
    let mut task = Task::current()?;
    let iommu = Arc::new(CountingIommu::default());
    let subscription = mm.register_tlb(iommu.clone(), &mut task)?;

    let pages = VirtRange::sized(VirtAddr::new(0), 32 * 4096);
    {
        let mut ptl = mm.lock_ptl(pages.start(), PageSize::Base, &mut task)?;
        for (number, addr) in (100..).zip(pages.pages(PageSize::Base)) {
            let slot = ptl.fill(addr)?.vacant().ok_or("the table is empty")?;
            slot.set(Frame(number), Rights::ReadWrite);
        }
    }

    let freed = Cell::new(0);
    mm.invalidate(pages, Event::Unmap, &mut task, |range| {
        let mut ptl = range.lock_ptl(pages.start())?;
        let mut batch = ptl.batch::<32>();
        for addr in pages.pages(PageSize::Base) {
            batch.clear(addr)?;
        }
        // Each page is lent once every TLB was told.
        batch.flush_notify(|notified| {
            let _page: Frame = notified.take();
            freed.set(freed.get() + 1);
        });
        Ok::<_, Box<dyn Error>>(())
    })??;

    println!("{} pages unmapped and freed", freed.get());
    println!("{} CPU flush", mm.platform().flushes.load(Ordering::Relaxed));
    println!("{} notification", iommu.0.load(Ordering::Relaxed));
    mm.unregister_tlb(subscription, &mut task)?;
    Ok(())
}
