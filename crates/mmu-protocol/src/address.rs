//! Virtual addresses and half-open ranges of them.

use core::fmt;

use crate::PageSize;

/// A virtual address, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct VirtAddr(u64);

impl VirtAddr {
    /// Makes an address from its value in bytes.
    #[inline]
    pub const fn new(bytes: u64) -> Self {
        VirtAddr(bytes)
    }

    /// The address in bytes.
    #[inline]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The start of the page of this size that holds the address.
    #[inline]
    pub const fn align_down(self, size: PageSize) -> Self {
        VirtAddr(self.0 & !(size.bytes() - 1))
    }

    /// Whether a page of this size can start here.
    #[inline]
    pub const fn is_aligned(self, size: PageSize) -> bool {
        self.0 & (size.bytes() - 1) == 0
    }

    /// The distance from the start of the page of this size, in bytes.
    #[inline]
    pub const fn page_offset(self, size: PageSize) -> u64 {
        self.0 & (size.bytes() - 1)
    }

    /// The address `bytes` further up.
    ///
    /// # Panics
    ///
    /// If the sum does not fit in 64 bits.
    #[inline]
    pub const fn offset(self, bytes: u64) -> Self {
        match self.0.checked_add(bytes) {
            Some(sum) => VirtAddr(sum),
            None => panic!("virtual address overflow"),
        }
    }
}

impl fmt::Debug for VirtAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for VirtAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::LowerHex for VirtAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerHex::fmt(&self.0, f)
    }
}

/// A half-open range of virtual addresses: `start` is in it, `end` is not.
///
/// Never inverted: `start <= end` always holds. The empty range is allowed and
/// overlaps nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct VirtRange {
    start: VirtAddr,
    end: VirtAddr,
}

impl VirtRange {
    /// The range that holds no address.
    pub const EMPTY: Self = VirtRange { start: VirtAddr(0), end: VirtAddr(0) };

    /// Every address but the last byte (whose successor has no 64-bit value).
    pub const ALL: Self = VirtRange { start: VirtAddr(0), end: VirtAddr(u64::MAX) };

    /// The range `start..end`, or `None` if `end` lies before `start`.
    #[inline]
    pub const fn new(start: VirtAddr, end: VirtAddr) -> Option<Self> {
        if start.0 <= end.0 { Some(VirtRange { start, end }) } else { None }
    }

    /// The page of this size that holds `addr`.
    #[inline]
    pub const fn page(addr: VirtAddr, size: PageSize) -> Self {
        let start = addr.align_down(size);
        VirtRange { start, end: start.offset(size.bytes()) }
    }

    /// `bytes` bytes from `start` on.
    ///
    /// # Panics
    ///
    /// If the end does not fit in 64 bits.
    #[inline]
    pub const fn sized(start: VirtAddr, bytes: u64) -> Self {
        VirtRange { start, end: start.offset(bytes) }
    }

    /// First address of the range.
    #[inline]
    pub const fn start(self) -> VirtAddr {
        self.start
    }

    /// First address after the range.
    #[inline]
    pub const fn end(self) -> VirtAddr {
        self.end
    }

    /// Length in bytes.
    #[inline]
    pub const fn len(self) -> u64 {
        self.end.0 - self.start.0
    }

    /// Whether the range holds no address.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.start.0 == self.end.0
    }

    /// Whether `addr` lies in the range.
    #[inline]
    pub const fn contains(self, addr: VirtAddr) -> bool {
        self.start.0 <= addr.0 && addr.0 < self.end.0
    }

    /// Whether all of `other` lies in the range. The empty range lies in every range.
    #[inline]
    pub const fn covers(self, other: VirtRange) -> bool {
        other.is_empty() || (self.start.0 <= other.start.0 && other.end.0 <= self.end.0)
    }

    /// Whether some address lies in both.
    #[inline]
    pub const fn overlaps(self, other: VirtRange) -> bool {
        self.start.0 < other.end.0
            && other.start.0 < self.end.0
            && !self.is_empty()
            && !other.is_empty()
    }

    /// The smallest range that covers both.
    #[inline]
    pub const fn union(self, other: VirtRange) -> Self {
        if self.is_empty() {
            return other;
        }
        if other.is_empty() {
            return self;
        }
        let start = if self.start.0 < other.start.0 { self.start } else { other.start };
        let end = if self.end.0 > other.end.0 { self.end } else { other.end };
        VirtRange { start, end }
    }

    /// What lies in both; empty if nothing does.
    #[inline]
    pub const fn intersection(self, other: VirtRange) -> Self {
        if !self.overlaps(other) {
            return VirtRange::EMPTY;
        }
        let start = if self.start.0 > other.start.0 { self.start } else { other.start };
        let end = if self.end.0 < other.end.0 { self.end } else { other.end };
        VirtRange { start, end }
    }

    /// The smallest range of whole pages of this size that covers it.
    ///
    /// # Panics
    ///
    /// If the widened end does not fit in 64 bits.
    #[inline]
    pub const fn widen(self, size: PageSize) -> Self {
        let start = self.start.align_down(size);
        let end = if self.end.is_aligned(size) {
            self.end
        } else {
            self.end.align_down(size).offset(size.bytes())
        };
        VirtRange { start, end }
    }

    /// The start addresses of the pages of this size that touch the range.
    #[inline]
    pub fn pages(self, size: PageSize) -> impl Iterator<Item = VirtAddr> + Clone {
        let first = self.start.align_down(size).0;
        let last = if self.is_empty() { first } else { self.end.0 };
        (first..last).step_by(size.bytes() as usize).map(VirtAddr)
    }
}

impl fmt::Debug for VirtRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}..{:#x}", self.start.0, self.end.0)
    }
}

impl fmt::Display for VirtRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}..{:#x}", self.start.0, self.end.0)
    }
}
