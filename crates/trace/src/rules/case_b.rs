//! R4: case B. R8: under the lock.
//!
//! One thread clears a present entry, tells the secondary TLBs, and maps a new page
//! there. All of it is one thread's, so its order in the trace is the order in which it
//! happened: an invalidation that stands between had returned before the new page.

use std::collections::HashMap;

use mmu_protocol::{MmId, Obligation, PageSize, VirtRange};

use super::pairing::links;
use super::{Check, Outcomes, Rule, first_of, not_yet};
use crate::event::{Event, Kind, Tag};
use crate::finding::{Finding, Lack};
use crate::world::{Change, World};

/// A cleared entry whose successor is awaited.
struct Cleared {
    clear: Event,
    mm: MmId,
    page: VirtRange,
    start: Option<Event>,
    told: Option<Event>,
    /// By an `end` of which it is not known whether it tells.
    perhaps: bool,
}

/// What each thread has cleared since it last opened a range.
#[derive(Default)]
pub(super) struct CaseB {
    cleared: HashMap<u32, Vec<Cleared>>,
}

impl Check for CaseB {
    fn see(&mut self, event: &Event, world: &World, change: &Change, out: &mut Outcomes) {
        if matches!(event.kind, Kind::Lost { .. }) {
            self.cleared.clear();
        }
        if event.at.interrupt {
            return;
        }
        let thread = event.at.thread;
        if let (Some((mm, range, certain)), Some(list)) =
            (change.tells, self.cleared.get_mut(&thread))
        {
            for cleared in list.iter_mut().filter(|one| one.mm == mm && range.covers(one.page)) {
                if certain {
                    cleared.told.get_or_insert(*event);
                }
                cleared.perhaps |= !certain;
            }
        }
        match event.kind {
            Kind::Clear { addr, size, old } => {
                if event.mm.is_none() {
                    return out.open(Rule::R4, world.only_mm(), Lack::Whose);
                }
                let Some(mm) = world.watched(event) else { return };
                match old {
                    None => return out.open(Rule::R4, Some(mm), Lack::Value),
                    Some(entry) if !entry.accessible => {
                        return out.open(Rule::R4, Some(mm), Lack::NotAccessible);
                    }
                    Some(_) => {}
                }
                let page = VirtRange::page(addr, size);
                let open = world.thread(thread).and_then(|thread| {
                    thread.open.iter().rev().find(|open| open.mm == mm && open.range.covers(page))
                });
                let start = open.map(|open| open.start);
                let list = self.cleared.entry(thread).or_default();
                list.retain(|one| !page.covers(one.page) || one.mm != mm);
                list.push(Cleared { clear: *event, mm, page, start, told: None, perhaps: false });
            }
            Kind::MapNew { addr, .. } => {
                let Some(list) = self.cleared.get_mut(&thread) else { return };
                let place =
                    list.iter().position(|one| Some(one.mm) == event.mm && one.page.contains(addr));
                if let Some(place) = place {
                    let cleared = list.swap_remove(place);
                    judge(&cleared, event, world, out);
                }
            }
            // What it cleared for another purpose is not replaced any more.
            Kind::Start { .. } | Kind::Outside(_) => {
                self.cleared.remove(&thread);
            }
            Kind::Release => {
                for list in self.cleared.values_mut() {
                    list.retain(|one| Some(one.mm) != event.mm);
                }
            }
            _ => {}
        }
    }
}

fn judge(cleared: &Cleared, map: &Event, world: &World, out: &mut Outcomes) {
    let mm = Some(cleared.mm);
    let Some(told) = cleared.told else {
        let chain = [
            cleared.start.map(|start| (start, "")),
            Some((cleared.clear, "the old entry is gone")),
            Some((*map, "nobody was told between, by this thread")),
        ];
        return out.found(Finding {
            rule: Rule::R4,
            mm,
            obligation: Obligation::New,
            what: "a new page is mapped while secondary TLBs may hold the old one",
            lacks: first_of([
                not_yet(world, Tag::Invalidate, &cleared.clear),
                cleared.perhaps.then_some(Lack::Kernel),
            ]),
            chain: links(chain),
        });
    };
    out.held(Rule::R4, mm);
    // `range_end` of a kernel that tells there is outside of the lock by design, and a
    // collapse keeps others away with more than the page table lock.
    let by_itself = matches!(told.kind, Kind::Invalidate { .. });
    if !by_itself || cleared.page.len() != PageSize::Base.bytes() {
        return;
    }
    match (cleared.clear.at.preempt_depth, told.at.preempt_depth) {
        (Some(1..), Some(1..)) => out.held(Rule::R8, mm),
        (Some(1..), Some(0)) => {
            let chain = [
                cleared.start.map(|start| (start, "")),
                Some((cleared.clear, "preemption is off here")),
                Some((told, "and on here: the lock was dropped")),
                Some((*map, "")),
            ];
            out.found(Finding {
                rule: Rule::R8,
                mm,
                obligation: Obligation::New,
                what: "the entry was open to others before secondary TLBs were told",
                lacks: Some(Lack::Unlocked),
                chain: links(chain),
            });
        }
        _ => out.open(Rule::R8, mm, Lack::Preemption),
    }
}
