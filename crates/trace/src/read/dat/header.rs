//! What stands before the events in a `trace.dat`: formats, names of threads, options,
//! and where the pages of each CPU are. Both versions hold the same pieces; version 6
//! one after the other, version 7 in sections that options point to.
//!
//! Documentation/trace-cmd/trace-cmd.dat.v6.5.txt and v7.5.txt of trace-cmd.

use std::collections::HashMap;

use super::file::{Cursor, Error, Numbers, Packing, Storage, damaged};
use super::page::{Extent, Layout};
use crate::read::layout::Layout as EventLayout;
use crate::read::recognise::TRACE_DAT;
use crate::read::{Cause, Place};

const HEADER: &str = "the header";
const OPTIONS: &str = "the options";
/// Sections and chains of options that a file may have.
const MOST: usize = 4096;
/// A page is a page of the machine, or up to 64 of them (`buffer_subbuf_size_kb`).
const PAGES: std::ops::RangeInclusive<usize> = 256..=(64 << 16);

/// Numbers of options; those of sections in version 7 are the same.
const DONE: u16 = 0;
const BUFFER: u16 = 3;
const TRACE_CLOCK: u16 = 4;
const UNAME: u16 = 5;
const CPU_COUNT: u16 = 8;
const VERSION: u16 = 9;
const HEADER_INFO: u16 = 16;
const FTRACE_EVENTS: u16 = 17;
const EVENT_FORMATS: u16 = 18;
const PRINTK: u16 = 20;
const CMDLINES: u16 = 21;
const BUFFER_TEXT: u16 = 22;

/// An event, as the recording describes it.
pub(super) struct Described {
    pub(super) system: String,
    pub(super) layout: EventLayout,
}

/// Everything that stands before the events.
#[derive(Default)]
pub(super) struct Header {
    pub(super) version: u8,
    pub(super) long: usize,
    pub(super) page: usize,
    pub(super) events: HashMap<u16, Described>,
    pub(super) comms: HashMap<u32, String>,
    /// Format strings of `trace_printk`, by address.
    pub(super) printk: HashMap<u64, String>,
    pub(super) extents: Vec<Extent>,
    pub(super) clock: Option<String>,
    pub(super) kernel: Option<String>,
    pub(super) recorder: Option<String>,
    pub(super) cpus: Option<u32>,
}

impl Header {
    pub(super) fn read(storage: &mut Storage) -> Result<Header, Error> {
        let start = storage.bytes(0, storage.length.min(4096), HEADER)?;
        let mut cursor = Cursor::new(&start, 0, Numbers { big_endian: false });
        cursor.literal(TRACE_DAT, HEADER)?;
        let version = cursor.string(HEADER)?;
        let version = match version.as_str() {
            "6" => 6,
            "7" => 7,
            other => {
                return Err(not_read(
                    cursor.place(),
                    format!("a trace.dat of version {other:.10}"),
                    "give what trace-cmd report prints of it",
                ));
            }
        };
        let big_endian = match cursor.u8(HEADER)? {
            0 => false,
            1 => true,
            other => return Err(damaged(cursor.place(), format!("byte order {other}"))),
        };
        storage.numbers = Numbers { big_endian };
        let user_long = cursor.u8(HEADER)?;
        let mut cursor =
            Cursor::new(&start[cursor.place() as usize..], cursor.place(), storage.numbers);
        let page = cursor.u32(HEADER)? as usize;
        let mut header =
            Header { version, long: usize::from(user_long), page, ..Header::default() };
        header.check_page(page, cursor.place())?;
        if version == 6 {
            let at = cursor.place();
            header.sequence(storage, at)?;
        } else {
            storage.packing = match cursor.string(HEADER)?.as_str() {
                "none" => Packing::None,
                "zlib" => Packing::Zlib,
                "zstd" => Packing::Zstd,
                other => {
                    return Err(not_read(
                        cursor.place(),
                        format!("compression `{other:.20}`"),
                        "record with --compression zstd, zlib or none",
                    ));
                }
            };
            let _version_of_the_library = cursor.string(HEADER)?;
            let options = cursor.u64(HEADER)?;
            header.sections(storage, options)?;
        }
        Ok(header)
    }

    pub(super) fn layout(&self, storage: &Storage) -> Layout {
        Layout { numbers: storage.numbers, long: self.long }
    }

    fn check_page(&self, page: usize, at: u64) -> Result<(), Error> {
        if PAGES.contains(&page) {
            return Ok(());
        }
        Err(damaged(at, format!("pages of {page} bytes")))
    }

