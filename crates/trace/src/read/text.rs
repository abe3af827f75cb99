//! A recording as text: ftrace, trace-cmd report, perf script, our bpftrace program.

use super::columns::{self, Parsed, shorten};
use super::lines::{Line, Lines};
use super::names::{Names, Want};
use super::window::Window;
use super::{Cause, Format, Item, Lost, Place, Source, TimeUnit, bpftrace};

/// More than any machine has; of others it is not remembered when they were seen.
const MOST_CPUS: usize = 1 << 16;

/// Events whose text begins with who printed.
const PRINTERS: [&[u8]; 3] = [b"print", b"bprint", b"bputs"];

/// Reads text, line by line.
pub(super) struct Text {
    lines: Lines,
    format: Format,
    names: Names,
    /// For what does not come in the order of time: bpftrace's CPUs in turn, and
    /// `trace_pipe`, which reads while events are still being written.
    window: Option<Window>,
    /// Losses to be told with the time of the next line.
    losses: Vec<Lost>,
    last: Option<u64>,
    /// The last time of each CPU.
    seen: Vec<Option<u64>>,
    /// Where the CPU was in the line before.
    hint: usize,
    /// The first line of a recording was seen.
    begun: bool,
    /// What ended the reading; told after what was read before.
    failed: Option<(Place, Cause)>,
    ended: bool,
}

/// What a line came to.
enum Step {
    Event(Line, Parsed),
    Anew(String, Parsed),
    Lost(Lost),
    /// A loss of which nobody says when.
    LostSomewhere(Lost),
}

impl Text {
    /// `ordered` if the text says that it was printed in the order of time.
    pub(super) fn new(lines: Lines, format: Format, ordered: bool, names: Names) -> Text {
        let window =
            (format == Format::Bpftrace || format == Format::Ftrace && !ordered).then(Window::new);
        Text {
            lines,
            format,
            names,
            window,
            losses: Vec::new(),
            last: None,
            seen: Vec::new(),
            hint: 0,
            begun: false,
            failed: None,
            ended: false,
        }
    }

