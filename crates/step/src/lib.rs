//! The steps of a litmus test.
//!
//! A checked program becomes one graph for each thread: steps that others can
//! see, and computations over registers between them. What a step does to
//! tables and TLBs is not decided here; the machines that run it share the
//! steps, and not their meaning.
//!
//! ```text
//! Program -> lower -> Lowered { shape, threads, contracts }
//! ```

mod agents;
mod code;
mod expr;
mod lower;
mod memory;
mod op;
pub mod shape;
pub mod value;

pub use code::{ContractCall, Node, NodeId, Refusal, Site, ThreadCode, Variable};
pub use expr::{Expr, Reg, ask_entry, change_entry};
pub use lower::live::{operands, results};
pub use lower::{Dials, Lowered, Moment, Target, Tells, Unsupported, WALK, lower};
pub use memory::MemoryModel;
pub use op::{Access, DirtyAct, EntryAt, Failure, LockAt, Op, Range};
pub use shape::Shape;
