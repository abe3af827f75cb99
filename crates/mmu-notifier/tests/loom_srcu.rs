//! SRCU under loom: what a reader sees is not taken away before it leaves.
#![cfg(loom)]

mod support;

use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use mmu_notifier::{AsymmetricFence, FullFence, Srcu};
use support::model::{NoHeavy, NoLight, explore, must_fail, stripe};

/// A value that can be unlinked, and whose memory is written when it is freed:
/// a read that is not ordered before that is a race that loom reports.
struct Shared<F> {
    srcu: Srcu<F>,
    linked: AtomicBool,
    value: UnsafeCell<u32>,
}

// SAFETY: that accesses to the cell are ordered is what the models check.
unsafe impl<F> Sync for Shared<F> {}
// SAFETY: as above.
unsafe impl<F> Send for Shared<F> {}

impl<F: AsymmetricFence + 'static> Shared<F> {
    fn new() -> Arc<Self> {
        Arc::new(Shared {
            srcu: Srcu::new(),
            linked: AtomicBool::new(true),
            value: UnsafeCell::new(7),
        })
    }

    /// Looks, sleeps inside the section, and reads what it had seen.
    fn read(&self, number: usize) {
        let _section = self.srcu.read(stripe(number));
        if self.linked.load(Ordering::Acquire) {
            thread::yield_now();
            // SAFETY: the section keeps the value.
            let value = self.value.with(|value| unsafe { *value });
            assert_eq!(value, 7, "read after it was freed");
        }
    }

    fn unlink(&self) {
        self.linked.store(false, Ordering::Relaxed);
    }

    fn free(&self) {
        // SAFETY: unlinked, and every section that saw it has ended.
        self.value.with_mut(|value| unsafe { *value = 0 });
    }
}

/// What loom says of a read that is not ordered before the free.
const RACE: &str = "Causality violation";

fn readers_and_a_writer<F: AsymmetricFence + 'static>(readers: &'static [usize], waits: bool) {
    let shared = Shared::<F>::new();
    let threads: Vec<_> = readers
        .iter()
        .map(|&number| {
            let shared = shared.clone();
            thread::spawn(move || shared.read(number))
        })
        .collect();
    shared.unlink();
    if waits {
        shared.srcu.synchronize();
    }
    shared.free();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn a_value_is_not_freed_under_a_reader_with_a_stripe_of_its_own() {
    explore(4, || readers_and_a_writer::<FullFence>(&[0], true));
}

#[test]
fn a_value_is_not_freed_under_a_reader_with_a_shared_stripe() {
    explore(4, || readers_and_a_writer::<FullFence>(&[2], true));
}

#[test]
fn a_value_is_not_freed_under_two_readers() {
    explore(2, || readers_and_a_writer::<FullFence>(&[0, 2], true));
}

#[test]
fn a_reader_that_comes_back_on_the_same_stripe_does_not_end_another_section() {
    explore(3, || {
        let shared = Shared::<FullFence>::new();
        let reader = {
            let shared = shared.clone();
            thread::spawn(move || {
                shared.read(0);
                shared.read(0);
            })
        };
        shared.unlink();
        shared.srcu.synchronize();
        shared.free();
        reader.join().unwrap();
    });
}

#[test]
fn nested_sections_count() {
    explore(3, || {
        let shared = Shared::<FullFence>::new();
        let reader = {
            let shared = shared.clone();
            thread::spawn(move || {
                let _outer = shared.srcu.read(stripe(0));
                shared.read(0);
            })
        };
        shared.unlink();
        shared.srcu.synchronize();
        shared.free();
        reader.join().unwrap();
    });
}

#[test]
fn two_writers_take_turns_and_both_wait() {
    explore(2, || {
        let shared = Shared::<FullFence>::new();
        let other = {
            let shared = shared.clone();
            thread::spawn(move || {
                shared.read(0);
                shared.srcu.synchronize();
            })
        };
        shared.unlink();
        shared.srcu.synchronize();
        shared.free();
        other.join().unwrap();
    });
}

#[test]
fn mutation_without_synchronize_the_value_is_read_after_its_free() {
    must_fail(3, RACE, || readers_and_a_writer::<FullFence>(&[0], false));
}

#[test]
fn mutation_without_the_readers_barrier_the_writer_misses_it() {
    must_fail(4, RACE, || readers_and_a_writer::<NoLight>(&[0], true));
}

#[test]
fn mutation_without_the_readers_barrier_a_shared_stripe_is_no_better() {
    must_fail(4, RACE, || readers_and_a_writer::<NoLight>(&[2], true));
}

#[test]
fn mutation_without_the_writers_barrier_it_misses_the_reader() {
    must_fail(4, RACE, || readers_and_a_writer::<NoHeavy>(&[0], true));
}
