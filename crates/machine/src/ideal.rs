//! Ideal memory: no tables and no TLBs.
//!
//! A name (address space and page) leads to generations, usually one. A
//! contract that replaces what is there adds a generation at one moment between
//! its call and its return; until the return every access may take any of them,
//! each time anew, and the return drops what is older than the call's own.

use shootdown_litmus::program::{Backing, ContractKind};
use shootdown_step::ContractCall;
use shootdown_step::value::{frame_of_page, page_of_address};

use crate::mmu::{Answer, Mmu};
use crate::state::{Slot, Slots, State};
use crate::world::World;

/// Generations of one name, at most.
const GENERATIONS: usize = 4;

// A generation is a number: the contract's call that made it plus one, then the
// object plus one, then what it allows.
const READ: i64 = 1;
const WRITE: i64 = 2;
/// A read may fault as well.
const READ_FAULTS: i64 = 4;
/// A write may fault as well.
const WRITE_FAULTS: i64 = 8;
const OBJECT_SHIFT: u32 = 4;
const CALL_SHIFT: u32 = 12;

fn generation(call: i64, object: Option<usize>, flags: i64) -> i64 {
    let object = object.map_or(0, |object| object as i64 + 1);
    call << CALL_SHIFT | object << OBJECT_SHIFT | flags
}

fn object_of(generation: i64) -> Option<usize> {
    let object = generation >> OBJECT_SHIFT & 0xff;
    (object != 0).then(|| object as usize - 1)
}

/// Ideal memory.
#[derive(Clone, Debug, Default)]
pub struct Ideal {
    /// Generations, the oldest first, by address space and page.
    names: Vec<Vec<[Slot; GENERATIONS]>>,
    /// Cells whose contents may become zero, by object: [`SETTLED`], or the
    /// call that is not over plus [`SETTLED`]. Empty if no contract says so.
    lazy: Vec<Slot>,
}

/// The call that made a cell lazy has returned: the next write cancels. Before
/// that a write may be one through the old state, which does not.
const SETTLED: i64 = 1;

impl Ideal {
    fn list(&self, state: &State, space: usize, page: usize) -> impl Iterator<Item = i64> {
        let slots = self.names[space][page];
        let values: Vec<i64> =
            slots.iter().map(|slot| state.get(*slot)).take_while(|g| *g != 0).collect();
        values.into_iter()
    }

    fn push(&self, state: &mut State, space: usize, page: usize, new: i64) {
        let slots = &self.names[space][page];
        match slots.iter().find(|slot| state.get(**slot) == 0) {
            Some(slot) => state.set(*slot, new),
            None => {
                // The oldest two are one: an access may take either, and more
                // than that many calls at the same time no test has.
                for (index, slot) in slots.iter().enumerate() {
                    let newer = slots.get(index + 1).map_or(new, |slot| state.get(*slot));
                    state.set(*slot, newer);
                }
            }
        }
    }

    /// Drops what is older than a call's own generation.
    fn settle(&self, state: &mut State, space: usize, page: usize, call: i64) {
        let all: Vec<i64> = self.list(state, space, page).collect();
        let Some(own) = all.iter().position(|generation| generation >> CALL_SHIFT == call) else {
            return;
        };
        for (index, slot) in self.names[space][page].iter().enumerate() {
            state.set(*slot, all.get(own + index).copied().unwrap_or(0));
        }
    }

    fn newest(&self, state: &State, space: usize, page: usize) -> i64 {
        self.list(state, space, page).last().unwrap_or(0)
    }
}

impl Mmu for Ideal {
    fn declare(&mut self, world: &World, slots: &mut Slots) {
        let shape = world.shape();
        for space in 0..shape.spaces.len() {
            let mut pages = Vec::new();
            for page in &shape.pages {
                let first = match (space, page.frame) {
                    (0, Some(frame)) => {
                        let faults = if page.write_faults { WRITE_FAULTS } else { 0 };
                        generation(0, Some(frame), READ | WRITE | faults)
                    }
                    (0, None) if page.backing != Backing::Zero => {
                        generation(0, None, READ_FAULTS | WRITE_FAULTS)
                    }
                    _ => generation(0, None, READ_FAULTS | WRITE_FAULTS),
                };
                let mut list = [slots.natural(0); GENERATIONS];
                for (index, slot) in list.iter_mut().enumerate() {
                    *slot = slots.natural(if index == 0 { first } else { 0 });
                }
                pages.push(list);
            }
            self.names.push(pages);
        }
        let frees = |call: &ContractCall| call.kind == ContractKind::LazyFree;
        if world.lowered.contracts.iter().any(frees) {
            self.lazy = world.frames.iter().map(|_| slots.natural(0)).collect();
        }
    }

