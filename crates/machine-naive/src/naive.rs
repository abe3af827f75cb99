//! Translation caches with explicit fills and evictions.
//!
//! A slot of the state says which entries a cache holds *now*: one for the
//! small entries of each page, one for the large ones of each block, one for
//! the table pointers that a walker has cached for a block. Each cache is a
//! process of its own:
//!
//! - **fill**: it is asked for a page at any time, wanted or not, also if
//!   something would hit. A root walks, through a cached table pointer or from
//!   the root, and takes the entry as it is now. A cache with a source gets an
//!   entry that the source holds, or the source is asked in turn and both keep
//!   what it gives.
//! - **evict**: it drops any one entry or pointer, at any time.
//!
//! Any number of entries for one page may be there at once. An access is
//! answered by any of them, or by asking as a fill does; it changes nothing,
//! because whatever it might keep a fill can keep before or after it.

use shootdown_machine::mmu::{Answer, Mmu};
use shootdown_machine::setting::HwDirty;
use shootdown_machine::state::{Slot, Slots, State};
use shootdown_machine::world::World;
use shootdown_step::shape::Source;
use shootdown_step::value::entry;

use crate::entry::{Entry, bits};

/// What one cache holds, as masks.
#[derive(Clone, Debug)]
struct CacheSlots {
    /// Entries, by page.
    small: Vec<Slot>,
    /// Entries, by block; none if there is one level only.
    large: Vec<Slot>,
    /// The same of entries that were dirty, if hardware cares.
    small_dirty: Vec<Slot>,
    large_dirty: Vec<Slot>,
    /// Frames, by page, that were written through an entry that was not dirty,
    /// and whose entry in the table does not say so yet.
    unwritten: Vec<Slot>,
    /// Tables that the walker has a pointer to, by block; only roots walk.
    pointers: Vec<Slot>,
}

/// Hardware whose fills and evictions are steps.
#[derive(Clone, Debug, Default)]
pub struct Naive {
    caches: Vec<CacheSlots>,
    /// Pairs of what CPUs see of a table and what memory has of it, if a walker
    /// reads the latter.
    lines: Vec<(Slot, Slot)>,
}

/// A cache was asked: what it gave, where in a table a walk found it just now,
/// and the state in which everybody on the way has kept it.
type Asked<'a> = &'a mut dyn FnMut(Entry, Option<Slot>, State);

/// Whether hardware has anything to do with dirty bits.
fn cares(world: &World) -> bool {
    world.setting.hw_dirty != HwDirty::No
}

impl Naive {
    /// What a cache holds for a page.
    fn held(&self, world: &World, state: &State, cache: usize, page: usize) -> Vec<Entry> {
        let slots = &self.caches[cache];
        let block = world.shape().pages[page].block;
        let mut held = Vec::new();
        for (slot, large, dirty) in [
            (slots.small.get(page), false, false),
            (slots.small_dirty.get(page), false, true),
            (slots.large.get(block), true, false),
            (slots.large_dirty.get(block), true, true),
        ] {
            let mask = slot.map_or(0, |slot| state.get(*slot));
            held.extend(bits(mask).map(|bit| Entry::of_bit(bit, large, dirty)));
        }
        held
    }

    /// A cache keeps what it was given.
    fn keep(&self, world: &World, state: &mut State, cache: usize, page: usize, entry: Entry) {
        if entry == Entry::Absent && !world.setting.cache_nonpresent {
            return;
        }
        let slots = &self.caches[cache];
        let block = world.shape().pages[page].block;
        let slot = match entry {
            Entry::Large { dirty: true, .. } => slots.large_dirty[block],
            Entry::Large { .. } => slots.large[block],
            Entry::Small { dirty: true, .. } => slots.small_dirty[page],
            _ => slots.small[page],
        };
        state.set(slot, state.get(slot) | entry.bit());
    }

