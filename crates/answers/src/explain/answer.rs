//! What is said of the notifications and flushes of a test.

use std::sync::Arc;
use std::time::Duration;

use crate::timeline::Place;
use crate::verdict::Violation;

/// One variant of one file, under one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// The test's name.
    pub test: String,
    /// The file, as it was named.
    pub file: String,
    /// `base`, or the switches that are on.
    pub variant: String,
    /// `sc` or `tso`.
    pub model: String,
    /// Parameters of the machine with the values that were used, all of them.
    pub params: Vec<(String, String)>,
    /// What holds without any change.
    pub base: Base,
    /// The functions that tell or flush, in the order of the text.
    pub paths: Vec<Path>,
    /// The clients that were put around the path; `None` for a test with its own
    /// threads.
    pub clients: Option<Clients>,
    /// What was searched.
    pub work: Work,
    /// What a reader of this has to know.
    pub notes: Vec<String>,
}

/// What holds of the test as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// Nothing is broken.
    Clean {
        /// What was put to the test.
        clean: Vec<&'static str>,
        /// What was not, or has no answer: a step that only these need is
        /// called redundant.
        silent: Vec<&'static str>,
    },
    /// Something is broken already; nothing can be said of its steps.
    Violated(Vec<Broken>),
    /// The search stopped.
    Unknown(String),
}

/// A function, or a thread, that tells or flushes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// Its name.
    pub function: String,
    /// Where.
    pub place: Option<Place>,
    /// What it does, in the order of the text.
    pub steps: Vec<Step>,
    /// What it costs; `None` if no thread runs it.
    pub cost: Option<Cost>,
}

/// What one run of a path costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Flushes of the CPU TLBs.
    pub flushes: Range,
    /// Invalidations of secondary TLBs that are posted.
    pub posted: Range,
    /// Waits for those.
    pub waits: Range,
    /// There is a loop on the way: each round costs once more.
    pub loops: bool,
}

/// From the cheapest way through a function to the dearest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// On the cheapest way.
    pub least: u32,
    /// On the dearest.
    pub most: u32,
}

impl Range {
    /// Whether every way costs the same.
    pub fn is_one(self) -> bool {
        self.least == self.most
    }
}

/// Whom a step tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tells {
    /// The TLBs of the CPUs.
    Cpus,
    /// The secondary TLBs.
    Secondary,
    /// Both, since 6.6.
    Both,
    /// A TLB, a tag of it or what a context has loaded, by name.
    Named,
}

/// A notification or a flush.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// `mmu_notifier_invalidate_range`, `the flush in ptep_clear_flush`; with
    /// what it names, `q_inv_tag(Q, U, 1)`, if it names a TLB.
    pub what: String,
    /// Whom it tells.
    pub tells: Tells,
    /// Where.
    pub place: Option<Place>,
    /// What is said of it.
    pub answer: Answer,
}

/// What is said of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Something breaks without it, and also if it comes too late.
    Required {
        /// What breaks.
        without: Vec<Broken>,
        /// Where it may stand.
        interval: Interval,
    },
    /// Something breaks without it; it may stand as late as `range_end`, or
    /// where there is none, outside of the lock.
    MayWait {
        /// What breaks.
        without: Vec<Broken>,
        /// Where it may stand.
        interval: Interval,
    },
    /// Nothing breaks without it.
    Redundant {
        /// Others of which the same is true, and without both something does.
        twins: Vec<Twin>,
    },
    /// A search stopped, or the test is broken already; says why.
    Unknown(String),
    /// It was not taken out; says why.
    LeftOut(String),
}

/// What is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The obligation.
    pub code: &'static str,
    /// How.
    pub violation: Violation,
    /// The client that shows it, if clients were put around the path.
    pub client: Option<Arc<str>>,
}

/// The two cases in which the founding document asks for a notification under
/// the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Case {
    /// The page is freed before `range_end`.
    A,
    /// The entry is made to point to another page.
    B,
    /// Both.
    Both,
    /// Neither.
    Neither,
}

/// The case that is behind what is broken.
pub fn case(broken: &[Broken]) -> Case {
    let has = |code: &str| broken.iter().any(|broken| broken.code == code);
    match (has("FREE"), has("NEW")) {
        (true, true) => Case::Both,
        (true, false) => Case::A,
        (false, true) => Case::B,
        (false, false) => Case::Neither,
    }
}

/// Where a step may stand: everywhere from the one end to the other, and
/// nowhere right outside of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interval {
    /// After this step of the function.
    pub after: Bound,
    /// Before this step of the function.
    pub before: Bound,
    /// Whether that is under the page table lock.
    pub lock: Lock,
}

/// An end of an interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The step; `None` at the beginning of the function.
    pub name: Option<String>,
    /// Where it stands.
    pub place: Option<Place>,
    /// The notification is part of this step, and cannot leave it on this
    /// side.
    pub inside: bool,
    /// Why it may not stand on the other side of the step.
    pub why: Why,
}

/// Why an interval ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Something breaks there.
    Breaks(Vec<Broken>),
    /// The function ends there.
    Ends,
    /// What it is called with has another value there.
    Arguments,
    /// The search stopped.
    Unknown(String),
    /// Other places were not tried; says why.
    NotTried(&'static str),
}

/// Whether an interval is under the page table lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lock {
    /// All of it.
    Yes,
    /// Nothing of it.
    No,
    /// A part of it: the lock is not necessary.
    Either,
    /// The function takes no such lock.
    None,
}

/// A step that is redundant only as long as another one is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Twin {
    /// What it is.
    pub what: String,
    /// The function that it is in.
    pub function: String,
    /// Where.
    pub place: Option<Place>,
    /// What breaks without both.
    pub without: Vec<Broken>,
    /// The search without both stopped; whether they are twins is not known.
    pub unknown: Option<String>,
}

/// How much was searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// Programs that were explored.
    pub explorations: u64,
    /// States of all of them.
    pub states: u64,
    /// How long it took.
    pub time: Duration,
}

/// The clients that a path was asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clients {
    /// Up to this bound, as whoever made them says it.
    pub bound: String,
    /// So many.
    pub all: usize,
    /// So many more were not covered.
    pub refused: usize,
    /// So many were asked where a notification may stand: those that see
    /// something of their own if nobody is told anything, and the smallest.
    pub asked: usize,
}
