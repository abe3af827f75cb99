//! Words that only count.
//!
//! A word that is only ever raised by one, and only asked whether it is still
//! what somebody saved of it, need not be kept as a number: with every value of
//! it that is saved anywhere it is numbered anew, in the order of the values. So
//! a loop that raises it comes back to states that were seen.
//!
//! It is sound because nobody can tell. Let the word be the largest of its
//! values. Raising it gives a number that none of them is, whatever they are
//! called; and equality of two of them is kept by any naming. Every use is one
//! of these:
//!
//! - reading it into a register, or into another word that holds nothing else;
//! - `==` and `!=` between two such values;
//! - raising it by one: in one step, or by storing what was read plus one.
//!
//! That is checked here, on the program, for every word ([`Counters::of`]); a
//! word that is used in any other way, or that a condition or ideal memory looks
//! at, stays as it is. One thing cannot be seen in the program: whether what is
//! stored plus one was still the largest when it was stored, or two increments
//! became one. That is checked whenever such a step is taken; the first time it
//! is not so, the search begins again with the words as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use shootdown_litmus::primitives::{RmwOp, RmwResult};
use shootdown_litmus::program::BinaryOp;
use shootdown_step::value::WORD_BASE;
use shootdown_step::{Access, Expr, Node, Op, Reg, operands};

use super::values;
use crate::state::{Slot, State};
use crate::world::World;

/// The words of a program that only count.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    list: Vec<Counter>,
    /// An increment was lost: they do not only grow.
    lost: AtomicBool,
}

#[derive(Debug)]
struct Counter {
    /// Itself.
    word: Slot,
    /// Words that hold what was saved of it.
    copies: Vec<Slot>,
    /// Registers that do, by thread and number of the next step; `true` if one
    /// is added.
    registers: Vec<Vec<Vec<(Slot, bool)>>>,
    /// Steps that raise it, by thread and number; the expression if it is a
    /// store.
    raises: BTreeMap<(usize, usize), Option<Expr>>,
}

/// What a value is known to be: bits of counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sort {
    /// It may be no counter's.
    plain: bool,
    /// It may be one that a counter has, or had.
    copy: u64,
    /// It may be one more than that.
    next: u64,
}

const PLAIN: Sort = Sort { plain: true, copy: 0, next: 0 };

impl Sort {
    fn any(self) -> u64 {
        self.copy | self.next
    }

    fn join(&mut self, other: Sort) -> bool {
        let old = *self;
        self.plain |= other.plain;
        self.copy |= other.copy;
        self.next |= other.next;
        *self != old
    }

    /// The only counter whose copy this is, if it is nothing else.
    fn copy_of(self) -> Option<usize> {
        let one = !self.plain && self.next == 0 && self.copy.count_ones() == 1;
        one.then(|| self.copy.trailing_zeros() as usize)
    }

    fn next_of(self) -> Option<usize> {
        let one = !self.plain && self.copy == 0 && self.next.count_ones() == 1;
        one.then(|| self.next.trailing_zeros() as usize)
    }
}

type Registers = Vec<Sort>;

impl Counters {
    /// The counters of a program; `observed` words are looked at in the end.
    pub(super) fn of(world: &World, observed: &BTreeSet<usize>) -> Counters {
        // A register that nobody reads any more would keep an old number.
        if world.setting_keeps_dead() {
            return Counters::default();
        }
        let mut words: Vec<usize> = raised(world).into_iter().collect();
        words.retain(|word| !observed.contains(word));
        // An object that is made anew begins with zeroes, below older copies.
        let lives = &world.shape().lives;
        words.retain(|word| !lives.iter().any(|life| life.words.contains(word)));
        words.truncate(64);
        // Of what is no counter nothing is a copy: what is left is looked at anew.
        // First those go that something else is stored in, since a word that only
        // holds copies of another looks like one of them.
        loop {
            // A store through an unknown pointer spoils every word, also of none.
            if words.is_empty() {
                return Counters::default();
            }
            let mut look = Look::new(world, &words);
            look.run();
            let bad = match look.set {
                0 => look.bad | look.misused_words(observed),
                set => set,
            };
            if bad == 0 {
                return Counters { list: look.counters(), lost: AtomicBool::new(false) };
            }
            let mut at = 0;
            words.retain(|_| {
                at += 1;
                bad >> (at - 1) & 1 == 0
            });
        }
    }

