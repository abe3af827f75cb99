//! The commands.

pub mod check;
pub mod drift;
pub mod explain;
pub mod generate;
mod interrupt;
pub mod lock_order;
pub mod merge;
mod pairs;
pub mod place;
pub mod primitives;
pub mod probes;
mod progress;
pub mod record;
pub mod results;
pub mod run;
pub mod status;
pub mod table;
pub mod test;
pub mod trace;
