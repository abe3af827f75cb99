//! Every path of a kernel by every machine.
//!
//! The founding document answers its question for one path. Here it is asked of
//! all: when do the secondary TLBs have to be told, on which machine, because of
//! which obligation, and is what the kernel does right, stricter than needed or too
//! weak? A path is a file of `litmus/table`, without clients; all clients up to a
//! bound are put around it ([`shootdown_clients`]), and the dial `tells` moves the
//! notification from nowhere to range_end, to the flush of the CPUs, and under the
//! lock.
//!
//! - [`around`]: clients around a path, as tests;
//! - [`path`]: the paths, and one of them with all its clients;
//! - [`cell`]: one path on one machine;
//! - [`table`]: all of them;
//! - [`pairs`]: two paths against each other on one page;
//! - [`generated`]: any path, client by client.

pub mod around;
pub mod cell;
pub mod generated;
pub mod pairs;
pub mod path;
pub mod table;
