//! How often each rule holds on what was recorded.

use shootdown_trace::check::Options;
use shootdown_trace::era::By;
use shootdown_trace::event::Tag;
use shootdown_trace::finding::Lack;
use shootdown_trace::monitor::{Report, Verdict};
use shootdown_trace::rules::Rule;

use super::{checked, row, with_clock};

/// How often a rule held; `None` if nothing was checked. Nothing else may be there.
fn held(report: &Report, rule: Rule) -> Option<u64> {
    let row = row(report, rule);
    assert_eq!(row.suspicions, 0, "{rule}: {:?}", row.findings);
    match row.verdict {
        Verdict::Ok { checks, .. } => Some(checks),
        Verdict::NotChecked { .. } => None,
        Verdict::Violation { .. } => panic!("{rule}: {:?}", row.findings),
    }
}

fn all_held(report: &Report) -> [Option<u64>; 8] {
    use Rule::*;
    [R1, R2, R3, R4, R5, R6, R7, R8].map(|rule| held(report, rule))
}

#[test]
fn linux_6_1() {
    let (checked, _) = checked("linux-6.1-kvm.trace.gz", &with_clock("mono"));
    let counts = [916, 916, 763, 713, 1818, 1384, 1929, 712].map(Some);
    assert_eq!(all_held(&checked.report), counts);
    // The other clears are of entries that NUMA balancing had made useless before.
    let open = &row(&checked.report, Rule::R3).open;
    assert_eq!(open[..], [(Lack::NotAccessible, 51)]);
    let known = checked.known.unwrap();
    assert_eq!(known.era.read, "v6.1.192");
    assert!(matches!(known.by, By::Function(_)));
}

#[test]
fn linux_6_12_and_7_2() {
    let (checked_6_12, _) = checked("linux-6.12-kvm-counter.trace.gz", &Options::default());
    let counts = [790, 790, 713, 662, 2653, 1105, 1446, 661].map(Some);
    assert_eq!(all_held(&checked_6_12.report), counts);
    let (checked_7_2, _) = checked("linux-7.2-kvm-counter.trace.gz", &Options::default());
    let counts = [341, 341, 242, 209, 3235, 776, 1976, 208].map(Some);
    assert_eq!(all_held(&checked_7_2.report), counts);
    for checked in [checked_6_12, checked_7_2] {
        assert_eq!(checked.known.unwrap().era.read, "v6.12.117");
    }
}

/// One recording in three formats: what is in all of them is counted alike.
#[test]
fn one_recording_in_three_formats() {
    let common = [Rule::R1, Rule::R2, Rule::R3, Rule::R4, Rule::R6, Rule::R7];
    for (name, options) in [
        ("linux-6.12-cow-v7.dat", Options::default()),
        ("linux-6.12-cow-v7.report.txt.gz", with_clock("mono")),
    ] {
        let (checked, _) = checked(name, &options);
        let counts = common.map(|rule| held(&checked.report, rule));
        assert_eq!(counts, [78, 78, 67, 67, 48, 126].map(Some), "{name}");
    }
}

#[test]
fn a_driver_that_forgets_in_time() {
    let (checked, _) = checked("linux-6.1-faketlb-correct.trace.gz", &with_clock("mono"));
    let devices = [Rule::D1, Rule::D2, Rule::D3].map(|rule| held(&checked.report, rule));
    assert_eq!(devices, [68, 53, 40].map(Some));
    let kernel = [42, 42, 20, 20, 37].map(Some);
    assert_eq!(all_held(&checked.report)[..5], kernel);
}

#[test]
fn a_driver_that_forgets_when_the_range_ends() {
    let name = "linux-6.1-faketlb-drops-at-range-end.trace.gz";
    let (checked, _) = checked(name, &with_clock("mono"));
    // The kernel did its part.
    assert_eq!(all_held(&checked.report)[..5], [43, 43, 21, 21, 38].map(Some));
    assert_eq!(held(&checked.report, Rule::D1), Some(67), "no case A");
    let late = row(&checked.report, Rule::D3);
    assert_eq!(late.verdict, Verdict::Violation { violations: 9, checks: 32 });
    for finding in &late.findings {
        assert_eq!(finding.obligation, mmu_protocol::Obligation::New);
        let kinds: Vec<Tag> = finding.chain.iter().map(|link| link.event.kind.tag()).collect();
        assert_eq!(kinds, [Tag::DeviceFill, Tag::Start, Tag::MapNew, Tag::End]);
        assert!(finding.chain.is_sorted_by_key(|link| link.event.at.place));
    }
    // Without a clock that orders CPUs nothing is said of it.
    let (checked, _) = super::checked(name, &Options::default());
    let late = row(&checked.report, Rule::D3);
    assert_eq!(late.verdict, Verdict::NotChecked { why: Lack::Clock });
    assert_eq!(late.findings, []);
}

#[test]
fn what_is_not_recorded_is_not_checked() {
    let (checked, _) = checked("linux-6.1-bpftrace.txt.gz", &Options::default());
    assert_eq!(held(&checked.report, Rule::R1), Some(141));
    let why = |rule| match row(&checked.report, rule).verdict {
        Verdict::NotChecked { why } => why,
        _ => panic!("{rule} was checked"),
    };
    assert_eq!(why(Rule::R2), Lack::Probe(Tag::StartReturned));
    assert_eq!(why(Rule::R3), Lack::Whose, "its clears name no address space");
    assert_eq!(why(Rule::R4), Lack::Probe(Tag::MapNew));
    assert_eq!(why(Rule::R6), Lack::Probe(Tag::Shadow));
    assert_eq!(why(Rule::D1), Lack::Probe(Tag::DeviceFill));
    assert!(checked.known.is_none(), "it names no function");

    for name in ["linux-6.18-tracepoints-only.trace.gz", "linux-6.18-perf-script.txt.gz"] {
        let (checked, _) = super::checked(name, &Options::default());
        assert!(!checked.report.exercised() && !checked.report.violated(), "{name}");
        let row = checked.report.row(Rule::R1, None).unwrap();
        assert_eq!(row.verdict, Verdict::NotChecked { why: Lack::Probe(Tag::Start) });
    }
}
