//! The test platform: a few tables of entries, each under a mutex.

use std::marker::PhantomData;
use std::sync::Arc;

use mmu_notifier::protocol::{MmId, PageSize, Profile, Rights, VirtAddr, VirtRange};
use mmu_notifier::{
    AsymmetricFence, DeferArray, DeferPages, FullFence, Locked, Membarrier, Notifier,
    PageTableEntry, Platform, PtlError, SecondaryTlb,
};

use super::entry::{NO_ROOM, Pte, ROOM};
use super::sync::MutexGuard;
use super::sync::atomic::Ordering;
use super::world::{Page, Short, Span, World};

/// What can be chosen of the platform at compile time.
pub(crate) trait Shape: Send + Sync + 'static {
    const PROFILE: Profile = Profile::V6_1;
    type Entry: PageTableEntry + Raw;
    type Deferred<'w>: DeferPages<Page<'w>>;
    type Fence: AsymmetricFence;
}

/// An entry as the word in the table.
pub(crate) trait Raw {
    fn from_raw(raw: u64) -> Self;
    fn raw(self) -> u64;
}

impl<const KIND: u8> Raw for Pte<KIND> {
    fn from_raw(raw: u64) -> Self {
        Pte(raw)
    }
    fn raw(self) -> u64 {
        self.0
    }
}

macro_rules! shape {
    ($(#[$doc:meta])* $name:ident, $profile:ident, $room:expr, $deferred:ty, $fence:ty) => {
        $(#[$doc])*
        pub(crate) struct $name;
        impl $crate::support::flat::Shape for $name {
            const PROFILE: mmu_notifier::protocol::Profile =
                mmu_notifier::protocol::Profile::$profile;
            type Entry = $crate::support::entry::Pte<{ $room }>;
            type Deferred<'w> = $deferred;
            type Fence = $fence;
        }
    };
}
pub(crate) use shape;

shape!(
    /// Notification is a step of its own.
    V61, V6_1, ROOM, Vec<Page<'w>>, Membarrier
);
shape!(
    /// The CPU flush notifies.
    V612, V6_12, ROOM, Vec<Page<'w>>, FullFence
);
shape!(
    /// As `V61`, with room for one deferred page.
    OnePlace, V6_1, ROOM, DeferArray<Page<'w>, 1>, Membarrier
);
shape!(
    /// As `V61`, with room for no deferred page.
    NoPlace, V6_1, ROOM, DeferArray<Page<'w>, 0>, Membarrier
);
shape!(
    /// As `V61`, and what leaks on purpose holds no memory of the test's own.
    InPlace, V6_1, ROOM, DeferArray<Page<'w>, 8>, Membarrier
);
shape!(
    /// As `InPlace`, with entries that cannot hold a ticket.
    NoTombstones, V6_1, NO_ROOM, DeferArray<Page<'w>, 8>, Membarrier
);

/// The platform.
pub(crate) struct Flat<'w, S> {
    pub(crate) world: &'w World,
    shape: PhantomData<S>,
}

impl<'w, S: Shape> Flat<'w, S> {
    pub(crate) fn new(world: &'w World) -> Self {
        Flat { world, shape: PhantomData }
    }

    fn addr(&self, table: usize, index: usize) -> VirtAddr {
        let table = &self.world.tables[table];
        table.span.start().offset((index as u64) << table.size.shift())
    }

    fn note_change(&self, table: usize, index: usize, old: S::Entry, new: S::Entry) {
        let addr = Short(self.addr(table, index));
        let world = self.world;
        let pfn = Pte::<ROOM>(new.raw()).pfn();
        match (old.is_present(), new.is_present()) {
            (_, true) if pfn != Pte::<ROOM>(old.raw()).pfn() || !old.is_present() => {
                let rights = if new.is_writable() { "rw" } else { "ro" };
                world.note(format_args!("set {addr} to frame {pfn} {rights}"));
            }
            (true, false) => world.note(format_args!("clear {addr}")),
            (true, true) if old.is_writable() && !new.is_writable() => {
                world.note(format_args!("protect {addr}"));
            }
            (true, true) if !old.is_writable() && new.is_writable() => {
                world.note(format_args!("unprotect {addr}"));
            }
            (true, true) if old.is_young() && !new.is_young() => {
                world.note(format_args!("age {addr}"));
            }
            _ => {}
        }
    }
}

impl<S> Drop for Flat<'_, S> {
    /// The page tables go, and with them every page that is still mapped.
    fn drop(&mut self) {
        for table in &self.world.tables {
            for entry in &table.entries {
                let entry = Pte::<ROOM>(entry.swap(0, Ordering::AcqRel));
                if entry.is_present() {
                    drop(self.world.adopt(entry.pfn()));
                }
            }
        }
    }
}