    pub(super) fn next(&mut self, source: &mut Source) -> Result<Option<Item<'_>>, (Place, Cause)> {
        while !self.ended && self.window.as_ref().is_none_or(|window| !window.is_full()) {
            let step = match self.step(source) {
                Ok(Some(step)) => step,
                Ok(None) => {
                    self.ended = true;
                    break;
                }
                Err(cause) => {
                    self.failed = Some((Place::Line(self.lines.number), cause));
                    self.ended = true;
                    break;
                }
            };
            let place = self.lines.number;
            let Some(window) = &mut self.window else {
                return Ok(Some(match step {
                    Step::Event(line, parsed) => {
                        Item::Event(parsed.event(self.lines.bytes(line), place))
                    }
                    Step::Lost(lost) | Step::LostSomewhere(lost) => Item::Lost(lost),
                    Step::Anew(..) => unreachable!("only bpftrace's lines are written anew"),
                }));
            };
            let taken = match step {
                Step::Event(line, parsed) => window.event(self.lines.bytes(line), place, parsed),
                Step::Anew(line, parsed) => window.event(line.as_bytes(), place, parsed),
                Step::LostSomewhere(lost) => {
                    window.lost_somewhere(lost);
                    Ok(())
                }
                Step::Lost(lost) => {
                    self.losses.push(lost);
                    Ok(())
                }
            };
            if let Err(cause) = taken {
                self.failed = Some((Place::Line(place), cause));
                self.ended = true;
            }
        }
        if let Some(window) = &mut self.window {
            if self.ended {
                // Nothing follows that would say when.
                self.losses.drain(..).for_each(|lost| window.lost_somewhere(lost));
            }
            if let Some(item) = window.leave() {
                return Ok(Some(item));
            }
        }
        self.failed.take().map_or(Ok(None), Err)
    }

    /// The next line that matters.
    fn step(&mut self, source: &mut Source) -> Result<Option<Step>, Cause> {
        while let Some(line) = self.lines.next()? {
            let bytes = self.lines.bytes(line);
            if !line.complete {
                return Err(if bytes.contains(&0) {
                    self.not_a_line(bytes)
                } else {
                    Cause::Cut { what: "a line" }
                });
            }
            let step = match self.format {
                Format::Bpftrace => self.bpftrace(line)?,
                _ => self.columns(line, source)?,
            };
            if step.is_some() {
                return Ok(step);
            }
        }
        Ok(None)
    }

    fn bpftrace(&mut self, line: Line) -> Result<Option<Step>, Cause> {
        self.lines.make_text(line);
        let bytes = self.lines.bytes(line);
        let wanted = |names: &Names, line: &[u8], parsed: &mut Parsed| {
            names.event(&line[parsed.name.clone()]) == Want::Event || printed(names, line, parsed)
        };
        Ok(match bpftrace::read(bytes)? {
            bpftrace::Read::Event(mut parsed) => {
                wanted(&self.names, bytes, &mut parsed).then_some(Step::Event(line, parsed))
            }
            bpftrace::Read::Rewritten(anew, mut parsed) => {
                wanted(&self.names, anew.as_bytes(), &mut parsed)
                    .then_some(Step::Anew(anew, parsed))
            }
            bpftrace::Read::Lost(events) => Some(Step::LostSomewhere(Lost {
                place: self.lines.number,
                cpu: None,
                events,
                since: None,
            })),
            bpftrace::Read::Nothing => None,
        })
    }

    fn columns(&mut self, line: Line, source: &mut Source) -> Result<Option<Step>, Cause> {
        let bytes = self.lines.bytes(line);
        let Some(columns) = columns::find(bytes, self.format, &mut self.hint) else {
            return self.other(line, source);
        };
        let want = self.names.event(&bytes[columns.name.clone()]);
        if want == Want::No && self.losses.is_empty() {
            return Ok(None);
        }
        if want == Want::IfPrinted && self.losses.is_empty() {
            // Most lines are told by the first letter of their body.
            let first = bytes[columns.body..].iter().find(|byte| **byte != b' ');
            let named = PRINTERS.contains(&&bytes[columns.name.clone()]);
            if !named && !first.is_some_and(|first| self.names.printed_begins_with(*first)) {
                return Ok(None);
            }
            let word = printed_word(bytes, &columns.name, columns.body);
            if !self.names.printed(&bytes[word]) {
                return Ok(None);
            }
        }
        self.lines.make_text(line);
        let bytes = self.lines.bytes(line);
        let mut parsed = columns.read(bytes, self.format)?;
        self.clock(&parsed, bytes, source)?;
        if let Some(window) = &mut self.window {
            self.losses.drain(..).for_each(|lost| window.lost(lost, parsed.time));
        } else {
            let before = self.last.replace(parsed.time).unwrap_or(0);
            if parsed.time < before {
                return Err(Cause::Backwards { before, here: parsed.time, cpu: None });
            }
        }
        let cpu = parsed.cpu as usize;
        if cpu < MOST_CPUS {
            if cpu >= self.seen.len() {
                self.seen.resize(cpu + 1, None);
            }
            self.seen[cpu] = Some(parsed.time);
        }
        let wanted = match want {
            Want::Event => true,
            Want::IfPrinted => printed(&self.names, bytes, &mut parsed),
            Want::No => false,
        };
        Ok(wanted.then_some(Step::Event(line, parsed)))
    }

    /// All times of a recording count the same.
    fn clock(&self, parsed: &Parsed, line: &[u8], source: &mut Source) -> Result<(), Cause> {
        let unit = match parsed.decimals {
            None => TimeUnit::Ticks,
            Some(count) => TimeUnit::Nanoseconds { resolution: 10_u32.pow(9 - count.min(9)) },
        };
        match source.unit.replace(unit) {
            Some(other) if other != unit => Err(Cause::NotALine {
                format: self.format,
                hint: "its time is written in another way than those before; are these two \
                       recordings in one file?",
                line: shorten(line),
            }),
            _ => Ok(()),
        }
    }

    /// A line that is no event.
    fn other(&mut self, line: Line, source: &mut Source) -> Result<Option<Step>, Cause> {
        let bytes = self.lines.bytes(line);
        let trimmed = bytes.trim_ascii();
        if trimmed.is_empty() {
            return Ok(None);
        }
        let place = self.lines.number;
        if trimmed.starts_with(b"#") {
            let begins = trimmed.starts_with(b"# tracer:");
            if begins && std::mem::replace(&mut self.begun, true) {
                return Err(Cause::NotALine {
                    format: self.format,
                    hint: "another recording begins here; give each of them alone",
                    line: shorten(bytes),
                });
            }
            if begins && let Some(cause) = tracer(trimmed) {
                return Err(cause);
            }
            return Ok(header(trimmed, source)?.map(|lost| Step::Lost(Lost { place, ..lost })));
        }
        if self.format != Format::PerfScript
            && let Some(lost) = lost(trimmed)?
        {
            // Everything up to the last event of this CPU was seen.
            let since = lost.cpu.and_then(|cpu| self.seen.get(cpu as usize).copied().flatten());
            return Ok(Some(Step::Lost(Lost { place, since, ..lost })));
        }
        if let Some(lost) = lost_by_perf(trimmed)
            && self.format == Format::PerfScript
        {
            return Ok(Some(Step::Lost(Lost { place, ..lost })));
        }
        // Stacks, and functions that were traced besides events.
        let stack = trimmed.starts_with(b"=> ")
            || trimmed.ends_with(b"stack trace>")
            || self.format == Format::PerfScript && bytes.starts_with(b"\t");
        let function = memchr::memmem::find(trimmed, b" <-").is_some();
        if stack || function && self.format != Format::PerfScript {
            return Ok(None);
        }
        if self.format == Format::TraceCmdReport {
            if let Some(count) = trimmed.strip_prefix(b"cpus=") {
                source.cpus = Some(columns::number(count, &(0..count.len()), "number of CPUs")?);
                return Ok(None);
            }
            if [b"version =".as_slice(), b"CPU "].iter().any(|start| trimmed.starts_with(start)) {
                return Ok(None);
            }
        }
        Err(self.not_a_line(bytes))
    }

    fn not_a_line(&self, line: &[u8]) -> Cause {
        let perf = Format::PerfScript;
        let hint = if line.contains(&0) {
            "it is binary"
        } else if self.format != perf && columns::find(line, perf, &mut 0).is_some() {
            "it is one of perf script; are these two recordings in one file?"
        } else if self.format == perf && columns::find(line, Format::Ftrace, &mut 0).is_some() {
            "it is one of ftrace; are these two recordings in one file?"
        } else if bpftrace::is_line(line) {
            "it is one of bpftrace; are these two recordings in one file?"
        } else {
            "it has no thread, CPU, time and event; was it cut, or is it the second line of what \
             a program printed?"
        };
        Cause::NotALine { format: self.format, hint, line: shorten(line) }
    }
}

