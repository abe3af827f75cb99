//! Steps on page tables, and on what tells the hardware of them.

use shootdown_litmus::primitives::LockOp;
use shootdown_step::value::{entry, frame_of_page, page_of_table, table_of_page};
use shootdown_step::{EntryAt, Op};

use crate::machine::Machine;
use crate::mmu::Mmu;
use crate::queue::{Descriptor, WRITTEN};
use crate::setting::Drain;
use crate::state::{Slot, State};
use crate::world::{Failed, Seen};

type Outcome = Result<bool, Failed>;

impl<M: Mmu> Machine<M> {
    pub(crate) fn slot_of(
        &self,
        state: &State,
        thread: usize,
        at: &EntryAt,
    ) -> Result<Slot, Failed> {
        let pointer = self.value(state, thread, at.pointer());
        // Software walks too: a pointer to an entry may outlive its table.
        let freed = |(table, _): (usize, usize)| state.get(self.world.freed_tables[table]) != 0;
        if let EntryAt::Lower(_) = at
            && self.world.shape().entry_of_pointer(pointer).is_some_and(freed)
        {
            return Err(Failed::Walk);
        }
        match at {
            EntryAt::Lower(_) => self.world.entry_slot(pointer),
            EntryAt::Upper(_) => self.world.upper_slot(pointer),
            EntryAt::Soft(soft, _) => {
                self.page_at(pointer).map(|page| self.world.softs[*soft][page])
            }
        }
        .ok_or(Failed::Page)
    }

    /// The page that an entry maps, for what is gathered.
    fn page_of(&self, pointer: i64) -> u64 {
        self.world.shape().entry_of_pointer(pointer).map_or(0, |(_, page)| 1 << page)
    }

    /// The pages that a gather has to flush once an entry is cleared. Pointers
    /// to upper entries are numbers of their own.
    fn pages_of(&self, at: &EntryAt, pointer: i64) -> u64 {
        let shape = self.world.shape();
        match at {
            EntryAt::Lower(_) => self.page_of(pointer),
            EntryAt::Upper(_) => shape.upper_of_pointer(pointer).map_or(0, |(_, block)| {
                shape.blocks[block].iter().fold(0, |pages, page| pages | 1 << page)
            }),
            // A gather is about the process's own table.
            EntryAt::Soft(..) => 0,
        }
    }

