//! What a test with contexts must not do, because it would mean two things.
//!
//! On ideal memory a load of a root is the same step as on the machine: from
//! then on the context's accesses name the pages of the other address space. So
//! it must be a step there too, and is refused in a function that ideal memory
//! knows by its contract only. A handler of faults works on one address space,
//! that which the context has at the beginning; a context that may be loaded
//! with another has none.

use shootdown_litmus::Program;

use super::{Lowered, Result, Target, lower, unsupported};
use crate::code::{Node, Refusal, Site};
use crate::lower::Dials;
use crate::op::Op;

/// Every load of a root, with its place.
fn loads(lowered: &Lowered) -> impl Iterator<Item = (usize, Option<usize>, &Site)> {
    lowered.threads.iter().flat_map(|code| &code.nodes).filter_map(|node| match node {
        Node::Step { op: Op::LoadRoot { context, space, .. }, site, .. } => {
            Some((*context, *space, site))
        }
        _ => None,
    })
}

/// Refuses what has no meaning; for ideal memory, what it cannot tell.
pub(super) fn admit(
    lowered: &mut Lowered,
    program: &Program,
    target: Target,
    dials: Dials,
) -> Result<()> {
    if lowered.shape.contexts.is_empty() {
        return Ok(());
    }
    if target != Target::Ideal {
        return handlers(lowered, program);
    }
    // Ideal memory has contracts instead of functions, so what these do is
    // looked up in the machine's steps.
    let machine = lower(program, Target::Machine, dials)?;
    let promised = |site: &&Site| {
        site.functions.iter().any(|id| program.functions[id.index()].contract.is_some())
    };
    let hidden = loads(&machine).map(|(.., site)| site).find(promised);
    if let Some(site) = hidden {
        let why = format!("`{}` is called in a function with a contract", site.name);
        lowered.refusal.get_or_insert(Refusal { why, span: site.span });
    }
    Ok(())
}

/// A handler works on the address space that a context begins with.
fn handlers(lowered: &Lowered, program: &Program) -> Result<()> {
    for (thread, code) in lowered.threads.iter().enumerate() {
        let agent = &lowered.shape.agents[thread];
        let Some(context) = agent.context else { continue };
        let handled = code
            .nodes
            .iter()
            .any(|node| matches!(node, Node::Step { op: Op::Access { .. }, fault: Some(_), .. }));
        let other = loads(lowered).find(|(at, space, _)| {
            *at == context && space.is_some_and(|space| space != agent.space)
        });
        if let (true, Some((.., site))) = (handled, other) {
            let why = format!(
                "{} has a handler of faults, which works on `{}`, and its context is loaded with \
                 another address space here; leave the handler out",
                program.threads[thread].name, lowered.shape.spaces[agent.space]
            );
            return unsupported(why, site.span);
        }
    }
    Ok(())
}
