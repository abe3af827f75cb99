//! The visited set: every state once, exactly, in the order of the levels.
//!
//! A state lives in one of a fixed number of shards, by its hash. A shard keeps
//! its states in an array, level behind level, and finds them by a table of
//! indices with open addressing. So the frontier needs no memory of its own,
//! and a witness is found by walking back through the arrays.

use std::ops::Range;

use crate::packed::Packed;

/// Shards; a constant, so that no order depends on the number of threads.
pub(crate) const SHARDS: usize = 32;
const SHARD_BITS: u32 = SHARDS.trailing_zeros();

/// No state: the table is never so full that an index has all bits set.
const EMPTY: u32 = u32::MAX;

/// Where a state is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) shard: usize,
    /// Its index in the shard.
    pub(crate) index: usize,
}

pub(crate) struct Shard<S> {
    states: Vec<S>,
    /// Indices into `states`, each with a [tag](tag_of); a power of two of them.
    table: Vec<u32>,
    /// Where each level begins in `states`.
    levels: Vec<usize>,
}

impl<S: Packed> Shard<S> {
    fn new() -> Self {
        Shard { states: Vec::new(), table: vec![EMPTY; 64], levels: vec![0] }
    }

    /// Puts a state into the level that is being filled, unless it is there
    /// already or in an earlier one. Whether it is in that level now.
    #[inline]
    pub(crate) fn insert(&mut self, state: S, hash: u64) -> bool {
        // At most seven eighths full.
        if (self.states.len() + 1) * 8 > self.table.len() * 7 {
            self.grow();
        }
        let slot = match self.slot(&state, hash) {
            Ok(index) => return index >= self.levels[self.levels.len() - 1],
            Err(slot) => slot,
        };
        let index = u32::try_from(self.states.len()).expect("fewer than 2^32 states in a shard");
        self.table[slot] = index | tag_of(hash, self.table.len() - 1);
        self.states.push(state);
        true
    }

    /// The index of the state, or else the slot to put it in.
    #[inline]
    fn slot(&self, state: &S, hash: u64) -> Result<usize, usize> {
        let mask = self.table.len() - 1;
        let tag = tag_of(hash, mask);
        let mut slot = slot_of(hash, mask);
        loop {
            let entry = self.table[slot];
            if entry == EMPTY {
                return Err(slot);
            }
            let index = entry as usize & mask;
            if entry & !(mask as u32) == tag && self.states[index] == *state {
                return Ok(index);
            }
            slot = (slot + 1) & mask;
        }
    }

    #[cold]
    fn grow(&mut self) {
        let size = self.table.len() * 2;
        self.table.clear();
        self.table.resize(size, EMPTY);
        for (index, state) in self.states.iter().enumerate() {
            let hash = state.hash();
            let mut slot = slot_of(hash, size - 1);
            while self.table[slot] != EMPTY {
                slot = (slot + 1) & (size - 1);
            }
            self.table[slot] = index as u32 | tag_of(hash, size - 1);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.states.len()
    }

    /// Where the states of a level are.
    pub(crate) fn range(&self, depth: usize) -> Range<usize> {
        let begin = |depth| self.levels.get(depth).copied().unwrap_or(self.states.len());
        begin(depth)..begin(depth + 1)
    }

    /// The states of a level.
    pub(crate) fn level(&self, depth: usize) -> &[S] {
        &self.states[self.range(depth)]
    }

    fn bytes(&self) -> u64 {
        (self.states.capacity() * size_of::<S>() + self.table.capacity() * size_of::<u32>()) as u64
    }
}

/// The shard of a state takes the top bits of its hash, its slot the rest.
#[inline]
fn slot_of(hash: u64, mask: usize) -> usize {
    (hash >> 8) as usize & mask
}

/// An index is less than the size of its table. The bits of its entry that are
/// left hold some of the hash, which saves most looks at states that are others.
#[inline]
fn tag_of(hash: u64, mask: usize) -> u32 {
    // Bits that neither the shard takes nor the slot.
    (hash >> 27) as u32 & !(mask as u32)
}

#[inline]
pub(crate) fn shard_of(hash: u64) -> usize {
    (hash >> (64 - SHARD_BITS)) as usize
}

pub(crate) struct Store<S> {
    pub(crate) shards: Vec<Shard<S>>,
}

impl<S: Packed> Store<S> {
    pub(crate) fn new() -> Self {
        Store { shards: (0..SHARDS).map(|_| Shard::new()).collect() }
    }

    pub(crate) fn insert(&mut self, state: S) {
        let hash = state.hash();
        self.shards[shard_of(hash)].insert(state, hash);
    }

    /// Whether a state is there.
    #[inline]
    pub(crate) fn holds(&self, state: &S, hash: u64) -> bool {
        self.shards[shard_of(hash)].slot(state, hash).is_ok()
    }

    pub(crate) fn find(&self, state: &S) -> Option<Place> {
        let hash = state.hash();
        let shard = shard_of(hash);
        let index = self.shards[shard].slot(state, hash).ok()?;
        Some(Place { shard, index })
    }

    pub(crate) fn at(&self, place: Place) -> &S {
        &self.shards[place.shard].states[place.index]
    }

    /// What was inserted since the last call is a level of its own.
    pub(crate) fn begin_level(&mut self) {
        for shard in &mut self.shards {
            shard.levels.push(shard.states.len());
        }
    }

    /// Levels, the one that is being filled included.
    pub(crate) fn levels(&self) -> usize {
        self.shards[0].levels.len()
    }

    pub(crate) fn level_len(&self, depth: usize) -> usize {
        self.shards.iter().map(|shard| shard.level(depth).len()).sum()
    }

    /// The states of a level, in an order that depends on nothing but the model.
    pub(crate) fn level(&self, depth: usize) -> impl Iterator<Item = &S> {
        self.shards.iter().flat_map(move |shard| shard.level(depth))
    }

    pub(crate) fn len(&self) -> u64 {
        self.shards.iter().map(|shard| shard.len() as u64).sum()
    }

    /// The level of a state.
    pub(crate) fn depth(&self, place: Place) -> usize {
        let levels = &self.shards[place.shard].levels;
        levels.partition_point(|begin| *begin <= place.index) - 1
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.shards.iter().map(Shard::bytes).sum()
    }
}
