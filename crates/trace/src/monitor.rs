//! The rules at work on one stream of events, recorded or live.

use std::collections::BTreeMap;

use mmu_protocol::{MmId, Record, RecordKind};

use crate::era::{self, Era};
use crate::event::{At, Event, Kind, Tag};
use crate::finding::{Finding, Lack};
use crate::rules::{Outcomes, Rule, Rules, Tally};
use crate::statistics::Statistics;
use crate::world::{Clock, World};

/// Checks the rules event by event.
pub struct Monitor {
    world: World,
    rules: Rules,
    outcomes: Outcomes,
    statistics: Statistics,
    /// The first CPU that was seen, and whether there was another.
    cpus: (Option<u32>, bool),
    lost: u64,
}

/// What a rule says of one address space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It held, so many times.
    Ok {
        /// How many times.
        checks: u64,
        /// How many of these only to within a range of addresses.
        coarse: u64,
    },
    /// It was broken.
    Violation {
        /// How many times.
        violations: u64,
        /// And held so many times.
        checks: u64,
    },
    /// Nothing was checked.
    NotChecked {
        /// Why.
        why: Lack,
    },
}

/// One rule and one address space.
#[derive(Clone, Debug)]
pub struct Row {
    /// The rule.
    pub rule: Rule,
    /// Whose table.
    pub mm: Option<MmId>,
    /// What it says.
    pub verdict: Verdict,
    /// How often something looked like a break and is none for certain.
    pub suspicions: u64,
    /// What could not be checked beside that, why, and how often.
    pub open: Vec<(Lack, u64)>,
    /// What was found, violations first.
    pub findings: Vec<Finding>,
}

/// What the rules said.
#[derive(Clone, Debug)]
pub struct Report {
    /// One row for each rule and address space, sorted by address space.
    pub rows: Vec<Row>,
    /// Address spaces somebody is registered with.
    pub mms: Vec<MmId>,
    /// How many events were looked at.
    pub events: u64,
    /// How often events were lost.
    pub gaps: u64,
    /// Whether times of several CPUs could be compared.
    pub clock: Clock,
    /// Figures.
    pub statistics: Statistics,
}

impl Monitor {
    /// Nothing was seen yet.
    pub fn new(clock: Clock) -> Monitor {
        Monitor {
            world: World::new(clock),
            rules: Rules::default(),
            outcomes: Outcomes::default(),
            statistics: Statistics::default(),
            cpus: (None, false),
            lost: 0,
        }
    }

    /// What times of several CPUs are worth, once the recording has said so.
    pub fn set_clock(&mut self, clock: Clock) {
        self.world.clock = clock;
    }

    /// An event.
    pub fn see(&mut self, event: &Event) {
        match (event.at.cpu, self.cpus.0) {
            (Some(cpu), None) => self.cpus.0 = Some(cpu),
            (Some(cpu), Some(first)) if cpu != first => self.cpus.1 = true,
            _ => {}
        }
        self.lost += u64::from(matches!(event.kind, Kind::Lost { .. }));
        let change = self.world.take(event);
        self.statistics.see(event, &self.world, &change);
        self.rules.see(event, &self.world, &change, &mut self.outcomes);
    }

    /// A record of a running address space, and who reported it. Records of several
    /// threads have to come in one order.
    ///
    /// Address spaces without a subscriber report their ranges too; nobody is told of
    /// these, and they are passed over.
    pub fn record(&mut self, record: Record, thread: u32) {
        let is_free = matches!(record.kind, RecordKind::Free { .. });
        if !is_free && self.world.mm(Some(record.mm)).is_none() {
            return;
        }
        let place = self.world.events() + 1;
        let at =
            At { place, time: place, cpu: None, thread, preempt_depth: None, interrupt: false };
        for event in Event::of(record, at).into_iter().flatten() {
            self.see(&event);
        }
    }

    /// From here on this running address space has a subscriber.
    pub fn registered(&mut self, mm: MmId) {
        let place = self.world.events() + 1;
        let at =
            At { place, time: place, cpu: None, thread: 0, preempt_depth: None, interrupt: true };
        self.see(&Event { at, mm: Some(mm), kind: Kind::Register });
    }

    /// What was said so far that is a violation.
    pub fn violations(&self) -> impl Iterator<Item = &Finding> {
        let tallies = self.outcomes.tallies().values();
        tallies.flat_map(|tally| &tally.findings).filter(|finding| finding.lacks.is_none())
    }

    /// What the rules say in the end. `era`: the kernel, for saying what is missing.
    pub fn finish(mut self, _era: Option<&'static Era>) -> Report {
        self.rules.finish(&self.world, &mut self.outcomes);
        let tallies = std::mem::take(&mut self.outcomes).into_tallies();
        let mut mms: Vec<MmId> = tallies.keys().filter_map(|(_, mm)| *mm).collect();
        mms.extend(self.statistics.spaces());
        mms.sort();
        mms.dedup();
        let rows = self.rows(tallies, &mms);
        Report {
            rows,
            mms,
            events: self.world.events(),
            gaps: self.lost,
            clock: self.world.clock,
            statistics: self.statistics,
        }
    }

