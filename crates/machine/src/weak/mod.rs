//! Steps under `ra`: which messages a load may read, and where a store may go.
//!
//! What the memory does is in [`views`](crate::views); here is what each step
//! of a thread asks of it. A state holds the number of a memory, and in the
//! slots of words and tables the last value of each, so that what asks for the
//! present finds it where it is under the other models.

mod caches;
mod covered;
mod effects;
mod holds;
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
use crate::views::{MOST_MESSAGES, Memories, Memory};
use crate::world::{Failed, World};

/// Memory under `ra`.
#[derive(Debug)]
pub struct Weak {
    /// The number of the memory.
    number: Slot,
    /// What the locations are.
    slots: Vec<Slot>,
    /// Which of them are entries, and which are words of frames.
    tables: Vec<bool>,
    contents: Vec<bool>,
    /// The locations of lower entries, by table and page.
    entries: Vec<Vec<usize>>,
    /// Of upper entries, by address space and block; none with one level.
    upper: Vec<Vec<usize>>,
    /// How many blocks there are.
    blocks: usize,
    /// Of software TLBs, by page.
    softs: Vec<Vec<usize>>,
    /// By cache and page: the locations of entries that its walks may end at.
    ends: Vec<Vec<Vec<usize>>>,
    /// By cache: all that it holds is written out, because what it fills from
    /// changes with a context, or holds more than its walks find.
    explicit: Vec<bool>,
    memories: Memories,
}

/// How many messages newer than one that was read are told apart.
const AGES: u32 = MOST_MESSAGES as u32 + 1;

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
    /// Memory of these words, of frames' words, and of what caches fill from.
    pub(crate) fn new(
        slots: &mut Slots,
        shape: &Shape,
        (words, contents): (&[Slot], &[Vec<Slot>]),
        [entries, upper, softs]: [&[Vec<Slot>]; 3],
        threads: usize,
    ) -> Weak {
        slots.next_family();
        let number = slots.natural(0);
        let pages = 0..shape.pages.len();
        let mut locations: Vec<Slot> = words.to_vec();
        locations.extend(contents.iter().flatten());
        let first = locations.len();
        let mut located = |lists: &[Vec<Slot>], wanted: &dyn Fn(usize, usize) -> bool| {
            let mut places = Vec::new();
            for (list, slots) in lists.iter().enumerate() {
                let mut place = Vec::new();
                for (at, slot) in slots.iter().enumerate() {
                    // What nobody uses has no location.
                    if !wanted(list, at) {
                        place.push(usize::MAX);
                        continue;
                    }
                    // Pages of two blocks have one entry in a table: what is in
                    // one slot is one location.
                    let known = locations[first..].iter().position(|own| own == slot);
                    place.push(known.map_or(locations.len(), |known| first + known));
                    if known.is_none() {
                        locations.push(*slot);
                    }
                }
                places.push(place);
            }
            places
        };
        // With one level of tables the entry of a page has one place.
        let in_use = |table: usize, page: usize| {
            shape.two_levels
                || (0..shape.spaces.len())
                    .any(|space| shape.first_table(space, shape.pages[page].block) == table)
        };
        let entries = located(entries, &in_use);
        let upper = located(upper, &|_, _| shape.two_levels);
        let softs = located(softs, &|_, _| true);
        let ends = |at: usize, page: usize| -> Vec<usize> {
            let block = shape.pages[page].block;
            let of = |space: usize| entries[shape.first_table(space, block)][page];
            match shape.caches[root(shape, at)].source {
                Source::Soft(soft) => vec![softs[soft][page]],
                Source::Table if shape.two_levels => {
                    entries.iter().map(|entries| entries[page]).collect()
                }
                Source::Roots => (0..shape.spaces.len()).map(of).collect(),
                Source::Table | Source::Nothing => vec![of(shape.caches[at].space)],
                Source::Context(_) | Source::Cache(_) => Vec::new(),
            }
        };
        let ends: Vec<Vec<Vec<usize>>> = (0..shape.caches.len())
            .map(|at| pages.clone().map(|page| ends(at, page)).collect())
            .collect();
        let explicit = |at: usize| match shape.caches[at].source {
            Source::Context(_) => true,
            Source::Cache(_) => {
                let is = shape.caches[root(shape, at)].source;
                shape.two_levels || matches!(is, Source::Context(_) | Source::Roots)
            }
            _ => false,
        };
        let explicit = (0..shape.caches.len()).map(explicit).collect();
        let initial = slots.initial();
        let values: Vec<i64> = locations.iter().map(|slot| initial.get(*slot)).collect();
        let memories = Memories::default();
        memories.number(Memory::new(&values, threads, shape.caches.len() * shape.blocks.len()));
        let is = |range: std::ops::Range<usize>| {
            (0..locations.len()).map(|at| range.contains(&at)).collect()
        };
        Weak {
            number,
            tables: is(first..locations.len()),
            contents: is(words.len()..first),
            slots: locations,
            entries,
            upper,
            blocks: shape.blocks.len(),
            softs,
            ends,
            explicit,
            memories,
        }
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
}

/// The cache at the end of a chain: what it fills from is no cache, or the one
/// that a context has loaded.
fn root(shape: &Shape, cache: usize) -> usize {
    match shape.caches[cache].source {
        Source::Cache(source) => root(shape, source),
        _ => cache,
    }
}

