//! Random programs on both machines: the sets and the explicit fills agree,
//! and sets with a rule broken do not.
//!
//! `SHOOTDOWN_NAIVE_PROGRAMS` is how many programs are compared,
//! `SHOOTDOWN_NAIVE_SEED` the number of the first, `SHOOTDOWN_NAIVE_CAP` how
//! many states each may have. The same numbers give the same programs.

#[path = "../support/mod.rs"]
mod support;

mod chance;
mod generate;
mod kinds;
mod mutants;
mod shrink;
mod weak;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use shootdown_litmus::Variant;
use shootdown_machine::mmu::Mmu;
use shootdown_machine::sets::Sets;
use shootdown_machine::setting::MemoryModel;
use shootdown_machine_naive::compare::{Searched, compare_searches, names};
use shootdown_machine_naive::{Comparison, Difference, compare_with};
use shootdown_step::Node;

use generate::{Test, generate};
use mutants::{ALL, Mutant, Mutation};
use shrink::shrink;

/// States of either machine, if nobody says otherwise; a program that has more
/// is replaced.
const CAP: u64 = 2_500;
/// Programs until each mutant must have been noticed.
const PATIENCE: u64 = 6_000;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// A test on both machines; an error if it is none.
fn run<M: Mmu>(test: &Test, sets: M) -> Result<Comparison, String> {
    let (lowered, setting) =
        support::lowered(&test.name, &test.to_string(), &Variant::base(), test.model)?;
    Ok(compare_with(&lowered, setting, number("SHOOTDOWN_NAIVE_CAP", CAP), sets))
}

/// A test with the naive machine, and by the search of the checker with all
/// reductions and with none; an error if it is none.
fn run_all(test: &Test) -> Result<(Comparison, Searched), String> {
    let (lowered, setting) =
        support::lowered(&test.name, &test.to_string(), &Variant::base(), test.model)?;
    let cap = number("SHOOTDOWN_NAIVE_CAP", CAP);
    let comparison = compare_with(&lowered, setting, cap, Sets::default());
    if !matches!(comparison, Comparison::Same { .. }) {
        return Ok((comparison, Searched::TooLarge));
    }
    Ok(match compare_searches(&lowered, setting, cap) {
        Ok(searched) => (comparison, searched),
        Err(difference) => (Comparison::Differs(difference), Searched::TooLarge),
    })
}

/// The kinds of a test's steps, each as often as it is there.
fn kinds(test: &Test) -> Vec<String> {
    let lowered = support::lowered(&test.name, &test.to_string(), &Variant::base(), test.model);
    let threads = lowered.map(|(lowered, _)| lowered.threads).unwrap_or_default();
    let steps = threads.iter().flat_map(|code| &code.nodes).filter_map(|node| match node {
        Node::Step { op, .. } => Some(format!("{op:?}")),
        _ => None,
    });
    let name = |text: String| text.chars().take_while(|c| c.is_alphanumeric()).collect();
    steps.map(name).collect()
}

fn differs(test: &Test) -> Option<Box<Difference>> {
    match run_all(test) {
        Ok((Comparison::Differs(difference), _)) => Some(difference),
        _ => None,
    }
}

/// What a run over many programs has met.
#[derive(Debug, Default)]
struct Counts {
    compared: u64,
    large: u64,
    cut: u64,
    tso: u64,
    naive: u64,
    sets: u64,
    reduced: u64,
    /// Programs with a declaration or call of this kind.
    features: BTreeMap<&'static str, u64>,
    /// Steps of each kind.
    kinds: BTreeMap<String, u64>,
    /// Programs that break a property.
    broken: BTreeMap<u32, u64>,
    failures: Vec<String>,
    /// Texts that are no tests, and why.
    refused: Vec<String>,
}

/// Kinds of steps that some program has to take. `Moment` is ideal memory's
/// alone; whoever adds a kind adds it to the generator, or says here why not.
const KINDS: [&str; 64] = [
    "Access",
    "Fence",
    "Lock",
    "Enter",
    "Leave",
    "GraceStart",
    "GraceWait",
    "Life",
    "Alloc",
    "GetPage",
    "PutPage",
    "CopyPage",
    "ClearPage",
    "SamePages",
    "PageWrite",
    "PageRead",
    "PageCount",
    "Dirty",
    "MoveMarks",
    "Unpin",
    "Pinned",
    "MapEntry",
    "EntryOfTable",
    "EntryLock",
    "ReadEntry",
    "ClearEntry",
    "SetEntry",
    "WriteProtectEntry",
    "Flags",
    "ExchangeEntry",
    "SetAccessFlags",
    "Populate",
    "AllocTable",
    "FreeTable",
    "FlushCpu",
    "RangeOpen",
    "RangeClose",
    "Post",
    "PostWrite",
    "Sync",
    "SoftInstall",
    "SoftZap",
    "FlushCache",
    "LoadRoot",
    "Lazy",
    "FlushContext",
    "WriteBack",
    "GatherStart",
    "GatherPage",
    "GatherFlush",
    "GatherFree",
    "PageBehind",
    "Probe",
    "EnterFault",
    "SetRights",
    "AskRights",
    "ForkEntries",
    "SetChildEntry",
    "Choose",
    "Born",
    "Begin",
    "Return",
    "Warn",
    "Fail",
];

