//! The primitives of waiting for memory and for fences: what may wait, and what
//! runs while somebody waits. Names and meaning are those of Linux v6.12
//! (`include/linux/sched/mm.h`, `include/linux/gfp_types.h`, `mm/page_alloc.c`,
//! `drivers/dma-buf/dma-fence.c`).

use super::Kind::{Context, Number, Pointer};
use super::row;
use super::{Action, Gives, Kind, Primitive, ReaderOp, Tag};
use crate::types::Type;

/// What an allocation may wait for: bits of its flags.
pub mod gfp {
    /// It may give back memory of others, and waits for that.
    pub const DIRECT_RECLAIM: i64 = 1;
    /// Devices.
    pub const IO: i64 = 2;
    /// File systems, and whatever else registers a shrinker that looks for it.
    pub const FS: i64 = 4;
    /// `GFP_KERNEL`, and what is meant without flags.
    pub const KERNEL: i64 = DIRECT_RECLAIM | IO | FS;
}

/// Where a thread is, for the order of locks. No machine takes these steps but
/// those of interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Section {
    /// It runs for somebody who waits for memory.
    Reclaim,
    /// Its allocations do not wait for file systems.
    NoFs,
    /// Its allocations wait for nothing.
    NoReclaim,
    /// Somebody may wait for what it is about to signal.
    Signalling,
    /// It is the handler of an interrupt, and has interrupts off.
    Interrupt,
}

const VOID: Gives = Gives::Nothing;
const INT: Gives = Gives::One(Type::Int);
const NONE: &[&[Kind]] = &[&[]];
const GFP: &[&[Kind]] = &[&[Number]];
const KEPT: &[&[Kind]] = &[&[], &[Context]];

const fn enter(section: Section) -> Action {
    Action::Section(section, ReaderOp::Enter)
}

const fn leave(section: Section) -> Action {
    Action::Section(section, ReaderOp::Leave)
}

const fn wait(section: Section) -> Action {
    Action::Section(section, ReaderOp::Synchronize)
}

#[rustfmt::skip]
pub(super) static ROWS: [Primitive; 18] = [
    row("might_alloc", GFP, VOID, wait(Section::Reclaim), &[Tag::Allocates, Tag::Sleeps], "may wait for memory, as these flags allow"),
    row("fs_reclaim_acquire", GFP, VOID, enter(Section::Reclaim), &[], "from here on this runs for somebody who waits for memory with these flags: a shrinker, the reverse map's walk"),
    row("fs_reclaim_release", GFP, VOID, leave(Section::Reclaim), &[], "until here"),
    row("memalloc_nofs_save", NONE, INT, enter(Section::NoFs), &[], "from here on allocations are GFP_NOFS"),
    row("memalloc_nofs_restore", &[&[Context]], VOID, leave(Section::NoFs), &[], "until here"),
    row("memalloc_noio_save", NONE, INT, enter(Section::NoFs), &[], "from here on allocations are GFP_NOIO; for the lock order that is GFP_NOFS"),
    row("memalloc_noio_restore", &[&[Context]], VOID, leave(Section::NoFs), &[], "until here"),
    row("memalloc_noreclaim_save", NONE, INT, enter(Section::NoReclaim), &[], "from here on allocations wait for nothing (PF_MEMALLOC)"),
    row("memalloc_noreclaim_restore", &[&[Context]], VOID, leave(Section::NoReclaim), &[], "until here"),
    row("dma_fence_begin_signalling", NONE, INT, enter(Section::Signalling), &[], "from here on somebody may wait for a fence that is signalled behind it"),
    row("dma_fence_end_signalling", KEPT, VOID, leave(Section::Signalling), &[], "until here"),
    row("dma_fence_signal", &[&[Pointer]], VOID, Action::FenceSignal, &[Tag::Store, Tag::Release], "stores 1: the fence is signalled"),
    row("dma_fence_wait", &[&[Pointer], &[Pointer, Context]], VOID, Action::FenceWait, &[Tag::Load, Tag::Acquire, Tag::Sleeps, Tag::Waits], "waits until the word is not 0"),
    row("__dma_fence_might_wait", NONE, VOID, wait(Section::Signalling), &[], "says that this may wait for a fence"),
    row("irq_enter", NONE, VOID, enter(Section::Interrupt), &[], "from here on this is the handler of an interrupt, with interrupts off"),
    row("irq_exit", NONE, VOID, leave(Section::Interrupt), &[], "until here"),
    row("might_sleep", NONE, VOID, Action::MightSleep, &[Tag::Sleeps], "says that this may sleep"),
    row("cond_resched", NONE, INT, Action::MightSleep, &[Tag::Sleeps], "lets others run; may sleep"),
];
