//! D1 to D3: a device's own log against the pages below it.
//!
//! The driver prints when its TLB takes, uses and drops a translation. A report is as
//! good as these lines: they are taken to stand after a fill and after a drop.

use std::collections::{BTreeMap, HashMap};

use mmu_protocol::{MmId, Obligation, VirtAddr};

use super::pairing::links;
use super::{Check, Outcomes, Rule, first_of, not_yet};
use crate::event::{Event, Kind, Tag};
use crate::finding::{Finding, Lack};
use crate::world::{Change, Clock, World};

/// A translation that the device holds.
#[derive(Clone, Copy)]
struct Held {
    fill: Event,
    pfn: u64,
    /// A new page was mapped there since, and its mapping was finished.
    replaced: Option<(Event, Event)>,
    freed: Option<Event>,
}

/// A new page of a thread, until something shows that its entry is set.
#[derive(Clone, Copy)]
struct Fresh {
    map: Event,
    addr: VirtAddr,
    pfn: Option<u64>,
}

#[derive(Default)]
pub(super) struct Device {
    held: BTreeMap<(Option<MmId>, VirtAddr), Held>,
    fresh: HashMap<u32, Vec<Fresh>>,
}

impl Check for Device {
    fn see(&mut self, event: &Event, world: &World, change: &Change, out: &mut Outcomes) {
        // The driver's lines name no address space if it serves only one.
        let mm = event.mm.or_else(|| world.only_mm());
        match event.kind {
            Kind::DeviceFill { addr, pfn } => {
                let held = Held { fill: *event, pfn, replaced: None, freed: None };
                self.held.insert((mm, addr), held);
                fill(event, mm, addr, world, out);
            }
            Kind::DeviceUse { addr, pfn } => self.used(event, (mm, addr), pfn, world, out),
            Kind::DeviceDrop { addr, .. } => {
                self.held.remove(&(mm, addr));
            }
            Kind::Free { pfn, frames } if !self.held.is_empty() => {
                self.freed(event, pfn, frames, world, out);
            }
            Kind::MapNew { addr, pfn } if world.seen(Tag::DeviceFill) && world.mm(mm).is_some() => {
                let fresh = Fresh { map: *event, addr, pfn };
                self.fresh.entry(event.at.thread).or_default().push(fresh);
            }
            // The thread is past the lock under which it set the entry.
            Kind::Start { .. } | Kind::End { .. } | Kind::Outside(_) => {
                self.mapped(event, change, world, out)
            }
            Kind::Release => self.held.retain(|(whose, _), _| *whose != event.mm),
            Kind::Lost { .. } => {
                self.held.clear();
                self.fresh.clear();
            }
            _ => {}
        }
    }
}

fn fill(event: &Event, mm: Option<MmId>, addr: VirtAddr, world: &World, out: &mut Outcomes) {
    let Some(mm) = mm else { return out.open(Rule::D2, None, Lack::Whose) };
    if world.clock == Clock::PerCpu {
        return out.open(Rule::D2, Some(mm), Lack::Clock);
    }
    let open = world.open_in(mm).find(|open| open.returned.is_some() && open.range.contains(addr));
    match open {
        None => out.held(Rule::D2, Some(mm)),
        Some(open) => out.found(Finding {
            rule: Rule::D2,
            mm: Some(mm),
            obligation: Obligation::Free,
            what: "a device takes a translation whose range is open",
            lacks: first_of([not_yet(world, Tag::End, &open.start)]),
            chain: links([
                Some((open.start, "")),
                open.returned.map(|returned| (returned, "from here on nothing may be filled")),
                Some((*event, "for an address in the open range")),
            ]),
        }),
    }
}

impl Device {
    fn used(
        &mut self,
        event: &Event,
        key: (Option<MmId>, VirtAddr),
        pfn: u64,
        world: &World,
        out: &mut Outcomes,
    ) {
        let mm = key.0;
        if world.clock == Clock::PerCpu {
            return out.open(Rule::D3, mm, Lack::Clock);
        }
        let Some(held) = self.held.get(&key).filter(|held| held.pfn == pfn) else { return };
        if let Some(freed) = held.freed {
            out.found(Finding {
                rule: Rule::D1,
                mm,
                obligation: Obligation::Free,
                what: "a device uses a page that is free",
                lacks: None,
                chain: links([
                    Some((held.fill, "")),
                    Some((freed, "the page goes to somebody else")),
                    Some((*event, "")),
                ]),
            });
        }
        match held.replaced {
            None => out.held(Rule::D3, mm),
            Some((map, set)) => out.found(Finding {
                rule: Rule::D3,
                mm,
                obligation: Obligation::New,
                what: "a device uses the old page after a new one was mapped",
                lacks: None,
                chain: links([
                    Some((held.fill, "")),
                    Some((map, "")),
                    Some((set, "the new entry is there")),
                    Some((*event, "the old page")),
                ]),
            }),
        }
    }

    fn freed(&mut self, event: &Event, pfn: u64, frames: u64, world: &World, out: &mut Outcomes) {
        let freed = pfn..pfn + frames;
        let mut whose = None;
        for ((mm, _), held) in &mut self.held {
            whose = whose.or(*mm);
            if !freed.contains(&held.pfn) || held.freed.is_some() {
                continue;
            }
            if world.clock == Clock::PerCpu {
                return out.open(Rule::D1, *mm, Lack::Clock);
            }
            held.freed = Some(*event);
            out.found(Finding {
                rule: Rule::D1,
                mm: *mm,
                obligation: Obligation::Free,
                what: "a page is freed while a device holds a translation to it",
                lacks: None,
                chain: links([
                    Some((held.fill, "the device takes it")),
                    Some((*event, "and has not let go of it")),
                ]),
            });
            return;
        }
        if world.clock == Clock::Ordered {
            out.held(Rule::D1, whose);
        }
    }

    /// New pages of this thread are in their entries now.
    fn mapped(&mut self, event: &Event, change: &Change, world: &World, out: &mut Outcomes) {
        let Some(list) = self.fresh.remove(&event.at.thread) else { return };
        let opened = change.closed.map(|open| open.start);
        for fresh in list {
            let mm = fresh.map.mm;
            let Some(held) = self.held.get_mut(&(mm, fresh.addr)) else {
                if world.clock == Clock::Ordered {
                    out.held(Rule::D3, mm);
                }
                continue;
            };
            // Taken after the new page was there: it is the new one's.
            if held.fill.at.place > fresh.map.at.place {
                continue;
            }
            if world.clock == Clock::PerCpu {
                out.open(Rule::D3, mm, Lack::Clock);
                continue;
            }
            match fresh.pfn {
                None => {
                    out.open(Rule::D3, mm, Lack::Frame);
                    continue;
                }
                Some(pfn) if pfn == held.pfn => {
                    out.held(Rule::D3, mm);
                    continue;
                }
                Some(_) => {}
            }
            if held.replaced.is_some() {
                continue;
            }
            held.replaced = Some((fresh.map, *event));
            out.found(Finding {
                rule: Rule::D3,
                mm,
                obligation: Obligation::New,
                what: "a new page is mapped and the device still holds the old one",
                lacks: None,
                chain: links([
                    Some((held.fill, "the device takes the old page")),
                    opened.map(|start| (start, "")),
                    Some((fresh.map, "from here on others may write to the new page")),
                    Some((*event, "the new entry is there, and the device has not let go")),
                ]),
            });
        }
    }
}
