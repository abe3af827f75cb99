//! What a TLB is asked for, and what it answers.

use core::fmt;

use mmu_notifier::Invalidation;
use mmu_protocol::{Access, PageSize, Rights, VirtAddr, VirtRange};

/// Width of a virtual address: four levels of tables.
pub const ADDRESS_BITS: u32 = 48;

/// The number of an address space, as a device names it: 20 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pasid(u32);

impl Pasid {
    /// Width of a PASID in the PCIe and IOMMU formats.
    pub const BITS: u32 = 20;

    /// The PASID with this number, or `None` if it has more than 20 bits.
    pub const fn new(number: u32) -> Option<Self> {
        if number >> Self::BITS == 0 { Some(Pasid(number)) } else { None }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Debug for Pasid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pasid({})", self.0)
    }
}

impl fmt::Display for Pasid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Where a page leads and what it grants.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Translation {
    /// The first 4 KiB frame of the page.
    pub pfn: u64,
    /// The size of the page.
    pub size: PageSize,
    /// What it grants.
    pub rights: Rights,
}

impl Translation {
    /// The 4 KiB frame that `addr` leads to. Only the offset of `addr` in the
    /// page counts: the translation does not know its own address.
    pub const fn frame(&self, addr: VirtAddr) -> u64 {
        self.pfn + (addr.page_offset(self.size) >> PageSize::Base.shift())
    }

    /// The 4 KiB of this translation that hold `addr`.
    pub const fn at(&self, addr: VirtAddr) -> Self {
        Translation { pfn: self.frame(addr), size: PageSize::Base, rights: self.rights }
    }
}

impl fmt::Debug for Translation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Translation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "frame {:#x} ({} {})", self.pfn, self.size, self.rights)
    }
}

/// Whose translations an invalidation drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pasids {
    /// Those of one address space.
    One(Pasid),
    /// Those of all.
    All,
}

/// What an invalidation drops: every translation of these PASIDs of which a
/// byte lies in the range, whatever its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    /// Whose.
    pub pasids: Pasids,
    /// Which addresses.
    pub range: VirtRange,
}

impl Scope {
    /// A range of one address space.
    pub const fn range(pasid: Pasid, range: VirtRange) -> Self {
        Scope { pasids: Pasids::One(pasid), range }
    }

    /// The page of this size that holds `addr`, of one address space.
    pub const fn page(pasid: Pasid, addr: VirtAddr, size: PageSize) -> Self {
        Self::range(pasid, VirtRange::page(addr, size))
    }

    /// What a subscriber was told, of the address space it is bound to. A size
    /// above 4 KiB widens the range to whole pages of it: cached pointers to,
    /// and walks through, the tables under the range are meant too.
    ///
    /// Widening by hand because the last page of 64 bits has no end.
    pub fn widened(pasid: Pasid, told: &Invalidation) -> Self {
        let start = told.range.start().align_down(told.size);
        let last = told.range.end().as_u64() | (told.size.bytes() - 1);
        let end = if told.range.end().is_aligned(told.size) {
            told.range.end()
        } else {
            VirtAddr::new(last.saturating_add(1))
        };
        Self::range(pasid, VirtRange::new(start, end).unwrap_or(told.range))
    }

    /// All of one address space.
    pub const fn pasid(pasid: Pasid) -> Self {
        Self::range(pasid, VirtRange::ALL)
    }

    /// Everything.
    pub const ALL: Self = Scope { pasids: Pasids::All, range: VirtRange::ALL };

    pub(crate) fn names(&self, pasid: u32) -> bool {
        match self.pasids {
            Pasids::One(one) => one.get() == pasid,
            Pasids::All => true,
        }
    }

    /// The numbers of the first and the last 4 KiB page, or `None` if there is
    /// no page.
    pub(crate) fn pages(&self) -> Option<(u64, u64)> {
        if self.range.is_empty() {
            return None;
        }
        let shift = PageSize::Base.shift();
        let last_byte = (self.range.end().as_u64() - 1).min((1 << ADDRESS_BITS) - 1);
        let first = self.range.start().as_u64() >> shift;
        let last = last_byte >> shift;
        (first <= last).then_some((first, last))
    }
}

/// Why an access was not translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// There is no translation: nothing is mapped there, or the PASID is not bound.
    NotPresent {
        /// The address space.
        pasid: Pasid,
        /// The address that was accessed.
        addr: VirtAddr,
    },
    /// The page is mapped and does not grant the access.
    NotGranted {
        /// The address space.
        pasid: Pasid,
        /// The address that was accessed.
        addr: VirtAddr,
        /// What was asked for.
        access: Access,
    },
    /// The address has more than 48 bits; no table can map it.
    TooWide {
        /// The address that was accessed.
        addr: VirtAddr,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::NotPresent { pasid, addr } => {
                write!(f, "nothing is mapped at {addr} of pasid {pasid}, or the pasid is not bound")
            }
            Fault::NotGranted { pasid, addr, access } => {
                write!(f, "the page at {addr} of pasid {pasid} does not grant a {access}")
            }
            Fault::TooWide { addr } => {
                write!(f, "{addr} has more than {ADDRESS_BITS} bits; no table can map it")
            }
        }
    }
}

impl core::error::Error for Fault {}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn a_large_size_widens_what_was_told() {
        let pasid = Pasid(1);
        let told = |start, end, size| {
            let range = VirtRange::new(VirtAddr::new(start), VirtAddr::new(end)).unwrap();
            let range = Scope::widened(pasid, &Invalidation::new(range, size)).range;
            (range.start().as_u64(), range.end().as_u64())
        };
        assert_eq!(told(0x20_1000, 0x20_2000, PageSize::Huge), (0x20_0000, 0x40_0000));
        assert_eq!(told(0x20_0000, 0x40_0000, PageSize::Huge), (0x20_0000, 0x40_0000));
        assert_eq!(told(0x20_1234, 0x20_1235, PageSize::Base), (0x20_1000, 0x20_2000));
        assert_eq!(told(0, u64::MAX, PageSize::Huge), (0, u64::MAX));
    }

    #[test]
    fn pages_end_where_addresses_do() {
        let last_page = (1 << (ADDRESS_BITS - 12)) - 1;
        assert_eq!(Scope::ALL.pages(), Some((0, last_page)));
        let beyond = VirtRange::sized(VirtAddr::new(1 << ADDRESS_BITS), 4096);
        assert_eq!(Scope::range(Pasid(1), beyond).pages(), None);
        assert_eq!(Scope::range(Pasid(1), VirtRange::EMPTY).pages(), None);
    }
}
