//! A machine as a model that the search can walk through.

use std::collections::BTreeSet;
use std::marker::PhantomData;

use shootdown_explore::{
    Exploration, Limits, Model, Options, Outcome, Packed, Stop, Witness, explore,
};

use crate::machine::Machine;
use crate::mmu::Mmu;
use crate::state::{Packing, State, alike, widths};
use crate::world::{Failed, MARK_CLEAN, MARK_RETURN};

/// A free frame is in some set.
pub const FREE: u32 = 0;
/// A translation outlived the return of the operation that revoked it.
pub const RETURN: u32 = 1;
/// At rest some cache grants what its table does not.
pub const REST: u32 = 2;
/// An access that the table grants may fault for ever.
pub const PROGRESS: u32 = 3;
/// The end is one that ideal memory does not have.
pub const OUTCOME: u32 = 4;
/// What a page holds is newer than what is kept elsewhere, and nobody says so
/// when all is quiet; or the page was freed.
pub const CLEAN: u32 = 5;
/// A run that cannot go on: this plus the number of the reason.
pub const FAILED: u32 = 16;

/// Who takes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Process {
    /// A thread.
    Thread(usize),
    /// A thread's store buffer.
    Buffer(usize),
    /// An invalidation queue.
    Queue(usize),
    /// Other hardware.
    Hardware(usize),
}

impl<M: Mmu> Machine<M> {
    /// All who take steps.
    pub fn processes(&self) -> Vec<Process> {
        let threads = self.world.threads.len();
        let buffers = if self.world.setting.model.has_buffers() { threads } else { 0 };
        let mut list: Vec<Process> = (0..threads).map(Process::Thread).collect();
        list.extend((0..buffers).map(Process::Buffer));
        list.extend((0..self.world.queues.len()).map(Process::Queue));
        list.extend((0..self.mmu.processes()).map(Process::Hardware));
        list
    }

    /// Every step of a process.
    pub fn steps(&self, state: &State, process: Process, each: &mut dyn FnMut(u32, State)) {
        match process {
            Process::Thread(thread) => self.thread_steps(state, thread, each),
            Process::Buffer(thread) if state.get(self.world.error) == 0 => {
                self.drain(state, thread, each)
            }
            Process::Queue(queue) if self.world.weak.is_some() => {
                self.weak_queue(state, queue, each);
            }
            Process::Queue(queue) => self.queue_steps(state, queue, each),
            Process::Hardware(at) if state.get(self.world.error) == 0 => {
                self.mmu.steps(&self.world, state, at, each);
            }
            _ => {}
        }
    }

    /// Whether nobody has anything left to do.
    pub fn at_rest(&self, state: &State) -> bool {
        let threads = 0..self.world.threads.len();
        threads.clone().all(|thread| {
            self.drained(state, thread)
                && (self.world.ended(state, thread) || !self.world.alive(state, thread))
        }) && self.world.queues.iter().flatten().all(|slot| state.get(*slot) == 0)
            && self.mmu.paid(&self.world, state)
    }

    /// Which properties a state at rest breaks; those of ends are the caller's.
    pub fn broken_at_rest(&self, state: &State) -> u64 {
        let world = &self.world;
        u64::from(self.mmu.restless(world, state)) << REST
            | u64::from(world.unsaid(state).is_some()) << CLEAN
    }

    /// Which properties a state breaks; those of ends are the caller's.
    pub fn broken(&self, state: &State) -> u64 {
        let world = &self.world;
        let error = state.get(world.error);
        if error != 0 {
            return 1 << (FAILED as i64 + error - 1);
        }
        let mut broken = 0;
        for (frame, slot) in world.frames.iter().enumerate() {
            if state.get(*slot) == crate::pages::FREE && self.reached(state, frame) {
                broken |= 1 << FREE;
            }
        }
        if state.get(world.marks) & MARK_RETURN != 0 {
            broken |= 1 << RETURN;
        }
        if state.get(world.marks) & MARK_CLEAN != 0 {
            broken |= 1 << CLEAN;
        }
        if self.asks_for_progress() {
            broken |= u64::from(self.faults_for_ever(state)) << PROGRESS;
        }
        broken
    }

    /// Whether an access can still reach a frame: through a cache, or because
    /// it was translated before.
    fn reached(&self, state: &State, frame: usize) -> bool {
        let world = &self.world;
        let words = &world.contents[frame];
        let buffered = |at: i64| at != 0 && words.iter().any(|word| word.index() as i64 + 1 == at);
        self.mmu.reaches(world, state, frame)
            || world.threads.iter().any(|threads| {
                state.get(threads.in_flight) == frame as i64 + 1
                    || threads.buffer.iter().any(|(at, _)| buffered(state.get(*at)))
            })
    }