    /// That a cell becomes zero is a step of nobody, which no footprint has.
    fn reducible(&self) -> bool {
        self.lazy.is_empty()
    }

    fn processes(&self) -> usize {
        usize::from(!self.lazy.is_empty())
    }

    /// A lazy cell becomes zero, at once for everybody; or it never will. An end
    /// is what has no step left, so one of the two is chosen in the end.
    fn steps(&self, world: &World, state: &State, _: usize, each: &mut dyn FnMut(u32, State)) {
        for (object, slot) in self.lazy.iter().enumerate() {
            if state.get(*slot) != 0 {
                let mut next = state.clone();
                next.set(*slot, 0);
                each(2 * object as u32, next.clone());
                for word in &world.contents[object] {
                    next.set(*word, 0);
                }
                each(2 * object as u32 + 1, next);
            }
        }
    }

    fn written(&self, state: &mut State, object: usize) {
        if let Some(slot) = self.lazy.get(object)
            && state.get(*slot) == SETTLED
        {
            state.set(*slot, 0);
        }
    }

    fn begin(&self, _: &World, _: &mut State) {}

    fn table_changed(&self, _: &World, _: &mut State) {}

    fn root_changed(&self, _: &World, _: &mut State) {}

    fn invalidate(&self, _: &World, _: &mut State, _: usize, _: u64, _: bool) {}

    fn access(
        &self,
        world: &World,
        state: &State,
        thread: usize,
        page: usize,
        write: bool,
        each: &mut dyn FnMut(Answer),
    ) {
        let Some((_, space)) = world.translation(state, thread) else { return };
        let (right, faults) = if write { (WRITE, WRITE_FAULTS) } else { (READ, READ_FAULTS) };
        let mut fault = false;
        for generation in self.list(state, space, page) {
            fault |= generation & right == 0 || generation & faults != 0;
            if generation & right != 0
                && let Some(object) = object_of(generation)
            {
                each(Answer::Frame(object));
            }
        }
        if fault {
            each(Answer::Fault);
        }
    }

    fn fault(&self, _: &World, _: &mut State, _: usize, _: usize) {}

    fn reaches(&self, _: &World, _: &State, _: usize) -> bool {
        false
    }

    fn reaches_table(&self, _: &World, _: &State, _: usize) -> bool {
        false
    }

    fn exceeds(&self, _: &World, _: &State, _: (usize, usize), _: usize, _: bool) -> bool {
        false
    }

    fn restless(&self, _: &World, _: &State) -> bool {
        false
    }

    fn stuck(&self, _: &World, _: &State, _: usize, _: usize, _: bool) -> bool {
        false
    }

    fn resolve(&self, _: &World, state: &State, space: usize, page: usize) -> Option<usize> {
        object_of(self.newest(state, space, page))
    }

    fn contract_moment(
        &self,
        world: &World,
        state: &State,
        contract: usize,
        each: &mut dyn FnMut(u32, State),
    ) {
        let call = &world.lowered.contracts[contract];
        let slots = &world.contracts[contract];
        let pending = state.get(slots.pending);
        let tag = contract as i64 + 1;
        // A fork is one moment for all pages; the others have one for each.
        let whole = call.kind == ContractKind::Fork;
        for page in 0..world.shape().pages.len() {
            if pending >> page & 1 == 0 {
                continue;
            }
            let mut next = state.clone();
            let chosen: Vec<usize> = if whole {
                (0..world.shape().pages.len()).filter(|page| pending >> page & 1 != 0).collect()
            } else {
                vec![page]
            };
            for page in &chosen {
                self.effect(world, &mut next, contract, tag, *page);
            }
            let left = chosen.iter().fold(pending, |left, page| left & !(1 << page));
            next.set(slots.pending, left);
            each(page as u32, next);
            if whole {
                return;
            }
        }
    }

