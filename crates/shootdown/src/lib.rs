//! The answer of the founding document, played on the implementation.
//!
//! - [`play`] stops threads at named points and walks through the document's
//!   scenario, once as it should be and once notified too late, and through the
//!   exemption for write-protect and KSM.
//! - [`count`] lets the threads run freely and counts.
//! - [`table`] prints the decision table.
//! - [`report`] puts the three together, as text or as JSON.
//!
//! The steps of a play are a script; no outcome is: every value printed was read
//! from the memory of an [`address_space`].

pub mod command;
pub mod computed;
pub mod count;
pub mod draw;
pub mod drift;
pub mod play;
#[cfg(target_os = "linux")]
pub mod record;
pub mod report;
pub mod table;
