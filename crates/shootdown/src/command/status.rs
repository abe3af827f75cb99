//! The exit status: one number for everything that was said.

use std::process::ExitCode;

/// What a command has found, from best to worst for the exit status: if several
/// apply the first of 4, 2, 1, 3 is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The program is at fault.
    pub internal: bool,
    /// The input is wrong.
    pub input: bool,
    /// A verdict differs from what was expected, or something is violated that
    /// nobody expected.
    pub differs: bool,
    /// A limit was reached, something is not covered, or nothing was put to the
    /// test.
    pub open: bool,
}

impl Status {
    /// The number.
    pub fn number(self) -> u8 {
        match self {
            Status { internal: true, .. } => 4,
            Status { input: true, .. } => 2,
            Status { differs: true, .. } => 1,
            Status { open: true, .. } => 3,
            _ => 0,
        }
    }

    /// Both.
    pub fn and(self, other: Status) -> Status {
        Status {
            internal: self.internal | other.internal,
            input: self.input | other.input,
            differs: self.differs | other.differs,
            open: self.open | other.open,
        }
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> ExitCode {
        ExitCode::from(status.number())
    }
}

/// For `--help`.
pub const HELP: &str = "\
Exit status:
  0  as expected; without an expectation: something was put to the test, and it holds
  1  a verdict differs from the expectation, or something is violated
  2  bad input
  3  a limit was reached, something is not covered, or nothing was put to the test
  4  an internal fault
If several apply: 4, 2, 1, 3.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_wins() {
        let all = Status { internal: true, input: true, differs: true, open: true };
        assert_eq!(all.number(), 4);
        assert_eq!(Status { internal: false, ..all }.number(), 2);
        assert_eq!(Status { differs: true, open: true, ..Status::default() }.number(), 1);
        assert_eq!(Status { open: true, ..Status::default() }.number(), 3);
        assert_eq!(Status::default().number(), 0);
    }
}
