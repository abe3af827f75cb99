//! The document's scenario, step by step. Threads are stopped at named points.

mod actor;
mod exemption;
mod scenario;
mod timeline;

pub use exemption::{Exemption, Observation, exemption};
pub use scenario::{Outcome, Play, scenario};
pub use timeline::{Block, Timeline};
