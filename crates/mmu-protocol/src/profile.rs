//! The two switches in which kernels differ.

/// Who tells the secondary TLBs.
///
/// Kernels are named by the tag whose source was read, not by an era: see
/// `mm/mmu_notifier.c` and the architectures' `tlbflush` in those tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Profile {
    /// `range_end` notifies the hardware-walking TLBs for what the range left
    /// to it.
    pub range_end_invalidates: bool,
    /// Each flush of the CPU TLBs notifies the hardware-walking TLBs too, so
    /// notification is not a step of its own.
    pub cpu_flush_notifies: bool,
}

impl Profile {
    /// Linux v6.1: notification is its own step, under the lock or at
    /// `range_end`. The founding document describes this form.
    pub const V6_1: Self = Profile { range_end_invalidates: true, cpu_flush_notifies: false };

    /// Linux v6.12: the flush of the CPU TLBs includes it, and `range_end`
    /// tells hardware nothing.
    pub const V6_12: Self = Profile { range_end_invalidates: false, cpu_flush_notifies: true };
}
