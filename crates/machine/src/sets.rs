//! TLBs as the sets of entries they may hold.
//!
//! No fill and no eviction is a step. After every change of a table, and after
//! every invalidation, the sets are *saturated*: all that could be filled now
//! is added, from the tables as they are now, through every cached pointer to a
//! table, and into a cache from the one that it fills from. An access reads the
//! sets and changes nothing. `docs/semantics.md` has the rules and why they are
//! exact.
//!
//! Where hardware sets dirty bits, a member that may be written is one that was
//! filled from a dirty entry. What was filled from a writable entry that is not
//! dirty stands in a set of its own: it answers reads, and a write is either
//! looked up again, which marks the entry, or answered and marked later.

use shootdown_step::shape::Source;
use shootdown_step::value::{MOST_FRAMES, entry, page_of_frame};

use crate::mmu::{Answer, Mmu, Place};
use crate::setting::HwDirty;
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
    /// By page: frames of writable entries that were not dirty, as bits. Only
    /// where hardware sets dirty bits; elsewhere such an entry is like any.
    unmarked: Vec<Slot>,
    /// The same of huge entries, by block and their first frame.
    huge_unmarked: Vec<Slot>,
    /// By page: frames that were written through an unmarked entry, whose mark
    /// has not reached the table.
    owed: Vec<Slot>,
}

/// TLBs as sets.
#[derive(Clone, Debug, Default)]
pub struct Sets {
    caches: Vec<Cache>,
    /// Sources come before what fills from them.
    order: Vec<usize>,
    /// The cache of each thread.
    cache_of: Vec<usize>,
    /// Hardware sets dirty bits in steps of its own.
    writes_by_itself: bool,
    /// What walkers that are not coherent read.
    memory: Memory,
}

/// An absent translation that is cached.
const ABSENT: u32 = 62;
const _: () = assert!(2 * MOST_FRAMES <= ABSENT as usize);