    /// Version 6: one piece after the other.
    fn sequence(&mut self, storage: &mut Storage, at: u64) -> Result<(), Error> {
        // The largest pieces are skipped without being read.
        let mut file = Sequence { storage, at };
        let start = file.at;
        let head = file.formatted(b"header_page\0")?;
        self.header_page(&head, start)?;
        file.formatted(b"header_event\0")?;
        for _ in 0..file.count()? {
            let format = file.sized()?;
            self.format(&format, "ftrace", file.at)?;
        }
        for _ in 0..file.count()? {
            let system = file.string()?;
            for _ in 0..file.count()? {
                let format = file.sized()?;
                self.format(&format, &system, file.at)?;
            }
        }
        let kallsyms = u64::from(file.u32()?);
        file.skip(kallsyms)?;
        let printk = u64::from(file.u32()?);
        let printk = file.take(printk)?;
        self.printk_formats(&printk);
        let comms = file.sized()?;
        self.command_lines(&comms);
        let mut cpus = file.u32()?;
        let mut word = file.take(10)?;
        if word == b"options  \0" {
            for _ in 0..MOST {
                let id = file.u16()?;
                if id == DONE {
                    break;
                }
                let size = u64::from(file.u32()?);
                let at = file.at;
                let data = file.take(size)?;
                match id {
                    CPU_COUNT => {
                        cpus = Cursor::new(&data, at, file.storage.numbers).u32(OPTIONS)?
                    }
                    BUFFER => {
                        return Err(not_read(
                            at,
                            "a recording of a trace instance in version 6".to_owned(),
                            "give what trace-cmd report prints of it",
                        ));
                    }
                    _ => self.option(id, &data),
                }
            }
            word = file.take(10)?;
        }
        if word == b"latency  \0" {
            return Err(latency(file.at));
        }
        if word != b"flyrecord\0" {
            return Err(damaged(file.at, "the data of the CPUs is not where it should be"));
        }
        self.cpus = Some(cpus);
        for cpu in 0..cpus {
            let (at, size) = (file.u64()?, file.u64()?);
            let extent = Extent { cpu, at, size, page: self.page, packed: false };
            self.extent(extent, file.storage)?;
        }
        Ok(())
    }

    /// Version 7: options say where the sections are.
    fn sections(&mut self, storage: &mut Storage, mut options: u64) -> Result<(), Error> {
        let mut sections = Vec::new();
        let mut buffers = Vec::new();
        for _ in 0..MOST {
            let (data, base) = section(storage, options, DONE)?;
            let mut cursor = Cursor::new(&data, base, storage.numbers);
            options = 0;
            while !cursor.is_empty() {
                let id = cursor.u16(OPTIONS)?;
                let size = u64::from(cursor.u32(OPTIONS)?);
                let at = cursor.place();
                let data = cursor.take(size, OPTIONS)?;
                let mut inside = Cursor::new(data, at, storage.numbers);
                match id {
                    DONE => {
                        options = inside.u64(OPTIONS)?;
                        break;
                    }
                    HEADER_INFO | FTRACE_EVENTS | EVENT_FORMATS | PRINTK | CMDLINES => {
                        sections.push((id, inside.u64(OPTIONS)?));
                    }
                    BUFFER => buffers.push((at, data.to_vec())),
                    BUFFER_TEXT => return Err(latency(at)),
                    CPU_COUNT => self.cpus = Some(inside.u32(OPTIONS)?),
                    _ => self.option(id, data),
                }
            }
            if options == 0 {
                break;
            }
        }
        if options != 0 {
            return Err(damaged(options, "its options have no end"));
        }
        // The size of a long has to be known before formats are read.
        sections.sort_unstable();
        sections.dedup();
        for (id, at) in sections {
            let (data, base) = section(storage, at, id)?;
            self.section(id, &data, base, storage.numbers)?;
        }
        for (at, data) in buffers {
            self.buffer(storage, &data, at)?;
        }
        Ok(())
    }

