//! Random sequences of operations against a flat model of memory.
//!
//! The model knows no page tables: each address of each address space is a
//! word with rights. The sequence is in one order, but its steps run in several
//! threads, CPUs and devices with TLBs of their own, and operations are stopped
//! at their named points while others go on. There the model allows exactly
//! what the semantics allow: for content-preserving operations nothing but
//! equality; for DONTNEED, munmap, mprotect, mremap and fork a moment for each
//! page between call and return, old and new both until the return, and only
//! the new after it.
//!
//! The same checker run on an address space that breaks the protocol finds it.
//!
//! `PROPTEST_CASES` sets the number of sequences.
#![cfg(not(shuttle))]

mod engine;
mod flat;
mod ops;
mod orders;
mod workers;

use address_space::WrongPolicy;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestError, TestRng, TestRunner};

use ops::Op;

fn config(cases: Option<u32>) -> ProptestConfig {
    let default = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    match cases {
        None => default,
        // Finding is enough; what is found is not a bug.
        Some(cases) => ProptestConfig { cases, max_shrink_iters: 0, ..default },
    }
}

fn check(
    config: ProptestConfig,
    sequences: impl Strategy<Value = Vec<Op>>,
    policy: Option<WrongPolicy>,
) -> Result<(), TestError<Vec<Op>>> {
    // Deterministic: a failure is the same one tomorrow.
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(config, rng)
        .run(&sequences, |ops| engine::run(&ops, policy).map_err(TestCaseError::fail))
}

#[test]
fn every_sequence_agrees_with_flat_memory() {
    if let Err(error) = check(config(None), ops::sequences(), None) {
        panic!("{error}");
    }
}

/// Sequences about the parts of one huge page, with two operations in flight:
/// the only place where a copy has somebody else's protection to settle.
#[test]
fn every_sequence_of_nested_stops_agrees_with_flat_memory() {
    if let Err(error) = check(config(None), ops::nested(), None) {
        panic!("{error}");
    }
}

#[track_caller]
fn finds(policy: WrongPolicy, sequences: impl Strategy<Value = Vec<Op>>) {
    match check(config(Some(20_000)), sequences, Some(policy)) {
        Err(TestError::Fail(reason, _)) => println!("{policy:?}: {reason}"),
        other => panic!("{policy:?} was not found: {other:?}"),
    }
}

#[test]
fn late_notification_is_found() {
    finds(WrongPolicy::LateNotify, ops::sequences());
}

#[test]
fn early_free_is_found() {
    finds(WrongPolicy::EarlyFree, ops::sequences());
}

#[test]
fn an_unsettled_copy_is_found() {
    finds(WrongPolicy::UnsettledCopy, ops::nested());
}