    /// Whether there are any, and none has turned out to lose increments.
    pub(crate) fn active(&self) -> bool {
        !self.list.is_empty() && !self.lost()
    }

    /// Whether an increment was lost.
    pub(crate) fn lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// A thread is about to take a step: if that raises a counter, it has to be
    /// from its largest value.
    pub(crate) fn raises(
        &self,
        world: &World,
        state: &State,
        at: (usize, usize),
        value: &dyn Fn(&Expr) -> i64,
    ) {
        for counter in &self.list {
            let Some(stored) = counter.raises.get(&at) else { continue };
            let from = match stored {
                Some(stored) => value(stored) - 1,
                None => state.get(counter.word),
            };
            let mut largest = from;
            counter.each(world, state, &mut |slot, add| {
                largest = largest.max(state.get(slot) - i64::from(add));
            });
            if largest != from {
                self.lost.store(true, Ordering::Relaxed);
            }
        }
    }

    /// The representative of the states that differ only by what the values of
    /// counters are called.
    pub(super) fn renumber(&self, world: &World, mut state: State) -> State {
        for counter in &self.list {
            let mut values = BTreeSet::new();
            counter.each(world, &state, &mut |slot, add| {
                values.insert(state.get(slot) - i64::from(add));
            });
            if values.first().is_some_and(|least| *least < 0) {
                continue;
            }
            let names: BTreeMap<i64, i64> = values.into_iter().zip(0..).collect();
            let mut new = Vec::new();
            counter.each(world, &state, &mut |slot, add| {
                let add = i64::from(add);
                new.push((slot, names[&(state.get(slot) - add)] + add));
            });
            for (slot, value) in new {
                state.set(slot, value);
            }
        }
        state
    }
}

impl Counter {
    /// Every slot that holds a value of it now; `true` if one is added.
    fn each(&self, world: &World, state: &State, each: &mut dyn FnMut(Slot, bool)) {
        each(self.word, false);
        self.copies.iter().for_each(|slot| each(*slot, false));
        for (thread, slots) in world.threads.iter().enumerate() {
            let number = state.get(slots.pc) as usize;
            self.registers[thread][number].iter().for_each(|(slot, add)| each(*slot, *add));
            for (at, value) in &slots.buffer {
                let to = state.get(*at);
                let holds = |slot: &Slot| slot.index() as i64 + 1 == to;
                if holds(&self.word) || self.copies.iter().any(holds) {
                    each(*value, false);
                }
            }
        }
    }
}

/// The word that an access is about, if that is known.
fn word_of(pointer: &Expr, index: &Expr) -> Option<usize> {
    let (pointer, index) = (pointer.constant()?, index.constant()?);
    usize::try_from(pointer.checked_sub(WORD_BASE)?.checked_add(index)?).ok()
}

/// Words that something is added to, or whose new value is computed.
fn raised(world: &World) -> BTreeSet<usize> {
    let mut words = BTreeSet::new();
    for thread in 0..world.threads.len() {
        for node in &world.code(thread).nodes {
            if let Node::Step { op: Op::Access { pointer, index, access, .. }, .. } = node
                && let Some(word) = word_of(pointer, index)
                && word < world.words.len()
            {
                let raises = match access {
                    Access::Rmw(RmwOp::Add, ..) => true,
                    Access::Store(_, value) => value.constant().is_none(),
                    _ => false,
                };
                if raises {
                    words.insert(word);
                }
            }
        }
    }
    words
}

/// One look at a program, with these words as counters.
struct Look<'w> {
    world: &'w World,
    words: &'w [usize],
    /// What is stored in each word.
    stored: Vec<Sort>,
    /// By thread and step.
    found: Vec<Vec<Registers>>,
    raises: Vec<BTreeMap<(usize, usize), Option<Expr>>>,
    /// Counters that something is stored in which is not their next value.
    set: u64,
    /// Counters that are used in another way.
    bad: u64,
}

impl<'w> Look<'w> {
    fn new(world: &'w World, words: &'w [usize]) -> Self {
        Look {
            world,
            words,
            stored: vec![Sort::default(); world.words.len()],
            found: Vec::new(),
            raises: vec![BTreeMap::new(); words.len()],
            set: 0,
            bad: 0,
        }
    }

