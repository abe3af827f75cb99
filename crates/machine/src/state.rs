//! States: a list of numbers while they are looked at, bits while they are
//! kept.
//!
//! How many bits a number takes is not known before the search. It begins with
//! what a few random runs need; a number that does not fit stops the search,
//! which then begins again with more room. So the layout that is used in the
//! end is as narrow as the reachable states allow, whatever the file.

use std::cell::RefCell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use shootdown_explore::{Field, Layout, Packed};
use shootdown_step::value::UNDEFINED;

/// A number of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(u16);

impl Slot {
    /// As an index.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }

    /// The slot of an index.
    pub fn at(index: usize) -> Slot {
        Slot(u16::try_from(index).expect("fewer than 65,536 slots"))
    }
}

/// A state that is looked at.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct State(Vec<i64>);

/// Room that a thread keeps for states to come, at most.
const SPARE: usize = 64;

thread_local! {
    /// Every step is a copy that is soon thrown away, of one or two kilobytes:
    /// more than an allocator has at hand. All of a search have the same size.
    static ROOM: RefCell<Vec<Vec<i64>>> = const { RefCell::new(Vec::new()) };
}

/// An empty list, mostly with room.
#[inline]
fn room() -> Vec<i64> {
    ROOM.try_with(|room| room.borrow_mut().pop()).ok().flatten().unwrap_or_default()
}

impl Clone for State {
    #[inline]
    fn clone(&self) -> State {
        let mut values = room();
        values.extend_from_slice(&self.0);
        State(values)
    }
}

impl Drop for State {
    #[inline]
    fn drop(&mut self) {
        let mut values = std::mem::take(&mut self.0);
        values.clear();
        // At the end of a thread there is nobody to keep it for.
        let _ = ROOM.try_with(|room| {
            let mut room = room.borrow_mut();
            if room.len() < SPARE {
                room.push(values);
            }
        });
    }
}

impl State {
    /// The number in a slot.
    #[inline]
    pub fn get(&self, slot: Slot) -> i64 {
        self.0[slot.index()]
    }

    /// Changes it.
    #[inline]
    pub fn set(&mut self, slot: Slot, value: i64) {
        self.0[slot.index()] = value;
    }

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The slots of a machine, as they are declared.
#[derive(Clone, Debug, Default)]
pub struct Slots {
    initial: Vec<i64>,
    signed: Vec<bool>,
    /// Slots of one family hold the same sort of numbers.
    families: Vec<u16>,
    family: u16,
}

impl Slots {
    /// A number that is never negative.
    pub fn natural(&mut self, initial: i64) -> Slot {
        self.add(initial, false)
    }

    /// A number that may be negative or undefined.
    pub fn integer(&mut self, initial: i64) -> Slot {
        self.add(initial, true)
    }

    /// What is declared from here on holds another sort of numbers.
    pub fn next_family(&mut self) {
        self.family += 1;
    }

    fn add(&mut self, initial: i64, signed: bool) -> Slot {
        self.families.push(self.family);
        self.initial.push(initial);
        self.signed.push(signed);
        Slot::at(self.initial.len() - 1)
    }

    /// The state at the beginning.
    pub fn initial(&self) -> State {
        State(self.initial.clone())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.initial.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.initial.is_empty()
    }
}

/// Bits for each slot.
#[derive(Debug)]
pub struct Packing {
    /// Slots that take bits, in the order of the words that they are in.
    used: Vec<Used>,
    /// How many of these there are up to the end of each word.
    ends: Vec<usize>,
    /// Bits that a slot has no room for; of signed ones nothing is said here.
    beyond: Vec<u64>,
    widths: Vec<u8>,
    signed: Vec<bool>,
    words: usize,
    /// Widths that a value asked for.
    wanted: Vec<AtomicU8>,
    overflow: AtomicBool,
    /// The least of the states with such values, whoever met it.
    too_wide: Mutex<Option<State>>,
}

impl Packing {
    /// A layout with these widths.
    pub fn new(slots: &Slots, widths: &[u8]) -> Packing {
        let mut layout = Layout::new();
        let mut used = Vec::new();
        let mut beyond = Vec::new();
        for (index, width) in widths.iter().enumerate() {
            let (width, signed) = ((*width).min(63), slots.signed[index]);
            if width != 0 {
                used.push(Used {
                    index: index as u16,
                    width,
                    signed,
                    field: layout.field(1 << width),
                });
            }
            beyond.push(if signed && width != 0 { 0 } else { u64::MAX << width });
        }
        used.sort_by_key(|used| used.field.word());
        let ends = (0..layout.words())
            .map(|word| used.partition_point(|used| used.field.word() <= word))
            .collect();
        Packing {
            used,
            ends,
            beyond,
            widths: widths.to_vec(),
            signed: slots.signed.clone(),
            words: layout.words(),
            wanted: widths.iter().map(|width| AtomicU8::new(*width)).collect(),
            overflow: AtomicBool::new(false),
            too_wide: Mutex::new(None),
        }
    }

    /// Words of 64 bits.
    pub fn words(&self) -> usize {
        self.words
    }

    /// Whether a value did not fit.
    pub fn overflowed(&self) -> bool {
        self.overflow.load(Ordering::Relaxed)
    }

