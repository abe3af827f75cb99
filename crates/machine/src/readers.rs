//! Readers and who waits for them: RCU, SRCU, processors with interrupts off.
//!
//! Who waits takes two steps. The first notes how often each thread has to
//! leave before all that is inside now has ended; the second goes on when that
//! has happened. A section that begins after the first step is not waited for.
//!
//! Under `tso` leaving is a store like dropping a lock: it waits its turn behind
//! the stores of the section, so that whoever has waited sees them all. Nothing
//! else is ordered: an access behind the section may pass a store in it. A
//! thread may therefore be inside a new section while its buffer still has the
//! end of an old one, and the first step counts both.

use shootdown_step::Op;
use shootdown_step::shape::ReaderDomain;

use crate::machine::Machine;
use crate::mmu::Mmu;
use crate::state::{Slot, Slots, State};
use crate::world::{Failed, World};

/// Where the numbers of one sort of readers lie.
#[derive(Clone, Debug)]
pub struct ReaderSlots {
    /// How deep each thread is inside.
    pub depth: Vec<Slot>,
    /// What a store buffer holds for the end of a thread's section. Memory
    /// never has anything there.
    pub ends: Vec<Slot>,
    /// How often each other thread has to leave before this one goes on.
    pub awaits: Vec<Slot>,
}

impl ReaderSlots {
    pub(crate) fn declare(slots: &mut Slots, domains: usize, threads: usize) -> Vec<ReaderSlots> {
        let each = |slots: &mut Slots| -> Vec<Slot> {
            slots.next_family();
            (0..threads).map(|_| slots.natural(0)).collect()
        };
        (0..domains)
            .map(|_| ReaderSlots { depth: each(slots), ends: each(slots), awaits: each(slots) })
            .collect()
    }
}

impl World {
    /// Bits that the count of one thread takes in a number that has all.
    fn count_bits(&self) -> usize {
        // A buffer holds six ends, and one section is open.
        if self.setting.model.has_buffers() { 3 } else { 1 }
    }

    /// Whether a thread is inside a section that a sort of grace period waits
    /// for.
    pub(crate) fn inside(&self, state: &State, readers: usize, thread: usize) -> bool {
        self.counted(readers).any(|at| state.get(self.readers[at].depth[thread]) != 0)
    }

    /// Readers that count as readers of this sort.
    pub(crate) fn counted(&self, readers: usize) -> impl Iterator<Item = usize> {
        let domains = &self.shape().readers;
        let rcu = domains[readers] == ReaderDomain::Rcu;
        let also =
            move |at: &usize| *at == readers || rcu && domains[*at] == ReaderDomain::Interrupts;
        (0..domains.len()).filter(also)
    }

    /// Whether a thread is where it must not sleep, whatever locks it has.
    pub(crate) fn in_atomic_section(&self, state: &State, thread: usize) -> bool {
        let domains = self.shape().readers.iter().zip(&self.readers);
        let mut atomic = domains.filter(|(domain, _)| !domain.sleeps());
        atomic.any(|(_, slots)| state.get(slots.depth[thread]) != 0)
    }

    /// Whether a thread is inside of any section.
    pub(crate) fn in_any_section(&self, state: &State, thread: usize) -> bool {
        self.readers.iter().any(|slots| state.get(slots.depth[thread]) != 0)
    }

    /// The readers and the thread whose section's end a slot stands for.
    fn end_of(&self, slot: Slot) -> Option<(usize, usize)> {
        self.readers.iter().enumerate().find_map(|(readers, slots)| {
            let thread = slots.ends.iter().position(|end| *end == slot)?;
            Some((readers, thread))
        })
    }
}

impl<M: Mmu> Machine<M> {
    /// A step of a reader, or of who waits; `false` if it has to wait.
    pub(crate) fn reader_step(
        &self,
        state: &mut State,
        thread: usize,
        op: &Op,
    ) -> Result<bool, Failed> {
        let world = &self.world;
        match op {
            Op::Enter { into, readers } => {
                let slot = world.readers[*readers].depth[thread];
                state.set(slot, state.get(slot) + 1);
                self.keep(state, thread, *into, 0);
            }
            Op::Leave { readers } => self.leave(state, thread, *readers)?,
            Op::GraceStart { readers, space } => {
                // Who has interrupts off and waits for those of the others
                // waits for ever once they do the same.
                let domain = world.shape().readers[*readers];
                if !domain.sleeps() && world.inside(state, *readers, thread) {
                    return Err(Failed::Sleep);
                }
                let counts = (0..world.threads.len())
                    .filter(|at| space.is_none_or(|space| world.shape().agents[*at].space == space))
                    .map(|at| self.ends_due(state, *readers, at) << (at * world.count_bits()))
                    .sum();
                state.set(world.readers[*readers].awaits[thread], counts);
            }
            Op::GraceWait { readers } => {
                return Ok(state.get(world.readers[*readers].awaits[thread]) == 0);
            }
            _ => unreachable!("a step of readers"),
        }
        Ok(true)
    }

    fn leave(&self, state: &mut State, thread: usize, readers: usize) -> Result<(), Failed> {
        let world = &self.world;
        let slot = world.readers[readers].depth[thread];
        match state.get(slot) {
            0 => return Err(Failed::Unlock),
            depth => state.set(slot, depth - 1),
        }
        for at in 0..world.readers.len() {
            let counts = world.counted(at).any(|counted| counted == readers);
            if counts && !world.inside(state, at, thread) {
                // What waits behind nothing has happened.
                if self.drained(state, thread) {
                    self.left(state, at, thread);
                } else {
                    self.store(state, thread, world.readers[at].ends[thread], 1);
                }
            }
        }
        Ok(())
    }

    /// How often a thread has to leave until everything that it has begun has
    /// ended for all to see.
    fn ends_due(&self, state: &State, readers: usize, thread: usize) -> i64 {
        let world = &self.world;
        let end = world.readers[readers].ends[thread].index() as i64 + 1;
        let buffer = world.threads[thread].buffer.iter();
        let buffered = buffer.filter(|(at, _)| state.get(*at) == end).count() as i64;
        buffered + i64::from(world.inside(state, readers, thread))
    }

    /// The end of a section is there for all to see.
    fn left(&self, state: &mut State, readers: usize, thread: usize) {
        let bits = self.world.count_bits();
        let one = 1 << (thread * bits);
        let all = ((1 << bits) - 1) * one;
        for slot in &self.world.readers[readers].awaits {
            let awaits = state.get(*slot);
            if awaits & all != 0 {
                state.set(*slot, awaits - one);
            }
        }
    }

    /// The oldest store of a buffer has reached memory: a word, or the end of a
    /// section.
    pub(crate) fn reached_memory(&self, state: &mut State, slot: Slot, value: i64) {
        match self.world.end_of(slot) {
            Some((readers, thread)) => self.left(state, readers, thread),
            None => self.commit(state, slot, value),
        }
    }
}