    fn counter(&self, word: usize) -> Option<usize> {
        self.words.iter().position(|counter| *counter == word)
    }

    fn run(&mut self) {
        loop {
            let before = self.stored.clone();
            // What was thought of a word before it was known what it holds.
            (self.set, self.bad) = (0, 0);
            self.raises.iter_mut().for_each(BTreeMap::clear);
            let threads = 0..self.world.threads.len();
            self.found = threads.map(|thread| self.thread(thread)).collect();
            if self.stored == before {
                return;
            }
        }
    }

    /// What a word holds.
    fn holds(&self, word: usize) -> Sort {
        match self.counter(word) {
            Some(counter) => Sort { copy: 1 << counter, ..Sort::default() },
            None if self.stored[word].any() == 0 => PLAIN,
            None => self.stored[word],
        }
    }

    /// Words that hold copies and anything else.
    fn misused_words(&self, observed: &BTreeSet<usize>) -> u64 {
        let shape = self.world.shape();
        let mut bad = 0;
        for (word, sort) in self.stored.iter().enumerate() {
            if sort.any() == 0 || self.counter(word).is_some() {
                continue;
            }
            // What it holds at the beginning counts as saved long ago.
            let first = shape.words[word].value;
            let fits = sort.copy_of().is_some_and(|counter| {
                (0..=shape.words[self.words[counter]].value).contains(&first)
            });
            if !fits || observed.contains(&word) {
                bad |= sort.any();
            }
        }
        bad
    }

    fn sort(&mut self, expr: &Expr, registers: &Registers) -> Sort {
        match expr {
            Expr::Const(_) => PLAIN,
            Expr::Reg(reg) => registers[reg.0 as usize],
            Expr::Binary(BinaryOp::Equal | BinaryOp::NotEqual, left, right) => {
                let (left, right) = (self.sort(left, registers), self.sort(right, registers));
                let same = left.copy_of().is_some() && left.copy_of() == right.copy_of();
                if !same {
                    self.bad |= left.any() | right.any();
                }
                PLAIN
            }
            Expr::Binary(BinaryOp::Add, left, right) if **right == Expr::Const(1) => {
                let left = self.sort(left, registers);
                match left.copy_of() {
                    Some(counter) => Sort { next: 1 << counter, ..Sort::default() },
                    None => self.spent(left),
                }
            }
            Expr::Unary(_, inner)
            | Expr::ChangeEntry(_, inner)
            | Expr::AskEntry(_, inner)
            | Expr::EntryPage(inner) => {
                let inner = self.sort(inner, registers);
                self.spent(inner)
            }
            Expr::Binary(_, left, right) | Expr::MakeEntry(left, right, _) => {
                let (left, right) = (self.sort(left, registers), self.sort(right, registers));
                self.bad |= left.any();
                self.spent(right)
            }
        }
    }

    /// A value is used as a number.
    fn spent(&mut self, sort: Sort) -> Sort {
        self.bad |= sort.any();
        PLAIN
    }

    fn use_of(&mut self, expr: &Expr, registers: &Registers) {
        let sort = self.sort(expr, registers);
        self.spent(sort);
    }

    fn thread(&mut self, thread: usize) -> Vec<Registers> {
        let world = self.world;
        let code = world.code(thread);
        let mut at: Vec<Option<Registers>> = vec![None; code.nodes.len()];
        at[code.start] = Some(vec![PLAIN; code.signed.len()]);
        let mut open = vec![code.start];
        while let Some(node) = open.pop() {
            let registers = at[node].clone().expect("it was reached");
            let mut flow = |to: usize, registers: &Registers| {
                let changed = match &mut at[to] {
                    Some(known) => known
                        .iter_mut()
                        .zip(registers)
                        .fold(false, |changed, (known, new)| known.join(*new) | changed),
                    unknown => {
                        *unknown = Some(registers.clone());
                        true
                    }
                };
                if changed && !open.contains(&to) {
                    open.push(to);
                }
            };
            match &code.nodes[node] {
                Node::Set { value, into, next } => {
                    let mut after = registers.clone();
                    after[into.0 as usize] = self.sort(value, &registers);
                    flow(*next, &after);
                }
                Node::Branch { condition, yes, no } => {
                    self.use_of(condition, &registers);
                    flow(*yes, &registers);
                    flow(*no, &registers);
                }
                Node::Jump(next) => flow(*next, &registers),
                Node::Step { op, next, fault, number, .. } => {
                    let mut after = registers.clone();
                    for reg in values::results(op).into_iter().flatten() {
                        after[reg.0 as usize] = PLAIN;
                    }
                    self.step((thread, *number), op, &registers, &mut after);
                    flow(*next, &after);
                    if let Some(fault) = fault {
                        for (after, before) in after.iter_mut().zip(&registers) {
                            after.join(*before);
                        }
                        flow(*fault, &after);
                    }
                }
                Node::End => {}
            }
        }
        // A variable of the test is looked at when all is over.
        let shown: Vec<Reg> = code.variables.iter().filter_map(|v| v.register).collect();
        for registers in at.iter().flatten() {
            for reg in &shown {
                self.bad |= registers[reg.0 as usize].any();
            }
        }
        let nothing = || vec![PLAIN; code.signed.len()];
        let steps = code.steps.iter().map(|node| at[*node].clone().unwrap_or_else(nothing));
        steps.collect()
    }

