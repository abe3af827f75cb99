//! What stands in an invalidation queue.

use std::ops::Range;

use crate::world::World;

/// What was posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Descriptor {
    /// An invalidation.
    Invalidate {
        /// Which caches forget: one, or those of all tags of a TLB.
        caches: Range<usize>,
        /// Which pages, as bits.
        pages: u64,
        /// They keep how they came to them.
        leaf: bool,
    },
    /// A word gets a value when the queue comes to it.
    Write {
        /// Which word.
        word: usize,
        /// Its value, below [`WRITTEN`].
        value: usize,
    },
}

/// Values that a descriptor can write: below this.
pub(crate) const WRITTEN: usize = 16;

impl World {
    /// As a number of a state; never 0, which is no descriptor.
    pub(crate) fn number(&self, descriptor: &Descriptor) -> i64 {
        match descriptor {
            Descriptor::Invalidate { caches, pages, leaf } => {
                let all = i64::from(caches.len() > 1);
                let cache = (caches.start as i64) << 1 | all;
                let pages = cache << self.shape().pages.len() | *pages as i64;
                (pages << 2 | i64::from(*leaf)) + 1
            }
            Descriptor::Write { word, value } => (((word * WRITTEN + value) as i64) << 2 | 2) + 1,
        }
    }

    /// The descriptor of a number.
    pub(crate) fn posted(&self, number: i64) -> Option<Descriptor> {
        let number = u64::try_from(number - 1).ok()?;
        let (kind, number) = (number & 3, number >> 2);
        if kind == 2 {
            let (word, value) = (number as usize / WRITTEN, number as usize % WRITTEN);
            return Some(Descriptor::Write { word, value });
        }
        let (pages, cache) =
            (number & self.shape().all_pages(), number >> self.shape().pages.len());
        let (all, first) = (cache & 1 != 0, (cache >> 1) as usize);
        let caches = if all { self.shape().every_tag(first) } else { first..first + 1 };
        Some(Descriptor::Invalidate { caches, pages, leaf: kind == 1 })
    }
}