/// An entry's value as a member, if it grants anything.
fn member(value: i64) -> Option<u32> {
    let frame = entry::frame(value)? as u32;
    entry::grants(value, false).then(|| 2 * frame + u32::from(value & entry::WRITE != 0))
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
                    self.leaf(world, state, cache, page, value);
                }
            }
            Source::Cache(source) => self.fill_from_cache(state, at, source),
        }
    }

    fn fill_from_cache(&self, state: &mut State, at: usize, source: usize) {
        let (cache, source) = (&self.caches[at], &self.caches[source]);
        for (mine, its) in [
            (&cache.leaf, &source.leaf),
            (&cache.huge, &source.huge),
            (&cache.unmarked, &source.unmarked),
            (&cache.huge_unmarked, &source.huge_unmarked),
        ] {
            for (mine, its) in mine.iter().zip(its) {
                Self::add(state, *mine, state.get(*its));
            }
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
                self.leaf(world, state, &self.caches[at], *page, value);
            }
        }
    }

    fn fill_block(&self, world: &World, state: &mut State, at: usize, space: usize, block: usize) {
        let shape = world.shape();
        let cache = &self.caches[at];
        let upper = self.memory.read(world, state, at, world.upper[space][block]);
        if let Some(table) = entry::table(upper) {
            Self::add(state, cache.tables[block], 1 << table);
        } else if let (Some(frame), true) = (unmarked(world, upper), upper & entry::HUGE != 0) {
            Self::add(state, cache.huge_unmarked[block], 1 << frame);
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
                self.leaf(world, state, cache, *page, value);
            }
        }
    }

    fn leaf(&self, world: &World, state: &mut State, cache: &Cache, page: usize, value: i64) {
        let slot = cache.leaf[page];
        match (unmarked(world, value), member(value)) {
            (Some(frame), _) => Self::add(state, cache.unmarked[page], 1 << frame),
            (None, Some(bit)) => Self::add(state, slot, 1 << bit),
            _ if world.setting.cache_nonpresent => Self::add(state, slot, 1 << ABSENT),
            _ => {}
        }
    }

    /// Frames that a cache may lead to from a page by a writable entry that was
    /// not dirty.
    fn unmarked(&self, world: &World, state: &State, cache: usize, page: usize) -> u64 {
        let sets = &self.caches[cache];
        let Some(small) = sets.unmarked.get(page) else { return 0 };
        let place = &world.shape().pages[page];
        let huge = sets.huge_unmarked.get(place.block).map_or(0, |slot| state.get(*slot) as u64);
        state.get(*small) as u64 | huge << place.index
    }

    /// Everything that a cache may answer with for a page, as members. What
    /// was not dirty counts as what it grants without a walk.
    fn members(&self, world: &World, state: &State, cache: usize, page: usize) -> i64 {
        let writes = u32::from(world.setting.hw_dirty == HwDirty::Lazy);
        let unmarked = frames(self.unmarked(world, state, cache, page));
        let unmarked =
            unmarked.fold(0, |members, frame| members | 1 << (2 * frame as u32 + writes));
        self.marked(world, state, cache, page) | unmarked
    }

    /// The same without what was writable and not dirty.
    fn marked(&self, world: &World, state: &State, cache: usize, page: usize) -> i64 {
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

    /// Every entry of a page that a walk for a cache may end at now.
    fn ends(&self, world: &World, cache: usize, page: usize, state: &State) -> Vec<Slot> {
        let shape = world.shape();
        let mut at = cache;
        loop {
            at = match shape.caches[at].source {
                Source::Cache(source) => source,
                // Hardware that sets dirty bits has no contexts here.
                Source::Context(_) => return Vec::new(),
                _ => break,
            };
        }
        let (block, space) = (shape.pages[page].block, shape.caches[at].space);
        match shape.caches[at].source {
            Source::Soft(soft) => vec![world.softs[soft][page]],
            _ if !shape.two_levels => {
                vec![world.entries[shape.first_table(space, block)][page]]
            }
            _ => {
                // The set has the table that the root leads to.
                let tables = state.get(self.caches[at].tables[block]);
                let small = frames(tables as u64).map(|table| world.entries[table][page]);
                let huge = state.get(world.upper[space][block]) & entry::HUGE != 0;
                small.chain(huge.then(|| world.upper[space][block])).collect()
            }
        }
    }

    /// Every way in which a walk for a write marks an entry.
    fn marks(
        &self,
        world: &World,
        state: &State,
        cache: usize,
        page: usize,
        each: &mut dyn FnMut(Answer),
    ) {
        for slot in self.ends(world, cache, page, state) {
            let value = state.get(slot);
            let index = if value & entry::HUGE != 0 { world.shape().pages[page].index } else { 0 };
            if let Some(frame) = unmarked(world, value) {
                each(Answer::Marks(frame + index, slot));
            }
        }
    }

    /// Marks that are owed for a page reach the table, if it still leads where
    /// they were owed.
    fn pay(&self, world: &World, state: &mut State, cache: usize, page: usize) {
        let Some(slot) = self.caches[cache].owed.get(page).copied() else { return };
        let owed = state.get(slot);
        if owed == 0 {
            return;
        }
        state.set(slot, 0);
        for at in self.ends(world, cache, page, state) {
            let value = state.get(at);
            if entry::frame(value).is_some_and(|frame| owed >> frame & 1 != 0) {
                state.set(at, value | entry::DIRTY);
            }
        }
        self.saturate(world, state);
    }

    /// What software TLBs hold for a page, as members: what they grant a walk
    /// may grant, whether or not it was dirty. They mirror the first address
    /// space.
    fn soft(world: &World, state: &State, page: usize) -> i64 {
        let entries = world.softs.iter().map(|soft| member(state.get(soft[page])));
        entries.flatten().fold(0, |members, bit| members | 1 << bit)
    }

    /// What the table of an address space grants for a page now, as members.
    fn granted(world: &World, state: &State, space: usize, page: usize) -> i64 {
        // Who may write may read as well.
        match member(world.walk(state, space, page)) {
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
        let members = self.marked(world, state, cache, page);
        let dirty = if world.setting.hw_dirty == HwDirty::No { 0 } else { entry::DIRTY };
        let bits = (0..ABSENT).filter(|bit| members >> bit & 1 != 0);
        let marked = bits.map(|bit| match value_of(bit) {
            value if value & entry::WRITE != 0 => value | dirty,
            value => value,
        });
        let unmarked = frames(self.unmarked(world, state, cache, page));
        marked.chain(unmarked.map(|frame| value_of(2 * frame as u32 + 1))).collect()
    }
}

/// The frame of an entry that may be written and is not dirty, where that makes
/// a difference.
fn unmarked(world: &World, value: i64) -> Option<usize> {
    let clean = world.setting.hw_dirty != HwDirty::No && value & entry::DIRTY == 0;
    entry::frame(value).filter(|_| clean && entry::grants(value, true))
}

fn frames(mut mask: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = mask.trailing_zeros();
        (bit < 64).then(|| {
            mask &= mask - 1;
            bit as usize
        })
    })
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
        self.cache_of = shape.agents.iter().map(|agent| agent.cache).collect();
        self.writes_by_itself = matches!(world.setting.hw_dirty, HwDirty::Eager | HwDirty::Lazy);
        let hw_dirty = world.setting.hw_dirty;
        for _ in &shape.caches {
            let mut sets = |count: usize| (0..count).map(|_| slots.natural(0)).collect();
            let blocks = if shape.two_levels { shape.blocks.len() } else { 0 };
            let some = |some: bool, count: usize| if some { count } else { 0 };
            let (dirty, lazy) = (hw_dirty != HwDirty::No, hw_dirty == HwDirty::Lazy);
            self.caches.push(Cache {
                leaf: sets(shape.pages.len()),
                huge: sets(blocks),
                tables: sets(blocks),
                unmarked: sets(some(dirty, shape.pages.len())),
                huge_unmarked: sets(some(dirty, blocks)),
                owed: sets(some(lazy, shape.pages.len())),
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
                self.pay(world, state, cache, page);
                state.set(*slot, 0);
                sets.unmarked.get(page).into_iter().for_each(|slot| state.set(*slot, 0));
            }
        }
        for (block, slot) in sets.huge.iter().enumerate() {
            let touched = world.shape().blocks[block].iter().any(|page| pages >> page & 1 != 0);
            if touched {
                state.set(*slot, 0);
                sets.huge_unmarked.get(block).into_iter().for_each(|slot| state.set(*slot, 0));
                if !leaf_only {
                    state.set(sets.tables[block], 0);
                }
            }
        }
        self.saturate(world, state);
    }

    fn refill(&self, _: &World, state: &mut State, found: &dyn Fn(usize, Place) -> Vec<i64>) {
        for (at, cache) in self.caches.iter().enumerate() {
            let members = |place: Place| {
                let members = found(at, place).into_iter().filter_map(member);
                members.fold(0, |set, bit| set | 1 << bit)
            };
            for (page, slot) in cache.leaf.iter().enumerate() {
                state.set(*slot, members(Place::Leaf(page)));
            }
            for (block, slot) in cache.huge.iter().enumerate() {
                state.set(*slot, members(Place::Huge(block)));
            }
            for (block, slot) in cache.tables.iter().enumerate() {
                let tables = found(at, Place::Table(block)).into_iter().filter_map(entry::table);
                state.set(*slot, tables.fold(0, |set, table| set | 1 << table));
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
        let members = self.marked(world, state, cache, page);
        let grants = granting(members, write);
        for frame in frames(self.unmarked(world, state, cache, page)) {
            match (write, world.setting.hw_dirty) {
                (false, _) => each(Answer::Frame(frame)),
                (true, HwDirty::Lazy) => each(Answer::Owes(frame)),
                (true, _) => {}
            }
        }
        if write && matches!(world.setting.hw_dirty, HwDirty::Yes | HwDirty::Eager) {
            self.marks(world, state, cache, page, each);
        }
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

    fn owes(&self, _: &World, state: &mut State, thread: usize, page: usize, frame: usize) {
        let slot = self.caches[self.cache_of[thread]].owed[page];
        state.set(slot, state.get(slot) | 1 << frame);
    }

    fn paid(&self, _: &World, state: &State) -> bool {
        self.caches.iter().flat_map(|cache| &cache.owed).all(|slot| state.get(*slot) == 0)
    }

    fn processes(&self) -> usize {
        match (self.writes_by_itself, self.memory.lags()) {
            (false, lags) => usize::from(lags),
            // The walkers, and the CPU's cache.
            (true, lags) => self.caches.len() + usize::from(lags),
        }
    }

    fn steps(&self, world: &World, state: &State, cache: usize, each: &mut dyn FnMut(u32, State)) {
        if !self.writes_by_itself || cache == self.caches.len() {
            return self.memory.steps(world, state, &mut |choice, mut next| {
                self.saturate(world, &mut next);
                each(choice, next);
            });
        }
        for page in 0..world.shape().pages.len() {
            let mut choice = page as u32 * 16;
            if self.caches[cache].owed.get(page).is_some_and(|slot| state.get(*slot) != 0) {
                let mut next = state.clone();
                self.pay(world, &mut next, cache, page);
                each(choice, next);
            }
            let is = &world.shape().caches[cache];
            if world.setting.hw_dirty == HwDirty::Eager && !is.cpu && is.source == Source::Table {
                self.marks(world, state, cache, page, &mut |answer| {
                    let Answer::Marks(_, slot) = answer else { return };
                    let mut next = state.clone();
                    next.set(slot, next.get(slot) | entry::DIRTY);
                    self.saturate(world, &mut next);
                    choice += 1;
                    each(choice, next);
                });
            }
        }
    }

    fn reaches(&self, world: &World, state: &State, frame: usize) -> bool {
        let wanted = 0b11i64 << (2 * frame);
        self.used(world, state).any(|(cache, _)| {
            (0..world.shape().pages.len())
                .any(|page| self.members(world, state, cache, page) & wanted != 0)
        }) || (0..world.shape().pages.len())
            .any(|page| Self::soft(world, state, page) & wanted != 0)
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
                let beyond = self.members(world, state, at, page)
                    & !Self::granted(world, state, space, page);
                beyond & wanted != 0
            }
        }) || space == 0 && {
            let granted = Self::granted(world, state, space, page);
            Self::soft(world, state, page) & !granted & wanted != 0
        }
    }

    fn restless(&self, world: &World, state: &State) -> bool {
        self.used(world, state).any(|(cache, space)| {
            (0..world.shape().pages.len()).any(|page| {
                let members = self.members(world, state, cache, page) & !(1 << ABSENT);
                members & !Self::granted(world, state, space, page) != 0
            })
        }) || (0..world.shape().pages.len())
            .any(|page| Self::soft(world, state, page) & !Self::granted(world, state, 0, page) != 0)
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
