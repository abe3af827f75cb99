//! What a rule needs before it accuses, on runs made by hand.

use mmu_protocol::{Event as RangeEvent, MmId, Obligation, PageSize, VirtAddr, VirtRange};
use shootdown_trace::event::{At, Entry, Event, Kind, Leaf, Outside, Tag};
use shootdown_trace::finding::Lack;
use shootdown_trace::monitor::{Report, Verdict};
use shootdown_trace::rules::Rule;

use super::{again, row};

const MM: MmId = MmId(0xff11_0000);
const PAGE: VirtAddr = VirtAddr::new(0x7000);
const RANGE: VirtRange = VirtRange::page(PAGE, PageSize::Base);

/// A run of some threads in one address space.
#[derive(Default)]
struct Run(Vec<Event>);

impl Run {
    /// Somebody registered, and each thread was seen outside of a range; an earlier COW
    /// has shown every probe.
    fn begun() -> Run {
        let mut run = Run::default();
        run.by(1, Kind::Register);
        for thread in [1, 2] {
            run.by(thread, Kind::Outside(Outside::UserFault));
        }
        run.start(1).clear(1, 9).tell(1).map(1, 10).end(1, false)
    }

    fn by(&mut self, thread: u32, kind: Kind) -> &mut Run {
        let time = self.0.len() as u64;
        let preempt_depth = Some(u8::from(matches!(
            kind,
            Kind::Clear { .. } | Kind::Invalidate { .. } | Kind::MapNew { .. }
        )));
        let at = At { place: time, time, cpu: Some(0), thread, preempt_depth, interrupt: false };
        self.0.push(Event { at, mm: Some(MM), kind });
        self
    }

    fn and(mut self, thread: u32, kind: Kind) -> Run {
        self.by(thread, kind);
        self
    }

    fn start(self, thread: u32) -> Run {
        let event = Some(RangeEvent::Clear);
        self.and(thread, Kind::Start { range: RANGE, event, blockable: Some(true) })
            .and(thread, Kind::StartReturned { result: 0 })
    }

    fn end(self, thread: u32, tells: bool) -> Run {
        self.and(thread, Kind::End { range: RANGE, tells: Some(tells) })
    }

    fn clear(self, thread: u32, pfn: u64) -> Run {
        let old = Some(Entry { pfn, accessible: true, table: false });
        self.and(thread, Kind::Clear { addr: PAGE, size: PageSize::Base, old })
    }

    fn tell(self, thread: u32) -> Run {
        self.and(thread, Kind::Invalidate { range: RANGE })
    }

    fn map(self, thread: u32, pfn: u64) -> Run {
        self.and(thread, Kind::MapNew { addr: PAGE, pfn: Some(pfn) })
    }

    fn free(self, thread: u32, pfn: u64) -> Run {
        self.and(thread, Kind::Free { pfn, frames: 1 })
    }

    fn outside(self, thread: u32) -> Run {
        self.and(thread, Kind::Outside(Outside::UserFault))
    }

    fn check(self) -> Report {
        again(self.0)
    }
}

/// Violations and suspicions of a rule, and what the first of them lacks.
fn found(report: &Report, rule: Rule) -> (usize, Vec<Option<Lack>>) {
    let row = row(report, rule);
    let certain = row.findings.iter().filter(|finding| finding.lacks.is_none()).count();
    (certain, row.findings.iter().map(|finding| finding.lacks).collect())
}

const NOTHING: (usize, Vec<Option<Lack>>) = (0, Vec::new());

fn sure() -> (usize, Vec<Option<Lack>>) {
    (1, vec![None])
}

fn suspicious(lack: Lack) -> (usize, Vec<Option<Lack>>) {
    (0, vec![Some(lack)])
}

#[test]
fn a_right_run_is_right() {
    let report = Run::begun().free(1, 9).check();
    assert!(!report.violated() && report.exercised());
    for rule in [Rule::R1, Rule::R2, Rule::R3, Rule::R4, Rule::R5, Rule::R8] {
        assert_eq!(row(&report, rule).verdict, Verdict::Ok { checks: 1, coarse: 0 }, "{rule}");
    }
    let nothing = row(&report, Rule::R6);
    assert_eq!(nothing.verdict, Verdict::NotChecked { why: Lack::Probe(Tag::Shadow) });
}

