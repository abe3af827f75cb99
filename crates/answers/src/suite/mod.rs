//! A folder of tests against what its files expect.
//!
//! ```text
//! file -> open -> planned checks -> run (any order, any thread, any shard) -> cases, in order
//! ```
//!
//! [`plan`] reads an `expect` table as a list of work: every variant as the
//! file stands, and every setting that a line names. [`run`] does the work and
//! says of each check how it ended; only what a line speaks about and what was
//! found so is [as expected](Outcome::AsExpected). [`shard`] divides the work
//! among machines. [`bless()`] writes what was found into the table.

pub mod bless;
pub mod plan;
pub mod run;
pub mod shard;

pub use bless::{Blessing, Edit, bless};
pub use plan::{Asked, Planned};
pub use run::{Case, Opened, TestFile, Work};
pub use shard::Shard;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// A line of the table speaks about it, and it is so.
    AsExpected,
    /// A line says something else; or something is violated in a file that
    /// expects nothing at all.
    Differs,
    /// No line speaks about it.
    Unjudged,
    /// The checker has no meaning for it, or does not offer the setting.
    NotCovered,
    /// A limit was reached before the question was answered.
    Unknown,
    /// The text is wrong; nothing was checked.
    Input,
    /// The checker is at fault.
    Fault,
}

impl Outcome {
    /// As reports for programs name it.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::AsExpected => "as_expected",
            Outcome::Differs => "differs",
            Outcome::Unjudged => "unjudged",
            Outcome::NotCovered => "not_covered",
            Outcome::Unknown => "unknown",
            Outcome::Input => "input",
            Outcome::Fault => "fault",
        }
    }

    /// The outcome with this word.
    pub fn of_word(word: &str) -> Option<Outcome> {
        const ALL: [Outcome; 7] = [
            Outcome::AsExpected,
            Outcome::Differs,
            Outcome::Unjudged,
            Outcome::NotCovered,
            Outcome::Unknown,
            Outcome::Input,
            Outcome::Fault,
        ];
        ALL.into_iter().find(|outcome| outcome.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        assert_eq!(Outcome::of_word("not_covered"), Some(Outcome::NotCovered));
        assert_eq!(Outcome::of_word("passed"), None);
    }
}
