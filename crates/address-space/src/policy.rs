//! Which protocol an address space follows: the right one, or on purpose a
//! wrong one.

/// A way to break the protocol, for showing what happens then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WrongPolicy {
    /// A new page is stored before the secondary TLBs are told; they are told
    /// at `range_end`. Breaks case B.
    LateNotify,
    /// A page is freed when its entry is cleared; the secondary TLBs are told
    /// at `range_end`. Breaks case A.
    EarlyFree,
    /// A page is copied without making sure that its write protection has
    /// reached every TLB. Breaks COPY.
    UnsettledCopy,
}

/// What an address space was built with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    InTime,
    Wrong(WrongPolicy),
}

impl Policy {
    pub(crate) fn is(self, wrong: WrongPolicy) -> bool {
        self == Policy::Wrong(wrong)
    }
}
