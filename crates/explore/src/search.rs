//! The search: level by level, in blocks, by any number of threads.
//!
//! A block of states is expanded by all threads; each sorts what it finds by
//! shard. Then each shard takes what is new, from the first part of the block
//! to the last. So the order in a shard, and with it everything that is
//! reported, is the same for any number of threads.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use crate::bits::Bits;
use crate::limit::{Limits, Outcome, Stop, Until};
use crate::model::{Model, Reductions};
use crate::packed::Packed;
use crate::parallel::in_parallel;
use crate::store::{Place, SHARDS, Shard, Store, shard_of};
use crate::successor::Successors;
use crate::trapped;
use crate::witness::Witness;

/// How far a search has come, between two blocks of states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// States visited.
    pub states: u64,
    /// The level that is being expanded.
    pub depth: u32,
    /// States in that level.
    pub level: u64,
}

/// How to search.
#[derive(Clone)]
pub struct Options {
    /// Threads that work at the same time.
    pub threads: usize,
    /// When to give up.
    pub limits: Limits,
    /// When all give up, of whom this search is one.
    pub until: Until,
    /// What to leave out because it shows nothing new.
    pub reductions: Reductions,
    /// End at the first level that breaks a property.
    pub first_violation_only: bool,
    /// Properties that can be broken: the bits of [`Model::broken`] to look at.
    pub properties: u64,
    /// Of these the ones whose shortest run is wanted. A run takes about as long
    /// as all levels that it crosses took.
    pub witnessed: u64,
    /// Look for states that no end can be reached from, once all states are
    /// visited. Costs little if most states have a step to one that is farther
    /// from the start; otherwise about as long again, or several times that if
    /// runs must go back and back to come to an end. If a limit ends it, the
    /// outcome is that limit with all levels covered.
    pub trapped: bool,
    /// Is told now and then how far it has come.
    pub progress: Option<Arc<dyn Fn(Progress) + Send + Sync>>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("threads", &self.threads)
            .field("limits", &self.limits)
            .field("until", &self.until)
            .field("reductions", &self.reductions)
            .field("first_violation_only", &self.first_violation_only)
            .field("properties", &self.properties)
            .field("witnessed", &self.witnessed)
            .field("trapped", &self.trapped)
            .finish_non_exhaustive()
    }
}

impl Default for Options {
    /// One thread, the default limits, all reductions, all of the state space.
    fn default() -> Self {
        Options {
            threads: 1,
            limits: Limits::default(),
            until: Until::default(),
            reductions: Reductions::default(),
            first_violation_only: false,
            properties: u64::MAX,
            witnessed: u64::MAX,
            trapped: false,
            progress: None,
        }
    }
}

/// A property that is broken.
#[derive(Clone, Debug)]
pub struct Violation<S> {
    /// The bit of [`Model::broken`].
    pub property: u32,
    /// The shortest way there, and of those always the same one.
    pub witness: Witness<S>,
}

/// What a search has found.
#[derive(Clone, Debug)]
pub struct Exploration<S> {
    /// How much was covered.
    pub outcome: Outcome,
    /// States that were visited.
    pub states: u64,
    /// Steps that were taken between them; a step and the fused ones after it
    /// are one.
    pub transitions: u64,
    /// Fused steps that were taken.
    pub fused: u64,
    /// Levels, less one: the distance of the farthest state from the start.
    pub depth: u32,
    /// Bytes that the visited set takes at the end.
    pub bytes: u64,
    /// Properties that are broken.
    pub broken: u64,
    /// The first violation of each property that is to be
    /// [witnessed](Options::witnessed). In a search that a limit ended it may
    /// lie one level beyond what was covered.
    pub violations: Vec<Violation<S>>,
    /// States in which nobody can take a step and that are an end.
    pub ends: Vec<S>,
    /// The shortest way to a state in which nobody can take a step and that is
    /// no end.
    pub deadlock: Option<Witness<S>>,
    /// The shortest way to a state from which neither an end nor a deadlock
    /// can be reached: whoever is there goes on for ever. Looked for if
    /// [`Options::trapped`] says so and the search is complete.
    pub trapped: Option<Witness<S>>,
}

/// States that are expanded between two looks at the clock.
pub(crate) const BLOCK: usize = 1 << 15;
/// Fewer states than this are not worth a thread.
pub(crate) const FEW: usize = 1 << 10;

/// What one part of a block leads to, by shard.
struct Found<S> {
    /// The hash, the state, and which state of the part it comes from.
    next: Vec<Vec<(u64, S, u32)>>,
    /// States of the part that have no step, or one to the next level.
    onward: Bits,
    transitions: u64,
    fused: u64,
    /// Properties that it breaks, each with the least state that does.
    broken: Vec<(u32, S)>,
    ends: Vec<S>,
    stuck: Option<S>,
}

