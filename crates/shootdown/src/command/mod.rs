//! The commands.

pub mod check;
pub mod drift;
pub mod explain;
pub mod lock_order;
pub mod merge;
pub mod primitives;
pub mod results;
pub mod run;
pub mod status;
pub mod test;
