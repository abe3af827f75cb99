//! Sets with a rule broken: the comparison has to notice each.
//!
//! A mutant wraps the true sets and spoils what they leave behind. Which slots
//! belong to which cache and page it finds out from outside: a slot whose only
//! mark goes when a page of a cache is invalidated.

use shootdown_machine::mmu::{Answer, Mmu};
use shootdown_machine::sets::Sets;
use shootdown_machine::state::{Slot, Slots, State};
use shootdown_machine::world::World;
use shootdown_step::shape::Source;

/// A rule, broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// Nothing is broken.
    Nothing,
    /// Nothing is filled again after an invalidation.
    NoRefill,
    /// An ATC is emptied and not filled again from what its IOTLB holds.
    AtcNoRefill,
    /// An invalidation of an ATC empties its IOTLB too.
    AtcEmptiesSource,
    /// A change of a table adds nothing to the sets until somebody invalidates.
    NoFillOnChange,
    /// A new entry replaces the old one, as if the change were an invalidation.
    ChangeInvalidates,
    /// Walks begin at the root only.
    NoPointers,
    /// Pointers to tables survive every invalidation.
    PointersStay,
    /// A large entry survives the invalidation of a page.
    LargeStays,
    /// An invalidation of one page takes all of them.
    InvalidatesAll,
    /// A fault empties the whole TLB, always.
    FaultFlushes,
    /// A fault never drops anything.
    FaultKeeps,
    /// An entry never answers before a walk grants it too.
    OnlyWalks,
    /// An entry that was not dirty answers writes, and nobody marks it.
    WritesUnmarked,
    /// A mark that is owed is never written.
    NeverPays,
    /// FREE looks at no TLB.
    FreeIsBlind,
    /// REST sees nothing.
    RestIsBlind,
    /// RETURN sees nothing.
    ReturnIsBlind,
    /// PROGRESS sees nothing.
    ProgressIsBlind,
    /// A root that is loaded fills nothing until somebody invalidates.
    RootKeepsSets,
    /// A load of a root flushes every TLB.
    RootFlushes,
    /// `clflush` writes nothing back.
    NeverWritesBack,
    /// A cache writes nothing back by itself.
    OnlyFlushesWriteBack,
}

/// All that break something.
pub(crate) const ALL: [Mutation; 22] = [
    Mutation::NoRefill,
    Mutation::AtcNoRefill,
    Mutation::AtcEmptiesSource,
    Mutation::NoFillOnChange,
    Mutation::ChangeInvalidates,
    Mutation::NoPointers,
    Mutation::PointersStay,
    Mutation::LargeStays,
    Mutation::InvalidatesAll,
    Mutation::FaultFlushes,
    Mutation::FaultKeeps,
    Mutation::OnlyWalks,
    Mutation::WritesUnmarked,
    Mutation::NeverPays,
    Mutation::FreeIsBlind,
    Mutation::RestIsBlind,
    Mutation::ReturnIsBlind,
    Mutation::ProgressIsBlind,
    Mutation::RootKeepsSets,
    Mutation::RootFlushes,
    Mutation::NeverWritesBack,
    Mutation::OnlyFlushesWriteBack,
];

/// Slots that an invalidation of a page of a cache empties.
#[derive(Clone, Debug, Default)]
struct Owned {
    leaves: Vec<Slot>,
    pointers: Vec<Slot>,
}

/// The sets, spoilt.
#[derive(Debug)]
pub(crate) struct Mutant {
    mutation: Mutation,
    sets: Sets,
    /// By cache and page.
    owned: Vec<Vec<Owned>>,
    slots: Vec<Slot>,
}

impl Mutant {
    pub(crate) fn new(mutation: Mutation) -> Mutant {
        Mutant { mutation, sets: Sets::default(), owned: Vec::new(), slots: Vec::new() }
    }

    fn find_slots(&mut self, world: &World, slots: &Slots, first: usize) {
        let mut empty = slots.initial();
        (0..slots.len()).for_each(|slot| empty.set(Slot::at(slot), 0));
        self.slots = (first..slots.len()).map(Slot::at).collect();
        let shape = world.shape();
        self.owned = vec![vec![Owned::default(); shape.pages.len()]; shape.caches.len()];
        for slot in &self.slots {
            for (cache, pages) in self.owned.iter_mut().enumerate() {
                for (page, owned) in pages.iter_mut().enumerate() {
                    let goes = |leaf_only: bool| {
                        let mut state = empty.clone();
                        state.set(*slot, 1);
                        self.sets.invalidate(world, &mut state, cache, 1 << page, leaf_only);
                        state.get(*slot) == 0
                    };
                    match (goes(true), goes(false)) {
                        (true, _) => owned.leaves.push(*slot),
                        (false, true) => owned.pointers.push(*slot),
                        _ => {}
                    }
                }
            }
        }
    }

    fn clear(&self, state: &mut State, cache: usize, pages: u64) {
        for (page, owned) in self.owned[cache].iter().enumerate() {
            if pages >> page & 1 != 0 {
                owned.leaves.iter().chain(&owned.pointers).for_each(|slot| state.set(*slot, 0));
            }
        }
    }

    fn spoil(&self, state: &mut State) {
        if self.mutation == Mutation::NoPointers {
            let pointers = self.owned.iter().flatten().flat_map(|owned| &owned.pointers);
            pointers.for_each(|slot| state.set(*slot, 0));
        }
    }
}

