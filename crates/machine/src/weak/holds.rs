//! What caches find and hold under `ra`: every message of an entry from a floor
//! on, and beside that what no walk finds any more.

use shootdown_step::shape::Source;
use shootdown_step::value::entry;

use super::{Weak, root};
use crate::mmu::Place;
use crate::state::State;
use crate::views::{Held, Holds, Memory, Message, View};
use crate::world::World;

/// An entry that a cache may have found, or may find now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'m> {
    /// Its value.
    pub value: i64,
    /// What came along with the pointer to its table, and with itself.
    brought: [Option<&'m View>; 2],
}

impl<'m> Found<'m> {
    fn of(message: &'m Message) -> Found<'m> {
        Found { value: message.value, brought: [None, Some(&message.view)] }
    }

    fn held(held: &'m Held) -> Found<'m> {
        Found { value: held.value, brought: [None, Some(&held.view)] }
    }

    /// Who goes through it has seen this place of a location.
    pub(super) fn knows(&self, location: usize) -> usize {
        self.brought.iter().flatten().map(|view| view.at(location)).max().unwrap_or(0)
    }

    /// To be kept: what came along matters for words of frames alone.
    fn to_hold(self, weak: &Weak) -> Option<Held> {
        let view = self.brought.iter().flatten().fold(None, |known: Option<View>, view| {
            let mut known = known.unwrap_or_else(|| (*view).clone());
            known.join(view);
            Some(known)
        });
        let mut view = view?;
        view.restrict(&weak.contents);
        entry::grants(self.value, false).then_some(Held { value: self.value, view })
    }
}

impl Weak {
    /// The address spaces whose tables a cache fills from now.
    fn spaces(&self, world: &World, state: &State, cache: usize) -> Vec<usize> {
        let shape = world.shape();
        match shape.caches[cache].source {
            Source::Table => vec![shape.caches[cache].space],
            Source::Roots => {
                let contexts = 0..shape.contexts.len();
                let its = contexts.filter(|context| world.tagged(state, *context) == cache);
                let mut spaces: Vec<usize> =
                    its.filter_map(|context| world.root(state, context)).collect();
                spaces.sort_unstable();
                spaces.dedup();
                spaces
            }
            _ => Vec::new(),
        }
    }

    /// Where the floors of a cache's walks in a block are kept.
    fn floor(&self, cache: usize, block: usize) -> usize {
        cache * self.blocks + block
    }

    /// Whether walks of a floor read a location now.
    pub(super) fn walks(
        &self,
        world: &World,
        state: &State,
        floor: usize,
        location: usize,
    ) -> bool {
        let shape = world.shape();
        let (cache, block) = (floor / shape.blocks.len(), floor % shape.blocks.len());
        if self.explicit[cache] || !self.tables[location] {
            return false;
        }
        let root = root(shape, cache);
        let pages = &shape.blocks[block];
        let ends_in = |list: &[usize]| pages.iter().any(|page| list[*page] == location);
        match shape.caches[root].source {
            Source::Soft(soft) => ends_in(&self.softs[soft]),
            Source::Table if shape.two_levels => {
                self.upper[shape.caches[root].space][block] == location
                    || self.entries.iter().any(|entries| ends_in(entries))
            }
            Source::Table | Source::Roots => self
                .spaces(world, state, root)
                .into_iter()
                .any(|space| ends_in(&self.entries[shape.first_table(space, block)])),
            // A table that no CPU loads is in no TLB of theirs.
            _ => false,
        }
    }

    /// The upper entries that a walk for a cache may find: messages from the
    /// one floor on for pointers to tables, from the other for huge pages.
    fn pointers<'m>(
        &self,
        world: &World,
        memory: &'m Memory,
        cache: usize,
        block: usize,
    ) -> impl Iterator<Item = &'m Message> + use<'m> {
        let space = world.shape().caches[cache].space;
        let upper = self.upper[space][block];
        let floor = self.floor(cache, block);
        let (pointers, huge) =
            (memory.floors[floor].at(upper), memory.huge_floors[floor].at(upper));
        let list = memory.messages[upper].iter().enumerate();
        list.filter(move |(at, message)| match entry::table(message.value) {
            Some(_) => *at >= pointers,
            None => *at >= huge,
        })
        .map(|(_, message)| message)
    }

    /// The lower entries that a walk for a cache may find through a pointer: no
    /// older than what came along with the pointer.
    fn below<'m>(
        &self,
        memory: &'m Memory,
        floor: usize,
        pointer: &'m Message,
        page: usize,
    ) -> impl Iterator<Item = Found<'m>> + use<'m> {
        let entries = entry::table(pointer.value).and_then(|table| self.entries.get(table));
        let leaf = entries.map(|entries| entries[page]);
        let list = leaf.map(|leaf| {
            let first = memory.floors[floor].at(leaf).max(pointer.view.at(leaf));
            &memory.messages[leaf][first..]
        });
        list.unwrap_or_default().iter().map(|message| Found {
            value: message.value,
            brought: [Some(&pointer.view), Some(&message.view)],
        })
    }

