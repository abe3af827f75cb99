//! Threads of a model checker cannot borrow: a world that is lent to them as if
//! for ever, and an address space that they share.

use super::flat::Shape;
use super::world::World;
use super::{Flat, TestMm};

/// A world that lives until the end of one execution.
pub(crate) struct Arena(*mut World);

impl Arena {
    pub(crate) fn new(world: World) -> Self {
        Arena(Box::into_raw(Box::new(world)))
    }

    /// Threads of a model cannot borrow, so the world is lent as if for ever.
    /// Keep the arena until they were joined and the address space is gone.
    pub(crate) fn world(&self) -> &'static World {
        // SAFETY: made from a box, freed by the drop of the arena.
        unsafe { &*self.0 }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // An execution that failed leaves its other threads behind as they are.
        if !std::thread::panicking() {
            // SAFETY: made from a box in `new`.
            drop(unsafe { Box::from_raw(self.0) });
        }
    }
}

/// An address space that threads of a model share.
pub(crate) type SharedMm<S> = std::sync::Arc<TestMm<'static, S>>;

pub(crate) fn shared_mm<S: Shape>(arena: &Arena) -> SharedMm<S> {
    std::sync::Arc::new(TestMm::new(Flat::new(arena.world())))
}
