//! Steps: what one thread does at once, and others can see.

use shootdown_litmus::primitives::{Fence, LifeOp, LockClass, LockOp, Order, RmwOp, RmwResult};

use crate::expr::{Expr, Reg};

/// What an access does with the word that it reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads it.
    Load(Order),
    /// Writes a value; with [`Order::Full`] a full barrier follows.
    Store(Order, Expr),
    /// Changes it in one step.
    Rmw(RmwOp, Expr, RmwResult, Order),
    /// Stores a value and gives the old one.
    Exchange(Expr, Order),
    /// Stores the second value if the first is there; gives what was there.
    CompareExchange(Expr, Expr, Order),
    /// Adds the first unless the second is there; gives whether it did.
    AddUnless(Expr, Expr),
}

impl Access {
    /// Whether it needs the right to write.
    pub fn writes(&self) -> bool {
        !matches!(self, Access::Load(_))
    }

    /// Whether it is one step that reads and writes.
    pub fn is_atomic(&self) -> bool {
        !matches!(self, Access::Load(_) | Access::Store(..))
    }
}

/// An entry of one of the two tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryAt {
    /// A `pte_t *`.
    Lower(Expr),
    /// A `pmd_t *`.
    Upper(Expr),
    /// The entry of a software TLB for an address.
    Soft(usize, Expr),
}

impl EntryAt {
    /// The pointer, or the address that stands for it.
    pub fn pointer(&self) -> &Expr {
        match self {
            EntryAt::Lower(pointer) | EntryAt::Upper(pointer) | EntryAt::Soft(_, pointer) => {
                pointer
            }
        }
    }
}

/// The addresses from the first up to, and not with, the second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first address.
    pub start: Expr,
    /// The first address after it.
    pub end: Expr,
}

/// The lock that is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockAt {
    /// A pointer to a lock.
    Pointer(Expr),
    /// The `mmap_lock` of an address space.
    Mmap(usize),
    /// The lock of a page.
    Page(Expr),
    /// The lock of a page's reverse map.
    Rmap(Expr),
}

/// One step. `into` is where its result is kept, if somebody wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "fields are named as in the primitives")]
pub enum Op {
    /// An access to a word, or through a translation: the pointer says which.
    /// What is translated may fault.
    Access {
        into: Option<Reg>,
        pointer: Expr,
        index: Expr,
        access: Access,
    },
    /// Orders the thread's accesses.
    Fence(Fence),
    /// Takes or drops a lock.
    Lock {
        into: Option<Reg>,
        lock: LockAt,
        class: LockClass,
        op: LockOp,
    },

    /// A section of readers begins; gives 0.
    Enter {
        into: Option<Reg>,
        readers: usize,
    },
    /// It ends.
    Leave {
        readers: usize,
    },
    /// Notes who is inside now; with a space only threads of that.
    GraceStart {
        readers: usize,
        space: Option<usize>,
    },
    /// Goes on when each of them has left once.
    GraceWait {
        readers: usize,
    },

    /// An object is made, freed, or has to be there.
    Life {
        object: Expr,
        op: LifeOp,
    },

    /// Gives a frame that nobody has.
    Alloc {
        into: Option<Reg>,
        site: usize,
        zeroed: bool,
    },
    GetPage {
        page: Expr,
    },
    /// The last reference frees.
    PutPage {
        page: Expr,
    },
    CopyPage {
        to: Expr,
        from: Expr,
    },
    ClearPage {
        page: Expr,
    },
    SamePages {
        into: Option<Reg>,
        left: Expr,
        right: Expr,
    },
    PageWrite {
        page: Expr,
        index: Expr,
        value: Expr,
    },
    PageRead {
        into: Option<Reg>,
        page: Expr,
        index: Expr,
    },
    PageCount {
        into: Option<Reg>,
        page: Expr,
    },
    /// Whether the contents are newer than what is kept elsewhere: marks, and
    /// what becomes of the contents.
    Dirty {
        into: Option<Reg>,
        page: Expr,
        act: DirtyAct,
    },
    /// The first page takes the second's place, with mark and debt.
    MoveMarks {
        to: Expr,
        from: Expr,
    },
    /// Drops a pin; its reference is dropped by a step of its own.
    Unpin {
        page: Expr,
    },
    /// Whether somebody has pinned the page.
    Pinned {
        into: Option<Reg>,
        page: Expr,
    },

    /// Finds the lower entry of an address. With `lock` its lock is taken in
    /// the same step, and kept in the register.
    MapEntry {
        into: Option<Reg>,
        address: Expr,
        space: usize,
        lock: Option<Option<Reg>>,
    },
    /// The lower entry of an address in a table that need not be hooked in.
    EntryOfTable {
        into: Option<Reg>,
        table: Expr,
        address: Expr,
    },
    /// The lock of the table that an entry is in; with `take` it is taken.
    EntryLock {
        into: Option<Reg>,
        entry: EntryAt,
        take: bool,
    },
    ReadEntry {
        into: Option<Reg>,
        entry: EntryAt,
    },
    /// Gives the old value.
    ClearEntry {
        into: Option<Reg>,
        entry: EntryAt,
    },
    SetEntry {
        entry: EntryAt,
        value: Expr,
    },
    WriteProtectEntry {
        entry: EntryAt,
    },
    /// Takes flags away and adds others in one step; gives whether one of the
    /// first was there.
    Flags {
        into: Option<Reg>,
        entry: EntryAt,
        clears: i64,
        sets: i64,
    },
    /// Writes in one step, if the expected value is there or none is expected;
    /// gives the old value.
    ExchangeEntry {
        into: Option<Reg>,
        entry: EntryAt,
        expected: Option<Expr>,
        value: Expr,
    },
    /// Adds rights, dirty and young; gives whether something changed.
    SetAccessFlags {
        into: Option<Reg>,
        entry: EntryAt,
        value: Expr,
    },
    /// The upper entry leads to a table.
    Populate {
        entry: Expr,
        table: Expr,
    },
    AllocTable {
        into: Option<Reg>,
        site: usize,
    },
    FreeTable {
        table: Expr,
    },

