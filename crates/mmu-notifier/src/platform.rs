//! What the protocol needs from the kernel or hypervisor underneath.

use mmu_protocol::{MmId, PageSize, Profile, RecordKind, VirtAddr, VirtRange};

use crate::deferred::DeferPages;
use crate::error::PtlError;
use crate::fence::AsymmetricFence;
use crate::subscriber::{Notifier, SecondaryTlb};
use crate::ticket::Ticket;

/// One entry of a page table, as a value.
///
/// An entry is present, a tombstone, or otherwise absent (empty, a swap entry,
/// whatever the platform keeps there).
pub trait PageTableEntry: Copy + Eq + Send {
    /// The entry that says nothing.
    const EMPTY: Self;

    /// Whether hardware translates through it.
    fn is_present(self) -> bool;

    /// Whether it grants writes. Only asked of present entries.
    fn is_writable(self) -> bool;

    /// The same entry without the right to write.
    fn write_protected(self) -> Self;

    /// The same entry with the right to write.
    fn made_writable(self) -> Self;

    /// Whether hardware has used it since [`aged`](Self::aged).
    fn is_young(self) -> bool {
        false
    }

    /// The same entry with the accessed bit clear.
    fn aged(self) -> Self {
        self
    }

    /// The absent entry that carries this ticket, or `None` if entries have no
    /// room for one. Then one question stands for all entries: is *any* range
    /// of the address space running? That is coarser and just as safe.
    ///
    /// The answer must always be `Some` or always be `None`.
    fn tombstone(ticket: Ticket) -> Option<Self>;

    /// The ticket of a tombstone; `None` for everything else.
    fn ticket(self) -> Option<Ticket>;
}

/// A page table whose lock was taken.
#[derive(Debug)]
pub struct Locked<L, T> {
    /// The lock; released when dropped.
    pub ptl: L,
    /// A handle on the table's entries, good while the lock is held.
    pub table: T,
    /// The addresses that the table's entries map.
    pub span: VirtRange,
}

/// The platform: page tables, their locks, pages, and the CPU TLBs.
///
/// # Safety
///
/// An implementation promises:
///
/// - **INV-OWNED**: a present entry owns exactly one reference to its page.
///   [`make_entry`](Self::make_entry) moves it in, [`take_page`](Self::take_page)
///   moves it out; nothing else creates or destroys one. Dropping a
///   [`Page`](Self::Page) is what may free it.
/// - **INV-PTL**: while the lock from [`lock_ptl`](Self::lock_ptl) is held,
///   nobody else changes an entry of that table, except that hardware may set
///   accessed and dirty bits of present entries.
/// - **INV-FLUSHED**: when [`wait_flush`](Self::wait_flush) returns, no CPU
///   uses a translation of the range that was taken before
///   [`begin_flush`](Self::begin_flush), and every access through one has been
///   performed. `begin_flush` is a full barrier.
/// - **INV-SAME**: [`same_content`](Self::same_content) is true only if both
///   pages hold the same bytes and nobody can write to the second while an
///   entry refers to it. That includes
///   [`make_writable`](crate::PresentView::make_writable): an entry of such a
///   page is left as it is by [`made_writable`](PageTableEntry::made_writable),
///   or nobody is in a position to ask for it.
/// - **INV-KEPT**: [`Deferred`](Self::Deferred) lets go of a page only by
///   [`drain`](DeferPages::drain), by giving it back from
///   [`push`](DeferPages::push), or when it is dropped itself.
/// - The functions of [`PageTableEntry`] do what they say, and the
///   [`Flushing`](Self::Flushing) token is not needed for a flush to happen.
///
/// None of the functions may panic, except where noted.
pub unsafe trait Platform: Sync + Sized {
    /// Whether notification is a step of its own or part of the CPU flush.
    const PROFILE: Profile = Profile::V6_1;

