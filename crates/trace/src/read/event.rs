//! One event, before anybody knows what it means.

use std::fmt;

use super::printed;
use super::record::Record;

/// What a [`Reader`](super::Reader) delivers.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    /// An event.
    Event(RawEvent<'a>),
    /// Events are missing here.
    Lost(Lost),
}

/// The tracer lost events: whatever depends on having seen all of them begins anew
/// after this place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Line or record, counted from 1.
    pub place: u64,
    /// Whose events; of all CPUs if it is not known.
    pub cpu: Option<u32>,
    /// How many, if the tracer knows.
    pub events: Option<u64>,
    /// Up to when everything is known: the last event before the gap. `None`: it may
    /// reach back to the beginning.
    ///
    /// Tracers tell of a loss when the next event of that CPU comes. Until then events
    /// of other CPUs were delivered as if nothing was missing: whatever was concluded
    /// from what did *not* happen since this time has to be taken back.
    pub since: Option<u64>,
}

/// One line or record, before anybody knows what it means.
#[derive(Clone, Copy, Debug)]
pub struct RawEvent<'a> {
    /// Line, counted from 1; number of the record in a binary recording.
    pub place: u64,
    /// Nanoseconds, or ticks of a counting clock: [`Source::unit`](super::Source::unit).
    pub time: u64,
    /// The CPU that it happened on.
    pub cpu: u32,
    /// The thread that it happened in (the kernel's pid); 0 is idle.
    pub thread: u32,
    /// The process of the thread (the kernel's tgid), if it was recorded.
    pub tgid: Option<u32>,
    /// Name of the thread; empty if the format has none.
    pub comm: &'a str,
    /// The context it happened in, if it was recorded.
    pub flags: Option<Flags>,
    /// The group of the event, if it was recorded: `kvm`.
    pub system: Option<&'a str>,
    /// Name of the event, without its group: `kvm_unmap_hva_range`. For what was
    /// printed and is wanted by its first word: this word.
    pub name: &'a str,
    /// Whether it was printed, and `name` is its first word.
    pub printed: bool,
    /// The rest.
    pub body: Body<'a>,
}

/// The fields of an event.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// As text: what follows the name and its colon, without the blanks around it.
    Text(&'a str),
    /// As the kernel wrote them.
    Record(Record<'a>),
}

/// The context of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags {
    /// Interrupts were off.
    pub irqs_off: bool,
    /// Bottom halves were off.
    pub bh_off: bool,
    /// In a hard interrupt or an NMI.
    pub hard_irq: bool,
    /// In a soft interrupt.
    pub soft_irq: bool,
    /// How often preemption was disabled. A kernel that does not count preemption
    /// says 0; the kernel stops counting at [`Flags::MANY`].
    pub preempt_depth: u8,
}

impl Flags {
    /// The largest depth that is told from larger ones.
    pub const MANY: u8 = 15;
}

impl<'a> RawEvent<'a> {
    /// A field as a number: decimal, or hexadecimal after `0x` or where the kernel is
    /// known to print it so. Negative numbers are in two's complement.
    ///
    /// `None` if there is no such field, or no number in it that fits 64 bits.
    #[must_use]
    pub fn number(&self, field: &str) -> Option<u64> {
        match &self.body {
            Body::Text(text) => printed::number(self.name, text, field),
            Body::Record(record) => record.number(field),
        }
    }

    /// A field that is printed in hexadecimal without a `0x`, by somebody whom this
    /// crate does not know: `region=7f485a400000`. In a binary record a number is a
    /// number.
    #[must_use]
    pub fn hex(&self, field: &str) -> Option<u64> {
        match &self.body {
            Body::Text(text) => printed::hex(self.name, text, field),
            Body::Record(record) => record.number(field),
        }
    }

    /// A field as a number with a sign: `ret=-11`.
    #[must_use]
    pub fn signed(&self, field: &str) -> Option<i64> {
        self.number(field).map(u64::cast_signed)
    }

    /// A field as it is written, up to the next blank or comma: `by=start`. Of a
    /// binary record only what is text there.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&'a str> {
        match self.body {
            Body::Text(text) => printed::text(self.name, text, field),
            Body::Record(record) => record.text(field),
        }
    }
}

impl fmt::Display for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Body::Text(text) => f.write_str(text),
            Body::Record(record) => record.fmt(f),
        }
    }
}

/// Bits of `common_flags`, as of `enum trace_flag_type` in
/// include/linux/trace_events.h of v6.12.
const IRQS_OFF: u8 = 0x01;
const HARD_IRQ: u8 = 0x08;
const SOFT_IRQ: u8 = 0x10;
const NMI: u8 = 0x40;
const BH_OFF: u8 = 0x80;

impl Flags {
    /// From `common_flags` and `common_preempt_count` of a binary record. The upper
    /// half of the count is how often migration was disabled.
    pub(super) fn from_record(flags: u8, preempt: u8) -> Flags {
        Flags {
            irqs_off: flags & IRQS_OFF != 0,
            bh_off: flags & BH_OFF != 0,
            hard_irq: flags & (HARD_IRQ | NMI) != 0,
            soft_irq: flags & SOFT_IRQ != 0,
            preempt_depth: preempt & 0xf,
        }
    }

    /// From the column of a text, `d..2.` (`trace_print_lat_fmt` in
    /// kernel/trace/trace_output.c): interrupts, need to reschedule, kind of
    /// interrupt, depth of preempt, and since v5.14 that of migrate-disable.
    pub(super) fn from_text(column: &[u8]) -> Option<Flags> {
        let (&[irqs, _, interrupt, preempt], rest) = column.split_first_chunk()?;
        if rest.len() > 2 {
            return None;
        }
        let preempt_depth = match preempt {
            b'.' => 0,
            digit => u8::try_from(char::from(digit).to_digit(16)?).ok()?,
        };
        if !b".dDbX".contains(&irqs) || !b".ZzHhs".contains(&interrupt) {
            return None;
        }
        Some(Flags {
            irqs_off: b"dD".contains(&irqs),
            bh_off: b"bD".contains(&irqs),
            hard_irq: b"ZzHh".contains(&interrupt),
            soft_irq: b"Hs".contains(&interrupt),
            preempt_depth,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_context_is_the_same_in_text_and_in_records() {
        for (text, flags, preempt) in [
            ("d..2.", IRQS_OFF, 2),
            ("b.s13", BH_OFF | SOFT_IRQ, 0x31),
            ("DNH.1", IRQS_OFF | BH_OFF | HARD_IRQ | SOFT_IRQ | 0x24, 0x10),
            (".nzf.", NMI | 0x04, 0x0f),
            ("....", 0, 0),
        ] {
            let text_flags = Flags::from_text(text.as_bytes()).expect(text);
            assert_eq!(text_flags, Flags::from_record(flags, preempt), "{text}");
        }
        for text in ["", "d..", "d..x.", "q..1.", "d.q1.", "d..1...", "4.790775"] {
            assert_eq!(Flags::from_text(text.as_bytes()), None, "{text}");
        }
    }
}
