//! The primitives: what a test can call without defining it. They are data;
//! a new one is a row, and its meaning is its [`Action`].

mod context;
mod lkmm;
mod mm;
mod objects;
mod reclaim;
mod user;
mod wanted;

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

pub use reclaim::{Section, gfp};
pub use wanted::Wanted;

use crate::types::Type;

/// One row of the table.
#[derive(PartialEq, Eq)]
pub struct Primitive {
    /// The name in C.
    pub name: &'static str,
    /// The argument lists it may have; no two are of the same length.
    pub forms: &'static [&'static [Kind]],
    /// What it gives.
    pub result: Gives,
    /// What it does.
    pub action: Action,
    /// What others want to know without knowing the action.
    pub tags: &'static [Tag],
    /// One line of help.
    pub help: &'static str,
}

impl fmt::Debug for Primitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Primitive {
    /// Whether it has this tag.
    pub fn has(&self, tag: Tag) -> bool {
        self.tags.contains(&tag)
    }

    /// Why the checker cannot answer for it, if so.
    pub fn not_covered(&self) -> Option<&'static str> {
        match self.action {
            Action::NotCovered(why) => Some(why),
            _ => None,
        }
    }
}

/// What an argument has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The place itself, as in `READ_ONCE(*x)`.
    Place,
    /// A pointer to the place, as in `smp_load_acquire(x)`.
    Pointer,
    /// A number, or whatever the place of the same call holds.
    Value,
    /// A number.
    Number,
    /// A virtual address.
    Address,
    /// One virtual address (its page), or a record with `start` and `end`.
    Range,
    /// `pte_t`.
    Pte,
    /// `pte_t *`.
    PtePtr,
    /// `pmd_t`.
    Pmd,
    /// `pmd_t *`.
    PmdPtr,
    /// `struct page *`.
    Page,
    /// What an entry grants.
    Rights,
    /// A lock.
    Lock,
    /// `&ptl`: a variable that gets a lock.
    LockOut,
    /// `struct mm_struct *`.
    Space,
    /// An invalidation queue.
    Queue,
    /// An IOTLB.
    Iotlb,
    /// An ATC.
    Atc,
    /// Any translation cache.
    Tlb,
    /// A software TLB.
    SoftTlb,
    /// A root register with its tag. (`Context` is something else.)
    RootRegister,
    /// A shared record, `&s`.
    Record,
    /// Anything; it is computed and then forgotten (the `vma` of a kernel
    /// call whose address says enough).
    Context,
    /// Something to test.
    Truth,
}

impl Kind {
    /// The type it asks for, where it asks for one.
    pub(crate) fn ty(self) -> Type {
        use crate::types::TlbKind;
        match self {
            Kind::Number => Type::Int,
            Kind::Address | Kind::Range => Type::VirtAddr,
            Kind::Pte => Type::Pte,
            Kind::PtePtr => Type::PtePtr,
            Kind::Pmd => Type::Pmd,
            Kind::PmdPtr => Type::PmdPtr,
            Kind::Page => Type::Page,
            Kind::Rights => Type::Rights,
            Kind::Lock | Kind::LockOut => Type::Lock,
            Kind::Space => Type::Space,
            Kind::Queue => Type::Queue,
            Kind::Iotlb => Type::Tlb(TlbKind::Iotlb),
            Kind::Atc => Type::Tlb(TlbKind::Atc),
            Kind::Tlb => Type::Tlb(TlbKind::Tlb),
            Kind::SoftTlb => Type::SoftTlb,
            Kind::RootRegister => Type::Context,
            Kind::Place
            | Kind::Pointer
            | Kind::Value
            | Kind::Record
            | Kind::Context
            | Kind::Truth => Type::Any,
        }
    }

    /// As messages name it.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Kind::Place => "a place such as `*x`",
            Kind::Pointer => "a pointer such as `x` or `&x`",
            Kind::Value | Kind::Context => "a value",
            Kind::Range => "a virtual address or a range",
            Kind::LockOut => "the address of a lock variable, `&ptl`",
            Kind::Tlb => "an iotlb, atc or tlb",
            Kind::Truth => "a condition",
            Kind::Record => "the address of a record, `&s`",
            other => other.ty().describe(),
        }
    }
}

/// What a primitive gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Gives {
    /// Nothing.
    Nothing,
    /// What the place among its arguments holds.
    OfPlace,
    /// The value of its argument.
    OfArgument,
    /// Always this.
    One(Type),
}

