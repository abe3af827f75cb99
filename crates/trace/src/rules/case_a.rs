//! R5: case A.
//!
//! A page that an entry mapped is followed from there to its free. Between the two the
//! secondary TLBs have to be told of the entry's address. What is known of the removal
//! decides what can be said: with the address and the value of the entry its free
//! without any invalidation is a violation. Most unmapping clears entries in code where
//! no probe can be; then the reverse map names the page but not the address, and only
//! that an invalidation met the range can be confirmed.

use std::collections::{BTreeSet, HashMap};

use mmu_protocol::{MmId, Obligation, PageSize, VirtRange};

use super::pairing::links;
use super::{Check, Outcomes, Rule, first_of, not_yet};
use crate::event::{Event, Kind, NO_PFN, Tag};
use crate::finding::{Finding, Lack};
use crate::world::{Change, Clock, World};

/// Where the page was mapped.
#[derive(Clone, Copy)]
enum Place {
    /// Exactly here.
    Page(VirtRange),
    /// Somewhere in here.
    Within(VirtRange),
    /// Nobody knows.
    Unknown,
}

/// An invalidation that met it.
#[derive(Clone, Copy)]
struct Told {
    by: Event,
    /// How far the telling thread had come.
    steps: u64,
}

/// A page that an entry no longer maps, and that is not free yet.
#[derive(Clone, Copy)]
struct Removal {
    mm: MmId,
    event: Event,
    start: Option<Event>,
    place: Place,
    told: Option<Told>,
    perhaps: bool,
}

/// Pages of one address space that are followed at most; the oldest is let go.
const FOLLOWED: usize = 1 << 16;

#[derive(Default)]
pub(super) struct CaseA {
    removed: HashMap<u64, Vec<Removal>>,
    /// Frames of which somebody is still to be told.
    untold: HashMap<MmId, BTreeSet<u64>>,
    /// What each thread has told last, since its last start.
    last: HashMap<u32, (MmId, VirtRange, Told)>,
    /// The table that each thread took away last: its pages follow one by one.
    tables: HashMap<u32, Removal>,
}

impl Check for CaseA {
    fn see(&mut self, event: &Event, world: &World, change: &Change, out: &mut Outcomes) {
        if let Some((mm, range, certain)) = change.tells {
            self.tell(event, mm, range, certain, world);
        }
        match event.kind {
            Kind::Clear { addr, size, old: Some(old) } if old.accessible => {
                let Some(mm) = world.watched(event) else { return };
                let page = VirtRange::page(addr, size);
                let removal = Removal {
                    mm,
                    event: *event,
                    start: enclosing(world, event, mm),
                    // Parts of a huge page may be told of one by one.
                    place: if size == PageSize::Base {
                        Place::Page(page)
                    } else {
                        Place::Within(page)
                    },
                    told: None,
                    perhaps: false,
                };
                if old.table {
                    self.tables.insert(event.at.thread, removal);
                } else if old.pfn != NO_PFN {
                    self.tables.remove(&event.at.thread);
                    self.follow(old.pfn, removal);
                }
            }
            Kind::Unmapped { pfn, frames } => {
                let Some(mm) = world.watched(event) else { return };
                let Some(pfn) = pfn else { return out.open(Rule::R5, Some(mm), Lack::Frame) };
                for pfn in pfn..pfn + frames {
                    self.unmapped(event, mm, pfn, world);
                }
            }
            Kind::Start { .. } => {
                self.last.remove(&event.at.thread);
                self.tables.remove(&event.at.thread);
            }
            Kind::Free { pfn, frames } if !self.removed.is_empty() => {
                for pfn in pfn..pfn + frames {
                    for removal in self.forget(pfn) {
                        judge(&removal, event, world, out);
                    }
                }
            }
            Kind::Alloc { pfn, frames } if !self.removed.is_empty() => {
                // Its free was not seen.
                for pfn in pfn..pfn + frames {
                    self.forget(pfn);
                }
            }
            Kind::Release => self.drop_where(|one| Some(one.mm) == event.mm),
            Kind::Lost { .. } => self.drop_where(|_| true),
            _ => {}
        }
    }
}

fn enclosing(world: &World, event: &Event, mm: MmId) -> Option<Event> {
    let thread = world.thread(event.at.thread)?;
    thread.open.iter().rev().find(|open| open.mm == mm).map(|open| open.start)
}

impl CaseA {
    fn follow(&mut self, pfn: u64, removal: Removal) {
        if removal.told.is_none() {
            let untold = self.untold.entry(removal.mm).or_default();
            untold.insert(pfn);
            if untold.len() > FOLLOWED {
                let oldest = untold.pop_first();
                oldest.map(|pfn| self.removed.remove(&pfn));
            }
        }
        let list = self.removed.entry(pfn).or_default();
        // A page that is mapped in very many places need not be followed from all.
        if list.len() < 64 {
            list.push(removal);
        }
    }

