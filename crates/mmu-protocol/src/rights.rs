//! What an entry grants and what an access asks for.

use core::fmt;

/// The rights that a present entry grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rights {
    /// Loads only.
    ReadOnly,
    /// Loads and stores.
    ReadWrite,
}

/// What an access does to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// A load.
    Read,
    /// A store, or a read-modify-write.
    Write,
}

impl Rights {
    /// Whether an entry with these rights grants the access.
    #[inline]
    pub const fn grant(self, access: Access) -> bool {
        matches!((self, access), (Rights::ReadWrite, _) | (Rights::ReadOnly, Access::Read))
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Rights::ReadOnly => "ro",
            Rights::ReadWrite => "rw",
        })
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Access::Read => "read",
            Access::Write => "write",
        })
    }
}