#[test]
fn case_b() {
    let late = |before: Run| before.start(1).clear(1, 10).map(1, 11).tell(1).end(1, false).check();
    assert_eq!(found(&late(Run::begun()), Rule::R4), sure());
    // Before the first invalidation its probe may not have been on.
    let mut fresh = Run::default();
    fresh.by(1, Kind::Register).by(1, Kind::Outside(Outside::UserFault));
    assert_eq!(found(&late(fresh), Rule::R4), suspicious(Lack::NotYet(Tag::Invalidate)));
    // Another thread's invalidation is no excuse: it was this one's to tell.
    let other = Run::begun().start(1).clear(1, 10).tell(2).map(1, 11).end(1, false).check();
    assert_eq!(found(&other, Rule::R4), sure());
    // An entry that granted nothing was flushed when it came to that.
    let useless = Entry { pfn: 10, accessible: false, table: false };
    let clear = Kind::Clear { addr: PAGE, size: PageSize::Base, old: Some(useless) };
    let numa = Run::begun().start(1).and(1, clear).map(1, 11).end(1, false).check();
    assert_eq!(found(&numa, Rule::R4), NOTHING);
    assert_eq!(row(&numa, Rule::R4).open[..], [(Lack::NotAccessible, 1)]);
    // A range end of a kernel that tells there comes after the new page: too late.
    let at_end = Run::begun().start(1).clear(1, 10).map(1, 11).end(1, true).check();
    assert_eq!(found(&at_end, Rule::R4), sure());
    // A collapse maps its page after the range has ended, and told.
    let collapse = Run::begun().start(1).clear(1, 10).end(1, true).map(1, 11).check();
    assert_eq!(found(&collapse, Rule::R4), NOTHING);
    let unknown = Kind::End { range: RANGE, tells: None };
    let collapse = Run::begun().start(1).clear(1, 10).and(1, unknown).map(1, 11).check();
    assert_eq!(found(&collapse, Rule::R4), suspicious(Lack::Kernel));
}

#[test]
fn under_the_lock() {
    let mut run = Run::begun().start(1).clear(1, 10).tell(1).map(1, 11).end(1, false);
    let told = run.0.iter().rposition(|event| matches!(event.kind, Kind::Invalidate { .. }));
    run.0[told.unwrap()].at.preempt_depth = Some(0);
    assert_eq!(found(&run.check(), Rule::R8), suspicious(Lack::Unlocked));
}

#[test]
fn case_a() {
    let early = Run::begun().start(1).clear(1, 10).free(1, 10).tell(1).end(1, false).check();
    assert_eq!(found(&early, Rule::R5), sure());
    assert_eq!(row(&early, Rule::R5).findings[0].obligation, Obligation::Free);
    // The same, freed by another processor.
    let early = Run::begun().start(1).clear(1, 10).free(2, 10).tell(1).end(1, false).check();
    assert_eq!(found(&early, Rule::R5), sure());
    // Told by an end that tells.
    let late = Run::begun().start(1).clear(1, 10).end(1, true).free(1, 10).check();
    assert_eq!(found(&late, Rule::R5), NOTHING);
    // Begun by another thread, and not known to have returned.
    let begun = Run::begun().start(1).clear(1, 10).tell(2).free(1, 10).check();
    assert_eq!(found(&begun, Rule::R5), NOTHING);
    assert_eq!(row(&begun, Rule::R5).open[..], [(Lack::NotReturned, 1)]);
    let run = Run::begun().start(1).clear(1, 10).tell(2).and(2, Kind::InvalidateReturned);
    let returned = run.free(1, 10).check();
    assert_eq!(row(&returned, Rule::R5).open[..], []);
    // Where the entry was is not known: nothing is said.
    let rmap = Kind::Unmapped { pfn: Some(10), frames: 1 };
    let hidden = Run::begun().start(1).and(1, rmap).end(1, false).free(1, 10).check();
    assert_eq!(found(&hidden, Rule::R5), NOTHING);
    assert_eq!(row(&hidden, Rule::R5).open[..], [(Lack::Address, 1)]);
    // Confirmed, but only to within the range.
    let told = Run::begun().start(1).and(1, rmap).end(1, false).tell(1).free(1, 10).check();
    assert_eq!(row(&told, Rule::R5).verdict, Verdict::Ok { checks: 1, coarse: 1 });
    // Somebody else's by now.
    let alloc = Kind::Alloc { pfn: 10, frames: 1 };
    let other = Run::begun().start(1).clear(1, 10).and(1, alloc).free(1, 10).check();
    assert_eq!(found(&other, Rule::R5), NOTHING);
    // After the release nobody is owed anything.
    let gone = Run::begun().start(1).clear(1, 10).end(1, false).and(1, Kind::Release).free(1, 10);
    assert_eq!(found(&gone.check(), Rule::R5), NOTHING);
}