impl<S: Packed> Found<S> {
    fn new(states: usize) -> Self {
        Found {
            next: (0..SHARDS).map(|_| Vec::new()).collect(),
            onward: Bits::new(states),
            transitions: 0,
            fused: 0,
            broken: Vec::new(),
            ends: Vec::new(),
            stuck: None,
        }
    }
}

/// Keeps for each of the properties the least state that breaks it.
fn note_broken<S: Packed>(least: &mut Vec<(u32, S)>, mut broken: u64, state: S) {
    while broken != 0 {
        let property = broken.trailing_zeros();
        broken &= broken - 1;
        match least.iter_mut().find(|(known, _)| *known == property) {
            Some((_, known)) => *known = (*known).min(state),
            None => least.push((property, state)),
        }
    }
}

/// Visits every state of the model that can be reached.
pub fn explore<M: Model>(model: &M, options: &Options) -> Exploration<M::State> {
    let cut = AtomicBool::new(false);
    let successors = Successors { model, reductions: options.reductions, cut: &cut };
    Search {
        successors,
        options,
        store: Store::new(),
        started: Instant::now(),
        transitions: 0,
        fused: 0,
        broken: Vec::new(),
        seen: 0,
        next_broken: Vec::new(),
        ends: Vec::new(),
        stuck: None,
        turned: Vec::new(),
        trapped: None,
    }
    .run()
}

struct Search<'m, M: Model> {
    successors: Successors<'m, M>,
    options: &'m Options,
    store: Store<M::State>,
    started: Instant,
    transitions: u64,
    fused: u64,
    /// Property, depth, and the least state that breaks it there.
    broken: Vec<(u32, usize, M::State)>,
    /// The properties in `broken`.
    seen: u64,
    /// Properties that the level to come is the first to break.
    next_broken: Vec<(u32, M::State)>,
    ends: Vec<M::State>,
    stuck: Option<(usize, M::State)>,
    /// States whose every step leads to their own level or one before.
    turned: Vec<Place>,
    trapped: Option<(usize, M::State)>,
}