/// A held lock.
pub(crate) struct Ptl<'a> {
    guard: Option<MutexGuard<'a, ()>>,
    world: &'a World,
}

impl Drop for Ptl<'_> {
    fn drop(&mut self) {
        self.world.note(format_args!("unlock"));
        drop(self.guard.take());
    }
}

// SAFETY: INV-OWNED: `make_entry` and `take_page` move the reference between a
// `Page` and an entry, and only the drop of the platform does so besides.
// INV-PTL: the mutex of the table. INV-FLUSHED: this platform has no CPU TLBs,
// and exchanges are sequentially consistent. INV-SAME: `same_content` asks
// whether the frame is sealed, and no test writes to a sealed frame.
// INV-KEPT: `Vec` and `DeferArray`.
unsafe impl<'w, S: Shape> Platform for Flat<'w, S> {
    const PROFILE: Profile = S::PROFILE;
    type Page = Page<'w>;
    type Attr = Rights;
    type Entry = S::Entry;
    type Table = usize;
    type Ptl<'a>
        = Ptl<'a>
    where
        Self: 'a;
    type Flushing = VirtRange;
    type Deferred = S::Deferred<'w>;
    type Tlb = Arc<dyn SecondaryTlb + 'w>;
    type Notifier = Arc<dyn Notifier + 'w>;
    type Fence = S::Fence;

    fn id(&self) -> MmId {
        MmId(7)
    }

    fn lock_ptl(&self, addr: VirtAddr, size: PageSize) -> Result<Locked<Ptl<'_>, usize>, PtlError> {
        let number = self.world.find(addr, size).ok_or(PtlError::NoTable { addr, size })?;
        let table = &self.world.tables[number];
        let guard = Some(self.world.lock(table.lock));
        self.world.note(format_args!("lock"));
        Ok(Locked { ptl: Ptl { guard, world: self.world }, table: number, span: table.span })
    }

    fn ptl_order(&self, addr: VirtAddr, size: PageSize) -> Option<usize> {
        Some(self.world.tables[self.world.find(addr, size)?].lock)
    }

    unsafe fn table_under(
        &self,
        _held: &Ptl<'_>,
        addr: VirtAddr,
        size: PageSize,
    ) -> Result<(usize, VirtRange), PtlError> {
        let number = self.world.find(addr, size).ok_or(PtlError::NoTable { addr, size })?;
        Ok((number, self.world.tables[number].span))
    }

    unsafe fn load(&self, table: usize, index: usize) -> S::Entry {
        S::Entry::from_raw(self.world.tables[table].entries[index].load(Ordering::Acquire))
    }

    unsafe fn exchange(&self, table: usize, index: usize, new: S::Entry) -> S::Entry {
        let place = &self.world.tables[table].entries[index];
        let old = S::Entry::from_raw(place.swap(new.raw(), Ordering::SeqCst));
        self.note_change(table, index, old, new);
        old
    }

    unsafe fn compare_exchange(
        &self,
        table: usize,
        index: usize,
        current: S::Entry,
        new: S::Entry,
    ) -> Result<(), S::Entry> {
        self.world.tables[table].entries[index]
            .compare_exchange(current.raw(), new.raw(), Ordering::SeqCst, Ordering::SeqCst)
            .map_err(S::Entry::from_raw)?;
        self.note_change(table, index, current, new);
        Ok(())
    }

    fn make_entry(&self, page: Page<'w>, attr: Rights, _size: PageSize) -> S::Entry {
        let entry = Pte::<ROOM>::page(page.into_pfn(), attr == Rights::ReadWrite);
        S::Entry::from_raw(entry.0)
    }

    unsafe fn take_page(&self, entry: S::Entry, _size: PageSize) -> Page<'w> {
        self.world.adopt(Pte::<ROOM>(entry.raw()).pfn())
    }

    fn pfn(&self, entry: S::Entry) -> u64 {
        Pte::<ROOM>(entry.raw()).pfn() as u64
    }

    fn same_content(&self, old: &Page<'w>, new: &Page<'w>) -> bool {
        self.world.is_sealed(new.pfn()) && old.data() == new.data()
    }

    fn begin_flush(&self, range: VirtRange, _size: PageSize) -> VirtRange {
        self.world.note(format_args!("begin flush {}", Span(range)));
        range
    }

    fn wait_flush(&self, flushing: VirtRange) {
        self.world.note(format_args!("flush {}", Span(flushing)));
    }
}