#[test]
fn ends_and_starts() {
    let missing = Run::begun().start(1).outside(1).check();
    assert_eq!(found(&missing, Rule::R1), sure());
    let inner = Kind::Start { range: VirtRange::EMPTY, event: None, blockable: Some(true) };
    let nested = Run::begun()
        .start(1)
        .and(1, inner)
        .and(1, Kind::StartReturned { result: 0 })
        .end(1, false)
        .check();
    assert_eq!(found(&nested, Rule::R1), sure(), "the inner one has none");
    // It may still come.
    let open = Run::begun().start(1).outside(2).check();
    assert_eq!(found(&open, Rule::R1), suspicious(Lack::Ends));
    // Nobody knows whether it was taken.
    let start = Kind::Start { range: RANGE, event: None, blockable: Some(true) };
    let unknown = Run::begun().and(1, start).outside(1).check();
    assert_eq!(found(&unknown, Rule::R1), suspicious(Lack::Probe(Tag::StartReturned)));
    let lone = Run::begun().end(1, false).check();
    assert_eq!(found(&lone, Rule::R1), sure());
    // An interrupt says nothing of the thread that it came to.
    let mut run = Run::begun().start(1).outside(1).end(1, false);
    let fault = run.0.iter().rposition(|event| matches!(event.kind, Kind::Outside(_)));
    run.0[fault.unwrap()].at.interrupt = true;
    assert_eq!(found(&run.check(), Rule::R1), NOTHING);
}

#[test]
fn refusals() {
    let start = |blockable| Kind::Start { range: RANGE, event: None, blockable };
    let refused = Kind::StartReturned { result: -11 };
    let right = Run::begun().and(1, start(Some(false))).and(1, refused).outside(1).check();
    assert_eq!(found(&right, Rule::R2), NOTHING);
    assert_eq!(found(&right, Rule::R1), NOTHING, "what was refused needs no end");
    let may_block = Run::begun().and(1, start(Some(true))).and(1, refused).check();
    assert_eq!(found(&may_block, Rule::R2), sure());
    let ended = Run::begun().and(1, start(Some(false))).and(1, refused).end(1, false).check();
    assert_eq!(found(&ended, Rule::R2), sure());
    assert_eq!(found(&ended, Rule::R1), NOTHING, "one finding is enough");
    let unknown = Run::begun().and(1, start(None)).and(1, refused).check();
    assert_eq!(row(&unknown, Rule::R2).open[..], [(Lack::Value, 1)]);
}

#[test]
fn clears_outside_of_a_range_are_only_suspicious() {
    let report = Run::begun().clear(1, 10).check();
    assert_eq!(found(&report, Rule::R3), suspicious(Lack::OtherPath));
}

/// Whatever depends on what was lost begins anew.
#[test]
fn lost_events() {
    let lost = Kind::Lost { events: Some(3), since: None };
    let end = Run::begun().start(1).and(0, lost).end(1, false).check();
    assert_eq!(found(&end, Rule::R1), suspicious(Lack::Lost), "its start may be among them");
    let map = Run::begun().start(1).clear(1, 10).and(0, lost).map(1, 11).check();
    assert_eq!(found(&map, Rule::R4), NOTHING);
    let free = Run::begun().start(1).clear(1, 10).and(0, lost).free(1, 10).check();
    assert_eq!(found(&free, Rule::R5), NOTHING);
    let fill = Kind::DeviceFill { addr: PAGE, pfn: 10 };
    let held = Run::begun().and(2, fill).and(0, lost).free(1, 10).check();
    assert_eq!(found(&held, Rule::D1), NOTHING);
    // But not for ever.
    let again = Run::begun().and(0, lost).outside(1).end(1, false).check();
    assert_eq!(found(&again, Rule::R1), sure());
}

