//! Ctrl-C: the first one ends what is being searched, and what was found until
//! then is printed; the second one ends the program.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
#[cfg(unix)]
use std::time::{Duration, Instant};

/// The shell's status for a program that SIGINT ended.
#[cfg(unix)]
const KILLED: i32 = 130;
/// Signals so close together are one wish: `timeout` signals the program, and then
/// the group that it is in.
#[cfg(unix)]
const SAME: Duration = Duration::from_millis(300);

/// Set once somebody has asked for an end. From the first call on a signal is
/// noted and no longer ends the program by itself.
pub(super) fn asked() -> Arc<AtomicBool> {
    static ASKED: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    Arc::clone(ASKED.get_or_init(|| {
        let asked = Arc::new(AtomicBool::new(false));
        noted(&asked);
        asked
    }))
}

/// Whether somebody has.
pub(super) fn is_asked() -> bool {
    asked().load(Ordering::Relaxed)
}

#[cfg(unix)]
fn noted(asked: &Arc<AtomicBool>) {
    use signal_hook::consts::{SIGINT, SIGTERM};
    // Where a signal cannot be caught it ends the program, as ever.
    let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGINT, SIGTERM]) else { return };
    let asked = Arc::clone(asked);
    std::thread::spawn(move || {
        let mut first: Option<Instant> = None;
        for _ in signals.forever() {
            asked.store(true, Ordering::Relaxed);
            if *first.get_or_insert_with(Instant::now) + SAME < Instant::now() {
                std::process::exit(KILLED);
            }
        }
    });
}

#[cfg(not(unix))]
fn noted(_: &Arc<AtomicBool>) {}
