//! What the steps that have one outcome do to memory under `ra`: fences, locks,
//! frames, changes of entries, flushes, contracts.

use shootdown_litmus::primitives::{Fence, LockOp};
use shootdown_litmus::program::{Agent, ContractKind};
use shootdown_step::value::{UNDEFINED, frame_of_page};
use shootdown_step::{Op, Range, Target};

use super::is_above;
use crate::machine::Machine;
use crate::mmu::{Answer, Mmu};
use crate::run::Each;
use crate::state::{Slot, State};
use crate::views::{Memory, Store};
use crate::world::Failed;

impl<M: Mmu> Machine<M> {
    /// What a step that has one meaning for all does to memory.
    pub(super) fn weak_effect(
        &self,
        state: &State,
        thread: usize,
        op: &Op,
        choice: u32,
        mut next: State,
        each: Each<'_>,
    ) {
        let world = &self.world;
        let weak = world.weak();
        let mut memory = weak.memory(state);
        let outcome = self.effect_of(state, thread, op, choice, &next, &mut memory);
        match outcome {
            Ok(()) => self.close(&mut next, memory),
            Err(why) => {
                next = state.clone();
                self.fail(&mut next, why);
            }
        }
        each(choice, next);
    }

    pub(super) fn effect_of(
        &self,
        state: &State,
        thread: usize,
        op: &Op,
        choice: u32,
        next: &State,
        memory: &mut Memory,
    ) -> Result<(), Failed> {
        let world = &self.world;
        let (weak, shape) = (world.weak(), world.shape());
        let range = |range: &Option<Range>| match range {
            Some(range) => self.pages(state, thread, range),
            None => shape.all_pages(),
        };
        if next.get(world.error) != 0 {
            return Ok(());
        }
        match op {
            Op::Fence(kind) => memory.fence(thread, *kind),
            Op::Lock { lock, class, op, .. } => {
                let at = self.lock_at(state, thread, lock, *class).ok_or(Failed::Page)?;
                match op {
                    LockOp::Lock | LockOp::ReadLock => memory.lock(thread, at),
                    _ => memory.unlock(thread, at),
                }
            }
            Op::MapEntry { lock: Some(_), .. } | Op::EntryLock { take: true, .. } => {
                let mine = thread as i64 + 1;
                let taken = world.locks.iter().position(|lock| {
                    state.get(lock.writer) != mine && next.get(lock.writer) == mine
                });
                // Nothing was taken if the table is gone.
                if let Some(lock) = taken {
                    memory.lock(thread, lock);
                }
            }
            Op::SetEntry { entry, .. } => {
                let slot = self.slot_of(state, thread, entry)?;
                self.changes(thread, slot, next, memory, false)?;
            }
            Op::ClearEntry { entry, .. }
            | Op::WriteProtectEntry { entry }
            | Op::SetAccessFlags { entry, .. } => {
                let slot = self.slot_of(state, thread, entry)?;
                self.changes(thread, slot, next, memory, true)?;
            }
            Op::SoftInstall { soft, address, .. } => {
                let page = self.page_at(self.value(state, thread, address)).ok_or(Failed::Page)?;
                self.changes(thread, world.softs[*soft][page], next, memory, false)?;
            }
            Op::SoftZap { soft, range } => {
                let start = self.value(state, thread, &range.start);
                let pages = shape.pages_between(start, self.value(state, thread, &range.end));
                for (page, slot) in world.softs[*soft].iter().enumerate() {
                    if pages >> page & 1 != 0 {
                        self.changes(thread, *slot, next, memory, true)?;
                    }
                }
            }
            Op::Alloc { zeroed, .. } => {
                let frame = choice as usize;
                if let Some(known) = memory.freed.remove(&frame) {
                    memory.learns(thread, &known);
                }
                for slot in &world.contents[frame] {
                    let location = weak.location(*slot);
                    memory.reset(location, UNDEFINED);
                    if *zeroed {
                        memory.store(thread, location, 0, Store::default());
                    }
                }
                if *zeroed {
                    memory.fence(thread, Fence::Write);
                }
            }
            Op::ClearPage { page } => {
                let frame = self.live(state, self.value(state, thread, page))?;
                for slot in &world.contents[frame] {
                    let location = weak.location(*slot);
                    if !memory.is_ordered(thread, location) {
                        return Err(Failed::Unordered);
                    }
                    let last = memory.last(location);
                    memory.store(thread, location, last, Store::default());
                }
                // As `__SetPageUptodate` has it, before anybody maps the page.
                memory.fence(thread, Fence::Write);
            }
            Op::Populate { entry, .. } => {
                let slot = world.upper_slot(self.value(state, thread, entry));
                self.changes(thread, slot.ok_or(Failed::Page)?, next, memory, false)?;
            }
            // It is of zeroes for everybody: the allocator cleared it, and who
            // hooks it in orders that.
            Op::AllocTable { site, .. } => {
                if let Some(known) = memory.freed.remove(&(world.contents.len() + site)) {
                    memory.learns(thread, &known);
                }
                for slot in &world.entries[*site] {
                    memory.reset(weak.location(*slot), 0);
                }
            }
            // Freeing its page is fully ordered, as it is for others.
            Op::FreeTable { .. } => {
                memory.fence(thread, Fence::Full);
                for (table, slot) in world.freed_tables.iter().enumerate() {
                    if state.get(*slot) != next.get(*slot) {
                        let seen = memory.threads[thread].seen.clone();
                        memory.freed.insert(world.contents.len() + table, seen);
                    }
                }
            }
            // The count is an atomic operation that is fully ordered.
            Op::PutPage { .. } | Op::GatherFree => {
                memory.fence(thread, Fence::Full);
                for (frame, slot) in world.frames.iter().enumerate() {
                    if state.get(*slot) != next.get(*slot) {
                        memory.freed.insert(frame, memory.threads[thread].seen.clone());
                        for word in &world.contents[frame] {
                            memory.reset(weak.location(*word), UNDEFINED);
                        }
                    }
                }
            }
            Op::FlushCpu { space, range: flushed, local } => {
                let pages = range(flushed);
                let view = memory.threads[thread].read.clone();
                for (at, cache) in shape.caches.iter().enumerate() {
                    let own = cache.thread == Some(thread);
                    if cache.cpu && cache.space == *space && (own || !local) {
                        self.raise(memory, at, pages, &view, false);
                    }
                }
                if !local {
                    self.performed(memory, thread, &|agent| {
                        shape.caches[agent.cache].cpu && shape.caches[agent.cache].space == *space
                    });
                    memory.fence(thread, Fence::Full);
                }
            }
            Op::GatherFlush { space, .. } => {
                let pages = state.get(world.threads[thread].cleared) as u64;
                if pages != 0 {
                    let view = memory.threads[thread].read.clone();
                    for (at, cache) in shape.caches.iter().enumerate() {
                        if cache.cpu && cache.space == *space {
                            self.raise(memory, at, pages, &view, false);
                        }
                    }
                    self.performed(memory, thread, &|agent| {
                        shape.caches[agent.cache].cpu && shape.caches[agent.cache].space == *space
                    });
                    memory.fence(thread, Fence::Full);
                }
            }
            Op::FlushCache { cache, count, tag, range: flushed, leaf } => {
                let caches = self.tagged(state, thread, *cache, *count, tag)?;
                self.flushed(memory, thread, caches, range(flushed), *leaf);
            }
            Op::FlushContext { context, range: flushed } => {
                let cache = world.tagged(state, *context);
                self.flushed(memory, thread, cache..cache + 1, range(flushed), false);
            }
            Op::LoadRoot { context, flush, .. } if world.target == Target::Machine => {
                weak.switches(world, (thread, *context), (state, next), memory, *flush);
            }
            Op::Post { queue, .. } => {
                let place = world.queues[*queue]
                    .iter()
                    .position(|slot| state.get(*slot) == 0 && next.get(*slot) != 0);
                if let Some(place) = place {
                    let view = memory.threads[thread].read.clone();
                    memory.posted.insert((*queue, place), view);
                }
            }
            Op::Sync { .. } if next.get(world.threads[thread].awaits) == 0 => {
                self.performed(memory, thread, &|agent| {
                    let cpu = agent.context.is_some() && matches!(agent.agent, Agent::Cpu(_));
                    !shape.caches[agent.cache].cpu && !cpu
                });
            }
            Op::Enter { .. } | Op::Leave { .. } | Op::GraceStart { .. } | Op::GraceWait { .. } => {
                self.readers(state, thread, op, next, memory)
            }
            Op::Moment { contract } if world.target == Target::Ideal => {
                self.named(state, thread, *contract, next, memory);
            }
            Op::Return { contract } if world.target == Target::Ideal => {
                self.returns(state, thread, *contract, memory);
            }
            _ => {}
        }
        Ok(())
    }

