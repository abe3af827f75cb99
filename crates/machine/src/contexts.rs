//! Steps on contexts: loading a root with its tag, and flushing by tag.
//!
//! A TLB with tags is a cache for each tag. What a context has loaded says
//! which of them is filled, and from which table; an entry under a tag that no
//! context has loaded answers nobody, until some context loads the tag again
//! without a flush.

use std::ops::Range;

use shootdown_step::value::entry;
use shootdown_step::{Expr, Op};

use crate::machine::Machine;
use crate::mmu::Mmu;
use crate::state::State;
use crate::world::{Failed, Seen};

impl<M: Mmu> Machine<M> {
    /// The caches of a TLB that a flush is about: of one tag, or of all.
    pub(crate) fn tagged(
        &self,
        state: &State,
        thread: usize,
        first: usize,
        count: usize,
        tag: &Option<Expr>,
    ) -> Result<Range<usize>, Failed> {
        let Some(tag) = tag else { return Ok(first..first + count) };
        let tag = usize::try_from(self.value(state, thread, tag)).ok();
        let tag = tag.filter(|tag| *tag < count).ok_or(Failed::Page)?;
        Ok(first + tag..first + tag + 1)
    }

    /// Whether all stores of the CPUs behind these caches are in memory: a flush
    /// that is waited for means that they have performed what they began.
    fn contexts_drained(&self, state: &State, caches: &Range<usize>) -> bool {
        let shape = self.world.shape();
        shape.agents.iter().enumerate().all(|(thread, agent)| {
            let behind = agent.context.is_some_and(|context| {
                let first = shape.contexts[context].cache;
                (first..first + shape.contexts[context].tags).contains(&caches.start)
            });
            !behind || self.drained(state, thread)
        })
    }

    pub(crate) fn context(
        &self,
        state: &mut State,
        thread: usize,
        op: &Op,
    ) -> Result<bool, Failed> {
        let world = &self.world;
        let all = world.shape().all_pages();
        match op {
            Op::FlushCache { cache, count, tag, range, leaf } => {
                let pages = range.as_ref().map_or(all, |range| self.pages(state, thread, range));
                let caches = self.tagged(state, thread, *cache, *count, tag)?;
                if !self.contexts_drained(state, &caches)
                    || self.waits_for_accesses(state, caches.clone(), pages)
                {
                    return Ok(false);
                }
                for cache in caches {
                    self.forget(state, cache, pages, *leaf);
                }
            }
            Op::FlushContext { context, range } => {
                let pages = range.as_ref().map_or(all, |range| self.pages(state, thread, range));
                let cache = world.tagged(state, *context);
                if !self.contexts_drained(state, &(cache..cache + 1)) {
                    return Ok(false);
                }
                self.forget(state, cache, pages, false);
            }
            Op::LoadRoot { context, space, tag, flush } => {
                let tags = world.shape().contexts[*context].tags as i64;
                let tag = self.value(state, thread, tag);
                if !(0..tags).contains(&tag) {
                    return Err(Failed::Page);
                }
                self.note_load(state, *context, *space);
                let slots = world.contexts[*context];
                state.set(slots.root, space.map_or(0, |space| space as i64 + 1));
                state.set(slots.tag, tag);
                state.set(slots.lazy, 0);
                if *flush {
                    self.mmu.invalidate(world, state, world.tagged(state, *context), all, false);
                }
                self.mmu.root_changed(world, state);
                // A pointer that nobody used when its table was given back is
                // used from now on.
                let freed = world.freed_tables.iter().enumerate();
                let mut freed = freed.filter(|(_, slot)| state.get(**slot) != 0);
                if freed.any(|(table, _)| self.mmu.reaches_table(world, state, table)) {
                    return Err(Failed::Table);
                }
            }
            Op::Lazy { context, lazy } => {
                state.set(world.contexts[*context].lazy, i64::from(*lazy));
            }
            _ => unreachable!("these are the steps on contexts"),
        }
        Ok(true)
    }

    /// A load changes the table of its agents as a whole.
    fn note_load(&self, state: &State, context: usize, space: Option<usize>) {
        let world = &self.world;
        Seen::note(&world.seen.events, 4);
        let (Some(from), Some(to)) = (world.root(state, context), space) else { return };
        let frame = |space: usize, page: usize| entry::frame(world.walk(state, space, page));
        let other = (0..world.shape().pages.len())
            .filter(|page| frame(from, *page).is_some() && frame(from, *page) != frame(to, *page));
        Seen::note(&world.seen.replaced, other.fold(0, |pages, page| pages | 1 << page));
    }
}
