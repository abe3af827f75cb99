//! A piece of work that can be timed, and counted.

use std::hint::black_box;
use std::time::{Duration, Instant};

use mmu_notifier::Task;

use crate::counting::counted_region;

/// Work of which one step is the unit of every figure.
pub trait Work {
    /// Runs steps, about as many as asked for; says how many, and how long
    /// they took.
    fn time(&mut self, steps: u64, task: &mut Task) -> (u64, Duration);

    /// Runs this many steps in the region that callgrind counts: a loop, as in
    /// `time`, so that what a compiler does once for the loop is counted once.
    fn count(&mut self, steps: u64, task: &mut Task);
}

/// Sets work up.
pub type Make = dyn Fn(&mut Task) -> Box<dyn Work>;

/// A name, and how to set the work up. Setting up is neither timed nor counted.
pub struct Case {
    pub name: &'static str,
    pub make: Box<Make>,
}

impl Case {
    /// Work that can be repeated as it is.
    pub fn new<F: FnMut(&mut Task) + 'static>(
        name: &'static str,
        make: impl Fn(&mut Task) -> F + 'static,
    ) -> Self {
        Self::warmed(name, 16, make)
    }

    /// As [`new`](Self::new), with so many steps before each sample that are
    /// not timed: the case sampled before this one has used the caches.
    pub fn warmed<F: FnMut(&mut Task) + 'static>(
        name: &'static str,
        warm_up: u64,
        make: impl Fn(&mut Task) -> F + 'static,
    ) -> Self {
        Case { name, make: Box::new(move |task| Box::new(Steady { step: make(task), warm_up })) }
    }

    /// Work that comes in passes, each set up anew.
    pub fn passes<W: Pass + 'static>(
        name: &'static str,
        make: impl Fn(&mut Task) -> W + 'static,
    ) -> Self {
        Case { name, make: Box::new(move |task| Box::new(Passes(make(task)))) }
    }
}

/// Work that uses up what it works on.
pub trait Pass {
    /// Steps of a pass.
    fn steps(&self) -> u64;
    /// Makes everything ready for a pass; not timed.
    fn set_up(&mut self);
    /// One step.
    fn step(&mut self, number: u64);
}

struct Steady<F> {
    step: F,
    warm_up: u64,
}

impl<F: FnMut(&mut Task)> Work for Steady<F> {
    fn time(&mut self, steps: u64, task: &mut Task) -> (u64, Duration) {
        for _ in 0..self.warm_up {
            (self.step)(task);
        }
        let begun = Instant::now();
        for _ in 0..steps {
            (self.step)(task);
        }
        (steps, begun.elapsed())
    }

    fn count(&mut self, steps: u64, task: &mut Task) {
        // The first steps are unlike the others: they fault, fill and ask.
        for _ in 0..16 {
            (self.step)(task);
        }
        counted_region(&mut || {
            for _ in 0..steps {
                (self.step)(task);
            }
        });
    }
}

struct Passes<W>(W);

impl<W: Pass> Work for Passes<W> {
    fn time(&mut self, _: u64, _: &mut Task) -> (u64, Duration) {
        self.0.set_up();
        let steps = self.0.steps();
        let begun = Instant::now();
        for number in 0..black_box(steps) {
            self.0.step(number);
        }
        (steps, begun.elapsed())
    }

    fn count(&mut self, steps: u64, _: &mut Task) {
        self.0.set_up();
        let steps = steps.min(self.0.steps());
        counted_region(&mut || {
            for number in 0..steps {
                self.0.step(number);
            }
        });
    }
}
