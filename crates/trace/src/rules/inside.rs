//! R3: entries are cleared inside a range.
//!
//! A mirror takes no new translation while a range is open; outside of one it may take
//! the entry that is being cleared. Always a suspicion: some paths hold the range in
//! another thread.

use mmu_protocol::{Obligation, VirtRange};

use super::pairing::links;
use super::{Check, Outcomes, Rule};
use crate::event::{Event, Kind};
use crate::finding::{Finding, Lack};
use crate::world::{Change, World};

#[derive(Default)]
pub(super) struct Inside;

impl Check for Inside {
    fn see(&mut self, event: &Event, world: &World, _: &Change, out: &mut Outcomes) {
        let Kind::Clear { addr, size, old } = event.kind else { return };
        if event.mm.is_none() {
            return out.open(Rule::R3, world.only_mm(), Lack::Whose);
        }
        let Some(mm) = world.watched(event) else { return };
        if old.is_some_and(|entry| !entry.accessible) {
            return out.open(Rule::R3, Some(mm), Lack::NotAccessible);
        }
        let page = VirtRange::page(addr, size);
        let covers = |range: VirtRange| range.covers(page);
        let thread = world.thread(event.at.thread);
        if thread.is_some_and(|thread| {
            thread.open.iter().any(|open| open.mm == mm && covers(open.range))
        }) {
            return out.held(Rule::R3, Some(mm));
        }
        // Ranges from before the trace or a gap are not known.
        if !thread.is_some_and(|thread| thread.all_known) && world.lost().is_some() {
            return out.open(Rule::R3, Some(mm), Lack::Lost);
        }
        let elsewhere = world.open_in(mm).find(|open| covers(open.range));
        let chain = [
            elsewhere.map(|open| (open.start, "the range of another thread")),
            Some((*event, "outside of any range of this thread")),
        ];
        out.found(Finding {
            rule: Rule::R3,
            mm: Some(mm),
            obligation: Obligation::New,
            what: "an entry is cleared and flushed outside of a range",
            lacks: Some(Lack::OtherPath),
            chain: links(chain),
        });
    }
}
