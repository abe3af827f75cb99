//! The commands.

mod around;
pub mod check;
pub mod drift;
pub mod explain;
pub mod generate;
pub mod merge;
mod pairs;
pub mod place;
pub mod primitives;
pub mod results;
pub mod run;
pub mod status;
pub mod table;
pub mod test;
