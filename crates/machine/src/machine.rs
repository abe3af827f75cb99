//! A machine: the world and its hardware, and how threads go from one step to
//! the next.

use shootdown_step::value::UNDEFINED;
use shootdown_step::{Expr, Node, NodeId, Reg};

use crate::mmu::Mmu;
use crate::state::{Slot, Slots, State};
use crate::world::{Failed, World};

/// The world and its hardware.
#[derive(Debug)]
pub struct Machine<M> {
    /// Everything but the hardware.
    pub world: World,
    /// The hardware.
    pub mmu: M,
    /// The slots of both.
    pub slots: Slots,
    /// What reductions know of the program.
    pub(crate) reducer: std::sync::OnceLock<crate::reduce::Reducer>,
    /// Words that only count, if they are numbered anew.
    pub(crate) counters: crate::reduce::Counters,
}

/// Nodes between two steps of a thread, at most.
const LONGEST: usize = 2000;

impl<M: Mmu> Machine<M> {
    /// A machine with this hardware.
    pub fn new(world: World, slots: Slots, mut mmu: M) -> Machine<M> {
        let mut slots = slots;
        mmu.declare(&world, &mut slots);
        let counters = crate::reduce::Counters::default();
        Machine { world, mmu, slots, reducer: std::sync::OnceLock::new(), counters }
    }

    /// The state at the beginning: every thread stands before its first step.
    pub fn begin(&self) -> State {
        let mut state = self.slots.initial();
        self.mmu.begin(&self.world, &mut state);
        for thread in 0..self.world.threads.len() {
            let code = self.world.code(thread);
            for (reg, value) in &code.initial {
                state.set(self.world.threads[thread].registers[reg.0 as usize], *value);
            }
            self.go(&mut state, thread, code.start);
        }
        if self.world.weak.is_some() {
            self.weak_begin(&mut state);
        }
        state
    }

    /// The value of an expression for a thread.
    #[inline]
    pub(crate) fn value(&self, state: &State, thread: usize, expr: &Expr) -> i64 {
        let registers = &self.world.threads[thread].registers;
        let register = |reg: Reg| state.get(registers[reg.0 as usize]);
        match expr {
            Expr::Const(value) => *value,
            Expr::Reg(reg) => register(*reg),
            _ => expr.value(&register),
        }
    }

    pub(crate) fn keep(&self, state: &mut State, thread: usize, into: Option<Reg>, value: i64) {
        if let Some(reg) = into {
            state.set(self.world.threads[thread].registers[reg.0 as usize], value);
        }
    }

    pub(crate) fn fail(&self, state: &mut State, why: Failed) {
        state.set(self.world.error, why as i64 + 1);
    }

    /// Goes on behind a step.
    pub(crate) fn advance(&self, state: &mut State, thread: usize) {
        let number = state.get(self.world.threads[thread].pc) as usize;
        let (next, _) = self.world.code(thread).after(number);
        self.go(state, thread, next);
    }

    /// Goes on after a fault, or ends the thread.
    pub(crate) fn faulted(&self, state: &mut State, thread: usize) {
        let number = state.get(self.world.threads[thread].pc) as usize;
        match self.world.code(thread).after(number).1 {
            Some(handler) => self.go(state, thread, handler),
            None => self.end_by_fault(state, thread),
        }
    }

    pub(crate) fn end_by_fault(&self, state: &mut State, thread: usize) {
        let slots = &self.world.threads[thread];
        state.set(slots.fault, 1);
        state.set(slots.pc, 0);
        self.clean(state, thread, 0);
        self.end(state, thread);
    }

