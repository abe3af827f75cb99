//! What a machine's hardware answers: the part that differs between TLBs as
//! sets, TLBs with explicit fills, and ideal memory.

use crate::state::{Slot, Slots, State};
use crate::world::World;

/// Where an access may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To this frame.
    Frame(usize),
    /// To this frame, and the walk sets the dirty bit of this entry.
    Marks(usize, Slot),
    /// To this frame, through an entry whose dirty bit is yet to be written.
    Owes(usize),
    /// Nowhere: it faults.
    Fault,
}

impl Answer {
    /// The frame that it goes to.
    pub fn frame(self) -> Option<usize> {
        match self {
            Answer::Frame(frame) | Answer::Marks(frame, _) | Answer::Owes(frame) => Some(frame),
            Answer::Fault => None,
        }
    }
}

/// Which of its sets a cache is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Entries of a page.
    Leaf(usize),
    /// Huge entries of a block.
    Huge(usize),
    /// Pointers to tables of a block.
    Table(usize),
}

/// Translation hardware, or what stands in for it.
pub trait Mmu: Sync {
    /// Declares what it keeps.
    fn declare(&mut self, world: &World, slots: &mut Slots);

    /// The state at the beginning is complete but for what the hardware makes
    /// of it.
    fn begin(&self, world: &World, state: &mut State);

    /// A table or a software TLB has changed.
    fn table_changed(&self, world: &World, state: &mut State);

    /// A cache forgets pages; with `leaf_only` not how it came to them.
    fn invalidate(
        &self,
        world: &World,
        state: &mut State,
        cache: usize,
        pages: u64,
        leaf_only: bool,
    );

    /// A context has loaded another root or tag, or none.
    fn root_changed(&self, world: &World, state: &mut State);

    /// The CPU's cache writes a slot of a table back to memory.
    fn write_back(&self, world: &World, state: &mut State, slot: Slot) {
        let _ = (world, state, slot);
    }

    /// Every way in which an access of a thread may be answered. Its context,
    /// if it has one, has a root.
    fn access(
        &self,
        world: &World,
        state: &State,
        thread: usize,
        page: usize,
        write: bool,
        each: &mut dyn FnMut(Answer),
    );

    /// An access through a name has written to a frame.
    fn written(&self, state: &mut State, frame: usize) {
        let _ = (state, frame);
    }

    /// An access has faulted.
    fn fault(&self, world: &World, state: &mut State, thread: usize, page: usize);

    /// A thread has written a frame through an entry that is yet to be marked
    /// as dirty.
    fn owes(&self, world: &World, state: &mut State, thread: usize, page: usize, frame: usize) {
        let _ = (world, state, thread, page, frame);
    }

    /// Whether every mark that is owed has been written.
    fn paid(&self, world: &World, state: &State) -> bool {
        let _ = (world, state);
        true
    }

    /// Whether some cache may lead to the frame.
    fn reaches(&self, world: &World, state: &State, frame: usize) -> bool;

    /// Whether some cache may hold a pointer to the table.
    fn reaches_table(&self, world: &World, state: &State, table: usize) -> bool;

    /// Whether some cache of an address space may lead from the page to the
    /// frame with a right that the table does not give now; with `writes` only
    /// the right to write counts.
    fn exceeds(
        &self,
        world: &World,
        state: &State,
        at: (usize, usize),
        frame: usize,
        writes: bool,
    ) -> bool;

    /// Whether some cache grants what its table does not.
    fn restless(&self, world: &World, state: &State) -> bool;

    /// Whether an access that the table grants may fault for ever, if nothing
    /// changes.
    fn stuck(&self, world: &World, state: &State, thread: usize, page: usize, write: bool) -> bool;

    /// Whether the reductions know what this hardware reads and writes.
    fn reducible(&self) -> bool {
        false
    }

    /// Hardware that takes steps by itself.
    fn processes(&self) -> usize {
        0
    }

    /// Under `ra`: the sets are what the caches may have found. `found` gives
    /// the entries of a cache at a place.
    fn refill(&self, world: &World, state: &mut State, found: &dyn Fn(usize, Place) -> Vec<i64>) {
        let _ = (world, state, found);
    }

    /// The steps of one of these.
    fn steps(
        &self,
        world: &World,
        state: &State,
        process: usize,
        each: &mut dyn FnMut(u32, State),
    ) {
        let _ = (world, state, process, each);
    }

    /// The frame behind an address when all is over.
    fn resolve(&self, world: &World, state: &State, space: usize, page: usize) -> Option<usize>;

    /// A contract begins, for ideal memory.
    fn contract_begins(&self, world: &World, state: &mut State, contract: usize) {
        let _ = (world, state, contract);
    }

    /// One page of a contract takes effect; gives every way in which it may.
    fn contract_moment(
        &self,
        world: &World,
        state: &State,
        contract: usize,
        each: &mut dyn FnMut(u32, State),
    ) {
        each(0, state.clone());
        let _ = (world, contract);
    }

    /// A contract returns.
    fn contract_returns(&self, world: &World, state: &mut State, contract: usize) {
        let _ = (world, state, contract);
    }
}
