//! R1: each start has its end. R2: what a start may answer.
//!
//! A start without an end leaves subscribers that count waiting for ever; an end
//! without a start lets them count below zero. A missing end is only proven where the
//! thread was seen at a place that it cannot reach from inside the range: in user mode,
//! in a system call, at the end of an enclosing range.

use mmu_protocol::Obligation;

use super::{Check, Outcomes, Rule, first_of, not_yet};
use crate::event::{Event, Kind, Tag};
use crate::finding::{Finding, Lack, Link};
use crate::world::{Change, Open, World};

#[derive(Default)]
pub(super) struct Pairing;

impl Check for Pairing {
    fn see(&mut self, event: &Event, world: &World, change: &Change, out: &mut Outcomes) {
        for open in &change.abandoned {
            out.found(no_end(open, event, world, None));
        }
        for open in &change.outlived {
            out.found(no_end(open, event, world, Some(Lack::Released)));
        }
        match event.kind {
            Kind::StartReturned { result } => returned(event, result, world, change, out),
            Kind::End { range, .. } => {
                let Some((mm, state)) = world.mm(event.mm) else { return };
                if change.closed.is_some() {
                    return out.held(Rule::R1, Some(mm));
                }
                let thread = world.thread(event.at.thread);
                let refused = thread.and_then(|thread| thread.refused);
                if let Some(refused) = refused.filter(|open| (open.mm, open.range) == (mm, range)) {
                    let chain = [
                        Some((refused.start, "")),
                        refused.returned.map(|at| (at, "it was refused")),
                        Some((*event, "and has an end all the same")),
                    ];
                    return out.found(Finding {
                        rule: Rule::R2,
                        mm: Some(mm),
                        obligation: Obligation::Progress,
                        what: "a range that was refused has an end",
                        lacks: None,
                        chain: links(chain),
                    });
                }
                let all_known = thread.is_some_and(|thread| thread.all_known);
                let since = state.registered.is_some() && world.lost().is_none();
                out.found(Finding {
                    rule: Rule::R1,
                    mm: Some(mm),
                    obligation: Obligation::Progress,
                    what: "a range ends that the thread has not started",
                    lacks: first_of([
                        not_yet(world, Tag::Start, event),
                        (!all_known && !since).then(|| match world.lost() {
                            Some(_) => Lack::Lost,
                            None => Lack::Registration,
                        }),
                    ]),
                    chain: links([Some((
                        *event,
                        "no open range of the thread has these addresses",
                    ))]),
                });
            }
            _ => {}
        }
    }

    fn finish(&mut self, world: &World, out: &mut Outcomes) {
        for open in world.still_open() {
            out.open(Rule::R1, Some(open.mm), Lack::Ends);
            let mut finding = no_end(open, &open.start, world, Some(Lack::Ends));
            finding.chain.pop();
            out.found(finding);
        }
    }
}

fn returned(event: &Event, result: i64, world: &World, change: &Change, out: &mut Outcomes) {
    if result == 0 {
        let thread = world.thread(event.at.thread);
        let open = thread.and_then(|thread| {
            thread.open.iter().rev().find(|open| open.returned.as_ref() == Some(event))
        });
        if let Some(open) = open {
            out.held(Rule::R2, Some(open.mm));
        }
        return;
    }
    let Some(open) = &change.closed else { return };
    match open.blockable {
        Some(false) => out.held(Rule::R2, Some(open.mm)),
        None => out.open(Rule::R2, Some(open.mm), Lack::Value),
        Some(true) => out.found(Finding {
            rule: Rule::R2,
            mm: Some(open.mm),
            obligation: Obligation::Progress,
            what: "a range was refused whose callbacks may block; its caller does not look",
            lacks: None,
            chain: links([Some((open.start, "")), Some((*event, "a subscriber refused"))]),
        }),
    }
}

fn no_end(open: &Open, proof: &Event, world: &World, lacks: Option<Lack>) -> Finding {
    // Without the return of its start the range may have been refused.
    let taken = match open.returned {
        Some(_) => None,
        None if open.blockable == Some(true) && !world.seen(Tag::StartReturned) => None,
        None => Some(Lack::Probe(Tag::StartReturned)),
    };
    let chain = [
        Some((open.start, "")),
        open.returned.map(|event| (event, "")),
        Some((*proof, "the thread is elsewhere, and there was no end")),
    ];
    Finding {
        rule: Rule::R1,
        mm: Some(open.mm),
        obligation: Obligation::Progress,
        what: "a range was started and has no end",
        lacks: first_of([lacks, taken, not_yet(world, Tag::End, &open.start)]),
        chain: links(chain),
    }
}

pub(super) fn links(chain: impl IntoIterator<Item = Option<(Event, &'static str)>>) -> Vec<Link> {
    let mut links: Vec<Link> =
        chain.into_iter().flatten().map(|(event, note)| Link::new(event, note)).collect();
    links.sort_by_key(|link| link.event.at.place);
    links
}