    /// Every way in which a cache that is asked for a page gets an answer from
    /// what it fills from.
    /// What walks from other roots under the same tag bring is kept, and answers
    /// nobody who asks with a root of his own.
    fn ask(
        &self,
        world: &World,
        state: &State,
        (cache, own): (usize, Option<usize>),
        page: usize,
        each: Asked<'_>,
    ) {
        let mut give = |entry: Entry, place: Option<Slot>, mut after: State| {
            self.keep(world, &mut after, cache, page, entry);
            each(entry, place, after);
        };
        let block = world.shape().pages[page].block;
        match world.shape().caches[cache].source {
            Source::Nothing => {}
            Source::Soft(soft) => {
                let slot = world.softs[soft][page];
                give(Entry::small(state.get(slot), cares(world)), Some(slot), state.clone())
            }
            Source::Cache(_) | Source::Context(_) => {
                // A context that has nothing loaded leads to no cache.
                let Some(source) = source(world, state, cache) else { return };
                for entry in self.held(world, state, source, page) {
                    give(entry, None, state.clone());
                }
                self.ask(world, state, (source, own), page, &mut give);
            }
            Source::Table | Source::Roots => {
                let pointers = self.caches[cache].pointers.get(block).copied();
                let mut roots = spaces(world, state, cache);
                roots.retain(|space| own.is_none_or(|own| own == *space));
                for space in roots {
                    for table in bits(pointers.map_or(0, |slot| state.get(slot))) {
                        let slot = world.entries[table as usize][page];
                        let leaf = self.word(world, state, cache, slot);
                        give(Entry::small(leaf, cares(world)), Some(slot), state.clone());
                    }
                    let mut after = state.clone();
                    let root = self.root(world, state, cache, space, page);
                    if let (Root::Table(table), Some(slot)) = (root, pointers) {
                        after.set(slot, after.get(slot) | 1 << table);
                    }
                    let place = match root {
                        Root::Table(table) => world.entries[table][page],
                        _ => world.upper[space][block],
                    };
                    give(self.found(world, state, cache, root, page), Some(place), after);
                }
            }
        }
    }

    /// Dirty bits that a cache has not written yet reach the table, where it
    /// still has the same page.
    fn pay_marks(&self, world: &World, state: &mut State, cache: usize, page: usize) {
        let slot = self.caches[cache].unwritten[page];
        let owed = state.get(slot);
        if owed == 0 {
            return;
        }
        state.set(slot, 0);
        let caches = &world.shape().caches;
        let mut from = cache;
        while let Source::Cache(source) = caches[from].source {
            from = source;
        }
        let place = match caches[from].source {
            Source::Soft(soft) => world.softs[soft][page],
            _ => {
                let table =
                    world.shape().first_table(caches[from].space, world.shape().pages[page].block);
                world.entries[table][page]
            }
        };
        let value = state.get(place);
        if let Some(frame) = entry::frame(value)
            && owed >> frame & 1 != 0
        {
            state.set(place, value | entry::DIRTY);
        }
    }

    /// A word of a table as the walker of a cache finds it.
    fn word(&self, world: &World, state: &State, cache: usize, slot: Slot) -> i64 {
        let line = self.lines.iter().find(|(seen, _)| *seen == slot);
        match line {
            Some((_, memory)) if world.shape().caches[cache].noncoherent => state.get(*memory),
            _ => state.get(slot),
        }
    }

    /// The upper entry of a page as a walker finds it.
    fn root(&self, world: &World, state: &State, cache: usize, space: usize, page: usize) -> Root {
        let block = world.shape().pages[page].block;
        match world.shape().two_levels {
            true => upper(world, self.word(world, state, cache, world.upper[space][block])),
            false => Root::Table(world.shape().first_table(space, block)),
        }
    }

    /// The end of a walk that began so.
    fn found(&self, world: &World, state: &State, cache: usize, root: Root, page: usize) -> Entry {
        match root {
            Root::Table(table) => {
                let leaf = self.word(world, state, cache, world.entries[table][page]);
                Entry::small(leaf, cares(world))
            }
            Root::Large(entry) => entry,
            Root::Nothing => Entry::Absent,
        }
    }

    /// A write-back of one line, by whoever.
    fn clean(&self, state: &mut State, slot: Slot) {
        for (seen, memory) in self.lines.iter().filter(|(seen, _)| *seen == slot) {
            state.set(*memory, state.get(*seen));
        }
    }

    /// Calls `each` with every entry that leads from a page of the address
    /// space somewhere: from caches, and from software TLBs, which hold what
    /// software put there.
    fn leads(&self, world: &World, state: &State, each: &mut dyn FnMut(usize, usize, usize, bool)) {
        let shape = world.shape();
        for (at, page) in shape.pages.iter().enumerate() {
            for (cache, its) in shape.caches.iter().enumerate() {
                for entry in self.held(world, state, cache, at) {
                    if let Some((frame, write)) = entry.at(page.index) {
                        // A write through it is looked up again, so that it grants none.
                        let asks = matches!(world.setting.hw_dirty, HwDirty::Yes | HwDirty::Eager);
                        let write = write && (entry.dirty() || !asks);
                        for space in asked_for(world, state, cache, its.space) {
                            each(space, at, frame, write);
                        }
                    }
                }
            }
            for soft in &world.softs {
                let entry = Entry::small(state.get(soft[at]), false);
                if let Some((frame, write)) = entry.at(page.index) {
                    // Software mirrors the first address space.
                    each(0, at, frame, write);
                }
            }
        }
    }

