//! Recordings of real kernels, read in every format: the same events in each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use shootdown_trace::read::{Body, Format, Item, RawEvent, Reader, TimeUnit, Wanted};

mod bad_input;
mod casemate;
mod mutated;

/// A shared recording.
fn recording(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces").join(name)
}

/// Its bytes, without gzip.
fn bytes(name: &str) -> Vec<u8> {
    let file = std::fs::read(recording(name)).expect("a recording of the project");
    if !name.ends_with(".gz") {
        return file;
    }
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&file[..]), &mut bytes)
        .expect("gzip");
    bytes
}

fn open(name: &str, wanted: &Wanted) -> Reader {
    Reader::open(&recording(name), wanted).unwrap_or_else(|error| panic!("{error}"))
}

/// How many events of each name; that they are in order; that nothing is lost.
fn count(reader: &mut Reader) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    let mut last = 0;
    loop {
        match reader.next().unwrap_or_else(|error| panic!("{error}")) {
            Some(Item::Event(event)) => {
                assert!(event.time >= last, "line {}", event.place);
                last = event.time;
                *counts.entry(event.name.to_owned()).or_default() += 1;
            }
            Some(Item::Lost(lost)) => panic!("lost: {lost:?}"),
            None => return counts,
        }
    }
}

fn expect(counts: &BTreeMap<String, u64>, expected: &[(&str, u64)]) {
    for (name, count) in expected {
        assert_eq!(counts.get(*name), Some(count), "{name}");
    }
}

#[test]
fn every_line_of_ftrace_is_an_event() {
    for (name, events, unit) in [
        ("linux-6.1-kvm.trace.gz", 31_837, TimeUnit::Nanoseconds { resolution: 1000 }),
        ("linux-6.12-kvm-counter.trace.gz", 47_614, TimeUnit::Ticks),
        ("linux-7.2-kvm-counter.trace.gz", 36_238, TimeUnit::Ticks),
    ] {
        let mut reader = open(name, &Wanted::everything());
        let counts = count(&mut reader);
        assert_eq!(counts.values().sum::<u64>(), events, "{name}");
        let source = reader.source();
        assert_eq!(source.format, Format::Ftrace);
        assert_eq!(source.entries, Some((events, events)), "{name}");
        assert_eq!((source.cpus, source.unit, &source.clock), (Some(2), Some(unit), &None));
    }
}

#[test]
fn range_starts_of_linux_6_1() {
    let mut reader = open(
        "linux-6.1-kvm.trace.gz",
        &Wanted::nothing().events(["start", "start_ret", "end", "inv"]).printed(["SCN"]),
    );
    let mut kinds = [0_u64; 7];
    let (mut inv, mut printed, mut under_lock) = (0, 0, 0);
    while let Some(item) = reader.next().unwrap_or_else(|error| panic!("{error}")) {
        let Item::Event(event) = item else { panic!("lost") };
        match event.name {
            "start" => {
                kinds[usize::try_from(event.number("event").expect("event")).expect("small")] += 1
            }
            "start_ret" => assert_eq!(event.signed("ret"), Some(0)),
            "inv" => {
                inv += 1;
                under_lock += u64::from(event.flags.expect("flags").preempt_depth > 0);
            }
            "SCN" => {
                printed += 1;
                assert!(event.printed);
            }
            "end" => assert!(event.number("mm") > Some(0xff00_0000_0000_0000)),
            other => panic!("not asked for: {other}"),
        }
    }
    // UNMAP, CLEAR, PROTECTION_VMA, PROTECTION_PAGE, SOFT_DIRTY.
    assert_eq!(kinds, [24, 860, 16, 16, 1, 0, 0]);
    assert_eq!((inv, printed), (781, 43));
    assert_eq!(under_lock, 731);
}

