//! Litmus tests and the checker's witnesses on an address space that is really
//! used.
//!
//! The checker says what could happen. Here it happens, on the page tables,
//! TLBs and notifications of [`address_space`], which share no code with it:
//!
//! - [`replay`](replay()) takes one run of the checker's machine, usually a
//!   witness, and drives an address space through the same order of events,
//!   stopping threads at named points. Every value must come out as in the run.
//! - [`run`](run()) lets the threads of a test that user programs could take
//!   run freely, many times, and counts the final states, as litmus7 does.
//!
//! Both can follow the protocol or break it by name ([`Policy`]): a witness of
//! a late notification has to come out under the late policy and must be
//! impossible under the right one.
//!
//! ```text
//! Run -> plan (acts, in the order of the run) -> workers, stop by stop -> Replayed
//! Program -> thread by thread, batch by batch -> Histogram
//! ```

mod conductor;
mod ground;
mod plan;
mod policy;
mod replay;
mod replayed;
mod run;
mod seeds;

pub use policy::Policy;
pub use replay::replay;
pub use replayed::{Did, Refused, Replayed, ReplayedStep};
pub use run::{Allowed, Config, Histogram, NotRun, State, WindowHits, allowed, run};
pub use seeds::{SEEDS, Seed, Shows};