    pub(crate) fn entry(&self, state: &mut State, thread: usize, op: &Op) -> Outcome {
        let world = &self.world;
        match op {
            Op::MapEntry { into, address, space, lock } => {
                let address = self.value(state, thread, address);
                let page = self.page_at(address).ok_or(Failed::Page)?;
                let block = world.shape().pages[page].block;
                let table = match world.shape().two_levels {
                    true => entry::table(state.get(world.upper[*space][block])),
                    false => Some(world.shape().first_table(*space, block)),
                };
                let Some(table) = table else {
                    // The table is gone, or there is a huge page instead.
                    self.keep(state, thread, *into, 0);
                    return Ok(true);
                };
                if let Some(out) = lock {
                    let lock = world.table_lock(table);
                    if self.lock_step(state, thread, lock, LockOp::Lock)?.is_none() {
                        return Ok(false);
                    }
                    self.keep(state, thread, *out, lock as i64 + 1);
                }
                self.keep(state, thread, *into, world.shape().entry_pointer(table, page));
            }
            Op::EntryOfTable { into, table, address } => {
                let table = table_of_page(self.value(state, thread, table)).ok_or(Failed::Page)?;
                let page = self.page_at(self.value(state, thread, address)).ok_or(Failed::Page)?;
                self.keep(state, thread, *into, world.shape().entry_pointer(table, page));
            }
            Op::EntryLock { into, entry, take } => {
                let pointer = self.value(state, thread, entry.pointer());
                let shape = world.shape();
                let lock = match entry {
                    EntryAt::Lower(_) => {
                        shape.entry_of_pointer(pointer).map(|(table, _)| shape.table_lock(table))
                    }
                    EntryAt::Upper(_) => {
                        shape.upper_of_pointer(pointer).map(|(space, _)| shape.upper_lock(space))
                    }
                    EntryAt::Soft(..) => None,
                };
                let lock = lock.ok_or(Failed::Page)?;
                if *take
                    && self.lock_step(state, thread, lock as usize - 1, LockOp::Lock)?.is_none()
                {
                    return Ok(false);
                }
                self.keep(state, thread, *into, lock);
            }
            Op::ReadEntry { into, entry } => {
                let slot = self.slot_of(state, thread, entry)?;
                self.keep(state, thread, *into, self.load(state, thread, slot));
            }
            Op::ClearEntry { into, entry } => {
                let slot = self.slot_of(state, thread, entry)?;
                let old = state.get(slot);
                self.commit(state, slot, 0);
                let threads = &world.threads[thread];
                if state.get(threads.gather) != 0 {
                    let pages = self.pages_of(entry, self.value(state, thread, entry.pointer()));
                    state.set(threads.cleared, state.get(threads.cleared) | pages as i64);
                }
                Seen::note(&world.seen.events, 4);
                self.keep(state, thread, *into, old);
            }
            Op::SetEntry { entry, value } => {
                let slot = self.slot_of(state, thread, entry)?;
                let value = self.value(state, thread, value);
                self.note_set(state, thread, entry, value);
                self.store(state, thread, slot, value);
            }
            Op::WriteProtectEntry { entry: at } => {
                let slot = self.slot_of(state, thread, at)?;
                let value = state.get(slot) & !entry::WRITE;
                self.commit(state, slot, value);
                Seen::note(&world.seen.events, 4);
            }
            Op::Flags { into, entry: at, clears, sets } => {
                let slot = self.slot_of(state, thread, at)?;
                let old = state.get(slot);
                // An absent entry stays absent.
                let new = if old == 0 { 0 } else { old & !clears | sets };
                self.commit(state, slot, new);
                Seen::note(&world.seen.events, 4);
                self.keep(state, thread, *into, i64::from(old & clears != 0));
            }
            Op::ExchangeEntry { into, entry: at, expected, value } => {
                let slot = self.slot_of(state, thread, at)?;
                let value = self.value(state, thread, value);
                let old = state.get(slot);
                let expected = expected.as_ref().map(|value| self.value(state, thread, value));
                if expected.is_none_or(|expected| expected == old) {
                    self.note_set(state, thread, at, value);
                    self.commit(state, slot, value);
                }
                self.keep(state, thread, *into, old);
            }
            Op::SetAccessFlags { into, entry: at, value } => {
                let slot = self.slot_of(state, thread, at)?;
                let wanted = self.value(state, thread, value);
                let old = state.get(slot);
                // Rights are added; another page would be another operation.
                let flags = wanted & (entry::READ | entry::WRITE | entry::DIRTY | entry::YOUNG);
                let new = if old == 0 { wanted } else { old | flags };
                self.commit(state, slot, new);
                Seen::note(&world.seen.events, 4);
                self.keep(state, thread, *into, i64::from(new != old));
            }
            Op::Populate { entry: at, table } => {
                let slot = world.upper_slot(self.value(state, thread, at)).ok_or(Failed::Page)?;
                let table = table_of_page(self.value(state, thread, table)).ok_or(Failed::Page)?;
                self.commit(state, slot, entry::make(page_of_table(table), entry::TABLE));
                Seen::note(&world.seen.events, 4);
            }
            Op::AllocTable { into, site } => {
                for slot in &world.entries[*site] {
                    self.commit(state, *slot, 0);
                }
                state.set(world.freed_tables[*site], 0);
                self.keep(state, thread, *into, page_of_table(*site));
            }
            Op::FreeTable { table } => {
                let table = table_of_page(self.value(state, thread, table)).ok_or(Failed::Page)?;
                Seen::note(&world.seen.events, 2);
                // What is in the table is arbitrary from here on: the branch
                // ends with the finding.
                if self.mmu.reaches_table(world, state, table) {
                    return Err(Failed::Table);
                }
                state.set(*world.freed_tables.get(table).ok_or(Failed::Page)?, 1);
            }
            Op::SetRights { space, address, rights } => {
                let page = self.page_at(self.value(state, thread, address)).ok_or(Failed::Page)?;
                let rights = self.value(state, thread, rights);
                state.set(world.rights[*space][page], rights);
            }
            Op::AskRights { into, space, address } => {
                let page = self.page_at(self.value(state, thread, address)).ok_or(Failed::Page)?;
                self.keep(state, thread, *into, state.get(world.rights[*space][page]));
            }
            Op::ForkEntries { from, to, address } => {
                let one = match address {
                    Some(address) => {
                        Some(self.page_at(self.value(state, thread, address)).ok_or(Failed::Page)?)
                    }
                    None => None,
                };
                for page in 0..world.shape().pages.len() {
                    if one.is_some_and(|one| one != page) {
                        continue;
                    }
                    let block = world.shape().pages[page].block;
                    let value = world.walk(state, *from, page) & !entry::WRITE;
                    let table = world.shape().first_table(*to, block);
                    self.commit(state, world.entries[table][page], value);
                    let rights = state.get(world.rights[*from][page]);
                    state.set(world.rights[*to][page], rights);
                }
            }
            Op::SetChildEntry { from, to, address, value } => {
                let page = self.page_at(self.value(state, thread, address)).ok_or(Failed::Page)?;
                let value = self.value(state, thread, value);
                if let Some(frame) = entry::frame(value) {
                    Seen::note(&world.seen.installed, 1 << frame);
                }
                Seen::note(&world.seen.events, 4);
                let table = world.shape().first_table(*to, world.shape().pages[page].block);
                self.commit(state, world.entries[table][page], value);
                let rights = state.get(world.rights[*from][page]);
                state.set(world.rights[*to][page], rights);
            }
            _ => unreachable!("these are the steps on tables"),
        }
        Ok(true)
    }

