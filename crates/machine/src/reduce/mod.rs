//! What need not be searched: orders that nobody can tell apart, and threads
//! that are equal.
//!
//! # Steps that are taken at once
//!
//! [`Machine::independent`] says that a process's next step `a` may be taken
//! before anybody else's. There are two reasons why it may.
//!
//! **Nobody meets it.** `a` is the only step of its process, it does not fail,
//! and nothing that the others can do *before the process moves again* reads
//! what `a` writes or writes what `a` touches. Then every run from here has `a`
//! somewhere, or can have it appended at any time, and `a` can be moved to its
//! front: the states that runs end in are the same. What the others can do is
//! worked out once for each step of each thread, over the whole of the code
//! that follows, from what its registers may hold; what `a` touches is worked
//! out in the state itself, from what they do hold. Three things make the
//! others' part smaller: they do not get past a lock that the process has; who
//! waits for something that nobody but the process can change does nothing; and
//! a frame that only the process knows of is nobody else's.
//!
//! **It comes right after a lock was taken.** Taking a lock is put off past
//! anything that the others do meanwhile, because they can do nothing with the
//! lock; so it is enough to look at runs in which the first real step after it
//! follows at once, if it can be taken then. The same holds for steps between
//! them that are nobody else's business *wherever the others stand*. Dropping a
//! lock that another thread takes somewhere is not: from then on the others can
//! do something with it, so what follows is put off no longer. A step that
//! may have to wait for others, such as taking a second lock, is none of these:
//! two threads that each wait for the other's lock would never be seen. Because
//! this covers the others' steps by those that they take before the lock is
//! taken, a step that takes such a lock is never fused for the first reason:
//! each would appeal to the other.
//!
//! # Why no broken property is missed
//!
//! The search looks at every state of a chain of fused steps and stops at one
//! that breaks a property. What it leaves out are states `v` that the others
//! reach before `a`. For the second reason `v` is a state that another chain
//! passes through. For the first, let `w` lead from `s` to `v`; then `w` can
//! follow `a` and leads to `v` with `a` done, and that is broken as well:
//!
//! - *A run that fails* in `w` fails after `a`: whether it does depends only on
//!   what `w` touches. `a` itself does not fail, because a failure would hide
//!   what the others might still do.
//! - *A free frame is reached.* `a` could only undo it by emptying a set, by
//!   performing a translated access, by taking a context off a tag, or by giving
//!   the frame to somebody. Who
//!   gives a frame back touches its contents, reads every set that may lead to
//!   it and what every context has loaded; who adds to a set writes it, and who
//!   loads a context writes that and the sets of its TLB; so they meet `a`. And
//!   frames that were free before are not allocated by fused steps.
//! - *A translation outlived a return*: a mark, which nothing takes back.
//! - *A fault that comes back for ever* asks for one thread at the beginning of
//!   a fault and all others at their ends. If it is asked for, no beginning of
//!   a fault is fused; and no thread that may still do `a` is at its end.
//! - *Rest, ends, deadlocks*: while `a` can be done there is none.
//! - *Traps*: from `v` and from `v` with `a` done the same ends can be reached,
//!   or none.
//!
//! A fused step never goes back in its thread's code: no edge that may close a
//! cycle is taken, so chains end, and nobody is put off for ever.
//!
//! Under `tso` only steps that no other thread could ever see are fused.
//!
//! # Threads that are equal
//!
//! See the module `symmetry`.

mod counters;
mod foot;
mod future;
mod graph;
mod hardware;
mod locks;
mod objects;
mod sure;
mod symmetry;
mod values;

use shootdown_step::value::{entry, frame_of_page};
use shootdown_step::{Expr, Op, Target};

pub(crate) use counters::Counters;
pub use objects::Kind;

use crate::machine::Machine;
use crate::mmu::Mmu;
use crate::model::Process;
use crate::pages;
use crate::queue::Descriptor;
use crate::setting::HwDirty;
use crate::state::State;
use foot::{Feet, Know};
use future::{Plan, Plans};
use objects::{Foot, Objects};
use sure::{Sure, may_wait};
use symmetry::Groups;
use values::{Maps, Values};

