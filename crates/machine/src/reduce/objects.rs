//! What steps share, numbered: the bits of a footprint.

use crate::world::World;

/// Words of a set of objects.
const WORDS: usize = 8;

/// A set of objects. Two objects may share a bit if there are many; that only
/// makes steps look more dependent than they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bits([u64; WORDS]);

impl Bits {
    pub(super) fn add(&mut self, object: usize) {
        let at = object % (64 * WORDS);
        self.0[at / 64] |= 1 << (at % 64);
    }

    pub(super) fn join(&mut self, other: &Bits) {
        for (word, other) in self.0.iter_mut().zip(other.0) {
            *word |= other;
        }
    }

    fn keep(&mut self, other: &Bits) {
        for (word, other) in self.0.iter_mut().zip(other.0) {
            *word &= other;
        }
    }

    #[inline]
    pub(super) fn meets(&self, other: &Bits) -> bool {
        self.0.iter().zip(&other.0).fold(0, |both, (word, other)| both | word & other) != 0
    }
}

/// What a step, or all that somebody may still do, touches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Foot {
    pub(super) reads: Bits,
    pub(super) writes: Bits,
    /// Locks that are waited for and taken.
    pub(super) takes: Bits,
    /// Locks that are looked at without waiting.
    pub(super) tries: Bits,
    /// Locks that are dropped.
    pub(super) drops: Bits,
}

impl Foot {
    pub(super) fn join(&mut self, other: &Foot) {
        self.reads.join(&other.reads);
        self.writes.join(&other.writes);
        self.takes.join(&other.takes);
        self.tries.join(&other.tries);
        self.drops.join(&other.drops);
    }

    /// What is in both.
    pub(super) fn keep(&mut self, other: &Foot) {
        self.reads.keep(&other.reads);
        self.writes.keep(&other.writes);
        self.takes.keep(&other.takes);
        self.tries.keep(&other.tries);
        self.drops.keep(&other.drops);
    }

    /// Whether a step with this footprint depends on what somebody else may do
    /// before it.
    ///
    /// A lock that is dropped is held until then: who waits for it does nothing
    /// before, and only who looks at it can tell. For one that is taken and is
    /// free, the other way round.
    pub(super) fn meets(&self, future: &Foot) -> bool {
        self.writes.meets(&future.reads)
            || self.writes.meets(&future.writes)
            || self.reads.meets(&future.writes)
            || self.takes.meets(&future.takes)
            || self.takes.meets(&future.tries)
            || self.drops.meets(&future.tries)
            || self.tries.meets(&future.takes)
            || self.tries.meets(&future.tries)
            || self.tries.meets(&future.drops)
    }
}

/// A kind of object that steps share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Words that nobody remaps.
    Word,
    /// Locks.
    Lock,
    /// Lower entries, by table and page.
    Entry,
    /// Upper entries, by address space and block.
    Upper,
    /// Entries of software TLBs.
    Soft,
    /// What a cache may hold for a page.
    Set,
    /// Ideal memory: what a name leads to.
    Name,
    /// Words of a frame.
    Contents,
    /// Whether somebody has a frame.
    Frame,
    /// References to a frame.
    References,
    /// Whether software has marked a frame as dirty.
    Mark,
    /// Descriptors of a queue.
    Queue,
    /// What faults may grant.
    Rights,
    /// Whether an address space has been made.
    Born,
    /// Whether a thread is inside a section, by readers and thread.
    Reader,
    /// Whom a thread waits for, by readers and thread.
    Grace,
    /// What a context has loaded.
    Context,
    /// Whether an object is there.
    Life,
}

const KINDS: usize = 18;

/// Where the numbers of each kind begin, and how wide its rows are.
#[derive(Debug)]
pub(super) struct Objects {
    base: [usize; KINDS],
    width: [usize; KINDS],
}

impl Objects {
    pub(super) fn of(world: &World) -> Objects {
        let shape = world.shape();
        let (pages, spaces) = (shape.pages.len(), shape.spaces.len());
        let frames = shape.frames.len();
        // Rows and their width, in the order of the kinds.
        let sizes = [
            (1, world.words.len()),
            (1, world.locks.len()),
            (shape.tables, pages),
            (spaces, shape.blocks.len()),
            (shape.softs.len(), pages),
            (shape.caches.len(), pages),
            (spaces, pages),
            (1, frames),
            (1, frames),
            (1, frames),
            (1, frames),
            (1, shape.queues.len()),
            (spaces, pages),
            (1, spaces),
            (shape.readers.len(), world.threads.len()),
            (shape.readers.len(), world.threads.len()),
            (1, shape.contexts.len()),
            (1, shape.lives.len()),
        ];
        let mut objects = Objects { base: [0; KINDS], width: [0; KINDS] };
        let mut next = 0;
        for (kind, (rows, width)) in sizes.into_iter().enumerate() {
            objects.base[kind] = next;
            objects.width[kind] = width;
            next += rows * width;
        }
        objects
    }

    /// The number of an object; kinds without rows have row 0.
    pub(super) fn at(&self, kind: Kind, row: usize, column: usize) -> usize {
        let kind = kind as usize;
        self.base[kind] + row * self.width[kind] + column
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_objects() {
        let (mut a, mut b) = (Bits::default(), Bits::default());
        a.add(70);
        b.add(71);
        assert!(!a.meets(&b));
        b.add(70 + 64 * WORDS);
        assert!(a.meets(&b), "they share a bit");
    }

    #[test]
    fn who_waits_for_a_lock_does_nothing_before_it_is_dropped() {
        let (mut drops, mut takes, mut tries) = (Foot::default(), Foot::default(), Foot::default());
        drops.drops.add(3);
        takes.takes.add(3);
        tries.tries.add(3);
        assert!(!drops.meets(&takes));
        assert!(drops.meets(&tries));
        assert!(takes.meets(&takes));
        assert!(takes.meets(&tries) && tries.meets(&takes));
    }
}