    /// Whether a thread is about to try again what faults, and everybody else
    /// is done.
    fn faults_for_ever(&self, state: &State) -> bool {
        let world = &self.world;
        (0..world.threads.len()).any(|thread| {
            let Some((
                _,
                shootdown_step::Op::EnterFault { address, space, write, again: true, .. },
            )) = world.next_step(state, thread)
            else {
                return false;
            };
            let Some(page) = self.page_at(self.value(state, thread, address)) else { return false };
            let granted =
                shootdown_step::value::entry::grants(world.walk(state, *space, page), *write);
            let others_done = (0..world.threads.len()).all(|other| {
                other == thread || world.ended(state, other) || !world.alive(state, other)
            });
            let queues_empty = world.queues.iter().flatten().all(|slot| state.get(*slot) == 0);
            granted
                && others_done
                && queues_empty
                && self.mmu.stuck(world, state, thread, page, *write)
        })
    }
}

/// What a check adds to the properties of states: those of ends.
pub type EndCheck<'c> = &'c (dyn Fn(&State) -> u64 + Sync);

/// How to search.
#[derive(Clone, Debug)]
pub struct Search {
    /// As the engine takes it; `properties` are bits of this module.
    pub options: Options,
}

/// A run of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Where it begins.
    pub start: State,
    /// Who, which choice, and what it leads to.
    pub steps: Vec<(Process, u32, State)>,
}

/// What a search has found.
#[derive(Clone, Debug)]
pub struct Found {
    /// How much was covered.
    pub outcome: Outcome,
    /// States.
    pub states: u64,
    /// Steps between them.
    pub transitions: u64,
    /// The distance of the farthest.
    pub depth: u32,
    /// Bytes of the visited set.
    pub bytes: u64,
    /// Bits of a state.
    pub bits: usize,
    /// Properties that are broken.
    pub broken: u64,
    /// The shortest run to each of those that are to be witnessed.
    pub violations: Vec<(u32, Run)>,
    /// What the caller made of each end, each once.
    pub ends: BTreeSet<Vec<i64>>,
    /// The shortest run to a deadlock.
    pub deadlock: Option<Run>,
    /// The shortest run to a state that no end can be reached from.
    pub trapped: Option<Run>,
}

struct Packaged<'m, M, P> {
    machine: &'m Machine<M>,
    packing: &'m Packing,
    processes: &'m [Process],
    ends: EndCheck<'m>,
    fuse: bool,
    symmetry: bool,
    /// Counters are numbered anew, as long as they are found to be some.
    renumbers: bool,
    _state: PhantomData<fn() -> P>,
}

impl<M: Mmu, P: Packed> Model for Packaged<'_, M, P> {
    type State = P;
    type Open = State;

    fn open(&self, state: &P) -> State {
        self.packing.unpack(state)
    }

    fn close(&self, open: &State) -> P {
        self.packing.pack(open)
    }

    fn initial(&self) -> Vec<State> {
        vec![self.machine.begin()]
    }

    fn processes(&self) -> usize {
        self.processes.len()
    }

    fn steps(&self, state: &State, process: usize, each: &mut dyn FnMut(u32, State)) {
        self.machine.steps(state, self.processes[process], each);
    }

    fn broken(&self, state: &State) -> u64 {
        let mut broken = self.machine.broken(state);
        if state.get(self.machine.world.error) == 0 && self.machine.at_rest(state) {
            broken |= self.machine.broken_at_rest(state);
            broken |= (self.ends)(state);
        }
        broken
    }

    fn is_end(&self, state: &State) -> bool {
        state.get(self.machine.world.error) != 0 || self.machine.at_rest(state)
    }

    fn fused(&self, state: &State, process: usize) -> Option<(u32, State)> {
        if self.fuse { self.machine.independent(state, self.processes[process]) } else { None }
    }

    fn canonical(&self, state: State) -> State {
        self.machine.canonical(state, self.symmetry)
    }

    fn stopped(&self) -> bool {
        self.packing.overflowed() || self.renumbers && !self.machine.renumbers()
    }
}

/// Searches a machine; `end` makes of an end what is kept of it.
#[inline]
pub fn search<M: Searched>(
    machine: &Machine<M>,
    options: &Options,
    ends: EndCheck<'_>,
    end: &dyn Fn(&State) -> Vec<i64>,
) -> Found {
    M::search(machine, options, ends, end)
}

/// Hardware whose search is compiled here, once, and not again in every crate
/// that asks for one.
pub trait Searched: Mmu + Sized {
    /// See [`search`].
    fn search(
        machine: &Machine<Self>,
        options: &Options,
        ends: EndCheck<'_>,
        end: &dyn Fn(&State) -> Vec<i64>,
    ) -> Found;
}

