//! What can be wrong with a request, said with its place.

use std::fmt;

use mmu_notifier::{PtlError, StartError};
use mmu_protocol::{Access, VirtAddr, VirtRange};

use crate::memory::OutOfFrames;

/// Why an access or an operation did not happen. Nothing has changed then,
/// unless the operation says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Nothing is mapped at the address.
    NoMapping {
        /// The address.
        addr: VirtAddr,
    },
    /// The mapping does not allow the access.
    Forbidden {
        /// The address.
        addr: VirtAddr,
        /// What was tried.
        access: Access,
    },
    /// Something is mapped there already.
    Overlap {
        /// The range that was asked for.
        range: VirtRange,
    },
    /// An address or a length is not a multiple of the page size, or lies
    /// beyond what the tables can map.
    BadRange {
        /// The range that was asked for.
        range: VirtRange,
    },
    /// An access would cross from one word into the next.
    Misaligned {
        /// The address.
        addr: VirtAddr,
    },
    /// No page is present there, or not one of the kind that is needed.
    NotPresent {
        /// The address.
        addr: VirtAddr,
    },
    /// The pages cannot become one 2 MiB page: not all are present, or some are shared.
    NotCollapsible {
        /// Start of the 2 MiB.
        addr: VirtAddr,
    },
    /// All frames are in use.
    OutOfFrames,
    /// The task has a range open.
    Nested,
    /// All places for processors are taken.
    TooManyCpus,
    /// The device could not be attached, or its request was refused.
    Device,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoMapping { addr } => write!(f, "nothing is mapped at {addr}; mmap it first"),
            Error::Forbidden { addr, access } => {
                write!(f, "the mapping of {addr} does not allow a {access}; mprotect it first")
            }
            Error::Overlap { range } => {
                write!(f, "part of {range} is mapped already; munmap it first")
            }
            Error::BadRange { range } => write!(
                f,
                "{range} is empty, not a whole number of pages, or beyond the last address"
            ),
            Error::Misaligned { addr } => {
                write!(f, "{addr} is not aligned to a word of 8 bytes")
            }
            Error::NotPresent { addr } => {
                write!(f, "no page of the needed kind is present at {addr}; touch it first")
            }
            Error::NotCollapsible { addr } => write!(
                f,
                "the pages at {addr} cannot become one of 2M: all must be present and unshared"
            ),
            Error::OutOfFrames => OutOfFrames.fmt(f),
            Error::Nested => StartError::Nested.fmt(f),
            Error::TooManyCpus => {
                f.write_str("all places for processors of this address space are taken")
            }
            Error::Device => f.write_str(
                "the device was refused: no PASID, port or place is left, \
                     or the address space has exited",
            ),
        }
    }
}

impl std::error::Error for Error {}

impl From<OutOfFrames> for Error {
    fn from(_: OutOfFrames) -> Self {
        Error::OutOfFrames
    }
}

impl From<StartError> for Error {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Nested => Error::Nested,
            // Ranges here are always allowed to sleep.
            _ => unreachable!("a blockable range is not refused"),
        }
    }
}

/// Between finding a table and locking it the table went away: look again.
pub(crate) fn table_is_gone(error: PtlError) -> bool {
    matches!(error, PtlError::NoTable { .. })
}
