//! The columns before an event's name, in the three texts that share them.
//!
//! ```text
//! ftrace             init-1       (      1) [001] d..2.     4.790775: name: body
//! trace-cmd report   init-1     [001]     4.790775: name:                 body
//! perf script        init     1 [001]     4.790775331:      group:name: body
//! ```
//!
//! A thread's name has up to 15 bytes, any bytes, and stands to the right in 16
//! columns; so what separates it from the thread's number is in the 17th. Where
//! somebody took away the blanks at the start, as mail does, the first `[` before
//! digits and `]` counts.

use std::ops::Range;

use super::event::Body;
use super::{Cause, Flags, Format, RawEvent};

/// Widest name of a thread.
const COMM: usize = 16;

/// Where the parts of a line are.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    /// Between the brackets.
    cpu: Range<usize>,
    /// The colon behind the time.
    time_end: usize,
    system: Option<Range<usize>>,
    pub(super) name: Range<usize>,
    pub(super) body: usize,
}

/// What a line says before its body.
#[derive(Clone, Debug)]
pub(super) struct Parsed {
    pub(super) time: u64,
    /// Digits after the point; `None` for a bare count.
    pub(super) decimals: Option<u32>,
    pub(super) cpu: u32,
    thread: u32,
    pub(super) tgid: Option<u32>,
    pub(super) comm: Range<usize>,
    pub(super) flags: Option<Flags>,
    system: Option<Range<usize>>,
    pub(super) name: Range<usize>,
    pub(super) printed: bool,
    pub(super) body: Range<usize>,
}

/// The first byte from here on that is none of these.
#[inline(always)]
fn skip(line: &[u8], mut from: usize, also: impl Fn(u8) -> bool) -> usize {
    while from < line.len() && also(line[from]) {
        from += 1;
    }
    from
}

fn blank(byte: u8) -> bool {
    byte == b' '
}

/// Finds the parts of a line; no number is read. `None` if it has other parts.
///
/// Every line of a recording comes by here, wanted or not. `hint` is where the bracket
/// was in a line before, which is where it is in most lines.
pub(super) fn find(line: &[u8], format: Format, hint: &mut usize) -> Option<Columns> {
    let perf = format == Format::PerfScript;
    let separator = if perf { b' ' } else { b'-' };
    let cpu = match bracket(line, *hint) {
        Some(cpu) if *hint > COMM && line[COMM] == separator && line[*hint - 1] == b' ' => cpu,
        _ => brackets(line, perf)?,
    };
    if cpu.start > COMM + 1 {
        *hint = cpu.start - 1;
    }
    let time_end = cpu.end + memchr::memchr(b':', &line[cpu.end..])?;
    if !line[time_end - 1].is_ascii_digit() {
        return None;
    }
    let mut name = skip(line, time_end + 1, blank);
    let mut system = None;
    if perf {
        // A period, if every event stands for several.
        let digits = skip(line, name, |byte| byte.is_ascii_digit());
        if digits > name && line.get(digits) == Some(&b' ') {
            name = skip(line, digits, blank);
        }
        let group = skip(line, name, |byte| byte != b' ' && byte != b':');
        if line.get(group) != Some(&b':') || group == name {
            return None;
        }
        system = Some(name..group);
        name = group + 1;
    }
    let end = skip(line, name, |byte| byte != b' ' && byte != b':');
    (line.get(end) == Some(&b':') && end > name).then_some(Columns {
        cpu,
        time_end,
        system,
        name: name..end,
        body: end + 1,
    })
}