const FEATURES: [&str; 49] = [
    "iotlb",
    "atc T",
    "two : R",
    "two : U",
    "swtlb",
    "in_order",
    "any_order",
    "mm child",
    "U <- child",
    "C <- child",
    "huge",
    "pte_alloc_one",
    "pmd_populate",
    "pmd_clear",
    "pte_free",
    "map b",
    "perm_miss_rewalk",
    "cache_nonpresent",
    "fault_invalidates",
    "drain",
    "owner child",
    "copy_one_pte",
    "local_flush",
    "downgrade",
    "fault cpu",
    "fault G",
    "fork",
    "zap(va)",
    "hw_dirty = yes",
    "hw_dirty = eager",
    "hw_dirty = lazy",
    "drain = repeat",
    "page_writeback",
    "clear_dirty",
    "mkinvalid",
    "xchg",
    "iotlb U : tags",
    "tlb C : tags",
    "context k",
    "atc T <- c",
    "write_cr3(",
    "write_cr3_noflush",
    "clear_root",
    "lazy_tlb",
    "tlb_flush_tag",
    "flush_context",
    "q_inv_tag",
    "noncoherent",
    "clflush",
];

impl Counts {
    fn note(&mut self, test: &Test, text: &str, comparison: Comparison, searched: Searched) {
        if let Searched::Same { reduced, .. } = searched {
            self.reduced += reduced;
        }
        match comparison {
            Comparison::TooLarge => return self.large += 1,
            Comparison::Same { naive, sets, cut, broken } => {
                self.naive += naive;
                self.sets += sets;
                self.cut += u64::from(cut);
                for bit in (0..u64::BITS).filter(|bit| broken >> bit & 1 != 0) {
                    *self.broken.entry(bit).or_default() += 1;
                }
            }
            Comparison::Differs(_) if self.failures.len() < 4 => {
                let small = shrink(test, &|test| differs(test).is_some());
                let difference = differs(&small).expect("shrinking keeps the difference");
                let (name, model) = (&test.name, small.model);
                self.failures.push(format!("{name} under {model}:\n{small}\n{difference}"));
            }
            Comparison::Differs(_) => self.failures.push(test.name.clone()),
        }
        kinds(test).into_iter().for_each(|kind| *self.kinds.entry(kind).or_default() += 1);
        self.compared += 1;
        self.tso += u64::from(test.model == MemoryModel::Tso);
        for feature in FEATURES.iter().filter(|feature| text.contains(**feature)) {
            *self.features.entry(feature).or_default() += 1;
        }
    }
}

#[test]
fn sets_and_explicit_fills_agree() {
    let wanted = number("SHOOTDOWN_NAIVE_PROGRAMS", 10_000);
    let first = number("SHOOTDOWN_NAIVE_SEED", 0);
    let begun = Instant::now();
    let (next, counts) = (AtomicU64::new(first), Mutex::new(Counts::default()));
    let work = || {
        loop {
            let test = generate(next.fetch_add(1, Ordering::Relaxed));
            let text = test.to_string();
            let result = run_all(&test);
            let mut counts = counts.lock().expect("no other worker panicked");
            // Programs are counted as they finish, so a few more may be tried.
            if counts.compared >= wanted || counts.refused.len() > 50 {
                return;
            }
            match result {
                Ok((comparison, searched)) => counts.note(&test, &text, comparison, searched),
                Err(why) => counts.refused.push(format!("{text}\n{why}")),
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
    let counts = counts.into_inner().expect("no worker panicked");
    println!(
        "{} programs compared ({} under tso), {} replaced because they have more than {} states, {:.1} s",
        counts.compared,
        counts.tso,
        counts.large,
        number("SHOOTDOWN_NAIVE_CAP", CAP),
        begun.elapsed().as_secs_f64()
    );
    println!(
        "states: naive {}, sets {}, with reductions {}; {} end with a table given back too early",
        counts.naive, counts.sets, counts.reduced, counts.cut
    );
    println!("features: {:?}", counts.features);
    let broken: Vec<String> =
        counts.broken.iter().map(|(bit, count)| format!("{} {count}", names(1 << bit))).collect();
    println!("broken: {}", broken.join(", "));
    println!("steps: {:?}", counts.kinds);
    let missing: Vec<&&str> =
        KINDS.iter().filter(|kind| !counts.kinds.contains_key(**kind)).collect();
    let unknown: Vec<&String> =
        counts.kinds.keys().filter(|kind| !KINDS.contains(&kind.as_str())).collect();
    assert!(wanted < 5_000 || missing.is_empty(), "no program takes {missing:?}");
    assert!(unknown.is_empty(), "a kind that is new: {unknown:?}");
    let refused = &counts.refused;
    assert!(refused.is_empty(), "{} are no tests:\n{}", refused.len(), refused.join("\n"));
    assert!(
        counts.failures.is_empty(),
        "the machines disagree:\n\n{}",
        counts.failures.join("\n\n")
    );
}

/// Lines of a test that are not its frame.
fn size(test: &Test) -> usize {
    let parts = test.functions.iter().chain(&test.threads);
    test.declarations.len() + parts.map(|part| part.lines.len()).sum::<usize>()
}

#[test]
fn a_broken_rule_is_noticed() {
    let mut missed = Vec::new();
    for mutation in ALL {
        let differs = |test: &Test, mutation| match run(test, Mutant::new(mutation)) {
            Ok(Comparison::Differs(difference)) => Some(difference),
            _ => None,
        };
        let found =
            (0..PATIENCE).map(generate).find_map(|test| differs(&test, mutation).map(|_| test));
        let Some(test) = found else {
            missed.push(mutation);
            continue;
        };
        assert!(
            differs(&test, Mutation::Nothing).is_none(),
            "the mutant that breaks nothing differs"
        );
        let small = shrink(&test, &|test| differs(test, mutation).is_some());
        let difference = differs(&small, mutation).expect("shrinking keeps the difference");
        println!("{mutation:?}: noticed by {}, {} lines when shrunk", test.name, size(&small));
        if number("SHOOTDOWN_NAIVE_SHOW", 0) != 0 {
            println!("{small}\n{difference}");
        }
    }
    assert!(missed.is_empty(), "nothing noticed {missed:?}");
}
