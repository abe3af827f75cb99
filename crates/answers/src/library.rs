//! The machines and kernels that come with the program.

use shootdown_litmus::Embedded;

/// What `#include <machine/...>` and `#include <kernel/...>` find when no
/// folder has it.
pub const LIBRARY: Embedded<'static> = Embedded(include!(concat!(env!("OUT_DIR"), "/library.rs")));
