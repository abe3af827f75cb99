//! Where the notifications of a path may stand, as plain data.

use crate::explain::answer::{Broken, Clients, Work};
use crate::timeline::Place;

use super::Weights;

/// One variant of one file, under one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The test's name.
    pub test: String,
    /// The file, as it was named.
    pub file: String,
    /// `base`, or the switches that are on.
    pub variant: String,
    /// `sc`, `tso` or `ra`.
    pub model: String,
    /// Parameters of the machine with the values that were used, all of them.
    pub params: Vec<(String, String)>,
    /// What was taken out first.
    pub forgotten: Vec<Forgotten>,
    /// The flush of the CPUs would have told, and was made not to.
    pub flush_is_silent: bool,
    /// The functions that a notification could stand in.
    pub functions: Vec<String>,
    /// How many places there are in them.
    pub places: usize,
    /// What is broken as long as nobody tells.
    pub silent: Vec<Broken>,
    /// What was put to the test.
    pub exercised: Vec<&'static str>,
    /// What was not, or has no answer.
    pub not_exercised: Vec<&'static str>,
    /// What was found.
    pub outcome: Outcome,
    /// How much was looked at.
    pub covered: Covered,
    /// What one notification makes the machine do: invalidations posted, waits.
    pub price: (u32, u32),
    /// What costs were computed with.
    pub weights: Weights,
    /// The best one, as a change of files.
    pub patch: Patch,
    /// The clients that were put around the path.
    pub clients: Option<Clients>,
    /// What was searched.
    pub work: Work,
    /// What a reader of this has to know.
    pub notes: Vec<String>,
}

/// Something that told the secondary TLBs and was taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forgotten {
    /// `mmu_notifier_invalidate_range`.
    pub what: String,
    /// Where.
    pub place: Option<Place>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing is broken in silence.
    NotNeeded,
    /// These, the cheapest first. Each is right, and is wrong with a place less.
    Found(Vec<Placement>),
    /// None: this is broken even if all places tell.
    Impossible(Vec<Broken>),
    /// None was found, and not all was covered.
    Unknown,
}

/// Places that are right together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// What it costs.
    pub cost: u64,
    /// The places.
    pub spots: Vec<Spot>,
}

/// A place for a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// `mmu_notifier_invalidate_range(va)`.
    pub what: String,
    /// The function that it is in.
    pub function: String,
    /// The step that it stands before; of a `range_end`, the step itself.
    pub place: Option<Place>,
    /// A `range_end` that tells, in the place of one that does not.
    pub is_end: bool,
    /// It is put in before the end of a block.
    pub closes: bool,
    /// A page table lock is held.
    pub locked: bool,
    /// It tells more than one entry.
    pub whole: bool,
}

/// How much was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Covered {
    /// Every set of places.
    All,
    /// Those that cost no more than the dearest that is listed.
    Cheapest,
    /// Sets of at most so many places: with more of them more can happen here.
    UpTo(usize),
    /// A limit was reached; says which.
    Stopped(String),
}

/// A change of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Patch {
    /// There is nothing to place.
    None,
    /// The files have it already.
    Same,
    /// These files change. They were read again, and put to this many tests.
    Verified {
        /// The files.
        files: Vec<Changed>,
        /// The tests that are clean.
        tests: usize,
    },
    /// It was not put to all tests again; says why.
    Open(String),
    /// It was put to the tests again and did not hold; says how.
    Refused(String),
}

/// A file before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Its name.
    pub name: String,
    /// Its text.
    pub old: String,
    /// Its text with the notification.
    pub new: String,
}
