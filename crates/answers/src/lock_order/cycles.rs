//! Cycles: a shortest one through each edge.

use std::collections::{BTreeSet, VecDeque};

use super::graph::{Graph, Why};

/// Each waits for the next, and the last for the first: indices of edges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cycle {
    /// Where one ends the next begins.
    pub edges: Vec<usize>,
}

impl Cycle {
    /// Whether a context is part of it: then the search knows nothing of it.
    pub fn has_context(&self, graph: &Graph) -> bool {
        self.edges.iter().any(|edge| graph.classes[graph.edges[*edge].from].kind.is_context())
    }

    /// Locks that every one of its threads holds: they exclude each other.
    pub fn excluded_by(&self, graph: &Graph) -> BTreeSet<usize> {
        let inside: BTreeSet<usize> = self.edges.iter().map(|e| graph.edges[*e].from).collect();
        let edges = self.edges.iter().map(|edge| &graph.edges[*edge]);
        let taken = edges.filter(|edge| matches!(edge.why, Why::Taken { .. }));
        let mut sets = taken.map(|edge| edge.under.clone());
        let Some(first) = sets.next() else { return BTreeSet::new() };
        let all = sets.fold(first, |all, set| all.intersection(&set).copied().collect());
        all.difference(&inside).copied().collect()
    }

    /// The classes, in the order of waiting.
    pub fn names<'g>(&self, graph: &'g Graph) -> Vec<&'g str> {
        self.edges.iter().map(|edge| &*graph.classes[graph.edges[*edge].from].name).collect()
    }
}

/// For each edge a shortest cycle through it; each cycle once, shorter ones first.
pub(super) fn cycles(graph: &Graph) -> Vec<Cycle> {
    let mut found: Vec<Cycle> = Vec::new();
    for (at, edge) in graph.edges.iter().enumerate() {
        let Some(mut back) = way(graph, edge.to, edge.from) else { continue };
        back.insert(0, at);
        // It begins with its smallest edge, so that each is there once.
        let first = back.iter().enumerate().min_by_key(|(_, e)| **e).map_or(0, |(at, _)| at);
        back.rotate_left(first);
        let cycle = Cycle { edges: back };
        if !found.contains(&cycle) {
            found.push(cycle);
        }
    }
    found.sort_by(|a, b| {
        let key = |cycle: &Cycle| (cycle.edges.len(), cycle.edges.clone());
        key(a).cmp(&key(b))
    });
    found
}

/// A shortest way from one class to another; none if there is none.
fn way(graph: &Graph, from: usize, to: usize) -> Option<Vec<usize>> {
    let mut came: Vec<Option<usize>> = vec![None; graph.classes.len()];
    let mut seen = vec![false; graph.classes.len()];
    let mut open = VecDeque::from([from]);
    seen[from] = true;
    while let Some(at) = open.pop_front() {
        if at == to {
            let mut list = Vec::new();
            let mut at = at;
            while at != from {
                let edge = came[at]?;
                list.insert(0, edge);
                at = graph.edges[edge].from;
            }
            return Some(list);
        }
        for (number, edge) in graph.edges.iter().enumerate().filter(|(_, edge)| edge.from == at) {
            if !std::mem::replace(&mut seen[edge.to], true) {
                came[edge.to] = Some(number);
                open.push_back(edge.to);
            }
        }
    }
    None
}
