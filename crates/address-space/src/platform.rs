//! The platform under the protocol: tables in frames, locks in frames, and
//! the TLBs of the processors.

use std::fmt;

use mmu_notifier::{Locked, Membarrier, Notifier, Platform, PtlError, SecondaryTlb};
use mmu_protocol::{MmId, PageSize, Record, RecordKind, VirtAddr, VirtRange};
use secondary_tlb::{Source, Tlb};

use crate::cpu::CpuTlbs;
use crate::entry::{Attr, Pte};
use crate::memory::{Frame, Mapping, Memory, Pfn};
use crate::point::Schedule;
use crate::policy::Policy;
use crate::sync::atomic::Ordering;
use crate::sync::{Arc, MutexGuard, thread};
use crate::table::{Tables, span};

/// Is told every record of an address space, in the order in which its own
/// thread takes the steps.
pub trait Observer: Send + Sync {
    /// A step was taken. Runs under whatever locks the step holds.
    fn record(&self, record: Record);
}

/// What an address space is watched and steered by.
#[derive(Clone)]
pub(crate) struct Hooks {
    pub(crate) observer: Option<Arc<dyn Observer>>,
    pub(crate) schedule: Option<Arc<dyn Schedule>>,
    /// Let another thread run after each release of a page table lock.
    pub(crate) yield_after_unlock: bool,
    pub(crate) policy: Policy,
}

/// Implements [`Platform`].
pub(crate) struct Kernel {
    pub(crate) tables: Arc<Tables>,
    pub(crate) cpus: CpuTlbs,
    pub(crate) hooks: Hooks,
}

impl Hooks {
    /// A TLB over `source` that reports its fills and uses, if anybody listens.
    pub(crate) fn watched_tlb<S: Source>(&self, mm: MmId, source: S, entries: usize) -> Tlb<S> {
        match self.observer.clone() {
            None => Tlb::new(source, entries),
            Some(observer) => {
                let tell = move |kind| observer.record(Record { mm, kind });
                Tlb::with_observer(source, entries, Arc::new(tell))
            }
        }
    }
}

impl Kernel {
    pub(crate) fn memory(&self) -> &Arc<Memory> {
        self.tables.memory()
    }

    /// Which page an entry of this table at this place maps, if it is a leaf.
    fn mapping(&self, table: Pfn, index: usize, entry: Pte) -> Option<Mapping> {
        if !entry.is_leaf() {
            return None;
        }
        let size = if entry.is_huge() { PageSize::Huge } else { PageSize::Base };
        let addr = self.memory().table_base(table).offset((index as u64) << size.shift());
        Some(Mapping { mm: self.tables.mm(), addr, size })
    }

    /// Stores an entry and keeps the reverse map: it says exactly what the
    /// entries say.
    pub(crate) fn replace_entry(&self, table: Pfn, index: usize, new: Pte) -> Pte {
        if let Some(mapping) = self.mapping(table, index, new) {
            self.memory().rmap_add(new.pfn(), mapping);
        }
        let word = self.memory().word(table, index as u64 * 8);
        // AcqRel on a read-modify-write: on x86 a full barrier; elsewhere the
        // flush that follows contains one (INV-FLUSHED).
        let old = Pte::from_bits(word.swap(new.bits(), Ordering::SeqCst));
        if let Some(mapping) = self.mapping(table, index, old) {
            self.memory().rmap_remove(old.pfn(), mapping);
        }
        old
    }
}

/// A held page table lock.
pub(crate) struct Ptl<'a> {
    guard: Option<MutexGuard<'a, ()>>,
    yields: bool,
}

impl Drop for Ptl<'_> {
    fn drop(&mut self) {
        drop(self.guard.take());
        if self.yields {
            thread::yield_now();
        }
    }
}

