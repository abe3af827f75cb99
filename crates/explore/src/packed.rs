//! States as bits.

use crate::layout::Field;

/// A state of fixed size. `u64` where it fits, otherwise `[u64; N]`.
pub trait Packed: Copy + Eq + Ord + Send + Sync + 'static {
    /// Words of 64 bits.
    const WORDS: usize;

    /// All bits clear.
    const ZERO: Self;

    /// One of the words.
    fn word(&self, index: usize) -> u64;

    /// One of the words, to be changed.
    fn word_mut(&mut self, index: usize) -> &mut u64;

    /// The value of a field.
    #[inline]
    fn get(&self, field: Field) -> u64 {
        self.word(field.word()) >> field.shift() & field.mask()
    }

    /// Changes the value of a field.
    ///
    /// # Panics
    ///
    /// In debug builds if the value does not fit.
    #[inline]
    fn set(&mut self, field: Field, value: u64) {
        debug_assert!(value & !field.mask() == 0, "{value} does not fit in {field:?}");
        let word = self.word_mut(field.word());
        *word = *word & !(field.mask() << field.shift()) | value << field.shift();
    }

    /// Spreads the states evenly; the same in every run.
    #[inline]
    fn hash(&self) -> u64 {
        let mut hash = 0u64;
        for index in 0..Self::WORDS {
            hash = mix(hash ^ self.word(index));
        }
        hash
    }
}

/// The finaliser of splitmix64: every input bit reaches every output bit.
#[inline]
fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

impl Packed for u64 {
    const WORDS: usize = 1;
    const ZERO: Self = 0;

    #[inline]
    fn word(&self, _: usize) -> u64 {
        *self
    }
    #[inline]
    fn word_mut(&mut self, _: usize) -> &mut u64 {
        self
    }
}

impl<const N: usize> Packed for [u64; N] {
    const WORDS: usize = N;
    const ZERO: Self = [0; N];

    #[inline]
    fn word(&self, index: usize) -> u64 {
        self[index]
    }
    #[inline]
    fn word_mut(&mut self, index: usize) -> &mut u64 {
        &mut self[index]
    }
}
