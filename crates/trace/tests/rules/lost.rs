//! A loss is told when the next event of its CPU comes. What was concluded until then
//! from what did not happen is taken back.

use std::io::Cursor;

use shootdown_trace::check::{Options, check};
use shootdown_trace::finding::Lack;
use shootdown_trace::meaning;
use shootdown_trace::monitor::{Report, Verdict};
use shootdown_trace::read::Reader;
use shootdown_trace::rules::Rule;

use super::row;

/// Two copies on write by one thread. The second maps the new page with nobody told; its
/// clear was on CPU 1, the rest on CPU 0.
const STEPS: [(u32, u64, &str, &str); 12] = [
    (1, 10, "register", "sub=0xffa0000000a5aa48"),
    (1, 11, "start", "start=0x7000 end=0x8000 flags=1 event=1"),
    (1, 12, "start_ret", "ret=0"),
    (1, 13, "pcf", "addr=0x7000 pte=0x8000000041485865"),
    (1, 14, "inv", "start=0x7000 end=0x8000"),
    (1, 15, "rmap_new", "page=0xffd4000001052180 addr=0x7000"),
    (1, 16, "end", "start=0x7000 end=0x8000 event=1"),
    (1, 21, "start", "start=0x7000 end=0x8000 flags=1 event=1"),
    (1, 22, "start_ret", "ret=0"),
    (1, 23, "pcf", "addr=0x7000 pte=0x8000000041485865"),
    (0, 25, "rmap_new", "page=0xffd4000001052180 addr=0x7000"),
    (0, 26, "end", "start=0x7000 end=0x8000 event=1"),
];

/// The functions that the probes are on, in 6.6 and later.
const FUNCTIONS: [(&str, &str); 7] = [
    ("register", "__mmu_notifier_register+0x4/0x1d0"),
    ("start", "__mmu_notifier_invalidate_range_start+0x4/0x190"),
    ("start_ret", "wp_page_copy+0x573/0x720 <- __mmu_notifier_invalidate_range_start"),
    ("pcf", "ptep_clear_flush+0x4/0x70"),
    ("inv", "__mmu_notifier_arch_invalidate_secondary_tlbs+0x4/0x80"),
    ("rmap_new", "folio_add_new_anon_rmap+0x4/0x180"),
    ("end", "__mmu_notifier_invalidate_range_end+0x4/0x90"),
];

fn lines() -> String {
    let mut lines = String::new();
    for (cpu, time, name, fields) in STEPS {
        let function = FUNCTIONS.iter().find(|row| row.0 == name).expect("a row").1;
        let mm = if name == "start_ret" { "" } else { "mm=0xff11000000000001 " };
        lines += &format!(
            "          mnwork-142     (    142) [{cpu:03}] ...1. {time:>12}: {name}: ({function}) {mm}{fields}\n"
        );
    }
    lines
}

fn report(lines: &str) -> Report {
    let text = format!("# tracer: nop\n{lines}");
    let reader = Reader::new("x", Cursor::new(text), &meaning::wanted()).expect("ftrace");
    let checked = check(reader, &Options::default(), |_| {});
    assert!(checked.error.is_none(), "{:?}", checked.error);
    checked.report
}

#[test]
fn what_was_concluded_before_the_loss_was_told_is_taken_back() {
    let lines = lines();
    let found = report(&lines);
    let row_of = |report: &Report| row(report, Rule::of("R4").expect("a rule")).clone();
    assert_eq!(row_of(&found).verdict, Verdict::Violation { violations: 1, checks: 1 });

    let tail =
        "mnwork-142 (142) [001] ..... 40: page_fault_user: address=0x1 ip=0x1 error_code=0x14\n";
    for (loss, doubted) in [
        // Anything of CPU 1 since its last event, at 23.
        ("CPU:1 [LOST 5 EVENTS]\n", true),
        ("CPU:1 [LOST EVENTS]\n", true),
        // CPU 0 was whole until 26; the violation is older.
        ("CPU:0 [LOST 5 EVENTS]\n", false),
        // Nothing of CPU 7 was ever seen.
        ("CPU:7 [LOST 5 EVENTS]\n", true),
        ("##### CPU 1 buffer started ####\n", true),
    ] {
        let found = row_of(&report(&format!("{lines}{loss}{tail}")));
        if doubted {
            assert_eq!(found.verdict, Verdict::Ok { checks: 1, coarse: 0 }, "{loss}");
            assert_eq!(found.suspicions, 1, "{loss}");
            assert_eq!(found.findings[0].lacks, Some(Lack::Lost), "{loss}");
        } else {
            assert_eq!(found.verdict, Verdict::Violation { violations: 1, checks: 1 }, "{loss}");
        }
    }
}
