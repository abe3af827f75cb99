//! Logs of casemate, a checker of page-table changes in hypervisors.
//!
//! Records are s-expressions, `(mem-write (id 6) (tid 0) (mem-order plain) (address
//! 0x1000) (value 0x0) (src "file.c:33"))`, or the same without the names, as its manual
//! says (doc/asciidoc/sections/trace-format.adoc of rems-project/casemate at version
//! 3.0.2). A line that begins with `!` is the verdict of its own checker, and so the last
//! one.
//!
//! The event is the transition; its fields keep their names. Addresses and values are
//! hexadecimal with or without `0x`, as its programs print both. Words that are alone,
//! as `isb` and `vmalls12e1is`, are the field `op`.

use std::fmt::Write;

use super::columns::{Parsed, shorten};
use super::lines::Lines;
use super::names::{Names, Want};
use super::{Cause, Format, Item, Place};

/// Fields of each transition, in the order of the form without names.
const FIELDS: [(&str, &[&str]); 13] = [
    ("mem-write", &["mem-order", "address", "value"]),
    ("mem-read", &["address", "value"]),
    ("mem-init", &["address", "size"]),
    ("mem-free", &["address", "size"]),
    ("mem-set", &["address", "size", "value"]),
    ("barrier", &["op", "kind"]),
    ("tlbi", &["op", "value"]),
    ("sysreg-write", &["sysreg", "value"]),
    ("msr", &["sysreg", "value"]),
    ("hint", &["kind", "location", "value"]),
    ("lock", &["address"]),
    ("trylock", &["address"]),
    ("unlock", &["address"]),
];
/// Fields that are numbers.
const NUMBERS: [&str; 4] = ["address", "value", "size", "location"];
/// Longest record; its lines are held.
const LONGEST: usize = 64 << 10;
/// The name of the last line's event.
const VERDICT: &str = "verdict";

/// Reads a log, record by record.
pub(super) struct Casemate {
    lines: Lines,
    names: Names,
    /// The record as `name field=value ...`.
    record: String,
    last: u64,
}

/// A part of a record.
#[derive(Debug, PartialEq, Eq)]
enum Part<'a> {
    /// `(name value)`.
    Pair(&'a str, &'a str),
    /// `value`, or `"value"`.
    Alone(&'a str, bool),
}

impl Casemate {
    pub(super) fn new(lines: Lines, names: Names) -> Casemate {
        Casemate { lines, names, record: String::new(), last: 0 }
    }

