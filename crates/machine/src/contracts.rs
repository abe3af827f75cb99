//! Functions with a contract: what they found when they were called, and what
//! must be gone when they return.

use shootdown_litmus::program::ContractKind;
use shootdown_step::value::entry;
use shootdown_step::{Expr, Target};

use crate::machine::Machine;
use crate::mmu::Mmu;
use crate::run::Each;
use crate::state::State;
use crate::world::{MARK_RETURN, Seen};

impl<M: Mmu> Machine<M> {
    pub(crate) fn contract_begins(
        &self,
        state: &mut State,
        thread: usize,
        contract: usize,
        arguments: &[Expr],
    ) {
        let world = &self.world;
        let slots = &world.contracts[contract];
        for (slot, argument) in slots.arguments.iter().zip(arguments) {
            let value = self.value(state, thread, argument);
            state.set(*slot, value);
        }
        let pages = self.contract_pages(state, contract);
        match world.target {
            Target::Ideal => {
                state.set(slots.pending, pages as i64);
                self.mmu.contract_begins(world, state, contract);
            }
            Target::Machine | Target::Order => {
                let space = world.lowered.contracts[contract].space;
                for (page, slot) in slots.before.iter().enumerate() {
                    if pages >> page & 1 != 0 {
                        let value = world.walk(state, space, page);
                        state.set(*slot, value);
                    }
                }
            }
        }
    }

    /// The pages that a contract is about.
    pub fn contract_pages(&self, state: &State, contract: usize) -> u64 {
        let world = &self.world;
        match world.lowered.contracts[contract].kind {
            ContractKind::Fork | ContractKind::ForkPerPage | ContractKind::Exit => {
                world.shape().all_pages()
            }
            _ => {
                let address = state.get(world.contracts[contract].arguments[0]);
                self.page_at(address).map_or(0, |page| 1 << page)
            }
        }
    }

    pub(crate) fn contract_returns(&self, state: &mut State, contract: usize) {
        let world = &self.world;
        let slots = &world.contracts[contract];
        if world.target == Target::Ideal {
            self.mmu.contract_returns(world, state, contract);
        } else {
            let call = &world.lowered.contracts[contract];
            let revokes = call.kind != ContractKind::Upgrade && call.kind != ContractKind::LazyFree;
            for (page, slot) in slots.before.iter().enumerate() {
                let before = state.get(*slot);
                state.set(*slot, 0);
                let Some(frame) = entry::frame(before).filter(|_| before != 0 && revokes) else {
                    continue;
                };
                Seen::note(&world.seen.events, 1);
                // What came to be mapped after the call was begun is another
                // operation's business.
                let writes = matches!(
                    call.kind,
                    ContractKind::Downgrade | ContractKind::Fork | ContractKind::ForkPerPage
                );
                if self.mmu.exceeds(world, state, (call.space, page), frame, writes) {
                    state.set(world.marks, state.get(world.marks) | MARK_RETURN);
                }
            }
        }
        state.set(slots.pending, 0);
        for slot in slots.arguments {
            state.set(slot, 0);
        }
    }

    /// Ideal memory: pages take effect, in any order, until none is left.
    pub(crate) fn moment(&self, state: &State, thread: usize, contract: usize, each: Each<'_>) {
        let pending = state.get(self.world.contracts[contract].pending);
        if pending == 0 {
            let mut next = state.clone();
            self.advance(&mut next, thread);
            return each(0, next);
        }
        self.mmu.contract_moment(&self.world, state, contract, each);
    }
}