/// Whether a cache fills from another one, or is it.
fn is_above(shape: &Shape, cache: usize, source: usize) -> bool {
    cache == source
        || match shape.caches[cache].source {
            Source::Cache(next) => is_above(shape, next, source),
            Source::Context(context) => {
                let is = &shape.contexts[context];
                (is.cache..is.cache + is.tags).contains(&source)
            }
            _ => false,
        }
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
            | Op::MapEntry { .. }
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

    /// Software reads an entry, or walks: any entries that it may find, and then
    /// as if those were the ones that are there.
    fn weak_look(&self, state: &State, thread: usize, op: &Op, each: Each<'_>) {
        let weak = self.world.weak();
        let memory = weak.memory(state);
        let found = match op {
            Op::ReadEntry { entry, .. } => self.slot_of(state, thread, entry).map(|slot| {
                let location = weak.location(slot);
                memory.readable(thread, location).map(|at| vec![(location, at)]).collect()
            }),
            Op::PageBehind { address, space, .. }
            | Op::Probe { address, space, .. }
            | Op::EnterFault { address, space, .. }
            | Op::MapEntry { address, space, .. } => {
                let page = self.page_at(self.value(state, thread, address));
                let upper = matches!(op, Op::MapEntry { .. });
                let walks = |page| self.soft_walks(&memory, thread, (*space, page), upper);
                page.map(walks).ok_or(Failed::Page)
            }
            _ => unreachable!("these are the steps that read an entry"),
        };
        let found: Vec<Vec<(usize, usize)>> = match found {
            Ok(found) => found,
            Err(why) => return self.failed(state, why, each),
        };
        for way in found {
            let mut memory = memory.clone();
            let mut seen = state.clone();
            let mut age = 0;
            for (location, at) in &way {
                age = age * AGES + (memory.last(*location) - at) as u32;
                seen.set(weak.slots[*location], memory.messages[*location][*at].value);
                memory.read(thread, *location, *at, false, false);
            }
            // A reference is only taken to a page that somebody has: whoever
            // finds it free looks again.
            let gone = |frame: usize| state.get(self.world.frames[frame]) != crate::pages::LIVE;
            let found = way
                .last()
                .and_then(|(location, at)| entry::frame(memory.messages[*location][*at].value));
            if age != 0 && matches!(op, Op::PageBehind { .. }) && found.is_some_and(gone) {
                continue;
            }
            self.strong_step(&seen, thread, op, &mut |choice, next| {
                let mut memory = memory.clone();
                if self.effect_of(&seen, thread, op, choice, &next, &mut memory).is_err() {
                    return self.failed(state, Failed::Page, each);
                }
                // Under the lock of the table the pointer to it is looked at once
                // more.
                let again = |(location, at): &(usize, usize)| {
                    memory.readable(thread, *location).contains(at)
                };
                if matches!(op, Op::MapEntry { lock: Some(_), .. }) && !way.iter().all(again) {
                    return;
                }
                let mut next = next;
                self.close(&mut next, memory);
                each(choice + age * AGE, next);
            });
        }
    }

    /// The entries that a walk in software may find for a page; only the upper
    /// one if that is all that is asked for. What it reads through a pointer is
    /// not older than what came along with the pointer.
    fn soft_walks(
        &self,
        memory: &Memory,
        thread: usize,
        (space, page): (usize, usize),
        upper_only: bool,
    ) -> Vec<Vec<(usize, usize)>> {
        let weak = self.world.weak();
        let shape = self.world.shape();
        let block = shape.pages[page].block;
        if !shape.two_levels {
            let location = weak.entries[shape.first_table(space, block)][page];
            return match upper_only {
                true => vec![Vec::new()],
                false => memory.readable(thread, location).map(|at| vec![(location, at)]).collect(),
            };
        }
        let mut ways = Vec::new();
        let upper = weak.upper[space][block];
        for at in memory.readable(thread, upper) {
            let message = &memory.messages[upper][at];
            let table = entry::table(message.value).filter(|_| !upper_only);
            match table.and_then(|table| weak.entries.get(table)) {
                Some(entries) => {
                    let leaf = entries[page];
                    let range = memory.readable(thread, leaf);
                    let first = range.start.max(message.view.at(leaf));
                    ways.extend((first..range.end).map(|below| vec![(upper, at), (leaf, below)]));
                }
                None => ways.push(vec![(upper, at)]),
            }
        }
        ways
    }

    /// The state at the beginning, with what caches hold.
    pub(crate) fn weak_begin(&self, state: &mut State) {
        let memory = self.world.weak().memory(state);
        self.close(state, memory);
    }

    /// Puts a memory into a state, in the one way in which it is written.
    fn close(&self, state: &mut State, mut memory: Memory) {
        let world = &self.world;
        let weak = world.weak();
        if state.get(world.error) != 0 {
            return;
        }
        if memory.messages.iter().any(|list| list.len() > MOST_MESSAGES) {
            return self.fail(state, Failed::Stores);
        }
        weak.saturate(world, state, &mut memory);
        let runs = |thread: usize| !world.ended(state, thread) && world.alive(state, thread);
        memory.normalize(&runs, &|floor, location| weak.walks(world, state, floor, location));
        for (location, slot) in weak.slots.iter().enumerate() {
            state.set(*slot, memory.value(location));
        }
        let mut next = state.clone();
        self.mmu.refill(world, &mut next, &|cache, place| {
            weak.found(world, state, &memory, cache, place).map(|found| found.value).collect()
        });
        *state = next;
        state.set(weak.number, weak.memories.number(memory));
    }
}
