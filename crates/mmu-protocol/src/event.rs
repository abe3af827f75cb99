//! What kind of change a range announces.

use core::fmt;

/// Why a range of addresses is being invalidated.
///
/// The names are those of Linux' `enum mmu_notifier_event`; drivers branch on
/// them (one reacts only to [`Unmap`](Event::Unmap) because its pages are
/// pinned, another skips a [`Migrate`](Event::Migrate) of its own).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Event {
    /// The mapping goes away: `munmap`, the old side of `mremap`.
    Unmap,
    /// Entries are cleared or replaced: COW, zap by `madvise`, KSM, migration, split.
    Clear,
    /// The protection of a whole mapping changes: `mprotect`.
    ProtectionVma,
    /// Single entries lose their write bit: fork, write-protect for tracking.
    ProtectionPage,
    /// The soft-dirty bit is cleared over the whole address space.
    SoftDirty,
    /// The address space goes away.
    Release,
    /// A device driver moves pages to or from its own memory.
    Migrate,
    /// A device driver asks for exclusive access.
    Exclusive,
}

impl Event {
    /// The name in a trace: Linux' enumerator without its prefix.
    pub const fn name(self) -> &'static str {
        match self {
            Event::Unmap => "UNMAP",
            Event::Clear => "CLEAR",
            Event::ProtectionVma => "PROTECTION_VMA",
            Event::ProtectionPage => "PROTECTION_PAGE",
            Event::SoftDirty => "SOFT_DIRTY",
            Event::Release => "RELEASE",
            Event::Migrate => "MIGRATE",
            Event::Exclusive => "EXCLUSIVE",
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
