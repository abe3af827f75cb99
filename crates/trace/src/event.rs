//! What a trace says, in the protocol's vocabulary.
//!
//! One type for what was recorded and for what is going on: the rules see nothing
//! else. An event of a recording is made by [`meaning`](crate::meaning), one of a
//! running address space from its [`Record`].

use std::fmt;

use mmu_protocol::{
    Event as RangeEvent, MmId, PageSize, Record, RecordKind, Transition, VirtAddr, VirtRange,
};

/// Where and when something happened, and who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// Line, or number of the record, counted from 1.
    pub place: u64,
    /// Nanoseconds, or ticks of a counting clock.
    pub time: u64,
    /// The processor; `None` if nobody recorded it.
    pub cpu: Option<u32>,
    /// The thread.
    pub thread: u32,
    /// How often preemption was disabled, if that was recorded.
    pub preempt_depth: Option<u8>,
    /// An interrupt did it, and the thread only stood there.
    pub interrupt: bool,
}

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Where, when and who.
    pub at: At,
    /// The address space, where the event names one. The thread is often not its
    /// owner: KSM, khugepaged and reclaim work on others' tables.
    pub mm: Option<MmId>,
    /// What happened.
    pub kind: Kind,
}

/// An entry of a page table, as far as the rules ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// First frame of the page that it maps; of a table if `table`.
    pub pfn: u64,
    /// Whether hardware can use it. A present entry that grants nothing (a hint for
    /// NUMA balancing) cannot be, and clearing it needs no flush.
    pub accessible: bool,
    /// It points to a lower table.
    pub table: bool,
}

/// An entry of a hypervisor's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// First frame of the page.
    pub pfn: u64,
    /// How many frames of 4 KiB it maps.
    pub frames: u64,
}

/// Why a thread is known to stand in no range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outside {
    /// It faulted in user mode.
    UserFault,
    /// It made a system call: it wrote to the trace marker.
    Marker,
    /// Its guest faulted.
    GuestFault,
    /// It began a scan that it does at the top of its loop.
    Scan,
}

/// What happened.
///
/// A probe at the beginning of a function says that its effect is still to come, one
/// at its return that the effect is there. Where a rule needs an interval it takes the
/// ends that cannot accuse wrongly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A subscriber registers.
    Register,
    /// The address space is released: nobody is owed anything any more.
    Release,
    /// `invalidate_range_start` is entered.
    Start {
        /// What will change.
        range: VirtRange,
        /// Why, if the recording says.
        event: Option<RangeEvent>,
        /// Whether callbacks may block, if the recording says.
        blockable: Option<bool>,
    },
    /// The thread's innermost start returned.
    StartReturned {
        /// 0, or the error of a subscriber that refused.
        result: i64,
    },
    /// `invalidate_range_end` is entered.
    End {
        /// The range of the matching start.
        range: VirtRange,
        /// Whether it tells the secondary TLBs too: `only_end` is false and the
        /// kernel's end does so. `None` if the kernel is not known.
        tells: Option<bool>,
    },
    /// The secondary TLBs are being told.
    Invalidate {
        /// Of what.
        range: VirtRange,
    },
    /// The thread's last [`Invalidate`](Kind::Invalidate) returned.
    InvalidateReturned,
    /// An entry is cleared under its lock.
    Clear {
        /// Start of the page.
        addr: VirtAddr,
        /// Its size.
        size: PageSize,
        /// What was there, if the value was recorded.
        old: Option<Entry>,
    },
    /// The CPU TLBs are flushed.
    Flush {
        /// Of what.
        range: VirtRange,
    },
    /// A new anonymous page is about to be mapped.
    MapNew {
        /// Where.
        addr: VirtAddr,
        /// Its first frame, if it could be told from the page's address.
        pfn: Option<u64>,
    },
    /// Pages are no longer mapped by one entry or several.
    Unmapped {
        /// The first frame, if it could be told from the page's address.
        pfn: Option<u64>,
        /// How many frames.
        frames: u64,
    },
    /// Frames went back to the allocator.
    Free {
        /// The first.
        pfn: u64,
        /// How many.
        frames: u64,
    },
    /// Frames were allocated.
    Alloc {
        /// The first.
        pfn: u64,
        /// How many.
        frames: u64,
    },
    /// A device took a translation.
    DeviceFill {
        /// Of this page,
        addr: VirtAddr,
        /// to this frame.
        pfn: u64,
    },
    /// A device used a translation.
    DeviceUse {
        /// Of this page,
        addr: VirtAddr,
        /// to this frame.
        pfn: u64,
    },
    /// A device let go of a translation.
    DeviceDrop {
        /// Of this page,
        addr: VirtAddr,
        /// to this frame.
        pfn: u64,
    },
    /// A hypervisor changed an entry of its own table. Said after it was done.
    Shadow {
        /// First guest frame.
        gfn: u64,
        /// Which of the guest's address spaces.
        space: u8,
        /// What was there, if it was a present leaf.
        old: Option<Leaf>,
        /// What is there, if it is a present leaf.
        new: Option<Leaf>,
    },
    /// A hypervisor was told of a range: names the address space of its guest.
    ShadowTold,
    /// Guest memory is backed by this process's memory.
    Slot {
        /// First guest frame.
        gfn: u64,
        /// Where it is mapped.
        range: VirtRange,
    },
    /// The thread stands in no range.
    Outside(Outside),
    /// Events are missing here.
    Lost {
        /// How many, if the tracer knows.
        events: Option<u64>,
        /// Since when; `None`: perhaps since the beginning.
        since: Option<u64>,
    },
}