    fn rows(&self, mut tallies: BTreeMap<(Rule, Option<MmId>), Tally>, mms: &[MmId]) -> Vec<Row> {
        let mut rows = Vec::new();
        let nobody: Vec<Option<MmId>> = {
            let unowned = tallies.keys().any(|(_, mm)| mm.is_none());
            let list = mms.iter().copied().map(Some);
            list.chain((unowned || mms.is_empty()).then_some(None)).collect()
        };
        for mm in nobody {
            for rule in Rule::all() {
                let tally = tallies.remove(&(rule, mm));
                // Of what belongs to nobody only what was said.
                if mm.is_none() && !mms.is_empty() && tally.is_none() {
                    continue;
                }
                rows.push(self.row(rule, mm, tally.unwrap_or_default()));
            }
        }
        rows
    }

    fn row(&self, rule: Rule, mm: Option<MmId>, tally: Tally) -> Row {
        let Tally { checks, coarse, violations, suspicions, open, mut findings, .. } = tally;
        findings.sort_by_key(|finding| finding.lacks.is_some());
        let verdict = if violations > 0 {
            Verdict::Violation { violations, checks }
        } else if checks > 0 {
            Verdict::Ok { checks, coarse }
        } else {
            Verdict::NotChecked { why: self.why_not(rule, mm, &open, &findings) }
        };
        Row { rule, mm, verdict, suspicions, open: open.into_iter().collect(), findings }
    }

    /// Why nothing was checked: the first thing that would have to be there.
    fn why_not(
        &self,
        rule: Rule,
        mm: Option<MmId>,
        open: &BTreeMap<Lack, u64>,
        findings: &[Finding],
    ) -> Lack {
        let about = rule.about();
        if let Some(missing) = about.needs.iter().find(|tag| !self.world.seen(**tag)) {
            return if *missing == Tag::Slot { Lack::Slots } else { Lack::Probe(*missing) };
        }
        if about.needs_clock && self.world.clock == Clock::PerCpu {
            return Lack::Clock;
        }
        let said = open.iter().max_by_key(|(_, count)| **count).map(|(lack, _)| *lack);
        let found = findings.iter().find_map(|finding| finding.lacks);
        said.or(found).unwrap_or(match () {
            () if self.lost > 0 => Lack::Lost,
            () if mm.is_none() => Lack::Registration,
            () => Lack::Nothing,
        })
    }
}

impl Report {
    /// Whether a rule was broken.
    pub fn violated(&self) -> bool {
        self.rows.iter().any(|row| matches!(row.verdict, Verdict::Violation { .. }))
    }

    /// Whether a rule held anywhere.
    pub fn exercised(&self) -> bool {
        self.rows.iter().any(|row| matches!(row.verdict, Verdict::Ok { .. }))
    }

    /// The row of a rule, if there is one for this address space.
    pub fn row(&self, rule: Rule, mm: Option<MmId>) -> Option<&Row> {
        self.rows.iter().find(|row| row.rule == rule && row.mm == mm)
    }
}

/// What a missing thing is called, with the probe that would record it.
pub fn explain(lack: Lack, era: Option<&'static Era>) -> String {
    let of = |tag: Tag| {
        let by = era::recorded_by(tag, era);
        if by.is_empty() { String::new() } else { format!("; {by} records it") }
    };
    match lack {
        Lack::Probe(tag) => format!("no {} in this trace{}", tag.noun(), of(tag)),
        Lack::NotYet(tag) => {
            format!("no {} came before it, so its probe may not have been on", tag.noun())
        }
        Lack::Clock => "the times of different CPUs cannot be compared; say which clock was used \
                        (--clock mono), and record with one that orders CPUs"
            .into(),
        Lack::Lost => "events were lost".into(),
        Lack::Registration => "no registration and no range is in this trace: nobody is known to \
                               be told"
            .into(),
        Lack::Kernel => "it is not known whether this kernel's range_end tells secondary TLBs; \
                         --kernel VERSION says which it is"
            .into(),
        Lack::Ends => "the trace ends before the end could come".into(),
        Lack::Released => "the address space was released first, and rules stop there".into(),
        Lack::Address => {
            "the entry was cleared where no probe can be, so its address is not known".into()
        }
        Lack::Value => "the value is not in the trace; the probe's definition leaves it out".into(),
        Lack::NotAccessible => "the entry granted nothing; what had to be flushed was flushed \
                                earlier (NUMA balancing does that)"
            .into(),
        Lack::Frame => "the frame of a page cannot be told from its address; record \
                        kmem:mm_page_alloc with the option hash-ptr off"
            .into(),
        Lack::Whose => "the event names no address space, and several have subscribers".into(),
        Lack::OtherPath => "another path of the kernel may hold the range elsewhere".into(),
        Lack::NotReturned => "an invalidation had begun and may not have returned; a return probe \
                              on it tells"
            .into(),
        Lack::Unlocked => "the lock was dropped before they were told; that is wrong if another \
                           thread filled the empty entry meanwhile, and right if none could"
            .into(),
        Lack::Preemption => "this trace does not say how deep preemption is disabled, or this \
                             kernel does not count it"
            .into(),
        Lack::Slots => "where guest memory is mapped is not in the trace; a probe on \
                        __kvm_set_memory_region or a marker `slot gpa=0x... hva=0x... size=0x...` \
                        says it"
            .into(),
        Lack::Huge => "it was a 2 MiB page, of which parts may have been told one by one".into(),
        Lack::Replay => "the hypervisor's table had entries before the trace began".into(),
        Lack::Nothing => "nothing of the kind happened".into(),
    }
}
