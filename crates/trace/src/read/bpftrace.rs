//! Lines of our own bpftrace program.
//!
//! ```text
//! 13339038066 0 147 start mm=0xff11000004850480 start=0x7f20fa200000 event=2
//! nsecs     cpu tid name  fields
//! ```
//!
//! Fields have names. `tgid`, `preempt` and (as the last, since it may have blanks)
//! `comm` become those of the event. The first version of the program wrote numbers
//! without names; what they are is in a table.

use std::fmt::Write;
use std::ops::Range;

use super::columns::{Parsed, number, shorten};
use super::{Cause, Flags};

/// A line of the first version: its word, the event's name since then, and the text
/// between its numbers. Of a pair of brackets the first is hexadecimal, the second
/// decimal.
const NUMBERS_ONLY: [(&str, &str, &[&str]); 6] = [
    ("start", "start", &["mm=0x", " start=0x", " end=0x", " event="]),
    ("end", "end", &["mm=0x", " start=0x", " end=0x"]),
    ("inv", "inv", &["mm=0x", " start=0x", " end=0x"]),
    ("pcf", "pcf", &["addr=0x"]),
    ("free", "mm_page_free", &["pfn=0x", " order="]),
    ("kvm_unmap", "kvm_unmap_hva_range", &["range: 0x", " -- 0x"]),
];

/// What a line is.
pub(super) enum Read {
    Event(Parsed),
    /// The event, in a line that was written anew.
    Rewritten(String, Parsed),
    Lost(Option<u64>),
    Nothing,
}

/// Whether a line looks like one of ours: three numbers and a word.
pub(super) fn is_line(line: &[u8]) -> bool {
    split(line).is_some()
}

fn split(line: &[u8]) -> Option<[Range<usize>; 4]> {
    let mut parts = [const { 0..0 }; 4];
    let mut from = 0;
    for part in &mut parts {
        let end = memchr::memchr(b' ', &line[from..]).map_or(line.len(), |at| from + at);
        *part = from..end;
        from = (end + 1).min(line.len());
    }
    let [time, cpu, thread, name] = &parts;
    let digits =
        |part: &Range<usize>| !part.is_empty() && line[part.clone()].iter().all(u8::is_ascii_digit);
    let word = line.get(name.start).is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_');
    (digits(time) && digits(cpu) && digits(thread) && word).then_some(parts)
}

pub(super) fn read(line: &[u8]) -> Result<Read, Cause> {
    if line.starts_with(b"Attaching ") || line.iter().all(|byte| *byte == b' ') {
        return Ok(Read::Nothing);
    }
    if let Some(rest) = line.strip_prefix(b"Lost ") {
        let count = rest
            .split(|byte| *byte == b' ')
            .next()
            .and_then(|count| str::from_utf8(count).ok()?.parse().ok());
        return Ok(Read::Lost(count));
    }
    let Some([time, cpu, thread, name]) = split(line) else {
        return Err(Cause::NotALine {
            format: super::Format::Bpftrace,
            hint: "it has no time, CPU, thread and name",
            line: shorten(line),
        });
    };
    let text = |range: &Range<usize>| str::from_utf8(&line[range.clone()]).unwrap_or("");
    let time: u64 = text(&time)
        .parse()
        .map_err(|_| Cause::Number { what: "time", written: text(&time).to_owned() })?;
    let cpu = number(line, &cpu, "number of a CPU")?;
    let thread = number(line, &thread, "number of a thread")?;
    let body = (name.end + 1).min(line.len())..line.len();
    let words = text(&body);
    if let Some(row) = NUMBERS_ONLY.iter().find(|row| row.0 == text(&name))
        && !words.contains('=')
    {
        let numbers: Vec<&str> = words.split_ascii_whitespace().collect();
        if numbers.len() != row.2.len() {
            return Err(Cause::NotALine {
                format: super::Format::Bpftrace,
                hint: "it has too few or too many numbers",
                line: shorten(line),
            });
        }
        let mut anew = row.1.to_owned();
        anew.push(' ');
        for (before, number) in row.2.iter().zip(numbers) {
            let _ = write!(anew, "{before}{number}");
        }
        let (name, body) = (0..row.1.len(), row.1.len() + 1..anew.len());
        return Ok(Read::Rewritten(anew, Parsed::bare(time, cpu, thread, name, body)));
    }
    let mut parsed = Parsed::bare(time, cpu, thread, name, body.clone());
    let field = |name: &str| {
        let at = words.find(name).filter(|at| *at == 0 || words.as_bytes()[at - 1] == b' ')?;
        Some(body.start + at + name.len())
    };
    let until_blank =
        |from: usize| from..memchr::memchr(b' ', &line[from..]).map_or(line.len(), |at| from + at);
    if let Some(at) = field("tgid=") {
        parsed.tgid = Some(number(line, &until_blank(at), "number of a process")?);
    }
    if let Some(at) = field("preempt=") {
        let depth = number(line, &until_blank(at), "preempt depth")?;
        let depth = u8::try_from(depth).unwrap_or(Flags::MANY).min(Flags::MANY);
        parsed.flags = Some(Flags::from_record(0, depth));
    }
    if let Some(at) = field("comm=") {
        parsed.comm = at..line.len();
    }
    Ok(Read::Event(parsed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::RawEvent;

    fn event(line: &str, look: impl Fn(RawEvent<'_>)) {
        match read(line.as_bytes()) {
            Ok(Read::Event(parsed)) => look(parsed.event(line.as_bytes(), 1)),
            Ok(Read::Rewritten(anew, parsed)) => look(parsed.event(anew.as_bytes(), 1)),
            _ => panic!("no event: {line}"),
        }
    }

    #[test]
    fn both_versions_say_the_same() {
        for line in [
            "133 1 147 start ff11000004850480 7f20fa200000 7f20fa3ba000 2",
            "133 1 147 start mm=0xff11000004850480 start=0x7f20fa200000 end=0x7f20fa3ba000 event=2",
        ] {
            event(line, |event| {
                assert_eq!((event.time, event.cpu, event.thread), (133, 1, 147));
                assert_eq!(event.name, "start");
                assert_eq!(event.number("mm"), Some(0xff11_0000_0485_0480));
                assert_eq!(event.number("end"), Some(0x7f20_fa3b_a000));
                assert_eq!(event.number("event"), Some(2));
            });
        }
        event("5 0 7 kvm_unmap 10 2a", |event| {
            assert_eq!(event.name, "kvm_unmap_hva_range");
            assert_eq!(event.number("end"), Some(0x2a));
        });
    }

    #[test]
    fn who_it_was() {
        event("5 0 7 inv mm=0x1 tgid=6 preempt=300 comm=a b", |event| {
            assert_eq!((event.tgid, event.comm), (Some(6), "a b"));
            assert_eq!(event.flags.map(|flags| flags.preempt_depth), Some(Flags::MANY));
        });
    }

    #[test]
    fn lines_that_are_none() {
        for line in [
            "5 0 7 start 1 2 3",
            "5 0 x start",
            "99999999999999999999 0 7 inv mm=0x1",
            "5 0 99999999999 inv mm=0x1",
        ] {
            assert!(read(line.as_bytes()).is_err(), "{line}");
        }
        assert!(matches!(read(b"Lost 23 events"), Ok(Read::Lost(Some(23)))));
        assert!(matches!(read(b"Attaching 6 probes..."), Ok(Read::Nothing)));
    }
}