/// The kinds, without what they say; probes and rules are told of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is the kind of the same name")]
pub enum Tag {
    Register,
    Release,
    Start,
    StartReturned,
    End,
    Invalidate,
    InvalidateReturned,
    Clear,
    Flush,
    MapNew,
    Unmapped,
    Free,
    Alloc,
    DeviceFill,
    DeviceUse,
    DeviceDrop,
    Shadow,
    ShadowTold,
    Slot,
    Outside,
    Lost,
}

impl Tag {
    /// How many there are.
    pub const COUNT: usize = 21;

    /// What it is called in messages: what is missing if there is none.
    pub const fn noun(self) -> &'static str {
        match self {
            Tag::Register => "registration of a subscriber",
            Tag::Release => "release of the address space",
            Tag::Start => "start of a range",
            Tag::StartReturned => "return of a start",
            Tag::End => "end of a range",
            Tag::Invalidate => "invalidation of secondary TLBs",
            Tag::InvalidateReturned => "return of an invalidation",
            Tag::Clear => "clear of a page table entry",
            Tag::Flush => "flush of CPU TLBs",
            Tag::MapNew => "new anonymous page",
            Tag::Unmapped => "removal of a page from the reverse map",
            Tag::Free => "free of a page",
            Tag::Alloc => "allocation of a page",
            Tag::DeviceFill => "fill of a device's TLB",
            Tag::DeviceUse => "use of a device's TLB",
            Tag::DeviceDrop => "drop from a device's TLB",
            Tag::Shadow => "change of a hypervisor's entry",
            Tag::ShadowTold => "notification of a hypervisor",
            Tag::Slot => "memory slot",
            Tag::Outside => "sign that a thread is in no range",
            Tag::Lost => "lost events",
        }
    }
}

impl Kind {
    /// Which kind.
    pub const fn tag(&self) -> Tag {
        match self {
            Kind::Register => Tag::Register,
            Kind::Release => Tag::Release,
            Kind::Start { .. } => Tag::Start,
            Kind::StartReturned { .. } => Tag::StartReturned,
            Kind::End { .. } => Tag::End,
            Kind::Invalidate { .. } => Tag::Invalidate,
            Kind::InvalidateReturned => Tag::InvalidateReturned,
            Kind::Clear { .. } => Tag::Clear,
            Kind::Flush { .. } => Tag::Flush,
            Kind::MapNew { .. } => Tag::MapNew,
            Kind::Unmapped { .. } => Tag::Unmapped,
            Kind::Free { .. } => Tag::Free,
            Kind::Alloc { .. } => Tag::Alloc,
            Kind::DeviceFill { .. } => Tag::DeviceFill,
            Kind::DeviceUse { .. } => Tag::DeviceUse,
            Kind::DeviceDrop { .. } => Tag::DeviceDrop,
            Kind::Shadow { .. } => Tag::Shadow,
            Kind::ShadowTold => Tag::ShadowTold,
            Kind::Slot { .. } => Tag::Slot,
            Kind::Outside(_) => Tag::Outside,
            Kind::Lost { .. } => Tag::Lost,
        }
    }

