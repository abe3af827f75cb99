//! Which paths, and which tests, rest on kernel functions that have changed
//! since they were read.
//!
//! - [`path`]: the files of the language that cite functions, and the tests that
//!   include them.
//! - [`withhold`]: whether a verdict on one program may be given for a tree.

pub mod path;
pub mod withhold;