    /// Readers and who waits for them. A section that is waited for is seen by
    /// who has waited; one that is not begins with what was seen before.
    fn readers(&self, state: &State, thread: usize, op: &Op, next: &State, memory: &mut Memory) {
        let world = &self.world;
        match op {
            Op::Enter { readers, .. } => {
                for at in 0..world.readers.len() {
                    if world.counted(at).any(|counted| counted == *readers)
                        && let Some(begun) = memory.begun.get(&at).cloned()
                    {
                        memory.learns(thread, &begun);
                    }
                }
            }
            Op::Leave { readers } => {
                let seen = memory.threads[thread].seen.clone();
                let mut leaves = |at: (usize, usize)| {
                    memory.left.entry(at).or_insert_with(|| seen.clone()).join(&seen);
                };
                for (at, slots) in world.readers.iter().enumerate() {
                    if world.counted(at).any(|counted| counted == *readers) {
                        leaves((at, EVERYBODY));
                    }
                    for (who, awaits) in slots.awaits.iter().enumerate() {
                        if state.get(*awaits) != next.get(*awaits) {
                            leaves((at, who));
                        }
                    }
                }
            }
            Op::GraceStart { readers, .. } => {
                // What has ended by now is seen when the wait is over, like what
                // is waited for.
                if let Some(left) = memory.left.get(&(*readers, EVERYBODY)).cloned() {
                    memory
                        .left
                        .entry((*readers, thread))
                        .or_insert_with(|| left.clone())
                        .join(&left);
                }
                memory.fence(thread, Fence::Full);
                let seen = memory.threads[thread].seen.clone();
                memory.begun.entry(*readers).or_insert_with(|| seen.clone()).join(&seen);
            }
            Op::GraceWait { readers } => {
                if let Some(left) = memory.left.remove(&(*readers, thread)) {
                    memory.learns(thread, &left);
                }
                memory.fence(thread, Fence::Full);
            }
            _ => unreachable!("these are the steps of readers"),
        }
    }

