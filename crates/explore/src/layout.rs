//! Which bits of a state hold what.

/// Some bits of a state.
///
/// Fields of one [`Layout`] do not overlap, and none lies across two words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Field {
    word: u8,
    shift: u8,
    width: u8,
}

impl Field {
    /// The word of the state that it lies in.
    #[inline]
    pub const fn word(self) -> usize {
        self.word as usize
    }

    /// Its lowest bit in that word.
    #[inline]
    pub const fn shift(self) -> u32 {
        self.shift as u32
    }

    /// Its bits, as the lowest ones of a word.
    #[inline]
    pub(crate) const fn mask(self) -> u64 {
        if self.width == 0 { 0 } else { u64::MAX >> (64 - self.width as u32) }
    }
}

/// Hands out fields, as narrow as their values allow.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// Bits used of each word.
    used: Vec<u32>,
}

impl Layout {
    /// Nothing is laid out yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A field for the numbers `0..values`. A field of one value takes no bits.
    ///
    /// # Panics
    ///
    /// If there are no values, or more than 256 words are needed.
    pub fn field(&mut self, values: u64) -> Field {
        assert!(values > 0, "a field has at least one value");
        let width = 64 - (values - 1).leading_zeros();
        // First fit: narrow fields fill the gaps that wide ones leave.
        let word = match self.used.iter().position(|used| used + width <= 64) {
            Some(word) => word,
            None => {
                self.used.push(0);
                self.used.len() - 1
            }
        };
        let shift = self.used[word];
        self.used[word] += width;
        let narrow = |number: u32| u8::try_from(number).expect("at most 64");
        Field {
            word: u8::try_from(word).expect("at most 256 words"),
            // A field of no bits at the end of a full word would shift by 64.
            shift: if width == 0 { 0 } else { narrow(shift) },
            width: narrow(width),
        }
    }

    /// Words of 64 bits that a state needs.
    pub fn words(&self) -> usize {
        self.used.len().max(1)
    }

    /// Bits that the fields take.
    pub fn bits(&self) -> u32 {
        self.used.iter().sum()
    }
}
