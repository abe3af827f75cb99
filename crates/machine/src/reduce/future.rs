//! What each thread may do from each of its steps on.

use std::collections::HashMap;

use shootdown_litmus::primitives::LockOp;
use shootdown_step::{Expr, Op, Target};

use super::foot::{self, Feet, Know};
use super::graph::Graph;
use super::objects::{Foot, Kind, Objects};
use super::sure::Sure;
use super::values::{self, Maps, Registers, Values};
use crate::setting::Drain;
use crate::world::World;

/// What is known ahead of every run.
pub(super) struct Ahead<'r> {
    feet: &'r Feet<'r>,
    registers: &'r Registers,
    /// Pages that each contract is about.
    contracts: &'r [u64],
}

impl Know for Ahead<'_> {
    fn values(&self, expr: &Expr) -> Values {
        values::evaluate(expr, self.registers, self.feet.world.shape().frames.len())
    }

    fn answers(&self, thread: usize, page: usize, _: bool) -> u64 {
        self.feet.may_hold(self.feet.world.shape().agents[thread].cache, page)
    }

    fn allocated(&self, thread: usize, site: usize) -> u64 {
        foot::allocatable(self.feet.world, thread, site)
    }

    fn private(&self, _: usize) -> bool {
        false
    }

    fn frees(&self, _: usize) -> bool {
        true
    }

    fn gathered(&self) -> u64 {
        (1 << self.feet.world.shape().frames.len()) - 1
    }

    fn cleared(&self) -> u64 {
        self.feet.world.shape().all_pages()
    }

    fn found(&self, contract: usize) -> u64 {
        self.contracts[contract]
    }

    fn awaited(&self) -> bool {
        false
    }
}

/// One thread, ahead of every run.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) graph: Graph,
    /// By step: everything from there on.
    pub(super) future: Vec<Foot>,
    /// By lock of [`Reducer::cuts`](super::Reducer): the same while somebody
    /// else has the lock.
    pub(super) without: Vec<Vec<Foot>>,
    /// Steps that only a lock being taken leads to, or what nobody can see
    /// after that.
    pub(super) inside: Vec<bool>,
    /// Steps that take a lock right before one that is `inside`.
    pub(super) enters: Vec<bool>,
    /// Steps that wait by coming back to themselves.
    pub(super) waits: Vec<bool>,
}

/// All threads, ahead of every run.
pub(super) struct Plans {
    /// By thread.
    pub(super) plans: Vec<Plan>,
    /// The locks that they are cut at.
    pub(super) cuts: Vec<usize>,
    pub(super) maps: Maps,
    pub(super) sure: Sure,
}

