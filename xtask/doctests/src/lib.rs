//! The Rust code blocks of the documents, as doctests.
//!
//! `cargo test` compiles and runs every ` ```rust ` block of the files below.
//! `cargo xtask docs` refuses such a block in a document that is not listed.

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../../../CONTRIBUTING.md")]
struct Contributing;
