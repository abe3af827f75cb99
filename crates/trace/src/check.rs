//! From a recording to a report.

use std::collections::BTreeMap;

use crate::casemate::Log;
use crate::era::{Era, Known};
use crate::event::Event;
use crate::meaning::Meaning;
use crate::monitor::{Monitor, Report};
use crate::read::{Format, Item, Reader, Source, TimeUnit, TraceError};
use crate::world::Clock;

/// What is known beforehand.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The kernel, if somebody says it.
    pub era: Option<&'static Era>,
    /// The clock, if somebody says it, as the tracer calls it.
    pub clock: Option<String>,
}

/// What came out of a recording.
#[derive(Debug)]
pub struct Checked {
    /// What is known of the recording.
    pub source: Source,
    /// The kernel, as far as it is known.
    pub known: Option<Known>,
    /// The clock, and who says so.
    pub clock: ClockSaid,
    /// What the rules said of what was read.
    pub report: Report,
    /// Why reading ended before the end, if it did.
    pub error: Option<TraceError>,
    /// How many events named a page by an address that says nothing.
    pub pages_unknown: u64,
    /// What was found in a log of casemate, to which the rules do not apply.
    pub casemate: Option<Log>,
    /// Names of the threads, where the recording has them.
    pub threads: BTreeMap<u32, String>,
}

/// Which clock it is, and how that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClockSaid {
    /// Somebody said so.
    Asked(String),
    /// The recording names it.
    Recorded(String),
    /// Times are bare counts: `counter`, or `x86-tsc`.
    Ticks,
    /// Nobody knows.
    Unknown,
}

impl ClockSaid {
    /// What comparing its times of several CPUs is worth.
    ///
    /// `local` and `perf` run apart; `uptime` is too coarse to order anything.
    pub fn orders(&self) -> Clock {
        let name = match self {
            ClockSaid::Asked(name) | ClockSaid::Recorded(name) => name.as_str(),
            ClockSaid::Ticks => return Clock::Ordered,
            ClockSaid::Unknown => return Clock::PerCpu,
        };
        match name {
            "counter" | "global" | "mono" | "mono_raw" | "boot" | "tai" | "x86-tsc" | "nsecs"
            | "CLOCK_MONOTONIC" => Clock::Ordered,
            _ => Clock::PerCpu,
        }
    }
}

fn clock(options: &Options, source: &Source) -> ClockSaid {
    match (&options.clock, &source.clock, source.unit) {
        (Some(name), _, _) => ClockSaid::Asked(name.clone()),
        (None, Some(name), _) => ClockSaid::Recorded(name.clone()),
        (None, None, Some(TimeUnit::Ticks)) => ClockSaid::Ticks,
        (None, None, _) => ClockSaid::Unknown,
    }
}

/// Checks a recording; `each` is shown every event that means something.
pub fn check(mut reader: Reader, options: &Options, mut each: impl FnMut(&Event)) -> Checked {
    let mut meaning = Meaning::new(options.era);
    meaning.source(reader.source());
    let mut monitor = Monitor::new(clock(options, reader.source()).orders());
    let (mut time, mut begun) = (0, false);
    let mut threads: BTreeMap<u32, String> = BTreeMap::new();
    let mut casemate = (reader.source().format == Format::Casemate).then(Log::default);
    let error = loop {
        match reader.next() {
            Err(error) => break Some(error),
            Ok(None) => break None,
            Ok(Some(Item::Lost(lost))) => {
                let event = meaning.lost(&lost, time);
                each(&event);
                monitor.see(&event);
            }
            Ok(Some(Item::Event(raw))) => {
                time = raw.time;
                if let Some(log) = &mut casemate {
                    log.see(&raw);
                    continue;
                }
                if let Some(event) = meaning.of(&raw) {
                    if !raw.comm.is_empty() && !threads.contains_key(&raw.thread) {
                        threads.insert(raw.thread, raw.comm.to_owned());
                    }
                    if !begun {
                        // What times count is known with the first of them.
                        monitor.set_clock(clock(options, reader.source()).orders());
                        meaning.source(reader.source());
                        begun = true;
                    }
                    each(&event);
                    monitor.see(&event);
                }
            }
        }
    };
    let source = reader.source().clone();
    let known = meaning.known();
    Checked {
        clock: clock(options, &source),
        known,
        report: monitor.finish(known.map(|known| known.era)),
        error,
        pages_unknown: meaning.pages_unknown(),
        source,
        casemate,
        threads,
    }
}