    /// Whether it can happen inside of a callback that an invalidation runs. Any
    /// other event of the same thread says that the invalidation has returned.
    pub const fn inside_callback(&self) -> bool {
        matches!(
            self,
            Kind::DeviceFill { .. }
                | Kind::DeviceUse { .. }
                | Kind::DeviceDrop { .. }
                | Kind::Shadow { .. }
                | Kind::ShadowTold
                | Kind::Alloc { .. }
                | Kind::Free { .. }
                | Kind::Lost { .. }
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Kind::Register => f.write_str("a subscriber registers"),
            Kind::Release => f.write_str("the address space is released"),
            Kind::Start { range, event, blockable } => {
                write!(f, "start {range}")?;
                if let Some(event) = event {
                    write!(f, " {event}")?;
                }
                if blockable == Some(false) {
                    f.write_str(" (may not block)")?;
                }
                Ok(())
            }
            Kind::StartReturned { result: 0 } => f.write_str("start returned"),
            Kind::StartReturned { result } => write!(f, "start returned {result}"),
            Kind::End { range, tells: Some(true) } => {
                write!(f, "end {range}, which tells the secondary TLBs")
            }
            Kind::End { range, .. } => write!(f, "end {range}"),
            Kind::Invalidate { range } => write!(f, "invalidate {range}"),
            Kind::InvalidateReturned => f.write_str("invalidate returned"),
            Kind::Clear { addr, size, old } => {
                write!(f, "clear {addr}")?;
                if size != PageSize::Base {
                    f.write_str(" (2 MiB)")?;
                }
                match old {
                    Some(Entry { table: true, pfn, .. }) => {
                        write!(f, ", a table in frame {pfn:#x}")
                    }
                    Some(Entry { accessible: false, .. }) => f.write_str(", which granted nothing"),
                    Some(Entry { pfn, .. }) if pfn != NO_PFN => write!(f, " -> frame {pfn:#x}"),
                    _ => Ok(()),
                }
            }
            Kind::Flush { range } => write!(f, "flush CPU TLBs {range}"),
            Kind::MapNew { addr, pfn } => {
                write!(f, "map new page at {addr}")?;
                pfn.map_or(Ok(()), |pfn| write!(f, " -> frame {pfn:#x}"))
            }
            Kind::Unmapped { pfn, frames } => {
                match pfn {
                    Some(pfn) => write!(f, "frame {pfn:#x}")?,
                    None => f.write_str("a page")?,
                }
                if frames > 1 {
                    write!(f, " and {} more", frames - 1)?;
                }
                f.write_str(" no longer mapped")
            }
            Kind::Free { pfn, frames: 1 } => write!(f, "free frame {pfn:#x}"),
            Kind::Free { pfn, frames } => write!(f, "free frames {pfn:#x}..{:#x}", pfn + frames),
            Kind::Alloc { pfn, .. } => write!(f, "allocate frame {pfn:#x}"),
            Kind::DeviceFill { addr, pfn } => write!(f, "device fills {addr} -> frame {pfn:#x}"),
            Kind::DeviceUse { addr, pfn } => write!(f, "device uses {addr} -> frame {pfn:#x}"),
            Kind::DeviceDrop { addr, pfn } => write!(f, "device drops {addr} -> frame {pfn:#x}"),
            Kind::Shadow { gfn, old, new, .. } => {
                write!(f, "guest frame {gfn:#x}: ")?;
                shadow(f, old)?;
                f.write_str(" becomes ")?;
                shadow(f, new)
            }
            Kind::ShadowTold => f.write_str("hypervisor is told"),
            Kind::Slot { gfn, range } => write!(f, "guest frames from {gfn:#x} are {range}"),
            Kind::Outside(Outside::UserFault) => f.write_str("page fault in user mode"),
            Kind::Outside(Outside::Marker) => f.write_str("system call: writes a trace marker"),
            Kind::Outside(Outside::GuestFault) => f.write_str("the guest faults"),
            Kind::Outside(Outside::Scan) => f.write_str("a scan begins"),
            Kind::Lost { events: Some(count), .. } => write!(f, "{count} events were lost"),
            Kind::Lost { events: None, .. } => f.write_str("events were lost"),
        }
    }
}

fn shadow(f: &mut fmt::Formatter<'_>, leaf: Option<Leaf>) -> fmt::Result {
    match leaf {
        None => f.write_str("nothing"),
        Some(Leaf { pfn, .. }) => write!(f, "frame {pfn:#x}"),
    }
}

/// No frame has this number: the entry's frame was not said.
pub const NO_PFN: u64 = u64::MAX;

impl Event {
    /// The events of a record, in order: a record says that a start or an
    /// invalidation is done, and so stands for its beginning and its return. `None`
    /// twice: nothing that the rules ask about.
    pub fn of(record: Record, at: At) -> [Option<Event>; 2] {
        let event = |kind| Some(Event { at, mm: Some(record.mm), kind });
        let one = |kind| [event(kind), None];
        match record.kind {
            RecordKind::Start { range, event: why, blockable } => [
                event(Kind::Start { range, event: Some(why), blockable: Some(blockable) }),
                event(Kind::StartReturned { result: 0 }),
            ],
            // Telling is a step of its own there, also below `range_end`.
            RecordKind::End { range, .. } => one(Kind::End { range, tells: Some(false) }),
            RecordKind::Clear { addr, size, pfn } => {
                let old = Entry { pfn, accessible: true, table: false };
                one(Kind::Clear { addr, size, old: Some(old) })
            }
            RecordKind::Flush { range } => one(Kind::Flush { range }),
            RecordKind::Invalidate { range } => {
                [event(Kind::Invalidate { range }), event(Kind::InvalidateReturned)]
            }
            // The other ways to store an entry take nothing away that a device could
            // tell: same bytes, same frames, or nothing was there.
            RecordKind::Set {
                addr,
                pfn,
                transition: Transition::Replace | Transition::Collapse,
                ..
            } => one(Kind::MapNew { addr, pfn: Some(pfn) }),
            RecordKind::Free { pfn } => one(Kind::Free { pfn, frames: 1 }),
            _ => [None, None],
        }
    }
}