    fn section(&mut self, id: u16, data: &[u8], base: u64, numbers: Numbers) -> Result<(), Error> {
        let mut cursor = Cursor::new(data, base, numbers);
        let what = "a section";
        let sized = |cursor: &mut Cursor<'_>| {
            let size = cursor.u64(what)?;
            Ok::<_, Error>(cursor.take(size, what)?.to_vec())
        };
        match id {
            HEADER_INFO => {
                cursor.literal(b"header_page\0", what)?;
                let page = sized(&mut cursor)?;
                self.header_page(&page, base)?;
            }
            FTRACE_EVENTS => {
                for _ in 0..cursor.u32(what)? {
                    let format = sized(&mut cursor)?;
                    self.format(&format, "ftrace", cursor.place())?;
                }
            }
            EVENT_FORMATS => {
                for _ in 0..cursor.u32(what)? {
                    let system = cursor.string(what)?;
                    for _ in 0..cursor.u32(what)? {
                        let format = sized(&mut cursor)?;
                        self.format(&format, &system, cursor.place())?;
                    }
                }
            }
            PRINTK => {
                let size = u64::from(cursor.u32(what)?);
                self.printk_formats(cursor.take(size, what)?);
            }
            _ => {
                let size = cursor.u64(what)?;
                self.command_lines(cursor.take(size, what)?);
            }
        }
        Ok(())
    }

    /// An instance of the tracer: its clock, and where its CPUs' data is.
    fn buffer(&mut self, storage: &mut Storage, data: &[u8], at: u64) -> Result<(), Error> {
        let mut cursor = Cursor::new(data, at, storage.numbers);
        let section_at = cursor.u64(OPTIONS)?;
        let _instance = cursor.string(OPTIONS)?;
        let clock = clock(&cursor.string(OPTIONS)?);
        let page = cursor.u32(OPTIONS)? as usize;
        self.check_page(page, at)?;
        let count = cursor.u32(OPTIONS)?;
        let head = storage.bytes(section_at, 16, "the data of the CPUs")?;
        let packed = storage.numbers.u16([head[2], head[3]]) & 1 != 0;
        let mut any = false;
        for _ in 0..count {
            let cpu = cursor.u32(OPTIONS)?;
            let (at, size) = (cursor.u64(OPTIONS)?, cursor.u64(OPTIONS)?);
            any |= size > 0;
            self.extent(Extent { cpu, at, size, page, packed }, storage)?;
        }
        if self.cpus.is_none() {
            self.cpus = Some(count);
        }
        if any && let Some(clock) = clock {
            match &self.clock {
                Some(other) if *other != clock => {
                    return Err(not_read(
                        at,
                        format!("trace instances with two clocks, {other} and {clock}"),
                        "record all instances with one clock (trace-cmd record -C mono)",
                    ));
                }
                _ => self.clock = Some(clock),
            }
        }
        Ok(())
    }

    fn extent(&mut self, extent: Extent, storage: &Storage) -> Result<(), Error> {
        if extent.size == 0 {
            return Ok(());
        }
        if extent.at.checked_add(extent.size).is_none_or(|end| end > storage.length) {
            return Err((Place::Byte(storage.length), Cause::Cut { what: "the data of a CPU" }));
        }
        if self.extents.len() >= 1 << 16 {
            return Err(damaged(extent.at, "more CPUs than any machine has"));
        }
        self.extents.push(extent);
        Ok(())
    }

    /// The size of a kernel's long, from `field: local_t commit; offset:8; size:8;`.
    fn header_page(&mut self, text: &[u8], at: u64) -> Result<(), Error> {
        let text = String::from_utf8_lossy(text);
        let size = text
            .lines()
            .find(|line| line.contains(" commit;"))
            .and_then(|line| line.split_once("size:"))
            .and_then(|(_, rest)| rest.split(';').next()?.parse().ok());
        match size {
            Some(size @ (4 | 8)) => {
                self.long = size;
                Ok(())
            }
            _ => Err(damaged(at, "the layout of a page has no commit of 4 or 8 bytes")),
        }
    }

    fn format(&mut self, text: &[u8], system: &str, at: u64) -> Result<(), Error> {
        let layout = str::from_utf8(text).map_err(|_| "no text").and_then(EventLayout::parse);
        let layout = layout.map_err(|reason| {
            let first = String::from_utf8_lossy(&text[..text.len().min(80)]);
            let first = first.lines().next().unwrap_or_default();
            damaged(at, format!("a format of {system:.40}, `{first}`: {reason}"))
        })?;
        self.events.insert(layout.id, Described { system: system.to_owned(), layout });
        Ok(())
    }

    /// `pid name`, a line each.
    fn command_lines(&mut self, text: &[u8]) {
        for line in String::from_utf8_lossy(text).lines() {
            if let Some((pid, name)) = line.split_once(' ')
                && let Ok(pid) = pid.parse()
            {
                self.comms.insert(pid, name.to_owned());
            }
        }
        self.comms.entry(0).or_insert_with(|| "<idle>".to_owned());
    }

    /// `0xffffffff82345678 : "text\n"`, a line each.
    fn printk_formats(&mut self, text: &[u8]) {
        for line in String::from_utf8_lossy(text).lines() {
            if let Some((address, format)) = line.split_once(" : ")
                && let Ok(address) = u64::from_str_radix(address.trim_start_matches("0x"), 16)
            {
                let format = format.trim().trim_matches('"').trim_end_matches("\\n");
                self.printk.insert(address, format.to_owned());
            }
        }
    }

    fn option(&mut self, id: u16, data: &[u8]) {
        let text = String::from_utf8_lossy(data);
        let text = text.trim_end_matches('\0').trim();
        match id {
            TRACE_CLOCK => self.clock = clock(text).or_else(|| self.clock.take()),
            UNAME => self.kernel = text.split(' ').nth(2).map(str::to_owned),
            VERSION => self.recorder = Some(format!("trace-cmd {text}")),
            _ => {}
        }
    }
}