// SAFETY: INV-OWNED: `make_entry` and `take_page` move the count between a
// `Frame` and an entry, and nothing else in this crate touches an entry of a
// live table but through `replace_entry` under its lock. INV-PTL: the lock is
// the mutex of the table's frame. INV-FLUSHED: `CpuTlbs::flush` waits for the
// accesses in flight of every processor. INV-SAME: `same_content` asks for a
// KSM page, which no entry maps writable.
unsafe impl Platform for Kernel {
    type Page = Frame;
    type Attr = Attr;
    type Entry = Pte;
    type Table = Pfn;
    type Ptl<'a> = Ptl<'a>;
    type Flushing = (VirtRange, PageSize);
    type Deferred = Vec<Frame>;
    type Tlb = std::sync::Arc<dyn SecondaryTlb>;
    type Notifier = std::sync::Arc<dyn Notifier>;
    type Fence = Membarrier;

    fn id(&self) -> MmId {
        self.tables.mm()
    }

    fn lock_ptl(
        &self,
        addr: VirtAddr,
        size: PageSize,
    ) -> Result<Locked<Self::Ptl<'_>, Pfn>, PtlError> {
        let Locked { ptl, table, span } = self.tables.lock(addr, size)?;
        let yields = self.hooks.yield_after_unlock;
        Ok(Locked { ptl: Ptl { guard: Some(ptl), yields }, table, span })
    }

    fn ptl_order(&self, addr: VirtAddr, size: PageSize) -> Option<usize> {
        self.tables.find(addr, size).map(|table| table as usize)
    }

    unsafe fn table_under(
        &self,
        _held: &Self::Ptl<'_>,
        addr: VirtAddr,
        size: PageSize,
    ) -> Result<(Pfn, VirtRange), PtlError> {
        // Locks are split: the same lock is the same table.
        let table = self.tables.find(addr, size).ok_or(PtlError::NoTable { addr, size })?;
        Ok((table, span(addr, size)))
    }

    unsafe fn load(&self, table: Pfn, index: usize) -> Pte {
        self.tables.load(table, index)
    }

    unsafe fn exchange(&self, table: Pfn, index: usize, new: Pte) -> Pte {
        self.replace_entry(table, index, new)
    }

    unsafe fn compare_exchange(
        &self,
        table: Pfn,
        index: usize,
        current: Pte,
        new: Pte,
    ) -> Result<(), Pte> {
        debug_assert_eq!(current.pfn(), new.pfn(), "a change of rights keeps the page");
        self.memory()
            .word(table, index as u64 * 8)
            .compare_exchange(current.bits(), new.bits(), Ordering::SeqCst, Ordering::SeqCst)
            .map(drop)
            .map_err(Pte::from_bits)
    }

    fn make_entry(&self, page: Frame, attr: Attr, size: PageSize) -> Pte {
        let pfn = page.into_pfn();
        match (attr, size) {
            (Attr::Table, _) => Pte::table(pfn),
            (Attr::Leaf(rights), PageSize::Base) => Pte::page(pfn, rights),
            (Attr::Leaf(rights), PageSize::Huge) => Pte::huge(pfn, rights),
        }
    }

    unsafe fn take_page(&self, entry: Pte, _size: PageSize) -> Frame {
        // SAFETY: INV-OWNED: the caller's promise.
        unsafe { self.memory().adopt(entry.pfn()) }
    }

    fn pfn(&self, entry: Pte) -> u64 {
        entry.pfn()
    }

    fn same_content(&self, old: &Frame, new: &Frame) -> bool {
        let memory = self.memory();
        memory.is_ksm(new.pfn()) && memory.same(old.pfn(), new.pfn(), PageSize::Base)
    }

    fn begin_flush(&self, range: VirtRange, size: PageSize) -> (VirtRange, PageSize) {
        (range, size)
    }

    fn wait_flush(&self, (range, size): (VirtRange, PageSize)) {
        self.cpus.flush(range, size);
    }

    #[inline]
    fn observe(&self, kind: RecordKind) {
        if let Some(observer) = &self.hooks.observer {
            observer.record(Record { mm: self.tables.mm(), kind });
        }
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kernel").field("mm", &self.tables.mm()).finish_non_exhaustive()
    }
}
