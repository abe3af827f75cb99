//! From the address of a page's descriptor to the number of its frame.
//!
//! Probes say `page=0xffd4000001071980`, the allocator's tracepoints `pfn=0x41c66`.
//! The kernel keeps its descriptors in one array, 64 bytes each; where it begins is
//! chosen at boot. Two events that name both numbers of different pages and agree
//! give it away. Text whose pointers are hashed never agrees, and is not believed.

/// Bytes of a descriptor, `struct page` on 64-bit kernels.
const DESCRIPTOR: u64 = 64;

/// Where the array begins, as far as it is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Vmemmap {
    base: Option<u64>,
    candidate: Option<(u64, u64)>,
    hashed: bool,
}

impl Vmemmap {
    /// An event named both.
    pub fn learn(&mut self, page: u64, pfn: u64) {
        // Addresses of the kernel are in the upper half. Some tools print the number
        // of the frame in both places.
        if self.base.is_some() || self.hashed || page >> 63 == 0 {
            return;
        }
        let base = page.wrapping_sub(pfn.wrapping_mul(DESCRIPTOR));
        match self.candidate {
            None => self.candidate = Some((base, pfn)),
            Some((_, known)) if known == pfn => {}
            Some((agreed, _)) if agreed == base => self.base = Some(base),
            // They are not places in one array.
            Some(_) => self.hashed = true,
        }
    }

    /// A guess that is known to be one: the page of a cleared entry and that which the
    /// same thread takes out of the reverse map next are mostly the same.
    pub fn guess(&mut self, page: u64, pfn: u64) {
        if self.base.is_some() || self.hashed || page >> 63 == 0 {
            return;
        }
        let base = page.wrapping_sub(pfn.wrapping_mul(DESCRIPTOR));
        // Wrong guesses contradict each other, so one that is repeated for another
        // page is none of these.
        match self.candidate {
            Some((agreed, known)) if agreed == base && known != pfn => self.base = Some(base),
            _ => self.candidate = Some((base, pfn)),
        }
    }

    /// The frame of a descriptor.
    pub fn pfn(&self, page: u64) -> Option<u64> {
        let offset = page.checked_sub(self.base?)?;
        (offset % DESCRIPTOR == 0).then_some(offset / DESCRIPTOR)
    }

    /// Whether frames can be told.
    pub fn is_known(&self) -> bool {
        self.base.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_that_agree() {
        let mut map = Vmemmap::default();
        map.learn(0xffd4_0000_0107_1980, 0x41c66);
        assert_eq!(map.pfn(0xffd4_0000_0107_1980), None, "one says nothing");
        map.learn(0xffd4_0000_0107_1980, 0x41c66);
        assert!(!map.is_known(), "the same again says nothing");
        map.learn(0xffd4_0000_0111_4000, 0x44500);
        assert_eq!(map.pfn(0xffd4_0000_0106_1f40), Some(0x4187d));
        assert_eq!(map.pfn(0xffd4_0000_0106_1f41), None, "between two descriptors");
        assert_eq!(map.pfn(0x1000), None);
    }

    #[test]
    fn hashed_pointers_and_frames_are_no_descriptors() {
        let mut map = Vmemmap::default();
        map.learn(0x9dc6_f136, 0x1b33f6);
        map.learn(0x2ae2cd, 0x2ae2cd);
        assert!(!map.is_known());
        map.learn(0xffff_0000_9dc6_f136, 1);
        map.learn(0xffff_0000_6b05_b59d, 2);
        map.learn(0xffff_0000_6b05_b5dd, 3);
        assert!(!map.is_known(), "they have contradicted each other once");
    }

    #[test]
    fn guesses_that_are_repeated() {
        let mut map = Vmemmap::default();
        map.guess(0xffd4_0000_0000_0040 + 0x1000, 1);
        map.guess(0xffd4_0000_0000_0080, 2);
        map.guess(0xffd4_0000_0000_0140, 5);
        assert_eq!(map.pfn(0xffd4_0000_0000_0100), Some(4));
    }
}
