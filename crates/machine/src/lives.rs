//! Objects that come and go: records that are made and freed.
//!
//! Whoever reads or writes a word of an object, takes or drops a lock in it, or
//! is called for it, needs it to be there; a store that still waits in a buffer
//! does too. Freeing it twice is a use like any other.

use shootdown_litmus::primitives::LifeOp;
use shootdown_step::value::WORD_BASE;

use crate::machine::Machine;
use crate::mmu::Mmu;
use crate::state::{Slot, State};
use crate::world::{Failed, Seen, World};

/// What a state says of an object that is not there.
pub const GONE: i64 = 1;

impl World {
    /// The object that a lock is in.
    pub(crate) fn life_of_lock(&self, lock: usize) -> Option<usize> {
        self.shape().lives.iter().position(|life| life.locks.contains(&lock))
    }

    /// The object that a word is in.
    pub(crate) fn life_of_word(&self, word: usize) -> Option<usize> {
        self.lives_of_words.get(word).copied().flatten()
    }

    /// Whether nobody may use an object now.
    pub fn is_gone(&self, state: &State, life: usize) -> bool {
        state.get(self.gone[life]) == GONE
    }
}

impl<M: Mmu> Machine<M> {
    /// An object is made, freed, or has to be there.
    pub(crate) fn life_step(
        &self,
        state: &mut State,
        pointer: i64,
        op: LifeOp,
    ) -> Result<bool, Failed> {
        let world = &self.world;
        if pointer == 0 {
            // `kfree(NULL)`
            return if op == LifeOp::Free { Ok(true) } else { Err(Failed::Page) };
        }
        if pointer < WORD_BASE {
            return Err(Failed::Page);
        }
        let life = world.shape().life_at(pointer).ok_or(Failed::Page)?;
        if op == LifeOp::Make {
            state.set(world.gone[life], 0);
            for word in world.shape().lives[life].words.clone() {
                self.commit(state, world.words[word], 0);
            }
            return Ok(true);
        }
        if world.is_gone(state, life) {
            return Err(Failed::Lifetime);
        }
        if op == LifeOp::Free {
            Seen::note(&world.seen.events, 8);
            if self.store_waits(state, life) {
                return Err(Failed::Lifetime);
            }
            state.set(world.gone[life], GONE);
            // Nobody reads them any more, so their values tell no states apart.
            for word in world.shape().lives[life].words.clone() {
                state.set(world.words[word], 0);
            }
        }
        Ok(true)
    }

    /// Whether a store to an object has not reached memory yet.
    fn store_waits(&self, state: &State, life: usize) -> bool {
        let world = &self.world;
        let words: Vec<i64> = world.shape().lives[life]
            .words
            .clone()
            .map(|word| world.words[word].index() as i64 + 1)
            .collect();
        let buffers = world.threads.iter().flat_map(|thread| &thread.buffer);
        let mut waiting = buffers.map(|(at, _): &(Slot, Slot)| state.get(*at));
        waiting.any(|at| words.contains(&at))
    }
}
