//! The pages of one CPU's ring buffer, one after the other.
//!
//! A page has the time of its first event, the number of bytes in use with two flags
//! for lost events, and then events: a word of which 5 bits are a type or a length and
//! 27 bits the time since the event before, and the record. (`header_page` and
//! `header_event` in every recording say so; the flags are in
//! kernel/trace/ring_buffer.c.)

use super::file::{Error, Numbers, Storage, damaged};
use crate::read::{Cause, Place};

const MISSED: u64 = 1 << 31;
const MISSED_COUNTED: u64 = 1 << 30;
const IN_USE: u64 = (1 << 27) - 1;

const PADDING: u32 = 29;
const TIME_EXTEND: u32 = 30;
const TIME_STAMP: u32 = 31;
/// A time stamp has 59 bits; the others are those of the time before.
const STAMP_BITS: u32 = 59;

/// Where a CPU's pages are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) cpu: u32,
    pub(super) at: u64,
    pub(super) size: u64,
    pub(super) page: usize,
    pub(super) packed: bool,
}

/// How the kernel wrote.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) numbers: Numbers,
    /// Bytes of a kernel's `long`.
    pub(super) long: usize,
}

/// One CPU's events.
pub(super) struct Stream {
    pub(super) extent: Extent,
    layout: Layout,
    /// The next page or chunk in the file.
    next: u64,
    /// Chunks not yet read.
    chunks: Option<u32>,
    chunk: Vec<u8>,
    in_chunk: usize,
    page: Vec<u8>,
    /// Where the page is, for messages.
    page_at: u64,
    at: usize,
    end: usize,
    /// Time of the current event.
    pub(super) time: u64,
    /// The current event's record in `page`.
    record: std::ops::Range<usize>,
    /// Events are missing before the current one; how many, if it is known.
    pub(super) lost: Option<Option<u64>>,
    /// Up to when nothing is missing before this loss.
    pub(super) whole_until: Option<u64>,
}

impl Stream {
    pub(super) fn new(extent: Extent, layout: Layout) -> Stream {
        Stream {
            next: extent.at,
            page_at: extent.at,
            page: vec![0; extent.page],
            extent,
            layout,
            chunks: None,
            chunk: Vec::new(),
            in_chunk: 0,
            at: 0,
            end: 0,
            time: 0,
            record: 0..0,
            lost: None,
            whole_until: None,
        }
    }

    /// The record of the current event.
    pub(super) fn record(&self) -> &[u8] {
        &self.page[self.record.clone()]
    }

    fn word(&self, at: usize) -> Result<u32, Error> {
        match self.page.get(at..at + 4) {
            Some(&[a, b, c, d]) => Ok(self.layout.numbers.u32([a, b, c, d])),
            _ => Err(self.bad("an event reaches over the end of its page")),
        }
    }

    fn bad(&self, what: &str) -> Error {
        damaged(self.page_at, format!("CPU {}: {what}", self.extent.cpu))
    }

    /// Goes to the next event. `false` at the end.
    pub(super) fn advance(&mut self, storage: &mut Storage) -> Result<bool, Error> {
        loop {
            if self.at >= self.end {
                if !self.load(storage)? {
                    return Ok(false);
                }
                continue;
            }
            let head = self.word(self.at)?;
            let (kind, delta) = if self.layout.numbers.big_endian {
                (head >> 27, head & 0x07ff_ffff)
            } else {
                (head & 0x1f, head >> 5)
            };
            let delta = u64::from(delta);
            let mut record = self.at + 4;
            let pass = |stream: &mut Stream, length: usize| {
                stream.at = record + length;
            };
            match kind {
                PADDING if delta == 0 => self.at = self.end,
                // An event that was taken back.
                PADDING => {
                    let length = self.word(record)? as usize;
                    if length < 4 {
                        return Err(self.bad("an event that was taken back has no length"));
                    }
                    self.time = self.time.wrapping_add(delta);
                    pass(self, length);
                }
                TIME_EXTEND => {
                    let more = u64::from(self.word(record)?) << 27;
                    self.time = self.time.wrapping_add(more + delta);
                    pass(self, 4);
                }
                TIME_STAMP => {
                    let stamp = u64::from(self.word(record)?) << 27 | delta;
                    let mut time =
                        stamp & ((1 << STAMP_BITS) - 1) | self.time >> STAMP_BITS << STAMP_BITS;
                    if time < self.time {
                        time = time.wrapping_add(1 << STAMP_BITS);
                    }
                    self.time = time;
                    pass(self, 4);
                }
                _ => {
                    let mut length = 4 * kind as usize;
                    if kind == 0 {
                        let with_itself = self.word(record)? as usize;
                        record += 4;
                        length = with_itself
                            .checked_sub(4)
                            .ok_or_else(|| self.bad("an event has no length"))?;
                    }
                    let end = record.checked_add(length).filter(|end| *end <= self.end);
                    let Some(end) = end else {
                        return Err(self.bad("an event reaches over the end of its page"));
                    };
                    self.time = self.time.wrapping_add(delta);
                    self.record = record..end;
                    self.at = end.next_multiple_of(4);
                    return Ok(true);
                }
            }
        }
    }