    pub(super) fn next(&mut self) -> Result<Option<Item<'_>>, (Place, Cause)> {
        let mut first = 0;
        let found = self.find(&mut first);
        let place = if first == 0 { self.lines.number } else { first };
        match found {
            Ok(Some(parsed)) => Ok(Some(Item::Event(parsed.event(self.record.as_bytes(), place)))),
            Ok(None) => Ok(None),
            Err(cause) => Err((Place::Line(place), cause)),
        }
    }

    /// The next record that is wanted. `first` becomes its first line.
    fn find(&mut self, first: &mut u64) -> Result<Option<Parsed>, Cause> {
        loop {
            let mut text = String::new();
            let mut depth = 0_i32;
            *first = 0;
            while let Some(line) = self.lines.next()? {
                self.lines.make_text(line);
                let words = String::from_utf8_lossy(self.lines.bytes(line));
                if !line.complete {
                    return Err(Cause::Cut { what: "a line" });
                }
                let words = words.trim();
                if words.is_empty() {
                    continue;
                }
                if text.is_empty() {
                    *first = self.lines.number;
                }
                text.push_str(words);
                text.push(' ');
                depth += depth_of(words);
                if depth <= 0 {
                    break;
                }
                if text.len() > LONGEST {
                    return Err(Cause::LongLine);
                }
            }
            if text.is_empty() {
                return Ok(None);
            }
            if depth > 0 {
                return Err(Cause::Cut { what: "a record" });
            }
            let text = text.trim_end();
            if let Some(parsed) = self.record(text)? {
                return Ok(Some(parsed));
            }
        }
    }

    fn record(&mut self, text: &str) -> Result<Option<Parsed>, Cause> {
        let bad = |hint| Cause::NotALine {
            format: Format::Casemate,
            hint,
            line: shorten(text.as_bytes()),
        };
        self.record.clear();
        if let Some(words) = text.strip_prefix('!') {
            let _ = write!(self.record, "{VERDICT} {}", words.trim());
            let body = VERDICT.len() + 1..self.record.len();
            let parsed = Parsed::bare(self.last, 0, 0, 0..VERDICT.len(), body);
            return Ok((self.names.event(VERDICT.as_bytes()) == Want::Event).then_some(parsed));
        }
        let inside = text
            .strip_prefix('(')
            .and_then(|text| text.strip_suffix(')'))
            .ok_or_else(|| bad("it is no s-expression"))?;
        let (name, rest) = inside.split_once([' ', '\t']).unwrap_or((inside, ""));
        let (_, fields) = FIELDS
            .iter()
            .find(|row| row.0 == name)
            .ok_or_else(|| bad("there is no transition of this name"))?;
        let parts = parts(rest).ok_or_else(|| bad("its brackets do not match"))?;
        let (mut id, mut thread) = (None, None);
        let mut unnamed = fields.iter();
        self.record.push_str(name);
        for part in &parts {
            let (field, value) = match *part {
                Part::Pair("id", value) => {
                    id = value.parse().ok();
                    continue;
                }
                Part::Pair("tid" | "thread", value) => {
                    thread = value.parse().ok();
                    continue;
                }
                Part::Pair(field, value) => {
                    unnamed = unnamed_after(fields, unnamed, field);
                    (field, value)
                }
                Part::Alone(value, false) if id.is_none() => {
                    id = Some(value.parse().map_err(|_| bad("it has no id"))?);
                    continue;
                }
                Part::Alone(value, false) if thread.is_none() => {
                    thread = Some(value.parse().map_err(|_| bad("it has no thread"))?);
                    continue;
                }
                Part::Alone(value, true) => ("src", value),
                Part::Alone(value, false) => {
                    (*unnamed.next().ok_or_else(|| bad("it has too many fields"))?, value)
                }
            };
            if NUMBERS.contains(&field) {
                let digits = value.strip_prefix("0x").unwrap_or(value);
                let number = u64::from_str_radix(digits, 16).map_err(|_| Cause::Number {
                    what: "hexadecimal number of 64 bits",
                    written: shorten(value.as_bytes()),
                })?;
                let _ = write!(self.record, " {field}={number:#x}");
            } else {
                let _ = write!(self.record, " {field}={}", value.to_ascii_lowercase());
            }
        }
        let (Some(id), Some(thread)) = (id, thread) else {
            return Err(bad("it has no id or no thread"));
        };
        if id < self.last {
            return Err(Cause::Backwards { before: self.last, here: id, cpu: None });
        }
        self.last = id;
        let body = (name.len() + 1).min(self.record.len())..self.record.len();
        let parsed = Parsed::bare(id, thread, thread, 0..name.len(), body);
        Ok((self.names.event(name.as_bytes()) == Want::Event).then_some(parsed))
    }
}

/// Fields without a name that may still come after one that had its name.
fn unnamed_after<'a>(
    fields: &'a [&'a str],
    unnamed: std::slice::Iter<'a, &'a str>,
    field: &str,
) -> std::slice::Iter<'a, &'a str> {
    match fields.iter().position(|name| *name == field) {
        Some(at) if fields.len() - at <= unnamed.len() => fields[at + 1..].iter(),
        _ => unnamed,
    }
}

/// How many brackets stay open; those in quotes do not count.
fn depth_of(text: &str) -> i32 {
    let mut depth = 0;
    let mut quoted = false;
    for byte in text.bytes() {
        match byte {
            b'"' => quoted = !quoted,
            b'(' if !quoted => depth += 1,
            b')' if !quoted => depth -= 1,
            _ => {}
        }
    }
    depth
}

fn parts(mut text: &str) -> Option<Vec<Part<'_>>> {
    let mut parts = Vec::new();
    loop {
        text = text.trim_start();
        if text.is_empty() {
            return Some(parts);
        }
        if let Some(rest) = text.strip_prefix('(') {
            let (pair, rest) = match rest.split_once('"') {
                // `(src "a (b).c:1")`
                Some((before, quoted)) if !before.contains(')') => {
                    let (value, rest) = quoted.split_once('"')?;
                    parts.push(Part::Pair(before.trim(), value));
                    text = rest.trim_start().strip_prefix(')')?;
                    continue;
                }
                _ => rest.split_once(')')?,
            };
            let (name, value) = pair.trim().split_once(' ')?;
            parts.push(Part::Pair(name, value.trim()));
            text = rest;
        } else if let Some(rest) = text.strip_prefix('"') {
            let (value, rest) = rest.split_once('"')?;
            parts.push(Part::Alone(value, true));
            text = rest;
        } else {
            let end = text.find([' ', '(', '"', ')']).unwrap_or(text.len());
            if end == 0 {
                return None;
            }
            parts.push(Part::Alone(&text[..end], false));
            text = &text[end..];
        }
    }
}
