//! The commands.

pub mod check;
pub mod drift;
pub mod explain;
pub mod merge;
pub mod primitives;
pub mod probes;
pub mod record;
pub mod results;
pub mod run;
pub mod status;
pub mod test;
pub mod trace;
