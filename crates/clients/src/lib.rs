//! The programs that can stand around a page-table change.
//!
//! A path through the kernel proves nothing alone: it has to be right for any
//! threads and devices around it. Here a test is split into its path and its
//! clients ([`Skeleton`]), all clients up to a [`Bound`] are listed, each once
//! up to renaming ([`clients`]), and a client with the path is a test again
//! ([`Skeleton::test`]), as text: what is explored is a file that anybody can
//! read, keep and change.
//!
//! ```text
//! test --Skeleton::of--> path, agents, pages
//!   Bound --clients--> Client, Client, ...      smallest first
//!   path + Client --Skeleton::test--> test
//! ```
//!
//! What a client may do is in [`shape`]. It follows the relaxations that such
//! tests are made of elsewhere: an access to a page that the path changes, and
//! messages between agents, stored with release and loaded with acquire, which
//! say that something has happened before. Values need not be chosen: each store
//! has its own, and whether an end is right is asked of ideal memory.

mod bound;
mod enumerate;
pub mod shape;
mod skeleton;

pub use bound::{Bound, BoundError};
pub use enumerate::clients;
pub use shape::Client;
pub use skeleton::{NoPath, Role, Skeleton};
