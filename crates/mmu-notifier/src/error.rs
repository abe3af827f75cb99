//! Errors as values: small, `Copy`, and each says what to do instead.

use core::fmt;

use mmu_protocol::{PageSize, VirtAddr, VirtRange};

/// Why a range did not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartError {
    /// This task has a range open already, or forgot one.
    Nested,
    /// A subscriber refused a start that must not sleep. Those that had
    /// started were ended again.
    WouldBlock,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StartError::Nested => {
                "this task has a range open (or forgot one); end it before starting another"
            }
            StartError::WouldBlock => {
                "a subscriber would have to sleep; start the range again where it may"
            }
        })
    }
}

impl core::error::Error for StartError {}

/// Why a page table lock was not taken, or an entry not found under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PtlError {
    /// There is no page table of this size for the address.
    NoTable {
        /// The address that was asked for.
        addr: VirtAddr,
        /// The size of the entries of the table.
        size: PageSize,
    },
    /// The address lies outside the range that was announced: nobody was told
    /// that it changes.
    OutsideRange {
        /// The address that was asked for.
        addr: VirtAddr,
        /// The range that was announced.
        range: VirtRange,
    },
    /// The address lies in another table than the one that is locked.
    OutsideTable {
        /// The address that was asked for.
        addr: VirtAddr,
        /// The addresses of the locked table.
        table: VirtRange,
    },
    /// The address is not the start of a page of the table's size.
    Misaligned {
        /// The address that was asked for.
        addr: VirtAddr,
        /// The size it has to be aligned to.
        size: PageSize,
    },
}

impl fmt::Display for PtlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PtlError::NoTable { addr, size } => {
                write!(f, "no table of {size} entries for {addr}; install one first")
            }
            PtlError::OutsideRange { addr, range } => {
                write!(f, "{addr} is outside the announced range {range}; start a range over it")
            }
            PtlError::OutsideTable { addr, table } => {
                write!(f, "{addr} is outside the locked table {table}; lock its own table")
            }
            PtlError::Misaligned { addr, size } => {
                write!(f, "{addr} is not aligned to {size}; align it down or use the smaller size")
            }
        }
    }
}

impl core::error::Error for PtlError {}

/// Why a subscriber was not registered. The subscriber comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RegisterError<T> {
    /// What was to be registered.
    pub subscriber: T,
    /// Why it was not.
    pub reason: RegisterRefusal,
}

/// Why a subscriber was not registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterRefusal {
    /// All 64 places of this kind are taken.
    Full,
    /// The address space was released.
    Released,
    /// The task has a range open: registration would wait for it.
    InsideRange,
}

impl fmt::Display for RegisterRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RegisterRefusal::Full => "all 64 places for subscribers of this kind are taken",
            RegisterRefusal::Released => {
                "the address space was released; nothing will change any more"
            }
            RegisterRefusal::InsideRange => {
                "registration waits for running ranges, and this task has one open; end it first"
            }
        })
    }
}

impl<T> fmt::Debug for RegisterError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegisterError").field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl<T> fmt::Display for RegisterError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl<T> core::error::Error for RegisterError<T> {}

/// Why a subscriber was not unregistered. The subscription comes back.
#[derive(Debug, PartialEq, Eq)]
pub struct UnregisterError<S> {
    /// What was to be unregistered.
    pub subscription: S,
    /// Why it was not.
    pub reason: UnregisterRefusal,
}

/// Why a subscriber was not unregistered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnregisterRefusal {
    /// The subscription belongs to another address space.
    OtherMm,
    /// The subscription is that of a TLB and a mirror was to be unregistered,
    /// or the reverse.
    OtherKind,
    /// It is gone already: the address space was released.
    Released,
    /// The task has a range open: unregistration would wait for it.
    InsideRange,
}

impl fmt::Display for UnregisterRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UnregisterRefusal::OtherMm => "the subscription belongs to another address space",
            UnregisterRefusal::OtherKind => {
                "the subscription is of the other kind; unregister_tlb takes back what \
                 register_tlb gave, unregister_notifier what register_notifier gave"
            }
            UnregisterRefusal::Released => {
                "the address space was released and with it the subscription"
            }
            UnregisterRefusal::InsideRange => {
                "unregistration waits for running ranges, and this task has one open; end it first"
            }
        })
    }
}

impl<S> fmt::Display for UnregisterError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl<S: fmt::Debug> core::error::Error for UnregisterError<S> {}

/// Why an entry was not cleared into a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BatchError {
    /// The batch is full: flush it and begin another.
    Full,
    /// The entry is not present.
    NotPresent,
    /// The address does not fit the lock or the range.
    Ptl(PtlError),
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BatchError::Full => f.write_str("the batch is full; flush it and begin another"),
            BatchError::NotPresent => f.write_str("the entry is not present"),
            BatchError::Ptl(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for BatchError {}

impl From<PtlError> for BatchError {
    fn from(error: PtlError) -> Self {
        BatchError::Ptl(error)
    }
}

/// A writable page is no source for a copy: write-protect it first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StillWritable;

impl fmt::Display for StillWritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the entry is writable; write-protect it before copying or comparing its page")
    }
}

impl core::error::Error for StillWritable {}

/// Why a page was not replaced by one with the same content. The page comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ReplaceError<P> {
    /// The page that was to be installed.
    pub page: P,
    /// Why it was not.
    pub reason: ReplaceRefusal,
}

/// Why a page was not replaced by one with the same content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplaceRefusal {
    /// The entry is writable.
    StillWritable,
    /// The platform says that the pages differ, or that the new one may be written.
    NotSame,
}

impl<P> fmt::Debug for ReplaceError<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplaceError").field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl<P> fmt::Display for ReplaceError<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            ReplaceRefusal::StillWritable => StillWritable.fmt(f),
            ReplaceRefusal::NotSame => {
                f.write_str("the pages differ, or the new one may be written")
            }
        }
    }
}

impl<P> core::error::Error for ReplaceError<P> {}
