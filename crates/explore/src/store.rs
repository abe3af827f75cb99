//! The visited set: every state once, exactly, in the order of the levels.
//!
//! A state lives in one of a fixed number of shards, by its hash. A shard keeps
//! its states in an array, level behind level, and finds them by a table of
//! indices with open addressing. So the frontier needs no memory of its own,
//! and a witness is found by walking back through the arrays.

use crate::packed::Packed;

/// Shards; a constant, so that no order depends on the number of threads.
pub(crate) const SHARDS: usize = 32;
const SHARD_BITS: u32 = SHARDS.trailing_zeros();

/// No state.
const EMPTY: u32 = u32::MAX;

pub(crate) struct Shard<S> {
    states: Vec<S>,
    /// Indices into `states`; a power of two of them.
    table: Vec<u32>,
    /// Where each level begins in `states`.
    levels: Vec<usize>,
}

impl<S: Packed> Shard<S> {
    fn new() -> Self {
        Shard { states: Vec::new(), table: vec![EMPTY; 64], levels: vec![0] }
    }

    /// Whether the state is new.
    #[inline]
    pub(crate) fn insert(&mut self, state: S, hash: u64) -> bool {
        // At most seven eighths full.
        if (self.states.len() + 1) * 8 > self.table.len() * 7 {
            self.grow();
        }
        let mask = self.table.len() - 1;
        let mut slot = slot_of(hash, mask);
        loop {
            match self.table[slot] {
                EMPTY => break,
                index if self.states[index as usize] == state => return false,
                _ => slot = (slot + 1) & mask,
            }
        }
        let index = u32::try_from(self.states.len()).expect("fewer than 2^32 states in a shard");
        self.table[slot] = index;
        self.states.push(state);
        true
    }

    fn contains(&self, state: &S, hash: u64) -> bool {
        let mask = self.table.len() - 1;
        let mut slot = slot_of(hash, mask);
        while self.table[slot] != EMPTY {
            if self.states[self.table[slot] as usize] == *state {
                return true;
            }
            slot = (slot + 1) & mask;
        }
        false
    }

    #[cold]
    fn grow(&mut self) {
        let size = self.table.len() * 2;
        self.table.clear();
        self.table.resize(size, EMPTY);
        for (index, state) in self.states.iter().enumerate() {
            let mut slot = slot_of(state.hash(), size - 1);
            while self.table[slot] != EMPTY {
                slot = (slot + 1) & (size - 1);
            }
            self.table[slot] = index as u32;
        }
    }

    /// The states of a level.
    pub(crate) fn level(&self, depth: usize) -> &[S] {
        let begin = self.levels.get(depth).copied().unwrap_or(self.states.len());
        let end = self.levels.get(depth + 1).copied().unwrap_or(self.states.len());
        &self.states[begin..end]
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

    pub(crate) fn insert(&mut self, state: S) -> bool {
        let hash = state.hash();
        self.shards[shard_of(hash)].insert(state, hash)
    }

    /// Whether the state is in this level.
    pub(crate) fn contains(&self, state: &S) -> bool {
        let hash = state.hash();
        self.shards[shard_of(hash)].contains(state, hash)
    }

    /// What was inserted since the last call is a level of its own.
    pub(crate) fn begin_level(&mut self) {
        for shard in &mut self.shards {
            shard.levels.push(shard.states.len());
        }
    }

    pub(crate) fn level_len(&self, depth: usize) -> usize {
        self.shards.iter().map(|shard| shard.level(depth).len()).sum()
    }

    /// The states of a level, in an order that depends on nothing but the model.
    pub(crate) fn level(&self, depth: usize) -> impl Iterator<Item = &S> {
        self.shards.iter().flat_map(move |shard| shard.level(depth))
    }

    pub(crate) fn len(&self) -> u64 {
        self.shards.iter().map(|shard| shard.states.len() as u64).sum()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.shards.iter().map(Shard::bytes).sum()
    }
}
