//! Steps under `ra`: which messages a load may read, and where a store may go.
//!
//! What the memory does is in [`views`](crate::views); here is what each step
//! of a thread asks of it. A state holds the number of a memory, and in the
//! slots of words and tables the last value of each, so that what asks for the
//! present finds it where it is under the other models.

mod caches;
mod covered;
mod effects;
mod words;

use shootdown_litmus::primitives::Order;
use shootdown_step::shape::Source;
use shootdown_step::value::{WORD_BASE, entry};
use shootdown_step::{Access, Op, Shape, Target};

pub use covered::covered;

use crate::machine::Machine;
use crate::mmu::Mmu;
use crate::run::Each;
use crate::state::{Slot, Slots, State};
use crate::views::{MOST_MESSAGES, Memories, Memory, Message};
use crate::world::{Failed, World};

/// Memory under `ra`.
#[derive(Debug)]
pub struct Weak {
    /// The number of the memory.
    number: Slot,
    /// What the locations are.
    slots: Vec<Slot>,
    /// By cache and page: the location of the entry that it fills from.
    walks: Vec<Vec<usize>>,
    /// By cache: which locations these are.
    walked: Vec<Vec<bool>>,
    memories: Memories,
}

/// Choices of a step under `ra`: how many messages are newer than the one that
/// was read, or behind which the store went, times this.
pub const AGE: u32 = 1 << 8;

/// A choice taken apart: what the machine chose, and how many stores to the
/// same word are newer than the one that was read, or come after the one that
/// was written.
pub fn age_of(choice: u32) -> (u32, u32) {
    (choice % AGE, choice / AGE)
}

impl Weak {
    /// Memory of these words, and of what caches fill from.
    pub(crate) fn new(
        slots: &mut Slots,
        shape: &Shape,
        mut locations: Vec<Slot>,
        (entries, softs): (&[Vec<Slot>], &[Vec<Slot>]),
        threads: usize,
    ) -> Weak {
        slots.next_family();
        let number = slots.natural(0);
        let pages = 0..shape.pages.len();
        // One level of tables: the entry of a page has one place.
        let entry = |space: usize, page: usize| {
            entries[shape.first_table(space, shape.pages[page].block)][page]
        };
        for space in 0..shape.spaces.len() {
            locations.extend(pages.clone().map(|page| entry(space, page)));
        }
        locations.extend(softs.iter().flatten());
        let walk = |at: usize, page: usize| {
            let slot = match shape.caches[root(shape, at)].source {
                Source::Soft(soft) => softs[soft][page],
                _ => entry(shape.caches[at].space, page),
            };
            locations.iter().position(|own| *own == slot).expect("it was declared")
        };
        let walks: Vec<Vec<usize>> = (0..shape.caches.len())
            .map(|at| pages.clone().map(|page| walk(at, page)).collect())
            .collect();
        let walked = walks
            .iter()
            .map(|walks| (0..locations.len()).map(|at| walks.contains(&at)).collect())
            .collect();
        let first = slots.initial();
        let values: Vec<i64> = locations.iter().map(|slot| first.get(*slot)).collect();
        let memories = Memories::default();
        memories.number(Memory::new(&values, threads, shape.caches.len()));
        Weak { number, slots: locations, walks, walked, memories }
    }

    /// The location of a slot.
    pub fn location(&self, slot: Slot) -> usize {
        let at = self.slots.iter().position(|own| *own == slot);
        at.expect("what threads access is a location")
    }

    /// The memory of a state.
    pub fn memory(&self, state: &State) -> Memory {
        (*self.memories.memory(state.get(self.number))).clone()
    }

    /// The entries that a cache may have found for a page.
    fn found<'m>(
        &self,
        memory: &'m Memory,
        cache: usize,
        page: usize,
    ) -> impl Iterator<Item = &'m Message> {
        let location = self.walks[cache][page];
        memory.messages[location][memory.floors[cache].at(location)..].iter()
    }
}

/// The cache at the end of a chain: what it fills from is no cache.
fn root(shape: &Shape, cache: usize) -> usize {
    match shape.caches[cache].source {
        Source::Cache(source) => root(shape, source),
        _ => cache,
    }
}

/// Whether a cache fills from another one, or is it.
fn is_above(shape: &Shape, cache: usize, source: usize) -> bool {
    cache == source
        || matches!(shape.caches[cache].source,
            Source::Cache(next) if is_above(shape, next, source))
}

impl World {
    /// Memory under `ra`; only steps under `ra` ask for it.
    pub(crate) fn weak(&self) -> &Weak {
        self.weak.as_ref().expect("only steps under ra ask")
    }
}

