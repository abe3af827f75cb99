//! The machine whose translation caches fill and forget by explicit steps of
//! their own, to compare the sets with.
//!
//! The machine proper keeps for each TLB the set of entries that it *may* hold
//! and never decides when one was fetched. That this is right is an argument;
//! this crate is the other half of it: here every fetch and every eviction is a
//! step of the hardware, written from the prose of the semantics and not from
//! the code of the sets. Both are explored without any reduction and must come
//! to the same ends and break the same properties.
//!
//! ```text
//! Lowered -> World -> Machine<Naive> -> reach --+
//!                  -> Machine<Sets>  -> reach --+-> compare -> Same | Differs | TooLarge
//! ```
//!
//! Both machines share the world, the steps of threads, queues, locks and
//! frames, and the lowering. They do not share what an access, a walk, a fill
//! or an invalidation is, nor the code of a walk; and this crate's
//! [`reach`](mod@reach) is not the search engine of the checker either.

pub mod compare;
mod entry;
pub mod files;
pub mod naive;
pub mod reach;

pub use compare::{Comparison, Difference, compare, compare_with};
pub use naive::Naive;
