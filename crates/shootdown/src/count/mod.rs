//! The smallest forms of both cases, from threads that run freely.
//!
//! No named point is armed and nobody sleeps. A thread yields after it releases
//! a page table lock, alike under both policies. The right policy and the wrong
//! one take turns, round by round, until the wrong one was caught ten times and
//! the right one was in the window a thousand times, or the time is up.

mod doorbell;
mod early_free;
mod gate;

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use address_space::{AddressSpace, Device, Error, WrongPolicy};
use mmu_notifier::Task;
use serde::Serialize;

use gate::Gate;

pub use doorbell::doorbell;
pub use early_free::early_free;

/// How often the wrong policy has to be caught.
pub const ENOUGH: u64 = 10;

/// How often the right policy has to be in the window: one that never was there
/// has shown nothing, and one that was there ten times hardly more.
pub const ENOUGH_RIGHT: u64 = 1000;

/// What was counted under one policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Rounds played.
    pub rounds: u64,
    /// Events inside the window.
    pub in_window: u64,
    /// Those of them that memory which keeps its promises could not give.
    pub wrong: u64,
    /// Such events after the window: under neither policy may there be any.
    pub wrong_after: u64,
}

/// What was counted under both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Under the right policy.
    pub right: Count,
    /// Under the wrong one.
    pub wrong: Count,
}

impl Counts {
    /// Whether the wrong policy was caught at all: if not, the right one has
    /// not been put to the test.
    pub fn window_hit(&self) -> bool {
        self.wrong.wrong > 0 && self.right.in_window > 0
    }
}

/// An address space under one policy, with the threads of a round.
trait Rig: Sized {
    /// Sets it up under the right policy, or a wrong one.
    fn new(policy: Option<WrongPolicy>, task: &mut Task) -> Result<Self, Error>;

    /// Plays a round and brings `count` up to date.
    fn round(&mut self, count: &mut Count, task: &mut Task) -> Result<(), Error>;

    /// What is there to be taken down.
    fn parts(&mut self) -> Parts<'_>;

    /// Ends the threads and the address spaces.
    fn close(mut self, task: &mut Task) -> Result<(), Error> {
        let Parts { gate, threads, device, spaces } = self.parts();
        gate.stop();
        for thread in threads.drain(..) {
            thread.join().expect("a thread of the count does not panic")?;
        }
        if let Some(device) = device.take() {
            device.detach(task)?;
        }
        spaces.into_iter().try_for_each(|space| space.exit(task))
    }
}

/// What a [`Rig`] is made of.
struct Parts<'r> {
    gate: &'r Gate,
    threads: &'r mut Vec<JoinHandle<Result<(), Error>>>,
    device: &'r mut Option<Device>,
    spaces: Vec<&'r AddressSpace>,
}

/// Plays rounds of both policies in turn until there is enough of both or
/// `limit` has passed.
fn compare<R: Rig>(wrong: WrongPolicy, limit: Duration) -> Result<Counts, Error> {
    let task = &mut Task::current().expect("the main thread has no other task");
    let mut right_rig = R::new(None, task)?;
    let mut wrong_rig = R::new(Some(wrong), task)?;
    let mut counts = Counts::default();
    let start = Instant::now();
    let enough =
        |counts: &Counts| counts.wrong.wrong >= ENOUGH && counts.right.in_window >= ENOUGH_RIGHT;
    while start.elapsed() < limit && !enough(&counts) {
        right_rig.round(&mut counts.right, task)?;
        wrong_rig.round(&mut counts.wrong, task)?;
    }
    right_rig.close(task)?;
    wrong_rig.close(task)?;
    Ok(counts)
}
