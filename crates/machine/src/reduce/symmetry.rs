//! Threads that are equal.
//!
//! Two threads are equal if the same agent runs them, behind the same TLB, and
//! their code is the same but for where it was written. Exchanging them turns
//! runs into runs: everything that a thread has of its own lies in its own
//! slots, and all else is named by addresses, which stay. Only locks name their
//! holders, and they are renamed too. A site that allocates and a contract's
//! call have numbers that no two threads share, so threads with either are
//! never equal.
//!
//! The representative has the slots of equal threads sorted. Conditions name
//! threads, so ends are given back as all the states that they stand for.

use shootdown_step::{Node, ThreadCode};

use crate::state::{Slot, State};
use crate::world::{LockSlots, World};

/// Groups of equal threads.
#[derive(Debug)]
pub(super) struct Groups {
    groups: Vec<Vec<Member>>,
    /// Locks, if a member of a group may hold any.
    locks: Vec<LockSlots>,
}

#[derive(Debug)]
struct Member {
    thread: usize,
    slots: Vec<Slot>,
}

impl Groups {
    pub(super) fn of(world: &World) -> Groups {
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for thread in 0..world.threads.len() {
            let group = groups.iter_mut().find(|group| equal(world, group[0], thread));
            match group {
                Some(group) => group.push(thread),
                None => groups.push(vec![thread]),
            }
        }
        // What threads have seen is one number, which is not taken apart here.
        if world.weak.is_some() {
            groups.clear();
        }
        groups.retain(|group| group.len() > 1);
        let locks = groups.iter().flatten().any(|thread| takes_locks(world.code(*thread)));
        let member = |thread: usize| {
            let own = &world.threads[thread];
            let mut slots = vec![
                own.pc,
                own.fault,
                own.awaits,
                own.ranges,
                own.gather,
                own.gathered,
                own.cleared,
                own.progress,
                own.in_flight,
                own.passed,
            ];
            slots.extend(&own.registers);
            slots.extend(own.buffer.iter().flat_map(|(at, value)| [*at, *value]));
            Member { thread, slots }
        };
        Groups {
            groups: groups
                .into_iter()
                .map(|group| group.into_iter().map(member).collect())
                .collect(),
            locks: if locks { world.locks.clone() } else { Vec::new() },
        }
    }

    pub(super) fn canonical(&self, mut state: State) -> State {
        for group in &self.groups {
            // Sorted by insertion: there are few, and mostly they are sorted.
            for next in 1..group.len() {
                let mut at = next;
                while at > 0 && self.precedes(&state, &group[at], &group[at - 1]) {
                    self.exchange(&mut state, &group[at], &group[at - 1]);
                    at -= 1;
                }
            }
        }
        state
    }

    fn precedes(&self, state: &State, left: &Member, right: &Member) -> bool {
        let slots = left.slots.iter().zip(&right.slots);
        let order = slots
            .map(|(left, right)| state.get(*left).cmp(&state.get(*right)))
            .find(|order| order.is_ne());
        let held = |lock: &LockSlots, member: &Member| holds(state, lock, member.thread);
        let held = self.locks.iter().map(|lock| held(lock, left).cmp(&held(lock, right)));
        order.or_else(|| held.into_iter().find(|order| order.is_ne())).is_some_and(|o| o.is_lt())
    }

    fn exchange(&self, state: &mut State, left: &Member, right: &Member) {
        for (left, right) in left.slots.iter().zip(&right.slots) {
            let value = state.get(*left);
            state.set(*left, state.get(*right));
            state.set(*right, value);
        }
        let (one, two) = (left.thread, right.thread);
        for lock in &self.locks {
            let writer = state.get(lock.writer);
            if writer == one as i64 + 1 {
                state.set(lock.writer, two as i64 + 1);
            } else if writer == two as i64 + 1 {
                state.set(lock.writer, one as i64 + 1);
            }
            let readers = state.get(lock.readers);
            if (readers >> one ^ readers >> two) & 1 != 0 {
                state.set(lock.readers, readers ^ (1 << one | 1 << two));
            }
        }
    }

    pub(super) fn orbit(&self, state: &State, each: &mut dyn FnMut(&State)) {
        self.permute(state.clone(), 0, 0, each);
    }

    /// Every order of the members of a group from one on, and of the groups
    /// behind it.
    fn permute(&self, state: State, group: usize, from: usize, each: &mut dyn FnMut(&State)) {
        let Some(members) = self.groups.get(group) else { return each(&state) };
        if from + 1 >= members.len() {
            return self.permute(state, group + 1, 0, each);
        }
        for other in from..members.len() {
            let mut next = state.clone();
            if other != from {
                self.exchange(&mut next, &members[from], &members[other]);
            }
            self.permute(next, group, from + 1, each);
        }
    }
}

fn holds(state: &State, lock: &LockSlots, thread: usize) -> (bool, bool) {
    (state.get(lock.writer) == thread as i64 + 1, state.get(lock.readers) >> thread & 1 != 0)
}

fn takes_locks(code: &ThreadCode) -> bool {
    use shootdown_step::Op;
    let takes = |op: &Op| match op {
        Op::Lock { .. } | Op::EntryLock { take: true, .. } => true,
        Op::MapEntry { lock, .. } => lock.is_some(),
        _ => false,
    };
    code.nodes.iter().any(|node| matches!(node, Node::Step { op, .. } if takes(op)))
}

fn equal(world: &World, left: usize, right: usize) -> bool {
    let agents = &world.shape().agents;
    let (a, b) = (world.code(left), world.code(right));
    agents[left] == agents[right]
        && a.signed == b.signed
        && a.initial == b.initial
        && a.start == b.start
        && a.steps == b.steps
        && a.dead == b.dead
        && a.nodes.len() == b.nodes.len()
        && a.nodes.iter().zip(&b.nodes).all(|(a, b)| same(a, b))
        && world.threads[left].buffer.len() == world.threads[right].buffer.len()
        && (1..a.steps.len())
            .all(|step| world.may_sleep(left, step) == world.may_sleep(right, step))
        && !a.nodes.iter().any(names_the_thread)
}

/// The same node, wherever it was written.
fn same(left: &Node, right: &Node) -> bool {
    match (left, right) {
        (
            Node::Step { op, next, fault, number, .. },
            Node::Step { op: op2, next: next2, fault: fault2, number: number2, .. },
        ) => op == op2 && next == next2 && fault == fault2 && number == number2,
        _ => left == right,
    }
}

/// Whether a step has slots, or frames, that belong to the thread's code and
/// not to the thread; or puts the thread's number into a count of readers.
fn names_the_thread(node: &Node) -> bool {
    use shootdown_step::Op;
    let Node::Step { op, .. } = node else { return false };
    matches!(
        op,
        Op::Alloc { .. }
            | Op::AllocTable { .. }
            | Op::Enter { .. }
            | Op::Leave { .. }
            | Op::GraceStart { .. }
            | Op::GraceWait { .. }
            | Op::Begin { .. }
            | Op::Moment { .. }
            | Op::Return { .. }
    )
}