    /// A flush that is waited for: of these caches, and of what was performed
    /// through them.
    fn flushed(
        &self,
        memory: &mut Memory,
        thread: usize,
        caches: std::ops::Range<usize>,
        pages: u64,
        leaf: bool,
    ) {
        let shape = self.world.shape();
        let view = memory.threads[thread].read.clone();
        for cache in caches.clone() {
            self.raise(memory, cache, pages, &view, leaf);
        }
        self.performed(memory, thread, &|agent| {
            let behind = agent.context.is_some_and(|context| {
                let is = &shape.contexts[context];
                (is.cache..is.cache + is.tags).contains(&caches.start)
            });
            behind || caches.clone().any(|cache| is_above(shape, agent.cache, cache))
        });
    }

    /// A thread changes an entry. Entries are changed under locks: the store
    /// goes behind all others, or there is no answer.
    pub(super) fn changes(
        &self,
        thread: usize,
        slot: Slot,
        next: &State,
        memory: &mut Memory,
        reads: bool,
    ) -> Result<(), Failed> {
        let location = self.world.weak().location(slot);
        if !memory.is_ordered(thread, location) {
            return Err(Failed::Unordered);
        }
        let (last, value) = (memory.last(location), next.get(slot));
        if reads {
            memory.read(thread, location, last, false, false);
        }
        if memory.value(location) != value {
            memory.store(thread, location, last, Store { value, reads, ..Store::default() });
        }
        Ok(())
    }

    /// Ideal memory: a call returns that takes something away. What was stored
    /// before is known to the caller, since a flush has waited for it.
    fn returns(&self, state: &State, thread: usize, contract: usize, memory: &mut Memory) {
        let world = &self.world;
        let call = &world.lowered.contracts[contract];
        if !revokes(call.kind) {
            return;
        }
        let pages = self.contract_pages(state, contract);
        let agents = &world.shape().agents;
        // Whoever has a context may have had this address space loaded.
        let users: Vec<usize> = (0..agents.len())
            .filter(|user| agents[*user].space == call.space || agents[*user].context.is_some())
            .filter(|user| world.translation(state, *user).is_some())
            .collect();
        for page in (0..world.shape().pages.len()).filter(|page| pages >> page & 1 != 0) {
            let mut known = Vec::new();
            for user in &users {
                self.mmu.access(world, state, *user, page, false, &mut |answer| {
                    if let Answer::Frame(frame) = answer {
                        known.extend(&world.contents[frame]);
                    }
                });
            }
            for slot in known {
                let location = world.weak().location(slot);
                let last = memory.last(location);
                memory.meets(thread, location, last);
            }
        }
    }

    /// A page of a contract takes effect: its objects are new, or get the name
    /// with what the caller has seen.
    pub(super) fn named(
        &self,
        state: &State,
        thread: usize,
        contract: usize,
        next: &State,
        memory: &mut Memory,
    ) {
        let world = &self.world;
        let slots = &world.contracts[contract];
        let call = &world.lowered.contracts[contract];
        let now = state.get(slots.pending) & !next.get(slots.pending);
        for page in (0..world.shape().pages.len()).filter(|page| now >> page & 1 != 0) {
            if let Some(object) = call.objects.get(page) {
                for slot in &world.contents[*object] {
                    memory.reset(world.weak().location(*slot), next.get(*slot));
                }
            }
        }
        if call.kind == ContractKind::Replace
            && let Some(object) = frame_of_page(state.get(slots.arguments[1]))
        {
            let seen = memory.threads[thread].seen.clone();
            memory.named.entry(object).or_insert_with(|| seen.clone()).join(&seen);
        }
    }
}

/// Whoever begins to wait for readers.
const EVERYBODY: usize = usize::MAX;

/// Contracts whose return makes an older state impossible.
fn revokes(kind: ContractKind) -> bool {
    use ContractKind::{Downgrade, Exit, Move, Replace, Revoke, Zap};
    matches!(kind, Zap | Replace | Downgrade | Revoke | Exit | Move)
}