    /// Whether the table grants now what such an entry grants.
    fn granted(
        &self,
        world: &World,
        state: &State,
        space: usize,
        page: usize,
        frame: usize,
        write: bool,
    ) -> bool {
        let now = seen(world, state, space, page);
        now.at(world.shape().pages[page].index)
            .is_some_and(|(at, may)| at == frame && (may || !write))
    }
}

/// What a walk meets first.
#[derive(Clone, Copy)]
enum Root {
    Table(usize),
    Large(Entry),
    Nothing,
}

/// An upper entry as a walk goes on from it.
fn upper(world: &World, value: i64) -> Root {
    match entry::table(value) {
        Some(table) => Root::Table(table),
        None if value & entry::HUGE != 0 => Root::Large(Entry::large(value, cares(world))),
        None => Root::Nothing,
    }
}

/// What CPUs see when they walk the tables of an address space.
fn seen(world: &World, state: &State, space: usize, page: usize) -> Entry {
    let shape = world.shape();
    let block = shape.pages[page].block;
    let root = match shape.two_levels {
        true => upper(world, state.get(world.upper[space][block])),
        false => Root::Table(shape.first_table(space, block)),
    };
    match root {
        Root::Table(table) => Entry::small(state.get(world.entries[table][page]), cares(world)),
        Root::Large(entry) => entry,
        Root::Nothing => Entry::Absent,
    }
}

/// Contexts that have something loaded: which, what, and under which tag.
fn loaded(world: &World, state: &State) -> Vec<(usize, usize, usize)> {
    let slots = world.contexts.iter().enumerate();
    slots
        .filter(|(_, slots)| state.get(slots.root) != 0)
        .map(|(at, slots)| (at, state.get(slots.root) as usize - 1, state.get(slots.tag) as usize))
        .collect()
}

/// The cache that another fills from now.
fn source(world: &World, state: &State, cache: usize) -> Option<usize> {
    match world.shape().caches[cache].source {
        Source::Cache(source) => Some(source),
        Source::Context(context) => loaded(world, state)
            .into_iter()
            .find(|(at, ..)| *at == context)
            .map(|(.., tag)| world.shape().contexts[context].cache + tag),
        _ => None,
    }
}

/// The cache that a thread's accesses go to now, if they go anywhere.
fn used_by(world: &World, state: &State, thread: usize) -> Option<usize> {
    let agent = &world.shape().agents[thread];
    let Some(context) = agent.context else { return Some(agent.cache) };
    let (.., tag) = loaded(world, state).into_iter().find(|(at, ..)| *at == context)?;
    match world.shape().caches[agent.cache].source {
        Source::Roots => Some(world.shape().contexts[context].cache + tag),
        _ => Some(agent.cache),
    }
}

/// Address spaces whose tables a cache walks now.
fn spaces(world: &World, state: &State, cache: usize) -> Vec<usize> {
    let shape = world.shape();
    match shape.caches[cache].source {
        Source::Roots => loaded(world, state)
            .into_iter()
            .filter(|(at, _, tag)| shape.contexts[*at].cache + tag == cache)
            .map(|(_, space, _)| space)
            .collect(),
        _ => vec![shape.caches[cache].space],
    }
}

/// Whether somebody uses what a context has loaded.
fn awake(world: &World, state: &State, context: usize) -> bool {
    state.get(world.contexts[context].lazy) == 0
}

/// Address spaces that somebody asks a cache for now; nobody asks for what is
/// under a tag that is not loaded, or loaded lazily.
fn asked_for(world: &World, state: &State, cache: usize, fixed: usize) -> Vec<usize> {
    let shape = world.shape();
    let all = loaded(world, state).into_iter();
    let mut awake = all.filter(|(at, ..)| awake(world, state, *at));
    match shape.caches[cache].source {
        Source::Roots => awake
            .filter(|(at, _, tag)| shape.contexts[*at].cache + tag == cache)
            .map(|(_, space, _)| space)
            .collect(),
        Source::Context(context) => {
            awake.find(|(at, ..)| *at == context).into_iter().map(|(_, space, _)| space).collect()
        }
        _ => vec![fixed],
    }
}

