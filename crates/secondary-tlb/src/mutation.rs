//! Deliberate mistakes, for the model-checked tests that must see them fail.

use core::sync::atomic::{AtomicU32, Ordering};

/// A fill installs without comparing the count of invalidations.
pub const INSTALL_UNCHECKED: u32 = 1;
/// An invalidation does not wait for the windows.
pub const NO_DRAIN: u32 = 2;

static ACTIVE: AtomicU32 = AtomicU32::new(0);

/// Makes one mistake from now on; zero makes none.
pub fn set(mistake: u32) {
    ACTIVE.store(mistake, Ordering::SeqCst);
}

pub(crate) fn is(mistake: u32) -> bool {
    ACTIVE.load(Ordering::SeqCst) == mistake
}