    /// Remembers that a page got another frame than it had.
    fn note_set(&self, state: &State, thread: usize, at: &EntryAt, value: i64) {
        let seen = &self.world.seen;
        Seen::note(&seen.events, 4);
        let Some(frame) = entry::frame(value) else { return };
        Seen::note(&seen.installed, 1 << frame);
        if let EntryAt::Lower(pointer) = at {
            let page = self.page_of(self.value(state, thread, pointer));
            let first = match page.trailing_zeros() as usize {
                64 => None,
                page => self.world.shape().pages[page].frame,
            };
            if first != Some(frame) {
                Seen::note(&seen.replaced, page);
            }
        }
    }

    /// A fault on behalf of a program, or the beginning of a real one.
    pub(crate) fn fault_step(&self, state: &mut State, thread: usize, op: &Op) {
        let (address, space, write) = match op {
            Op::Probe { address, space, write } | Op::EnterFault { address, space, write, .. } => {
                (self.value(state, thread, address), *space, *write)
            }
            _ => unreachable!("these are the steps of faults"),
        };
        let Some(page) = self.page_at(address) else { return self.fail(state, Failed::Page) };
        let value = self.world.walk(state, space, page);
        let granted = entry::grants(value, write);
        match op {
            Op::Probe { .. } if granted => self.advance(state, thread),
            Op::Probe { .. } => {
                let number = state.get(self.world.threads[thread].pc) as usize;
                match self.world.code(thread).after(number).1 {
                    Some(_) => self.faulted(state, thread),
                    None => self.advance(state, thread),
                }
            }
            // The table grants it by now: the access is tried again.
            _ if granted => self.faulted(state, thread),
            Op::EnterFault { value: into, .. } => {
                self.keep(state, thread, *into, value);
                self.advance(state, thread);
            }
            _ => unreachable!("these are the steps of faults"),
        }
    }

    /// Whether all stores of an address space's CPUs are in memory.
    pub(crate) fn buffers_drained(&self, state: &State, space: usize) -> bool {
        let agents = &self.world.shape().agents;
        (0..agents.len()).all(|thread| agents[thread].space != space || self.drained(state, thread))
    }

    /// Threads with an access through a cache to one of these pages that was
    /// translated and not yet performed.
    fn in_flight(&self, state: &State, cache: usize, pages: u64) -> Vec<usize> {
        let agents = self.world.shape().agents.iter().enumerate();
        let through = agents.filter(|(_, agent)| agent.cache == cache).map(|(thread, _)| thread);
        through
            .filter(|thread| {
                let page = match self.world.next_step(state, *thread) {
                    Some((_, Op::Access { pointer, .. })) => {
                        self.page_at(self.value(state, *thread, pointer))
                    }
                    _ => None,
                };
                state.get(self.world.threads[*thread].in_flight) != 0
                    && page.is_some_and(|page| pages >> page & 1 != 0)
            })
            .collect()
    }

