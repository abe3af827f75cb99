//! When the secondary TLBs are told.

use core::fmt;

/// Where in a page-table update the secondary TLBs have to be notified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Placement {
    /// Under the page table lock, after the entry was cleared and before the
    /// new entry is stored. Nothing else will do.
    BetweenClearAndSet,
    /// Under the page table locks, before they are released.
    BeforeUnlock,
    /// Before the page leaves the updater's hands: under the page table lock,
    /// or by a flush of the batch that precedes the free.
    BeforeFree,
    /// Before the page is copied, compared, or taken as clean.
    BeforeCopy,
    /// At `range_end`, outside the lock, even if the thread is preempted
    /// between releasing the lock and reaching it.
    AtRangeEnd,
    /// Never: no translation that a TLB may hold is wrong afterwards.
    NotNeeded,
}

impl Placement {
    /// The words in the printed table.
    pub const fn name(self) -> &'static str {
        match self {
            Placement::BetweenClearAndSet => "under the lock, between clear and set",
            Placement::BeforeUnlock => "under the lock, before the unlock",
            Placement::BeforeFree => "before the free",
            Placement::BeforeCopy => "before the copy",
            Placement::AtRangeEnd => "may wait until range_end",
            Placement::NotNeeded => "not needed",
        }
    }

    /// Whether the notification may be left to `range_end`.
    pub const fn may_wait(self) -> bool {
        matches!(self, Placement::AtRangeEnd | Placement::NotNeeded)
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