macro_rules! searched {
    ($($hardware:ty)*) => {$(
        impl Searched for $hardware {
            fn search(
                machine: &Machine<Self>,
                options: &Options,
                ends: EndCheck<'_>,
                end: &dyn Fn(&State) -> Vec<i64>,
            ) -> Found {
                any_width(machine, options, ends, end)
            }
        }
    )*};
}

searched!(crate::sets::Sets crate::ideal::Ideal);

fn any_width<M: Mmu>(
    machine: &Machine<M>,
    options: &Options,
    ends: EndCheck<'_>,
    end: &dyn Fn(&State) -> Vec<i64>,
) -> Found {
    let mut wanted = widths(&machine.slots, &probe(machine, &machine.begin()));
    loop {
        let packing = Packing::new(&machine.slots, &wanted);
        macro_rules! with {
            ($($words:literal)*) => {
                match packing.words() {
                    1 => search_with::<M, u64>(machine, &packing, options, ends, end),
                    $(words if words <= $words => search_with::<M, [u64; $words]>(machine, &packing, options, ends, end),)*
                    _ => Err(packing.words()),
                }
            };
        }
        match with!(2 3 4 6 8 16 64) {
            Ok(Some(found)) => return found,
            Ok(None) => {
                // What lies behind the state that was too wide is wider still.
                let behind = packing.too_wide().map(|state| probe(machine, &state));
                let behind = widths(&machine.slots, &behind.unwrap_or_default());
                let both = packing.wanted().into_iter().zip(behind);
                wanted = alike(&machine.slots, both.map(|(a, b)| a.max(b)).collect());
            }
            Err(words) => unreachable!("a state of {words} words: the largest test has fewer"),
        }
    }
}

/// Random runs from a state, at most so many.
const RUNS: usize = 24;

/// The states of a few random runs, to begin with widths that mostly fit.
fn probe<M: Mmu>(machine: &Machine<M>, from: &State) -> Vec<State> {
    let mut states = vec![from.clone()];
    let processes = machine.processes();
    if processes.is_empty() {
        return states;
    }
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut below = |bound: usize| {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (random >> 33) as usize % bound
    };
    let mut next = Vec::new();
    for _ in 0..RUNS {
        let mut state = from.clone();
        for _ in 0..200 {
            // Somebody, or else whoever comes after them and can take a step.
            let first = below(processes.len());
            for at in 0..processes.len() {
                let process = processes[(first + at) % processes.len()];
                machine.steps(&state, process, &mut |_, state| next.push(state));
                if !next.is_empty() {
                    break;
                }
            }
            if next.is_empty() {
                break;
            }
            state = next.swap_remove(below(next.len()));
            next.clear();
            states.push(state.clone());
        }
    }
    states
}

fn search_with<M: Mmu, P: Packed>(
    machine: &Machine<M>,
    packing: &Packing,
    options: &Options,
    ends: EndCheck<'_>,
    end: &dyn Fn(&State) -> Vec<i64>,
) -> Result<Option<Found>, usize> {
    let processes = machine.processes();
    let model: Packaged<'_, M, P> = Packaged {
        machine,
        packing,
        processes: &processes,
        ends,
        fuse: options.reductions.fuse,
        symmetry: options.reductions.symmetry,
        renumbers: machine.renumbers(),
        _state: PhantomData,
    };
    // The engine knows one word for states that are alike.
    let mut options = options.clone();
    options.reductions.symmetry |= machine.renumbers();
    let found: Exploration<P> = explore(&model, &options);
    if model.stopped() || matches!(found.outcome, Outcome::Limit { stop: Stop::Model, .. }) {
        return Ok(None);
    }
    let run = |witness: &Witness<P>| Run {
        start: packing.unpack(&witness.start),
        steps: witness
            .steps
            .iter()
            .map(|step| (processes[step.process], step.choice, packing.unpack(&step.state)))
            .collect(),
    };
    let mut kept = BTreeSet::new();
    for state in &found.ends {
        let state = packing.unpack(state);
        if state.get(machine.world.error) == 0 {
            machine.orbit(&state, &mut |state| {
                kept.insert(end(state));
            });
        }
    }
    Ok(Some(Found {
        outcome: found.outcome,
        states: found.states,
        transitions: found.transitions,
        depth: found.depth,
        bytes: found.bytes,
        bits: packing.words() * 64,
        broken: found.broken,
        violations: found.violations.iter().map(|v| (v.property, run(&v.witness))).collect(),
        ends: kept,
        deadlock: found.deadlock.as_ref().map(run),
        trapped: found.trapped.as_ref().map(run),
    }))
}

/// The limits of a search that has to be short.
pub fn small(states: u64) -> Limits {
    Limits { states, ..Limits::default() }
}

/// The reason of a property, if it is one that ends a run.
pub fn failed_of(property: u32) -> Option<Failed> {
    property.checked_sub(FAILED).and_then(|at| Failed::ALL.get(at as usize).copied())
}