    /// What the walks of a cache that fills from tables or software may find at
    /// a page now, absent entries too.
    fn walked<'m>(
        &self,
        world: &World,
        state: &State,
        memory: &'m Memory,
        cache: usize,
        page: usize,
    ) -> Vec<Found<'m>> {
        let shape = world.shape();
        let block = shape.pages[page].block;
        let floor = self.floor(cache, block);
        let from = |location: usize| {
            memory.messages[location][memory.floors[floor].at(location)..].iter().map(Found::of)
        };
        match shape.caches[cache].source {
            Source::Soft(soft) => from(self.softs[soft][page]).collect(),
            Source::Table if shape.two_levels => self
                .pointers(world, memory, cache, block)
                .flat_map(|pointer| match entry::table(pointer.value) {
                    Some(_) => self.below(memory, floor, pointer, page).collect(),
                    None => Vec::new(),
                })
                .collect(),
            _ => {
                let spaces = self.spaces(world, state, cache).into_iter();
                spaces
                    .flat_map(|space| from(self.entries[shape.first_table(space, block)][page]))
                    .collect()
            }
        }
    }

    /// What a cache may hold at a place.
    pub(super) fn found<'m>(
        &'m self,
        world: &World,
        state: &State,
        memory: &'m Memory,
        cache: usize,
        place: Place,
    ) -> std::vec::IntoIter<Found<'m>> {
        let shape = world.shape();
        let source = root(shape, cache);
        let held = |holds: &'m Holds, at: usize| {
            holds.get(&(cache, at)).into_iter().flatten().map(Found::held)
        };
        let walks = !self.explicit[cache] && shape.caches[source].source != Source::Nothing;
        let mut list = Vec::new();
        match place {
            Place::Leaf(page) => {
                let floor = self.floor(cache, shape.pages[page].block);
                if walks {
                    // What fills from another cache has floors of its own.
                    list = match source == cache {
                        true => self.walked(world, state, memory, cache, page),
                        false => self.ends[cache][page]
                            .iter()
                            .flat_map(|at| {
                                memory.messages[*at][memory.floors[floor].at(*at)..]
                                    .iter()
                                    .map(Found::of)
                            })
                            .collect(),
                    };
                }
                list.extend(held(&memory.held, page));
            }
            Place::Huge(block) => {
                if walks && shape.two_levels && shape.caches[cache].source == Source::Table {
                    let pointers = self.pointers(world, memory, cache, block);
                    let huge = pointers.filter(|message| message.value & entry::HUGE != 0);
                    list = huge.map(Found::of).collect();
                }
                list.extend(held(&memory.held_huge, block));
            }
            Place::Table(block) => {
                if walks && shape.two_levels && shape.caches[cache].source == Source::Table {
                    let pointers = self.pointers(world, memory, cache, block);
                    let tables = pointers.filter(|message| entry::table(message.value).is_some());
                    list = tables.map(Found::of).collect();
                }
            }
        }
        list.into_iter()
    }

    /// All that may answer for a page: entries of it, and parts of huge ones.
    pub(super) fn answers<'m>(
        &'m self,
        world: &World,
        state: &State,
        memory: &'m Memory,
        cache: usize,
        page: usize,
    ) -> Vec<Found<'m>> {
        let mut list: Vec<Found<'m>> =
            self.found(world, state, memory, cache, Place::Leaf(page)).collect();
        if world.shape().two_levels {
            let block = Place::Huge(world.shape().pages[page].block);
            list.extend(
                self.found(world, state, memory, cache, block)
                    .map(|found| Found { value: world.part_of_huge(found.value, page), ..found }),
            );
        }
        list
    }

    /// Whether a walk now may find something that does not grant an access.
    pub(super) fn denies(
        &self,
        world: &World,
        state: &State,
        memory: &Memory,
        (cache, page): (usize, usize),
        grants: &dyn Fn(i64) -> bool,
    ) -> bool {
        let shape = world.shape();
        let mut at = root(shape, cache);
        if let Source::Context(context) = shape.caches[at].source {
            at = world.tagged(state, context);
        }
        let walked = self.walked(world, state, memory, at, page);
        let mut denied = walked.iter().any(|found| !grants(found.value));
        if shape.two_levels && shape.caches[at].source == Source::Table {
            let block = shape.pages[page].block;
            let mut pointers = self.pointers(world, memory, at, block);
            denied |= pointers.any(|message| {
                entry::table(message.value).is_none()
                    && !grants(world.part_of_huge(message.value, page))
            });
        }
        denied
    }

    /// What an explicit cache fills from now.
    fn source(&self, world: &World, state: &State, cache: usize) -> Option<usize> {
        match world.shape().caches[cache].source {
            Source::Cache(source) => Some(source),
            Source::Context(context) => {
                world.root(state, context).map(|_| world.tagged(state, context))
            }
            _ => None,
        }
    }

    /// Explicit caches take all that their sources may hold.
    pub(super) fn saturate(&self, world: &World, state: &State, memory: &mut Memory) {
        let shape = world.shape();
        // A chain is no longer than the list, and most are one long.
        for _ in 0..self.explicit.iter().filter(|explicit| **explicit).count() {
            let mut grown = false;
            for cache in (0..shape.caches.len()).filter(|cache| self.explicit[*cache]) {
                let Some(source) = self.source(world, state, cache) else { continue };
                let mut more: Vec<(bool, usize, Held)> = Vec::new();
                let mut take = |huge: bool, at: usize, memory: &Memory| {
                    let place = if huge { Place::Huge(at) } else { Place::Leaf(at) };
                    let found = self.found(world, state, memory, source, place);
                    more.extend(found.filter_map(|found| Some((huge, at, found.to_hold(self)?))));
                };
                (0..shape.pages.len()).for_each(|page| take(false, page, memory));
                if shape.two_levels {
                    (0..shape.blocks.len()).for_each(|block| take(true, block, memory));
                }
                for (huge, at, held) in more {
                    let holds = if huge { &mut memory.held_huge } else { &mut memory.held };
                    grown |= holds.entry((cache, at)).or_default().insert(held);
                }
            }
            if !grown {
                break;
            }
        }
    }

    /// Before a context loads something else: what its tag holds of the address
    /// space that goes is not found by walks any more, and stays. Afterwards
    /// walks of the new one find what is no older than what everybody can know
    /// by then.
    pub(super) fn switches(
        &self,
        world: &World,
        (thread, context): (usize, usize),
        (before, after): (&State, &State),
        memory: &mut Memory,
        flushes: bool,
    ) {
        let shape = world.shape();
        let loaded = |state: &State, space: usize, cache: usize| {
            self.spaces(world, state, cache).contains(&space)
        };
        if let Some(space) = world.root(before, context) {
            let cache = world.tagged(before, context);
            if !loaded(after, space, cache) {
                for page in 0..shape.pages.len() {
                    let block = shape.pages[page].block;
                    let location = self.entries[shape.first_table(space, block)][page];
                    let first = memory.floors[self.floor(cache, block)].at(location);
                    let list = memory.messages[location][first..].iter();
                    let list: Vec<Held> =
                        list.filter_map(|message| Found::of(message).to_hold(self)).collect();
                    memory.held.entry((cache, page)).or_default().extend(list);
                }
            }
        }
        let cache = world.tagged(after, context);
        if flushes {
            let view = memory.threads[thread].read.clone();
            self.forget(world, memory, cache, shape.all_pages(), &view, false);
        }
        if let Some(space) = world.root(after, context)
            && !loaded(before, space, cache)
        {
            let view = memory.walkable(thread);
            for page in 0..shape.pages.len() {
                let block = shape.pages[page].block;
                let location = self.entries[shape.first_table(space, block)][page];
                memory.floors[self.floor(cache, block)].raise(location, view.at(location));
            }
        }
    }

    /// A cache forgets pages: what it fills again is not older than what the
    /// one who asked for it has seen, or than what its source may hold.
    pub(super) fn forget(
        &self,
        world: &World,
        memory: &mut Memory,
        cache: usize,
        pages: u64,
        view: &View,
        leaf: bool,
    ) {
        let shape = world.shape();
        let touched = |block: usize| shape.blocks[block].iter().any(|page| pages >> page & 1 != 0);
        let blocks = (0..shape.blocks.len()).filter(|block| touched(*block));
        if shape.two_levels {
            for block in blocks {
                memory.held_huge.remove(&(cache, block));
                if !self.explicit[cache] && shape.caches[cache].source == Source::Table {
                    self.drops_pointers(world, memory, (cache, block), pages, view, leaf);
                }
            }
        }
        for (page, ends) in self.ends[cache].iter().enumerate() {
            if pages >> page & 1 != 0 {
                memory.held.remove(&(cache, page));
                let block = shape.pages[page].block;
                let source = match shape.caches[cache].source {
                    Source::Cache(source) => memory.floors[self.floor(source, block)].clone(),
                    _ => view.clone(),
                };
                for location in ends {
                    memory.floors[self.floor(cache, block)].raise(*location, source.at(*location));
                }
            }
        }
    }

    /// Pointers to tables go. What was found through them stays, for pages that
    /// the invalidation did not name.
    fn drops_pointers(
        &self,
        world: &World,
        memory: &mut Memory,
        (cache, block): (usize, usize),
        pages: u64,
        view: &View,
        leaf: bool,
    ) {
        let shape = world.shape();
        let upper = self.upper[shape.caches[cache].space][block];
        let floor = self.floor(cache, block);
        let first = memory.floors[floor].at(upper);
        memory.huge_floors[floor].raise(upper, view.at(upper));
        if leaf {
            return;
        }
        for page in shape.blocks[block].iter().filter(|page| pages >> **page & 1 == 0) {
            let gone = memory.messages[upper].get(first..view.at(upper)).unwrap_or_default();
            let stays: Vec<Held> = gone
                .iter()
                .flat_map(|pointer| self.below(memory, floor, pointer, *page))
                .filter_map(|found| found.to_hold(self))
                .collect();
            memory.held.entry((cache, *page)).or_default().extend(stays);
        }
        memory.floors[floor].raise(upper, view.at(upper));
    }
}
