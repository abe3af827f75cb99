//! The reader: what it is given, and the one thing that it can be asked.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use super::casemate::Casemate;
use super::dat::TraceDat;
use super::lines::Lines;
use super::names::Names;
use super::recognise::TRACE_DAT;
use super::text::Text;
use super::{Cause, Compression, Format, Item, Place, Source, TraceError, Wanted, recognise};

/// Reads one recording, event by event.
pub struct Reader {
    source: Source,
    recording: Recording,
    /// Nothing more is to be read.
    ended: bool,
}

enum Recording {
    Text(Box<Text>),
    Casemate(Box<Casemate>),
    Binary(Box<TraceDat>),
}

impl Reader {
    /// Opens a file, or standard input if its name is `-`.
    ///
    /// # Errors
    ///
    /// If it cannot be opened, is empty, or is in no format that is known.
    pub fn open(path: &Path, wanted: &Wanted) -> Result<Reader, TraceError> {
        if path == Path::new("-") {
            return Reader::new("standard input", std::io::stdin(), wanted);
        }
        let name = path.display().to_string();
        let opened = File::open(path).and_then(|mut file| {
            // What has no length, a pipe, cannot be read in any order.
            let is_binary = file.metadata()?.is_file() && {
                let mut first = Vec::new();
                (&file).take(TRACE_DAT.len() as u64).read_to_end(&mut first)?;
                file.rewind()?;
                first == TRACE_DAT
            };
            Ok((file, is_binary))
        });
        match opened {
            Ok((file, true)) => Reader::binary(&name, file, None, wanted),
            Ok((file, false)) => Reader::new(&name, file, wanted),
            Err(error) => {
                Err(TraceError { source: name, place: Place::Whole, cause: Cause::Io(error) })
            }
        }
    }

    fn binary(
        name: &str,
        file: File,
        compression: Option<Compression>,
        wanted: &Wanted,
    ) -> Result<Reader, TraceError> {
        let mut source = Source::new(name, Format::TraceDat { version: 0 }, compression);
        match TraceDat::new(file, Names::new(wanted), &mut source) {
            Ok(recording) => Ok(Reader {
                source,
                recording: Recording::Binary(Box::new(recording)),
                ended: false,
            }),
            Err((place, cause)) => Err(TraceError { source: name.to_owned(), place, cause }),
        }
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
        let error = |cause| TraceError { source: name.to_owned(), place: Place::Whole, cause };
        let (input, compression) =
            recognise::unpack(Box::new(input)).map_err(|cause| error(Cause::of_stream(cause)))?;
        let mut lines = Lines::new(input);
        if lines.peek(TRACE_DAT.len()) == TRACE_DAT {
            // Its parts are read in another order than they come.
            let mut file = tempfile::tempfile().map_err(|cause| error(Cause::Io(cause)))?;
            std::io::copy(&mut lines.into_stream(), &mut file)
                .map_err(|cause| error(Cause::of_stream(cause)))?;
            return Reader::binary(name, file, compression, wanted);
        }
        let (format, ordered) = recognise::text(&mut lines).map_err(error)?;
        let mut source = Source::new(name, format, compression);
        let names = Names::new(wanted);
        let recording = match format {
            Format::Casemate => {
                source.clock = Some("counter".to_owned());
                Recording::Casemate(Box::new(Casemate::new(lines, names)))
            }
            _ => Recording::Text(Box::new(Text::new(lines, format, ordered, names))),
        };
        Ok(Reader { source, recording, ended: false })
    }

    /// The next event, in the order of their times, or a place where events are
    /// missing. `None` is the end. After an error there is nothing more to read.
    ///
    /// # Errors
    ///
    /// See [`Cause`].
    #[expect(clippy::should_implement_trait, reason = "an event borrows the reader's buffer")]
    pub fn next(&mut self) -> Result<Option<Item<'_>>, TraceError> {
        if self.ended {
            return Ok(None);
        }
        let next = match &mut self.recording {
            Recording::Text(text) => text.next(&mut self.source),
            Recording::Casemate(log) => log.next(),
            Recording::Binary(recording) => recording.next(),
        };
        match next {
            Ok(Some(item)) => Ok(Some(item)),
            Ok(None) => {
                self.ended = true;
                Ok(None)
            }
            Err((place, cause)) => {
                self.ended = true;
                Err(TraceError { source: self.source.name.clone(), place, cause })
            }
        }
    }

    /// What is known of the recording so far.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }
}

impl Source {
    fn new(name: &str, format: Format, compression: Option<Compression>) -> Source {
        Source {
            name: name.to_owned(),
            format,
            compression,
            // bpftrace's `nsecs` is the time since boot.
            clock: (format == Format::Bpftrace).then(|| "boot".to_owned()),
            unit: (format == Format::Bpftrace)
                .then_some(super::TimeUnit::Nanoseconds { resolution: 1 }),
            cpus: None,
            entries: None,
            kernel: None,
            recorder: None,
        }
    }
}
