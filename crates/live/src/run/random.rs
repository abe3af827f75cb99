//! Random numbers that are the same for the same seed.

/// xorshift64*.
pub(crate) struct Random(u64);

impl Random {
    /// A stream of its own for each thread.
    pub(crate) fn new(seed: u64, stream: u64) -> Random {
        let mixed =
            (seed ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        Random(mixed | 1)
    }

    /// Less than `below`.
    pub(crate) fn below(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % below.max(1)
    }

    /// A little while, each time another.
    pub(crate) fn delay(&mut self) {
        match self.below(8) {
            0 => std::thread::yield_now(),
            1 | 2 => {}
            scale => {
                for _ in 0..self.below(1 << (2 * scale)) {
                    std::hint::spin_loop();
                }
            }
        }
    }
}
