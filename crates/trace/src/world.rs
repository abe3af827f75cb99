//! What is going on: open ranges of each thread, and who is registered where.
//!
//! All rules look at this one picture, so that they agree on it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use mmu_protocol::{MmId, VirtRange};

use crate::event::{Event, Kind, Tag};

/// Which order the times of different CPUs have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// One order for all CPUs.
    Ordered,
    /// Each CPU has its own, or it is not known.
    PerCpu,
}

/// An open range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// Its start.
    pub start: Event,
    /// Whose table.
    pub mm: MmId,
    /// Which addresses.
    pub range: VirtRange,
    /// Whether callbacks may block.
    pub blockable: Option<bool>,
    /// The return of its start.
    pub returned: Option<Event>,
}

/// A thread, as far as it is known.
#[derive(Clone, Debug, Default)]
pub struct Thread {
    /// Its open ranges, innermost last.
    pub open: Vec<Open>,
    /// All of its ranges are in `open`: it was seen outside of any.
    pub all_known: bool,
    /// The last range that was refused.
    pub refused: Option<Open>,
    /// How many events prove that what it did before has returned.
    pub steps: u64,
}

/// An address space somebody registered with.
#[derive(Clone, Copy, Debug)]
pub struct Mm {
    /// The registration, if it is in the trace.
    pub registered: Option<Event>,
    /// The first range: from here on the kernel's wrappers see the subscriber. A
    /// registration is recorded at its entry, before that.
    pub effective: Option<Event>,
}

/// What an event did to the picture.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// The range that ended or was refused here.
    pub closed: Option<Open>,
    /// Ranges that can no longer be open, and never had an end.
    pub abandoned: Vec<Open>,
    /// Ranges of other threads that were open when their address space was released.
    pub outlived: Vec<Open>,
    /// What the secondary TLBs are told here. `false`: only perhaps.
    pub tells: Option<(MmId, VirtRange, bool)>,
}

/// The picture.
#[derive(Debug)]
pub struct World {
    /// Whether times of several CPUs can be compared.
    pub clock: Clock,
    threads: HashMap<u32, Thread>,
    /// Threads with open ranges.
    busy: BTreeSet<u32>,
    mms: BTreeMap<MmId, Mm>,
    first: [Option<u64>; Tag::COUNT],
    lost: Option<Event>,
    hypervised: Vec<MmId>,
    released: HashSet<MmId>,
    events: u64,
}

impl World {
    /// Nothing was seen.
    pub fn new(clock: Clock) -> World {
        World {
            clock,
            threads: HashMap::new(),
            busy: BTreeSet::new(),
            mms: BTreeMap::new(),
            first: [None; Tag::COUNT],
            lost: None,
            hypervised: Vec::new(),
            released: HashSet::new(),
            events: 0,
        }
    }

    /// How many events there were.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The address space, if somebody is registered with it.
    pub fn mm(&self, mm: Option<MmId>) -> Option<(MmId, &Mm)> {
        let mm = mm?;
        Some((mm, self.mms.get(&mm)?))
    }

    /// The address space, if every change of it by this event's thread is told from
    /// here on.
    pub fn watched(&self, event: &Event) -> Option<MmId> {
        let (mm, state) = self.mm(event.mm)?;
        let since = state.effective.as_ref()?;
        let own = || {
            self.thread(event.at.thread)
                .is_some_and(|thread| thread.open.iter().any(|open| open.mm == mm))
        };
        (self.ordered(since, event) || own()).then_some(mm)
    }

    /// The only address space somebody is registered with.
    pub fn only_mm(&self) -> Option<MmId> {
        let mut all = self.mms.keys();
        all.next().copied().filter(|_| all.next().is_none())
    }

    /// The address space of the only guest.
    pub fn guest(&self) -> Option<MmId> {
        match self.hypervised[..] {
            [mm] => Some(mm),
            [] => self.only_mm(),
            _ => None,
        }
    }

    /// What is known of a thread.
    pub fn thread(&self, thread: u32) -> Option<&Thread> {
        self.threads.get(&thread)
    }

    /// Open ranges of all threads in this address space.
    pub fn open_in(&self, mm: MmId) -> impl Iterator<Item = &Open> {
        let busy = self.busy.iter().filter_map(|thread| self.threads.get(thread));
        busy.flat_map(|thread| &thread.open).filter(move |open| open.mm == mm)
    }

    /// Ranges that are open now.
    pub fn still_open(&self) -> impl Iterator<Item = &Open> {
        let busy = self.busy.iter().filter_map(|thread| self.threads.get(thread));
        busy.flat_map(|thread| &thread.open)
    }

    /// Whether an event of this kind came before this event: the probe was there.
    pub fn seen_before(&self, tag: Tag, event: &Event) -> bool {
        self.first[tag as usize].is_some_and(|place| place < event.at.place)
    }

    /// Whether there was any event of this kind.
    pub fn seen(&self, tag: Tag) -> bool {
        self.first[tag as usize].is_some()
    }