#[test]
fn perf_script_and_tracepoints_only() {
    let mut reader = open("linux-6.18-perf-script.txt.gz", &Wanted::everything());
    let counts = count(&mut reader);
    assert_eq!(reader.source().format, Format::PerfScript);
    assert_eq!(reader.source().unit, Some(TimeUnit::Nanoseconds { resolution: 1 }));
    expect(
        &counts,
        &[
            ("page_fault_user", 135),
            ("mm_page_alloc", 157),
            ("mm_page_free", 118),
            ("kvm_unmap_hva_range", 19),
            ("tlb_flush", 64),
        ],
    );
    assert_eq!(counts.len(), 5);

    // Its header counts the lines before they were filtered.
    let mut reader = open("linux-6.18-tracepoints-only.trace.gz", &Wanted::everything());
    let counts = count(&mut reader);
    assert_eq!(reader.source().entries, Some((3921, 3921)));
    assert_eq!(counts.values().sum::<u64>(), 3447);
    expect(&counts, &[("kvm_unmap_hva_range", 110), ("kvm_mmu_prepare_zap_page", 4)]);
}

#[test]
fn bpftrace_in_order() {
    let mut reader = open("linux-6.1-bpftrace.txt.gz", &Wanted::everything());
    let counts = count(&mut reader);
    assert_eq!(reader.source().format, Format::Bpftrace);
    let expected = [
        ("end", 141),
        ("inv", 130),
        ("kvm_unmap_hva_range", 140),
        ("mm_page_free", 980),
        ("pcf", 134),
        ("start", 141),
    ];
    expect(&counts, &expected);
    assert_eq!(counts.len(), expected.len());
}

#[test]
fn a_driver_that_prints() {
    let wanted = Wanted::nothing().printed(["dev_fill", "dev_drop", "dev_use"]);
    let mut reader = open("linux-6.1-faketlb-correct.trace.gz", &wanted);
    let counts = count(&mut reader);
    assert_eq!(
        counts.into_iter().collect::<Vec<_>>(),
        [("dev_drop".to_owned(), 53), ("dev_fill".to_owned(), 53), ("dev_use".to_owned(), 9),]
    );
    let mut reader = open("linux-6.1-faketlb-correct.trace.gz", &wanted);
    while let Some(Item::Event(event)) = reader.next().expect("readable") {
        assert!(event.number("va").is_some() && event.number("pfn").is_some(), "{}", event.body);
    }
}

/// What is compared of an event: name, CPU, thread, its name, and fields.
#[derive(Debug, PartialEq, Eq)]
struct Seen(String, u32, u32, String, Vec<Option<u64>>);

fn seen(event: &RawEvent<'_>) -> Seen {
    let fields = [
        "mm", "start", "end", "event", "flags", "ret", "pfn", "order", "gfn", "level", "old_spte",
        "new_spte", "as_id", "addr", "pte", "nr", "pages", "reason",
    ];
    Seen(
        event.name.to_owned(),
        event.cpu,
        event.thread,
        event.comm.to_owned(),
        fields.iter().map(|field| event.number(field)).collect(),
    )
}

/// Every event of a recording; times to the microsecond, as in text.
fn events(name: &str) -> Vec<(u64, Seen)> {
    let mut reader = open(name, &Wanted::everything());
    let mut events = Vec::new();
    while let Some(item) = reader.next().unwrap_or_else(|error| panic!("{error}")) {
        let Item::Event(event) = item else { panic!("{name}: lost") };
        assert_eq!(event.place, events.len() as u64 + if name.contains("report") { 2 } else { 1 });
        events.push((event.time / 1000, seen(&event)));
    }
    events
}

#[test]
fn one_recording_in_four_files() {
    let text = events("linux-6.12-cow-v7.report.txt.gz");
    assert_eq!(text.len(), 4168);
    for name in [
        "linux-6.12-cow-v7.dat",
        "linux-6.12-cow-v7-plain.dat.gz",
        "linux-6.12-cow-v7-as-v6.dat.gz",
    ] {
        let binary = events(name);
        assert_eq!(binary.len(), text.len(), "{name}");
        for (number, (text, binary)) in text.iter().zip(&binary).enumerate() {
            // trace-cmd rounds to the nearest microsecond.
            assert!(text.0.abs_diff(binary.0) <= 1, "{name}: event {number}");
            assert_eq!(text.1, binary.1, "{name}: event {number}");
        }
    }
}

