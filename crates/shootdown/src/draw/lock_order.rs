//! `shootdown lock-order`: cycles, each edge with the lines that make it.

use serde::Serialize;
use shootdown_answers::lock_order::{Edge, Found, Spot, Suite, Why, sentence, what_kind};

use super::say::place;
use super::text::{count, one_line};

/// Version of the form for programs.
pub const SCHEMA: &str = "shootdown.lock-order/1";

/// The answer as text.
pub fn text(suite: &Suite, found: &[Found], orders: bool) -> String {
    let mut out = format!(
        "lock order: {}, {}, {}\n",
        count(suite.parts.len() as u64, "variant"),
        classes(suite.graph.classes.len()),
        count(suite.graph.edges.len() as u64, "order"),
    );
    for (part, why) in &suite.limits {
        let why = one_line(why);
        out.push_str(&format!("not covered: {} {}: {why}\n", part.file, part.variant));
    }
    if orders {
        out.push('\n');
        for edge in &suite.graph.edges {
            let name = |class: usize| &*suite.graph.classes[class].name;
            out.push_str(&format!("{} -> {}", name(edge.from), name(edge.to)));
            out.push_str(&match &edge.why {
                Why::Taken { waits, .. } => format!("  {}\n", where_is(waits)),
                Why::Rule(rule) => format!("  {}\n", rule.source),
            });
        }
    }
    if found.is_empty() {
        out.push_str("no cycle\n");
    }
    for found in found {
        out.push_str(&format!("\n{}\n", sentence(&suite.graph, &found.cycle)));
        out.push_str(&format!("{}\n", over(found)));
        for at in &found.cycle.edges {
            out.push_str(&edge(suite, *at));
        }
    }
    out
}

fn classes(number: usize) -> String {
    format!("{number} {}", if number == 1 { "class of locks" } else { "classes of locks" })
}

/// How sure it is.
fn over(found: &Found) -> String {
    let mut said = match found.parts.len() {
        0 | 1 => "in one file".to_owned(),
        more => format!("over {more} files, none of which has all of it"),
    };
    if !found.excluded_by.is_empty() {
        let locks = found.excluded_by.join(", ");
        said.push_str(&format!("; not possible while each of them holds {locks}"));
    }
    said
}

fn edge(suite: &Suite, at: usize) -> String {
    let edge: &Edge = &suite.graph.edges[at];
    let name = |class: usize| &*suite.graph.classes[class].name;
    let mut out = format!("  {} -> {}\n", name(edge.from), name(edge.to));
    match &edge.why {
        Why::Rule(rule) => out.push_str(&format!("    {} ({})\n", rule.what, rule.source)),
        Why::Taken { thread, held, waits } => {
            let variant = suite.part(at).map_or("base", |part| &*part.variant);
            let whose = if variant == "base" { String::new() } else { format!(", {variant}") };
            out.push_str(&format!("    {thread}{whose} has it since  {}\n", where_is(held)));
            out.push_str(&format!("    and waits at  {}\n", where_is(waits)));
        }
    }
    out
}

/// `mutex_lock(&m) (file:12, function)`
fn where_is(spot: &Spot) -> String {
    let text = one_line(&spot.text);
    let function = spot.function.as_deref().map_or(String::new(), |name| format!(", {name}"));
    match &spot.place {
        Some(at) => format!("{text} ({}{function})", place(at)),
        None => text,
    }
}

/// The answer for programs.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names say what they are")]
pub struct Report {
    /// [`SCHEMA`]
    pub schema: &'static str,
    pub variants: usize,
    pub classes: Vec<String>,
    pub orders: usize,
    pub cycles: Vec<Cycle>,
    pub not_covered: Vec<String>,
}

/// One cycle.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names say what they are")]
pub struct Cycle {
    pub kind: &'static str,
    pub files: Vec<String>,
    pub excluded_by: Vec<String>,
    pub edges: Vec<Step>,
}

/// One edge of a cycle; the places are `null` for what kernels do in any case.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names say what they are")]
pub struct Step {
    pub held: String,
    pub waits_for: String,
    pub thread: Option<String>,
    pub held_at: Option<String>,
    pub waits_at: Option<String>,
    pub rule: Option<&'static str>,
}

/// The answer for programs.
pub fn report(suite: &Suite, found: &[Found]) -> Report {
    let graph = &suite.graph;
    let step = |at: &usize| {
        let edge = &graph.edges[*at];
        let (thread, held_at, waits_at, rule) = match &edge.why {
            Why::Rule(rule) => (None, None, None, Some(rule.source)),
            Why::Taken { thread, held, waits } => {
                (Some(thread.clone()), Some(where_is(held)), Some(where_is(waits)), None)
            }
        };
        let name = |class: usize| graph.classes[class].name.clone();
        Step { held: name(edge.from), waits_for: name(edge.to), thread, held_at, waits_at, rule }
    };
    let cycle = |found: &Found| Cycle {
        kind: what_kind(graph, &found.cycle),
        files: found.parts.iter().map(|part| part.file.clone()).collect(),
        excluded_by: found.excluded_by.clone(),
        edges: found.cycle.edges.iter().map(step).collect(),
    };
    Report {
        schema: SCHEMA,
        variants: suite.parts.len(),
        classes: graph.classes.iter().map(|class| class.name.clone()).collect(),
        orders: graph.edges.len(),
        cycles: found.iter().map(cycle).collect(),
        not_covered: suite
            .limits
            .iter()
            .map(|(part, why)| format!("{} {}: {why}", part.file, part.variant))
            .collect(),
    }
}
