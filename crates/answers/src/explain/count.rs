//! What one run of a path costs, from the code that the machine runs.
//!
//! Every way through the function is counted, also one that no run takes: the
//! most is an upper bound. What subscribers do when they are called counts for
//! the function that called them.

use std::collections::HashMap;

use shootdown_step::{Lowered, Node, NodeId, Op, Site, ThreadCode};

use super::answer::{Cost, Range};
use super::parts::Owner;

/// What a function or a thread costs; `None` if nobody runs it.
pub(crate) fn cost(lowered: &Lowered, owner: Owner) -> Option<Cost> {
    let mut sum: Option<Cost> = None;
    for (at, code) in lowered.threads.iter().enumerate() {
        let inside = |site: &Site| match owner {
            Owner::Function(id) => site.functions.contains(&id),
            Owner::Thread(thread) => thread == at,
        };
        let ways = Ways::of(code, &inside);
        for entry in ways.entries() {
            let cost = ways.cost(entry);
            sum = Some(sum.map_or(cost, |sum| either(sum, cost)));
        }
    }
    sum
}

fn either(left: Cost, right: Cost) -> Cost {
    let range = |left: Range, right: Range| Range {
        least: left.least.min(right.least),
        most: left.most.max(right.most),
    };
    Cost {
        flushes: range(left.flushes, right.flushes),
        posted: range(left.posted, right.posted),
        waits: range(left.waits, right.waits),
        loops: left.loops || right.loops,
    }
}

/// The steps of a function in one thread, and which follow each.
struct Ways<'c> {
    code: &'c ThreadCode,
    /// The steps that follow, and whether the function may end.
    next: HashMap<NodeId, (Vec<NodeId>, bool)>,
    entries: Vec<NodeId>,
}

impl<'c> Ways<'c> {
    fn of(code: &'c ThreadCode, inside: &dyn Fn(&Site) -> bool) -> Ways<'c> {
        let is_inside =
            |node: NodeId| matches!(&code.nodes[node], Node::Step { site, .. } if inside(site));
        let mut next = HashMap::new();
        let mut entries: Vec<NodeId> = Vec::new();
        let mut enter = |steps: &[NodeId]| {
            for step in steps {
                if is_inside(*step) && !entries.contains(step) {
                    entries.push(*step);
                }
            }
        };
        enter(&follow(code, code.start));
        for (at, node) in code.nodes.iter().enumerate() {
            let Node::Step { next: on, fault, .. } = node else { continue };
            let mut list = follow(code, *on);
            list.extend(fault.iter().flat_map(|fault| follow(code, *fault)));
            if is_inside(at) {
                let leaves = list.iter().any(|step| !is_inside(*step));
                list.retain(|step| is_inside(*step));
                next.insert(at, (list, leaves));
            } else {
                enter(&list);
            }
        }
        Ways { code, next, entries }
    }

    fn entries(&self) -> Vec<NodeId> {
        self.entries.clone()
    }

    fn cost(&self, entry: NodeId) -> Cost {
        self.from(entry, &mut HashMap::new()).unwrap_or_default()
    }

    /// From a step to the end of the function; `None` if this step is on the
    /// way already. A round of a loop is counted once.
    fn from(&self, at: NodeId, known: &mut HashMap<NodeId, Option<Cost>>) -> Option<Cost> {
        if let Some(cost) = known.get(&at) {
            return *cost;
        }
        known.insert(at, None);
        let (next, leaves) = &self.next[&at];
        let mut rest: Option<Cost> = leaves.then(Cost::default);
        let mut loops = false;
        for step in next {
            match self.from(*step, known) {
                Some(cost) => rest = Some(rest.map_or(cost, |rest| either(rest, cost))),
                None => loops = true,
            }
        }
        let (flushes, posted, waits) = match &self.code.nodes[at] {
            Node::Step { op, .. } => price(op),
            _ => (0, 0, 0),
        };
        let rest = rest.unwrap_or_default();
        let add = |range: Range, n: u32| Range { least: range.least + n, most: range.most + n };
        let cost = Cost {
            flushes: add(rest.flushes, flushes),
            posted: add(rest.posted, posted),
            waits: add(rest.waits, waits),
            loops: rest.loops || loops,
        };
        known.insert(at, Some(cost));
        Some(cost)
    }
}

/// The next steps that others can see.
fn follow(code: &ThreadCode, from: NodeId) -> Vec<NodeId> {
    let (mut open, mut seen, mut steps) = (vec![from], vec![false; code.nodes.len()], Vec::new());
    while let Some(at) = open.pop() {
        if std::mem::replace(&mut seen[at], true) {
            continue;
        }
        match &code.nodes[at] {
            Node::Step { .. } | Node::End => steps.push(at),
            Node::Set { next, .. } | Node::Jump(next) => open.push(*next),
            Node::Branch { yes, no, .. } => open.extend([*yes, *no]),
        }
    }
    steps
}

/// CPU flushes, invalidations posted, waits.
fn price(op: &Op) -> (u32, u32, u32) {
    match op {
        Op::FlushCpu { .. } | Op::GatherFlush { .. } => (1, 0, 0),
        Op::Post { .. } => (0, 1, 0),
        Op::Sync { .. } => (0, 0, 1),
        Op::FlushCache { .. } | Op::FlushContext { .. } => (0, 1, 1),
        _ => (0, 0, 0),
    }
}