#[test]
fn what_a_binary_recording_says_of_itself() {
    for (name, version, clock) in [
        ("linux-6.12-cow-v7.dat", 7, "mono"),
        ("linux-6.12-cow-v7-as-v6.dat.gz", 6, "mono"),
        ("linux-6.12-cow-v6.dat.gz", 6, "mono"),
    ] {
        let reader = open(name, &Wanted::nothing());
        let source = reader.source();
        assert_eq!(source.format, Format::TraceDat { version }, "{name}");
        assert_eq!(source.clock.as_deref(), Some(clock), "{name}");
        assert_eq!(
            (source.cpus, source.unit),
            (Some(2), Some(TimeUnit::Nanoseconds { resolution: 1 }))
        );
        let kernel = source.kernel.as_deref().expect("uname");
        assert!(kernel.starts_with("6.12.107"), "{kernel}");
    }
}

/// As `trace-cmd report` (3.1.6) counts them.
#[test]
fn a_recording_of_version_6() {
    let counts = count(&mut open("linux-6.12-cow-v6.dat.gz", &Wanted::everything()));
    let expected = [
        ("do_wp", 86),
        ("end", 73),
        ("flush", 637),
        ("inv", 63),
        ("kvm_flush", 57),
        ("kvm_inv_start", 72),
        ("kvm_tdp_mmu_spte_changed", 260),
        ("kvm_unmap_hva_range", 72),
        ("mm_page_free", 225),
        ("pcf", 72),
        ("print", 5),
        ("register", 1),
        ("release", 1),
        ("rmap_del", 830),
        ("rmap_new", 101),
        ("start", 73),
        ("start_ret", 73),
        ("tlb_finish", 11),
        ("tlb_flush", 1289),
        ("tlb_gather", 8),
        ("tlbrm", 43),
    ];
    expect(&counts, &expected);
    assert_eq!(counts.values().sum::<u64>(), 4052);
}

#[test]
fn what_a_program_wrote_into_the_marker() {
    for name in ["linux-6.12-cow-v7.dat", "linux-6.12-cow-v7.report.txt.gz"] {
        let mut reader = open(name, &Wanted::nothing().printed(["SCN"]));
        let mut bodies = Vec::new();
        while let Some(Item::Event(event)) = reader.next().expect("readable") {
            assert_eq!((event.name, event.printed), ("SCN", true));
            assert_eq!(event.hex("region").is_some(), event.body.to_string().starts_with("map"));
            bodies.push(event.body.to_string());
        }
        assert_eq!(bodies.len(), 5, "{name}");
        assert_eq!(bodies[1], "begin cow_fork pid=195", "{name}: {bodies:?}");
    }
}

#[test]
fn compressed_or_not_and_in_pieces() {
    let plain = bytes("linux-6.1-faketlb-correct.trace.gz");
    let expected = count(&mut open("linux-6.1-faketlb-correct.trace.gz", &Wanted::everything()));
    let zstd =
        ruzstd::encoding::compress_to_vec(&plain[..], ruzstd::encoding::CompressionLevel::Fastest);
    // Two frames one after the other are one stream.
    let (first, second) = plain.split_at(plain.len() / 2);
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    let mut frames = ruzstd::encoding::compress_to_vec(first, level);
    frames.extend(ruzstd::encoding::compress_to_vec(second, level));
    for (what, input) in [("plain", plain), ("zstd", zstd), ("zstd frames", frames)] {
        let input = std::io::Cursor::new(input);
        let mut reader = Reader::new(what, input, &Wanted::everything())
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(count(&mut reader), expected, "{what}");
    }
}

#[test]
fn a_body_can_be_shown_in_both_forms() {
    for (name, expected) in [
        ("linux-6.12-cow-v7.report.txt.gz", "(ffffffff813eb7d4) mm=0xff11000"),
        ("linux-6.12-cow-v7.dat", "__probe_ip=0xffffffff813eb7d4 mm=0xff11000"),
    ] {
        let mut reader = open(name, &Wanted::nothing().events(["start"]));
        let Some(Item::Event(event)) = reader.next().expect("readable") else { panic!("an event") };
        assert_eq!(matches!(event.body, Body::Record(_)), name.ends_with(".dat"));
        assert!(event.body.to_string().starts_with(expected), "{}", event.body);
    }
}
