//! What a check found.

use crate::timeline::{Place, Timeline};

/// One variant of one file, under one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
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
    /// The final states, in herd's form.
    pub block: Block,
    /// A verdict for each obligation, in the order of `Obligation::ALL`, and
    /// then the rest.
    pub verdicts: Vec<Verdict>,
    /// What was searched.
    pub search: Search,
    /// Without which the test would not be clean; `None` if it is not, or if
    /// it was not asked for.
    pub guards: Option<Vec<Guard>>,
    /// What the `expect` table says of this setting.
    pub judgement: Judgement,
    /// Assumptions and warnings that a reader of this verdict has to know.
    pub notes: Vec<String>,
}

/// The final states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// `Allowed`, `Forbidden`, `Required`.
    pub kind: &'static str,
    /// `P0:r0=1; [x]=1;`, sorted, each once.
    pub states: Vec<String>,
    /// Whether the quantified condition is validated; `None` if the search
    /// did not come to an end.
    pub validated: Option<bool>,
    /// Final states that fulfil the proposition.
    pub satisfying: u64,
    /// Final states that do not.
    pub others: u64,
    /// `exists (P0:r0=1 /\ [x]=1)`.
    pub condition: String,
    /// 32 hexadecimal digits: of the file's text after includes and of the
    /// variant.
    pub hash: String,
}

/// What is said of one obligation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// `FREE`, `NEW`, ..., `REST`, `deadlock`, `sleep`, `unlock`, `range`,
    /// `undefined`, `warning`, `outcome`.
    pub code: &'static str,
    /// What is said.
    pub status: Status,
}

/// What is said of an obligation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It was put to the test and holds in every reachable state.
    Clean,
    /// It does not hold.
    Violated(Box<Violation>),
    /// No reachable state put it to the test; says why.
    NotExercised(String),
    /// The checker cannot answer; says why.
    NotCovered(String),
    /// A limit was reached; says how far the search came.
    Unknown(String),
}

/// How an obligation is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The steps that break it: where, and in which function; the earliest
    /// first.
    pub steps: Vec<BreakingStep>,
    /// One sentence.
    pub why: String,
    /// The shortest run.
    pub timeline: Timeline,
}

/// A step that breaks an obligation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakingStep {
    /// The primitive, or the function whose return it is.
    pub name: String,
    /// Where.
    pub place: Option<Place>,
}

/// How much was searched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// States of the machine.
    pub states: u64,
    /// Steps between them.
    pub transitions: u64,
    /// The distance of the farthest state.
    pub depth: u32,
    /// Bytes of the visited set.
    pub bytes: u64,
    /// States of ideal memory.
    pub ideal_states: u64,
    /// Everything was searched; otherwise why not: `stopped at 1,000,000
    /// states, complete to depth 17`.
    pub stopped: Option<String>,
    /// How long it took.
    pub time: std::time::Duration,
}

/// Something without which the test would not be clean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The step that was taken out.
    pub what: String,
    /// Where.
    pub place: Option<Place>,
    /// What is broken without it: codes, or empty if it does not matter.
    pub without: Vec<&'static str>,
    /// Nothing is broken as far as the search came, and it reached a limit.
    pub unknown: bool,
}

/// What the `expect` table says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Nothing.
    Unjudged,
    /// What was found.
    Met {
        /// The line of the table.
        place: Place,
    },
    /// Something else.
    Differs {
        /// The line of the table.
        place: Place,
        /// One line for each difference.
        differences: Vec<String>,
    },
}
