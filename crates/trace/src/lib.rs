//! Whether a recorded trace of a running kernel followed the protocol.
//!
//! Two halves. [`read`] turns what tracers write into events, and knows nothing of
//! what they mean. All else gives them a meaning and checks the rules.

pub mod read;
