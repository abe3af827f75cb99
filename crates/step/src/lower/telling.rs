//! When the secondary TLBs are told: what each kernel does, and what it could do
//! instead. Every place where a path may tell asks here.

use super::Dials;

/// When the secondary TLBs are told of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Tells {
    /// As the path and the era say.
    #[default]
    Kernel,
    /// As they say, but with no flush: neither that of the CPUs' TLBs nor that of
    /// a gather tells anybody else. What is left are calls.
    Calls,
    /// Never.
    Never,
    /// At each end of a range, and nowhere else.
    RangeEnd,
    /// With each flush of the CPUs' TLBs, and nowhere else.
    Flush,
    /// Right behind each change of an entry, under the page table lock, and
    /// nowhere else.
    Change,
}

/// A place in a path where somebody could be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A call that does nothing else.
    Call,
    /// Behind a clear, as `ptep_clear_flush_notify` says.
    ClearNotify,
    /// `range_end`.
    End,
    /// `range_only_end`.
    OnlyEnd,
    /// A flush of the CPUs' TLBs.
    Flush,
    /// The flush of a gather. Until 6.5 it tells with a call of its own, since 6.6
    /// from the flush.
    GatherFlush,
    /// An entry was changed.
    Change,
}

impl Dials {
    /// Whether the secondary TLBs are told here.
    pub fn tells_at(&self, moment: Moment) -> bool {
        use Moment::{Call, Change, ClearNotify, End, Flush, GatherFlush, OnlyEnd};
        match self.tells {
            Tells::Kernel => match moment {
                Call | GatherFlush => true,
                ClearNotify => !self.cpu_flush_notifies,
                End => self.range_end_invalidates,
                Flush => self.cpu_flush_notifies,
                OnlyEnd | Change => false,
            },
            Tells::Calls => match moment {
                Flush | GatherFlush => false,
                _ => Dials { tells: Tells::Kernel, ..*self }.tells_at(moment),
            },
            Tells::Never => false,
            Tells::RangeEnd => matches!(moment, End | OnlyEnd),
            Tells::Flush => matches!(moment, Flush | GatherFlush),
            Tells::Change => moment == Change,
        }
    }
}
