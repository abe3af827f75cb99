//! Walkers that do not look into the caches of CPUs.
//!
//! A store to a table stays in the CPU's cache until the line is written back:
//! by `clflush`, or by the cache itself at any time. So memory has a copy of
//! every table, which is never newer than what CPUs see, and a write-back is a
//! step. The copy is exact and not a set of values that memory may have: who
//! has seen a new entry knows that it was written back, and no later walk finds
//! the old one.
//!
//! Each entry is its own line. A real line has eight, which are written back
//! together; together is one of the orders in which they go alone.

use shootdown_step::value::entry;

use crate::state::{Slot, Slots, State};
use crate::world::World;

/// What memory has of the tables, if some walker reads it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    /// By the place of a slot among those of the tables; empty if all walkers
    /// are coherent.
    copies: Vec<Slot>,
}

impl Memory {
    pub(crate) fn declare(&mut self, world: &World, slots: &mut Slots) {
        if world.shape().caches.iter().any(|cache| cache.noncoherent) {
            slots.next_family();
            let initial = slots.initial();
            let copy = |slot| slots.natural(initial.get(Slot::at(slot)));
            let slots = world.tables().take(world.walked());
            self.copies = slots.map(copy).collect();
        }
    }

    /// Whether memory may be older than what CPUs see.
    pub(crate) fn lags(&self) -> bool {
        !self.copies.is_empty()
    }

    fn copy(&self, world: &World, slot: Slot) -> Option<Slot> {
        self.copies.get(slot.index().checked_sub(world.tables().start)?).copied()
    }

    /// A slot of a table as the walker of a cache reads it.
    pub(crate) fn read(&self, world: &World, state: &State, cache: usize, slot: Slot) -> i64 {
        match self.copy(world, slot) {
            Some(copy) if world.shape().caches[cache].noncoherent => state.get(copy),
            _ => state.get(slot),
        }
    }

    /// What a walk of a cache from the root finds for a page.
    pub(crate) fn walk(
        &self,
        world: &World,
        state: &State,
        cache: usize,
        space: usize,
        page: usize,
    ) -> i64 {
        let shape = world.shape();
        if !shape.caches[cache].noncoherent {
            return world.walk(state, space, page);
        }
        let block = shape.pages[page].block;
        let leaf = |table: usize| match world.entries.get(table) {
            Some(entries) => self.read(world, state, cache, entries[page]),
            None => 0,
        };
        if !shape.two_levels {
            return leaf(shape.first_table(space, block));
        }
        let upper = self.read(world, state, cache, world.upper[space][block]);
        match entry::table(upper) {
            _ if upper & entry::HUGE != 0 => world.part_of_huge(upper, page),
            Some(table) => leaf(table),
            None => 0,
        }
    }

    pub(crate) fn write_back(&self, world: &World, state: &mut State, slot: Slot) {
        if let Some(copy) = self.copy(world, slot) {
            state.set(copy, state.get(slot));
        }
    }

    /// Every entry that a cache may write back now.
    pub(crate) fn steps(&self, world: &World, state: &State, each: &mut dyn FnMut(u32, State)) {
        for (at, (slot, copy)) in world.tables().zip(&self.copies).enumerate() {
            if state.get(*copy) != state.get(Slot::at(slot)) {
                let mut next = state.clone();
                self.write_back(world, &mut next, Slot::at(slot));
                each(at as u32, next);
            }
        }
    }
}
