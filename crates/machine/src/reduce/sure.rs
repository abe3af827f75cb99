//! What a step touches whatever the state, and with whom that makes it meet.
//!
//! Most threads that are asked whether their step may be taken at once stand
//! before an access that somebody else's future touches in any case. Which
//! steps of two threads are such a pair is worked out once. It only says "no"
//! sooner: a pair is in the table if the answer in every state is "no".

use shootdown_litmus::primitives::LockOp;
use shootdown_step::{Access, Expr, Op};

use super::foot::{Feet, Know};
use super::future::Plan;
use super::objects::Foot;
use super::values::{self, Registers, Values};
use crate::world::World;

/// The least that can be known: every footprint in a state contains this one.
struct Least<'r> {
    registers: &'r Registers,
    frames: usize,
}

impl Know for Least<'_> {
    fn values(&self, expr: &Expr) -> Values {
        match values::evaluate(expr, self.registers, self.frames) {
            Values::These(values) if values.len() == 1 => Values::These(values),
            _ => Values::These(Vec::new()),
        }
    }

    fn answers(&self, _: usize, _: usize, _: bool) -> u64 {
        0
    }

    fn allocated(&self, _: usize, _: usize) -> u64 {
        0
    }

    fn private(&self, _: usize) -> bool {
        true
    }

    fn frees(&self, _: usize) -> bool {
        false
    }

    fn gathered(&self) -> u64 {
        0
    }

    fn cleared(&self) -> u64 {
        0
    }

    fn found(&self, _: usize) -> u64 {
        0
    }

    fn awaited(&self) -> bool {
        true
    }
}

/// Pairs of steps of two threads of which the first depends in any case on what
/// the second thread may do from its step on.
#[derive(Debug)]
pub(super) struct Sure {
    /// Where the steps of each thread begin in a row.
    first: Vec<usize>,
    /// A row for each step: the steps that it meets.
    rows: Vec<Vec<u64>>,
}

impl Sure {
    pub(super) fn of(feet: &Feet<'_>, registers: &[Vec<Registers>], plans: &[Plan]) -> Sure {
        let world = feet.world;
        let mut first = vec![0];
        for plan in plans {
            first.push(first[first.len() - 1] + plan.future.len());
        }
        let words = first[plans.len()].div_ceil(64);
        let mut rows = Vec::new();
        for (thread, plan) in plans.iter().enumerate() {
            for number in 0..plan.future.len() {
                let mut row = vec![0u64; words];
                if let Some((op, _)) = world.code(thread).step(number) {
                    let registers = &registers[thread][number];
                    let know = Least { registers, frames: world.shape().frames.len() };
                    let mut foot = Foot::default();
                    feet.of(&mut foot, &know, thread, op);
                    let others = (0..plans.len()).filter(|other| *other != thread);
                    for other in others {
                        for at in meets(world, &foot, other, &plans[other]) {
                            let bit = first[other] + at;
                            row[bit / 64] |= 1 << (bit % 64);
                        }
                    }
                }
                rows.push(row);
            }
        }
        Sure { first, rows }
    }

    /// Knows nothing, so that every state is looked at.
    pub(super) fn clear(&mut self) {
        self.rows.iter_mut().for_each(|row| row.fill(0));
    }

    /// Whether a thread's step meets another thread that stands before a step
    /// of its own and exists.
    #[inline]
    pub(super) fn meet(&self, (thread, number): (usize, usize), other: (usize, usize)) -> bool {
        let bit = self.first[other.0] + other.1;
        self.rows[self.first[thread] + number][bit / 64] >> (bit % 64) & 1 != 0
    }
}

/// Steps of a thread that never wait and from which on it does, whoever has
/// which lock, what somebody with this footprint depends on.
fn meets(world: &World, foot: &Foot, other: usize, plan: &Plan) -> impl Iterator<Item = usize> {
    (1..plan.future.len()).filter(move |number| {
        let mut future = plan.future[*number];
        plan.without.iter().for_each(|without| future.keep(&without[*number]));
        let op = world.code(other).step(*number).map(|(op, _)| op);
        op.is_some_and(|op| !may_wait(op, plan.waits[*number])) && foot.meets(&future)
    })
}

/// Whether a thread before this step may be one that others have to let go on.
pub(super) fn may_wait(op: &Op, comes_back: bool) -> bool {
    match op {
        Op::Lock { op, .. } => matches!(op, LockOp::Lock | LockOp::ReadLock),
        Op::MapEntry { lock, .. } => lock.is_some(),
        Op::EntryLock { take, .. } => *take,
        Op::ReadEntry { .. } | Op::Access { access: Access::Load(_), .. } => comes_back,
        Op::GraceWait { .. } => true,
        _ => false,
    }
}
