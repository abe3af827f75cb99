//! The search: level by level, in blocks, by any number of threads.
//!
//! A block of states is expanded by all threads; each sorts what it finds by
//! shard. Then each shard takes what is new, from the first part of the block
//! to the last. So the order in a shard, and with it everything that is
//! reported, is the same for any number of threads.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::limit::{Limits, Outcome, Stop};
use crate::model::{Model, Reductions};
use crate::packed::Packed;
use crate::store::{SHARDS, Shard, Store, shard_of};
use crate::successor::Successors;
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
    /// What to leave out because it shows nothing new.
    pub reductions: Reductions,
    /// End at the first level that breaks a property.
    pub first_violation_only: bool,
    /// Properties that can be broken: the bits of [`Model::broken`] to look at.
    pub properties: u64,
    /// Is told now and then how far it has come.
    pub progress: Option<Arc<dyn Fn(Progress) + Send + Sync>>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("threads", &self.threads)
            .field("limits", &self.limits)
            .field("reductions", &self.reductions)
            .field("first_violation_only", &self.first_violation_only)
            .field("properties", &self.properties)
            .finish_non_exhaustive()
    }
}

impl Default for Options {
    /// One thread, the default limits, all reductions, all of the state space.
    fn default() -> Self {
        Options {
            threads: 1,
            limits: Limits::default(),
            reductions: Reductions::default(),
            first_violation_only: false,
            properties: u64::MAX,
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
    /// Steps that were taken between them.
    pub transitions: u64,
    /// Levels, less one: the distance of the farthest state from the start.
    pub depth: u32,
    /// Bytes that the visited set takes at the end.
    pub bytes: u64,
    /// The first violation of each property.
    pub violations: Vec<Violation<S>>,
    /// States in which nobody can take a step and that are an end.
    pub ends: Vec<S>,
    /// The shortest way to a state in which nobody can take a step and that is
    /// no end.
    pub deadlock: Option<Witness<S>>,
}

/// States that are expanded between two looks at the clock.
const BLOCK: usize = 1 << 15;
/// Fewer states than this are not worth a thread.
const FEW: usize = 1 << 10;

/// What one part of a block leads to, by shard.
struct Found<S> {
    next: Vec<Vec<(u64, S)>>,
    transitions: u64,
    ends: Vec<S>,
    stuck: Option<S>,
}

/// Visits every state of the model that can be reached.
pub fn explore<M: Model>(model: &M, options: &Options) -> Exploration<M::State> {
    let successors = Successors { model, reductions: options.reductions };
    Search {
        successors,
        options,
        store: Store::new(),
        started: Instant::now(),
        transitions: 0,
        broken: Vec::new(),
        seen: 0,
        ends: Vec::new(),
        stuck: None,
    }
    .run()
}

struct Search<'m, M: Model> {
    successors: Successors<'m, M>,
    options: &'m Options,
    store: Store<M::State>,
    started: Instant,
    transitions: u64,
    /// Property, depth, and the least state that breaks it there.
    broken: Vec<(u32, usize, M::State)>,
    /// The properties in `broken`.
    seen: u64,
    ends: Vec<M::State>,
    stuck: Option<(usize, M::State)>,
}

impl<M: Model> Search<'_, M> {
    fn run(mut self) -> Exploration<M::State> {
        for state in self.successors.initial() {
            self.store.insert(state);
        }
        let mut depth = 0;
        let outcome = loop {
            // Levels are closed when the next one begins.
            self.look_at_level(depth);
            if self.options.first_violation_only && self.seen != 0 {
                break Outcome::FirstViolation;
            }
            self.store.begin_level();
            if let Err(stop) = self.expand_level(depth) {
                break Outcome::Limit { stop, complete_to_depth: depth as u32 };
            }
            if self.store.level_len(depth + 1) == 0 {
                break Outcome::Complete;
            }
            depth += 1;
        };
        self.finish(outcome, depth)
    }