/// What is worked out once for a machine.
#[derive(Debug)]
pub(crate) struct Reducer {
    objects: Objects,
    maps: Maps,
    plans: Vec<Plan>,
    /// Locks that plans are cut at.
    cuts: Vec<usize>,
    /// The only thread that may allocate each frame.
    owners: Vec<Option<usize>>,
    groups: Groups,
    blind: Vec<Kind>,
    /// What need not be looked at in a state to be told apart.
    sure: Sure,
}

impl Reducer {
    fn of<M: Mmu>(machine: &Machine<M>, blind: &[Kind]) -> Reducer {
        let world = &machine.world;
        let objects = Objects::of(world);
        let Plans { plans, cuts, maps, sure } = future::plans(world, &objects, blind);
        let frames = world.shape().frames.iter();
        let owner = |frame: &shootdown_step::shape::Frame| {
            let site = frame.site?;
            let allocates = |thread: &usize| {
                let code = world.code(*thread);
                (1..code.steps.len()).any(|number| {
                    matches!(code.step(number), Some((Op::Alloc { site: at, .. }, _)) if *at == site)
                })
            };
            let mut threads = (0..world.threads.len()).filter(allocates);
            threads.next().filter(|_| threads.next().is_none() && frame.owner.is_none())
        };
        let owners = frames.map(owner).collect();
        let groups = Groups::of(world);
        Reducer { objects, maps, plans, cuts, owners, groups, blind: blind.to_vec(), sure }
    }
}

/// What is known in a state of a thread that is about to take a step.
struct Here<'h, M> {
    machine: &'h Machine<M>,
    reducer: &'h Reducer,
    state: &'h State,
    thread: usize,
}

impl<M: Mmu> Know for Here<'_, M> {
    fn values(&self, expr: &Expr) -> Values {
        Values::These(vec![self.machine.value(self.state, self.thread, expr)])
    }

    fn answers(&self, thread: usize, page: usize, write: bool) -> u64 {
        let mut frames = match self.state.get(self.machine.world.threads[thread].in_flight) {
            0 => 0,
            frame => 1 << (frame - 1),
        };
        let world = &self.machine.world;
        self.machine.mmu.access(world, self.state, thread, page, write, &mut |answer| {
            if let Some(frame) = answer.frame() {
                frames |= 1 << frame;
            }
        });
        frames
    }

    fn allocated(&self, thread: usize, site: usize) -> u64 {
        match self.machine.own_frame(self.state, site) {
            Some(own) => 1 << own,
            None => foot::allocatable(&self.machine.world, thread, site),
        }
    }

    /// The thread's own site has allocated it, or will; and no table, no cache,
    /// no word and no other thread knows of it.
    fn private(&self, frame: usize) -> bool {
        let (machine, state) = (self.machine, self.state);
        let world = &machine.world;
        if self.reducer.owners[frame] != Some(self.thread) || world.target == Target::Ideal {
            return false;
        }
        match state.get(world.frames[frame]) {
            pages::FRESH => return true,
            // A tag that no context has now may still hold it from before.
            pages::LIVE if !world.shape().contexts.is_empty() => return false,
            pages::LIVE => {}
            _ => return false,
        }
        // A page, an entry, or a number that looks like one.
        let names = |value: i64| {
            frame_of_page(value) == Some(frame) || frame_of_page(entry::page(value)) == Some(frame)
        };
        let named = |slots: &[crate::state::Slot]| slots.iter().any(|slot| names(state.get(*slot)));
        let others = world.threads.iter().enumerate().filter(|(other, _)| *other != self.thread);
        let known = others.into_iter().any(|(_, other)| {
            named(&other.registers)
                || state.get(other.gathered) >> frame & 1 != 0
                || state.get(other.in_flight) == frame as i64 + 1
        });
        !known
            && !world.entries.iter().any(|table| named(table))
            && !world.softs.iter().any(|soft| named(soft))
            && !named(&world.words)
            && !world.shape().two_levels
            && !machine.mmu.reaches(world, state, frame)
    }

    fn frees(&self, frame: usize) -> bool {
        self.state.get(self.machine.world.references[frame]) <= 1
    }

    fn gathered(&self) -> u64 {
        self.state.get(self.machine.world.threads[self.thread].gathered) as u64
    }

    fn cleared(&self) -> u64 {
        self.state.get(self.machine.world.threads[self.thread].cleared) as u64
    }

    fn found(&self, contract: usize) -> u64 {
        let before = self.machine.world.contracts[contract].before.iter().enumerate();
        before.fold(0, |mask, (page, slot)| mask | u64::from(self.state.get(*slot) != 0) << page)
    }

    fn awaited(&self) -> bool {
        self.state.get(self.machine.world.threads[self.thread].awaits) == crate::tables::WAITING
    }
}

