//! What stands in an invalidation queue.

use std::ops::Range;

use crate::world::World;

/// An invalidation that was posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor {
    /// Which caches forget: one, or those of all tags of a TLB.
    pub(crate) caches: Range<usize>,
    /// Which pages, as bits.
    pub(crate) pages: u64,
    /// They keep how they came to them.
    pub(crate) leaf: bool,
}

impl World {
    /// As a number of a state; never 0, which is no descriptor.
    pub(crate) fn number(&self, descriptor: &Descriptor) -> i64 {
        let Descriptor { caches, pages, leaf } = descriptor;
        let all = i64::from(caches.len() > 1);
        let cache = (caches.start as i64) << 1 | all;
        let pages = cache << self.shape().pages.len() | *pages as i64;
        (pages << 1 | i64::from(*leaf)) + 1
    }

    /// The descriptor of a number.
    pub(crate) fn posted(&self, number: i64) -> Option<Descriptor> {
        let number = u64::try_from(number - 1).ok()?;
        let (leaf, number) = (number & 1 != 0, number >> 1);
        let (pages, cache) =
            (number & self.shape().all_pages(), number >> self.shape().pages.len());
        let (all, first) = (cache & 1 != 0, (cache >> 1) as usize);
        let caches = if all { self.shape().every_tag(first) } else { first..first + 1 };
        Some(Descriptor { caches, pages, leaf })
    }
}