    /// Notes the properties that are broken in this level for the first time.
    fn look_at_level(&mut self, depth: usize) {
        let model = self.successors.model;
        let wanted = self.options.properties & !self.seen;
        let mut least: Vec<(u32, M::State)> = Vec::new();
        for state in self.store.level(depth) {
            let mut broken = model.broken(state) & wanted;
            while broken != 0 {
                let property = broken.trailing_zeros();
                broken &= broken - 1;
                match least.iter_mut().find(|(known, _)| *known == property) {
                    Some((_, known)) => *known = (*known).min(*state),
                    None => least.push((property, *state)),
                }
            }
        }
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
                self.expand_block(shard, depth, done..end);
                done = end;
            }
        }
        self.check_limits()
    }

    fn expand_block(&mut self, shard: usize, depth: usize, block: std::ops::Range<usize>) {
        let successors = self.successors;
        let states = &self.store.shards[shard].level(depth)[block];
        let threads = if states.len() < FEW { 1 } else { self.options.threads.max(1) };
        // The parts do not depend on the threads, only who takes them does.
        let part = states.len().div_ceil(threads).max(1);
        let parts: Vec<_> = states.chunks(part).collect();
        let found = in_parallel(parts, |states| expand(&successors, states));
        for found in &found {
            self.transitions += found.transitions;
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
            Ok(())
        }
    }

    fn finish(mut self, outcome: Outcome, depth: usize) -> Exploration<M::State> {
        self.ends.sort_unstable();
        let witness = |depth, state| Witness::find(&self.successors, &self.store, depth, state);
        let violation = |(property, depth, state): &(u32, usize, M::State)| Violation {
            property: *property,
            witness: witness(*depth, *state),
        };
        Exploration {
            outcome,
            states: self.store.len(),
            transitions: self.transitions,
            depth: depth as u32,
            bytes: self.store.bytes(),
            violations: self.broken.iter().map(violation).collect(),
            deadlock: self.stuck.map(|(depth, state)| witness(depth, state)),
            ends: self.ends,
        }
    }
}

fn expand<M: Model>(successors: &Successors<'_, M>, states: &[M::State]) -> Found<M::State> {
    let mut found = Found {
        next: (0..SHARDS).map(|_| Vec::new()).collect(),
        transitions: 0,
        ends: Vec::new(),
        stuck: None,
    };
    for state in states {
        let steps = successors.each(state, &mut |next| {
            let hash = next.hash();
            found.next[shard_of(hash)].push((hash, next));
        });
        found.transitions += steps;
        if steps == 0 {
            if successors.model.is_end(state) {
                found.ends.push(*state);
            } else {
                found.stuck = Some(found.stuck.map_or(*state, |known| known.min(*state)));
            }
        }
    }
    found
}

fn insert<S: Packed>(shards: &mut [Shard<S>], found: &[Found<S>], threads: usize) {
    let take = |(number, shard): (usize, &mut Shard<S>)| {
        for found in found {
            for (hash, state) in &found.next[number] {
                shard.insert(*state, *hash);
            }
        }
    };
    if threads == 1 {
        return shards.iter_mut().enumerate().for_each(take);
    }
    let mut numbered: Vec<_> = shards.iter_mut().enumerate().collect();
    let part = numbered.len().div_ceil(threads);
    std::thread::scope(|scope| {
        while !numbered.is_empty() {
            let rest = numbered.split_off(part.min(numbered.len()));
            let mine = std::mem::replace(&mut numbered, rest);
            scope.spawn(move || mine.into_iter().for_each(take));
        }
    });
}

/// Does the work of each part, the first here and the others in threads;
/// the results in the order of the parts.
fn in_parallel<T: Send, R: Send>(parts: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let mut parts = parts.into_iter();
    let Some(first) = parts.next() else { return Vec::new() };
    std::thread::scope(|scope| {
        let work = &work;
        let others: Vec<_> = parts.map(|part| scope.spawn(move || work(part))).collect();
        let mut results = vec![work(first)];
        for other in others {
            results.push(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        results
    })
}