impl<M: Mmu> Machine<M> {
    pub(crate) fn reducer(&self) -> &Reducer {
        self.reducer.get_or_init(|| Reducer::of(self, &[]))
    }

    /// Makes a machine that looks away from some kinds of objects when it
    /// decides which steps are independent: wrong, to see that tests notice.
    #[doc(hidden)]
    pub fn looking_away(self, from: &[Kind]) -> Self {
        let reducer = Reducer::of(&self, from);
        Machine { reducer: std::sync::OnceLock::from(reducer), ..self }
    }

    /// Makes a machine that looks at every state in full when it decides which
    /// steps are independent: slower, and the same, as tests see.
    #[doc(hidden)]
    pub fn looking_in_full(self) -> Self {
        let mut reducer = Reducer::of(&self, &[]);
        reducer.sure.clear();
        Machine { reducer: std::sync::OnceLock::from(reducer), ..self }
    }

    /// The next step of a process, if nothing that the others can do before it
    /// goes on depends on it.
    pub fn independent(&self, state: &State, process: Process) -> Option<(u32, State)> {
        let Process::Thread(thread) = process else { return None };
        let world = &self.world;
        // What a step meets in memory depends on views, which the footprints do
        // not know.
        if world.weak.is_some() {
            return None;
        }
        if !self.mmu.reducible() || state.get(world.error) != 0 || !world.alive(state, thread) {
            return None;
        }
        // Hardware that writes tables by itself may come before any step.
        if matches!(world.setting.hw_dirty, HwDirty::Eager | HwDirty::Lazy) {
            return None;
        }
        // Absent entries that are cached come and go with every walk.
        if world.setting.cache_nonpresent && world.shape().two_levels {
            return None;
        }
        // Entries reach memory at any time, so every fill may meet every store.
        if world.shape().caches.iter().any(|cache| cache.noncoherent) {
            return None;
        }
        let (number, op) = world.next_step(state, thread)?;
        if matches!(op, Op::EnterFault { .. }) && self.asks_for_progress() {
            return None;
        }
        let plan = &self.reducer().plans[thread];
        let slots = &world.threads[thread];
        let begun =
            [slots.progress, slots.awaits, slots.in_flight].iter().any(|at| state.get(*at) != 0);
        let inside = plan.inside[number] && !begun && !matches!(op, Op::Moment { .. });
        let may = match world.setting.model.has_buffers() {
            true => is_local(op, world.shape().two_levels),
            false => {
                inside || (!plan.enters[number] && self.nobody_meets(state, thread, number, op))
            }
        };
        if may { self.goes_on(state, thread, number) } else { None }
    }

    /// Whether accesses that fault for ever are looked for.
    pub(crate) fn asks_for_progress(&self) -> bool {
        let dials = &self.world.setting;
        let shape = self.world.shape();
        let lags = shape.caches.iter().any(|cache| cache.noncoherent);
        !dials.perm_miss_rewalk || dials.cache_nonpresent || shape.two_levels || lags
    }