/// Works it all out.
pub(super) fn plans(world: &World, objects: &Objects, blind: &[Kind]) -> Plans {
    let (registers, maps) = values::analyse(world, &initial(world));
    let feet = Feet { world, objects, maps: &maps, blind };
    let threads = world.threads.len();
    // What contracts are about is known where they begin.
    let mut contracts = vec![0; world.lowered.contracts.len()];
    let each_step = |thread: usize| {
        let code = world.code(thread);
        (1..code.steps.len()).filter_map(move |number| Some((number, code.step(number)?.0)))
    };
    for (thread, registers) in registers.iter().enumerate() {
        for (number, op) in each_step(thread) {
            if let Op::Begin { contract, arguments } = op {
                let know = Ahead { feet: &feet, registers: &registers[number], contracts: &[] };
                let pages = feet.about(&know, *contract, arguments).into_iter();
                contracts[*contract] =
                    pages.fold(contracts[*contract], |mask, page| mask | 1 << page);
            }
        }
    }
    let mut all_posted = Foot::default();
    let mut steps: Vec<Vec<Foot>> = Vec::new();
    let mut takes: Vec<Vec<Vec<usize>>> = Vec::new();
    for thread in 0..threads {
        let mut feet_of = vec![Foot::default(); world.code(thread).steps.len()];
        let mut taken = vec![Vec::new(); feet_of.len()];
        for (number, op) in each_step(thread) {
            let registers = &registers[thread][number];
            let know = Ahead { feet: &feet, registers, contracts: &contracts };
            feet.of(&mut feet_of[number], &know, thread, op);
            let mut posted = Foot::default();
            feet.posted(&mut posted, &know, op);
            feet_of[number].join(&posted);
            all_posted.join(&posted);
            taken[number] = feet.taken(&know, op);
        }
        steps.push(feet_of);
        takes.push(taken);
    }
    let mut cuts: Vec<usize> =
        takes.iter().flatten().filter(|locks| locks.len() == 1).map(|locks| locks[0]).collect();
    cuts.sort_unstable();
    cuts.dedup();
    let mut tries = Foot::default();
    for (thread, number, op) in
        (0..threads).flat_map(|t| each_step(t).map(move |(n, op)| (t, n, op)))
    {
        if matches!(
            op,
            Op::Lock { op: LockOp::TryLock | LockOp::ReadTryLock | LockOp::IsLocked, .. }
        ) {
            tries.join(&steps[thread][number]);
        }
    }
    let mut plans: Vec<Plan> = (0..threads)
        .map(|thread| {
            let graph = Graph::of(world.code(thread));
            let future = futures(&graph, &steps[thread], |_| false);
            let without = cuts
                .iter()
                .map(|lock| {
                    futures(&graph, &steps[thread], |number| takes[thread][number] == [*lock])
                })
                .collect();
            let waits =
                (0..graph.next.len()).map(|step| graph.next[step].contains(&step)).collect();
            let none = vec![false; graph.next.len()];
            Plan { graph, future, without, inside: none.clone(), enters: none, waits }
        })
        .collect();
    if !world.setting.model.has_buffers() {
        let held: Vec<_> = (0..threads)
            .map(|thread| held(world, thread, &plans[thread].graph, &takes[thread], &cuts))
            .collect();
        for thread in 0..threads {
            let movers = movers(thread, &steps, &takes[thread], &held, &all_posted);
            // Whether the step that takes a lock can be put off.
            let right = |number: usize| {
                let op = world.code(thread).step(number).map(|(op, _)| op);
                let pure = match op {
                    Some(Op::Lock { .. } | Op::EntryLock { .. }) => true,
                    Some(Op::MapEntry { .. }) => !world.shape().two_levels,
                    _ => false,
                };
                // A lock may be gone when it is put off.
                let stays = |lock: &usize| world.life_of_lock(*lock).is_none();
                pure && takes[thread][number].iter().all(stays)
                    && !takes[thread][number].is_empty()
                    && !steps[thread][number].meets(&tries)
            };
            // What may have to wait for others is no step that follows at once: a
            // deadlock is just that it does not.
            let waits = |number: usize| {
                let op = world.code(thread).step(number).map(|(op, _)| op);
                let flushes = matches!(
                    op,
                    Some(Op::FlushCpu { .. } | Op::FlushCache { .. } | Op::GatherFlush { .. })
                );
                !takes[thread][number].is_empty()
                    || matches!(
                        op,
                        Some(Op::Post { .. } | Op::PostWrite { .. } | Op::GraceWait { .. })
                    )
                    || flushes && world.setting.drain == Drain::Repeat
            };
            let (inside, enters) = inside(&plans[thread].graph, &right, &waits, &movers);
            plans[thread].inside = inside;
            plans[thread].enters = enters;
        }
    }
    let sure = Sure::of(&feet, &registers, &plans);
    Plans { plans, cuts, maps, sure }
}

/// Frames that are behind something at the beginning.
fn initial(world: &World) -> Maps {
    let shape = world.shape();
    let all = (1 << shape.frames.len()) - 1;
    let unknown = shape.two_levels || world.target == Target::Ideal;
    let entries = (0..shape.tables)
        .map(|table| {
            let first = |page: &shootdown_step::shape::Page| match page.frame {
                _ if unknown => all,
                Some(frame) if table == shape.first_table(0, page.block) => 1 << frame,
                _ => 0,
            };
            shape.pages.iter().map(first).collect()
        })
        .collect();
    Maps { entries, softs: vec![vec![0; shape.pages.len()]; shape.softs.len()] }
}