/// The first word of what was printed. Behind `print:` and its like stands first who
/// printed.
fn printed_word(line: &[u8], name: &std::ops::Range<usize>, body: usize) -> std::ops::Range<usize> {
    let start_of = |from: usize| {
        line[from..].iter().position(|byte| *byte != b' ').map_or(line.len(), |at| from + at)
    };
    let mut start = start_of(body.min(line.len()));
    if PRINTERS.contains(&&line[name.clone()])
        && let Some(end) = memchr::memmem::find(&line[start..], b": ")
    {
        start = start_of(start + end + 1);
    }
    let end = line[start..].iter().position(|byte| b" =:,".contains(byte));
    start..end.map_or(line.len(), |at| start + at)
}

/// Whether what was printed is wanted; then its first word becomes the name.
fn printed(names: &Names, line: &[u8], parsed: &mut Parsed) -> bool {
    let word = printed_word(line, &parsed.name, parsed.body.start);
    if !names.printed(&line[word.clone()]) {
        return false;
    }
    let body = line[word.end..].iter().position(|byte| !b" :".contains(byte));
    parsed.body.start = body.map_or(parsed.body.end, |at| word.end + at).min(parsed.body.end);
    parsed.name = word;
    parsed.printed = true;
    true
}

/// Tracers whose lines are no events.
fn tracer(line: &[u8]) -> Option<Cause> {
    let name = String::from_utf8_lossy(line);
    let name = name.strip_prefix("# tracer:")?.trim();
    (!["nop", "function", ""].contains(&name)).then(|| Cause::NotRead {
        what: format!("the text of tracer {name:.30}"),
        instead: "record events with tracer nop (echo nop > current_tracer)",
    })
}

