//! Steps on frames: taking, giving back, copying, reading and writing them
//! past all tables.

use shootdown_step::value::{UNDEFINED, entry, frame_of_page, page_of_frame};
use shootdown_step::{Op, Target};

use crate::machine::Machine;
use crate::mmu::{Answer, Mmu};
use crate::run::{Each, FAULT};
use crate::state::State;
use crate::world::{Failed, Seen};

/// Nobody has had the frame yet.
pub const FRESH: i64 = 0;
/// Somebody has it.
pub const LIVE: i64 = 1;
/// It was given back.
pub const FREE: i64 = 2;

type Outcome = Result<bool, Failed>;

impl<M: Mmu> Machine<M> {
    /// The frame of a `struct page *` that somebody has.
    pub(crate) fn live(&self, state: &State, page: i64) -> Result<usize, Failed> {
        let frame = frame_of_page(page).filter(|frame| *frame < self.world.frames.len());
        frame.filter(|frame| state.get(self.world.frames[*frame]) == LIVE).ok_or(Failed::Page)
    }

    pub(crate) fn page(&self, state: &mut State, thread: usize, op: &Op) -> Outcome {
        let world = &self.world;
        let threads = &world.threads[thread];
        match op {
            Op::GetPage { page } => {
                let frame = self.live(state, self.value(state, thread, page))?;
                self.take(state, frame);
            }
            Op::PutPage { page } => {
                let frame = self.live(state, self.value(state, thread, page))?;
                self.put(state, frame);
            }
            Op::ClearPage { page } => {
                let frame = self.live(state, self.value(state, thread, page))?;
                for slot in &world.contents[frame] {
                    state.set(*slot, 0);
                }
                world.frame_written(state, frame);
            }
            Op::PageWrite { page, index, value } => {
                let frame = self.live(state, self.value(state, thread, page))?;
                let index =
                    usize::try_from(self.value(state, thread, index)).map_err(|_| Failed::Page)?;
                let slot = *world.contents[frame].get(index).ok_or(Failed::Page)?;
                let value = self.value(state, thread, value);
                self.store(state, thread, slot, value);
            }
            Op::PageRead { into, page, index } => {
                let frame = self.live(state, self.value(state, thread, page))?;
                let index =
                    usize::try_from(self.value(state, thread, index)).map_err(|_| Failed::Page)?;
                let slot = *world.contents[frame].get(index).ok_or(Failed::Page)?;
                let value = self.load(state, thread, slot);
                if value == UNDEFINED {
                    return Err(Failed::Undefined);
                }
                self.keep(state, thread, *into, value);
            }
            Op::Dirty { into, page, act } => {
                let frame = self.live(state, self.value(state, thread, page))?;
                let was = self.dirty_act(state, frame, *act);
                self.keep(state, thread, *into, was);
            }
            Op::MoveMarks { to, from } => {
                let to = self.live(state, self.value(state, thread, to))?;
                let from = self.live(state, self.value(state, thread, from))?;
                self.move_marks(state, to, from);
            }
            Op::PageCount { into, page } => {
                let frame = self.live(state, self.value(state, thread, page))?;
                // A page that is never freed always has somebody else too.
                let immortal = world.shape().frames[frame].immortal;
                let least = if immortal { 2 } else { 0 };
                self.keep(state, thread, *into, state.get(world.references[frame]).max(least));
            }
            Op::Unpin { page } => {
                let frame = self.live(state, self.value(state, thread, page))?;
                let slot = world.pins[frame];
                state.set(slot, (state.get(slot) - 1).max(0));
            }
            Op::Pinned { into, page } => {
                let frame = self.live(state, self.value(state, thread, page))?;
                self.keep(state, thread, *into, i64::from(state.get(world.pins[frame]) != 0));
            }
            Op::GatherStart => {
                state.set(threads.gather, 1);
                state.set(threads.gathered, 0);
                state.set(threads.cleared, 0);
            }
            Op::GatherPage { page } => {
                let frame = self.live(state, self.value(state, thread, page))?;
                state.set(threads.gathered, state.get(threads.gathered) | 1 << frame);
            }
            Op::GatherFlush { space, start, end } => {
                let cleared = state.get(threads.cleared) as u64;
                if self.cpus_are_busy(state, *space, cleared) {
                    return Ok(false);
                }
                state.set(threads.cleared, 0);
                self.flush_cpu(state, *space, cleared);
                let first = if cleared == 0 { 1 } else { i64::from(cleared.trailing_zeros()) + 1 };
                let last = 64 - i64::from(cleared.leading_zeros());
                self.keep(state, thread, *start, first);
                self.keep(state, thread, *end, last.max(first - 1) + i64::from(cleared != 0));
            }
            Op::GatherFree => {
                let mut frames = state.get(threads.gathered);
                state.set(threads.gathered, 0);
                while frames != 0 {
                    let frame = frames.trailing_zeros() as usize;
                    frames &= frames - 1;
                    if state.get(world.frames[frame]) != LIVE {
                        return Err(Failed::Page);
                    }
                    self.put(state, frame);
                }
            }
            _ => unreachable!("these are the steps on frames"),
        }
        Ok(true)
    }