/// What others ask of a primitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tag {
    /// Reads memory that is shared.
    Load,
    /// Writes memory that is shared.
    Store,
    /// Later accesses stay later.
    Acquire,
    /// Earlier accesses stay earlier.
    Release,
    /// A full barrier.
    Full,
    /// Takes a lock.
    Locks,
    /// Drops a lock.
    Unlocks,
    /// Must not be called under a page table lock.
    Sleeps,
    /// Changes a page table.
    Table,
    /// Tells the secondary TLBs.
    Notifies,
    /// Flushes a TLB.
    Flushes,
    /// May hand a page to somebody else.
    Frees,
    /// Takes a page from the allocator.
    Allocates,
    /// Waits for hardware or for others.
    Waits,
    /// Computes only: no step of its own.
    Pure,
    /// Turns interrupts off with the lock that it takes, or on again with the
    /// one that it drops.
    Interrupts,
}

/// The order of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// Marked, not ordered.
    Once,
    /// `_acquire`.
    Acquire,
    /// `_release`.
    Release,
    /// Fully ordered.
    Full,
}

/// What an atomic operation does to the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named as in C")]
pub enum RmwOp {
    Add,
    Subtract,
    And,
    Or,
    Xor,
    AndNot,
}

/// What an atomic operation gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RmwResult {
    /// Nothing.
    Nothing,
    /// The word before.
    Old,
    /// The word after.
    New,
    /// Whether the word is zero now.
    IsZero,
    /// Whether the word is negative now.
    IsNegative,
}

/// Barriers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fence {
    /// `smp_mb` and those that are as strong.
    Full,
    /// `smp_rmb`.
    Read,
    /// `smp_wmb`.
    Write,
    /// `barrier`: for the compiler only.
    Compiler,
}

/// Which table an entry is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// The lowest.
    Pte,
    /// The one above; an entry points to a table or maps a huge page.
    Pmd,
}

/// Locks that are not words of the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockClass {
    /// A `spinlock_t` given as argument.
    Spin,
    /// A mutex given as argument.
    Mutex,
    /// The address space's `mmap_lock`.
    Mmap,
    /// The lock of a page.
    Page,
    /// The lock of the reverse map of a page.
    Rmap,
}

/// What is done to a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named as in the kernel")]
pub enum LockOp {
    Lock,
    Unlock,
    TryLock,
    IsLocked,
    ReadLock,
    ReadUnlock,
    ReadTryLock,
    Downgrade,
}

/// Who is waited for: readers of one sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Readers {
    /// Sections of `rcu_read_lock`; who has interrupts off is inside as well.
    Rcu,
    /// Sections of the `srcu_struct` given as argument; they may sleep.
    Srcu,
    /// Processors that have interrupts off: an interrupt that is sent to all
    /// of them waits.
    Interrupts,
}

/// What is done about readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReaderOp {
    /// A section begins.
    Enter,
    /// It ends.
    Leave,
    /// Waits until every section that has begun has ended.
    Synchronize,
}

/// What becomes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LifeOp {
    /// It exists from now on, full of zeroes.
    Make,
    /// It is gone.
    Free,
    /// It is used: it has to exist.
    Use,
}

/// What is done to the list of an address space's subscribers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named as the calls are")]
pub enum ListOp {
    Unhashed,
    Add,
    Delete,
    DeleteAll,
    Empty,
    /// Calls `.release` of one.
    Release,
    /// Calls `.release` of each that is on the list.
    ReleaseAll,
}

/// A new value from an old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named as in the kernel")]
pub enum EntryChange {
    WriteProtect,
    MakeWritable,
    MakeClean,
    MakeDirty,
    MakeOld,
    MakeYoung,
    /// Software still has it, hardware does not.
    MakeInvalid,
    MakeValid,
}

/// What one asks of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named as in the kernel")]
pub enum EntryQuestion {
    None,
    Present,
    Write,
    Dirty,
    Young,
    Huge,
    Valid,
}

/// A mark that hardware or software sets when a page is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named as in the kernel")]
pub enum UseMark {
    Dirty,
    Young,
}

/// What a CPU flush covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named as in the kernel")]
pub enum FlushScope {
    Page,
    Range,
    Mm,
    /// This processor only.
    LocalPage,
}

/// The calls of `mmu_notifier.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Notify {
    /// `range_start`.
    Start,
    /// `range_start` where nobody may sleep; a subscriber may refuse.
    TryStart,
    /// `range_end`; until 6.5 it tells the secondary TLBs as well.
    End,
    /// `range_only_end`.
    OnlyEnd,
    /// `invalidate_range` or `arch_invalidate_secondary_tlbs`.
    Range,
    /// `release`: the address space ends.
    Release,
}

/// What a program asks its kernel for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named as the calls are")]
pub enum UserCall {
    Mmap,
    Munmap,
    Mprotect,
    Mremap,
    Madvise,
    Fork,
    Exit,
}

