//! Whether the kernel functions behind a litmus file are still the ones that
//! were read.
//!
//! A file of the language says where a function was read:
//! `__from("v6.1.192", "mm/memory.c", wp_page_copy)`, a [`Citation`]. For each
//! of these a [`Digest`] of the function's text is recorded. A source [`Tree`]
//! gives the digests of today, and the [`State`] of a citation is what comes of
//! comparing the two. A verdict that rests on a function that has changed is
//! about a kernel that the reader does not have.
//!
//! ```
//! use shootdown_drift::citations;
//!
//! let text = r#"
//! __from("v6.1.192", "mm/memory.c", wp_page_copy)
//! static int wp_page_copy(struct vm_fault *vmf) { return 0; }
//! "#;
//! let cited = citations(text);
//! assert_eq!(cited[0].function, "wp_page_copy");
//! assert_eq!(cited[0].line, 2);
//! ```
//!
//! What is compared is the text of a function without comments and blanks: a
//! list of its tokens. So a new comment or another indent is no change, and a
//! renamed variable is one. Callees that are not cited are not looked at, nor
//! are macros and constants that a function uses: "unchanged" is about the text
//! of the functions that are named, not about their meaning.
//!
//! Reading C needs the feature `parser`. Without it the digests that were
//! recorded can be asked for, and a tree cannot be read.

mod cite;
mod digest;
#[cfg(feature = "parser")]
mod function;
mod recorded;
mod state;
mod tree;

pub use cite::{Citation, citations};
pub use digest::Digest;
#[cfg(feature = "parser")]
pub use function::{Definition, definitions};
pub use recorded::{BadRecord, Recorded};
pub use state::State;
pub use tree::{NotATree, Tree};

/// Whether this build can read C.
pub const READS_C: bool = cfg!(feature = "parser");