    fn step(&mut self, at: (usize, usize), op: &Op, registers: &Registers, after: &mut Registers) {
        // A queue writes it later, and what it writes is in no register.
        if let Op::PostWrite { word, .. } = op {
            match self.counter(*word) {
                Some(counter) => self.set |= 1 << counter,
                None => {
                    self.stored[*word].join(PLAIN);
                }
            }
        }
        let Op::Access { into, pointer, index, access } = op else {
            return operands(op, &mut |expr| self.use_of(expr, registers));
        };
        self.use_of(pointer, registers);
        self.use_of(index, registers);
        let Some(word) = word_of(pointer, index).filter(|word| *word < self.world.words.len())
        else {
            // Through a translation; or it may be any word.
            if pointer.constant().is_none_or(|pointer| pointer >= WORD_BASE) {
                self.bad = u64::MAX;
            }
            return operands(op, &mut |expr| self.use_of(expr, registers));
        };
        let holds = self.holds(word);
        let counter = self.counter(word);
        let keep = |after: &mut Registers, sort: Sort| {
            if let Some(reg) = into {
                after[reg.0 as usize] = sort;
            }
        };
        match access {
            Access::Load(_) => keep(after, holds),
            Access::Store(_, value) => {
                let sort = self.sort(value, registers);
                match counter {
                    Some(counter) if sort.next_of() == Some(counter) => {
                        self.raises[counter].insert(at, Some(value.clone()));
                    }
                    Some(counter) => self.set |= 1 << counter,
                    None => {
                        self.stored[word].join(sort);
                    }
                }
            }
            Access::Rmw(RmwOp::Add, value, result, _)
                if counter.is_some()
                    && *value == Expr::Const(1)
                    && !matches!(result, RmwResult::IsZero | RmwResult::IsNegative) =>
            {
                let counter = counter.unwrap_or_default();
                self.raises[counter].insert(at, None);
                keep(after, holds);
            }
            _ => {
                self.bad |= holds.any();
                operands(op, &mut |expr| self.use_of(expr, registers));
            }
        }
    }

    fn counters(&mut self) -> Vec<Counter> {
        let world = self.world;
        let raises = std::mem::take(&mut self.raises);
        let counter = |(at, raises): (usize, BTreeMap<_, _>)| {
            let copies = self.stored.iter().enumerate();
            let copies = copies.filter(|(_, sort)| sort.copy_of() == Some(at));
            let registers = self.found.iter().enumerate().map(|(thread, steps)| {
                let slots = &world.threads[thread].registers;
                let dead = &world.code(thread).dead;
                let of_step = |(number, registers): (usize, &Registers)| {
                    let sorts = registers.iter().zip(slots).enumerate();
                    let own = sorts.filter_map(|(reg, (sort, slot))| {
                        let copy = sort.copy_of() == Some(at);
                        let next = sort.next_of() == Some(at);
                        let read = !dead[number].contains(&Reg(reg as u16));
                        ((copy || next) && read).then_some((*slot, next))
                    });
                    own.collect()
                };
                steps.iter().enumerate().map(of_step).collect()
            });
            Counter {
                word: world.words[self.words[at]],
                copies: copies.map(|(word, _)| world.words[word]).collect(),
                registers: registers.collect(),
                raises,
            }
        };
        raises.into_iter().enumerate().map(counter).collect()
    }
}