/// The number of the CPU, between brackets.
fn brackets(line: &[u8], perf: bool) -> Option<Range<usize>> {
    let separator = if perf { b' ' } else { b'-' };
    if line.get(COMM) == Some(&separator) {
        let mut at = COMM + 1;
        if perf {
            at = skip(line, at, |byte| blank(byte) || byte == b'/' || byte.is_ascii_digit());
        } else {
            at = skip(line, at, |byte| byte.is_ascii_digit());
            at = skip(line, at, blank);
            if line.get(at) == Some(&b'(') {
                at = skip(line, at, |byte| byte != b')');
                at = skip(line, (at + 1).min(line.len()), blank);
            }
        }
        if let Some(found) = bracket(line, at)
            && line[at - 1] == b' '
        {
            return Some(found);
        }
    }
    let mut from = 0;
    loop {
        let open = from + memchr::memchr(b'[', &line[from..])?;
        if let Some(found) = bracket(line, open)
            && is_thread(&line[..open], perf)
        {
            return Some(found);
        }
        from = open + 1;
    }
}

/// A number in brackets at this place.
fn bracket(line: &[u8], open: usize) -> Option<Range<usize>> {
    if line.get(open) != Some(&b'[') {
        return None;
    }
    let end = skip(line, open + 1, |byte| byte.is_ascii_digit());
    (end > open + 1 && line.get(end) == Some(&b']')).then_some(open + 1..end)
}

/// Whether a name, the right separator and a number stand before the bracket.
fn is_thread(before: &[u8], perf: bool) -> bool {
    let Some(before) = before.strip_suffix(b" ") else { return false };
    let mut before = before.trim_ascii_end();
    if !perf && let Some(rest) = before.strip_suffix(b")") {
        let open = memchr::memrchr(b'(', rest).unwrap_or(0);
        before = rest[..open].trim_ascii_end();
    }
    let name = before.iter().rposition(|byte| !byte.is_ascii_digit());
    name.is_some_and(|last| match before[last] {
        b'-' => !perf,
        b' ' | b'/' => perf,
        _ => false,
    })
}

impl Columns {
    /// Reads the numbers. The line has to be text.
    pub(super) fn read(&self, line: &[u8], format: Format) -> Result<Parsed, Cause> {
        let cpu = number(line, &self.cpu, "number of a CPU")?;
        // Behind it: flags and time, or time alone.
        let first = skip(line, self.cpu.end + 1, blank);
        let first_end = skip(line, first, |byte| byte != b' ' && byte != b':');
        let (mut flags, mut at) = (None, first..first_end);
        if first_end < self.time_end {
            flags = Flags::from_text(&line[at]);
            at = skip(line, first_end, blank)..self.time_end;
        }
        let (time, decimals) = time(line, &at)?;
        // Before the bracket: name, separator, thread, and perhaps the process.
        let mut end = trim(line, 0..self.cpu.start - 1);
        let mut tgid = None;
        if format != Format::PerfScript && line[..end].ends_with(b")") {
            let open = memchr::memrchr(b'(', &line[..end]).ok_or_else(|| not_a_thread(line))?;
            let digits = skip(line, open + 1, blank)..end - 1;
            if !line[digits.clone()].starts_with(b"-") {
                tgid = Some(number(line, &digits, "number of a process")?);
            }
            end = trim(line, 0..open);
        }
        let start = line[..end]
            .iter()
            .rposition(|byte| !byte.is_ascii_digit())
            .map_or(0, |before| before + 1);
        let thread = number(line, &(start..end), "number of a thread")?;
        let mut comm = start.saturating_sub(1);
        if format == Format::PerfScript && line.get(comm) == Some(&b'/') {
            // pid/tid
            let process = line[..comm].iter().rposition(|byte| !byte.is_ascii_digit());
            let process = process.map_or(0, |before| before + 1);
            tgid = Some(number(line, &(process..comm), "number of a process")?);
            comm = process;
        } else if format != Format::PerfScript && line.get(comm) != Some(&b'-') {
            return Err(not_a_thread(line));
        }
        let comm = skip(line, 0, blank).min(comm)..trim(line, 0..comm);
        let body = skip(line, self.body, blank);
        let body = body..trim(line, body..line.len()).max(body);
        Ok(Parsed {
            time,
            decimals,
            cpu,
            thread,
            tgid,
            comm: comm.start..comm.end.max(comm.start),
            flags,
            system: self.system.clone(),
            name: self.name.clone(),
            printed: false,
            body,
        })
    }
}