    fn contract_returns(&self, world: &World, state: &mut State, contract: usize) {
        let call = &world.lowered.contracts[contract];
        let arguments = world.contracts[contract].arguments;
        let tag = contract as i64 + 1;
        for page in 0..world.shape().pages.len() {
            self.settle(state, call.space, page, tag);
        }
        for slot in &self.lazy {
            if state.get(*slot) == SETTLED + tag {
                state.set(*slot, SETTLED);
            }
        }
        let first =
            page_of_address(state.get(arguments[0])).filter(|_| call.kind == ContractKind::Move);
        if let Some(page) = first {
            let slots = &self.names[call.space][page];
            for (index, slot) in slots.iter().enumerate() {
                state.set(
                    *slot,
                    if index == 0 { generation(tag, None, READ_FAULTS | WRITE_FAULTS) } else { 0 },
                );
            }
        }
    }
}

impl Ideal {
    /// One page of a contract takes effect.
    fn effect(&self, world: &World, state: &mut State, contract: usize, tag: i64, page: usize) {
        let call = &world.lowered.contracts[contract];
        let arguments = world.contracts[contract].arguments;
        let space = call.space;
        let newest = self.newest(state, space, page);
        match call.kind {
            ContractKind::Zap => {
                // Zeroes, if a fault maps a page again; a fault otherwise.
                let zero = call.objects.get(page).copied();
                if let Some(zero) = zero {
                    for word in &world.contents[zero] {
                        state.set(*word, 0);
                    }
                    state.set(world.frames[zero], crate::pages::LIVE);
                    state.set(world.references[zero], 1);
                }
                let flags = READ | WRITE | READ_FAULTS | WRITE_FAULTS;
                self.push(state, space, page, generation(tag, zero, flags));
            }
            ContractKind::Replace => {
                let object = frame_of_page(state.get(arguments[1]));
                let mut flags = newest & (READ | WRITE | READ_FAULTS | WRITE_FAULTS);
                if object_of(newest).is_none() {
                    // Nothing was there: what may be done there is what faults may
                    // grant, and whether one has to come first nobody can see.
                    let rights = world.shape().pages[page].rights;
                    flags |= READ_FAULTS | WRITE_FAULTS;
                    flags |= if rights & 3 != 0 { READ } else { 0 };
                    flags |= if rights & 2 != 0 { WRITE } else { 0 };
                }
                self.push(state, space, page, generation(tag, object, flags));
            }
            ContractKind::Downgrade => {
                let flags = newest & READ;
                self.push(state, space, page, generation(tag, object_of(newest), flags));
            }
            ContractKind::Revoke => {
                self.push(state, space, page, generation(tag, object_of(newest), 0));
            }
            ContractKind::Exit => {
                let flags = READ_FAULTS | WRITE_FAULTS;
                self.push(state, space, page, generation(tag, None, flags));
            }
            ContractKind::Upgrade => {
                let flags = newest & READ | READ | WRITE;
                self.push(state, space, page, generation(tag, object_of(newest), flags));
            }
            ContractKind::Move => {
                // The cell does not move, names do; the old one may fault from
                // here on.
                let to = page_of_address(state.get(arguments[1]))
                    .filter(|to| *to < world.shape().pages.len());
                let flags = newest & (READ | WRITE | READ_FAULTS | WRITE_FAULTS);
                if let Some(to) = to {
                    self.push(state, space, to, generation(tag, object_of(newest), flags));
                }
                self.push(
                    state,
                    space,
                    page,
                    generation(tag, object_of(newest), flags | READ_FAULTS | WRITE_FAULTS),
                );
            }
            ContractKind::Fork | ContractKind::ForkPerPage => {
                let Some(child) = call.child else { return };
                let copy = call.objects.get(page).copied();
                if let (Some(from), Some(to)) = (object_of(newest), copy) {
                    for (from, to) in world.contents[from].iter().zip(&world.contents[to]) {
                        state.set(*to, state.get(*from));
                    }
                    state.set(world.frames[to], crate::pages::LIVE);
                    state.set(world.references[to], 1);
                    // Parent and child share the page that may be dropped.
                    if let (Some(from), Some(to)) = (self.lazy.get(from), self.lazy.get(to)) {
                        state.set(*to, state.get(*from));
                    }
                    let flags = newest & (READ | WRITE | READ_FAULTS | WRITE_FAULTS) | WRITE_FAULTS;
                    let slots = self.names[child][page];
                    for (index, slot) in slots.iter().enumerate() {
                        state.set(
                            *slot,
                            if index == 0 { generation(0, Some(to), flags) } else { 0 },
                        );
                    }
                }
            }
            ContractKind::LazyFree => {
                if let Some(slot) = object_of(newest).and_then(|object| self.lazy.get(object)) {
                    state.set(*slot, SETTLED + tag);
                }
            }
            ContractKind::Nop | ContractKind::Pin => {}
        }
    }
}
