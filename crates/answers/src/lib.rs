//! Verdicts with reasons.
//!
//! [`check`](check::check) explores a test on the machine and on ideal memory.
//! [`verdict`] says what it found, [`timeline`] how it comes about. Both are
//! plain data: the command line draws them, and others may.

mod block;
mod changes;
pub mod check;
pub mod classify;
pub mod decision;
pub mod explain;
mod explored;
mod findings;
mod guards;
pub mod judge;
pub mod jury;
mod library;
pub mod mutate;
pub mod place;
pub mod request;
mod shorten;
pub mod story;
pub mod suite;
pub mod timeline;
pub mod verdict;

pub use library::LIBRARY;
