//! The rules on recordings of real kernels: nothing is found where all is right, what
//! is wrong is found, and what was made wrong is noticed.

mod casemate;
mod counts;
mod damaged;
mod lost;
mod mutations;
mod needs;

use std::path::{Path, PathBuf};

use mmu_protocol::MmId;
use shootdown_trace::check::{Checked, Options, check};
use shootdown_trace::event::Event;
use shootdown_trace::meaning;
use shootdown_trace::monitor::{Monitor, Report, Row};
use shootdown_trace::read::Reader;
use shootdown_trace::rules::Rule;
use shootdown_trace::world::Clock;

fn recording(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces").join(name)
}

/// Checks a recording, and keeps its events.
fn checked(name: &str, options: &Options) -> (Checked, Vec<Event>) {
    let reader = Reader::open(&recording(name), &meaning::wanted()).unwrap();
    let mut events = Vec::new();
    let checked = check(reader, options, |event| events.push(*event));
    assert!(checked.error.is_none(), "{:?}", checked.error);
    (checked, events)
}

fn with_clock(name: &str) -> Options {
    Options { clock: Some(name.to_owned()), ..Options::default() }
}

/// Runs the rules over events, numbered anew.
fn again(events: impl IntoIterator<Item = Event>) -> Report {
    let mut monitor = Monitor::new(Clock::Ordered);
    for (place, mut event) in (1..).zip(events) {
        event.at.place = place;
        monitor.see(&event);
    }
    monitor.finish(None)
}

/// The row of a rule, where there is one address space.
fn row(report: &Report, rule: Rule) -> &Row {
    let [mm]: [MmId; 1] = report.mms[..].try_into().expect("one address space");
    report.row(rule, Some(mm)).expect("each rule has a row")
}
