//! Random programs under `ra`: every run of `sc` is one of `ra`, and where one
//! thread alone changes tables and tells hardware, the caches hold the same.
//!
//! The explicit fills know no views. But under `sc` the sets are compared with
//! them, so what is compared with `sc` here is compared with them too.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use shootdown_litmus::Variant;
use shootdown_machine::machine::Machine;
use shootdown_machine::model::{FAILED, FREE, REST, RETURN};
use shootdown_machine::outcome::observe;
use shootdown_machine::sets::Sets;
use shootdown_machine::setting::MemoryModel;
use shootdown_machine::weak::covered;
use shootdown_machine::world::{Failed, World};
use shootdown_machine_naive::compare::{everything, names};
use shootdown_machine_naive::reach::{Reached, reach};
use shootdown_step::value::WORD_BASE;
use shootdown_step::{Expr, Lowered, Node, Op, Target};

use super::generate::generate;
use super::{number, support};

const CAP: u64 = 2_500;

fn bit(why: Failed) -> u64 {
    1 << (FAILED + why as u32)
}

fn run(text: &str, model: MemoryModel) -> Option<(Reached, Lowered)> {
    let (lowered, setting) =
        support::lowered("random", text, &Variant::base(), model).expect("a test");
    if model == MemoryModel::Ra && covered(&lowered, &setting).is_err() {
        return None;
    }
    let observed = everything(&lowered);
    let (world, slots) = World::new(lowered.clone(), Target::Machine, setting);
    let machine = Machine::new(world, slots, Sets::default());
    let reached = reach(&machine, CAP, &|state| {
        observed.iter().map(|what| observe(&machine, state, *what)).collect()
    });
    Some((reached?, lowered))
}

/// Whether one thread at most does more than to access memory, and that one has
/// no access to a page: its own walks may find what it has replaced, and a fault
/// ends it before it tells anybody.
fn has_one_kernel(lowered: &Lowered) -> bool {
    let kernel = |op: &Op| !matches!(op, Op::Access { .. } | Op::Fence(_));
    let translated = |op: &Op| match op {
        Op::Access { pointer: Expr::Const(pointer), .. } => *pointer < WORD_BASE,
        Op::Access { .. } => true,
        _ => false,
    };
    let mut kernels = lowered
        .threads
        .iter()
        .map(|code| {
            let steps = || {
                code.nodes.iter().filter_map(|node| match node {
                    Node::Step { op, .. } => Some(op),
                    _ => None,
                })
            };
            (steps().any(kernel), steps().any(translated))
        })
        .filter(|(kernel, _)| *kernel);
    !kernels.next().is_some_and(|(_, translated)| translated) && kernels.next().is_none()
}

/// What is wrong with a program, if anything; whether its caches were compared
/// exactly.
fn differs(text: &str) -> Option<Result<bool, String>> {
    let (ra, lowered) = run(text, MemoryModel::Ra)?;
    let (sc, _) = run(text, MemoryModel::Sc)?;
    // What lies behind these was not searched.
    if ra.broken & (bit(Failed::Stores) | bit(Failed::Unordered)) != 0 {
        return None;
    }
    // A run ends where a table is given back that a cache may lead to, and more
    // caches lead to it under ra.
    let cut = ra.broken & bit(Failed::Table) != 0;
    let lost = if cut { 0 } else { sc.broken & !ra.broken };
    if lost != 0 {
        return Some(Err(format!("only sc breaks {}", names(lost))));
    }
    if let Some(end) = sc.ends.difference(&ra.ends).next().filter(|_| !cut) {
        return Some(Err(format!("only sc ends with {end:?}")));
    }
    let exact = has_one_kernel(&lowered);
    let asked = 1 << FREE | 1 << RETURN | 1 << REST | bit(Failed::Table);
    let more = ra.broken & !sc.broken & asked;
    if exact && more != 0 {
        return Some(Err(format!("only ra breaks {}", names(more))));
    }
    Some(Ok(exact))
}

#[test]
fn ra_has_every_run_of_sc_and_caches_hold_no_more() {
    let wanted = number("SHOOTDOWN_WEAK_PROGRAMS", 9_000);
    let next = AtomicU64::new(number("SHOOTDOWN_NAIVE_SEED", 0));
    let counts = Mutex::new((0u64, 0u64, 0u64, Vec::new()));
    const KINDS: [&str; 6] = ["pmd_clear", "huge", "tags", "atc T <- c", "drain", "fault_inv"];
    let met = Mutex::new([0u64; KINDS.len()]);
    let work = || {
        loop {
            let text = generate(next.fetch_add(1, Ordering::Relaxed)).to_string();
            let result = differs(&text);
            let mut counts = counts.lock().expect("no other worker panicked");
            match result {
                None => counts.2 += 1,
                Some(Err(why)) => counts.3.push(format!("{why}:\n{text}")),
                Some(Ok(exact)) => {
                    counts.0 += 1;
                    counts.1 += u64::from(exact);
                    let mut met = met.lock().expect("no other worker panicked");
                    for (kind, met) in KINDS.iter().zip(met.iter_mut()) {
                        *met += u64::from(text.contains(kind));
                    }
                }
            }
            if counts.0 >= wanted || counts.3.len() > 2 {
                return;
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
    let (compared, exact, skipped, wrong) = counts.into_inner().expect("no worker panicked");
    let met = met.into_inner().expect("no worker panicked");
    println!("{compared} programs, {exact} of them exactly, {skipped} not covered or too large");
    println!("{KINDS:?}: {met:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(exact * 4 > compared, "{exact} of {compared} were compared exactly");
    assert!(met.iter().all(|met| *met > 0), "{KINDS:?}: {met:?}");
}