impl Mmu for Naive {
    fn declare(&mut self, world: &World, slots: &mut Slots) {
        let shape = world.shape();
        let mut some = |count: usize| (0..count).map(|_| slots.natural(0)).collect();
        let blocks = if shape.two_levels { shape.blocks.len() } else { 0 };
        let walks = |source: Source| match source {
            Source::Table | Source::Roots => blocks,
            _ => 0,
        };
        self.caches = shape
            .caches
            .iter()
            .map(|cache| CacheSlots {
                small: some(shape.pages.len()),
                large: some(blocks),
                small_dirty: some(if cares(world) { shape.pages.len() } else { 0 }),
                large_dirty: some(if cares(world) { blocks } else { 0 }),
                unwritten: some(shape.pages.len()),
                pointers: some(walks(cache.source)),
            })
            .collect();
        if shape.caches.iter().any(|cache| cache.noncoherent) {
            let begin = slots.initial();
            let words = world.entries.iter().chain(&world.upper).flatten();
            self.lines = words.map(|seen| (*seen, slots.natural(begin.get(*seen)))).collect();
        }
    }

    /// Nothing is cached at the beginning; what may be there, fills bring.
    fn begin(&self, _: &World, _: &mut State) {}

    /// Hardware does not notice.
    fn table_changed(&self, _: &World, _: &mut State) {}

    /// Fills will bring what there is to be had.
    fn root_changed(&self, _: &World, _: &mut State) {}

    fn write_back(&self, _: &World, state: &mut State, slot: Slot) {
        self.clean(state, slot);
    }