    /// Computes up to the next step.
    fn go(&self, state: &mut State, thread: usize, from: NodeId) {
        let code = self.world.code(thread);
        let slots = &self.world.threads[thread];
        let mut at = from;
        for _ in 0..LONGEST {
            match &code.nodes[at] {
                Node::Set { value, into, next } => {
                    let value = self.value(state, thread, value);
                    state.set(slots.registers[into.0 as usize], value);
                    at = *next;
                }
                Node::Branch { condition, yes, no } => {
                    let value = self.value(state, thread, condition);
                    if value == UNDEFINED {
                        return self.fail(state, Failed::Undefined);
                    }
                    at = if value != 0 { *yes } else { *no };
                }
                Node::Jump(next) => at = *next,
                Node::Step { number, .. } => {
                    state.set(slots.pc, *number as i64);
                    return self.clean(state, thread, *number);
                }
                Node::End => {
                    state.set(slots.pc, 0);
                    self.clean(state, thread, 0);
                    return self.end(state, thread);
                }
            }
        }
        self.fail(state, Failed::Endless);
    }

    /// Forgets registers that nobody reads any more.
    fn clean(&self, state: &mut State, thread: usize, number: usize) {
        if !self.world.setting_keeps_dead() {
            for reg in &self.world.code(thread).dead[number] {
                state.set(self.world.threads[thread].registers[reg.0 as usize], 0);
            }
        }
    }

    /// What a thread must not leave behind.
    fn end(&self, state: &mut State, thread: usize) {
        let mine = thread as i64 + 1;
        let held = |lock: &crate::world::LockSlots| {
            self.load(state, thread, lock.writer) == mine
                || state.get(lock.readers) >> thread & 1 != 0
        };
        if self.world.locks.iter().any(held) || self.world.in_any_section(state, thread) {
            self.fail(state, Failed::Unlock);
        } else if state.get(self.world.threads[thread].ranges) != 0 {
            self.fail(state, Failed::Range);
        }
    }

    /// A word as the thread sees it: its own stores first.
    #[inline]
    pub(crate) fn load(&self, state: &State, thread: usize, slot: Slot) -> i64 {
        let buffer = &self.world.threads[thread].buffer;
        if buffer.is_empty() {
            return state.get(slot);
        }
        let wanted = slot.index() as i64 + 1;
        let newest = buffer.iter().rev().find(|(at, _)| state.get(*at) == wanted);
        newest.map_or_else(|| state.get(slot), |(_, value)| state.get(*value))
    }

    /// Whether a thread's stores have all reached memory.
    #[inline]
    pub(crate) fn drained(&self, state: &State, thread: usize) -> bool {
        self.world.threads[thread].buffer.first().is_none_or(|(at, _)| state.get(*at) == 0)
    }

    /// Whether there is room for one store more.
    #[inline]
    pub(crate) fn has_room(&self, state: &State, thread: usize) -> bool {
        self.world.threads[thread].buffer.last().is_none_or(|(at, _)| state.get(*at) == 0)
    }

    /// A plain store: into the buffer, if the thread has one.
    pub(crate) fn store(&self, state: &mut State, thread: usize, slot: Slot, value: i64) {
        let buffer = &self.world.threads[thread].buffer;
        match buffer.iter().find(|(at, _)| state.get(*at) == 0) {
            Some((at, kept)) => {
                state.set(*at, slot.index() as i64 + 1);
                state.set(*kept, value);
            }
            None => self.commit(state, slot, value),
        }
    }

    /// A store that memory has.
    pub(crate) fn commit(&self, state: &mut State, slot: Slot, value: i64) {
        if state.get(slot) == value {
            return;
        }
        state.set(slot, value);
        if self.world.is_table(slot) {
            self.mmu.table_changed(&self.world, state);
        } else {
            self.world.written(state, slot);
        }
    }

    /// The oldest store of a buffer reaches memory.
    pub(crate) fn drain(&self, state: &State, thread: usize, each: &mut dyn FnMut(u32, State)) {
        if self.drained(state, thread) {
            return;
        }
        let mut next = state.clone();
        let buffer = &self.world.threads[thread].buffer;
        let slot = Slot::at(state.get(buffer[0].0) as usize - 1);
        let value = state.get(buffer[0].1);
        for (index, (at, kept)) in buffer.iter().enumerate() {
            let (newer, its) = match buffer.get(index + 1) {
                Some((at, kept)) => (state.get(*at), state.get(*kept)),
                None => (0, 0),
            };
            next.set(*at, newer);
            next.set(*kept, its);
        }
        self.reached_memory(&mut next, slot, value);
        each(0, next);
    }
}
