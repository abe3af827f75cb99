//! The graphs of many files as one: a cycle may have a part of it in each.
//!
//! Locks are the same lock if they have the same key: those of the language
//! (`mmap_lock`, `ptl`, the contexts), those in records by the type of the record,
//! and others by the name that they are declared with.

use std::collections::BTreeSet;

use shootdown_litmus::{Claim, Program, Setting};

use super::cycles::{Cycle, cycles};
use super::graph::{Class, Edge, Graph, Why};

/// Where a part of a graph comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The file.
    pub file: String,
    /// `base`, or the switches that are on.
    pub variant: String,
}

/// The graphs of many files as one.
#[derive(Clone, Debug, Default)]
pub struct Suite {
    /// Everything that was added.
    pub graph: Graph,
    /// What was added.
    pub parts: Vec<Part>,
    /// What is missing, and why.
    pub limits: Vec<(Part, String)>,
    /// Which part the first reason of each edge is from; none for rules.
    from: Vec<Option<usize>>,
}

/// A cycle of a suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its edges are edges of [`Suite::graph`].
    pub cycle: Cycle,
    /// The parts that its edges are from, each once.
    pub parts: Vec<Part>,
    /// Locks that all of its threads hold: they exclude each other.
    pub excluded_by: Vec<String>,
}

impl Suite {
    /// Adds the graph of one variant of a file.
    pub fn add(&mut self, part: Part, graph: &Graph) {
        let number = self.parts.len();
        if let Some(limit) = &graph.limit {
            self.limits.push((part.clone(), limit.clone()));
        }
        self.parts.push(part);
        self.graph.waited.extend(graph.waited.iter().copied());
        let classes: Vec<usize> = graph
            .classes
            .iter()
            .map(|class| {
                let Class { key, kind, .. } = class;
                self.graph.class(Class { name: key.clone(), key: key.clone(), kind: *kind })
            })
            .collect();
        for edge in graph.taken() {
            let (from, to) = (classes[edge.from], classes[edge.to]);
            if from == to {
                continue;
            }
            let under: BTreeSet<usize> = edge.under.iter().map(|class| classes[*class]).collect();
            self.graph.add(Edge { from, to, why: edge.why.clone(), under });
            if self.from.len() < self.graph.edges.len() {
                self.from.push(Some(number));
            }
        }
    }

    /// All cycles, shorter ones first.
    pub fn cycles(&mut self) -> Vec<Found> {
        self.graph.add_rules();
        self.from.resize(self.graph.edges.len(), None);
        let graph = &self.graph;
        let found = cycles(graph).into_iter().map(|cycle| {
            let mut parts: Vec<Part> = Vec::new();
            for edge in &cycle.edges {
                if let Some(part) = self.from[*edge].map(|part| &self.parts[part])
                    && !parts.contains(part)
                {
                    parts.push(part.clone());
                }
            }
            let names = cycle.excluded_by(graph).into_iter();
            let excluded_by = names.map(|class| graph.classes[class].name.clone()).collect();
            Found { cycle, parts, excluded_by }
        });
        found.collect()
    }

    /// The part that an edge is from, if a thread made it.
    pub fn part(&self, edge: usize) -> Option<&Part> {
        match self.graph.edges[edge].why {
            Why::Taken { .. } => self.from.get(edge).copied().flatten().map(|at| &self.parts[at]),
            Why::Rule(_) => None,
        }
    }
}

/// Whether a file says of a variant that it breaks nothing. Code that is known to be
/// wrong says nothing of the order that right code has.
pub fn breaks_nothing(program: &Program, model: &str) -> bool {
    let setting = Setting { variant: program.variant.clone(), model, ..Setting::default() };
    program
        .expectations
        .judge(&setting)
        .is_none_or(|line| !line.claims.iter().any(|claim| matches!(claim, Claim::Violated { .. })))
}