    /// The next step of a thread, if it can be taken in one way, without an
    /// error, and does not go back.
    fn goes_on(&self, state: &State, thread: usize, number: usize) -> Option<(u32, State)> {
        let world = &self.world;
        let graph = &self.reducer().plans[thread].graph;
        let mut steps = 0;
        let mut good = true;
        let mut only = None;
        self.thread_steps(state, thread, &mut |choice, next| {
            steps += 1;
            let after = next.get(world.threads[thread].pc) as usize;
            // A step that goes on with its next word, or waits, is not done.
            let part = after == number && next != *state && !graph.next[number].contains(&number);
            good &= next.get(world.error) == 0 && (part || !graph.goes_back(number, after));
            only = Some((choice, next));
        });
        only.filter(|_| steps == 1 && good)
    }

    fn nobody_meets(&self, state: &State, thread: usize, number: usize, op: &Op) -> bool {
        let world = &self.world;
        let reducer = self.reducer();
        let meets_for_sure = |other: usize| {
            let at = state.get(world.threads[other].pc) as usize;
            reducer.sure.meet((thread, number), (other, at)) && world.alive(state, other)
        };
        if (0..world.threads.len()).any(meets_for_sure) {
            return false;
        }
        let feet = self.feet();
        if let Op::Alloc { site, .. } = op {
            // Only frames that nobody has had.
            let own = self.own_frame(state, *site);
            if own.is_none_or(|own| state.get(world.frames[own]) != pages::FRESH) {
                return false;
            }
        }
        let mut foot = Foot::default();
        let here = Here { machine: self, reducer, state, thread };
        feet.of(&mut foot, &here, thread, op);
        if foot == Foot::default() {
            return true;
        }
        let active = self.descriptors(state, &feet);
        if foot.meets(&active) {
            return false;
        }
        // Locks that the others do not get past.
        let mine = |lock: &usize| state.get(world.locks[*lock].writer) == thread as i64 + 1;
        let cuts: Vec<usize> =
            (0..reducer.cuts.len()).filter(|cut| mine(&reducer.cuts[*cut])).collect();
        let others = || {
            let others =
                reducer.plans.iter().enumerate().filter(move |(other, _)| *other != thread);
            let at = others
                .map(|(other, plan)| (other, plan, state.get(world.threads[other].pc) as usize));
            at.filter(|(_, _, number)| *number != 0)
        };
        let mut waiting: Vec<(usize, Foot, Foot)> = Vec::new();
        for (other, plan, number) in others() {
            // Most steps meet most threads or none: what is cheap comes first.
            if !foot.meets(&plan.future[number]) {
                continue;
            }
            let future = future_of(plan, number, &cuts);
            if foot.meets(&future) {
                match self.waits_for_what(state, other, number, &feet) {
                    Some(what) => waiting.push((other, what, future)),
                    None => return false,
                }
            }
        }
        if waiting.is_empty() {
            return true;
        }
        // Those who wait matter only if somebody else lets them go on.
        let mut active = active;
        let mut idle: Vec<(Foot, Foot)> = Vec::new();
        for (other, plan, number) in
            others().filter(|(other, ..)| waiting.iter().all(|(w, ..)| w != other))
        {
            let future = future_of(plan, number, &cuts);
            match self.waits_for_what(state, other, number, &feet) {
                Some(what) => idle.push((what, future)),
                None => active.join(&future),
            }
        }
        loop {
            let goes_on = |what: &Foot, active: &Foot| {
                what.reads.meets(&active.writes) || what.takes.meets(&active.drops)
            };
            if waiting.iter().any(|(_, what, _)| goes_on(what, &active)) {
                return false;
            }
            let Some(at) = idle.iter().position(|(what, _)| goes_on(what, &active)) else {
                return true;
            };
            active.join(&idle.swap_remove(at).1);
        }
    }

    /// The frame of its own that a site allocates next.
    fn own_frame(&self, state: &State, site: usize) -> Option<usize> {
        let mut frames = self.world.shape().frames.iter().enumerate();
        let live = |frame: usize| state.get(self.world.frames[frame]) == pages::LIVE;
        frames.find(|(at, frame)| frame.site == Some(site) && !live(*at)).map(|(at, _)| at)
    }

