//! Recordings of right kernels, made wrong in one place.

use std::collections::HashMap;

use mmu_protocol::{MmId, VirtAddr, VirtRange};
use shootdown_trace::check::Options;
use shootdown_trace::event::{Event, Kind, Leaf};
use shootdown_trace::monitor::Report;
use shootdown_trace::rules::Rule;

use super::{again, checked, with_clock};

/// How many of each kind.
const MUTATIONS: usize = 40;

/// A sequence of numbers that is the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }
}

/// What is done to the events.
#[derive(Clone, Copy)]
enum Change {
    Drop(usize),
    Move { from: usize, to: usize },
    Insert { at: usize, event: Event },
}

fn changed(events: &[Event], change: Change) -> Vec<Event> {
    let mut events = events.to_vec();
    match change {
        Change::Drop(place) => drop(events.remove(place)),
        Change::Move { from, to } => {
            let mut event = events.remove(from);
            event.at.time = events[to].at.time;
            events.insert(to, event);
        }
        Change::Insert { at, mut event } => {
            event.at.time = events[at].at.time;
            events.insert(at, event);
        }
    }
    events
}

/// The address space that was recorded, and where it is registered.
fn space(events: &[Event]) -> (MmId, usize, usize) {
    let place = |kind: Kind| events.iter().position(|event| event.kind == kind);
    let (from, to) = (place(Kind::Register).unwrap(), place(Kind::Release).unwrap());
    (events[from].mm.unwrap(), from, to)
}

fn places(events: &[Event], is: impl Fn(&Event) -> bool) -> Vec<usize> {
    let (mm, from, to) = space(events);
    (from..to).filter(|place| events[*place].mm == Some(mm) && is(&events[*place])).collect()
}

fn starts(events: &[Event]) -> Vec<Change> {
    let list = places(events, |event| matches!(event.kind, Kind::Start { .. }));
    list.into_iter().map(Change::Drop).collect()
}

fn ends(events: &[Event]) -> Vec<Change> {
    let list = places(events, |event| matches!(event.kind, Kind::End { .. }));
    list.into_iter().map(Change::Drop).collect()
}

/// The invalidation between the clear of a present entry and the new page there.
fn of_cow(events: &[Event]) -> Vec<Change> {
    let (mut cleared, mut told) = (HashMap::new(), Vec::new());
    for place in places(events, |_| true) {
        let event = &events[place];
        let thread = event.at.thread;
        match event.kind {
            Kind::Clear { addr, old: Some(old), .. } if old.accessible => {
                cleared.insert(thread, (addr, None));
            }
            Kind::Invalidate { range } => {
                if let Some((addr, at)) = cleared.get_mut(&thread)
                    && range.contains(*addr)
                {
                    *at = Some(place);
                }
            }
            Kind::MapNew { addr, .. } => {
                if let Some((_, Some(at))) = cleared.remove(&thread).filter(|(of, _)| *of == addr) {
                    told.push(Change::Drop(at));
                }
            }
            Kind::Start { .. } => drop(cleared.remove(&thread)),
            _ => {}
        }
    }
    told
}

fn invalidations(events: &[Event]) -> Vec<Change> {
    let list = places(events, |event| matches!(event.kind, Kind::Invalidate { .. }));
    list.into_iter().map(Change::Drop).collect()
}

/// Leaves that were taken away, by frame, and where.
fn zaps(events: &[Event]) -> impl Iterator<Item = (usize, Leaf)> {
    events.iter().enumerate().filter_map(|(place, event)| match event.kind {
        Kind::Shadow { old: Some(leaf), new: None, .. } => Some((place, leaf)),
        _ => None,
    })
}

fn early_frees(events: &[Event]) -> Vec<Change> {
    let zaps: HashMap<u64, Vec<usize>> =
        zaps(events).fold(HashMap::new(), |mut map, (place, leaf)| {
            map.entry(leaf.pfn).or_insert_with(Vec::new).push(place);
            map
        });
    let mut list = Vec::new();
    for (from, event) in events.iter().enumerate() {
        let Kind::Free { pfn, .. } = event.kind else { continue };
        let before = zaps.get(&pfn).into_iter().flatten().rev().find(|place| **place < from);
        // Not a page that belonged to somebody else in between.
        let other = |at: usize| {
            events[at..from].iter().any(|event| {
                matches!(event.kind, Kind::Free { pfn: first, frames } | Kind::Alloc { pfn: first, frames }
                    if (first..first + frames).contains(&pfn))
            })
        };
        if let Some(to) = before.filter(|to| !other(**to)) {
            list.push(Change::Move { from, to: *to });
        }
    }
    list
}

fn dropped_zaps(events: &[Event]) -> Vec<Change> {
    zaps(events).map(|(place, _)| Change::Drop(place)).collect()
}

