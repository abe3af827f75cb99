//! The rules: what of the protocol a trace can refute.
//!
//! Each is a small state machine over events and the common picture of what is open
//! ([`World`]). What a rule says, what it needs and what breaks with it is a row of
//! [`RULES`]. A rule reports a violation only where nothing else can explain the
//! events: intervals are taken from the return of a probe to the entry of the next, and
//! whatever depends on something that was not recorded is reported as a suspicion that
//! says what is missing.

mod case_a;
mod case_b;
mod device;
mod inside;
mod pairing;
mod shadow;

use std::collections::BTreeMap;
use std::fmt;

use mmu_protocol::{MmId, Obligation};

use crate::event::{Event, Kind, Tag};
use crate::finding::{Finding, Lack};
use crate::world::{Change, World};

/// A rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the table of rules says what they are")]
pub enum Rule {
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    D1,
    D2,
    D3,
}

/// What is known of a rule.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// Which.
    pub rule: Rule,
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub says: &'static str,
    /// What goes wrong if it is broken.
    pub obligation: Obligation,
    /// The kinds of events without which there is nothing to check.
    pub needs: &'static [Tag],
    /// Whether it compares times of several CPUs.
    pub needs_clock: bool,
    /// What a report means.
    pub soundness: &'static str,
}

/// One row for each [`Rule`], in their order.
pub const RULES: [About; 11] = [
    About {
        rule: Rule::R1,
        name: "pairs",
        says: "each range that was started has one end, by the same thread for the same addresses",
        obligation: Obligation::Progress,
        needs: &[Tag::Start, Tag::End],
        needs_clock: false,
        soundness: "violation: the thread was seen where it cannot be in the range, or nothing that \
                    it could have opened is missing",
    },
    About {
        rule: Rule::R2,
        name: "refusals",
        says: "a start that may block does not fail, and a start that failed has no end",
        obligation: Obligation::Progress,
        needs: &[Tag::StartReturned],
        needs_clock: false,
        soundness: "violation: both are in the trace",
    },
    About {
        rule: Rule::R3,
        name: "inside",
        says: "an entry is cleared and flushed inside a range of the same thread that covers it",
        obligation: Obligation::New,
        needs: &[Tag::Start, Tag::Clear],
        needs_clock: false,
        soundness: "always a suspicion: another path may hold the range elsewhere",
    },
    About {
        rule: Rule::R4,
        name: "case B",
        says: "between the clear of a present entry and a new page there, secondary TLBs are told",
        obligation: Obligation::New,
        needs: &[Tag::Clear, Tag::MapNew, Tag::Invalidate],
        needs_clock: false,
        soundness: "violation: one thread did all of it, in program order",
    },
    About {
        rule: Rule::R5,
        name: "case A",
        says: "a page that was unmapped is freed only after secondary TLBs were told",
        obligation: Obligation::Free,
        needs: &[Tag::Invalidate, Tag::Free],
        needs_clock: true,
        soundness: "violation: address and value of the entry are known and nobody had begun to tell",
    },
    About {
        rule: Rule::R6,
        name: "shadow frees",
        says: "no page is freed while a leaf of the hypervisor's table points to it",
        obligation: Obligation::Free,
        needs: &[Tag::Shadow, Tag::Free],
        needs_clock: true,
        soundness: "violation: the leaf was installed in the trace and not taken away before the free",
    },
    About {
        rule: Rule::R7,
        name: "shadow installs",
        says: "no leaf is installed for an address whose range is open",
        obligation: Obligation::Free,
        needs: &[Tag::Shadow, Tag::Start, Tag::StartReturned, Tag::End, Tag::Slot],
        needs_clock: true,
        soundness: "violation: between the return of the start and the entry of the end",
    },
    About {
        rule: Rule::R8,
        name: "under the lock",
        says: "the notification of case B comes while preemption is off, as under the lock it is",
        obligation: Obligation::New,
        needs: &[Tag::Clear, Tag::MapNew, Tag::Invalidate],
        needs_clock: false,
        soundness: "always a suspicion: no spin lock is held, but an entry that stays empty until \
                    everybody was told is right too; a pass does not say which lock is held",
    },
    About {
        rule: Rule::D1,
        name: "device frees",
        says: "no page is freed while a device holds it, and none is used after its free",
        obligation: Obligation::Free,
        needs: &[Tag::DeviceFill, Tag::Free],
        needs_clock: true,
        soundness: "as good as the lines of the driver",
    },
    About {
        rule: Rule::D2,
        name: "device fills",
        says: "a device fills nothing whose range is open",
        obligation: Obligation::Free,
        needs: &[Tag::DeviceFill, Tag::Start, Tag::StartReturned, Tag::End],
        needs_clock: true,
        soundness: "as good as the lines of the driver; a driver that walks the tables itself may",
    },
    About {
        rule: Rule::D3,
        name: "device keeps",
        says: "a device neither keeps nor uses the old page once a new one is mapped there",
        obligation: Obligation::New,
        needs: &[Tag::DeviceFill, Tag::MapNew],
        needs_clock: true,
        soundness: "as good as the lines of the driver",
    },
];

impl Rule {
    /// All.
    pub fn all() -> impl Iterator<Item = Rule> {
        RULES.iter().map(|about| about.rule)
    }

