//! TLBs as the sets of entries they may hold.
//!
//! No fill and no eviction is a step. After every change of a table, and after
//! every invalidation, the sets are *saturated*: all that could be filled now
//! is added, from the tables as they are now, through every cached pointer to a
//! table, and into a cache from the one that it fills from. An access reads the
//! sets and changes nothing. `docs/semantics.md` has the rules and why they are
//! exact.

use shootdown_step::shape::Source;
use shootdown_step::value::{MOST_FRAMES, entry, page_of_frame};

use crate::mmu::{Answer, Mmu};
use crate::state::{Slot, Slots, State};
use crate::walker::Memory;
use crate::world::World;

/// Sets of a cache. A member of a leaf set is a frame with a right to write or
/// without: bit `2 * frame + writable`.
#[derive(Clone, Debug, Default)]
struct Cache {
    /// By page.
    leaf: Vec<Slot>,
    /// By block: huge entries, by the frame of their first page.
    huge: Vec<Slot>,
    /// By block: tables that a walk may begin at.
    tables: Vec<Slot>,
}

/// TLBs as sets.
#[derive(Clone, Debug, Default)]
pub struct Sets {
    caches: Vec<Cache>,
    /// Sources come before what fills from them.
    order: Vec<usize>,
    /// What walkers that are not coherent read.
    memory: Memory,
}

/// An absent translation that is cached.
const ABSENT: u32 = 62;
const _: () = assert!(2 * MOST_FRAMES <= ABSENT as usize);

/// An entry's value as a member, if it grants anything.
fn member(value: i64) -> Option<u32> {
    let frame = entry::frame(value)? as u32;
    let granted = value & (entry::READ | entry::WRITE) != 0;
    granted.then(|| 2 * frame + u32::from(value & entry::WRITE != 0))
}

impl Sets {
    fn add(state: &mut State, slot: Slot, bits: i64) {
        let old = state.get(slot);
        if old | bits != old {
            state.set(slot, old | bits);
        }
    }

    fn saturate(&self, world: &World, state: &mut State) {
        for cache in &self.order {
            self.fill(world, state, *cache);
        }
    }

    /// Adds what a cache could fill now. Sources are full already.
    fn fill(&self, world: &World, state: &mut State, at: usize) {
        let shape = world.shape();
        let (cache, is) = (&self.caches[at], &shape.caches[at]);
        match is.source {
            Source::Nothing => {}
            Source::Table => {
                self.fill_from_table(world, state, at, is.space);
            }
            Source::Roots => {
                for context in 0..shape.contexts.len() {
                    if let Some(space) = world.root(state, context)
                        && world.tagged(state, context) == at
                    {
                        self.fill_from_table(world, state, at, space);
                    }
                }
            }
            Source::Context(context) => {
                if world.root(state, context).is_some() {
                    self.fill_from_cache(state, at, world.tagged(state, context));
                }
            }
            Source::Soft(soft) => {
                for (page, slot) in world.softs[soft].iter().enumerate() {
                    let value = state.get(*slot);
                    self.leaf(world, state, cache.leaf[page], value);
                }
            }
            Source::Cache(source) => self.fill_from_cache(state, at, source),
        }
    }

    fn fill_from_cache(&self, state: &mut State, at: usize, source: usize) {
        let (cache, source) = (&self.caches[at], &self.caches[source]);
        for (mine, its) in
            cache.leaf.iter().zip(&source.leaf).chain(cache.huge.iter().zip(&source.huge))
        {
            Self::add(state, *mine, state.get(*its));
        }
    }

    fn fill_from_table(&self, world: &World, state: &mut State, at: usize, space: usize) {
        let shape = world.shape();
        for (block, pages) in shape.blocks.iter().enumerate() {
            if shape.two_levels {
                self.fill_block(world, state, at, space, block);
                continue;
            }
            let table = shape.first_table(space, block);
            for page in pages {
                let value = self.memory.read(world, state, at, world.entries[table][*page]);
                self.leaf(world, state, self.caches[at].leaf[*page], value);
            }
        }
    }