    /// One reference to a page: a frame, a folio, or a page-table page. Owned:
    /// a `Copy` frame number proves nothing.
    ///
    /// `Send`: whoever clears an entry takes out what another thread put in.
    type Page: Send;
    /// What an entry says beside its page: rights and software bits.
    type Attr: Copy;
    /// One entry.
    type Entry: PageTableEntry;
    /// A handle on the entries of one table.
    type Table: Copy;
    /// A held page table lock. It may be of any kind, also one that sleeps.
    type Ptl<'a>
    where
        Self: 'a;
    /// A flush of the CPU TLBs that has begun.
    type Flushing;
    /// Where pages wait for the end of the range.
    type Deferred: DeferPages<Self::Page>;
    /// A handle on a hardware-walking TLB: `&'static Iommu`,
    /// `Arc<dyn SecondaryTlb>`, [`Nobody`](crate::Nobody).
    type Tlb: SecondaryTlb;
    /// A handle on a software mirror.
    type Notifier: Notifier;
    /// The fence of the subscriber list.
    type Fence: AsymmetricFence;

    /// Names the address space in records.
    fn id(&self) -> MmId {
        MmId(0)
    }

    /// Takes the lock of the table whose entries of this size map `addr`.
    ///
    /// # Errors
    ///
    /// [`PtlError::NoTable`] if there is none.
    fn lock_ptl(
        &self,
        addr: VirtAddr,
        size: PageSize,
    ) -> Result<Locked<Self::Ptl<'_>, Self::Table>, PtlError>;

    /// Where the lock of that table stands in the order of locks; equal numbers
    /// are the same lock. `None` if there is no table.
    fn ptl_order(&self, addr: VirtAddr, size: PageSize) -> Option<usize>;

    /// The table of `addr`, whose lock is held already as that of another address.
    ///
    /// # Errors
    ///
    /// [`PtlError::NoTable`] if there is none.
    ///
    /// # Safety
    ///
    /// `held` is the lock that [`ptl_order`](Self::ptl_order) names for `addr`.
    unsafe fn table_under(
        &self,
        held: &Self::Ptl<'_>,
        addr: VirtAddr,
        size: PageSize,
    ) -> Result<(Self::Table, VirtRange), PtlError>;

    /// Reads an entry.
    ///
    /// # Safety
    ///
    /// The table's lock is held, and `index` is less than the number of entries.
    unsafe fn load(&self, table: Self::Table, index: usize) -> Self::Entry;

    /// Stores an entry and returns the previous one, in one step: accessed and
    /// dirty bits that hardware sets are in what comes back or are not set.
    ///
    /// # Safety
    ///
    /// As for [`load`](Self::load).
    unsafe fn exchange(&self, table: Self::Table, index: usize, new: Self::Entry) -> Self::Entry;

    /// Stores an entry if the current one is `current`; otherwise returns it.
    ///
    /// # Errors
    ///
    /// The current entry, if it is another one.
    ///
    /// # Safety
    ///
    /// As for [`load`](Self::load).
    unsafe fn compare_exchange(
        &self,
        table: Self::Table,
        index: usize,
        current: Self::Entry,
        new: Self::Entry,
    ) -> Result<(), Self::Entry>;

    /// Moves the reference into an entry.
    fn make_entry(&self, page: Self::Page, attr: Self::Attr, size: PageSize) -> Self::Entry;

    /// Moves the reference out of an entry.
    ///
    /// Must do nothing but make the value: it also serves to lend the page
    /// behind an entry that stays (the value is then not dropped).
    ///
    /// # Safety
    ///
    /// INV-OWNED: the entry is present, came out of a table of entries of this
    /// size, and of the values made from it one at most is used as an owner.
    unsafe fn take_page(&self, entry: Self::Entry, size: PageSize) -> Self::Page;

    /// The number of the first frame behind a present entry, for records.
    fn pfn(&self, entry: Self::Entry) -> u64 {
        let _ = entry;
        0
    }

    /// Whether both pages hold the same bytes and the second cannot be written.
    fn same_content(&self, old: &Self::Page, new: &Self::Page) -> bool {
        let _ = (old, new);
        false
    }

    /// Begins to flush the CPU TLBs. Must not require that the caller can be
    /// interrupted: two CPUs that flush must not wait for each other.
    fn begin_flush(&self, range: VirtRange, size: PageSize) -> Self::Flushing;

    /// Waits until the flush is complete on every CPU.
    fn wait_flush(&self, flushing: Self::Flushing);

    /// Is told each step, for monitors and traces. Compiles to nothing unless
    /// implemented. It must not rely on the caller's locks being free.
    #[inline]
    fn observe(&self, step: RecordKind) {
        let _ = step;
    }
}
