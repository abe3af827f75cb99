//! What a graph says of one file: the verdict on RECLAIM, and the run that lets a
//! reader see a cycle.

use shootdown_step::shape::OrderContext;

use super::cycles::{Cycle, cycles};
use super::graph::{Edge, Graph, Kind, Spot, Why};
use crate::timeline::{Column, ColumnKind, Mark, Row, Timeline};
use crate::verdict::{BreakingStep, Status, Violation};

/// What is said of RECLAIM, and how much it rests on.
pub fn reclaim(graph: &Graph) -> (Status, Option<String>) {
    let found = cycles(graph);
    let contexts: Vec<&Cycle> = found.iter().filter(|cycle| cycle.has_context(graph)).collect();
    let rests = format!(
        "RECLAIM looked at {} between {}; threads are taken one at a time, so a cycle is possible, \
         not sure",
        count(graph.taken().count(), "order", "orders"),
        count(graph.classes.len(), "class of locks", "classes of locks"),
    );
    if let Some(first) = contexts.first() {
        return (Status::Violated(Box::new(violation(graph, first, &contexts))), Some(rests));
    }
    if let Some(limit) = &graph.limit {
        return (Status::NotCovered(limit.clone()), None);
    }
    match untested(graph) {
        Some(why) => (Status::NotExercised(why.to_owned()), None),
        None => (Status::Clean, Some(rests)),
    }
}

fn count(number: usize, one: &str, more: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { more })
}

/// Why nothing was put to the test: of memory, fences or interrupts both sides have
/// to be there, somebody who waits and somebody who takes a lock meanwhile.
fn untested(graph: &Graph) -> Option<&'static str> {
    let inside = |context: &OrderContext| {
        graph.taken().any(|edge| graph.classes[edge.from].kind == Kind::Context(*context))
    };
    let families = FAMILIES.iter().filter(|family| family.iter().any(|c| graph.waited.contains(c)));
    let mut families = families.peekable();
    if families.peek().is_none() {
        return Some("nobody waits for memory or a fence, and nothing handles an interrupt");
    }
    if !families.any(|family| family.iter().any(inside)) {
        return Some("nothing takes a lock while others wait for memory, a fence or an interrupt");
    }
    None
}

/// Contexts that are waited for as one.
static FAMILIES: [&[OrderContext]; 3] = [
    &[OrderContext::Reclaim, OrderContext::FsReclaim, OrderContext::RangeStart, OrderContext::Told],
    &[OrderContext::Signalling],
    &[OrderContext::Interrupt],
];

/// `possible circular locking dependency: m -> direct_reclaim -> ... -> m`
pub fn sentence(graph: &Graph, cycle: &Cycle) -> String {
    let mut names = cycle.names(graph);
    names.extend(names.first().copied());
    format!("{}: {}", what_kind(graph, cycle), names.join(" -> "))
}

/// What a cycle is called.
pub fn what_kind(graph: &Graph, cycle: &Cycle) -> &'static str {
    let interrupt = |edge: &usize| {
        graph.classes[graph.edges[*edge].from].kind == Kind::Context(OrderContext::Interrupt)
    };
    match cycle.edges.iter().any(interrupt) {
        true if cycle.edges.len() == 2 => "inconsistent lock state",
        true => "possible lock inversion with an interrupt",
        false => "possible circular locking dependency",
    }
}

fn violation(graph: &Graph, first: &Cycle, all: &[&Cycle]) -> Violation {
    let mut steps: Vec<BreakingStep> = Vec::new();
    for cycle in all {
        for step in breaking(graph, cycle) {
            if !steps.contains(&step) {
                steps.push(step);
            }
        }
    }
    let mut why = sentence(graph, first);
    if all.len() > 1 {
        why.push_str(&format!(", and {} more", all.len() - 1));
    }
    Violation { steps, timeline: timeline(graph, first, &why), why }
}

/// Who waits for a context is who should not.
fn breaking(graph: &Graph, cycle: &Cycle) -> Vec<BreakingStep> {
    let edges = || cycle.edges.iter().map(|edge| &graph.edges[*edge]);
    let step = |edge: &Edge| match &edge.why {
        Why::Taken { waits, .. } => {
            Some(BreakingStep { name: waits.name.clone(), place: waits.place.clone() })
        }
        Why::Rule(_) => None,
    };
    let waits = |edge: &&Edge| {
        let kind = graph.classes[edge.to].kind;
        kind.is_context() && !matches!(kind, Kind::Context(OrderContext::RangeStart))
    };
    edges().filter(waits).filter_map(step).collect()
}

/// Everybody holds what the one before waits for: one row where it was taken, one
/// where the next is waited for.
fn timeline(graph: &Graph, cycle: &Cycle, why: &str) -> Timeline {
    let mut told = Timeline { end: why.to_owned(), ..Timeline::default() };
    let taken: Vec<&Edge> = cycle
        .edges
        .iter()
        .map(|edge| &graph.edges[*edge])
        .filter(|edge| matches!(edge.why, Why::Taken { .. }))
        .collect();
    let name = |class: usize| graph.classes[class].name.clone();
    for (number, edge) in taken.iter().enumerate() {
        let Why::Taken { thread, held, .. } = &edge.why else { continue };
        let number = number as u32;
        told.columns.push(Column { name: thread.clone(), kind: ColumnKind::Cpu, number });
        let column = told.columns.len() - 1;
        told.rows.push(row(column, held, format!("has {}", name(edge.from)), Vec::new()));
    }
    let last = taken.len().saturating_sub(1);
    for (column, edge) in taken.iter().enumerate() {
        let Why::Taken { waits, .. } = &edge.why else { continue };
        let breaks = Mark::Breaks { obligation: "RECLAIM" };
        let marks = if column == last { vec![breaks] } else { Vec::new() };
        told.rows.push(row(column, waits, format!("waits for {}", name(edge.to)), marks));
    }
    told
}

fn row(column: usize, spot: &Spot, result: String, marks: Vec<Mark>) -> Row {
    Row {
        column,
        what: spot.text.clone(),
        result: Some(result),
        function: spot.function.clone(),
        place: spot.place.clone(),
        changes: Vec::new(),
        marks,
    }
}