    fn fill_block(&self, world: &World, state: &mut State, at: usize, space: usize, block: usize) {
        let shape = world.shape();
        let cache = &self.caches[at];
        let upper = self.memory.read(world, state, at, world.upper[space][block]);
        if let Some(table) = entry::table(upper) {
            Self::add(state, cache.tables[block], 1 << table);
        } else if let Some(bit) = member(upper) {
            Self::add(state, cache.huge[block], 1 << bit);
        } else if world.setting.cache_nonpresent {
            for page in &shape.blocks[block] {
                Self::add(state, cache.leaf[*page], 1 << ABSENT);
            }
        }
        // Every pointer that it may hold, and the leaf as it is now.
        let mut tables = state.get(cache.tables[block]);
        while tables != 0 {
            let table = tables.trailing_zeros() as usize;
            tables &= tables - 1;
            for page in &shape.blocks[block] {
                let value = self.memory.read(world, state, at, world.entries[table][*page]);
                self.leaf(world, state, cache.leaf[*page], value);
            }
        }
    }

    fn leaf(&self, world: &World, state: &mut State, slot: Slot, value: i64) {
        match member(value) {
            Some(bit) => Self::add(state, slot, 1 << bit),
            None if world.setting.cache_nonpresent => Self::add(state, slot, 1 << ABSENT),
            None => {}
        }
    }

    /// Everything that a cache may answer with for a page, as members.
    fn members(&self, world: &World, state: &State, cache: usize, page: usize) -> i64 {
        let sets = &self.caches[cache];
        let Some(leaf) = sets.leaf.get(page) else { return 0 };
        let mut members = state.get(*leaf);
        let place = &world.shape().pages[page];
        if let Some(huge) = sets.huge.get(place.block) {
            // The page's part of a huge frame lies behind its first.
            members |= state.get(*huge) << (2 * place.index);
        }
        members
    }

    /// Whether a walk now, of this address space, finds nothing that grants the
    /// access.
    fn walk_denies(
        &self,
        world: &World,
        state: &State,
        (cache, space): (usize, usize),
        page: usize,
        write: bool,
    ) -> bool {
        let shape = world.shape();
        let mut at = cache;
        loop {
            at = match shape.caches[at].source {
                Source::Cache(source) => source,
                Source::Context(context) => world.tagged(state, context),
                _ => break,
            };
        }
        match shape.caches[at].source {
            Source::Soft(soft) => !entry::grants(state.get(world.softs[soft][page]), write),
            _ if !shape.two_levels => {
                !entry::grants(self.memory.walk(world, state, at, space, page), write)
            }
            _ => {
                // Through the root, or through any pointer that is cached.
                let block = shape.pages[page].block;
                let mut tables = state.get(self.caches[at].tables[block]);
                let mut denies =
                    !entry::grants(self.memory.walk(world, state, at, space, page), write);
                while tables != 0 {
                    let table = tables.trailing_zeros() as usize;
                    tables &= tables - 1;
                    let value = self.memory.read(world, state, at, world.entries[table][page]);
                    denies |= !entry::grants(value, write);
                }
                denies
            }
        }
    }

    /// What the table of an address space grants for a page now, as members.
    fn granted(&self, world: &World, state: &State, space: usize, page: usize) -> i64 {
        let value = world.walk(state, space, page);
        // Who may write may read as well.
        match member(value) {
            Some(bit) if bit & 1 != 0 => 0b11 << (bit - 1),
            Some(bit) => 1 << bit,
            None => 0,
        }
    }

