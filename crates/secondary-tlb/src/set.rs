//! One set of a TLB: a cache line with three ways.
//!
//! # Protocol
//!
//! Readers take no lock and write nothing. A writer makes the version odd,
//! changes the ways, and makes it even again; a reader that sees an odd
//! version, or another one afterwards, has missed. It never waits: a walk
//! answers instead.
//!
//! `invalidations` counts those that touched the set. A fill reads it *before*
//! it walks and installs, under the lock, only if it has not moved. So of a
//! fill and an invalidation that meet either the fill finds the count moved,
//! or the invalidation finds the entry: no walk that began before an
//! invalidation leaves an entry behind. This is how hardware kills walks under
//! way.

use crate::sync::atomic::{AtomicU64, Ordering, fence};
use crate::sync::relax;

/// With two words for the set itself this makes 64 bytes: a hit touches one line.
pub(crate) const WAYS: usize = 3;

/// The tag of a way that holds nothing.
const EMPTY: u64 = 0;

struct Way {
    tag: AtomicU64,
    data: AtomicU64,
}

#[repr(align(64))]
pub(crate) struct Set {
    /// Odd while a writer changes the ways.
    version: AtomicU64,
    invalidations: AtomicU64,
    ways: [Way; WAYS],
}

/// An entry, and the count of invalidations at the moment it was read.
pub(crate) struct Hit {
    pub(crate) data: u64,
    pub(crate) invalidations: u64,
}

impl Set {
    pub(crate) fn new() -> Self {
        Set {
            version: AtomicU64::new(0),
            invalidations: AtomicU64::new(0),
            ways: core::array::from_fn(|_| Way {
                tag: AtomicU64::new(EMPTY),
                data: AtomicU64::new(0),
            }),
        }
    }

    /// Looks for an entry. May miss one that a writer is busy beside.
    #[inline]
    pub(crate) fn probe(&self, tag: u64) -> Option<Hit> {
        // Acquire: pairs with the release that ended the last write.
        let version = self.version.load(Ordering::Acquire);
        let invalidations = self.invalidations.load(Ordering::Relaxed);
        let way = self.ways.iter().find(|way| way.tag.load(Ordering::Relaxed) == tag)?;
        let data = way.data.load(Ordering::Relaxed);
        // Pairs with the fence of `begin`: whoever read a word of a write that
        // had begun sees its odd version.
        fence(Ordering::Acquire);
        let clean = version & 1 == 0 && self.version.load(Ordering::Relaxed) == version;
        clean.then_some(Hit { data, invalidations })
    }

    /// The count of invalidations. What is walked after this call sees the
    /// table changes that precede the invalidations counted.
    #[inline]
    pub(crate) fn invalidations(&self) -> u64 {
        self.invalidations.load(Ordering::Acquire)
    }

    /// Installs an entry, unless an invalidation came in since `before` was
    /// read, `still` says no, or the set is busy.
    pub(crate) fn install(
        &self,
        tag: u64,
        data: u64,
        before: u64,
        still: impl FnOnce() -> bool,
    ) -> bool {
        let Some(writing) = self.try_begin() else { return false };
        // Pairs with the fence of a wide invalidation: either it sees that we
        // are writing, or `still` sees that it has begun.
        fence(Ordering::SeqCst);
        let unmoved = self.invalidations.load(Ordering::Relaxed) == before && still();
        #[cfg(shuttle)]
        let unmoved = unmoved || crate::mutation::is(crate::mutation::INSTALL_UNCHECKED);
        if !unmoved {
            return false;
        }
        let way = &self.ways[self.victim(tag, writing.version)];
        way.tag.store(tag, Ordering::Relaxed);
        way.data.store(data, Ordering::Relaxed);
        true
    }

    /// The way with the same tag, an empty one, or the next in turn.
    fn victim(&self, tag: u64, version: u64) -> usize {
        let holds = |wanted| self.ways.iter().position(|w| w.tag.load(Ordering::Relaxed) == wanted);
        holds(tag).or_else(|| holds(EMPTY)).unwrap_or((version >> 1) as usize % WAYS)
    }

    /// Drops an entry if it is still that one. Not an invalidation: nothing
    /// else is affected, and a busy set is left alone.
    pub(crate) fn forget(&self, tag: u64, data: u64) {
        let Some(_writing) = self.try_begin() else { return };
        for way in &self.ways {
            if way.tag.load(Ordering::Relaxed) == tag && way.data.load(Ordering::Relaxed) == data {
                way.tag.store(EMPTY, Ordering::Relaxed);
            }
        }
    }

    /// Drops the entries whose tag matches and stops the fills under way.
    pub(crate) fn invalidate(&self, matches: impl Fn(u64) -> bool) {
        let _writing = self.begin();
        let count = self.invalidations.load(Ordering::Relaxed);
        // Release: a fill that sees the new count sees the table change too.
        self.invalidations.store(count.wrapping_add(1), Ordering::Release);
        for way in &self.ways {
            let tag = way.tag.load(Ordering::Relaxed);
            if tag != EMPTY && matches(tag) {
                way.tag.store(EMPTY, Ordering::Relaxed);
            }
        }
    }

    /// As [`invalidate`](Self::invalidate), but leaves a set without a match
    /// alone. Only after the caller has told the fills under way by other
    /// means, and a full fence.
    pub(crate) fn sweep(&self, matches: impl Fn(u64) -> bool) {
        // A writer that begins after this load sees the caller's fence.
        let version = self.version.load(Ordering::Acquire);
        let quiet = version & 1 == 0;
        let held = |way: &Way| {
            let tag = way.tag.load(Ordering::Relaxed);
            tag != EMPTY && matches(tag)
        };
        if !quiet || self.ways.iter().any(held) {
            self.invalidate(matches);
        }
    }

    fn begin(&self) -> Writing<'_> {
        loop {
            if let Some(writing) = self.try_begin() {
                return writing;
            }
            relax();
        }
    }

    #[inline]
    fn try_begin(&self) -> Option<Writing<'_>> {
        let version = self.version.load(Ordering::Relaxed);
        if version & 1 == 1 {
            return None;
        }
        self.version
            .compare_exchange(version, version + 1, Ordering::Acquire, Ordering::Relaxed)
            .ok()?;
        // Pairs with the fence of `probe`.
        fence(Ordering::Release);
        Some(Writing { set: self, version })
    }
}

/// The set is being changed; ends when dropped.
struct Writing<'s> {
    set: &'s Set,
    /// The even version before.
    version: u64,
}

impl Drop for Writing<'_> {
    #[inline]
    fn drop(&mut self) {
        self.set.version.store(self.version.wrapping_add(2), Ordering::Release);
    }
}