    /// Whether an invalidation has to wait for accesses through these caches:
    /// for stores that are on their way, and where the first invalidation
    /// completes too early, for accesses that this one is the second for. If it
    /// does not wait it is the first.
    pub(crate) fn waits_for_accesses(
        &self,
        state: &mut State,
        caches: impl IntoIterator<Item = usize>,
        pages: u64,
    ) -> bool {
        let caches: Vec<usize> = caches.into_iter().collect();
        // Stores that wait in a buffer were translated; a guest has one too.
        let agents = self.world.shape().agents.iter().enumerate();
        let mut through = agents.filter(|(_, agent)| caches.contains(&agent.cache));
        if through.any(|(thread, _)| !self.drained(state, thread)) {
            return true;
        }
        if self.world.setting.drain != Drain::Repeat {
            return false;
        }
        let threads: Vec<usize> =
            caches.iter().flat_map(|cache| self.in_flight(state, *cache, pages)).collect();
        let passed = |thread: &usize| self.world.threads[*thread].passed;
        if threads.iter().any(|thread| state.get(passed(thread)) != 0) {
            return true;
        }
        threads.iter().for_each(|thread| state.set(passed(thread), 1));
        false
    }

    /// The caches of an address space's CPUs.
    fn cpu_caches(&self, space: usize) -> Vec<usize> {
        let caches = self.world.shape().caches.iter().enumerate();
        caches.filter(|(_, cache)| cache.cpu && cache.space == space).map(|(at, _)| at).collect()
    }

    /// Whether a flush of an address space's CPUs has to wait for what they
    /// have begun.
    pub(crate) fn cpus_are_busy(&self, state: &mut State, space: usize, pages: u64) -> bool {
        !self.buffers_drained(state, space)
            || self.waits_for_accesses(state, self.cpu_caches(space), pages)
    }

    /// All CPUs of an address space forget pages.
    pub(crate) fn flush_cpu(&self, state: &mut State, space: usize, pages: u64) {
        for cache in self.cpu_caches(space) {
            self.mmu.invalidate(&self.world, state, cache, pages, false);
        }
    }

    /// Posts a descriptor; if the queue is full the driver waits for room.
    fn post(&self, state: &mut State, queue: usize, descriptor: &Descriptor) -> bool {
        let mut places = self.world.queues[queue].iter();
        let Some(place) = places.find(|slot| state.get(**slot) == 0) else { return false };
        state.set(*place, self.world.number(descriptor));
        true
    }

    /// A cache is told to forget pages. One that ignores what it is told says
    /// that it is done all the same.
    pub(crate) fn forget(&self, state: &mut State, cache: usize, pages: u64, leaf: bool) {
        if !self.world.shape().caches[cache].ignores {
            self.mmu.invalidate(&self.world, state, cache, pages, leaf);
        }
    }

    /// Flushes, queues, software TLBs.
    pub(crate) fn told(&self, state: &mut State, thread: usize, op: &Op) -> Outcome {
        let world = &self.world;
        let all = world.shape().all_pages();
        match op {
            Op::FlushCpu { space, range, local } => {
                let pages = range.as_ref().map_or(all, |range| self.pages(state, thread, range));
                if *local {
                    let own =
                        world.shape().caches.iter().position(|cache| cache.thread == Some(thread));
                    if let Some(own) = own {
                        self.mmu.invalidate(world, state, own, pages, false);
                    }
                    return Ok(true);
                }
                // The CPUs that are flushed have performed what they began.
                if self.cpus_are_busy(state, *space, pages) {
                    return Ok(false);
                }
                self.flush_cpu(state, *space, pages);
            }
            Op::FlushCache { .. }
            | Op::FlushContext { .. }
            | Op::Lazy { .. }
            | Op::LoadRoot { .. } => {
                return self.context(state, thread, op);
            }
            Op::WriteBack { entry } => {
                let slot = self.slot_of(state, thread, entry)?;
                self.mmu.write_back(world, state, slot);
            }
            Op::Post { queue, cache, count, tag, range, leaf } => {
                let pages = self.pages(state, thread, range);
                let caches = self.tagged(state, thread, *cache, *count, tag)?;
                let descriptor = Descriptor::Invalidate { caches, pages, leaf: *leaf };
                return Ok(self.post(state, *queue, &descriptor));
            }
            Op::PostWrite { queue, word, value } => {
                let value = usize::try_from(self.value(state, thread, value)).ok();
                let value = value.filter(|value| *value < WRITTEN).ok_or(Failed::Endless)?;
                let descriptor = Descriptor::Write { word: *word, value };
                return Ok(self.post(state, *queue, &descriptor));
            }
            Op::SoftInstall { soft, address, page, rights } => {
                let at = self.page_at(self.value(state, thread, address)).ok_or(Failed::Page)?;
                let page = self.value(state, thread, page);
                let rights = self.value(state, thread, rights);
                if page != 0 && frame_of_page(page).is_none() {
                    return Err(Failed::Page);
                }
                self.commit(state, world.softs[*soft][at], entry::make(page, rights & 3));
            }
            Op::SoftZap { soft, range } => {
                // Software walks from the one address to the other.
                let start = self.value(state, thread, &range.start);
                let end = self.value(state, thread, &range.end);
                let pages = world.shape().pages_between(start, end);
                for (page, slot) in world.softs[*soft].iter().enumerate() {
                    if pages >> page & 1 != 0 {
                        self.commit(state, *slot, 0);
                    }
                }
            }
            _ => unreachable!("these are the steps that tell hardware"),
        }
        Ok(true)
    }