    /// Where events were lost last.
    pub fn lost(&self) -> Option<&Event> {
        self.lost.as_ref()
    }

    /// Whether the clock orders these two events.
    pub fn ordered(&self, one: &Event, other: &Event) -> bool {
        self.clock == Clock::Ordered || one.at.thread == other.at.thread
    }

    /// Takes an event in.
    pub fn take(&mut self, event: &Event) -> Change {
        self.events += 1;
        let first = &mut self.first[event.kind.tag() as usize];
        // Places start at 1; where a recording has none the count stands for it.
        *first = first.or(Some(event.at.place));
        let mut change = Change::default();
        if !event.at.interrupt && !event.kind.inside_callback() {
            self.threads.entry(event.at.thread).or_default().steps += 1;
        }
        match event.kind {
            Kind::Register => {
                if let Some(mm) = event.mm {
                    self.released.remove(&mm);
                    self.mms.insert(mm, Mm { registered: Some(*event), effective: None });
                }
            }
            Kind::Start { range, blockable, .. } => {
                if let Some(mm) = event.mm.filter(|mm| !self.released.contains(mm)) {
                    let new = Mm { registered: None, effective: None };
                    self.mms.entry(mm).or_insert(new).effective.get_or_insert(*event);
                    let open = Open { start: *event, mm, range, blockable, returned: None };
                    self.threads.entry(event.at.thread).or_default().open.push(open);
                }
            }
            Kind::StartReturned { result } => self.start_returned(event, result, &mut change),
            Kind::End { range, tells } => {
                if let Some(mm) = event.mm.filter(|mm| !self.released.contains(mm)) {
                    self.end(event, mm, range, &mut change);
                    if tells != Some(false) {
                        change.tells = Some((mm, range, tells == Some(true)));
                    }
                }
            }
            Kind::Invalidate { range } => {
                change.tells = event.mm.map(|mm| (mm, range, true));
            }
            Kind::ShadowTold => {
                let thread = self.threads.get(&event.at.thread);
                let told = thread.and_then(|thread| thread.open.last());
                if let Some(open) = told.filter(|open| open.returned.is_none())
                    && !self.hypervised.contains(&open.mm)
                {
                    self.hypervised.push(open.mm);
                }
            }
            Kind::Outside(_) if !event.at.interrupt => {
                let thread = self.threads.entry(event.at.thread).or_default();
                change.abandoned = std::mem::take(&mut thread.open);
                thread.all_known = true;
                thread.refused = None;
            }
            Kind::Release => {
                if let Some(mm) = event.mm {
                    self.release(event, mm, &mut change);
                }
            }
            Kind::Lost { .. } => {
                self.lost = Some(*event);
                self.threads.clear();
            }
            _ => {}
        }
        self.note_busy(event);
        change
    }

    fn note_busy(&mut self, event: &Event) {
        match event.kind {
            Kind::Start { .. }
            | Kind::StartReturned { .. }
            | Kind::End { .. }
            | Kind::Outside(_) => {
                let thread = event.at.thread;
                if self.threads.get(&thread).is_some_and(|thread| !thread.open.is_empty()) {
                    self.busy.insert(thread);
                } else {
                    self.busy.remove(&thread);
                }
            }
            Kind::Release | Kind::Lost { .. } => {
                let threads = &self.threads;
                self.busy.retain(|thread| {
                    threads.get(thread).is_some_and(|thread| !thread.open.is_empty())
                });
            }
            _ => {}
        }
    }

    fn start_returned(&mut self, event: &Event, result: i64, change: &mut Change) {
        let Some(thread) = self.threads.get_mut(&event.at.thread) else { return };
        let Some(place) = thread.open.iter().rposition(|open| open.returned.is_none()) else {
            return;
        };
        thread.open[place].returned = Some(*event);
        if result != 0 {
            let refused = thread.open.remove(place);
            thread.refused = Some(refused);
            change.closed = Some(refused);
        }
    }

    fn end(&mut self, event: &Event, mm: MmId, range: VirtRange, change: &mut Change) {
        let Some(thread) = self.threads.get_mut(&event.at.thread) else { return };
        let place = thread.open.iter().rposition(|open| open.mm == mm && open.range == range);
        if let Some(place) = place {
            // Ranges of a thread are nested: what was opened inside is over too.
            change.abandoned = thread.open.split_off(place + 1);
            change.closed = thread.open.pop();
        }
    }

    fn release(&mut self, event: &Event, mm: MmId, change: &mut Change) {
        for (number, thread) in &mut self.threads {
            let (gone, kept): (Vec<Open>, Vec<Open>) =
                thread.open.drain(..).partition(|open| open.mm == mm);
            thread.open = kept;
            // Whoever releases an address space is at the end of its own way.
            if *number == event.at.thread {
                change.abandoned.extend(gone);
            } else {
                change.outlived.extend(gone);
            }
        }
        self.mms.remove(&mm);
        self.released.insert(mm);
        self.hypervised.retain(|guest| *guest != mm);
    }
}