impl Parsed {
    /// The event, as a view of its line.
    pub(super) fn event<'a>(&self, line: &'a [u8], place: u64) -> RawEvent<'a> {
        let text = |range: &Range<usize>| {
            line.get(range.clone()).and_then(|bytes| str::from_utf8(bytes).ok()).unwrap_or("")
        };
        RawEvent {
            place,
            time: self.time,
            cpu: self.cpu,
            thread: self.thread,
            tgid: self.tgid,
            comm: text(&self.comm),
            flags: self.flags,
            system: self.system.as_ref().map(text),
            name: text(&self.name),
            printed: self.printed,
            body: Body::Text(text(&self.body)),
        }
    }

    /// For a format that says less.
    pub(super) fn bare(
        time: u64,
        cpu: u32,
        thread: u32,
        name: Range<usize>,
        body: Range<usize>,
    ) -> Parsed {
        Parsed {
            time,
            decimals: Some(9),
            cpu,
            thread,
            tgid: None,
            comm: 0..0,
            flags: None,
            system: None,
            name,
            printed: false,
            body,
        }
    }
}

fn not_a_thread(line: &[u8]) -> Cause {
    Cause::Number { what: "name and number of a thread", written: shorten(line) }
}

/// The end of a range, without blanks (and the carriage return that mail adds).
fn trim(line: &[u8], range: Range<usize>) -> usize {
    let kept = line[range.clone()].iter().rposition(|byte| !b" \r".contains(byte));
    kept.map_or(range.start, |last| range.start + last + 1)
}

pub(super) fn number(line: &[u8], range: &Range<usize>, what: &'static str) -> Result<u32, Cause> {
    let written = line.get(range.clone()).unwrap_or_default();
    digits(written)
        .and_then(|number| u32::try_from(number).ok())
        .ok_or_else(|| Cause::Number { what, written: shorten(written) })
}

/// A decimal number of 64 bits.
fn digits(bytes: &[u8]) -> Option<u64> {
    let mut sum = 0_u64;
    for &byte in bytes {
        if !byte.is_ascii_digit() {
            return None;
        }
        sum = sum.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
    }
    (!bytes.is_empty()).then_some(sum)
}

/// `4.790775` in nanoseconds, or a bare count.
fn time(line: &[u8], range: &Range<usize>) -> Result<(u64, Option<u32>), Cause> {
    let written = &line[range.clone()];
    let bad = || Cause::Number { what: "time", written: shorten(written) };
    let Some(point) = memchr::memchr(b'.', written) else {
        return Ok((digits(written).ok_or_else(bad)?, None));
    };
    let fraction = &written[point + 1..];
    let decimals =
        u32::try_from(fraction.len()).ok().filter(|&count| count <= 9).ok_or_else(bad)?;
    let seconds = digits(&written[..point]).ok_or_else(bad)?;
    let parts = digits(fraction).ok_or_else(bad)? * 10_u64.pow(9 - decimals);
    let time = seconds.checked_mul(1_000_000_000).and_then(|time| time.checked_add(parts));
    Ok((time.ok_or_else(bad)?, Some(decimals)))
}

