//! Recording on the kernel that runs here.
//!
//! Everything happens in a trace instance of its own, with probes in a group of its
//! own. `Session` takes them away again when it is dropped, also when the recording
//! is interrupted: signals are only noted, and looked at between two looks at the
//! command.

mod session;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use session::Session;
use shootdown_trace::era::{Era, How};

use crate::command::probes::era_of;
use crate::command::record::Arguments;
use crate::command::status::Status;

/// Signals that end a recording before its command does.
const ENDING: [i32; 3] =
    [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP];
/// How often the command is looked at.
const TURN: Duration = Duration::from_millis(20);

/// Records the command.
///
/// # Errors
///
/// Says why nothing can be recorded here, or why the recording could not be kept.
pub fn record(arguments: &Arguments, out: &mut dyn Write) -> Result<Status, String> {
    let (kernel, era) = era_of(None)?;
    // Before anything is changed: from here on a signal does not end us.
    let seen = Arc::new(AtomicUsize::new(0));
    for signal in ENDING {
        let number = usize::try_from(signal).unwrap_or(1);
        signal_hook::flag::register_usize(signal, Arc::clone(&seen), number)
            .map_err(|error| format!("signal {signal} cannot be caught: {error}"))?;
    }
    let session = Session::open(Path::new("/sys/kernel/tracing"))?;
    session.clock(&arguments.clock)?;
    session.buffer(arguments.buffer)?;
    let missing = enable(&session, era, arguments.tracepoints_only);
    for line in &missing {
        let _ = writeln!(out, "not recorded: {line}");
    }
    session.on()?;
    let ended = command(&arguments.command, &seen);
    session.off();
    let (events, lost) = session.save(&arguments.output)?;
    let interrupted = seen.load(Ordering::SeqCst) != 0;
    drop(session);

    let how = match ended? {
        Some(status) if status.success() => "ended".to_owned(),
        Some(status) => format!("ended with {status}"),
        None => "was interrupted".to_owned(),
    };
    let _ = writeln!(
        out,
        "{}: {events} events of Linux {kernel}, clock {}; the command {how}",
        arguments.output.display(),
        arguments.clock,
    );
    if lost > 0 {
        let _ = writeln!(
            out,
            "{lost} events did not fit and are lost; --buffer {} gives them room",
            u64::from(arguments.buffer) * 4
        );
    }
    let counts = matches!(arguments.clock.as_str(), "counter" | "x86-tsc");
    let clock = if counts { String::new() } else { format!(" --clock {}", arguments.clock) };
    let _ = writeln!(out, "next: shootdown trace{clock} {}", arguments.output.display());
    Ok(Status { open: events == 0 || interrupted, ..Status::default() })
}

/// Turns on what can be; what cannot, and why.
fn enable(session: &Session, era: &Era, tracepoints_only: bool) -> Vec<String> {
    let mut missing = Vec::new();
    let mut refused: Option<(usize, String)> = None;
    for probe in era.probes {
        match probe.how {
            How::Printed => {}
            How::Tracepoint { system, .. } => {
                if let Err(why) = session.tracepoint(system, probe.name) {
                    missing.push(format!("{system}:{}: {why}", probe.name));
                }
            }
            How::Entry { .. } | How::Return { .. } if tracepoints_only => {}
            How::Entry { .. } | How::Return { .. } => {
                if let Err(why) = session.probe(probe) {
                    match &mut refused {
                        // Where the kernel has none at all one line is enough.
                        Some((count, first)) if *first == why => *count += 1,
                        Some(_) => missing.push(format!("{}: {why}", probe.name)),
                        None => refused = Some((1, why)),
                    }
                }
            }
        }
    }
    if let Some((count, why)) = refused {
        missing.insert(
            0,
            format!("{count} probes on functions (ranges, invalidations, entries): {why}"),
        );
    }
    missing
}

/// Runs the command to its end, or until a signal says otherwise.
fn command(words: &[String], seen: &AtomicUsize) -> Result<Option<ExitStatus>, String> {
    let (name, rest) = words.split_first().ok_or("no command is given")?;
    let mut child = Command::new(name)
        .args(rest)
        .spawn()
        .map_err(|error| format!("`{name}` cannot be run: {error}"))?;
    loop {
        match child.try_wait() {
            Err(error) => return Err(format!("`{name}` is lost: {error}")),
            Ok(Some(status)) => return Ok(Some(status)),
            Ok(None) => {}
        }
        if seen.load(Ordering::SeqCst) != 0 {
            end(&mut child);
            return Ok(None);
        }
        thread::sleep(TURN);
    }
}

/// Asks the command to end, and makes it after a while.
fn end(child: &mut Child) {
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(id) = id {
        let _ = kill_process(id, Signal::TERM);
    }
    for _ in 0..100 {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        thread::sleep(TURN);
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Reads a small file of tracefs.
fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