/// The clock in use, of `[local] global counter`, or alone.
fn clock(text: &str) -> Option<String> {
    let chosen = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    let clock = chosen.map_or(text, |(clock, _)| clock).trim_end_matches('\0').trim();
    (!clock.is_empty() && !clock.contains(' ')).then(|| clock.to_owned())
}

fn not_read(at: u64, what: String, instead: &'static str) -> Error {
    (Place::Byte(at), Cause::NotRead { what, instead })
}

fn latency(at: u64) -> Error {
    not_read(at, "the text of a latency tracer".to_owned(), "record events, with tracer nop")
}

/// A section of version 7, and where it is.
fn section(storage: &mut Storage, at: u64, expected: u16) -> Result<(Vec<u8>, u64), Error> {
    let head = storage.bytes(at, 16, "a section")?;
    let mut cursor = Cursor::new(&head, at, storage.numbers);
    let (id, flags) = (cursor.u16(HEADER)?, cursor.u16(HEADER)?);
    let _description = cursor.u32(HEADER)?;
    let size = cursor.u64(HEADER)?;
    if id != expected {
        return Err(damaged(at, format!("a section {id} where {expected} should be")));
    }
    if flags & 1 != 0 {
        return Ok((storage.packed(at + 16, "a section")?.0, at));
    }
    Ok((storage.bytes(at + 16, size, "a section")?, at + 16))
}

/// Pieces that follow each other in the file.
struct Sequence<'a> {
    storage: &'a mut Storage,
    at: u64,
}

impl Sequence<'_> {
    fn take(&mut self, count: u64) -> Result<Vec<u8>, Error> {
        let bytes = self.storage.bytes(self.at, count, HEADER)?;
        self.at += count;
        Ok(bytes)
    }

    fn skip(&mut self, count: u64) -> Result<(), Error> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.storage.length);
        self.at = end.ok_or((Place::Byte(self.at), Cause::Cut { what: HEADER }))?;
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut array = [0; N];
        self.storage.fill(self.at, &mut array, HEADER)?;
        self.at += N as u64;
        Ok(array)
    }

    fn u16(&mut self) -> Result<u16, Error> {
        let bytes = self.array()?;
        Ok(self.storage.numbers.u16(bytes))
    }

    fn u32(&mut self) -> Result<u32, Error> {
        let bytes = self.array()?;
        Ok(self.storage.numbers.u32(bytes))
    }

    fn count(&mut self) -> Result<u32, Error> {
        self.u32()
    }

    fn u64(&mut self) -> Result<u64, Error> {
        let bytes = self.array()?;
        Ok(self.storage.numbers.u64(bytes))
    }

    /// A size of 8 bytes, and as many bytes.
    fn sized(&mut self) -> Result<Vec<u8>, Error> {
        let size = self.u64()?;
        self.take(size)
    }

    /// A word, and then as [`Sequence::sized`].
    fn formatted(&mut self, word: &[u8]) -> Result<Vec<u8>, Error> {
        let at = self.at;
        let found = self.take(word.len() as u64)?;
        Cursor::new(&found, at, self.storage.numbers).literal(word, HEADER)?;
        self.sized()
    }

    fn string(&mut self) -> Result<String, Error> {
        let most = (self.storage.length - self.at).min(256);
        let bytes = self.storage.bytes(self.at, most, HEADER)?;
        let text = Cursor::new(&bytes, self.at, self.storage.numbers).string(HEADER)?;
        self.at += memchr::memchr(0, &bytes).map_or(0, |end| end as u64 + 1);
        Ok(text)
    }
}