/// What may be done from each step on, if some steps are not passed.
fn futures(graph: &Graph, steps: &[Foot], stops: impl Fn(usize) -> bool) -> Vec<Foot> {
    let mut futures: Vec<Foot> = (0..steps.len())
        .map(|step| if stops(step) { Foot::default() } else { steps[step] })
        .collect();
    let stopped: Vec<bool> = (0..steps.len()).map(stops).collect();
    loop {
        let mut changed = false;
        for step in (0..steps.len()).filter(|step| !stopped[*step]) {
            let mut future = futures[step];
            graph.next[step].iter().for_each(|next| future.join(&futures[*next]));
            changed |= future != futures[step];
            futures[step] = future;
        }
        if !changed {
            return futures;
        }
    }
}

/// Steps that no step of anybody else can ever depend on or matter to, given
/// the locks that are held whenever they are taken.
fn movers(
    thread: usize,
    steps: &[Vec<Foot>],
    takes: &[Vec<usize>],
    held: &[Vec<Vec<bool>>],
    posted: &Foot,
) -> Vec<bool> {
    let mut known: HashMap<&[bool], Foot> = HashMap::new();
    (0..takes.len())
        .map(|step| {
            let mine = &held[thread][step];
            let others = known.entry(mine).or_insert_with(|| {
                // A queue may come to a descriptor at any time, whoever posted it.
                let mut others = *posted;
                for (other, steps) in steps.iter().enumerate().filter(|(other, _)| *other != thread)
                {
                    for (foot, its) in steps.iter().zip(&held[other]) {
                        // Both cannot be where they have the same lock.
                        if !mine.iter().zip(its).any(|(mine, its)| *mine && *its) {
                            others.join(foot);
                        }
                    }
                }
                others
            });
            let foot = &steps[thread][step];
            // A lock that is dropped can be taken: what follows the drop is not
            // what follows the lock.
            takes[step].is_empty() && !foot.meets(others) && !foot.drops.meets(&others.takes)
        })
        .collect()
}

/// Of the locks in `cuts`, those that a thread has at each step whatever way
/// it came there.
fn held(
    world: &World,
    thread: usize,
    graph: &Graph,
    takes: &[Vec<usize>],
    cuts: &[usize],
) -> Vec<Vec<bool>> {
    let mut held = vec![vec![true; cuts.len()]; graph.next.len()];
    for first in &graph.first {
        held[*first] = vec![false; cuts.len()];
    }
    loop {
        let mut changed = false;
        for step in 0..graph.next.len() {
            let mut after = held[step].clone();
            if let [lock] = takes[step][..]
                && let Some(cut) = cuts.iter().position(|cut| *cut == lock)
            {
                after[cut] = true;
            }
            let drops = world.code(thread).step(step).is_some_and(|(op, _)| {
                matches!(
                    op,
                    Op::Lock {
                        op: LockOp::Unlock
                            | LockOp::ReadUnlock
                            | LockOp::Downgrade
                            | LockOp::ReadLock,
                        ..
                    }
                )
            });
            if drops {
                // Whichever it is.
                after.fill(false);
            }
            for next in &graph.next[step] {
                for (held, after) in held[*next].iter_mut().zip(&after) {
                    changed |= *held && !after;
                    *held &= after;
                }
            }
        }
        if !changed {
            return held;
        }
    }
}

/// Steps that come right after a lock was taken, but for movers; and the steps
/// that take it.
fn inside(
    graph: &Graph,
    right: &dyn Fn(usize) -> bool,
    waits: &dyn Fn(usize) -> bool,
    movers: &[bool],
) -> (Vec<bool>, Vec<bool>) {
    let before = graph.before();
    let mut inside: Vec<bool> = (0..graph.next.len())
        .map(|step| {
            step != 0 && !before[step].is_empty() && !graph.first.contains(&step) && !waits(step)
        })
        .collect();
    loop {
        let mut changed = false;
        for step in 0..inside.len() {
            let stays = inside[step]
                && before[step]
                    .iter()
                    .all(|before| right(*before) || (movers[*before] && inside[*before]));
            changed |= stays != inside[step];
            inside[step] = stays;
        }
        if !changed {
            break;
        }
    }
    let enters = (0..graph.next.len())
        .map(|step| right(step) && graph.next[step].iter().any(|next| inside[*next]))
        .collect();
    (inside, enters)
}
