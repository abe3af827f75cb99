//! Named points at which a schedule can stop a thread.
//!
//! "Preempted" in the founding document is a thread that stays where it is
//! while others go on. An operation calls [`Schedule::reach`] at each of its
//! points; a schedule that wants the thread to stay simply does not return
//! yet. Devices and CPUs that only access memory never wait for it.

use std::fmt;

use mmu_protocol::{MmId, VirtAddr};

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// A write fault that copies the page.
    Cow,
    /// A write fault on the zero page.
    ZeroPage,
    /// `replace_page`.
    Replace,
    /// KSM takes the write permission away.
    KsmProtect,
    /// KSM replaces the page by the shared one.
    KsmReplace,
    /// munmap and DONTNEED.
    Zap,
    /// fork takes the write permission away from the parent.
    Fork,
    /// mprotect.
    Mprotect,
    /// A 2 MiB entry becomes a table.
    Split,
    /// A table becomes a 2 MiB entry.
    Collapse,
    /// mremap.
    Move,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// `range_start` has returned.
    Started,
    /// The page was copied or compared; no lock is held.
    Copied,
    /// Under the lock; nothing is changed yet.
    Locked,
    /// Under the lock; the entry is cleared, the CPU TLBs are flushed.
    Cleared,
    /// Under the lock; the secondary TLBs were told.
    Notified,
    /// Under the lock; the new entry is stored.
    Set,
    /// The lock is released; `range_end` is still to come.
    Unlocked,
    /// `range_end` has returned.
    Ended,
}

/// A place in an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Point {
    /// In which address space.
    pub mm: MmId,
    /// What is being done.
    pub operation: Operation,
    /// How far it has come.
    pub stage: Stage,
    /// The address it is at: start of the page, or of the range.
    pub addr: VirtAddr,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?} at {}", self.operation, self.stage, self.addr)
    }
}

/// Decides how long a thread stays at a point.
pub trait Schedule: Send + Sync {
    /// The calling thread has reached `point`; it goes on when this returns.
    ///
    /// At the stages under the lock it must not wait for a thread that may need
    /// the lock.
    fn reach(&self, point: Point);
}
