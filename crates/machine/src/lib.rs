//! The machine that runs litmus tests: page tables, TLBs as sets, memory
//! models, ideal memory, and what is asked of every state.
//!
//! ```text
//! Lowered -> World -> Machine<Sets>  -> search -> Found
//!                     Machine<Ideal> -> search -> Found
//! ```

pub mod contexts;
pub mod contracts;
mod dirty;
pub mod ideal;
pub mod lives;
mod locks;
pub mod machine;
pub mod mmu;
pub mod model;
pub mod outcome;
pub mod pages;
mod queue;
pub mod readers;
pub mod reduce;
pub mod run;
pub mod sets;
pub mod setting;
pub mod state;
pub mod tables;
pub mod views;
mod walker;
pub mod weak;
pub mod world;
