//! What a client is: threads of accesses and messages.

use std::fmt;

/// A step of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// Reads a page, by its place in the list of pages.
    Load(usize),
    /// Writes to it, each store a value of its own.
    Store(usize),
    /// Looks for a message: an acquire load of a word.
    Hear(usize),
    /// Sends a message: a release store to a word.
    Tell(usize),
}

impl Step {
    /// Whether it is an access of a page.
    pub fn is_access(self) -> bool {
        matches!(self, Step::Load(_) | Step::Store(_))
    }
}

/// A thread of a client.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Thread {
    /// Who runs it: its place in the list of agents.
    pub agent: usize,
    /// What it does, in order; never nothing.
    pub steps: Vec<Step>,
}

/// A program around a path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Client {
    /// The threads, devices before CPUs.
    pub threads: Vec<Thread>,
    /// What the path's own thread does when the path has returned.
    pub after: Vec<Step>,
}

impl Client {
    /// All steps, with the thread that they are of; the path's own comes last.
    pub fn steps(&self) -> impl Iterator<Item = (usize, Step)> {
        let threads = self.threads.iter().map(|thread| &thread.steps).chain([&self.after]);
        threads.enumerate().flat_map(|(at, steps)| steps.iter().map(move |step| (at, *step)))
    }

    /// Threads, accesses, messages, and how much is behind the path: what
    /// clients are ordered by, the smallest first.
    pub fn size(&self) -> (usize, usize, usize, usize) {
        let accesses = self.steps().filter(|(_, step)| step.is_access()).count();
        let messages = self.steps().count() - accesses;
        (self.threads.len(), accesses, messages, self.after.len())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Load(page) => write!(f, "R{page}"),
            Step::Store(page) => write!(f, "W{page}"),
            Step::Hear(word) => write!(f, "?{word}"),
            Step::Tell(word) => write!(f, "!{word}"),
        }
    }
}

impl fmt::Display for Client {
    /// `0: ?0 R0 | 1: W0 !0 | then -`: agents by number, and what follows the
    /// path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |steps: &[Step]| -> String {
            steps.iter().map(Step::to_string).collect::<Vec<_>>().join(" ")
        };
        for thread in &self.threads {
            write!(f, "{}: {} | ", thread.agent, line(&thread.steps))?;
        }
        match self.after.is_empty() {
            true => f.write_str("then -"),
            false => write!(f, "then {}", line(&self.after)),
        }
    }
}