impl<M: Mmu> Machine<M> {
    /// The next step of a thread under `ra`.
    pub(crate) fn weak_step(&self, state: &State, thread: usize, op: &Op, each: Each<'_>) {
        match op {
            Op::Access { into, pointer, index, access } => {
                let pointer = self.value(state, thread, pointer);
                let index = self.value(state, thread, index);
                if pointer < WORD_BASE {
                    let at = (pointer, index);
                    return self.weak_translated(state, thread, at, access, *into, each);
                }
                let word = usize::try_from(pointer - WORD_BASE + index).ok();
                match word.and_then(|word| self.world.words.get(word)) {
                    Some(slot) => {
                        let memory = self.world.weak().memory(state);
                        self.weak_access(state, thread, memory, (*slot, 0), access, *into, each);
                    }
                    None => self.failed(state, Failed::Page, each),
                }
            }
            Op::PageWrite { page, index, value } => {
                let at = self.word_of_page(state, thread, page, index);
                let access = Access::Store(Order::Once, value.clone());
                self.weak_word(state, thread, at, &access, None, each);
            }
            Op::PageRead { into, page, index } => {
                let at = self.word_of_page(state, thread, page, index);
                let access = Access::Load(Order::Once);
                self.weak_word(state, thread, at, &access, *into, each);
            }
            Op::CopyPage { to, from } => self.weak_copy(state, thread, to, from, each),
            Op::ReadEntry { .. }
            | Op::PageBehind { .. }
            | Op::Probe { .. }
            | Op::EnterFault { .. }
                if self.world.target == Target::Machine =>
            {
                self.weak_look(state, thread, op, each);
            }
            _ => self.strong_step(state, thread, op, &mut |choice, next| {
                self.weak_effect(state, thread, op, choice, next, each);
            }),
        }
    }

    fn failed(&self, state: &State, why: Failed, each: Each<'_>) {
        let mut next = state.clone();
        self.fail(&mut next, why);
        each(0, next);
    }

    /// Software reads an entry: any that it may, and then as if that were the
    /// one that is there.
    fn weak_look(&self, state: &State, thread: usize, op: &Op, each: Each<'_>) {
        let weak = self.world.weak();
        let shape = self.world.shape();
        let of_address = |address, space: usize| {
            let page = self.page_at(self.value(state, thread, address))?;
            let table = shape.first_table(space, shape.pages[page].block);
            Some(self.world.entries[table][page])
        };
        let slot = match op {
            Op::ReadEntry { entry, .. } => self.slot_of(state, thread, entry).ok(),
            Op::PageBehind { address, space, .. }
            | Op::Probe { address, space, .. }
            | Op::EnterFault { address, space, .. } => of_address(address, *space),
            _ => unreachable!("these are the steps that read an entry"),
        };
        let Some(slot) = slot else { return self.failed(state, Failed::Page, each) };
        let location = weak.location(slot);
        let memory = weak.memory(state);
        let last = memory.last(location);
        for at in memory.readable(thread, location) {
            let mut memory = memory.clone();
            let value = memory.messages[location][at].value;
            // A reference is only taken to a page that somebody has: whoever
            // finds it free looks again.
            let gone = |frame: usize| state.get(self.world.frames[frame]) != crate::pages::LIVE;
            if at < last
                && matches!(op, Op::PageBehind { .. })
                && entry::frame(value).is_some_and(gone)
            {
                continue;
            }
            memory.read(thread, location, at, false, false);
            let mut seen = state.clone();
            seen.set(slot, value);
            self.strong_step(&seen, thread, op, &mut |choice, mut next| {
                self.close(&mut next, memory.clone());
                each(choice + (last - at) as u32 * AGE, next);
            });
        }
    }

    /// Puts a memory into a state, in the one way in which it is written.
    fn close(&self, state: &mut State, mut memory: Memory) {
        let weak = self.world.weak();
        if state.get(self.world.error) != 0 {
            return;
        }
        if memory.messages.iter().any(|list| list.len() > MOST_MESSAGES) {
            return self.fail(state, Failed::Stores);
        }
        let runs =
            |thread: usize| !self.world.ended(state, thread) && self.world.alive(state, thread);
        memory.normalize(&runs, &weak.walked);
        for (location, slot) in weak.slots.iter().enumerate() {
            state.set(*slot, memory.value(location));
        }
        let shape = self.world.shape();
        self.mmu.refill(&self.world, state, &|cache, page| {
            // A table that no CPU loads is in no TLB of theirs.
            if shape.caches[root(shape, cache)].source == Source::Nothing {
                return Vec::new();
            }
            weak.found(&memory, cache, page).map(|message| message.value).collect()
        });
        state.set(weak.number, weak.memories.number(memory));
    }
}
