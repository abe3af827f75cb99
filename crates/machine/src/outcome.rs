//! Ends as lists of numbers: what a condition looks at, and what is compared
//! with ideal memory.

use std::collections::BTreeSet;

use shootdown_litmus::Program;
use shootdown_litmus::program::{Observed, Prop, ThreadId, Wanted};
use shootdown_step::value::{UNDEFINED, WORD_BASE};
use shootdown_step::{Access, Lowered, Node, Op};

use crate::machine::Machine;
use crate::mmu::Mmu;
use crate::state::State;

/// An address that leads nowhere.
pub const UNMAPPED: i64 = i64::MIN + 1;

/// Something that is looked at when all is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Observable {
    /// A variable of a thread: its place among the thread's variables.
    Variable(usize, usize),
    /// Whether a thread ended with a fault.
    Fault(usize),
    /// A word that nobody remaps.
    Word(usize),
    /// A word of what an address leads to: address space, page, word.
    Memory(usize, usize, usize),
    /// A word of a frame.
    Frame(usize, usize),
}

/// The value of an observable.
pub fn observe<M: Mmu>(machine: &Machine<M>, state: &State, what: Observable) -> i64 {
    let world = &machine.world;
    match what {
        Observable::Variable(thread, at) => {
            let register = world.code(thread).variables[at].register;
            register.map_or(0, |reg| state.get(world.threads[thread].registers[reg.0 as usize]))
        }
        Observable::Fault(thread) => state.get(world.threads[thread].fault),
        Observable::Word(word) => state.get(world.words[word]),
        Observable::Memory(space, page, word) => {
            match machine.mmu.resolve(world, state, space, page) {
                Some(frame) => state.get(world.contents[frame][word]),
                None => UNMAPPED,
            }
        }
        Observable::Frame(frame, word) => state.get(world.contents[frame][word]),
    }
}

/// What is compared with ideal memory: numbers of threads, whether they ended
/// with a fault, words that the threads themselves use, and what addresses lead
/// to in address spaces that have threads, or that some context comes to.
pub fn compared(lowered: &Lowered, ideal: &Lowered) -> Vec<Observable> {
    let shape = &lowered.shape;
    let mut list = Vec::new();
    for (thread, code) in lowered.threads.iter().enumerate() {
        list.push(Observable::Fault(thread));
        let numbers = code.variables.iter().enumerate().filter(|(_, variable)| variable.number);
        list.extend(numbers.map(|(at, _)| Observable::Variable(thread, at)));
    }
    list.extend(used_words(ideal).into_iter().map(Observable::Word));
    for space in 0..shape.spaces.len() {
        let loaded = lowered.threads.iter().flat_map(|code| &code.nodes).any(|node| {
            matches!(node, Node::Step { op: Op::LoadRoot { space: Some(of), .. }, .. } if *of == space)
        });
        if loaded || shape.agents.iter().any(|agent| agent.space == space) {
            for page in 0..shape.pages.len() {
                list.extend(
                    (0..shape.words_per_frame).map(|word| Observable::Memory(space, page, word)),
                );
            }
        }
    }
    list
}

/// Ends as they are compared: an address that leads nowhere is like one that
/// leads to zeroes, because whether a fault has mapped a page there yet is not
/// something that anybody can see.
pub fn comparable<M: Mmu>(machine: &Machine<M>, state: &State, list: &[Observable]) -> Vec<i64> {
    let value = |what: &Observable| match observe(machine, state, *what) {
        UNMAPPED => 0,
        value => value,
    };
    list.iter().map(value).collect()
}

/// Words that the threads of ideal memory use.
pub fn used_words(ideal: &Lowered) -> BTreeSet<usize> {
    let mut words = BTreeSet::new();
    for (pointer, index, _, _) in accesses(ideal) {
        match (pointer.constant(), index.constant()) {
            (Some(pointer), Some(index)) if pointer >= WORD_BASE => {
                words.insert((pointer - WORD_BASE + index) as usize);
            }
            // It may be any.
            (Some(pointer), None) if pointer >= WORD_BASE => {
                words.extend(0..ideal.shape.words.len())
            }
            (None, _) => words.extend(0..ideal.shape.words.len()),
            _ => {}
        }
    }
    words
}

type AccessOf<'l> =
    (&'l shootdown_step::Expr, &'l shootdown_step::Expr, &'l Access, &'l shootdown_step::Site);

fn accesses(lowered: &Lowered) -> impl Iterator<Item = AccessOf<'_>> {
    lowered.threads.iter().flat_map(|code| &code.nodes).filter_map(|node| match node {
        Node::Step { op: Op::Access { pointer, index, access, .. }, site, .. } => {
            Some((pointer, index, access, site))
        }
        _ => None,
    })
}