#[test]
fn devices() {
    let fill = Kind::DeviceFill { addr: PAGE, pfn: 10 };
    let used = Kind::DeviceUse { addr: PAGE, pfn: 10 };
    let drop = Kind::DeviceDrop { addr: PAGE, pfn: 10 };
    let freed = Run::begun().and(2, fill).free(1, 10).and(2, used).check();
    assert_eq!(found(&freed, Rule::D1), (2, vec![None, None]), "held, and used");
    let dropped = Run::begun().and(2, fill).and(2, drop).free(1, 10).check();
    assert_eq!(found(&dropped, Rule::D1), NOTHING);
    let open = Run::begun().start(1).and(2, fill).check();
    assert_eq!(found(&open, Rule::D2), sure());
    let begun = Kind::Start { range: RANGE, event: None, blockable: Some(true) };
    let early = Run::begun().and(1, begun).and(2, fill).check();
    assert_eq!(found(&early, Rule::D2), NOTHING, "the start has not returned");
    // A new page is mapped when its thread is past the lock.
    let cow = |run: Run| run.start(1).clear(1, 10).tell(1).map(1, 11);
    let late = cow(Run::begun().and(2, fill)).end(1, false).and(2, drop).check();
    assert_eq!(found(&late, Rule::D3), sure());
    let just = cow(Run::begun().and(2, fill)).and(2, drop).end(1, false).check();
    assert_eq!(found(&just, Rule::D3), NOTHING, "it forgot before the lock was dropped");
    let used = cow(Run::begun().and(2, fill)).end(1, false).and(2, used).check();
    assert_eq!(found(&used, Rule::D3), (2, vec![None, None]), "kept, and used");
}

#[test]
fn a_hypervisors_leaves() {
    let leaf = |pfn, frames| Some(Leaf { pfn, frames });
    let change = |old, new| Kind::Shadow { gfn: 0x200, space: 0, old, new };
    let early = Run::begun().and(2, change(None, leaf(10, 1))).free(1, 10).check();
    assert_eq!(found(&early, Rule::R6), sure());
    let gone = Run::begun().and(2, change(None, leaf(10, 1))).and(2, change(leaf(10, 1), None));
    assert_eq!(found(&gone.free(1, 10).check(), Rule::R6), NOTHING);
    // In the middle of a 2 MiB leaf, and a small leaf in the middle of what is freed.
    let large = Run::begun().and(2, change(None, leaf(512, 512))).free(1, 700).check();
    assert_eq!(found(&large, Rule::R6), sure());
    let many = Kind::Free { pfn: 8, frames: 8 };
    let small = Run::begun().and(2, change(None, leaf(10, 1))).and(1, many).check();
    assert_eq!(found(&small, Rule::R6), sure());
    // Two guests map it in different sizes; both have to let go.
    let both =
        || Run::begun().and(2, change(None, leaf(512, 512))).and(2, change(None, leaf(512, 1)));
    let one = both().and(2, change(leaf(512, 512), None)).free(1, 512).check();
    assert_eq!(found(&one, Rule::R6), sure());
    let none = both().and(2, change(leaf(512, 512), None)).and(2, change(leaf(512, 1), None));
    assert_eq!(found(&none.free(1, 512).check(), Rule::R6), NOTHING);
    // Installed before the recording began: a pass says less.
    let late = Run::begun().and(2, change(leaf(9, 1), None)).and(2, change(None, leaf(10, 1)));
    let late = late.free(1, 11).check();
    assert_eq!(row(&late, Rule::R6).open[..], [(Lack::Replay, 1)]);
    // A leaf in an open range, with its slot.
    let slot = Kind::Slot { gfn: 0x200, range: RANGE };
    let install = Run::begun().and(1, slot).start(1).and(2, change(None, leaf(10, 1))).check();
    assert_eq!(found(&install, Rule::R7), sure());
    let begun = Kind::Start { range: RANGE, event: None, blockable: Some(true) };
    let before = Run::begun().and(1, slot).and(1, begun).and(2, change(None, leaf(10, 1))).check();
    assert_eq!(found(&before, Rule::R7), NOTHING, "the start has not returned");
    let after = Run::begun().and(1, slot).start(1).end(1, false).and(2, change(None, leaf(10, 1)));
    assert_eq!(found(&after.check(), Rule::R7), NOTHING);
    let unknown = Run::begun().start(1).and(2, change(None, leaf(10, 1))).check();
    assert_eq!(row(&unknown, Rule::R7).verdict, Verdict::NotChecked { why: Lack::Slots });
}
