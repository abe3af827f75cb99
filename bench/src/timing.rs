//! Time, on a machine that others use as well.
//!
//! Cases that stand in one table are sampled in turn, so that a busy moment
//! hits all of them. Of each the minimum (what the code costs when nobody
//! disturbs it) and the median (whether that is the rule) are kept.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mmu_notifier::Task;

use crate::work::{Case, Work};

/// Nanoseconds of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Time {
    pub min: f64,
    pub median: f64,
}

impl Time {
    /// Of samples, in any order.
    pub fn of(mut samples: Vec<f64>) -> Option<Self> {
        samples.sort_by(f64::total_cmp);
        let min = *samples.first()?;
        Some(Time { min, median: samples[samples.len() / 2] })
    }
}

/// How long a sample lasts: long against the clock, short against a time slice.
const SAMPLE: Duration = Duration::from_micros(300);

struct Sampled {
    name: &'static str,
    work: Box<dyn Work>,
    steps: u64,
    samples: Vec<f64>,
}

/// Times the cases together, for about `budget` each.
pub fn time(
    cases: Vec<Case>,
    budget: Duration,
    task: &mut Task,
    times: &mut BTreeMap<&'static str, Time>,
) {
    let mut all: Vec<Sampled> = cases
        .into_iter()
        .map(|case| {
            let mut work = (case.make)(task);
            let steps = calibrate(&mut *work, task);
            Sampled { name: case.name, work, steps, samples: Vec::new() }
        })
        .collect();
    let begun = Instant::now();
    let budget = budget * all.len() as u32;
    // At least a few samples, however slow the machine is.
    let mut rounds = 0;
    while rounds < 15 || begun.elapsed() < budget {
        for one in &mut all {
            let (steps, took) = one.work.time(one.steps, task);
            one.samples.push(took.as_nanos() as f64 / steps as f64);
        }
        rounds += 1;
    }
    for one in all {
        if let Some(time) = Time::of(one.samples) {
            times.insert(one.name, time);
        }
    }
}

/// How many steps fill a sample.
fn calibrate(work: &mut dyn Work, task: &mut Task) -> u64 {
    let mut asked = 16;
    loop {
        let (done, took) = work.time(asked, task);
        if took >= SAMPLE || done != asked || asked >= 1 << 24 {
            return asked;
        }
        asked *= 2;
    }
}