impl<M: Model> Search<'_, M> {
    fn run(mut self) -> Exploration<M::State> {
        let mut depth = 0;
        let begun = self.begin();
        let outcome = loop {
            if let Err(stop) = begun {
                break Outcome::Limit { stop, complete_to_depth: 0 };
            }
            // Levels are closed when the next one begins.
            self.report_broken(depth);
            if self.options.first_violation_only && self.seen != 0 {
                break Outcome::FirstViolation;
            }
            self.store.begin_level();
            if let Err(stop) = self.expand_level(depth) {
                // What was found of the next level is no less true.
                self.report_broken(depth + 1);
                break Outcome::Limit { stop, complete_to_depth: depth as u32 };
            }
            if self.store.level_len(depth + 1) == 0 {
                break self.look_for_trapped(depth);
            }
            depth += 1;
        };
        self.finish(outcome, depth)
    }

    /// Stores the initial states.
    fn begin(&mut self) -> Result<(), Stop> {
        let initial = self.successors.initial();
        if self.successors.model.stopped() {
            return Err(Stop::Model);
        }
        for settled in initial {
            self.fused += settled.fused;
            let broken = settled.broken & self.options.properties;
            note_broken(&mut self.next_broken, broken, settled.state);
            self.store.insert(settled.state);
        }
        Ok(())
    }

    /// The properties that were found broken are first broken at this depth.
    fn report_broken(&mut self, depth: usize) {
        let mut least = std::mem::take(&mut self.next_broken);
        least.sort_unstable_by_key(|(property, _)| *property);
        for (property, state) in least {
            self.seen |= 1 << property;
            self.broken.push((property, depth, state));
        }
    }

    fn expand_level(&mut self, depth: usize) -> Result<(), Stop> {
        for shard in 0..SHARDS {
            let len = self.store.shards[shard].level(depth).len();
            let mut done = 0;
            while done < len {
                self.check_limits()?;
                self.tell_progress(depth);
                let end = (done + BLOCK).min(len);
                self.expand_block(shard, depth, done..end)?;
                done = end;
            }
        }
        self.check_limits()
    }

    fn expand_block(
        &mut self,
        shard: usize,
        depth: usize,
        block: Range<usize>,
    ) -> Result<(), Stop> {
        let successors = self.successors;
        let begin = self.store.shards[shard].range(depth).start + block.start;
        let states = &self.store.shards[shard].level(depth)[block];
        let threads = if states.len() < FEW { 1 } else { self.options.threads.max(1) };
        // The parts do not depend on the threads, only who takes them does.
        let part = states.len().div_ceil(threads).max(1);
        // A state that breaks a property for the first time is new: the others
        // have been looked at, and theirs are no longer wanted.
        let wanted = self.options.properties & !self.seen;
        let found = in_parallel(states.chunks(part), |states| {
            expand(&successors, &self.store, states, wanted)
        });
        if successors.model.stopped() {
            return Err(Stop::Model);
        }
        for found in &found {
            self.transitions += found.transitions;
            self.fused += found.fused;
            for (property, state) in &found.broken {
                note_broken(&mut self.next_broken, 1 << property, *state);
            }
            self.ends.extend_from_slice(&found.ends);
            // Of the states at this depth the least, whoever found it.
            if let Some(stuck) = found.stuck {
                match &mut self.stuck {
                    Some((at, known)) if *at == depth => *known = (*known).min(stuck),
                    Some(_) => {}
                    None => self.stuck = Some((depth, stuck)),
                }
            }
        }
        insert(&mut self.store.shards, &found, threads);
        if self.options.trapped {
            for (number, found) in found.iter().enumerate() {
                let place = |at: usize| Place { shard, index: begin + number * part + at };
                self.turned.extend(found.onward.unset().map(place));
            }
        }
        Ok(())
    }

    /// The last thing that a search of all states does, if it is asked to.
    fn look_for_trapped(&mut self, depth: usize) -> Outcome {
        if !self.options.trapped {
            return Outcome::Complete;
        }
        let turned = std::mem::take(&mut self.turned);
        let may_go_on = || match self.successors.model.stopped() {
            true => Err(Stop::Model),
            false => self.check_limits(),
        };
        let threads = self.options.threads;
        match trapped::find(&self.successors, &self.store, turned, threads, may_go_on) {
            Ok(trapped) => {
                self.trapped = trapped;
                Outcome::Complete
            }
            Err(stop) => Outcome::Limit { stop, complete_to_depth: depth as u32 },
        }
    }

    fn tell_progress(&self, depth: usize) {
        if let Some(tell) = &self.options.progress {
            let level = self.store.level_len(depth) as u64;
            tell(Progress { states: self.store.len(), depth: depth as u32, level });
        }
    }

    fn check_limits(&self) -> Result<(), Stop> {
        let limits = &self.options.limits;
        if self.store.len() > limits.states {
            Err(Stop::States)
        } else if self.store.bytes() > limits.bytes {
            Err(Stop::Bytes)
        } else if self.started.elapsed() > limits.time {
            Err(Stop::Time)
        } else {
            self.options.until.over().map_or(Ok(()), Err)
        }
    }

    fn finish(mut self, outcome: Outcome, depth: usize) -> Exploration<M::State> {
        self.ends.sort_unstable();
        self.broken.retain(|(property, ..)| self.options.witnessed >> property & 1 != 0);
        let broken = self.broken.iter().map(|(_, depth, state)| (*depth, *state));
        let ends: Vec<_> = broken.chain(self.stuck).chain(self.trapped).collect();
        let mut ways = Witness::find(&self.successors, &self.store, &ends).into_iter();
        let violation = |(property, ..): &(u32, usize, M::State)| {
            ways.next().map(|witness| Violation { property: *property, witness })
        };
        let violations = self.broken.iter().filter_map(violation).collect();
        Exploration {
            outcome,
            states: self.store.len(),
            transitions: self.transitions,
            fused: self.fused,
            depth: depth as u32,
            bytes: self.store.bytes(),
            broken: self.seen,
            violations,
            deadlock: self.stuck.and_then(|_| ways.next()),
            trapped: self.trapped.and_then(|_| ways.next()),
            ends: self.ends,
        }
    }
}

fn expand<M: Model>(
    successors: &Successors<'_, M>,
    store: &Store<M::State>,
    states: &[M::State],
    wanted: u64,
) -> Found<M::State> {
    let model = successors.model;
    let mut found = Found::new(states.len());
    for (at, state) in states.iter().enumerate() {
        let open = model.open(state);
        debug_assert!(model.close(&open) == *state, "a state changes by being opened and closed");
        let steps = successors.each(&open, store, &mut |hash, next| {
            found.next[shard_of(hash)].push((hash, next.state, at as u32));
            found.fused += next.fused;
            note_broken(&mut found.broken, next.broken & wanted, next.state);
        });
        found.transitions += steps;
        if steps == 0 {
            found.onward.set(at);
            if model.is_end(&open) {
                found.ends.push(*state);
            } else {
                found.stuck = Some(found.stuck.map_or(*state, |known| known.min(*state)));
            }
        }
    }
    found
}

/// Each shard takes what was found for it, from the first part to the last.
fn insert<S: Packed>(shards: &mut [Shard<S>], found: &[Found<S>], threads: usize) {
    let part = shards.len().div_ceil(threads);
    in_parallel(shards.chunks_mut(part).enumerate(), |(number, shards)| {
        for (shard, number) in shards.iter_mut().zip(number * part..) {
            for found in found {
                for (hash, state, from) in &found.next[number] {
                    if shard.insert(*state, *hash) {
                        found.onward.set(*from as usize);
                    }
                }
            }
        }
    });
}