    /// A state that there was no room for.
    pub fn too_wide(&self) -> Option<State> {
        self.too_wide.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// The widths that the values so far need.
    pub fn wanted(&self) -> Vec<u8> {
        self.wanted.iter().map(|width| width.load(Ordering::Relaxed)).collect()
    }

    /// A state as bits.
    #[inline]
    pub fn pack<P: Packed>(&self, state: &State) -> P {
        let mut packed = P::ZERO;
        let pairs = state.0.iter().zip(&self.beyond);
        let mut too_wide = pairs.fold(0, |bits, (value, beyond)| bits | *value as u64 & beyond);
        let mut begin = 0;
        for (word, end) in self.ends.iter().enumerate() {
            let mut all = 0;
            for used in &self.used[begin..*end] {
                let bits = encode(state.0[usize::from(used.index)], used.signed);
                too_wide |= bits >> used.width;
                all |= (bits & ((1 << used.width) - 1)) << used.field.shift();
            }
            *packed.word_mut(word) = all;
            begin = *end;
        }
        if too_wide != 0 {
            self.make_room(state);
        }
        packed
    }

    #[cold]
    fn make_room(&self, state: &State) {
        for (index, value) in state.0.iter().enumerate() {
            let bits = bits_of(encode(*value, self.signed[index]));
            if bits > self.widths[index] {
                self.wanted[index].fetch_max(bits, Ordering::Relaxed);
            }
        }
        let mut least = self.too_wide.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if least.as_ref().is_none_or(|least| state.0 < least.0) {
            *least = Some(state.clone());
        }
        self.overflow.store(true, Ordering::Relaxed);
    }

    /// Bits as a state.
    #[inline]
    pub fn unpack<P: Packed>(&self, packed: &P) -> State {
        let mut values = room();
        values.resize(self.beyond.len(), 0);
        for used in &self.used {
            values[usize::from(used.index)] = decode(packed.get(used.field), used.signed);
        }
        State(values)
    }
}

/// A slot that takes bits.
#[derive(Clone, Copy, Debug)]
struct Used {
    index: u16,
    width: u8,
    signed: bool,
    field: Field,
}

/// Widths for everything in these states.
pub fn widths(slots: &Slots, states: &[State]) -> Vec<u8> {
    // Ones wherever some value has one: as wide as the widest of them.
    let mut ones = vec![0; slots.len()];
    for state in states {
        let pairs = state.0.iter().zip(&slots.signed);
        for (ones, (value, signed)) in ones.iter_mut().zip(pairs) {
            *ones |= encode(*value, *signed);
        }
    }
    alike(slots, ones.into_iter().map(bits_of).collect())
}

/// A slot that is used at all is as wide as the widest of its family: what one
/// thread or one TLB holds the others will soon hold too.
pub fn alike(slots: &Slots, mut widths: Vec<u8>) -> Vec<u8> {
    let mut widest = vec![0; usize::from(slots.family) + 1];
    for (width, family) in widths.iter().zip(&slots.families) {
        let widest = &mut widest[usize::from(*family)];
        *widest = (*widest).max(*width);
    }
    for (width, family) in widths.iter_mut().zip(&slots.families) {
        if *width != 0 {
            *width = widest[usize::from(*family)];
        }
    }
    widths
}

fn bits_of(value: u64) -> u8 {
    (64 - value.leading_zeros()) as u8
}

/// Natural numbers as they are. Of the others the even codes are 0, 1, 2, ...,
/// 1 is undefined, and the rest of the odd ones are -1, -2, ...
#[inline]
fn encode(value: i64, signed: bool) -> u64 {
    match (signed, value) {
        (_, UNDEFINED) => 1,
        (false, value) => value as u64,
        (true, value) if value >= 0 => (value as u64) << 1,
        (true, value) => (value.unsigned_abs() << 1) | 1,
    }
}

#[inline]
fn decode(bits: u64, signed: bool) -> i64 {
    match (signed, bits) {
        (false, bits) => bits as i64,
        (true, 1) => UNDEFINED,
        (true, bits) if bits & 1 == 0 => (bits >> 1) as i64,
        (true, bits) => -((bits >> 1) as i64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_back() {
        for value in [0, 1, 2, 77, -1, -2, -77, UNDEFINED, i64::MAX >> 2] {
            assert_eq!(decode(encode(value, true), true), value);
        }
        for value in [0, 1, 77, i64::MAX] {
            assert_eq!(decode(encode(value, false), false), value);
        }
    }

    #[test]
    fn a_value_that_does_not_fit_asks_for_room() {
        let mut slots = Slots::default();
        let (a, b) = (slots.natural(0), slots.integer(0));
        let packing = Packing::new(&slots, &[2, 3]);
        let mut state = slots.initial();
        state.set(a, 3);
        state.set(b, -2);
        let packed: u64 = packing.pack(&state);
        assert_eq!(packing.unpack(&packed), state);
        assert!(!packing.overflowed());
        state.set(b, -9);
        let _: u64 = packing.pack(&state);
        assert!(packing.overflowed());
        assert_eq!(packing.wanted(), [2, 5]);
    }
}