    fn take(&self, state: &mut State, frame: usize) {
        if !self.world.shape().frames[frame].immortal {
            let slot = self.world.references[frame];
            state.set(slot, state.get(slot) + 1);
        }
    }

    fn put(&self, state: &mut State, frame: usize) {
        if self.world.shape().frames[frame].immortal {
            return;
        }
        let slot = self.world.references[frame];
        let left = state.get(slot) - 1;
        state.set(slot, left.max(0));
        if left <= 0 {
            state.set(self.world.frames[frame], FREE);
            self.world.forgets(state, frame);
            Seen::note(&self.world.seen.freed, 1 << frame);
            for word in &self.world.contents[frame] {
                state.set(*word, UNDEFINED);
            }
        }
    }

    /// Steps that may go several ways, or take several steps.
    pub(crate) fn page_choices(&self, state: &State, thread: usize, op: &Op, each: Each<'_>) {
        match op {
            Op::Alloc { into, site, zeroed } => {
                self.alloc(state, thread, *into, *site, *zeroed, each)
            }
            Op::CopyPage { .. } | Op::SamePages { .. } => {
                let mut next = state.clone();
                if let Err(why) = self.word_by_word(&mut next, thread, op) {
                    self.fail(&mut next, why);
                }
                each(0, next);
            }
            Op::PageBehind { into, address, space, write, pins } => {
                let address = self.value(state, thread, address);
                let Some(page) = self.page_at(address) else {
                    let mut next = state.clone();
                    self.fail(&mut next, Failed::Page);
                    return each(0, next);
                };
                self.page_behind(state, thread, (*space, page), (*write, *pins), *into, each);
            }
            _ => unreachable!("these are the steps with choices"),
        }
    }

    /// A frame of the place that allocates, or one that was freed and may come
    /// to this address space.
    fn alloc(
        &self,
        state: &State,
        thread: usize,
        into: Option<shootdown_step::Reg>,
        site: usize,
        zeroed: bool,
        each: Each<'_>,
    ) {
        let shape = self.world.shape();
        let space = shape.agents[thread].space;
        let is = |frame: usize, wanted: i64| state.get(self.world.frames[frame]) == wanted;
        let frames = shape.frames.iter().enumerate();
        let own = frames.clone().find(|(at, frame)| frame.site == Some(site) && !is(*at, LIVE));
        let freed =
            frames.clone().filter(|(at, frame)| frame.owner == Some(space) && is(*at, FREE));
        let mut choices: Vec<usize> = freed.map(|(at, _)| at).collect();
        choices.extend(own.map(|(at, _)| at));
        if choices.is_empty() {
            let mut next = state.clone();
            self.fail(&mut next, Failed::Frames);
            return each(0, next);
        }
        for frame in choices {
            let mut next = state.clone();
            next.set(self.world.frames[frame], LIVE);
            next.set(self.world.references[frame], 1);
            for word in &self.world.contents[frame] {
                next.set(*word, if zeroed { 0 } else { UNDEFINED });
            }
            self.keep(&mut next, thread, into, page_of_frame(frame));
            self.advance(&mut next, thread);
            each(frame as u32, next);
        }
    }