    /// Its row.
    pub fn about(self) -> &'static About {
        &RULES[self as usize]
    }

    /// `R4`.
    pub fn code(self) -> &'static str {
        match self {
            Rule::R1 => "R1",
            Rule::R2 => "R2",
            Rule::R3 => "R3",
            Rule::R4 => "R4",
            Rule::R5 => "R5",
            Rule::R6 => "R6",
            Rule::R7 => "R7",
            Rule::R8 => "R8",
            Rule::D1 => "D1",
            Rule::D2 => "D2",
            Rule::D3 => "D3",
        }
    }

    /// The rule of this code.
    pub fn of(code: &str) -> Option<Rule> {
        Rule::all().find(|rule| rule.code().eq_ignore_ascii_case(code))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

/// What a rule has said about one address space.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How often it held.
    pub checks: u64,
    /// How often of these the address was known only to within a range.
    pub coarse: u64,
    /// How often it was broken.
    pub violations: u64,
    /// How often it seemed to be.
    pub suspicions: u64,
    /// What could not be checked, and why.
    pub open: BTreeMap<Lack, u64>,
    /// The first of what was found.
    pub findings: Vec<Finding>,
    /// When each violation was found.
    violated_at: Vec<u64>,
    /// When each of the findings was found.
    found_at: Vec<u64>,
}

/// Where the rules write down what they find.
#[derive(Debug, Default)]
pub struct Outcomes {
    tallies: BTreeMap<(Rule, Option<MmId>), Tally>,
    /// The time of the event that the rules look at.
    now: u64,
}

/// So many findings are kept with their events; more are counted.
const KEPT: usize = 16;

impl Outcomes {
    fn tally(&mut self, rule: Rule, mm: Option<MmId>) -> &mut Tally {
        self.tallies.entry((rule, mm)).or_default()
    }

    fn held(&mut self, rule: Rule, mm: Option<MmId>) {
        self.tally(rule, mm).checks += 1;
    }

    fn held_coarsely(&mut self, rule: Rule, mm: Option<MmId>) {
        let tally = self.tally(rule, mm);
        tally.checks += 1;
        tally.coarse += 1;
    }

    fn open(&mut self, rule: Rule, mm: Option<MmId>, lack: Lack) {
        *self.tally(rule, mm).open.entry(lack).or_default() += 1;
    }

    fn found(&mut self, finding: Finding) {
        let now = self.now;
        let tally = self.tally(finding.rule, finding.mm);
        if finding.lacks.is_none() {
            tally.violations += 1;
            tally.violated_at.push(now);
        } else {
            tally.suspicions += 1;
        }
        let of_its_kind = |other: &&Finding| other.lacks.is_none() == finding.lacks.is_none();
        if tally.findings.iter().filter(of_its_kind).count() < KEPT {
            tally.findings.push(finding);
            tally.found_at.push(now);
        }
    }

    /// Events have been missing since this time, and only now this is known: what was
    /// called a violation since then is a suspicion. An invalidation that is not there
    /// may be one of those that were lost.
    fn doubt(&mut self, since: u64) {
        for tally in self.tallies.values_mut() {
            let before = tally.violated_at.len();
            tally.violated_at.retain(|found| *found < since);
            let doubted = (before - tally.violated_at.len()) as u64;
            tally.violations -= doubted;
            tally.suspicions += doubted;
            for (finding, found) in tally.findings.iter_mut().zip(&tally.found_at) {
                if *found >= since && finding.lacks.is_none() {
                    finding.lacks = Some(Lack::Lost);
                }
            }
        }
    }

    /// What was said.
    pub fn into_tallies(self) -> BTreeMap<(Rule, Option<MmId>), Tally> {
        self.tallies
    }

    /// What was said so far.
    pub fn tallies(&self) -> &BTreeMap<(Rule, Option<MmId>), Tally> {
        &self.tallies
    }
}

/// A rule, or some that share their state, at work.
trait Check {
    /// Something happened. `world` has it already; `change` is what it did there.
    fn see(&mut self, event: &Event, world: &World, change: &Change, out: &mut Outcomes);

    /// Nothing more comes.
    fn finish(&mut self, _world: &World, _out: &mut Outcomes) {}
}

/// All rules at work.
#[derive(Default)]
pub(crate) struct Rules {
    pairing: pairing::Pairing,
    inside: inside::Inside,
    case_b: case_b::CaseB,
    case_a: case_a::CaseA,
    shadow: shadow::Shadow,
    device: device::Device,
}

impl Rules {
    fn each(&mut self) -> [&mut dyn Check; 6] {
        let Rules { pairing, inside, case_b, case_a, shadow, device } = self;
        [pairing, inside, case_b, case_a, shadow, device]
    }

    pub(crate) fn see(
        &mut self,
        event: &Event,
        world: &World,
        change: &Change,
        out: &mut Outcomes,
    ) {
        out.now = event.at.time;
        for rule in self.each() {
            rule.see(event, world, change, out);
        }
        if let Kind::Lost { since, .. } = event.kind {
            out.doubt(since.unwrap_or(0));
        }
    }

    pub(crate) fn finish(&mut self, world: &World, out: &mut Outcomes) {
        for rule in self.each() {
            rule.finish(world, out);
        }
    }
}

/// The first thing that is missing.
fn first_of(lacks: impl IntoIterator<Item = Option<Lack>>) -> Option<Lack> {
    lacks.into_iter().flatten().next()
}

/// An event of this kind must have come before, or its probe may not have been there.
fn not_yet(world: &World, tag: Tag, before: &Event) -> Option<Lack> {
    (!world.seen_before(tag, before)).then_some(Lack::NotYet(tag))
}
