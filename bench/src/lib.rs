//! The libraries beside their peers.
//!
//! A [`Case`](work::Case) is one piece of work, ours or a peer's. The same
//! cases are timed by the table (`src/main.rs`) and by criterion (`benches/`),
//! and run under callgrind for their instructions.

pub mod arena;
pub mod by_hand;
pub mod cases;
pub mod counting;
#[cfg(target_os = "linux")]
pub mod live;
pub mod options;
pub mod radix;
pub mod report;
#[cfg(target_os = "linux")]
pub mod shared_lines;
pub mod slopes;
pub mod subscribers;
pub mod table;
pub mod timing;
pub mod two_threads;
pub mod typed;
pub mod work;