    /// Copies or compares the next word.
    fn word_by_word(&self, state: &mut State, thread: usize, op: &Op) -> Result<(), Failed> {
        let progress = self.world.threads[thread].progress;
        let word = state.get(progress) as usize;
        let last = word + 1 >= self.world.shape().words_per_frame;
        match op {
            Op::CopyPage { to, from } => {
                let to = self.live(state, self.value(state, thread, to))?;
                let from = self.live(state, self.value(state, thread, from))?;
                Seen::note(&self.world.seen.copied, 1 << from);
                let value = state.get(self.world.contents[from][word]);
                state.set(self.world.contents[to][word], value);
                self.world.frame_written(state, to);
            }
            Op::SamePages { into, left, right } => {
                let left = self.live(state, self.value(state, thread, left))?;
                let right = self.live(state, self.value(state, thread, right))?;
                Seen::note(&self.world.seen.copied, 1 << left | 1 << right);
                let (a, b) = (self.world.contents[left][word], self.world.contents[right][word]);
                if state.get(a) != state.get(b) {
                    state.set(progress, 0);
                    self.keep(state, thread, *into, 0);
                    self.advance(state, thread);
                    return Ok(());
                }
                if last {
                    self.keep(state, thread, *into, 1);
                }
            }
            _ => unreachable!("these go word by word"),
        }
        if last {
            state.set(progress, 0);
            self.advance(state, thread);
        } else {
            state.set(progress, word as i64 + 1);
        }
        Ok(())
    }

    /// The page behind an address, as software finds it.
    fn page_behind(
        &self,
        state: &State,
        thread: usize,
        (space, page): (usize, usize),
        (write, pins): (bool, bool),
        into: Option<shootdown_step::Reg>,
        each: Each<'_>,
    ) {
        let give = |frame: usize, each: Each<'_>| {
            let mut next = state.clone();
            self.take(&mut next, frame);
            if pins {
                let pins = self.world.pins[frame];
                next.set(pins, next.get(pins) + 1);
            }
            self.keep(&mut next, thread, into, page_of_frame(frame));
            self.advance(&mut next, thread);
            each(frame as u32 + 1, next);
        };
        if self.world.target == Target::Ideal {
            let mut answers = 0u64;
            self.mmu.access(&self.world, state, thread, page, write, &mut |answer| {
                if let Answer::Frame(frame) = answer {
                    answers |= 1 << frame;
                }
            });
            if answers == 0 {
                let mut next = state.clone();
                self.keep(&mut next, thread, into, 0);
                self.advance(&mut next, thread);
                each(FAULT, next);
            }
            while answers != 0 {
                give(answers.trailing_zeros() as usize, each);
                answers &= answers - 1;
            }
            return;
        }
        let value = self.world.walk(state, space, page);
        match entry::frame(value) {
            Some(frame) if entry::grants(value, write) => {
                if state.get(self.world.frames[frame]) == LIVE {
                    return give(frame, each);
                }
                let mut next = state.clone();
                self.fail(&mut next, Failed::Page);
                each(0, next);
            }
            _ => {
                let mut next = state.clone();
                let number = state.get(self.world.threads[thread].pc) as usize;
                if self.world.code(thread).after(number).1.is_some() {
                    self.faulted(&mut next, thread);
                } else {
                    self.keep(&mut next, thread, into, 0);
                    self.advance(&mut next, thread);
                }
                each(FAULT, next);
            }
        }
    }
}
