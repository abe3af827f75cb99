//! What a translation cache can keep: one entry, and how a slot of the state
//! says which entries are there.

use shootdown_step::value::entry;

/// A translation as hardware sees it. Accessed and execute bits are not part of
/// it; the dirty bit is one of writable entries, where hardware cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Nothing is there, or nothing that any access is granted by: hardware
    /// does not tell an absent entry from one without rights.
    Absent,
    /// One page.
    Small { frame: usize, write: bool, dirty: bool },
    /// All pages of a block, which lie in frames one after the other.
    Large { first: usize, write: bool, dirty: bool },
}

impl Entry {
    /// A lower entry, or one of a software TLB.
    pub(crate) fn small(value: i64, cares: bool) -> Entry {
        let dirty = cares && dirty(value);
        match (entry::frame(value), rights(value)) {
            (Some(frame), Some(write)) => Entry::Small { frame, write, dirty: write && dirty },
            _ => Entry::Absent,
        }
    }

    /// An upper entry that maps.
    pub(crate) fn large(value: i64, cares: bool) -> Entry {
        let dirty = cares && dirty(value);
        match (entry::frame(value), rights(value)) {
            (Some(first), Some(write)) => Entry::Large { first, write, dirty: write && dirty },
            _ => Entry::Absent,
        }
    }

    /// The frame of the page with this place in its block, and whether it may
    /// be written.
    pub(crate) fn at(self, index: usize) -> Option<(usize, bool)> {
        match self {
            Entry::Absent => None,
            Entry::Small { frame, write, .. } => Some((frame, write)),
            Entry::Large { first, write, .. } => Some((first + index, write)),
        }
    }

    /// Whether it answers an access instead of refusing it, and with which
    /// frame.
    pub(crate) fn grants(self, index: usize, write: bool) -> Option<usize> {
        self.at(index).filter(|(_, may)| *may || !write).map(|(frame, _)| frame)
    }

    /// Its bit in a slot: absence first, then two for each frame.
    pub(crate) fn bit(self) -> i64 {
        match self {
            Entry::Absent => 1,
            Entry::Small { frame, write, .. } | Entry::Large { first: frame, write, .. } => {
                1 << (1 + 2 * frame + usize::from(write))
            }
        }
    }

    /// Whether it is a writable entry that was dirty.
    pub(crate) fn dirty(self) -> bool {
        match self {
            Entry::Absent => false,
            Entry::Small { dirty, .. } | Entry::Large { dirty, .. } => dirty,
        }
    }

    /// The entry of a bit of a slot that keeps small or large ones, dirty ones
    /// or the others.
    pub(crate) fn of_bit(bit: u32, large: bool, dirty: bool) -> Entry {
        let Some(number) = bit.checked_sub(1) else { return Entry::Absent };
        let (frame, write) = ((number / 2) as usize, number % 2 == 1);
        if large {
            Entry::Large { first: frame, write, dirty }
        } else {
            Entry::Small { frame, write, dirty }
        }
    }
}

/// Whether writes are granted; nothing if no access is.
fn rights(value: i64) -> Option<bool> {
    entry::grants(value, false).then(|| entry::grants(value, true))
}

fn dirty(value: i64) -> bool {
    value & entry::DIRTY != 0
}

/// The bits that are set, lowest first.
pub(crate) fn bits(mask: i64) -> impl Iterator<Item = u32> {
    (0..i64::BITS).filter(move |bit| mask >> bit & 1 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shootdown_step::value::{MOST_FRAMES, page_of_frame};

    #[test]
    fn entries_and_their_bits() {
        let mut seen = 0;
        for frame in 0..MOST_FRAMES {
            for write in [false, true] {
                let flags = if write { entry::READ | entry::WRITE } else { entry::READ };
                let value = entry::make(page_of_frame(frame), flags);
                for (large, entry) in
                    [(false, Entry::small(value, false)), (true, Entry::large(value, false))]
                {
                    let bit = bits(entry.bit()).next().expect("one bit");
                    assert_eq!(Entry::of_bit(bit, large, false), entry);
                }
                let bit = Entry::small(value, false).bit();
                assert!(bit > 0 && seen & bit == 0, "bits are natural numbers and differ");
                seen |= bit;
            }
        }
    }

    #[test]
    fn an_entry_without_rights_is_absent_to_hardware() {
        assert_eq!(Entry::small(entry::make(1, 0), false), Entry::Absent);
        assert_eq!(Entry::small(0, false), Entry::Absent);
        assert_eq!(Entry::large(entry::make(3, entry::WRITE), false).grants(1, false), Some(3));
        assert_eq!(Entry::small(entry::make(3, entry::READ), false).grants(0, true), None);
    }

    #[test]
    fn only_a_writable_entry_is_dirty_and_only_if_somebody_cares() {
        let value = entry::make(1, entry::READ | entry::WRITE | entry::DIRTY);
        assert!(Entry::small(value, true).dirty() && !Entry::small(value, false).dirty());
        assert!(!Entry::small(value & !entry::WRITE, true).dirty());
        assert_eq!(Entry::small(value | entry::INVALID, true), Entry::Absent);
    }
}
