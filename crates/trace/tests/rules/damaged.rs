//! Recordings with damaged bytes: whatever can still be read may say anything, and
//! nothing panics.

use std::io::{Cursor, Read};

use shootdown_trace::check::{Options, check};
use shootdown_trace::meaning;
use shootdown_trace::read::Reader;

use super::recording;

fn text(name: &str) -> Vec<u8> {
    let file = std::fs::File::open(recording(name)).unwrap();
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(file).read_to_end(&mut text).unwrap();
    text
}

#[test]
fn damaged_numbers() {
    let whole = text("linux-6.1-faketlb-correct.trace.gz");
    // Of the fields only: a time that goes back ends the reading.
    let mut in_fields = false;
    let digits: Vec<usize> = (0..whole.len())
        .filter(|place| {
            in_fields = whole[*place] != b'\n' && (in_fields || whole[*place] == b'=');
            in_fields && whole[*place].is_ascii_hexdigit()
        })
        .collect();
    let (mut seed, mut read) = (11u64, 0);
    let mut next = |limit: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % limit
    };
    for _ in 0..60 {
        let mut damaged = whole.clone();
        for _ in 0..400 {
            damaged[digits[next(digits.len())]] = b"0123456789abcdef"[next(16)];
        }
        let options = Options { clock: Some("mono".to_owned()), ..Options::default() };
        if let Ok(reader) = Reader::new("damaged", Cursor::new(damaged), &meaning::wanted()) {
            read += check(reader, &options, |_| {}).report.events;
        }
    }
    assert!(read > 10_000, "most of it is still read: {read}");
}

/// Numbers that no kernel prints, in every field that means something.
#[test]
fn numbers_without_measure() {
    let line = |name: &str, fields: &str| {
        format!("          a-1       (      1) [000] .....     1.000000: {name}: {fields}\n")
    };
    let far = "0xffffffffffffffff";
    let mut text = String::from("# tracer: nop\n#\n");
    for fields in [
        format!("(f+0x0/0x1) mm={far} start={far} end=0x0 flags={far} event={far} only_end={far}"),
        format!("(f+0x0/0x1) mm=0x1 addr={far} pte={far} pmd={far} page={far} nr={far}"),
        format!("page={far} pfn={far} order=4294967295"),
        format!("page=ffffffffffffffff pfn=0xfffffffffff order=63 mm=0x1 va={far}"),
        "as id 0 gfn ffffffffffffffff level 0 old_spte ffffffffffffffff new_spte 880".to_owned(),
        "as id 255 gfn 0 level 9 old_spte 0 new_spte ffffffffffffffff".to_owned(),
        format!("gpa={far} hva={far} size={far} va=0x7ffffffffffff000 pfn=0xfffffffffff"),
    ] {
        let function = |name: &str, function: &str| {
            line(name, &fields.replace("(f+", &format!("({function}+")))
        };
        for (_, probe) in shootdown_trace::era::all_probes() {
            text.push_str(&function(probe.name, "__mmu_notifier_invalidate_range_start"));
            text.push_str(&line(probe.name, fields.trim_start_matches("(f+0x0/0x1) ")));
            text.push_str(&line("tracing_mark_write", &format!("{} {fields}", probe.name)));
        }
    }
    let reader = Reader::new("far", Cursor::new(text), &meaning::wanted()).unwrap();
    let done = check(reader, &Options::default(), |_| {});
    assert!(done.report.events > 20, "{:?}", done.error);
}
