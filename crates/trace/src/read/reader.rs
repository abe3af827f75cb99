//! The reader: what it is given, and the one thing that it can be asked.

use std::io::Read;
use std::path::Path;

use super::{Cause, Item, Place, Source, TraceError, Wanted};

/// Reads one recording, event by event.
pub struct Reader {
    source: Source,
}

impl Reader {
    /// Opens a file, or standard input if its name is `-`.
    ///
    /// # Errors
    ///
    /// If it cannot be opened, is empty, or is in no format that is known.
    pub fn open(path: &Path, wanted: &Wanted) -> Result<Reader, TraceError> {
        let _ = (wanted.all, &wanted.events, &wanted.printed);
        Err(TraceError {
            source: path.display().to_string(),
            place: Place::Whole,
            cause: Cause::Unrecognised { looks_like: None },
        })
    }

    /// Reads what comes from anywhere; `name` is what messages call it.
    ///
    /// # Errors
    ///
    /// As [`Reader::open`].
    pub fn new(
        name: &str,
        input: impl Read + Send + 'static,
        wanted: &Wanted,
    ) -> Result<Reader, TraceError> {
        let _ = (input, wanted);
        Reader::open(Path::new(name), wanted)
    }

    /// The next event, in the order of their times, or a place where events are
    /// missing. `None` is the end. After an error there is nothing more to read.
    ///
    /// # Errors
    ///
    /// See [`Cause`].
    #[expect(clippy::should_implement_trait, reason = "an event borrows the reader's buffer")]
    pub fn next(&mut self) -> Result<Option<Item<'_>>, TraceError> {
        Ok(None)
    }

    /// What is known of the recording so far.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }
}
