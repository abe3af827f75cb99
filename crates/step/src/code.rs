//! The code of a thread: steps, and the computations between them.

use shootdown_litmus::program::{ContractKind, FunctionId};
use shootdown_litmus::{Name, Span};

use crate::expr::{Expr, Reg};
use crate::op::Op;

/// An index into [`ThreadCode::nodes`].
pub type NodeId = usize;

/// A thread without calls: everything that it may run is written out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadCode {
    /// Its code; begins at node [`ThreadCode::start`].
    pub nodes: Vec<Node>,
    /// Where it begins.
    pub start: NodeId,
    /// Its registers, and whether each may be negative.
    pub signed: Vec<bool>,
    /// Registers that do not begin with 0.
    pub initial: Vec<(Reg, i64)>,
    /// Its steps, in the order of their numbers: number 0 is the end.
    pub steps: Vec<NodeId>,
    /// Registers that are not needed any more, for each step's number.
    pub dead: Vec<Vec<Reg>>,
    /// The thread's own named variables: name, type, register.
    pub variables: Vec<Variable>,
}

/// A variable of a thread's own body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Which local of the thread.
    pub local: u32,
    /// Its name.
    pub name: Name,
    /// Where it is kept, if anywhere.
    pub register: Option<Reg>,
    /// Whether it is a number, and so part of an outcome.
    pub number: bool,
}

/// A place in the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A step that others can see.
    Step {
        /// What is done.
        op: Op,
        /// Where to go on.
        next: NodeId,
        /// Where to go on after a fault; `None` ends the thread.
        fault: Option<NodeId>,
        /// Its number: an index into [`ThreadCode::steps`].
        number: usize,
        /// The text that it comes from.
        site: Site,
    },
    /// Computes.
    Set {
        /// What is computed.
        value: Expr,
        /// Where it is kept.
        into: Reg,
        /// Where to go on.
        next: NodeId,
    },
    /// Goes on here or there.
    Branch {
        /// Not zero: `yes`.
        condition: Expr,
        /// Where to go on.
        yes: NodeId,
        /// Where to go on otherwise.
        no: NodeId,
    },
    /// Goes on elsewhere.
    Jump(NodeId),
    /// The end of the thread.
    End,
}

/// Where a step comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its text.
    pub span: Span,
    /// The functions that it is in, the outermost first.
    pub functions: Vec<FunctionId>,
    /// The primitive or the call that it is a part of.
    pub name: Name,
    /// It may sleep.
    pub sleeps: bool,
}

/// A call of a function with a contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContractCall {
    /// Which thread calls.
    pub thread: usize,
    /// Which function.
    pub function: FunctionId,
    /// What it promises.
    pub kind: ContractKind,
    /// The address space that it works on.
    pub space: usize,
    /// For a fork: the child.
    pub child: Option<usize>,
    /// Ideal memory: frames for what the call leaves behind, by page.
    pub objects: Vec<usize>,
}

/// Why ideal memory has no answer for a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// One sentence.
    pub why: String,
    /// Where.
    pub span: Span,
}

impl ThreadCode {
    /// The step of a number; the end has none.
    #[inline]
    pub fn step(&self, number: usize) -> Option<(&Op, &Site)> {
        match &self.nodes[self.steps[number]] {
            Node::Step { op, site, .. } => Some((op, site)),
            _ => None,
        }
    }

    /// Where a step leads: on, and after a fault.
    #[inline]
    pub fn after(&self, number: usize) -> (NodeId, Option<NodeId>) {
        match &self.nodes[self.steps[number]] {
            Node::Step { next, fault, .. } => (*next, *fault),
            _ => (self.steps[number], None),
        }
    }
}
