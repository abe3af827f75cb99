//! How far a command has come: one line of a terminal, drawn over and over, and
//! gone when the command speaks. On anything else there is none.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use shootdown_explore::Progress;

use crate::draw::thousands;

/// How often a line is drawn at most. Whatever is over before that is never drawn.
const TURN: Duration = Duration::from_millis(100);

/// A line of a terminal.
pub(super) struct Line {
    drawn: Mutex<Drawn>,
}

struct Drawn {
    last: Instant,
    is_there: bool,
}

impl Line {
    /// A line, if somebody looks at a terminal.
    pub(super) fn new() -> Option<Arc<Line>> {
        let drawn = Drawn { last: Instant::now(), is_there: false };
        std::io::stderr().is_terminal().then(|| Arc::new(Line { drawn: Mutex::new(drawn) }))
    }

    /// Draws it, if it is time.
    pub(super) fn draw(&self, text: impl FnOnce() -> String) {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        if drawn.last.elapsed() >= TURN {
            eprint!("\r{}\x1b[K\r", text());
            *drawn = Drawn { last: Instant::now(), is_there: true };
        }
    }

    /// Takes it away.
    pub(super) fn clear(&self) {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut drawn.is_there) {
            eprint!("\r\x1b[K");
        }
    }
}

/// Who is told how far a search has come.
pub(super) type Told = Arc<dyn Fn(Progress) + Send + Sync>;

/// Draws how far a search has come.
pub(super) fn search(line: Option<&Arc<Line>>) -> Option<Told> {
    let line = Arc::clone(line?);
    Some(Arc::new(move |progress: Progress| {
        line.draw(|| format!("{} states, depth {}", thousands(progress.states), progress.depth));
    }))
}
