//! What a replay did, or why it did not.

use std::fmt;

use address_space::{Operation, Pfn, Stage};

/// A run of the checker, as it went on an address space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// In the order in which they were taken.
    pub steps: Vec<ReplayedStep>,
    /// What the test looks at in the end, and what it held: as the checker has
    /// it, and as it was read from the address space.
    pub values: Vec<(String, String)>,
    /// A device reached a page that nobody has any more: what it read there.
    pub reached_free: Option<String>,
}

/// Something that a thread of the address space did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayedStep {
    /// Place of the step in the run, from 0; a fill has that of the access it
    /// is for.
    pub step: usize,
    /// The thread, as in the file.
    pub thread: String,
    /// The text of the step: `ptep_clear_flush(vmf->pte)`.
    pub text: String,
    /// What the address space did for it.
    pub did: Did,
}

/// What the address space did for a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Did {
    /// A thread went on in an operation, up to this stage.
    Reached(Operation, Stage),
    /// An operation came to its end.
    Returned(String),
    /// An access was performed.
    Accessed {
        /// The page, or the word.
        name: String,
        /// The value that was read or written.
        value: i64,
        /// The frame that was reached, if it was translated.
        frame: Option<Pfn>,
        /// Whether it was a store.
        write: bool,
    },
    /// A TLB took an entry that the run needs later.
    Filled {
        /// The page.
        page: String,
        /// The frame that it leads to.
        frame: Pfn,
    },
    /// A frame was taken from the allocator.
    Allocated(Pfn),
}

/// Why a run cannot be replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Place of the step in the run at which it ended, if it had begun.
    pub step: Option<usize>,
    /// The thread and the text of that step, and where it stands:
    /// `D0 READ_ONCE(*a) (doorbell.litmus:57:16)`.
    pub at: String,
    /// One sentence.
    pub why: String,
    /// What was done until then.
    pub steps: Vec<ReplayedStep>,
}

impl fmt::Display for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Did::Reached(operation, stage) => write!(f, "{operation:?} comes to {stage:?}"),
            Did::Returned(what) => write!(f, "{what} returns"),
            Did::Accessed { name, value, frame, write } => {
                let verb = if *write { "writes" } else { "reads" };
                write!(f, "{verb} {name} = {value}")?;
                frame.map_or(Ok(()), |frame| write!(f, " in frame {frame}"))
            }
            Did::Filled { page, frame } => write!(f, "the TLB takes {page} -> frame {frame}"),
            Did::Allocated(frame) => write!(f, "takes frame {frame} from the allocator"),
        }
    }
}

impl fmt::Display for ReplayedStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>3}  {:<4} {:<48} {}", self.step, self.thread, self.text, self.did)
    }
}

impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        let values = self.values.iter().map(|(name, value)| format!("{name}={value};"));
        writeln!(f, "{}", values.collect::<Vec<_>>().join(" "))?;
        self.reached_free.as_ref().map_or(Ok(()), |what| writeln!(f, "{what}"))
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            Some(step) => write!(f, "step {step}, {}: {}", self.at, self.why),
            None => f.write_str(&self.why),
        }
    }
}

impl std::error::Error for Refused {}
