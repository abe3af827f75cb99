//! A subscriber of both kinds that writes down what it is told, and that can
//! be made to refuse or to panic.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use mmu_notifier::protocol::{PageSize, VirtRange};
use mmu_notifier::{
    Atomic, Blockable, Invalidation, Notifier, RangeInfo, SecondaryTlb, WouldBlock,
};

use super::world::{Span, World};

/// Its atomics are always the standard library's: settings, not part of a model.
pub(crate) struct Recorder<'w> {
    pub(crate) name: &'static str,
    world: &'w World,
    caches_absent: bool,
    /// Refuse range starts that must not block.
    pub(crate) busy: AtomicBool,
    /// How many more callbacks succeed before one panics; negative: all of them.
    fuse: AtomicI32,
}

impl<'w> Recorder<'w> {
    pub(crate) fn new(name: &'static str, world: &'w World) -> Self {
        Recorder {
            name,
            world,
            caches_absent: false,
            busy: AtomicBool::new(false),
            fuse: AtomicI32::new(-1),
        }
    }

    /// One that caches absent entries.
    pub(crate) fn caching_absent(name: &'static str, world: &'w World) -> Self {
        Recorder { caches_absent: true, ..Recorder::new(name, world) }
    }

    /// Makes the callback panic that comes after `more` others.
    pub(crate) fn panic_after(&self, more: i32) {
        self.fuse.store(more, Ordering::Relaxed);
    }

    fn burn(&self) {
        let left = self.fuse.load(Ordering::Relaxed);
        if left >= 0 {
            self.fuse.store(left - 1, Ordering::Relaxed);
        }
        assert!(left != 0, "{} panics as it was told to", self.name);
    }
}

// SAFETY: INV-TOLD: it holds no translations.
unsafe impl SecondaryTlb for Recorder<'_> {
    fn invalidate_range(&self, invalidation: &Invalidation, _context: Atomic<'_>) {
        self.burn();
        let size = if invalidation.size == PageSize::Huge { " and tables" } else { "" };
        let range = Span(invalidation.range);
        self.world.note(format_args!("tell {} {range}{size}", self.name));
    }

    fn caches_absent(&self) -> bool {
        self.caches_absent
    }

    fn release(&self) {
        self.burn();
        self.world.note(format_args!("release {}", self.name));
    }
}

// SAFETY: INV-MIRROR: it holds no translations.
unsafe impl Notifier for Recorder<'_> {
    fn range_start(&self, info: &RangeInfo) -> Result<(), WouldBlock> {
        self.burn();
        if self.busy.load(Ordering::Relaxed) && info.blockable == Blockable::No {
            self.world.note(format_args!("refuse {}", self.name));
            return Err(WouldBlock);
        }
        self.world.note(format_args!("start {} {}", self.name, Span(info.range)));
        Ok(())
    }

    fn range_end(&self, info: &RangeInfo) {
        self.burn();
        self.world.note(format_args!("end {} {}", self.name, Span(info.range)));
    }

    fn test_and_clear_young(&self, range: VirtRange, flush: bool, _context: Atomic<'_>) -> bool {
        self.burn();
        let how = if flush { "flush" } else { "keep" };
        self.world.note(format_args!("young {} {} {how}", self.name, Span(range)));
        self.busy.load(Ordering::Relaxed)
    }

    fn release(&self) {
        self.burn();
        self.world.note(format_args!("release {}", self.name));
    }
}
