//! What the numbers in registers and in memory mean.
//!
//! Every value is an `i64`. Its type is known from the text, so nothing marks
//! it here: an entry, a page, an address and a number may be the same bits.

/// A word that nobody wrote.
pub const UNDEFINED: i64 = i64::MIN;

/// Addresses of words begin here; below it are virtual addresses.
pub const WORD_BASE: i64 = 1 << 12;

/// Pages that hold tables begin here; below it are frames.
pub const TABLE_BASE: i64 = 64;

/// More frames than this have no bit in the sets of the machine.
pub const MOST_FRAMES: usize = 31;

/// The virtual address of a page; its neighbours are the next pages of the
/// test, and `PAGE_SIZE` is 1.
#[inline]
pub fn address_of_page(page: usize) -> i64 {
    page as i64 + 1
}

/// The page that an address is in.
#[inline]
pub fn page_of_address(address: i64) -> Option<usize> {
    (1..WORD_BASE).contains(&address).then(|| address as usize - 1)
}

/// The `struct page *` of a frame; NULL is 0.
#[inline]
pub fn page_of_frame(frame: usize) -> i64 {
    frame as i64 + 1
}

/// The frame of a `struct page *`.
#[inline]
pub fn frame_of_page(page: i64) -> Option<usize> {
    (1..=TABLE_BASE).contains(&page).then(|| page as usize - 1)
}

/// The `struct page *` of a table.
#[inline]
pub fn page_of_table(table: usize) -> i64 {
    TABLE_BASE + 1 + table as i64
}

/// The table of a `struct page *`.
#[inline]
pub fn table_of_page(page: i64) -> Option<usize> {
    (page > TABLE_BASE).then(|| (page - TABLE_BASE - 1) as usize)
}

/// Values of entries: a page and flags; an absent entry is 0.
pub mod entry {
    use super::{frame_of_page, table_of_page};

    /// Reads are granted.
    pub const READ: i64 = 1;
    /// Writes are granted.
    pub const WRITE: i64 = 2;
    /// Code may be run.
    pub const EXECUTE: i64 = 4;
    /// Dirty.
    pub const DIRTY: i64 = 8;
    /// Accessed.
    pub const YOUNG: i64 = 16;
    /// An upper entry that maps a huge page.
    pub const HUGE: i64 = 32;
    /// An upper entry that leads to a table.
    pub const TABLE: i64 = 64;
    /// Software has the entry, hardware does not see it.
    pub const INVALID: i64 = 128;
    /// Where the page begins.
    pub const PAGE_SHIFT: u32 = 8;

    /// The value that maps a page with flags.
    #[inline]
    pub fn make(page: i64, flags: i64) -> i64 {
        if page == 0 { 0 } else { page << PAGE_SHIFT | flags }
    }

    /// The page of a value, 0 if it is absent.
    #[inline]
    pub fn page(value: i64) -> i64 {
        value >> PAGE_SHIFT
    }

    /// The frame that a value maps.
    #[inline]
    pub fn frame(value: i64) -> Option<usize> {
        if value & TABLE == 0 { frame_of_page(page(value)) } else { None }
    }

    /// The table that an upper value leads to.
    #[inline]
    pub fn table(value: i64) -> Option<usize> {
        if value & TABLE != 0 { table_of_page(page(value)) } else { None }
    }

    /// Whether an access through the value is allowed. Writable is readable.
    #[inline]
    pub fn grants(value: i64, write: bool) -> bool {
        let wanted = if write { WRITE } else { READ | WRITE };
        value & INVALID == 0 && value & wanted != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_back() {
        for frame in 0..MOST_FRAMES {
            let value = entry::make(page_of_frame(frame), entry::READ | entry::WRITE);
            assert_eq!(entry::frame(value), Some(frame));
            assert_eq!(entry::table(value), None);
        }
        let value = entry::make(page_of_table(3), entry::TABLE);
        assert_eq!((entry::table(value), entry::frame(value)), (Some(3), None));
        assert_eq!(page_of_address(address_of_page(5)), Some(5));
        assert_eq!(page_of_address(0), None);
        assert_eq!(frame_of_page(0), None);
    }

    #[test]
    fn rights() {
        let read_only = entry::make(1, entry::READ);
        assert!(entry::grants(read_only, false) && !entry::grants(read_only, true));
        assert!(entry::grants(entry::make(1, entry::WRITE), false));
        assert!(!entry::grants(entry::make(1, 0), false), "PROT_NONE");
        assert!(!entry::grants(0, false));
        assert!(!entry::grants(read_only | entry::INVALID, false), "software only")
    }
}
