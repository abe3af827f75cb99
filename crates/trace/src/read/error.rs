//! Why reading ended before the end.

use std::fmt;

use super::Format;

/// Why reading ended, where, and what to do about it. What was read before is valid.
#[derive(Debug)]
pub struct TraceError {
    /// The file, or `standard input`.
    pub source: String,
    /// Where.
    pub place: Place,
    /// Why.
    pub cause: Cause,
}

/// A place in a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The recording as a whole.
    Whole,
    /// A line, counted from 1.
    Line(u64),
    /// A byte, counted from 0; of what is inside a compressed file.
    Byte(u64),
}

/// What was wrong.
#[derive(Debug)]
#[non_exhaustive]
pub enum Cause {
    /// The file cannot be opened or read.
    Io(std::io::Error),
    /// Nothing in it.
    Empty,
    /// No format that is known; what it looks like, if that can be told.
    Unrecognised {
        /// What it looks like.
        looks_like: Option<&'static str>,
    },
    /// A line that this format does not have.
    NotALine {
        /// The format of the lines before.
        format: Format,
        /// What the line would be in another format, or what it lacks.
        hint: &'static str,
        /// The line, shortened.
        line: String,
    },
    /// The recording ends in the middle of a line or record.
    Cut {
        /// What was cut.
        what: &'static str,
    },
    /// The compressed data around the recording is damaged or cut.
    Compression {
        /// What the decompressor says.
        reason: String,
    },
    /// A line without end.
    LongLine,
    /// A number that no kernel prints there.
    Number {
        /// What it should be.
        what: &'static str,
        /// What is written.
        written: String,
    },
    /// Time goes back.
    Backwards {
        /// The time before.
        before: u64,
        /// The time here.
        here: u64,
        /// The CPU of both, if it is the same one.
        cpu: Option<u32>,
    },
    /// Events are further out of order than the window in which they are sorted.
    Disorder {
        /// How many events the window holds.
        window: usize,
        /// By how much the event is late.
        by: u64,
    },
    /// A binary recording that contradicts itself.
    Damaged {
        /// What is wrong.
        what: String,
    },
    /// A binary recording with something that is not read here.
    NotRead {
        /// What.
        what: String,
        /// What to do.
        instead: &'static str,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Whole => Ok(()),
            Place::Line(line) => write!(f, ":{line}"),
            Place::Byte(byte) => write!(f, ": byte {byte}"),
        }
    }
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}: {}", self.source, self.place, self.cause)
    }
}

impl std::error::Error for TraceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Cause::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Io(error) => write!(f, "cannot be read: {error}"),
            Cause::Empty => {
                f.write_str("empty; was tracing on, and were events enabled, when it was saved?")
            }
            Cause::Unrecognised { looks_like } => {
                match looks_like {
                    Some(what) => write!(f, "looks like {what}, which is not read; ")?,
                    None => f.write_str("no trace that is known; ")?,
                }
                f.write_str(
                    "give the text of tracefs, trace-cmd report, perf script or our bpftrace \
                     program, or a trace.dat",
                )
            }
            Cause::NotALine { format, hint, line } => {
                write!(f, "not a line of {format}: {hint}; the line is `{line}`")
            }
            Cause::Cut { what } => {
                write!(f, "ends in the middle of {what}; copy or record the rest")
            }
            Cause::Compression { reason } => {
                write!(f, "the compressed data is damaged or cut: {reason}; copy it again")
            }
            Cause::LongLine => f.write_str("a line without end; this is no text"),
            Cause::Number { what, written } => {
                write!(f, "`{written}` is no {what}; the line is damaged")
            }
            Cause::Backwards { before, here, cpu } => {
                write!(f, "time goes back from {before} to {here}")?;
                if let Some(cpu) = cpu {
                    write!(f, " on CPU {cpu}")?;
                }
                f.write_str("; are these two recordings in one file? Give each of them alone")
            }
            Cause::Disorder { window, by } => write!(
                f,
                "an event is {by} ns late, more than {window} events are between; sort the lines \
                 by their first column"
            ),
            Cause::Damaged { what } => write!(f, "{what}; record again"),
            Cause::NotRead { what, instead } => write!(f, "{what}, which is not read; {instead}"),
        }
    }
}

impl Cause {
    /// What a stream says that cannot go on: damage inside a compressed one, or the
    /// system's refusal.
    pub(super) fn of_stream(error: std::io::Error) -> Cause {
        use std::io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
        match error.kind() {
            InvalidData | InvalidInput | Other | UnexpectedEof => {
                Cause::Compression { reason: error.to_string() }
            }
            _ => Cause::Io(error),
        }
    }
}