    /// Caches that somebody uses now, each with the address space whose pages
    /// it is asked for. What is loaded and not used is not among them.
    pub fn used<'w>(
        &self,
        world: &'w World,
        state: &'w State,
    ) -> impl Iterator<Item = (usize, usize)> + use<'w> {
        self.loaded(world, state, false)
    }

    fn loaded<'w>(
        &self,
        world: &'w World,
        state: &'w State,
        lazy: bool,
    ) -> impl Iterator<Item = (usize, usize)> + use<'w> {
        let shape = world.shape();
        shape.caches.iter().enumerate().flat_map(move |(at, cache)| {
            let (fixed, contexts) = match cache.source {
                Source::Roots => (None, 0..shape.contexts.len()),
                Source::Context(context) => (None, context..context + 1),
                _ => (Some((at, cache.space)), 0..0),
            };
            let through = contexts.filter_map(move |context| {
                let space = world.root(state, context)?;
                let its = cache.source != Source::Roots || world.tagged(state, context) == at;
                let used = lazy || state.get(world.contexts[context].lazy) == 0;
                (its && used).then_some((at, space))
            });
            fixed.into_iter().chain(through)
        })
    }

    /// What a walk for a thread's TLB finds in the tables of an address space,
    /// for a timeline.
    pub fn walked(
        &self,
        world: &World,
        state: &State,
        thread: usize,
        space: usize,
        page: usize,
    ) -> i64 {
        let shape = world.shape();
        let mut at = shape.agents[thread].cache;
        loop {
            at = match shape.caches[at].source {
                Source::Cache(source) => source,
                Source::Context(context) => shape.contexts[context].cache,
                _ => return self.memory.walk(world, state, at, space, page),
            };
        }
    }

    /// Members of a cache for a page, for a timeline.
    pub fn entries(&self, world: &World, state: &State, cache: usize, page: usize) -> Vec<i64> {
        let members = self.members(world, state, cache, page);
        let bits = (0..ABSENT).filter(|bit| members >> bit & 1 != 0);
        bits.map(value_of).collect()
    }
}

/// A member as the value of an entry.
fn value_of(bit: u32) -> i64 {
    let write = if bit & 1 != 0 { entry::WRITE } else { 0 };
    entry::make(page_of_frame(bit as usize / 2), entry::READ | write)
}

/// Members that grant an access.
fn granting(members: i64, write: bool) -> i64 {
    const WRITABLE: i64 = 0x2aaa_aaaa_aaaa_aaaa;
    let members = members & !(1 << ABSENT);
    if write { members & WRITABLE } else { members }
}

impl Mmu for Sets {
    fn declare(&mut self, world: &World, slots: &mut Slots) {
        let shape = world.shape();
        self.memory.declare(world, slots);
        slots.next_family();
        for _ in &shape.caches {
            let mut sets = |count: usize| (0..count).map(|_| slots.natural(0)).collect();
            let blocks = if shape.two_levels { shape.blocks.len() } else { 0 };
            self.caches.push(Cache {
                leaf: sets(shape.pages.len()),
                huge: sets(blocks),
                tables: sets(blocks),
            });
        }
        // A chain is no longer than the list.
        for _ in 0..shape.caches.len() {
            for (at, cache) in shape.caches.iter().enumerate() {
                let ready = match cache.source {
                    Source::Cache(source) => self.order.contains(&source),
                    Source::Context(context) => {
                        let is = &shape.contexts[context];
                        (is.cache..is.cache + is.tags).all(|tag| self.order.contains(&tag))
                    }
                    _ => true,
                };
                if ready && !self.order.contains(&at) {
                    self.order.push(at);
                }
            }
        }
    }

    fn reducible(&self) -> bool {
        true
    }

    fn begin(&self, world: &World, state: &mut State) {
        self.saturate(world, state);
    }

    fn table_changed(&self, world: &World, state: &mut State) {
        self.saturate(world, state);
    }

    fn root_changed(&self, world: &World, state: &mut State) {
        self.saturate(world, state);
    }

    fn write_back(&self, world: &World, state: &mut State, slot: Slot) {
        self.memory.write_back(world, state, slot);
        self.saturate(world, state);
    }

    /// The caches of the CPUs, which write entries back when they like.
    fn processes(&self) -> usize {
        usize::from(self.memory.lags())
    }

    fn steps(&self, world: &World, state: &State, _: usize, each: &mut dyn FnMut(u32, State)) {
        self.memory.steps(world, state, &mut |choice, mut next| {
            self.saturate(world, &mut next);
            each(choice, next);
        });
    }