impl Mmu for Mutant {
    fn declare(&mut self, world: &World, slots: &mut Slots) {
        let first = slots.len();
        self.sets.declare(world, slots);
        self.find_slots(world, slots, first);
    }

    fn begin(&self, world: &World, state: &mut State) {
        self.sets.begin(world, state);
        self.spoil(state);
    }

    fn table_changed(&self, world: &World, state: &mut State) {
        match self.mutation {
            Mutation::NoFillOnChange => return,
            Mutation::ChangeInvalidates => self.slots.iter().for_each(|slot| state.set(*slot, 0)),
            _ => {}
        }
        self.sets.table_changed(world, state);
        self.spoil(state);
    }

    fn root_changed(&self, world: &World, state: &mut State) {
        match self.mutation {
            Mutation::RootKeepsSets => return,
            Mutation::RootFlushes => self.slots.iter().for_each(|slot| state.set(*slot, 0)),
            _ => {}
        }
        self.sets.root_changed(world, state);
        self.spoil(state);
    }

    fn write_back(&self, world: &World, state: &mut State, slot: Slot) {
        if self.mutation != Mutation::NeverWritesBack {
            self.sets.write_back(world, state, slot);
        }
    }

    fn processes(&self) -> usize {
        self.sets.processes()
    }

    fn steps(&self, world: &World, state: &State, at: usize, each: &mut dyn FnMut(u32, State)) {
        if self.mutation != Mutation::OnlyFlushesWriteBack {
            self.sets.steps(world, state, at, each);
        }
    }

    fn invalidate(
        &self,
        world: &World,
        state: &mut State,
        cache: usize,
        pages: u64,
        leaf_only: bool,
    ) {
        let source = world.shape().caches[cache].source;
        let all = world.shape().all_pages();
        let before = state.clone();
        match (self.mutation, source) {
            (Mutation::AtcEmptiesSource, Source::Cache(source)) => self.clear(state, source, pages),
            (Mutation::InvalidatesAll, _) => self.clear(state, cache, all),
            _ => {}
        }
        let leaf_only = leaf_only || self.mutation == Mutation::PointersStay;
        self.sets.invalidate(world, state, cache, pages, leaf_only);
        match (self.mutation, source) {
            (Mutation::NoRefill, _) | (Mutation::AtcNoRefill, Source::Cache(_)) => {
                self.clear(state, cache, pages)
            }
            (Mutation::LargeStays, _) => {
                // A slot of more than one page is one of large entries.
                let pages = &self.owned[cache];
                let of =
                    |slot: &Slot| pages.iter().filter(|owned| owned.leaves.contains(slot)).count();
                for slot in pages.iter().flat_map(|owned| &owned.leaves).filter(|slot| of(slot) > 1)
                {
                    state.set(*slot, state.get(*slot) | before.get(*slot));
                }
            }
            _ => {}
        }
        self.spoil(state);
    }

    fn access(
        &self,
        world: &World,
        state: &State,
        thread: usize,
        page: usize,
        write: bool,
        each: &mut dyn FnMut(Answer),
    ) {
        if self.mutation == Mutation::WritesUnmarked {
            return self.sets.access(world, state, thread, page, write, &mut |answer| {
                each(answer.frame().map_or(Answer::Fault, Answer::Frame));
            });
        }
        if self.mutation != Mutation::OnlyWalks {
            return self.sets.access(world, state, thread, page, write, each);
        }
        let mut empty = state.clone();
        self.slots.iter().for_each(|slot| empty.set(*slot, 0));
        self.sets.table_changed(world, &mut empty);
        self.sets.access(world, &empty, thread, page, write, each);
    }

    fn fault(&self, world: &World, state: &mut State, thread: usize, page: usize) {
        match self.mutation {
            Mutation::FaultKeeps => {}
            Mutation::FaultFlushes => {
                let cache = world.shape().agents[thread].cache;
                self.sets.invalidate(world, state, cache, world.shape().all_pages(), false);
            }
            _ => self.sets.fault(world, state, thread, page),
        }
        self.spoil(state);
    }

    fn owes(&self, world: &World, state: &mut State, thread: usize, page: usize, frame: usize) {
        if self.mutation != Mutation::NeverPays {
            self.sets.owes(world, state, thread, page, frame);
        }
    }

    fn paid(&self, world: &World, state: &State) -> bool {
        self.sets.paid(world, state)
    }

    fn reaches(&self, world: &World, state: &State, frame: usize) -> bool {
        self.mutation != Mutation::FreeIsBlind && self.sets.reaches(world, state, frame)
    }

    fn reaches_table(&self, world: &World, state: &State, table: usize) -> bool {
        self.sets.reaches_table(world, state, table)
    }

    fn exceeds(
        &self,
        world: &World,
        state: &State,
        at: (usize, usize),
        frame: usize,
        writes: bool,
    ) -> bool {
        self.mutation != Mutation::ReturnIsBlind
            && self.sets.exceeds(world, state, at, frame, writes)
    }

    fn restless(&self, world: &World, state: &State) -> bool {
        self.mutation != Mutation::RestIsBlind && self.sets.restless(world, state)
    }

    fn stuck(&self, world: &World, state: &State, thread: usize, page: usize, write: bool) -> bool {
        self.mutation != Mutation::ProgressIsBlind
            && self.sets.stuck(world, state, thread, page, write)
    }

    fn resolve(&self, world: &World, state: &State, space: usize, page: usize) -> Option<usize> {
        self.sets.resolve(world, state, space, page)
    }
}