/// A step of the machine that writes a word which ideal memory's threads use,
/// and that ideal memory does not have: the contract does not tell of it.
pub fn hidden_write<'l>(lowered: &'l Lowered, ideal: &Lowered) -> Option<&'l shootdown_step::Site> {
    let used = used_words(ideal);
    accesses(lowered).find_map(|(pointer, index, access, site)| {
        let writes = access.writes() && !site.functions.is_empty();
        let word = match (pointer.constant(), index.constant()) {
            (Some(pointer), Some(index)) if pointer >= WORD_BASE => {
                (pointer - WORD_BASE + index) as usize
            }
            _ => return None,
        };
        let there = accesses(ideal).any(|(.., other)| other.span == site.span);
        (writes && used.contains(&word) && !there).then_some(site)
    })
}

/// The observable of a place in a condition.
pub fn observable(lowered: &Lowered, what: &Observed) -> Option<Observable> {
    let shape = &lowered.shape;
    Some(match what {
        Observed::Register(ThreadId(thread), local) => {
            let thread = *thread as usize;
            let variables = &lowered.threads[thread].variables;
            Observable::Variable(thread, variables.iter().position(|v| v.local == local.0)?)
        }
        Observed::Fault(ThreadId(thread)) => Observable::Fault(*thread as usize),
        Observed::Memory(global, index) => match shape.page_of.get(&global.0) {
            Some(page) => Observable::Memory(0, *page, *index as usize),
            None => Observable::Word(shape.words_of.get(&global.0)? + *index as usize),
        },
        Observed::Frame(frame, index) => Observable::Frame(frame.index(), *index as usize),
    })
}

/// Everything that the condition, the filter and `locations` look at, in the
/// order in which it is shown: threads first.
pub fn shown(program: &Program, lowered: &Lowered) -> Vec<Observable> {
    let mut list = BTreeSet::new();
    let mut add = |what: &Observed| list.extend(observable(lowered, what));
    program.locations.iter().for_each(&mut add);
    if let Some(filter) = &program.filter {
        visit(filter, &mut add);
    }
    if let Some(condition) = &program.condition {
        visit(&condition.prop, &mut add);
    }
    list.into_iter().collect()
}

fn visit(prop: &Prop, each: &mut dyn FnMut(&Observed)) {
    match prop {
        Prop::Constant(_) => {}
        Prop::Atom { left, right, .. } => {
            each(left);
            if let Wanted::Place(place) = right {
                each(place);
            }
        }
        Prop::Not(inner) => visit(inner, each),
        Prop::And(left, right) | Prop::Or(left, right) | Prop::Implies(left, right) => {
            visit(left, each);
            visit(right, each);
        }
    }
}

/// Whether an end fulfils a proposition. What is undefined equals nothing.
pub fn holds(prop: &Prop, lowered: &Lowered, value: &dyn Fn(Observable) -> i64) -> bool {
    let place = |what: &Observed| observable(lowered, what).map_or(UNDEFINED, value);
    match prop {
        Prop::Constant(value) => *value,
        Prop::Atom { left, equal, right } => {
            let left = place(left);
            let right = match right {
                Wanted::Int(number) => *number,
                Wanted::AddressOf(global) => lowered.shape.address_of(global.0),
                Wanted::Place(other) => place(other),
            };
            (left == right) == *equal
        }
        Prop::Not(inner) => !holds(inner, lowered, value),
        Prop::And(left, right) => holds(left, lowered, value) && holds(right, lowered, value),
        Prop::Or(left, right) => holds(left, lowered, value) || holds(right, lowered, value),
        Prop::Implies(left, right) => !holds(left, lowered, value) || holds(right, lowered, value),
    }
}

/// How an observable is written: `P0:r0`, `[x]`, `[a]`, `Fa[0]`.
pub fn name(lowered: &Lowered, program: &Program, what: Observable) -> String {
    let shape = &lowered.shape;
    let indexed = |name: &str, word: usize| match word {
        0 if shape.words_per_frame == 1 => name.to_owned(),
        word => format!("{name}[{word}]"),
    };
    match what {
        Observable::Variable(thread, at) => {
            format!(
                "{}:{}",
                program.threads[thread].name, lowered.threads[thread].variables[at].name
            )
        }
        Observable::Fault(thread) => format!("{}:fault", program.threads[thread].name),
        Observable::Word(word) => format!("[{}]", shape.words[word].name),
        Observable::Memory(space, page, word) => {
            let at = if space == 0 { String::new() } else { format!("@{}", shape.spaces[space]) };
            format!("[{}{at}]", indexed(&shape.pages[page].name, word))
        }
        Observable::Frame(frame, word) => indexed(&shape.frames[frame].name, word),
    }
}

/// How a value is written.
pub fn value_name(value: i64) -> String {
    match value {
        UNDEFINED => "undefined".to_owned(),
        UNMAPPED => "unmapped".to_owned(),
        value => value.to_string(),
    }
}
