//! What caches find under `ra`: every message of an entry from a floor on.

use shootdown_step::shape::Source;
use shootdown_step::value::entry;
use shootdown_step::{Access, Reg, Target};

use super::root;
use crate::machine::Machine;
use crate::mmu::{Answer, Mmu};
use crate::queue::Descriptor;
use crate::run::{Each, FAULT};
use crate::state::State;
use crate::views::{Memory, Message, View};
use crate::world::{Failed, Seen};

impl<M: Mmu> Machine<M> {
    /// An invalidation of a cache is complete: what it fills again is not older
    /// than what the one who asked for it has seen, or than what its source
    /// may hold.
    pub(super) fn raise(&self, memory: &mut Memory, cache: usize, pages: u64, view: &View) {
        let weak = self.world.weak();
        // One that ignores what it is told keeps what it found.
        if self.world.shape().caches[cache].ignores {
            return;
        }
        let source = match self.world.shape().caches[cache].source {
            Source::Cache(source) => memory.floors[source].clone(),
            _ => view.clone(),
        };
        for (page, location) in weak.walks[cache].iter().enumerate() {
            if pages >> page & 1 != 0 {
                memory.floors[cache].raise(*location, source.at(*location));
            }
        }
    }

    /// What agents have stored through the caches that a thread has waited for.
    pub(super) fn performed(&self, memory: &mut Memory, thread: usize, of: &dyn Fn(usize) -> bool) {
        let agents = &self.world.shape().agents;
        for slot in self.world.contents.iter().flatten() {
            let location = self.world.weak().location(*slot);
            let through = |message: &Message| {
                message.author != 0 && of(agents[usize::from(message.author) - 1].cache)
            };
            if let Some(at) = memory.messages[location].iter().rposition(through) {
                memory.meets(thread, location, at);
            }
        }
    }

    /// The next descriptor of a queue under `ra`.
    pub(crate) fn weak_queue(&self, state: &State, queue: usize, each: Each<'_>) {
        self.queue_steps(state, queue, &mut |at, mut next| {
            let mut memory = self.world.weak().memory(state);
            let number = state.get(self.world.queues[queue][at as usize]);
            let view = memory.posted.remove(&(queue, at as usize));
            // Descriptors that write have no meaning here and are refused.
            if let (Some(Descriptor::Invalidate { caches, pages, .. }), Some(view)) =
                (self.world.posted(number), view)
            {
                for cache in caches {
                    self.raise(&mut memory, cache, pages, &view);
                }
            }
            let moved = std::mem::take(&mut memory.posted).into_iter();
            memory.posted = moved
                .map(|((of, place), view)| {
                    let up = usize::from(of == queue && place > at as usize);
                    ((of, place - up), view)
                })
                .collect();
            self.close(&mut next, memory);
            each(at, next);
        });
    }

    /// An access through a translation: the caches answer, then memory.
    pub(super) fn weak_translated(
        &self,
        state: &State,
        thread: usize,
        (pointer, index): (i64, i64),
        access: &Access,
        into: Option<Reg>,
        each: Each<'_>,
    ) {
        let world = &self.world;
        let (weak, shape) = (world.weak(), world.shape());
        let word = usize::try_from(index).ok().filter(|word| *word < shape.words_per_frame);
        let (Some(page), Some(word)) = (self.page_at(pointer), word) else {
            return self.failed(state, Failed::Page, each);
        };
        Seen::note(&world.seen.accessed, 1 << page);
        let memory = weak.memory(state);
        let (mut frames, mut faults) = (0u64, false);
        self.mmu.access(world, state, thread, page, access.writes(), &mut |answer| match answer {
            Answer::Frame(frame) => frames |= 1 << frame,
            Answer::Fault => faults = true,
            Answer::Marks(..) | Answer::Owes(_) => unreachable!("`hw_dirty` is refused"),
        });
        let cache = shape.agents[thread].cache;
        let machine = world.target == Target::Machine;
        // A walk may find an old entry too.
        let grants = |value: i64| entry::grants(value, access.writes());
        if machine {
            let walk = weak.found(&memory, root(shape, cache), page);
            faults |= walk.into_iter().any(|message| !grants(message.value));
        }
        for frame in (0..64).filter(|frame| frames >> frame & 1 != 0) {
            // Who goes through an entry has seen what came along with it; of
            // several entries the weakest counts.
            let mut known: Option<View> = None;
            if machine {
                let through = |message: &&Message| {
                    entry::frame(message.value) == Some(frame) && grants(message.value)
                };
                for message in weak.found(&memory, cache, page).filter(through) {
                    match &mut known {
                        Some(known) => known.meet(&message.view),
                        None => known = Some(message.view.clone()),
                    }
                }
            } else {
                known = memory.named.get(&frame).cloned();
            }
            let slot = world.contents[frame][word];
            let mut memory = memory.clone();
            if let Some(known) = known {
                let location = weak.location(slot);
                memory.meets(thread, location, known.at(location));
            }
            let through = (slot, frame as u32 + 1);
            self.weak_access(state, thread, memory, through, access, into, each);
        }
        if faults {
            let mut next = state.clone();
            self.mmu.fault(world, &mut next, thread, page);
            self.faulted(&mut next, thread);
            self.close(&mut next, memory);
            each(FAULT, next);
        }
    }
}