/// What a primitive does. Its arguments come as the form lists them, without
/// [`Kind::Context`], and with the place first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// `[place]`.
    Load(Order),
    /// `[place, value]`; the full order is a store and then a full barrier.
    Store(Order),
    /// `[place, value]`, or `[place]` with 1 as the value.
    Rmw(RmwOp, RmwResult, Order),
    /// `[place, value]`: gives the old word.
    Exchange(Order),
    /// `[place, old, new]`: gives the old word; not ordered if it fails.
    CompareExchange(Order),
    /// `[place, value, unless]`: gives whether it added.
    AddUnless,
    /// `[]`.
    Fence(Fence),
    /// `[lock]`, `[space]`, `[page]` by class.
    Lock(LockClass, LockOp),
    /// `[]`, or `[lock]` for SRCU: gives 0.
    Reader(Readers, ReaderOp),
    /// `[]`, or `[gfp]` for reclaim: gives 0. Synchronizing is waiting for who
    /// is inside.
    Section(Section, ReaderOp),
    /// `[place]`: stores 1.
    FenceSignal,
    /// `[place]`: waits until it is not 0.
    FenceWait,
    /// `[]`.
    MightSleep,
    /// `[record]`, and with flags `[record, gfp]`.
    Life(LifeOp),
    /// `[record]`, or `[space]` for all.
    List(ListOp),
    /// `[]` or `[gfp]`: gives a page that nobody has. With `true` its words are zero.
    AllocPage(bool),
    /// `[page]`.
    GetPage,
    /// `[page]`: drops a reference; the last one frees.
    PutPage,
    /// `[to, from]`.
    CopyPage,
    /// `[page]`: fills it with zeroes.
    ClearPage,
    /// `[page, page]`: gives whether the words are the same.
    SamePages,
    /// `[page, index, value]`.
    PageWrite,
    /// `[page, index]`.
    PageRead,
    /// `[page]`: gives how many references there are.
    PageCount,
    /// `[page]`: the page is marked as dirty.
    MarkDirty,
    /// `[page]`: takes the mark away; gives whether it was there.
    UnmarkDirty,
    /// `[page]`: gives whether the page is marked.
    IsMarked,
    /// `[page]`: the contents go where they are kept.
    WriteOut,
    /// `[page]`: what the page holds now may be lost.
    GiveUp {
        /// And so may what is written later; the mark goes too.
        for_good: bool,
    },
    /// `[to, from]`: the first takes the second's place, with mark and debt.
    MoveMarks,
    /// `[address]`: gives the place of its page among all pages.
    PageIndex,
    /// `[page]`: drops a pin and its reference.
    Unpin,
    /// `[page]`: gives whether somebody has pinned it.
    Pinned,
    /// `[address]`: gives the entry. With a lock out it is locked.
    MapEntry(Level),
    /// `[entry]`: gives the lock of the table that the entry is in.
    EntryLock(Level),
    /// `[entry, lock]`.
    UnmapUnlock(Level),
    /// `[entry]`.
    ReadEntry(Level),
    /// `[entry]`, or `[address, entry]`: gives the old value.
    ClearEntry {
        /// Which table.
        level: Level,
        /// The CPU TLBs are flushed.
        flush: bool,
        /// And the secondary TLBs told, as `_notify` says.
        notify: bool,
    },
    /// `[entry, value]`. With `true` the KVM callback `change_pte` runs first.
    SetEntry(Level, bool),
    /// `[entry]`: takes the write permission away, in one step.
    WriteProtectEntry(Level),
    /// `[entry, value]` or `[entry, value, dirty]`: rights are added.
    SetAccessFlags(Level),
    /// `[entry]`: takes a mark away in one step; gives whether it was there.
    TestAndClear(Level, UseMark),
    /// `[entry, value]`: writes in one step; gives the old value.
    ExchangeEntry(Level),
    /// `[entry, page]`: the upper entry points to a table.
    Populate,
    /// `[page, rights]`: gives a value.
    MakeEntry(Level),
    /// `[]`: gives the value of an absent entry.
    EmptyEntry(Level),
    /// `[value]`: gives a value.
    ChangeEntry(Level, EntryChange),
    /// `[value]`: gives 0 or 1.
    AskEntry(Level, EntryQuestion),
    /// `[value, value]`.
    SameEntry(Level),
    /// `[value]`: gives the page behind it.
    EntryPage(Level),
    /// `[]`: gives a page for a table; its entries are absent.
    AllocTable,
    /// `[page]`: gives the table's page back.
    FreeTable,
    /// `[range]` or `[]`.
    Flush(FlushScope),
    /// `[range]`.
    Notify(Notify),
    /// `[queue, tlb, range]`: posts an invalidation; with `true` of leaf
    /// entries only.
    Post(bool),
    /// `[place, queue, value]`: posts a write of a word.
    PostWrite,
    /// `[queue]`: waits until all that was posted is done.
    Sync,
    /// `[swtlb, address, page]` or `[swtlb, address, page, rights]`.
    SoftInstall,
    /// `[swtlb, range]`.
    SoftZap,
    /// `[swtlb, address]`: gives the entry's value.
    SoftRead,
    /// `[swtlb, address, value]`.
    SoftSet,
    /// `[swtlb, address]`: hardware sees the entry no more, software still does.
    SoftHide,
    /// `[swtlb, address, value]`: in one step; gives the old value.
    SoftExchange,
    /// `[tlb, range]` or `[tlb]`: at once, and waited for; with `true` of leaf
    /// entries only.
    FlushTlb(bool),
    /// `[context, space]` or `[context, space, tag]`: what the context walks
    /// from now on. With `flush` the entries of the tag go.
    LoadRoot {
        /// The entries of the tag go.
        flush: bool,
    },
    /// `[context]`: nothing is loaded.
    ClearRoot,
    /// `[context]`: what is loaded stays loaded, and nobody uses it from now
    /// on; or somebody does again.
    Lazy(bool),
    /// `[tlb, tag]` or `[tlb, tag, range]`: at once, and waited for.
    FlushTag,
    /// `[context]` or `[context, range]`: the entries of its tag, at once.
    FlushContext,
    /// `[queue, tlb, tag]` or `[queue, tlb, tag, range]`.
    PostTag,
    /// `[entry]`: memory has what the CPU's cache has.
    WriteBack(Level),
    /// `[]`: gives a gather.
    GatherStart,
    /// `[page]`: freed when the gather is flushed.
    GatherPage,
    /// `[]`: flushes, and with `true` frees.
    GatherFlush(bool),
    /// `[address]`: gives the page behind an address, with a reference; faults
    /// if it has to.
    PageBehind(Wanted),
    /// `[address]`: an access that faults if it has to.
    FaultIn(Write),
    /// `[address, rights]`: what faults may grant there from now on.
    SetRights,
    /// `[address]`: what faults may grant there.
    AskRights,
    /// `[space]` or `[space, address]`: the child's entries are the parent's,
    /// write-protected.
    ForkEntry,
    /// `[space, address, value]`: the child's entry is the value.
    SetChildEntry,
    /// `[page, address]`: gives the entry in a table that need not be hooked
    /// in.
    TableEntry,
    /// See the call.
    User(UserCall),
    /// `[number]`: gives any number below it.
    Choose,
    /// `[]`: gives the first address; with `true` the one after the last.
    Bound(bool),
    /// `[truth]`: it is an error if it holds.
    Warn,
    /// `[value]`: gives it.
    Same,
    /// Nothing at all.
    Nothing,
    /// Known, and beyond what the checker answers for; says why.
    NotCovered(&'static str),
}