    /// Flushes the CPU TLBs of an address space; `local` only this CPU's.
    FlushCpu {
        space: usize,
        range: Option<Range>,
        local: bool,
    },
    /// A range is open: between `range_start` and `range_end`.
    RangeOpen {
        space: usize,
    },
    RangeClose {
        space: usize,
    },
    /// Invalidates one cache, or `count` of them: a TLB has one for each tag.
    /// With `tag` the one of that tag.
    /// With `leaf` the cache keeps how it came to the entries.
    Post {
        queue: usize,
        cache: usize,
        count: usize,
        tag: Option<Expr>,
        range: Range,
        leaf: bool,
    },
    /// A descriptor that writes a word when the queue comes to it.
    PostWrite {
        queue: usize,
        word: usize,
        value: Expr,
    },
    Sync {
        queue: usize,
    },
    SoftInstall {
        soft: usize,
        address: Expr,
        page: Expr,
        rights: Expr,
    },
    SoftZap {
        soft: usize,
        range: Range,
    },
    /// At once, and waited for; the caches as in [`Op::Post`].
    FlushCache {
        cache: usize,
        count: usize,
        tag: Option<Expr>,
        range: Option<Range>,
        leaf: bool,
    },
    /// A context walks another root from now on, or none. With `flush` the
    /// entries of the new tag go.
    LoadRoot {
        context: usize,
        space: Option<usize>,
        tag: Expr,
        flush: bool,
    },
    /// Nobody uses what a context has loaded, or somebody does again.
    Lazy {
        context: usize,
        lazy: bool,
    },
    /// Flushes entries of the tag that a context has now.
    FlushContext {
        context: usize,
        range: Option<Range>,
    },
    /// Memory has what the CPU's cache has.
    WriteBack {
        entry: EntryAt,
    },

    GatherStart,
    GatherPage {
        page: Expr,
    },
    /// Flushes what was cleared since the gather began, and gives its range.
    GatherFlush {
        space: usize,
        start: Option<Reg>,
        end: Option<Reg>,
    },
    /// Frees what was gathered.
    GatherFree,

    /// The page behind an address, with a reference; faults if it has to: with
    /// `write` until it is writable.
    PageBehind {
        into: Option<Reg>,
        address: Expr,
        space: usize,
        write: bool,
        pins: bool,
    },
    /// Goes on if the table grants the access, and faults otherwise.
    Probe {
        address: Expr,
        space: usize,
        write: bool,
    },
    /// A fault begins: reads the entry. If the table grants the access now
    /// there is nothing to handle, and the access is tried again.
    /// With `again` it is an access of hardware that is tried again, and not what
    /// software looks up or faults in for itself.
    EnterFault {
        address: Expr,
        space: usize,
        write: bool,
        again: bool,
        value: Option<Reg>,
    },
    /// What faults at an address may grant from now on.
    SetRights {
        space: usize,
        address: Expr,
        rights: Expr,
    },
    /// What faults at an address may grant.
    AskRights {
        into: Option<Reg>,
        space: usize,
        address: Expr,
    },
    /// The child's entries: those of the parent, write-protected. With an
    /// address only that one.
    ForkEntries {
        from: usize,
        to: usize,
        address: Option<Expr>,
    },
    /// The child's entry is the value, and its rights those of the parent.
    SetChildEntry {
        from: usize,
        to: usize,
        address: Expr,
        value: Expr,
    },
    /// Gives any number below this.
    Choose {
        into: Option<Reg>,
        ways: u32,
    },
    /// Threads of the address space begin.
    Born {
        space: usize,
    },

    /// A function with a contract begins.
    Begin {
        contract: usize,
        arguments: Vec<Expr>,
    },
    /// One page of the contract's range takes effect; only ideal memory has
    /// this step.
    Moment {
        contract: usize,
    },
    /// A function with a contract returns.
    Return {
        contract: usize,
    },
    /// It is an error if it holds.
    Warn {
        condition: Expr,
    },
    /// The thread ends here because of this.
    Fail(Failure),
}

/// What is done about a page's dirtiness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DirtyAct {
    /// The page is marked.
    Mark,
    /// The mark is taken; gives whether it was there.
    Unmark,
    /// Gives whether it is marked.
    Ask,
    /// The contents go where they are kept.
    WriteOut,
    /// What the page holds now may be lost; with `true` what comes too.
    GiveUp(bool),
}

/// Why a thread ends before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// An access was not allowed, and its handler refused or there is none.
    Fault,
    /// A fault inside of the handler of such faults.
    NestedFault,
}
