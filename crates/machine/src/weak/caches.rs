//! Invalidations and translated accesses under `ra`.

use shootdown_step::shape::AgentShape;
use shootdown_step::value::entry;
use shootdown_step::{Access, Reg, Target};

use crate::machine::Machine;
use crate::mmu::{Answer, Mmu};
use crate::queue::Descriptor;
use crate::run::{Each, FAULT};
use crate::setting::Drain;
use crate::state::State;
use crate::views::{Memory, Message, View};
use crate::world::{Failed, Seen};

impl<M: Mmu> Machine<M> {
    /// An invalidation of a cache is complete.
    pub(super) fn raise(
        &self,
        memory: &mut Memory,
        cache: usize,
        pages: u64,
        view: &View,
        leaf: bool,
    ) {
        let (world, weak) = (&self.world, self.world.weak());
        if !world.shape().contexts.is_empty() {
            memory.tells(view, &weak.tables);
        }
        // One that ignores what it is told keeps what it found.
        if !world.shape().caches[cache].ignores {
            weak.forget(world, memory, cache, pages, view, leaf);
        }
    }

    /// What agents have stored through the caches that a thread has waited for.
    pub(super) fn performed(
        &self,
        memory: &mut Memory,
        thread: usize,
        of: &dyn Fn(&AgentShape) -> bool,
    ) {
        // Where completion is broken it says nothing of them.
        if self.world.setting.drain != Drain::Yes {
            return;
        }
        let agents = &self.world.shape().agents;
        for slot in self.world.contents.iter().flatten() {
            let location = self.world.weak().location(*slot);
            let through = |message: &Message| {
                message.author != 0 && of(&agents[usize::from(message.author) - 1])
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
            if let (Some(Descriptor::Invalidate { caches, pages, leaf }), Some(view)) =
                (self.world.posted(number), view)
            {
                for cache in caches {
                    self.raise(&mut memory, cache, pages, &view, leaf);
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
        let mut memory = weak.memory(state);
        let slots = &world.threads[thread];
        // With a broken completion an access is translated in one step, and
        // performed in another.
        let machine = world.target == Target::Machine;
        let in_two = world.setting.drain != Drain::Yes && machine;
        let in_flight = state.get(slots.in_flight);
        if in_two && in_flight != 0 {
            let mut state = state.clone();
            state.set(slots.in_flight, 0);
            state.set(slots.passed, 0);
            let at = (world.contents[in_flight as usize - 1][word], 0);
            return self.weak_access(&state, thread, memory, at, access, into, each);
        }
        let Some((cache, _)) = world.translation(state, thread) else {
            // Nothing is loaded that could be handled a fault of.
            let mut next = state.clone();
            self.end_by_fault(&mut next, thread);
            self.close(&mut next, memory);
            return each(FAULT, next);
        };
        let (mut frames, mut faults) = (0u64, false);
        self.mmu.access(world, state, thread, page, access.writes(), &mut |answer| match answer {
            Answer::Frame(frame) => frames |= 1 << frame,
            Answer::Fault => faults = true,
            Answer::Marks(..) | Answer::Owes(_) => unreachable!("`hw_dirty` is refused"),
        });
        // A walk may find an old entry too.
        let grants = |value: i64| entry::grants(value, access.writes());
        let mut answers = Vec::new();
        if machine {
            faults |= weak.denies(world, state, &memory, (cache, page), &grants);
            answers = weak.answers(world, state, &memory, cache, page);
        }
        for frame in (0..64).filter(|frame| frames >> frame & 1 != 0) {
            let slot = world.contents[frame][word];
            let location = weak.location(slot);
            // Who goes through an entry has seen what came along with it; of
            // several entries the weakest counts.
            let known = if machine {
                let through = answers.iter().filter(|found| {
                    entry::frame(found.value) == Some(frame) && grants(found.value)
                });
                through.map(|found| found.knows(location)).min()
            } else {
                memory.named.get(&frame).map(|known| known.at(location))
            };
            let mut memory = memory.clone();
            if let Some(known) = known {
                memory.meets(thread, location, known);
            }
            let choice = frame as u32 + 1;
            if in_two {
                let mut next = state.clone();
                next.set(slots.in_flight, frame as i64 + 1);
                self.close(&mut next, memory);
                each(choice, next);
                continue;
            }
            self.weak_access(state, thread, memory, (slot, choice), access, into, each);
        }
        if faults {
            let mut next = state.clone();
            if world.setting.fault_invalidates && machine {
                // What it finds next is not older than what the thread has seen.
                let view = memory.threads[thread].read.clone();
                weak.forget(world, &mut memory, cache, 1 << page, &view, false);
            }
            self.faulted(&mut next, thread);
            self.close(&mut next, memory);
            each(FAULT, next);
        }
    }
}