/// Whether an access writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "it is the question")]
pub enum Write {
    No,
    Yes,
}

/// All rows, by family.
pub fn primitives() -> impl Iterator<Item = &'static Primitive> {
    lkmm::ROWS
        .iter()
        .copied()
        .flatten()
        .chain(mm::ROWS)
        .chain(&objects::ROWS)
        .chain(&reclaim::ROWS)
        .chain(context::ROWS)
        .chain(user::ROWS)
}

/// The row of a name.
///
/// ```
/// use shootdown_litmus::primitives::{Action, Order, primitive};
///
/// let load = primitive("smp_load_acquire").expect("a row of the table");
/// assert_eq!(load.action, Action::Load(Order::Acquire));
/// ```
pub fn primitive(name: &str) -> Option<&'static Primitive> {
    static BY_NAME: LazyLock<HashMap<&'static str, &'static Primitive>> =
        LazyLock::new(|| primitives().map(|row| (row.name, row)).collect());
    BY_NAME.get(name).copied()
}

const fn row(
    name: &'static str,
    forms: &'static [&'static [Kind]],
    result: Gives,
    action: Action,
    tags: &'static [Tag],
    help: &'static str,
) -> Primitive {
    Primitive { name, forms, result, action, tags, help }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_forms_differ_in_length() {
        let mut seen = std::collections::HashSet::new();
        for row in primitives() {
            assert!(seen.insert(row.name), "{} has two rows", row.name);
            let mut lengths: Vec<usize> = row.forms.iter().map(|form| form.len()).collect();
            lengths.sort_unstable();
            lengths.dedup();
            assert_eq!(lengths.len(), row.forms.len(), "{}", row.name);
            assert!(!row.help.is_empty() && !row.help.ends_with('.'), "{}", row.name);
        }
    }
}
