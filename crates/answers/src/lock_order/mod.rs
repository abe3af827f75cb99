//! Which lock is held when which is taken or waited for, and by whom: what the
//! search cannot see, because in no state of a machine does memory run out.
//!
//! ```text
//! Program -> lower(Target::Order) -> walk, each thread by itself -> Graph -> cycles -> report
//! ```
//!
//! Classes of locks are the nodes. Beside locks there are *contexts*: who runs in
//! one is like who holds a lock, and who may wait for one like who takes it.
//! Reclaim is one, the callbacks of subscribers, the section that ends with the
//! signal of a fence, the handler of an interrupt. What kernels do in reclaim
//! although no thread of the file says so is a row of `graph::RULES`.
//!
//! A cycle means that each may wait for the next, for ever. It is *possible*: no
//! schedule was looked for, and a path on which it lies may depend on values that
//! exclude it. A cycle of locks alone is the search's to find, which is exact for
//! one file; over several files nothing was searched.

mod cycles;
mod graph;
mod report;
mod suite;
mod walk;

pub use cycles::Cycle;
pub use graph::{Class, Edge, Graph, Kind, Spot, Why};
pub use report::{reclaim, sentence, what_kind};
pub use suite::{Found, Part, Suite, breaks_nothing};

use shootdown_litmus::Program;
use shootdown_step::{Target, lower};

use crate::check::Subject;

/// The graph of one variant of one file.
pub fn graph(subject: &Subject) -> Graph {
    of_program(&subject.program, subject.setting.dials())
}

fn of_program(program: &Program, dials: shootdown_step::Dials) -> Graph {
    match lower(program, Target::Order, dials) {
        Ok(lowered) => walk::walk(program, &lowered),
        Err(why) => Graph { limit: Some(why.why), ..Graph::default() },
    }
}
