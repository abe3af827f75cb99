//! The sizes of a leaf entry.

use core::fmt;

/// The size of what one page table entry maps.
///
/// A `pte` maps [`Base`](Self::Base), a leaf `pmd` maps [`Huge`](Self::Huge).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PageSize {
    /// 4 KiB: a leaf of the lowest table.
    Base,
    /// 2 MiB: a leaf of the table above it (a huge `pmd`).
    Huge,
}

impl PageSize {
    /// Size in bytes.
    #[inline]
    pub const fn bytes(self) -> u64 {
        1 << self.shift()
    }

    /// Base-two logarithm of the size in bytes: 12 or 21.
    #[inline]
    pub const fn shift(self) -> u32 {
        match self {
            PageSize::Base => 12,
            PageSize::Huge => 21,
        }
    }

    /// How many 4 KiB pages it covers: 1 or 512.
    #[inline]
    pub const fn base_pages(self) -> u64 {
        1 << (self.shift() - PageSize::Base.shift())
    }
}

impl fmt::Display for PageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            PageSize::Base => "4K",
            PageSize::Huge => "2M",
        })
    }
}