    fn invalidate(
        &self,
        world: &World,
        state: &mut State,
        cache: usize,
        pages: u64,
        leaf_only: bool,
    ) {
        let sets = &self.caches[cache];
        for (page, slot) in sets.leaf.iter().enumerate() {
            if pages >> page & 1 != 0 {
                state.set(*slot, 0);
            }
        }
        for (block, slot) in sets.huge.iter().enumerate() {
            let touched = world.shape().blocks[block].iter().any(|page| pages >> page & 1 != 0);
            if touched {
                state.set(*slot, 0);
                if !leaf_only {
                    state.set(sets.tables[block], 0);
                }
            }
        }
        self.saturate(world, state);
    }

    fn refill(&self, _: &World, state: &mut State, found: &dyn Fn(usize, usize) -> Vec<i64>) {
        for (at, cache) in self.caches.iter().enumerate() {
            for (page, slot) in cache.leaf.iter().enumerate() {
                let members = found(at, page).into_iter().filter_map(member);
                state.set(*slot, members.fold(0, |set, bit| set | 1 << bit));
            }
        }
    }

    fn access(
        &self,
        world: &World,
        state: &State,
        thread: usize,
        page: usize,
        write: bool,
        each: &mut dyn FnMut(Answer),
    ) {
        let Some((cache, space)) = world.translation(state, thread) else { return };
        let members = self.members(world, state, cache, page);
        let grants = granting(members, write);
        let mut frames = (grants | grants >> 1) & 0x1555_5555_5555_5555;
        while frames != 0 {
            let bit = frames.trailing_zeros();
            frames &= frames - 1;
            each(Answer::Frame(bit as usize / 2));
        }
        let refuses = members & !grants & !(1 << ABSENT) != 0 && !world.setting.perm_miss_rewalk;
        let absent = members >> ABSENT & 1 != 0;
        if refuses || absent || self.walk_denies(world, state, (cache, space), page, write) {
            each(Answer::Fault);
        }
    }

    fn fault(&self, world: &World, state: &mut State, thread: usize, page: usize) {
        if world.setting.fault_invalidates
            && let Some((cache, _)) = world.translation(state, thread)
        {
            self.invalidate(world, state, cache, 1 << page, false);
        }
    }

    fn reaches(&self, world: &World, state: &State, frame: usize) -> bool {
        let wanted = 0b11i64 << (2 * frame);
        self.used(world, state).any(|(cache, _)| {
            (0..world.shape().pages.len())
                .any(|page| self.members(world, state, cache, page) & wanted != 0)
        })
    }

    fn reaches_table(&self, world: &World, state: &State, table: usize) -> bool {
        // Hardware walks whatever is loaded, wanted or not.
        self.loaded(world, state, true)
            .flat_map(|(cache, _)| &self.caches[cache].tables)
            .any(|slot| state.get(*slot) >> table & 1 != 0)
    }

    fn exceeds(
        &self,
        world: &World,
        state: &State,
        (space, page): (usize, usize),
        frame: usize,
        writes: bool,
    ) -> bool {
        let wanted = if writes { 0b10i64 } else { 0b11 } << (2 * frame);
        self.used(world, state).any(|(at, of)| {
            of == space && {
                let beyond =
                    self.members(world, state, at, page) & !self.granted(world, state, space, page);
                beyond & wanted != 0
            }
        })
    }

    fn restless(&self, world: &World, state: &State) -> bool {
        self.used(world, state).any(|(cache, space)| {
            (0..world.shape().pages.len()).any(|page| {
                let members = self.members(world, state, cache, page) & !(1 << ABSENT);
                members & !self.granted(world, state, space, page) != 0
            })
        })
    }

    fn stuck(&self, world: &World, state: &State, thread: usize, page: usize, write: bool) -> bool {
        // What is still there after the fault may answer every time.
        let mut after = state.clone();
        self.fault(world, &mut after, thread, page);
        let mut faults = false;
        self.access(world, &after, thread, page, write, &mut |answer| {
            faults |= answer == Answer::Fault
        });
        faults
    }

    fn resolve(&self, world: &World, state: &State, space: usize, page: usize) -> Option<usize> {
        let value = world.walk(state, space, page);
        entry::frame(value).filter(|_| entry::grants(value, false))
    }
}