    /// The next page. `false` at the end.
    fn load(&mut self, storage: &mut Storage) -> Result<bool, Error> {
        let size = self.extent.page;
        let end = self.extent.at.saturating_add(self.extent.size);
        if self.extent.packed {
            if self.in_chunk >= self.chunk.len() {
                let chunks = match self.chunks {
                    Some(left) => left,
                    None => {
                        let mut count = [0; 4];
                        storage.fill(self.next, &mut count, "the data of a CPU")?;
                        self.next += 4;
                        storage.numbers.u32(count)
                    }
                };
                if chunks == 0 {
                    self.chunks = Some(0);
                    return Ok(false);
                }
                self.chunks = Some(chunks - 1);
                self.page_at = self.next;
                if self.next >= end {
                    return Err(self.bad("its chunks are longer than its data"));
                }
                (self.chunk, self.next) = storage.packed(self.next, "the data of a CPU")?;
                self.in_chunk = 0;
                if self.chunk.is_empty() {
                    return Err(self.bad("a chunk is empty"));
                }
            }
            let Some(page) = self.chunk.get(self.in_chunk..self.in_chunk + size) else {
                return Err(self.bad("a chunk ends in the middle of a page"));
            };
            self.page.copy_from_slice(page);
            self.in_chunk += size;
        } else {
            if self.next >= end {
                return Ok(false);
            }
            self.page_at = self.next;
            storage.fill(self.next, &mut self.page, "the data of a CPU")?;
            self.next += size as u64;
        }
        self.open()
    }

