//! What is known of a recording as a whole.

use std::fmt;

/// How a recording is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// The files `trace` and `trace_pipe` of tracefs.
    Ftrace,
    /// `trace-cmd report`.
    TraceCmdReport,
    /// `perf script`.
    PerfScript,
    /// Our own bpftrace program.
    Bpftrace,
    /// `trace.dat` of version 6 or 7.
    TraceDat {
        /// 6 or 7.
        version: u8,
    },
    /// Logs of casemate.
    Casemate,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Format::Ftrace => f.write_str("ftrace text"),
            Format::TraceCmdReport => f.write_str("trace-cmd report"),
            Format::PerfScript => f.write_str("perf script"),
            Format::Bpftrace => f.write_str("bpftrace output"),
            Format::TraceDat { version } => write!(f, "trace.dat version {version}"),
            Format::Casemate => f.write_str("casemate log"),
        }
    }
}

/// What was around the recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

/// What [`RawEvent::time`](super::RawEvent::time) counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimeUnit {
    /// Nanoseconds, of which the last digits may be zeros because the text has none.
    Nanoseconds {
        /// What one unit of the last digit that was written is: 1000 for microseconds.
        resolution: u32,
    },
    /// A bare count: the clocks `counter` (a total order of all events) and `x86-tsc`
    /// print one.
    Ticks,
}

/// What is known of a recording as a whole. Fields are filled in as it is read: what
/// stands in a header is there once the [`Reader`](super::Reader) is open.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Source {
    /// The file, or `standard input`.
    pub name: String,
    /// How it is written.
    pub format: Format,
    /// What was around it.
    pub compression: Option<Compression>,
    /// The clock, if the recording names it, as the tracer calls it (`mono`, `local`,
    /// `counter`). Text of ftrace does not.
    pub clock: Option<String>,
    /// What times count, once an event was seen.
    pub unit: Option<TimeUnit>,
    /// How many CPUs the recording is about.
    pub cpus: Option<u32>,
    /// Entries that were in the ring buffer when it was printed, and entries ever
    /// written to it. Fewer in it than written means that the oldest were overwritten.
    pub entries: Option<(u64, u64)>,
    /// Release of the kernel (`6.12.107+deb13-amd64`).
    pub kernel: Option<String>,
    /// The version of the tool that recorded, if it is named.
    pub recorder: Option<String>,
}
