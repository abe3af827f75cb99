//! What the tests under loom have in common.

use std::panic::{AssertUnwindSafe, catch_unwind};

use mmu_notifier::{AsymmetricFence, StripeId, Task};

pub(crate) use super::arena::{Arena, SharedMm, shared_mm};

/// Explores `f` with at most `preemptions` forced switches.
pub(crate) fn explore(preemptions: usize, f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 20_000;
    let executions = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = executions.clone();
    builder.check(move || {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        f();
    });
    println!("{} executions", executions.load(std::sync::atomic::Ordering::Relaxed));
}

/// The same for a program that is wrong on purpose: loom has to find it, and by
/// this symptom, not by running out of its limits.
pub(crate) fn must_fail(preemptions: usize, symptom: &str, f: impl Fn() + Sync + Send + 'static) {
    let found = catch_unwind(AssertUnwindSafe(|| explore(preemptions, f)));
    let panic = found.expect_err("the mutation went unnoticed");
    let message = match panic.downcast_ref::<String>() {
        Some(message) => message.as_str(),
        None => panic.downcast_ref::<&str>().expect("panics have messages"),
    };
    assert!(message.contains(symptom), "another failure: {message}");
}

/// A task for a thread of the model: all of them share one thread of the
/// system, so [`Task::current`] would see one thread only.
pub(crate) fn model_task(number: usize) -> Task {
    // SAFETY: INV-ONE-TASK, INV-STRIPE: each thread of a model has its number.
    unsafe { Task::new(stripe(number)) }
}

/// Stripes 0 and 1 are exclusive; the others are shared.
pub(crate) fn stripe(number: usize) -> StripeId {
    // SAFETY: INV-STRIPE: each thread of a model has its number.
    unsafe { StripeId::exclusive(number) }.unwrap_or(StripeId::shared(number))
}

/// Wrong: the reader's half is no barrier, as if `heavy` were a membarrier
/// and nobody had asked for it.
pub(crate) struct NoLight;

// SAFETY: none: this is the mutation.
unsafe impl AsymmetricFence for NoLight {
    fn light() {}
    fn heavy() {
        loom::sync::atomic::fence(loom::sync::atomic::Ordering::SeqCst);
    }
}

/// Wrong: the writer's half is no barrier.
pub(crate) struct NoHeavy;

// SAFETY: none: this is the mutation.
unsafe impl AsymmetricFence for NoHeavy {
    fn light() {
        loom::sync::atomic::fence(loom::sync::atomic::Ordering::SeqCst);
    }
    fn heavy() {}
}
