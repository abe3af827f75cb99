//! Events of several CPUs that arrive one CPU after the other, put in order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::columns::Parsed;
use super::{Cause, Item, Lost, RawEvent};

/// How many events may come before one that is older. bpftrace reads the buffer of
/// each CPU in turn, at most 64 pages of it at a time.
const EVENTS: usize = 1 << 16;

/// What waits, with its line.
enum Waits {
    Event(Box<[u8]>, Parsed),
    Lost(Lost),
}

struct Entry {
    time: u64,
    place: u64,
    waits: Waits,
}

impl Entry {
    fn key(&self) -> (u64, u64) {
        (self.time, self.place)
    }
}
impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.key() == other.key()
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// Events in the order of their times, of which the oldest leaves when there are too
/// many.
pub(super) struct Window {
    waiting: BinaryHeap<Reverse<Entry>>,
    size: usize,
    /// Time of the last that left.
    left: u64,
    /// The latest time seen.
    latest: u64,
    out: Option<Entry>,
}

impl Window {
    pub(super) fn new() -> Window {
        Window::of(EVENTS)
    }

    fn of(size: usize) -> Window {
        Window { waiting: BinaryHeap::new(), size, left: 0, latest: 0, out: None }
    }

    pub(super) fn event(&mut self, line: &[u8], place: u64, parsed: Parsed) -> Result<(), Cause> {
        if parsed.time < self.left {
            return Err(Cause::Disorder { window: self.size, by: self.left - parsed.time });
        }
        self.latest = self.latest.max(parsed.time);
        let waits = Waits::Event(line.into(), parsed.clone());
        self.waiting.push(Reverse(Entry { time: parsed.time, place, waits }));
        Ok(())
    }

    /// A loss just before the event of this time.
    pub(super) fn lost(&mut self, lost: Lost, time: u64) {
        let time = time.max(self.left);
        self.waiting.push(Reverse(Entry { time, place: lost.place, waits: Waits::Lost(lost) }));
    }

    /// A loss of which nobody says when: it can be anywhere between what has left and
    /// what came so far. So it is told at both ends.
    pub(super) fn lost_somewhere(&mut self, lost: Lost) {
        let (left, latest) = (self.left, self.latest);
        self.lost(Lost { place: 0, ..lost }, left);
        self.lost(Lost { events: None, ..lost }, latest);
    }

    /// Whether the oldest has to leave before another comes.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= self.size
    }

    /// The oldest leaves.
    pub(super) fn leave(&mut self) -> Option<Item<'_>> {
        let Reverse(entry) = self.waiting.pop()?;
        self.left = self.left.max(entry.time);
        let entry = self.out.insert(entry);
        Some(match &entry.waits {
            Waits::Event(line, parsed) => {
                Item::Event(RawEvent { ..parsed.event(line, entry.place) })
            }
            Waits::Lost(lost) => Item::Lost(*lost),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(window: &mut Window) -> Vec<(u64, bool)> {
        let mut times = Vec::new();
        while let Some(item) = window.leave() {
            times.push(match item {
                Item::Event(event) => (event.time, true),
                Item::Lost(lost) => (lost.place, false),
            });
        }
        times
    }

    fn bare(time: u64) -> Parsed {
        Parsed::bare(time, 0, 1, 0..1, 1..1)
    }

    #[test]
    fn sorted_within_the_window_and_refused_beyond() {
        let mut window = Window::of(2);
        for (place, time) in [(1, 5), (2, 3)] {
            window.event(b"x", place, bare(time)).expect("nothing has left");
        }
        assert!(window.is_full());
        assert!(matches!(window.leave(), Some(Item::Event(event)) if event.time == 3));
        window.event(b"x", 3, bare(4)).expect("not older than what has left");
        let late = window.event(b"x", 4, bare(2));
        assert!(matches!(late, Err(Cause::Disorder { window: 2, by: 1 })), "{late:?}");
        assert_eq!(times(&mut window), [(4, true), (5, true)]);
    }

    #[test]
    fn a_loss_stands_before_its_event_or_at_both_ends() {
        let mut window = Window::of(9);
        let lost = Lost { place: 7, cpu: None, events: Some(3), since: None };
        window.event(b"x", 1, bare(5)).expect("room");
        window.lost(lost, 9);
        window.event(b"x", 8, bare(9)).expect("room");
        assert_eq!(times(&mut window), [(5, true), (7, false), (9, true)]);
        window.event(b"x", 9, bare(12)).expect("room");
        window.lost_somewhere(Lost { place: 10, ..lost });
        window.event(b"x", 11, bare(13)).expect("room");
        assert_eq!(times(&mut window), [(0, false), (12, true), (10, false), (13, true)]);
    }
}
