//! Each operation of the address space by itself: what it does to values,
//! rights, counts and records, and what it says when it cannot.
//!
//! Every test ends with the books balanced and all frames free.
#![cfg(not(shuttle))]

#[path = "../support/mod.rs"]
mod support;

mod cow;
mod detach;
mod dontneed;
mod exit;
mod fork;
mod huge;
mod ksm;
mod misuse;
mod mprotect;
mod mremap;
mod munmap;
mod nested;
mod records;
mod replace;
mod zero_page;
