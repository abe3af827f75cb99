//! `trace.dat`, the binary recordings of trace-cmd, versions 6 and 7.

mod bprint;
mod file;
mod header;
mod page;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::fs::File;

use super::names::{Names, Want};
use super::record::Record;
use super::{Body, Cause, Flags, Format, Item, Lost, Place, RawEvent, Source, TimeUnit};
use file::{Error, Storage};
use header::{Described, Header};
use page::Stream;

/// Clocks that count instead of measuring.
const COUNTING: [&str; 3] = ["counter", "x86-tsc", "ppc-tb"];

/// Reads a recording, all CPUs in the order of time.
pub(super) struct TraceDat {
    storage: Storage,
    events: HashMap<u16, Described>,
    comms: HashMap<u32, String>,
    printk: HashMap<u64, String>,
    wanted: HashMap<u16, Kind>,
    names: Names,
    streams: Vec<Stream>,
    long: usize,
    /// The next event of each stream.
    heads: BinaryHeap<Reverse<(u64, usize)>>,
    /// The stream whose event was delivered last; it has to go on.
    delivered: Option<usize>,
    records: u64,
    /// The name and text of what was printed.
    printed: String,
    failed: Option<Error>,
}

/// What is to be done with the records of an event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Wanted,
    /// `print` or `bputs`: the text is in it.
    Printed,
    /// `bprint`: the text has to be put together.
    Formatted,
}

/// What the next record came to.
enum Found {
    Record { stream: usize, id: u16 },
    Printed { stream: usize, name: usize },
}

impl TraceDat {
    pub(super) fn new(file: File, names: Names, source: &mut Source) -> Result<TraceDat, Error> {
        let mut storage = Storage::new(file).map_err(|error| (Place::Whole, Cause::Io(error)))?;
        let header = Header::read(&mut storage)?;
        source.format = Format::TraceDat { version: header.version };
        source.cpus = header.cpus;
        source.unit = Some(match &header.clock {
            Some(clock) if COUNTING.contains(&clock.as_str()) => TimeUnit::Ticks,
            _ => TimeUnit::Nanoseconds { resolution: 1 },
        });
        source.clock.clone_from(&header.clock);
        source.kernel.clone_from(&header.kernel);
        source.recorder.clone_from(&header.recorder);
        let layout = header.layout(&storage);
        let streams: Vec<Stream> =
            header.extents.iter().map(|extent| Stream::new(extent.clone(), layout)).collect();
        let wanted = header
            .events
            .iter()
            .filter_map(|(id, event)| Some((*id, kind(event, &names)?)))
            .collect();
        let mut recording = TraceDat {
            storage,
            events: header.events,
            comms: header.comms,
            printk: header.printk,
            wanted,
            names,
            streams,
            long: header.long,
            heads: BinaryHeap::new(),
            delivered: None,
            records: 0,
            printed: String::new(),
            failed: None,
        };
        for stream in 0..recording.streams.len() {
            recording.advance(stream);
        }
        Ok(recording)
    }

    /// What is wrong with one CPU's data ends the reading there: what comes later in
    /// time has no complete past.
    fn advance(&mut self, stream: usize) {
        if self.failed.is_some() {
            return;
        }
        match self.streams[stream].advance(&mut self.storage) {
            Ok(true) => self.heads.push(Reverse((self.streams[stream].time, stream))),
            Ok(false) => {}
            Err(error) => self.failed = Some(error),
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<Item<'_>>, Error> {
        let found = loop {
            if let Some(stream) = self.delivered.take() {
                self.advance(stream);
            }
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            let Some(&Reverse((_, stream))) = self.heads.peek() else { return Ok(None) };
            if let Some(events) = self.streams[stream].lost.take() {
                let cpu = Some(self.streams[stream].extent.cpu);
                let since = self.streams[stream].whole_until;
                return Ok(Some(Item::Lost(Lost { place: self.records + 1, cpu, events, since })));
            }
            self.heads.pop();
            self.delivered = Some(stream);
            self.records += 1;
            if let Some(found) = self.find(stream) {
                break found;
            }
        };
        let (stream, name, printed) = match found {
            Found::Record { stream, id } => (stream, self.events[&id].layout.name.as_str(), false),
            Found::Printed { stream, name } => (stream, &self.printed[..name], true),
        };
        let data = self.streams[stream].record();
        let id = self.storage.numbers.u16([data[0], data[1]]);
        let described = &self.events[&id];
        let thread = self.storage.numbers.u32([data[4], data[5], data[6], data[7]]);
        let body = if printed {
            Body::Text(self.printed[name.len()..].trim_matches([' ', ':', '\n']))
        } else {
            Body::Record(Record::new(&described.layout, data, self.storage.numbers.big_endian))
        };
        Ok(Some(Item::Event(RawEvent {
            place: self.records,
            time: self.streams[stream].time,
            cpu: self.streams[stream].extent.cpu,
            thread,
            tgid: None,
            comm: self.comms.get(&thread).map_or("<...>", String::as_str),
            flags: Some(Flags::from_record(data[2], data[3])),
            system: Some(&described.system),
            name,
            printed,
            body,
        })))
    }

    /// Whether the current record of a stream is wanted.
    fn find(&mut self, stream: usize) -> Option<Found> {
        let data = self.streams[stream].record();
        let id = match *data {
            [a, b, _, _, _, _, _, _, ..] => self.storage.numbers.u16([a, b]),
            _ => return None,
        };
        let kind = *self.wanted.get(&id)?;
        if kind == Kind::Wanted {
            return Some(Found::Record { stream, id });
        }
        let record = Record::new(&self.events[&id].layout, data, self.storage.numbers.big_endian);
        let text = match kind {
            Kind::Formatted => {
                let format = self.printk.get(&record.number("fmt")?)?;
                let arguments = record.rest("buf")?;
                bprint::text(format, arguments, self.storage.numbers, self.long)
            }
            _ => record.text("buf")?.to_owned(),
        };
        let name = text.find([' ', '=', ':', ',', '\n']).unwrap_or(text.len());
        self.names.printed(&text.as_bytes()[..name]).then(|| {
            self.printed = text;
            Found::Printed { stream, name }
        })
    }
}

fn kind(event: &Described, names: &Names) -> Option<Kind> {
    match names.event(event.layout.name.as_bytes()) {
        Want::Event => Some(Kind::Wanted),
        Want::IfPrinted if event.system == "ftrace" => match event.layout.name.as_str() {
            "print" => Some(Kind::Printed),
            "bprint" => Some(Kind::Formatted),
            _ => None,
        },
        _ => None,
    }
}