    /// The reverse map says that a page lost a mapping.
    fn unmapped(&mut self, event: &Event, mm: MmId, pfn: u64, world: &World) {
        let thread = event.at.thread;
        let known = self.removed.get(&pfn).is_some_and(|list| {
            list.iter().any(|one| {
                one.mm == mm
                    && one.event.at.thread == thread
                    && matches!(one.event.kind, Kind::Clear { .. })
            })
        });
        if known {
            return;
        }
        if let Some(table) = self.tables.get(&thread).filter(|table| table.mm == mm) {
            let removal = Removal { event: *event, ..*table };
            return self.follow(pfn, removal);
        }
        let open = world
            .thread(thread)
            .and_then(|thread| thread.open.iter().rev().find(|open| open.mm == mm));
        let place = open.map_or(Place::Unknown, |open| Place::Within(open.range));
        let told = self.last.get(&thread).filter(|(whose, range, _)| {
            *whose == mm && !matches!(place, Place::Within(within) if !within.overlaps(*range))
        });
        let told = told.map(|(_, _, told)| *told);
        let start = open.map(|open| open.start);
        self.follow(pfn, Removal { mm, event: *event, start, place, told, perhaps: false });
    }

    fn tell(&mut self, event: &Event, mm: MmId, range: VirtRange, certain: bool, world: &World) {
        let thread = event.at.thread;
        let steps = world.thread(thread).map_or(0, |thread| thread.steps);
        let told = Told { by: *event, steps };
        if certain {
            self.last.insert(thread, (mm, range, told));
            if let Some(table) = self.tables.get_mut(&thread).filter(|table| table.mm == mm)
                && matches!(table.place, Place::Within(place) if range.overlaps(place))
            {
                table.told = Some(told);
            }
        }
        let Some(untold) = self.untold.get_mut(&mm) else { return };
        let removed = &mut self.removed;
        untold.retain(|pfn| {
            let mut rest = false;
            for one in removed.get_mut(pfn).into_iter().flatten().filter(|one| one.mm == mm) {
                let met = match one.place {
                    Place::Page(page) => range.covers(page),
                    Place::Within(within) => range.overlaps(within),
                    Place::Unknown => true,
                };
                if met && one.told.is_none() {
                    one.perhaps |= !certain;
                    one.told = certain.then_some(told);
                }
                rest |= one.told.is_none();
            }
            rest
        });
    }

    fn forget(&mut self, pfn: u64) -> Vec<Removal> {
        let list = self.removed.remove(&pfn).unwrap_or_default();
        for removal in &list {
            if let Some(untold) = self.untold.get_mut(&removal.mm) {
                untold.remove(&pfn);
            }
        }
        list
    }

    fn drop_where(&mut self, which: impl Fn(&Removal) -> bool) {
        self.removed.retain(|_, list| {
            list.retain(|one| !which(one));
            !list.is_empty()
        });
        for (pfn_mm, untold) in &mut self.untold {
            let removed = &self.removed;
            untold.retain(|pfn| {
                removed.get(pfn).is_some_and(|list| list.iter().any(|one| one.mm == *pfn_mm))
            });
        }
        self.tables.retain(|_, table| !which(table));
        self.last.clear();
    }
}

fn judge(removal: &Removal, free: &Event, world: &World, out: &mut Outcomes) {
    let mm = Some(removal.mm);
    if world.clock == Clock::PerCpu {
        return out.open(Rule::R5, mm, Lack::Clock);
    }
    if let Some(told) = removal.told {
        let teller = world.thread(told.by.at.thread);
        let own = told.by.at.thread == free.at.thread && !free.at.interrupt;
        // Whatever the teller did afterwards, the return of the invalidation above all,
        // shows that the callbacks had returned.
        let went_on = teller.is_some_and(|thread| thread.steps > told.steps);
        if !(own || went_on) {
            return out.open(Rule::R5, mm, Lack::NotReturned);
        }
        return match removal.place {
            Place::Page(_) => out.held(Rule::R5, mm),
            Place::Within(_) | Place::Unknown => out.held_coarsely(Rule::R5, mm),
        };
    }
    if removal.perhaps {
        return out.open(Rule::R5, mm, Lack::Kernel);
    }
    if !matches!(removal.place, Place::Page(_)) {
        let huge = matches!(removal.event.kind, Kind::Clear { .. });
        return out.open(Rule::R5, mm, if huge { Lack::Huge } else { Lack::Address });
    }
    let chain = [
        removal.start.map(|start| (start, "")),
        Some((removal.event, "the entry is gone")),
        Some((*free, "nobody was told between, by any thread")),
    ];
    out.found(Finding {
        rule: Rule::R5,
        mm,
        obligation: Obligation::Free,
        what: "a page is freed while secondary TLBs may hold a translation to it",
        lacks: first_of([not_yet(world, Tag::Invalidate, &removal.event)]),
        chain: links(chain),
    });
}
