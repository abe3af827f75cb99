//! Every state that a machine can reach, breadth first, with nothing left out.
//!
//! This is not the engine of the checker, and that is the point: it has no
//! reductions, no threads and no layout of bits. A state is kept as the list of
//! its slots that are not zero, a few bytes each, in one long vector.

use std::collections::BTreeSet;

use shootdown_machine::machine::Machine;
use shootdown_machine::mmu::Mmu;
use shootdown_machine::model::Process;
use shootdown_machine::state::{Slot, State};
use shootdown_step::value::UNDEFINED;

/// The bit of a state in which nobody can go on and somebody wants to.
/// Hardware that only fills and forgets does not count as going on.
pub const DEADLOCK: u32 = 63;

/// What can be reached.
#[derive(Clone, Debug, Default)]
pub struct Reached {
    /// States.
    pub states: u64,
    /// What was made of each state at rest, each once.
    pub ends: BTreeSet<Vec<i64>>,
    /// Properties that some state breaks, as bits of
    /// [`model`](shootdown_machine::model) and [`DEADLOCK`].
    pub broken: u64,
}

/// Visits all states; nothing if there are more than `cap`.
pub fn reach<M: Mmu>(
    machine: &Machine<M>,
    cap: u64,
    end: &dyn Fn(&State) -> Vec<i64>,
) -> Option<Reached> {
    let mut seen = Seen::new(machine.slots.len());
    let mut reached = Reached::default();
    let begin = machine.begin();
    let mut open = begin.clone();
    seen.add(&begin);
    let processes = machine.processes();
    let mut at = 0;
    while at < seen.starts.len() {
        if at as u64 >= cap || seen.starts.len() as u64 > cap {
            return None;
        }
        seen.decode(at, &mut open);
        at += 1;
        reached.broken |= machine.broken(&open);
        let error = open.get(machine.world.error) != 0;
        let rest = !error && machine.at_rest(&open);
        if rest {
            reached.broken |= machine.broken_at_rest(&open);
            reached.ends.insert(end(&open));
        }
        let mut moved = false;
        for process in &processes {
            // Whoever only fills, forgets or writes back.
            let hardware = matches!(process, Process::Hardware(_));
            machine.steps(&open, *process, &mut |_, next| {
                moved |= !hardware;
                seen.add(&next);
            });
        }
        // Hardware that still has to write a dirty bit will.
        let paid = machine.mmu.paid(&machine.world, &open);
        reached.broken |= u64::from(!moved && !rest && !error && paid) << DEADLOCK;
    }
    reached.states = seen.starts.len() as u64;
    Some(reached)
}

/// The states that were met, in that order.
struct Seen {
    slots: Vec<Slot>,
    bytes: Vec<u8>,
    starts: Vec<usize>,
    /// The number of a state plus one, below the upper bits of its hash; the
    /// length is a power of two.
    table: Vec<u64>,
    scratch: Vec<u8>,
}

/// Bits of a table word that hold the number.
const NUMBER: u32 = 40;

impl Seen {
    fn new(slots: usize) -> Seen {
        let slots = (0..slots).map(Slot::at).collect();
        Seen {
            slots,
            bytes: Vec::new(),
            starts: Vec::new(),
            table: vec![0; 1 << 10],
            scratch: Vec::new(),
        }
    }

    fn get(&self, at: usize) -> &[u8] {
        let end = self.starts.get(at + 1).copied().unwrap_or(self.bytes.len());
        &self.bytes[self.starts[at]..end]
    }

    fn add(&mut self, state: &State) {
        let mut scratch = std::mem::take(&mut self.scratch);
        encode(state, &self.slots, &mut scratch);
        let hash = hash(&scratch);
        if let Some(place) = self.vacancy(&scratch, hash) {
            self.starts.push(self.bytes.len());
            self.bytes.extend_from_slice(&scratch);
            self.table[place] = hash >> NUMBER << NUMBER | self.starts.len() as u64;
            if self.starts.len() * 2 > self.table.len() {
                self.grow();
            }
        }
        self.scratch = scratch;
    }

    /// Where a state belongs, if it is not there.
    fn vacancy(&self, state: &[u8], hash: u64) -> Option<usize> {
        let mask = self.table.len() - 1;
        let mut place = hash as usize & mask;
        loop {
            let word = self.table[place];
            if word == 0 {
                return Some(place);
            }
            let number = (word & ((1 << NUMBER) - 1)) as usize - 1;
            if word >> NUMBER == hash >> NUMBER && self.get(number) == state {
                return None;
            }
            place = (place + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let mask = self.table.len() * 2 - 1;
        let mut table = vec![0; mask + 1];
        for number in 0..self.starts.len() {
            let hash = hash(self.get(number));
            let mut place = hash as usize & mask;
            while table[place] != 0 {
                place = (place + 1) & mask;
            }
            table[place] = hash >> NUMBER << NUMBER | (number as u64 + 1);
        }
        self.table = table;
    }

    fn decode(&self, at: usize, into: &mut State) {
        let mut rest = self.get(at);
        let mut slot = 0;
        let clear = |from: usize, to: usize, into: &mut State| {
            self.slots[from..to].iter().for_each(|slot| into.set(*slot, 0));
        };
        while !rest.is_empty() {
            let next = slot + number(&mut rest) as usize;
            clear(slot, next, into);
            let coded = number(&mut rest);
            let value = match coded {
                1 => UNDEFINED,
                even if even & 1 == 0 => (even >> 1) as i64,
                odd => -((odd >> 1) as i64),
            };
            into.set(self.slots[next], value);
            slot = next + 1;
        }
        clear(slot, self.slots.len(), into);
    }
}

/// For each slot that is not zero: how many zeroes come before it, then its
/// value. Numbers from 0 on are even, 1 is undefined, the other odd ones are
/// negative.
fn encode(state: &State, slots: &[Slot], into: &mut Vec<u8>) {
    into.clear();
    let mut zeroes = 0;
    for slot in slots {
        let coded = match state.get(*slot) {
            0 => {
                zeroes += 1;
                continue;
            }
            UNDEFINED => 1,
            value if value > 0 => (value as u64) << 1,
            value => value.unsigned_abs() << 1 | 1,
        };
        push(into, zeroes);
        push(into, coded);
        zeroes = 0;
    }
}

fn push(into: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        into.push(value as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

fn number(from: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    while let Some((byte, rest)) = from.split_first() {
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hash = bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= hash >> 29;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use shootdown_machine::state::Slots;

    #[test]
    fn states_are_kept_exactly_and_once() {
        let mut slots = Slots::default();
        let (a, b, c) = (slots.natural(0), slots.integer(0), slots.natural(0));
        let base = slots.initial();
        let mut seen = Seen::new(slots.len());
        let values = [0, 1, 63, 64, 5000, i64::MAX >> 1];
        let signed = [0, 7, -1, -77, UNDEFINED, UNDEFINED + 1];
        let mut states = Vec::new();
        for (first, second) in values.iter().flat_map(|first| signed.map(|second| (*first, second)))
        {
            let mut state = base.clone();
            state.set(a, first);
            state.set(b, second);
            state.set(c, first / 2);
            states.push(state);
        }
        for state in states.iter().chain(&states) {
            seen.add(state);
        }
        assert_eq!(seen.starts.len(), states.len());
        let mut open = states[3].clone();
        for (at, state) in states.iter().enumerate() {
            seen.decode(at, &mut open);
            assert_eq!(open, *state);
        }
    }
}