    fn invalidate(
        &self,
        world: &World,
        state: &mut State,
        cache: usize,
        pages: u64,
        leaf_only: bool,
    ) {
        let slots = &self.caches[cache];
        for (page, slot) in slots.small.iter().enumerate() {
            if pages >> page & 1 == 0 {
                continue;
            }
            state.set(*slot, 0);
            let block = world.shape().pages[page].block;
            // A large entry goes with any address inside of it.
            for (slots, at, goes) in [
                (&slots.small_dirty, page, true),
                (&slots.large, block, true),
                (&slots.large_dirty, block, true),
                (&slots.pointers, block, !leaf_only),
            ] {
                if let (Some(slot), true) = (slots.get(at), goes) {
                    state.set(*slot, 0);
                }
            }
            // It is done when what it still had to write is written.
            self.pay_marks(world, state, cache, page);
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
        let Some(cache) = used_by(world, state, thread) else { return };
        let index = world.shape().pages[page].index;
        let rewalk = world.setting.perm_miss_rewalk;
        let mut answer = |entry: Entry, place: Option<Slot>| match entry.grants(index, write) {
            Some(frame) if write && cares(world) && !entry.dirty() => {
                match (world.setting.hw_dirty, place) {
                    (HwDirty::Lazy, _) => each(Answer::Owes(frame)),
                    // Only a walk finds the place to write to.
                    (_, Some(place)) => each(Answer::Marks(frame, place)),
                    (_, None) => {}
                }
            }
            Some(frame) => each(Answer::Frame(frame)),
            // An entry that is there and forbids the access is looked up
            // again; that something is absent is no matter of rights.
            None if place.is_some() || !rewalk || entry == Entry::Absent => each(Answer::Fault),
            None => {}
        };
        for entry in self.held(world, state, cache, page) {
            answer(entry, None);
        }
        let own = world.shape().agents[thread].context.and_then(|context| {
            let mut all = loaded(world, state).into_iter();
            all.find(|(at, ..)| *at == context).map(|(_, space, _)| space)
        });
        self.ask(world, state, (cache, own), page, &mut |entry, place, _| answer(entry, place));
    }

    fn fault(&self, world: &World, state: &mut State, thread: usize, page: usize) {
        if world.setting.fault_invalidates {
            // Both sizes and the pointer, of the TLB that was used and no other.
            if let Some(cache) = used_by(world, state, thread) {
                self.invalidate(world, state, cache, 1 << page, false);
            }
        }
    }

    fn owes(&self, world: &World, state: &mut State, thread: usize, page: usize, frame: usize) {
        let Some(cache) = used_by(world, state, thread) else { return };
        let slot = self.caches[cache].unwritten[page];
        state.set(slot, state.get(slot) | 1 << frame);
    }

    fn paid(&self, _: &World, state: &State) -> bool {
        let mut unwritten = self.caches.iter().flat_map(|slots| &slots.unwritten);
        unwritten.all(|slot| state.get(*slot) == 0)
    }

    fn reaches(&self, world: &World, state: &State, frame: usize) -> bool {
        let mut reaches = false;
        self.leads(world, state, &mut |_, _, at, _| reaches |= at == frame);
        reaches
    }

    fn reaches_table(&self, world: &World, state: &State, table: usize) -> bool {
        // A walk may be under way now: a root that is loaded with the table still
        // hooked in leads there before any pointer is cached.
        let walks = |cache: usize, space: usize| {
            (0..world.shape().pages.len()).any(|page| {
                matches!(self.root(world, state, cache, space, page), Root::Table(to) if to == table)
            })
        };
        self.caches.iter().enumerate().any(|(cache, slots)| {
            let spaces = spaces(world, state, cache);
            let cached = |slot: &Slot| state.get(*slot) >> table & 1 != 0;
            !slots.pointers.is_empty()
                && !spaces.is_empty()
                && (slots.pointers.iter().any(cached)
                    || spaces.into_iter().any(|space| walks(cache, space)))
        })
    }

    fn exceeds(
        &self,
        world: &World,
        state: &State,
        (space, page): (usize, usize),
        frame: usize,
        writes: bool,
    ) -> bool {
        let mut exceeds = false;
        self.leads(world, state, &mut |of, from, to, write| {
            exceeds |= (of, from, to) == (space, page, frame)
                && (write || !writes)
                && !self.granted(world, state, of, from, to, write);
        });
        exceeds
    }

    fn restless(&self, world: &World, state: &State) -> bool {
        let mut restless = false;
        self.leads(world, state, &mut |space, page, frame, write| {
            restless |= !self.granted(world, state, space, page, frame, write);
        });
        restless
    }

    fn stuck(&self, world: &World, state: &State, thread: usize, page: usize, write: bool) -> bool {
        // What remains after one more fault can answer every time.
        let mut after = state.clone();
        self.fault(world, &mut after, thread, page);
        let mut faults = false;
        self.access(world, &after, thread, page, write, &mut |answer| {
            faults |= answer == Answer::Fault
        });
        faults
    }

    /// The caches, and the write-backs.
    fn processes(&self) -> usize {
        self.caches.len() + usize::from(!self.lines.is_empty())
    }

    fn steps(
        &self,
        world: &World,
        state: &State,
        process: usize,
        each: &mut dyn FnMut(u32, State),
    ) {
        let mut choice = 0;
        let mut each = |next: State| {
            if next != *state {
                each(choice, next);
                choice += 1;
            }
        };
        if process == self.caches.len() {
            for (slot, _) in &self.lines {
                let mut next = state.clone();
                self.clean(&mut next, *slot);
                each(next);
            }
            return;
        }
        for page in 0..world.shape().pages.len() {
            let is = &world.shape().caches[process];
            let ahead =
                world.setting.hw_dirty == HwDirty::Eager && !is.cpu && is.source == Source::Table;
            self.ask(world, state, (process, None), page, &mut |entry, place, filled| {
                // Asked for a write that nobody has asked for.
                let writes = entry.at(0).is_some_and(|(_, write)| write);
                if let (true, Some(place)) = (ahead && writes && !entry.dirty(), place) {
                    let mut marked = filled.clone();
                    marked.set(place, marked.get(place) | entry::DIRTY);
                    each(marked);
                }
                each(filled);
            });
            let mut written = state.clone();
            self.pay_marks(world, &mut written, process, page);
            each(written);
        }
        let slots = &self.caches[process];
        let entries = slots.small.iter().chain(&slots.large);
        let dirty = slots.small_dirty.iter().chain(&slots.large_dirty);
        for slot in entries.chain(dirty).chain(&slots.pointers) {
            let mask = state.get(*slot);
            for bit in bits(mask) {
                let mut next = state.clone();
                next.set(*slot, mask & !(1 << bit));
                each(next);
            }
        }
    }

    fn resolve(&self, world: &World, state: &State, space: usize, page: usize) -> Option<usize> {
        let now = seen(world, state, space, page);
        now.at(world.shape().pages[page].index).map(|(frame, _)| frame)
    }
}