/// What a comment says of the recording, or of a loss.
fn header(line: &[u8], source: &mut Source) -> Result<Option<Lost>, Cause> {
    let text = String::from_utf8_lossy(line);
    let count = |written: &str| {
        written.trim().parse::<u64>().map_err(|_| Cause::Number {
            what: "number of entries",
            written: shorten(written.as_bytes()),
        })
    };
    if let Some(rest) = text.strip_prefix("# entries-in-buffer/entries-written:") {
        let (entries, cpus) = rest.split_once("#P:").unwrap_or((rest, ""));
        let Some((inside, written)) = entries.split_once('/') else { return Ok(None) };
        let (inside, written) = (count(inside)?, count(written)?);
        source.entries = Some((inside, written));
        source.cpus = cpus.trim().parse().ok();
        // What is not in the buffer any more was overwritten.
        let missing = written.saturating_sub(inside);
        return Ok((missing > 0).then_some(Lost {
            place: 0,
            cpu: None,
            events: Some(missing),
            since: None,
        }));
    }
    if let Some(rest) = text.strip_prefix("##### CPU ") {
        // Only printed after an overrun: before this line, events of this CPU are gone.
        let cpu = rest.split(' ').next().and_then(|cpu| cpu.parse().ok());
        return Ok(Some(Lost { place: 0, cpu, events: None, since: None }));
    }
    if let Some(rest) = text.strip_prefix("# os release :") {
        source.kernel = Some(rest.trim().to_owned());
    } else if let Some(rest) = text.strip_prefix("# perf version :") {
        source.recorder = Some(format!("perf {}", rest.trim()));
    } else if let Some(rest) = text.strip_prefix("# nrcpus online :") {
        source.cpus = rest.trim().parse().ok();
    }
    Ok(None)
}

/// `CPU:1 [LOST 23 EVENTS]`, `CPU:1 [LOST EVENTS]` of the kernel; `CPU:1 [23 EVENTS
/// DROPPED]`, `CPU:1 [EVENTS DROPPED]` of trace-cmd.
fn lost(line: &[u8]) -> Result<Option<Lost>, Cause> {
    let parts = || {
        let (cpu, what) = str::from_utf8(line.strip_prefix(b"CPU:")?).ok()?.split_once(" [")?;
        let what = what.strip_suffix(']')?;
        let count = what.strip_prefix("LOST ").and_then(|what| what.strip_suffix("EVENTS"));
        let count = count.or_else(|| what.strip_suffix("EVENTS DROPPED"))?;
        Some((cpu, count.trim()))
    };
    let Some((cpu, count)) = parts() else { return Ok(None) };
    let bad = |what, written: &str| Cause::Number { what, written: shorten(written.as_bytes()) };
    let cpu = cpu.parse().map_err(|_| bad("number of a CPU", cpu))?;
    let events = match count {
        "" => None,
        count => Some(count.parse().map_err(|_| bad("number of events", count))?),
    };
    Ok(Some(Lost { place: 0, cpu: Some(cpu), events, since: None }))
}

/// `comm 12 [001] 5.000000: PERF_RECORD_LOST lost 23`.
fn lost_by_perf(line: &[u8]) -> Option<Lost> {
    let at = memchr::memmem::find(line, b"PERF_RECORD_LOST")?;
    let rest = str::from_utf8(&line[at..]).ok()?;
    let events = rest.split(' ').find_map(|word| word.parse().ok());
    Some(Lost { place: 0, cpu: None, events, since: None })
}
