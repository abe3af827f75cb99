//! R6 and R7: a hypervisor's table against the pages below it.
//!
//! KVM says what it does to an entry after it has done it, under its own lock, which its
//! notifier callbacks take too. So a leaf that was said to be there and not to be gone
//! is there, and one that is said between the return of a range's start and the entry
//! of its end was installed while the range was open.

use std::collections::BTreeMap;

use mmu_protocol::{Obligation, VirtAddr, VirtRange};

use super::pairing::links;
use super::{Check, Outcomes, Rule, first_of, not_yet};
use crate::event::{Event, Kind, Leaf, Tag};
use crate::finding::{Finding, Lack};
use crate::world::{Change, Clock, Open, World};

/// A leaf and how many entries hold it.
struct Live {
    installed: Event,
    entries: u32,
}

#[derive(Default)]
pub(super) struct Shadow {
    /// By first frame and number of frames: two guests may map the same frames in
    /// different sizes.
    live: BTreeMap<(u64, u64), Live>,
    /// A leaf was taken away that nobody was seen to install.
    began_late: bool,
    slots: BTreeMap<u64, VirtRange>,
}

/// Frames of the larger leaves: 2 MiB and 1 GiB.
const LARGE: [u64; 2] = [1 << 9, 1 << 18];

impl Check for Shadow {
    fn see(&mut self, event: &Event, world: &World, _: &Change, out: &mut Outcomes) {
        match event.kind {
            Kind::Shadow { gfn, space, old, new } => {
                self.change(event, old, new);
                let installed = match (old, new) {
                    (Some(old), Some(new)) => old.pfn != new.pfn,
                    (None, Some(_)) => true,
                    _ => false,
                };
                if let (true, 0, Some(leaf)) = (installed, space, new) {
                    self.install(event, gfn, leaf, world, out);
                }
            }
            // Which one went is not followed; from here on none is known.
            Kind::Slot { range, .. } if range.is_empty() => self.slots.clear(),
            Kind::Slot { gfn, range } => drop(self.slots.insert(gfn, range)),
            Kind::Free { pfn, frames } if !self.live.is_empty() => {
                self.free(event, pfn, frames, world, out);
            }
            // Zaps may be missing from here on: nothing is known to be live.
            Kind::Lost { .. } => self.live.clear(),
            _ => {}
        }
    }

    fn finish(&mut self, world: &World, out: &mut Outcomes) {
        if self.began_late {
            out.open(Rule::R6, world.guest(), Lack::Replay);
        }
    }
}

impl Shadow {
    fn change(&mut self, event: &Event, old: Option<Leaf>, new: Option<Leaf>) {
        if let Some(leaf) = old {
            let key = (leaf.pfn, leaf.frames);
            match self.live.get_mut(&key) {
                Some(live) if live.entries > 1 => live.entries -= 1,
                Some(_) => drop(self.live.remove(&key)),
                None => self.began_late = true,
            }
        }
        if let Some(leaf) = new {
            let new = Live { installed: *event, entries: 0 };
            self.live.entry((leaf.pfn, leaf.frames)).or_insert(new).entries += 1;
        }
    }

    fn free(&mut self, event: &Event, pfn: u64, frames: u64, world: &World, out: &mut Outcomes) {
        let mm = world.guest();
        if world.clock == Clock::PerCpu {
            return out.open(Rule::R6, mm, Lack::Clock);
        }
        // Leaves that begin in the freed frames, and larger ones that begin before: these
        // are aligned to their size.
        let inside = self.live.range((pfn, 0)..(pfn + frames, 0)).next();
        let larger = || LARGE.iter().find_map(|size| self.live.get(&(pfn & !(size - 1), *size)));
        let hit = inside.map(|(_, live)| live).or_else(larger);
        match hit {
            None => out.held(Rule::R6, mm),
            Some(live) => out.found(Finding {
                rule: Rule::R6,
                mm,
                obligation: Obligation::Free,
                what: "a page is freed while the hypervisor's table points to it",
                lacks: None,
                chain: links([
                    Some((live.installed, "installed")),
                    Some((*event, "and not taken away before this")),
                ]),
            }),
        }
    }

    fn install(&self, event: &Event, gfn: u64, leaf: Leaf, world: &World, out: &mut Outcomes) {
        let Some(mm) = world.guest() else {
            return out.open(Rule::R7, None, Lack::Whose);
        };
        let Some(range) = self.virt(gfn, leaf.frames) else {
            return out.open(Rule::R7, Some(mm), Lack::Slots);
        };
        if world.clock == Clock::PerCpu {
            return out.open(Rule::R7, Some(mm), Lack::Clock);
        }
        // A fault asks for its own address; a large leaf may reach beyond it.
        let meets = |open: &&Open| {
            open.returned.is_some()
                && if leaf.frames == 1 {
                    open.range.overlaps(range)
                } else {
                    open.range.covers(range)
                }
        };
        match world.open_in(mm).find(meets) {
            None => out.held(Rule::R7, Some(mm)),
            Some(open) => out.found(Finding {
                rule: Rule::R7,
                mm: Some(mm),
                obligation: Obligation::Free,
                what: "a translation is installed whose range is open",
                lacks: first_of([
                    not_yet(world, Tag::End, &open.start),
                    // The marker does not say whose slots these are.
                    (world.only_mm() != Some(mm)).then_some(Lack::Whose),
                ]),
                chain: links([
                    Some((open.start, "")),
                    open.returned
                        .map(|returned| (returned, "from here on nothing may be installed")),
                    Some((*event, "for an address in the open range")),
                ]),
            }),
        }
    }

    /// Where guest frames are mapped, if one slot has all of them.
    fn virt(&self, gfn: u64, frames: u64) -> Option<VirtRange> {
        let (first, range) = self.slots.range(..=gfn).next_back()?;
        let start = range.start().as_u64().checked_add((gfn - first) << 12)?;
        let end = start.checked_add(frames << 12)?;
        let part = VirtRange::new(VirtAddr::new(start), VirtAddr::new(end))?;
        range.covers(part).then_some(part)
    }
}
