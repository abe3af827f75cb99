//! Explores every interleaving of a finite model.
//!
//! The engine knows nothing of page tables. A [`Model`] says what its
//! processes can do in a state; [`explore`] visits every state that can be
//! reached, level by level, so that the first violation it meets is a shortest
//! one, and hands back a [`Witness`] that can be replayed.
//!
//! - States are [packed](Packed) into bits by a [`Layout`] that the model makes
//!   when it is loaded; the visited set holds them exactly, no fingerprints.
//!   A model may take them apart to work on them: they are opened once each.
//! - The result is the same for any number of threads: verdicts, counts,
//!   depths, and the witness.
//! - [`Limits`] on states, bytes and time end a search with what was covered:
//!   "complete to depth d", never "holds".
//! - A search of all states can tell whether a run may be
//!   [trapped](Options::trapped): going on for ever with no end in reach.
//! - Two [reductions](Reductions), each with its own switch: equal processes
//!   are sorted, and steps that nobody can interfere with are taken at once.
//!   What they save and that they are sound is the model's to know; the tests
//!   compare with the search that uses neither.
//!
//! # Example
//!
//! Two processes that each read a counter and write back what they read plus
//! one: an increment is lost.
//!
//! ```
//! use shootdown_explore::{Field, Layout, Model, Options, Outcome, Packed, explore};
//!
//! struct Lost { pc: [Field; 2], seen: [Field; 2], counter: Field }
//!
//! impl Model for Lost {
//!     type State = u64;
//!     type Open = u64;
//!     fn open(&self, state: &u64) -> u64 { *state }
//!     fn close(&self, open: &u64) -> u64 { *open }
//!     fn initial(&self) -> Vec<u64> { vec![0] }
//!     fn processes(&self) -> usize { 2 }
//!     fn steps(&self, state: &u64, p: usize, each: &mut dyn FnMut(u32, u64)) {
//!         let mut next = *state;
//!         match state.get(self.pc[p]) {
//!             0 => next.set(self.seen[p], state.get(self.counter)),
//!             1 => next.set(self.counter, state.get(self.seen[p]) + 1),
//!             _ => return,
//!         }
//!         next.set(self.pc[p], state.get(self.pc[p]) + 1);
//!         each(0, next);
//!     }
//!     fn broken(&self, state: &u64) -> u64 {
//!         let done = self.pc.iter().all(|pc| state.get(*pc) == 2);
//!         u64::from(done && state.get(self.counter) != 2)
//!     }
//! }
//!
//! let mut layout = Layout::new();
//! let model = Lost {
//!     pc: [layout.field(3), layout.field(3)],
//!     seen: [layout.field(3), layout.field(3)],
//!     counter: layout.field(3),
//! };
//! let found = explore(&model, &Options::default());
//! let Outcome::Complete = found.outcome else { panic!() };
//! let witness = &found.violations[0].witness;
//! assert_eq!(witness.steps.len(), 4, "read, read, write, write");
//! assert!(witness.replay(&model).is_ok());
//! ```

mod bits;
mod layout;
mod limit;
mod model;
mod packed;
mod parallel;
mod search;
mod store;
mod successor;
mod trapped;
mod witness;

pub use layout::{Field, Layout};
pub use limit::{Limits, Outcome, Stop, Until};
pub use model::{Model, Reductions};
pub use packed::Packed;
pub use search::{Exploration, Options, Progress, Violation, explore};
pub use witness::{ReplayError, Step, Witness};