/// A leaf for an address of a range that is open.
fn early_installs(events: &[Event]) -> Vec<Change> {
    let (mm, ..) = space(events);
    let mut list = Vec::new();
    let (mut slot, mut installs) = (None, Vec::new());
    let mut open: HashMap<u32, VirtRange> = HashMap::new();
    for (at, event) in events.iter().enumerate() {
        match event.kind {
            Kind::Slot { gfn, range } => slot = Some((gfn, range)),
            Kind::Shadow { gfn, old: None, new: Some(Leaf { frames: 1, .. }), .. } => {
                let of_slot = slot.filter(|(first, _): &(u64, VirtRange)| gfn >= *first);
                if let Some((first, range)) = of_slot {
                    let addr = VirtAddr::new(range.start().as_u64() + ((gfn - first) << 12));
                    if range.contains(addr) {
                        installs.push((addr, *event));
                    }
                }
            }
            Kind::Start { range, .. } if event.mm == Some(mm) => {
                open.insert(event.at.thread, range);
            }
            Kind::StartReturned { result: 0 } => {
                let Some(range) = open.remove(&event.at.thread) else { continue };
                let fits = installs.iter().rev().find(|(addr, event)| {
                    range.contains(*addr) && event.at.thread != events[at].at.thread
                });
                if let Some((_, event)) = fits {
                    list.push(Change::Insert { at: at + 1, event: *event });
                }
            }
            _ => {}
        }
    }
    list
}

/// How many are violations, and how many are at least suspicious, by these rules.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Caught {
    tried: usize,
    noticed: usize,
    certain: usize,
}

fn by_rules(report: &Report, rules: &[Rule]) -> (bool, bool) {
    let rows = || report.rows.iter().filter(|row| rules.contains(&row.rule));
    let certain = rows().any(|row| row.findings.iter().any(|finding| finding.lacks.is_none()));
    (certain || rows().any(|row| row.suspicions > 0), certain)
}

fn caught(events: &[Event], of: fn(&[Event]) -> Vec<Change>, rules: &[Rule]) -> Caught {
    let changes = of(events);
    let mut dice = Dice(7);
    let mut caught = Caught { tried: 0, noticed: 0, certain: 0 };
    for _ in 0..MUTATIONS.min(changes.len()) {
        let change = changes[dice.below(changes.len())];
        let report = again(changed(events, change));
        let (noticed, certain) = by_rules(&report, rules);
        caught.tried += 1;
        caught.noticed += usize::from(noticed);
        caught.certain += usize::from(certain);
    }
    caught
}

/// What is noticed of each kind: every missing start, end and invalidation of a COW,
/// every early free and early install. A missing end is certain only where its thread
/// is seen elsewhere; of any missing invalidation, and of a missing zap, often nothing
/// wrong follows.
fn all(name: &str, options: &Options) {
    let (_, events) = checked(name, options);
    let (noticed, _) = by_rules(&again(events.iter().copied()), &Rule::all().collect::<Vec<_>>());
    assert!(!noticed, "{name}: what was not changed is right");
    let what = |of: fn(&[Event]) -> Vec<Change>, rules: &[Rule]| caught(&events, of, rules);
    let every = Caught { tried: MUTATIONS, noticed: MUTATIONS, certain: MUTATIONS };
    assert_eq!(what(starts, &[Rule::R1]), every, "{name}: a start is missing");
    assert_eq!(what(of_cow, &[Rule::R4]), every, "{name}: a COW does not tell");
    assert_eq!(what(early_frees, &[Rule::R6]), every, "{name}: a page is freed too early");
    let installs = what(early_installs, &[Rule::R7]);
    assert_eq!(installs.certain, installs.tried, "{name}: a leaf is installed too early");
    assert!(installs.tried >= 30, "{name}: {installs:?}");
    let ends = what(ends, &[Rule::R1]);
    assert!(ends.noticed == MUTATIONS && ends.certain >= 38, "{name}: an end is missing: {ends:?}");
    let told = what(invalidations, &[Rule::R4, Rule::R5]);
    assert!(told.certain >= 30, "{name}: any invalidation is missing: {told:?}");
    let zapped = what(dropped_zaps, &[Rule::R6]);
    assert!(zapped.certain >= 10, "{name}: a zap is missing: {zapped:?}");
    println!("{name}: ends {ends:?}, installs {installs:?}, told {told:?}, zaps {zapped:?}");
}

#[test]
fn linux_6_1() {
    all("linux-6.1-kvm.trace.gz", &with_clock("mono"));
}

#[test]
fn linux_6_12() {
    all("linux-6.12-kvm-counter.trace.gz", &Options::default());
}

#[test]
fn linux_7_2() {
    all("linux-7.2-kvm-counter.trace.gz", &Options::default());
}