    /// Reads the head of a page.
    fn open(&mut self) -> Result<bool, Error> {
        let long = self.layout.long;
        let data = 8 + long;
        let numbers = self.layout.numbers;
        let long_at = |page: &[u8], at: usize| -> Option<u64> {
            let bytes = page.get(at..at + long)?;
            Some(match *bytes {
                [a, b, c, d] => u64::from(numbers.u32([a, b, c, d])),
                [a, b, c, d, e, f, g, h] => numbers.u64([a, b, c, d, e, f, g, h]),
                _ => return None,
            })
        };
        let mut stamp = [0; 8];
        stamp.copy_from_slice(&self.page[..8]);
        let time = numbers.u64(stamp);
        let Some(commit) = long_at(&self.page, 8) else {
            return Err(self.bad("a page has no head"));
        };
        let used = (commit & IN_USE) as usize;
        if data + used > self.page.len() {
            return Err(self.bad("a page says that it holds more than its size"));
        }
        self.at = data;
        self.end = data + used;
        if commit & MISSED != 0 {
            let counted = commit & MISSED_COUNTED != 0;
            if self.lost.is_none() {
                self.whole_until = (self.time > 0).then_some(self.time);
            }
            let count = counted.then(|| long_at(&self.page, self.end)).flatten();
            let before = self.lost.take().flatten();
            self.lost = Some(match (before, count) {
                (Some(before), Some(count)) => Some(before.saturating_add(count)),
                (None, count) => count,
                (Some(_), None) => None,
            });
        }
        // An empty page has no time.
        if used > 0 {
            if time < self.time {
                let cause =
                    Cause::Backwards { before: self.time, here: time, cpu: Some(self.extent.cpu) };
                return Err((Place::Byte(self.page_at), cause));
            }
            self.time = time;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const PAGE: usize = 256;

    /// Writes pages as a kernel of either byte order and size of `long` would.
    struct Pages {
        bytes: Vec<u8>,
        layout: Layout,
        start: usize,
    }

    impl Pages {
        fn new(big_endian: bool, long: usize) -> Pages {
            let layout = Layout { numbers: Numbers { big_endian }, long };
            Pages { bytes: Vec::new(), layout, start: 0 }
        }

        fn word(&mut self, word: u32) {
            let big = self.layout.numbers.big_endian;
            self.bytes.extend(if big { word.to_be_bytes() } else { word.to_le_bytes() });
        }

        fn page(&mut self, time: u64) {
            self.start = self.bytes.len();
            let big = self.layout.numbers.big_endian;
            self.bytes.extend(if big { time.to_be_bytes() } else { time.to_le_bytes() });
            self.bytes.extend(vec![0; self.layout.long]);
        }

        fn event(&mut self, kind: u32, delta: u32) {
            let head =
                if self.layout.numbers.big_endian { kind << 27 | delta } else { kind | delta << 5 };
            self.word(head);
        }

        /// Ends the page: how much is in use, flags, and a number of lost events.
        fn end(&mut self, flags: u64, lost: Option<u64>) {
            let (long, big) = (self.layout.long, self.layout.numbers.big_endian);
            let used = (self.bytes.len() - self.start - 8 - long) as u64;
            let number = |number: u64| {
                let bytes = if big { number.to_be_bytes() } else { number.to_le_bytes() };
                if big { bytes[8 - long..].to_vec() } else { bytes[..long].to_vec() }
            };
            let at = self.start + 8;
            self.bytes.splice(at..at + long, number(used | flags));
            self.bytes.extend(lost.map(number).unwrap_or_default());
            self.bytes.resize(self.start + PAGE, 0xee);
        }

        /// Time and record of each event, and losses before it.
        #[expect(clippy::type_complexity, reason = "read once, below")]
        fn read(&self) -> Result<Vec<(u64, Vec<u8>, Option<Option<u64>>)>, String> {
            let mut file = tempfile::tempfile().expect("a temporary file");
            file.write_all(&self.bytes).expect("room");
            let mut storage = Storage::new(file).expect("a file");
            storage.numbers = self.layout.numbers;
            let size = self.bytes.len() as u64;
            let extent = Extent { cpu: 3, at: 0, size, page: PAGE, packed: false };
            let mut stream = Stream::new(extent, self.layout);
            let mut events = Vec::new();
            while stream.advance(&mut storage).map_err(|(_, cause)| cause.to_string())? {
                events.push((stream.time, stream.record().to_vec(), stream.lost.take()));
            }
            Ok(events)
        }
    }

    #[test]
    fn every_kind_of_event_in_every_byte_order() {
        for (big, long) in [(false, 8), (true, 8), (false, 4), (true, 4)] {
            let mut pages = Pages::new(big, long);
            pages.page(1000);
            pages.event(2, 5);
            pages.bytes.extend(b"eight by");
            pages.event(TIME_EXTEND, 7);
            pages.word(1);
            // Taken back: skipped, its time counts.
            pages.event(PADDING, 3);
            pages.word(8);
            pages.bytes.extend(b"gone");
            // Longer than a type can say: the length is behind it, itself included.
            pages.event(0, 2);
            pages.word(4 + 6);
            pages.bytes.extend(b"length??");
            pages.event(TIME_STAMP, 9);
            pages.word(2);
            pages.event(1, 0);
            pages.bytes.extend(b"last");
            pages.event(PADDING, 0);
            pages.word(0xffff_ffff);
            pages.end(0, None);
            pages.page(1 << 30);
            pages.end(0, None);
            pages.page(1 << 31);
            pages.event(1, 1);
            pages.bytes.extend(b"next");
            pages.end(MISSED, None);
            pages.page(1 << 32);
            pages.event(1, 0);
            pages.bytes.extend(b"more");
            pages.end(MISSED | MISSED_COUNTED, Some(77));
            let found = pages.read().expect("right");
            let extended = 1005 + (1 << 27) + 7 + 3 + 2;
            let expected = [
                (1005, b"eight by".to_vec(), None),
                (extended, b"length".to_vec(), None),
                ((2 << 27) + 9, b"last".to_vec(), None),
                ((1 << 31) + 1, b"next".to_vec(), Some(None)),
                (1 << 32, b"more".to_vec(), Some(Some(77))),
            ];
            assert_eq!(found, expected, "big endian: {big}, long: {long}");
        }
    }

    #[test]
    fn a_stamp_keeps_the_bits_that_it_has_not() {
        let mut pages = Pages::new(false, 8);
        let high = 0b10110 << STAMP_BITS;
        pages.page(high + 100);
        pages.event(TIME_STAMP, 50);
        pages.word(1);
        pages.event(1, 1);
        pages.bytes.extend(b"data");
        pages.end(0, None);
        assert_eq!(pages.read().expect("right")[0].0, high + (1 << 27) + 51);
    }

    #[test]
    fn pages_that_contradict_themselves() {
        type Wrong = (&'static str, fn(&mut Pages));
        let wrong: [Wrong; 5] = [
            ("reaches over the end", |pages| pages.event(28, 0)),
            ("has no length", |pages| {
                pages.event(0, 0);
                pages.word(3);
            }),
            ("taken back has no length", |pages| {
                pages.event(PADDING, 1);
                pages.word(0);
            }),
            ("reaches over the end", |pages| {
                pages.event(0, 0);
                pages.word(u32::MAX);
            }),
            ("goes back", |pages| {
                pages.event(1, 0);
                pages.bytes.extend(b"data");
                pages.end(0, None);
                pages.page(99);
                pages.event(1, 0);
                pages.bytes.extend(b"data");
            }),
        ];
        for (says, write) in wrong {
            let mut pages = Pages::new(false, 8);
            pages.page(100);
            write(&mut pages);
            pages.end(0, None);
            let message = pages.read().expect_err(says);
            assert!(message.contains(says), "{message}");
        }
    }
}
