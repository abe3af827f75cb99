//! Whether readers disturb each other: two threads on one object, beside two
//! threads on an object each, in the same run.
//!
//! Flat means that sharing costs nothing. On a busy machine two threads are
//! often not running at the same time, and then nothing can be seen: only
//! rounds in which they overlapped count, and if there are none that is said.

use std::hint::black_box;
use std::sync::{Barrier, RwLock};
use std::time::Instant;

use mmu_notifier::{Membarrier, Srcu, StripeId};

/// Nanoseconds of an enter and leave while both threads are at it.
pub struct Flatness {
    /// On one object.
    pub shared: f64,
    /// On an object each.
    pub apart: f64,
    /// Rounds in which the threads overlapped, of those on one object.
    pub overlapped: usize,
}

impl Flatness {
    /// One if sharing costs nothing.
    pub fn ratio(&self) -> f64 {
        self.shared / self.apart
    }
}

const STEPS: u32 = 300_000;
pub const ROUNDS: usize = 100;
/// How much of the longer thread's time the other one must have run as well.
const OVERLAP: f64 = 0.8;

/// The library's read section; `None` if the threads never ran together.
pub fn srcu() -> Option<Flatness> {
    let domains: [Box<Srcu<Membarrier>>; 2] = std::array::from_fn(|_| Box::default());
    flatness(|domain, thread| {
        // SAFETY: INV-STRIPE: each of the two threads has a number of its own,
        // which no `Task` of this program has.
        let stripe = unsafe { StripeId::exclusive(30 + thread) }.expect("there are 32");
        for _ in 0..STEPS {
            black_box(domains[domain].read(stripe));
        }
    })
}

/// The reader-writer lock of the standard library; `None` as above.
pub fn std_rwlock() -> Option<Flatness> {
    let locks: [Box<RwLock<u64>>; 2] = std::array::from_fn(|_| Box::default());
    flatness(|lock, _| {
        for _ in 0..STEPS {
            black_box(*locks[lock].read().expect("nobody panics with it"));
        }
    })
}

/// `work` gets the number of the object and of the thread.
fn flatness(work: impl Fn(usize, usize) + Sync) -> Option<Flatness> {
    let mut shared = Vec::new();
    let mut apart = Vec::new();
    for _ in 0..ROUNDS {
        shared.extend(round(&work, [0, 0]));
        apart.extend(round(&work, [0, 1]));
    }
    let best = |times: &[f64]| times.iter().copied().min_by(f64::total_cmp);
    Some(Flatness { shared: best(&shared)?, apart: best(&apart)?, overlapped: shared.len() })
}

/// One run of both threads, if they ran at the same time.
fn round(work: &(impl Fn(usize, usize) + Sync), objects: [usize; 2]) -> Option<f64> {
    let barrier = Barrier::new(2);
    let run = |thread: usize| {
        barrier.wait();
        let begun = Instant::now();
        work(objects[thread], thread);
        (begun, Instant::now())
    };
    let (a, b) = std::thread::scope(|scope| {
        let other = scope.spawn(|| run(1));
        (run(0), other.join().expect("it does not panic"))
    });
    let longest = (a.1 - a.0).max(b.1 - b.0).as_nanos() as f64;
    let together = a.1.min(b.1).saturating_duration_since(a.0.max(b.0)).as_nanos() as f64;
    (together >= OVERLAP * longest).then(|| longest / f64::from(STEPS))
}
