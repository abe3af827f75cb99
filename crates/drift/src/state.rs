//! What became of a function that was read.

use std::fmt;

/// What became of a function that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Its text is the one that was read, but for comments and blanks.
    Unchanged,
    /// Its text is another.
    Changed,
    /// The file is there and does not define it.
    Gone,
    /// The file is not there.
    NoFile,
    /// The file uses the name, and the parser found no definition: whether
    /// something changed is not known.
    Unread,
    /// No digest of what was read is at hand.
    NotRecorded,
}

impl State {
    /// Whether a verdict about it is a verdict about this tree.
    pub fn holds(self) -> bool {
        self == State::Unchanged
    }

    /// As it is printed.
    pub fn word(self) -> &'static str {
        match self {
            State::Unchanged => "unchanged",
            State::Changed => "changed",
            State::Gone => "gone",
            State::NoFile => "no such file",
            State::Unread => "not readable",
            State::NotRecorded => "not recorded",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
