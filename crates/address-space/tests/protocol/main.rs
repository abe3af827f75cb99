//! The rows of `mmu_protocol::TABLE` on a live address space: one thread stands
//! where the founding document has it preempted, the others go on.
//!
//! Each test shows both directions where a wrong policy exists: with the policy
//! the violation happens, without it, at the same stop, it cannot.
#![cfg(not(shuttle))]

#[path = "../support/mod.rs"]
mod support;

mod case_a;
mod case_b;
mod collapse;
mod copy;
mod exemption;
mod moved;
mod split;
mod table_freed;
