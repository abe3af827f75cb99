//! The places of a function where a step could stand instead.
//!
//! They lie on the straight line of the step: before what every run to it comes
//! by, and after what every run from it comes by. Between two steps that nobody
//! else can tell apart there is one place only.

use super::flow::Flow;
use super::parts::Part;

/// A place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    /// Before the step with this number.
    pub(super) at: usize,
    /// Who jumps there comes by.
    pub(super) jumps: bool,
    /// The step before it, in the text.
    pub(super) after: Option<usize>,
    /// The step behind it, in the text.
    pub(super) before: Option<usize>,
    /// A page table lock is held.
    pub(super) locked: bool,
    /// What the step is called with has its value here.
    pub(super) computed: bool,
}

impl Spot {
    /// Where the step stands.
    pub(super) fn own(flow: &Flow<'_>, part: &Part) -> Spot {
        Spot {
            at: part.at,
            jumps: true,
            after: seen_before(flow, part, part.at),
            before: seen_behind(flow, part, part.at + 1),
            locked: flow.locked(part.at, false),
            computed: true,
        }
    }

    fn before(flow: &Flow<'_>, part: &Part, at: usize, computed: bool) -> Spot {
        Spot {
            at,
            jumps: true,
            after: seen_before(flow, part, at),
            before: Some(at),
            locked: flow.locked(at, false),
            computed,
        }
    }

    fn after(flow: &Flow<'_>, part: &Part, at: Option<usize>, computed: bool) -> Spot {
        let next = at.map_or(0, |at| at + 1);
        Spot {
            at: next,
            jumps: false,
            after: at,
            before: seen_behind(flow, part, next),
            locked: at.is_some_and(|at| flow.locked(at, true)),
            computed,
        }
    }
}

/// A step that counts as a neighbour: the one that is moved does not, unless
/// something of it stays.
fn counts(flow: &Flow<'_>, part: &Part, at: usize) -> bool {
    flow.is_seen(at) && (part.inside || at != part.at)
}

fn seen_before(flow: &Flow<'_>, part: &Part, at: usize) -> Option<usize> {
    (0..at).rev().find(|at| counts(flow, part, *at))
}

fn seen_behind(flow: &Flow<'_>, part: &Part, at: usize) -> Option<usize> {
    (at..flow.body.ops.len()).find(|at| counts(flow, part, *at))
}

/// Places before a step and behind it, the nearest first.
pub(super) fn spots(flow: &Flow<'_>, part: &Part) -> (Vec<Spot>, Vec<Spot>) {
    let all = || (0..flow.body.ops.len()).filter(|at| flow.is_run(*at) && flow.is_seen(*at));
    let mut first: Vec<usize> = all().filter(|at| flow.leads(*at, part.at)).collect();
    let mut last: Vec<usize> =
        all().filter(|at| !first.contains(at) && flow.follows(*at, part.at)).collect();
    // Each leads to the next.
    let rank: Vec<usize> =
        first.iter().map(|at| first.iter().filter(|b| flow.leads(**b, *at)).count()).collect();
    first = sorted(&first, &rank);
    let rank: Vec<usize> =
        last.iter().map(|at| last.iter().filter(|b| flow.follows(*at, **b)).count()).collect();
    last = sorted(&last, &rank);
    (earlier(flow, part, &first), later(flow, part, &last))
}

fn sorted(list: &[usize], rank: &[usize]) -> Vec<usize> {
    let mut pairs: Vec<(usize, usize)> = rank.iter().copied().zip(list.iter().copied()).collect();
    pairs.sort_unstable();
    pairs.into_iter().map(|(_, at)| at).collect()
}

/// Whether others could see something that only some runs do in between.
fn is_forked(flow: &Flow<'_>, part: &Part, first: Option<usize>, last: usize) -> bool {
    flow.between(first, last).into_iter().any(|at| at != part.at && flow.is_seen(at))
}

fn earlier(flow: &Flow<'_>, part: &Part, first: &[usize]) -> Vec<Spot> {
    let computed = |from: Option<usize>, with: bool| {
        let own = from.filter(|_| with);
        !flow.between(from, part.at).into_iter().chain(own).any(|at| flow.changes(at, &part.used))
    };
    let mut spots = Vec::new();
    let mut right = part.at;
    for left in first.iter().rev().map(|at| Some(*at)).chain([None]) {
        if right != part.at || part.inside {
            spots.push(Spot::before(
                flow,
                part,
                right,
                right == part.at || computed(Some(right), true),
            ));
        }
        if is_forked(flow, part, left, right) {
            spots.push(Spot::after(flow, part, left, computed(left, false)));
        }
        right = left.unwrap_or(right);
    }
    spots
}

fn later(flow: &Flow<'_>, part: &Part, last: &[usize]) -> Vec<Spot> {
    let computed = |to: usize, with: bool| {
        let own = part.inside.then_some(part.at);
        let end = with.then_some(to).filter(|to| *to != part.at);
        let between = if to == part.at { Vec::new() } else { flow.between(Some(part.at), to) };
        !between.into_iter().chain(own).chain(end).any(|at| flow.changes(at, &part.used))
    };
    let mut spots = Vec::new();
    let mut left = part.at;
    for right in last.iter().copied() {
        if left != part.at || part.inside {
            spots.push(Spot::after(flow, part, Some(left), computed(left, true)));
        }
        if is_forked(flow, part, Some(left), right) {
            spots.push(Spot::before(flow, part, right, computed(right, false)));
        }
        left = right;
    }
    // Behind the last step that all runs share, each goes its own way.
    let ends = matches!(flow.body.ops[left].kind, shootdown_litmus::program::OpKind::Return(_));
    if !ends && (left != part.at || part.inside) {
        spots.push(Spot::after(flow, part, Some(left), computed(left, true)));
    }
    spots
}
