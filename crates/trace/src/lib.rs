//! Whether a recorded trace of a running kernel followed the protocol.
//!
//! ```text
//!  read      what tracers write: who, when, where, name, fields
//!   |
//!  meaning   what a probe means in this kernel (era: a table)      Record
//!   |                                                                 |
//!  event     the protocol's vocabulary, recorded or live  <-----------
//!   |
//!  world     who is registered, which ranges are open
//!   |
//!  rules     R1 to R8, D1 to D3
//!   |
//!  monitor   verdicts for each rule and address space, with the events that show them
//! ```
//!
//! [`read`] knows nothing of what events mean, and the rules nothing of how they were
//! written: the same ones run on the records of an address space that is being used.

pub mod casemate;
pub mod check;
pub mod era;
pub mod event;
pub mod finding;
pub mod litmus;
pub mod meaning;
pub mod monitor;
pub mod probes;
pub mod read;
pub mod rules;
pub mod statistics;
pub mod vmemmap;
pub mod world;
