//! Figures that engineers look at.

use std::collections::{BTreeMap, HashMap};

use mmu_protocol::{Event as RangeEvent, MmId, VirtRange};

use crate::event::{Event, Kind, Outside};
use crate::world::{Change, World};

/// Widths and times, in powers of two.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// How many lie from 2^n up to 2^(n+1).
    pub buckets: BTreeMap<u32, u64>,
    /// How many in all.
    pub count: u64,
    /// Their sum.
    pub sum: u128,
    /// The largest.
    pub max: u64,
}

impl Histogram {
    fn add(&mut self, value: u64) {
        *self.buckets.entry(value.checked_ilog2().unwrap_or(0)).or_default() += 1;
        self.count += 1;
        self.sum += u128::from(value);
        self.max = self.max.max(value);
    }

    /// The mean, rounded down.
    pub fn mean(&self) -> u64 {
        u64::try_from(self.sum / u128::from(self.count.max(1))).unwrap_or(u64::MAX)
    }
}

/// Figures of one address space.
#[derive(Clone, Debug, Default)]
pub struct OfMm {
    /// Ranges by their event; `None` where it was not recorded.
    pub ranges: BTreeMap<&'static str, u64>,
    /// Of these: of everything.
    pub whole: u64,
    /// Bytes of a range that is not of everything.
    pub widths: Histogram,
    /// From the return of the start to the entry of the end.
    pub inside: Histogram,
    /// Starts that were refused.
    pub refused: u64,
    /// Invalidations.
    pub invalidations: u64,
    /// Of these: outside of any range of the address space that they meet.
    pub outside: u64,
    /// Of these: of everything.
    pub everything: u64,
    /// Bytes of an invalidation that is not of everything.
    pub invalidated: Histogram,
    /// Ranges by the number of invalidations of their thread inside of them.
    pub per_range: BTreeMap<u64, u64>,
    /// Invalidations that told a thread's range again what had been told inside it.
    pub twice: u64,
    /// Ends that told secondary TLBs.
    pub telling_ends: u64,
    /// Most ranges that were open at once.
    pub most_open: u64,
}

/// Figures of a trace.
#[derive(Clone, Debug, Default)]
pub struct Statistics {
    mms: BTreeMap<MmId, OfMm>,
    /// What was told inside of each thread's innermost range.
    told: HashMap<u32, (u64, Vec<VirtRange>)>,
    /// Guest faults.
    pub guest_faults: u64,
    /// Leaves that a hypervisor installed.
    pub installs: u64,
    /// Leaves that it took away.
    pub zaps: u64,
}

/// What is told inside of one range is remembered up to so many.
const REMEMBERED: usize = 64;

impl Statistics {
    /// Figures of each address space.
    pub fn of_each(&self) -> impl Iterator<Item = (MmId, &OfMm)> {
        self.mms.iter().map(|(mm, of)| (*mm, of))
    }

    /// The address spaces that there are figures of.
    pub fn spaces(&self) -> impl Iterator<Item = MmId> {
        self.mms.keys().copied()
    }

    /// Faults of guests that installed nothing: they were tried again, or had nothing
    /// to install.
    pub fn retries(&self) -> u64 {
        self.guest_faults.saturating_sub(self.installs)
    }

    pub(crate) fn see(&mut self, event: &Event, world: &World, change: &Change) {
        match event.kind {
            Kind::Outside(Outside::GuestFault) => self.guest_faults += 1,
            Kind::Shadow { old, new, .. } => {
                self.installs += u64::from(old.is_none() && new.is_some());
                self.zaps += u64::from(old.is_some() && new.is_none());
            }
            _ => {}
        }
        // The return of a start names no address space.
        if let (Kind::StartReturned { .. }, Some(refused)) = (event.kind, change.closed) {
            self.mms.entry(refused.mm).or_default().refused += 1;
        }
        let Some((mm, _)) = world.mm(event.mm) else { return };
        match event.kind {
            Kind::Start { range, event: why, .. } => {
                let open = world.open_in(mm).count() as u64;
                let of = self.mms.entry(mm).or_default();
                let name = why.map_or("not recorded", RangeEvent::name);
                *of.ranges.entry(name).or_default() += 1;
                // One such would drown the mean of all others.
                if range.end().as_u64() == u64::MAX {
                    of.whole += 1;
                } else {
                    of.widths.add(range.len());
                }
                of.most_open = of.most_open.max(open);
                self.told.insert(event.at.thread, (0, Vec::new()));
            }
            Kind::End { tells, .. } => {
                let of = self.mms.entry(mm).or_default();
                of.telling_ends += u64::from(tells == Some(true));
                let Some(open) = change.closed else { return };
                let told = self.told.remove(&event.at.thread).map_or(0, |(count, _)| count);
                *of.per_range.entry(told).or_default() += 1;
                if let Some(returned) = open.returned {
                    of.inside.add(event.at.time.saturating_sub(returned.at.time));
                }
            }
            Kind::Invalidate { range } => {
                let outside = !world.open_in(mm).any(|open| open.range.overlaps(range));
                let of = self.mms.entry(mm).or_default();
                of.invalidations += 1;
                of.outside += u64::from(outside);
                if range.end().as_u64() == u64::MAX {
                    of.everything += 1;
                } else {
                    of.invalidated.add(range.len());
                }
                if let Some((count, ranges)) = self.told.get_mut(&event.at.thread) {
                    *count += 1;
                    of.twice += u64::from(ranges.iter().any(|told| told.overlaps(range)));
                    if ranges.len() < REMEMBERED {
                        ranges.push(range);
                    }
                }
            }
            _ => {}
        }
    }
}