/// A piece of a line for a message.
pub(super) fn shorten(line: &[u8]) -> String {
    const SHOWN: usize = 80;
    let text = String::from_utf8_lossy(&line[..line.len().min(SHOWN)]);
    let mut text: String =
        text.trim().chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    if line.len() > SHOWN {
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str, format: Format) -> Parsed {
        let columns =
            find(line.as_bytes(), format, &mut 0).unwrap_or_else(|| panic!("no columns: {line}"));
        columns.read(line.as_bytes(), format).unwrap_or_else(|cause| panic!("{cause}: {line}"))
    }

    #[test]
    fn the_columns_of_each_text() {
        let rows = [
            (
                Format::Ftrace,
                "            init-1       (      1) [001] d..2.     4.790775: start: (f+0x0/0x1) mm=0x1",
                (
                    "init",
                    1,
                    Some(1),
                    1,
                    4_790_775_000,
                    Some(6),
                    "start",
                    "(f+0x0/0x1) mm=0x1",
                    Some(2),
                ),
            ),
            (
                Format::Ftrace,
                "          <idle>-0       (-------) [000] dNh1. 12: tlb_flush: pages:-1 reason: (3)",
                ("<idle>", 0, None, 0, 12, None, "tlb_flush", "pages:-1 reason: (3)", Some(1)),
            ),
            (
                Format::Ftrace,
                " a-1 [000] : b c-4242  [001] 1.000001: end: mm=0x1",
                ("a-1 [000] : b c", 4242, None, 1, 1_000_001_000, Some(6), "end", "mm=0x1", None),
            ),
            (
                Format::TraceCmdReport,
                "          mnwork-195   [000]    12.834627: rmap_new:             (ffffffff81395804) page=0x1\r",
                (
                    "mnwork",
                    195,
                    None,
                    0,
                    12_834_627_000,
                    Some(6),
                    "rmap_new",
                    "(ffffffff81395804) page=0x1",
                    None,
                ),
            ),
            (
                Format::TraceCmdReport,
                "mnwork-195   [000] d..1.   12.834627123: end: x",
                ("mnwork", 195, None, 0, 12_834_627_123, Some(9), "end", "x", Some(1)),
            ),
            (
                Format::PerfScript,
                "          mnwork  3428 [001]  1425.135331626:         kmem:mm_page_alloc: page=0x2ae2cd",
                (
                    "mnwork",
                    3428,
                    None,
                    1,
                    1_425_135_331_626,
                    Some(9),
                    "mm_page_alloc",
                    "page=0x2ae2cd",
                    None,
                ),
            ),
            (
                Format::PerfScript,
                "     my long one    12/3428 [001]  1425.135331:      1    kmem:mm_page_alloc: page=0x2ae2cd",
                (
                    "my long one",
                    3428,
                    Some(12),
                    1,
                    1_425_135_331_000,
                    Some(6),
                    "mm_page_alloc",
                    "page=0x2ae2cd",
                    None,
                ),
            ),
        ];
        for (format, line, expected) in rows {
            let parsed = read(line, format);
            let event = parsed.event(line.as_bytes(), 1);
            let Body::Text(body) = event.body else { panic!("text: {line}") };
            let found = (
                event.comm,
                event.thread,
                event.tgid,
                event.cpu,
                event.time,
                parsed.decimals,
                event.name,
                body,
                event.flags.map(|flags| flags.preempt_depth),
            );
            assert_eq!(found, expected, "{line}");
        }
    }

    #[test]
    fn numbers_that_no_kernel_prints() {
        for (line, what) in [
            ("            init-1 [001] 99999999999999999999.000000: a: b", "time"),
            ("            init-1 [001] 18446744074.000000: a: b", "time"),
            ("            init-1 [001] 1.0000000000: a: b", "time"),
            ("            init-1 [001] 1.00x0: a: b", "time"),
            ("            init-1 [99999999999] 1.0: a: b", "CPU"),
            ("            init-99999999999 [001] 1.0: a: b", "thread"),
            ("            init-1 (99999999999) [001] 1.0: a: b", "process"),
        ] {
            let columns = find(line.as_bytes(), Format::Ftrace, &mut 0).expect(line);
            match columns.read(line.as_bytes(), Format::Ftrace) {
                Err(cause) => assert!(cause.to_string().contains(what), "{line}: {cause}"),
                Ok(parsed) => panic!("{line}: {parsed:?}"),
            }
        }
    }

    #[test]
    fn lines_with_other_columns() {
        for line in [
            "",
            "[",
            "x",
            "            init-1 [001]",
            "            init-1 [001] 1.0:",
            "            init-1 [001] 1.0: no name",
        ] {
            assert!(find(line.as_bytes(), Format::Ftrace, &mut 35).is_none(), "{line}");
            assert!(find(line.as_bytes(), Format::PerfScript, &mut 35).is_none(), "{line}");
        }
    }
}