    fn feet(&self) -> Feet<'_> {
        let reducer = self.reducer();
        Feet {
            world: &self.world,
            objects: &reducer.objects,
            maps: &reducer.maps,
            blind: &reducer.blind,
        }
    }

    /// What descriptors that are posted will do.
    fn descriptors(&self, state: &State, feet: &Feet<'_>) -> Foot {
        let world = &self.world;
        let mut foot = Foot::default();
        for (queue, places) in world.queues.iter().enumerate() {
            for slot in places {
                let Some(posted) = world.posted(state.get(*slot)) else { break };
                match posted {
                    Descriptor::Invalidate { caches, pages, .. } => {
                        caches.for_each(|cache| feet.invalidate(&mut foot, cache, pages));
                    }
                    Descriptor::Write { word, .. } => feet.write(&mut foot, Kind::Word, 0, word),
                }
                foot.writes.add(feet.objects.at(Kind::Queue, 0, queue));
            }
        }
        foot
    }

    /// What has to change before a thread can go on; `None` if it can.
    fn waits_for_what(
        &self,
        state: &State,
        thread: usize,
        number: usize,
        feet: &Feet<'_>,
    ) -> Option<Foot> {
        let world = &self.world;
        let mut foot = Foot::default();
        if !world.alive(state, thread) {
            let space = world.shape().agents[thread].space;
            foot.reads.add(feet.objects.at(Kind::Born, 0, space));
            return Some(foot);
        }
        let (op, _) = world.code(thread).step(number)?;
        let finds_out = matches!(op, Op::MapEntry { .. }) && world.shape().two_levels;
        if finds_out || !may_wait(op, self.reducer().plans[thread].waits[number]) {
            return None;
        }
        let mut waits = true;
        self.thread_steps(state, thread, &mut |_, next| waits &= next == *state);
        if !waits {
            return None;
        }
        feet.of(
            &mut foot,
            &Here { machine: self, reducer: self.reducer(), state, thread },
            thread,
            op,
        );
        Some(foot)
    }

    /// Numbers words that only count anew, but for those that are looked at in
    /// the end.
    #[must_use]
    pub fn renumbering(mut self, observed: &std::collections::BTreeSet<usize>) -> Self {
        // Under `ra` a word has many values at once, and they are in the memory.
        if self.world.weak.is_none() {
            self.counters = Counters::of(&self.world, observed);
        }
        self
    }

    /// Whether there are words that are numbered anew.
    pub fn renumbers(&self) -> bool {
        self.counters.active()
    }

    /// The representative of the states that differ only by what the values of
    /// counters are called and, with `symmetry`, by which of several equal
    /// threads is which.
    pub fn canonical(&self, mut state: State, symmetry: bool) -> State {
        if self.counters.active() {
            state = self.counters.renumber(&self.world, state);
        }
        if symmetry { self.reducer().groups.canonical(state) } else { state }
    }

    /// Every state that has this representative.
    pub fn orbit(&self, state: &State, each: &mut dyn FnMut(&State)) {
        self.reducer().groups.orbit(state, each);
    }
}

/// What a thread may do from a step on while somebody else has the locks of
/// some cuts.
fn future_of(plan: &Plan, number: usize, cuts: &[usize]) -> Foot {
    let mut future = plan.future[number];
    for cut in cuts {
        future.keep(&plan.without[*cut][number]);
    }
    future
}

/// Whether no other thread can ever see the step, nor do anything about it,
/// also with store buffers.
fn is_local(op: &Op, two_levels: bool) -> bool {
    match op {
        Op::RangeOpen { .. } | Op::RangeClose { .. } | Op::GatherStart => true,
        Op::Warn { .. } | Op::EntryOfTable { .. } | Op::EntryLock { take: false, .. } => true,
        Op::MapEntry { lock: None, .. } => !two_levels,
        _ => false,
    }
}