    /// Waits for a queue. The first time the thread remembers what is posted,
    /// then it waits for that; what comes later does not matter.
    pub(crate) fn sync(
        &self,
        state: &State,
        thread: usize,
        queue: usize,
        each: &mut dyn FnMut(u32, State),
    ) {
        let awaits = self.world.threads[thread].awaits;
        let posted = self.world.queues[queue].iter().enumerate();
        let posted = posted
            .filter(|(_, slot)| state.get(**slot) != 0)
            .fold(0, |mask, (at, _)| mask | 1 << at);
        let mut next = state.clone();
        match (state.get(awaits), posted) {
            (0, 0) | (WAITING, _) => {
                next.set(awaits, 0);
                self.advance(&mut next, thread);
            }
            (0, posted) => next.set(awaits, posted | WAITING),
            _ => return,
        }
        each(0, next);
    }

    /// A descriptor of a queue is executed.
    pub fn queue_steps(&self, state: &State, queue: usize, each: &mut dyn FnMut(u32, State)) {
        let world = &self.world;
        if state.get(world.error) != 0 {
            return;
        }
        let places = &world.queues[queue];
        let in_order = world.shape().queues[queue].in_order;
        for (at, slot) in places.iter().enumerate() {
            let posted = world.posted(state.get(*slot)).filter(|_| !in_order || at == 0);
            let Some(posted) = posted else { break };
            let mut next = state.clone();
            if let Descriptor::Invalidate { caches, pages, .. } = &posted
                && self.waits_for_accesses(&mut next, caches.clone(), *pages)
            {
                continue;
            }
            // The others move up, for the queue and for those who wait.
            for (index, place) in places.iter().enumerate().skip(at) {
                let newer = places.get(index + 1).map_or(0, |place| state.get(*place));
                next.set(*place, newer);
            }
            let below = (1i64 << at) - 1;
            for threads in &world.threads {
                let waits = state.get(threads.awaits);
                if waits & WAITING != 0 && self.waits_for(state, threads, queue) {
                    let bits = waits & !WAITING;
                    let moved = bits & below | (bits >> 1) & !below;
                    next.set(threads.awaits, moved | WAITING);
                }
            }
            match posted {
                Descriptor::Invalidate { caches, pages, leaf } => {
                    caches.for_each(|cache| self.forget(&mut next, cache, pages, leaf));
                }
                Descriptor::Write { word, value } => {
                    // What was there when it was posted may be gone by now.
                    match world.life_of_word(word).is_some_and(|life| world.is_gone(state, life)) {
                        true => self.fail(&mut next, Failed::Lifetime),
                        false => self.commit(&mut next, world.words[word], value as i64),
                    }
                }
            }
            each(at as u32, next);
        }
    }

    fn waits_for(&self, state: &State, threads: &crate::world::ThreadSlots, queue: usize) -> bool {
        let thread = self.world.threads.iter().position(|other| other.pc == threads.pc);
        thread
            .and_then(|thread| self.world.next_step(state, thread))
            .is_some_and(|(_, op)| matches!(op, Op::Sync { queue: own } if *own == queue))
    }
}

/// A thread waits for descriptors; the bits below say which.
pub(crate) const WAITING: i64 = 1 << crate::world::QUEUE;
