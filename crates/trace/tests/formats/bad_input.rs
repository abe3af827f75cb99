//! Input that is no recording, or half of one: what was before the damage is delivered,
//! and the message says where it is and what to do.

use std::io::{Cursor, Write};

use shootdown_trace::read::{Item, Reader, TimeUnit, Wanted};

use crate::bytes;

/// What was read, an event as its name, a loss as `lost CPU COUNT`; and the message.
fn read(input: impl AsRef<[u8]>) -> (Vec<String>, Option<String>) {
    read_only(input, &Wanted::everything())
}

fn read_only(input: impl AsRef<[u8]>, wanted: &Wanted) -> (Vec<String>, Option<String>) {
    let mut items = Vec::new();
    let input = Cursor::new(input.as_ref().to_vec());
    let mut reader = match Reader::new("x", input, wanted) {
        Ok(reader) => reader,
        Err(error) => return (items, Some(error.to_string())),
    };
    loop {
        match reader.next() {
            Ok(Some(Item::Event(event))) => items.push(event.name.to_owned()),
            Ok(Some(Item::Lost(lost))) => {
                items.push(format!("lost {:?} {:?}", lost.cpu, lost.events));
            }
            Ok(None) => return (items, None),
            Err(error) => {
                // There is nothing after an error.
                assert!(matches!(reader.next(), Ok(None)), "{error}");
                return (items, Some(error.to_string()));
            }
        }
    }
}

/// Reads what must fail, after so many items.
#[track_caller]
fn fails(input: impl AsRef<[u8]>, items: usize, says: &str) {
    let (found, message) = read(input);
    let message = message.unwrap_or_else(|| panic!("no message; read {found:?}"));
    assert!(message.contains(says), "{message}");
    assert!(message.starts_with("x:"), "{message}");
    assert_eq!(found.len(), items, "{message}");
}

const HEADER: &str = "# tracer: nop\n#\n# entries-in-buffer/entries-written: 9/9   #P:2\n#\n";

/// A line of ftrace.
fn line(time: &str, name: &str) -> String {
    format!("            init-1       (      1) [001] d..2.     {time}: {name}: mm=0x1\n")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(bytes).expect("memory");
    packed.finish().expect("memory")
}

#[test]
fn nothing() {
    fails("", 0, "empty");
    fails(gzip(b""), 0, "empty");
    // A header alone is a recording without events.
    assert_eq!(read(HEADER), (vec![], None));
}

#[test]
fn compressed_and_cut() {
    let plain = bytes("linux-6.1-faketlb-correct.trace.gz");
    let whole = read(&plain).0;
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    // Of zstd the window is lost too, which the decoder gives only with the end.
    for (packed, least) in [
        (gzip(&plain), whole.len() / 2),
        (ruzstd::encoding::compress_to_vec(&plain[..], level), whole.len() / 4),
    ] {
        let (found, message) = read(&packed[..packed.len() * 3 / 4]);
        let message = message.expect("a message");
        assert!(message.contains("damaged or cut"), "{message}");
        assert!(found.len() > least, "{} of {}", found.len(), whole.len());
        assert_eq!(found, whole[..found.len()]);
        // The message names the line behind the last that was read; the header has 11.
        assert!(
            message.starts_with(&format!("x:{}:", found.len() + 13)),
            "{message} {}",
            found.len()
        );
    }
    let mut wrong = gzip(&plain);
    let sum = wrong.len() - 8;
    wrong[sum] ^= 1;
    let (found, message) = read(wrong);
    assert_eq!((found.len(), message.is_some()), (whole.len(), true), "{message:?}");
}

#[test]
fn cut_in_a_line() {
    let two = format!("{HEADER}{}{}", line("1.000001", "a"), line("1.000002", "b"));
    assert_eq!(read(&two).1, None);
    // Half an address is an address: the line does not count.
    fails(&two[..two.len() - 2], 1, "x:6: ends in the middle of a line");
    fails(&two[..two.len() - 1], 1, "x:6: ends in the middle of a line");
    let perf = bytes("linux-6.18-perf-script.txt.gz");
    fails(&perf[..perf.len() - 3], 492, "x:493: ends in the middle of a line");
    let bpf = bytes("linux-6.1-bpftrace.txt.gz");
    fails(&bpf[..bpf.len() - 3], 1665, "x:1667: ends in the middle of a line");
}

#[test]
fn two_recordings_in_one_file() {
    let ftrace = format!("{HEADER}{}", line("1.000001", "a"));
    let perf =
        "          mnwork  3428 [001]  1.135331626:         kmem:mm_page_alloc: pfn=0x2ae2cd\n";
    let bpf = "13339038066 0 147 start ff11000004850480 7f20fa200000 7f20fa3ba000 2\n";
    fails(format!("{ftrace}{perf}"), 1, "x:6: not a line of ftrace text: it is one of perf script");
    fails(
        format!("{perf}{}", line("1.000001", "a")),
        1,
        "x:2: not a line of perf script: it is one of ftrace",
    );
    fails(format!("{ftrace}{bpf}"), 1, "x:6: not a line of ftrace text: it is one of bpftrace");
    fails(format!("{bpf}{perf}"), 1, "x:2: not a line of bpftrace output");
    fails(
        format!("{ftrace}{ftrace}"),
        1,
        "x:6: not a line of ftrace text: another recording begins",
    );
    fails(format!("{ftrace}{}", line("12", "b")), 1, "x:6: not a line of ftrace text: its time");
    fails(format!("{ftrace}some words\n"), 1, "x:6: not a line of ftrace text: it has no thread");
    fails(format!("{ftrace}\x00\x01\x02\n"), 1, "x:6: not a line of ftrace text: it is binary");
}

#[test]
fn files_of_other_tools() {
    for (input, says) in [
        (&b"PERFILE2\x68\0\0\0"[..], "run perf script"),
        (b"\x7fELF\x02\x01", "a program"),
        (b"\xfd7zXZ\0", "xz"),
        (b"{\"traceEvents\":[]}\n", "JSON"),
        (b"\xc1\x1f\xfc\xc1\0", "LTTng"),
        (b"\0\0\0\0", "binary data"),
        (b"12:00:01.000 mmap(NULL, 4096) = 0x7f00\n", "no trace that is known"),
        (b"[    0.000000] Linux version 6.1\n", "no trace that is known"),
        (b"C simple\n{}\nP0(int *x) { }\n", "no trace that is known"),
        (b"\x1f\x8b", "damaged or cut"),
        (b"\x28\xb5\x2f\xfd", "damaged or cut"),
        (b"\x17\x08\x44tracing", "ends in the middle of the header"),
        (b"\x17\x08\x44tracing9\0\0\x08\0\x10\0\0", "version 9, which is not read"),
    ] {
        fails(input, 0, says);
    }
}

#[test]
fn files_that_cannot_be_opened() {
    for path in ["/nonexistent/trace", "/"] {
        let error = Reader::open(path.as_ref(), &Wanted::everything()).map(|_| ()).expect_err(path);
        let message = error.to_string();
        assert!(message.starts_with(path) && message.contains("cannot be read"), "{message}");
    }
}

#[test]
fn time_that_goes_back() {
    let text = format!("{HEADER}{}{}", line("1.000002", "a"), line("1.000001", "b"));
    fails(&text, 1, "x:6: time goes back from 1000002000 to 1000001000");
    // Only what is asked for is parsed, and so compared.
    let (found, message) = read_only(&text, &Wanted::nothing().events(["b"]));
    assert_eq!((found, message), (vec!["b".to_owned()], None));
    // The first line of trace_pipe says nothing of an order; there it is made.
    let pipe = format!("{}{}", line("1.000002", "a"), line("1.000001", "b"));
    assert_eq!(read(pipe), (vec!["b".to_owned(), "a".to_owned()], None));
}

#[test]
fn more_disorder_than_is_sorted() {
    let mut text = String::new();
    for time in (0..70_000).chain([3]) {
        text.push_str(&format!("{} 0 7 free 7ea28 0\n", time + 100));
    }
    fails(text, 70_000, "x:70001: an event is");
}

#[test]
fn numbers_that_are_too_large() {
    let entries =
        "# tracer: nop\n# entries-in-buffer/entries-written: 99999999999999999999/1   #P:2\n";
    fails(entries, 0, "x:2: `99999999999999999999` is no number of entries");
    fails(
        format!("{HEADER}CPU:1 [LOST 99999999999999999999 EVENTS]\n"),
        0,
        "x:5: `99999999999999999999` is no number of events",
    );
    fails(format!("{HEADER}CPU:99999999999 [LOST 1 EVENTS]\n"), 0, "is no number of a CPU");
    fails(
        format!("{HEADER}{}", line("99999999999999.0", "a")),
        0,
        "x:5: `99999999999999.0` is no time",
    );
    fails("cpus=99999999999\n", 0, "is no number of CPUs");
}

#[test]
fn names_of_threads_can_have_any_bytes() {
    let mut text = HEADER.as_bytes().to_vec();
    text.extend(b"   \xff\xfe [001] 1: x-1       (      1) [001] d..2.     1.000001: a: mm=0x1\n");
    let mut reader = Reader::new("x", Cursor::new(text), &Wanted::everything()).expect("ftrace");
    let Ok(Some(Item::Event(event))) = reader.next() else { panic!("an event") };
    assert_eq!((event.comm, event.name), ("?? [001] 1: x", "a"));
}

#[test]
fn lost_events_in_text() {
    let a = line("1.000001", "a");
    let b = line("1.000002", "b");
    let lost = |cpu: &str, count: &str| format!("lost {cpu} {count}");
    // Written before, gone when it was printed.
    let overrun = format!(
        "# tracer: nop\n# entries-in-buffer/entries-written: 2/9   #P:2\n{a}##### CPU 1 buffer started ####\n{b}"
    );
    assert_eq!(
        read(overrun),
        (vec![lost("None", "Some(7)"), "a".into(), lost("Some(1)", "None"), "b".into()], None)
    );
    for (line, count) in [("CPU:1 [LOST 5 EVENTS]\n", "Some(5)"), ("CPU:1 [LOST EVENTS]\n", "None")]
    {
        // With a header and from trace_pipe, where the events are sorted.
        for header in [HEADER, ""] {
            let text = format!("{header}{a}{line}{b}");
            let expected = vec!["a".to_owned(), lost("Some(1)", count), "b".to_owned()];
            assert_eq!(read(&text), (expected, None), "{text}");
            // Also where nobody wants the lines around it.
            let found = read_only(&text, &Wanted::nothing().events(["a"]));
            assert_eq!(found, (vec!["a".to_owned(), lost("Some(1)", count)], None), "{text}");
        }
    }
    let report = format!("cpus=2\n{a}CPU:0 [12 EVENTS DROPPED]\n{b}CPU:0 [EVENTS DROPPED]\n");
    assert_eq!(
        read(report),
        (vec!["a".into(), lost("Some(0)", "Some(12)"), "b".into(), lost("Some(0)", "None")], None)
    );
    let perf = "  comm  12 [001] 1.000001: kmem:mm_page_free: pfn=0x1\n  comm  12 [001] 1.000002: PERF_RECORD_LOST lost 23\n";
    assert_eq!(read(perf), (vec!["mm_page_free".into(), lost("None", "Some(23)")], None));
    // It may be about any event that has not left the window: told before and after.
    let bpf = "5 0 7 free 1 0\nLost 3 events\n9 0 7 free 1 0\n";
    let free = "mm_page_free".to_owned();
    assert_eq!(
        read(bpf),
        (vec![lost("None", "Some(3)"), free.clone(), lost("None", "None"), free], None)
    );
}

#[test]
fn since_when_events_are_missing() {
    let text = |middle: &str| {
        let other = line("1.000002", "b").replace("[001]", "[000]");
        format!("{HEADER}{}{other}{middle}{}", line("1.000001", "a"), line("1.000003", "c"))
    };
    for (middle, since) in [
        ("CPU:1 [LOST 5 EVENTS]\n", Some(1_000_001_000)),
        ("CPU:0 [LOST 5 EVENTS]\n", Some(1_000_002_000)),
        ("CPU:7 [LOST 5 EVENTS]\n", None),
        ("##### CPU 1 buffer started ####\n", None),
    ] {
        let input = Cursor::new(text(middle));
        let mut reader = Reader::new("x", input, &Wanted::everything()).expect("ftrace");
        let mut found = Vec::new();
        while let Some(item) = reader.next().expect("readable") {
            if let Item::Lost(lost) = item {
                found.push(lost.since);
            }
        }
        assert_eq!(found, [since], "{middle}");
    }
}

#[test]
fn lost_events_in_pages() {
    const MISSED: u64 = 1 << 31;
    const COUNTED: u64 = 1 << 30;
    let mut file = bytes("linux-6.12-cow-v7-as-v6.dat.gz");
    // The data of the second CPU; its second page.
    let page = 0x14000 + 0x1000;
    let commit = u64::from_le_bytes(file[page + 8..page + 16].try_into().expect("8 bytes"));
    file[page + 8..page + 16].copy_from_slice(&(commit | MISSED).to_le_bytes());
    let whole = read(bytes("linux-6.12-cow-v7-as-v6.dat.gz")).0;
    let (found, message) = read(&file);
    assert_eq!(message, None);
    let losses: Vec<_> = found.iter().filter(|item| item.starts_with("lost")).collect();
    assert_eq!(losses, ["lost Some(1) None"]);
    assert_eq!(found.len(), whole.len() + 1);
    // With their number behind the last event, in a page that has room for it.
    let end = page + 16 + usize::try_from(commit & 0xfffff).expect("small");
    assert!(end + 8 <= page + 0x1000, "no room for the number");
    file[page + 8..page + 16].copy_from_slice(&(commit | MISSED | COUNTED).to_le_bytes());
    file[end..end + 8].copy_from_slice(&77_u64.to_le_bytes());
    assert!(read(&file).0.contains(&"lost Some(1) Some(77)".to_owned()));
}

#[test]
fn binary_recordings_that_are_damaged() {
    let file = bytes("linux-6.12-cow-v7-as-v6.dat.gz");
    let whole = read(&file).0.len();
    // Cut in the data of a CPU: nothing is known of what that CPU did.
    fails(&file[..file.len() - 0x3000], 0, "ends in the middle of the data of a CPU");
    fails(&file[..0x800], 0, "ends in the middle of the header");
    // A page whose time is before that of the page in front of it.
    let page = 0x14000 + 0x5000;
    let mut backwards = file.clone();
    backwards[page..page + 8].copy_from_slice(&1_u64.to_le_bytes());
    let (found, message) = read(&backwards);
    let message = message.expect("a message");
    assert!(message.contains(&format!("x: byte {page}: time goes back")), "{message}");
    assert!(message.contains("on CPU 1"), "{message}");
    assert!(found.len() > 100 && found.len() < whole, "{} of {whole}", found.len());
    // A page that claims to be fuller than it is large.
    let mut full = file;
    full[page + 8..page + 16].copy_from_slice(&0xffff_u64.to_le_bytes());
    let (found, message) = read(&full);
    let message = message.expect("a message");
    assert!(message.contains("holds more than its size"), "{message}");
    assert!(found.len() > 100, "{}", found.len());
}

#[test]
fn what_the_last_digits_stand_for() {
    for (time, resolution) in [("1.000001", 1000), ("1.000001000", 1)] {
        let text = format!("{HEADER}{}", line(time, "a"));
        let mut reader =
            Reader::new("x", Cursor::new(text), &Wanted::everything()).expect("ftrace");
        let Ok(Some(Item::Event(event))) = reader.next() else { panic!("an event") };
        assert_eq!(event.time, 1_000_001_000);
        assert_eq!(reader.source().unit, Some(TimeUnit::Nanoseconds { resolution }));
    }
}

#[test]
fn lines_that_are_no_events() {
    let stack = "            init-1       (      1) [001] d..2.     1.000002: <stack trace>\n => ptep_clear_flush\n => wp_page_copy\n";
    let function = "            init-1       (      1) [001] d..2.     1.000002: do_wp_page <-__handle_mm_fault\n";
    let (a, b) = (line("1.000001", "a"), line("1.000003", "b"));
    let both = (vec!["a".to_owned(), "b".to_owned()], None);
    for between in [stack, function, "\n", "# a remark\n"] {
        assert_eq!(read(format!("{HEADER}{a}{between}{b}")), both, "{between}");
    }
    let perf = "  comm  12 [001] 1.000001: kmem:a: pfn=0x1\n\tffffffff81395804 f+0x4 ([kernel])\n\n  comm  12 [001] 1.000002:  1 kmem:b: pfn=0x1\n";
    assert_eq!(read(perf), both);
    let report = format!("version = 7\nCPU 1 is empty\ncpus=2\n{a}{b}");
    assert_eq!(read(report), both);
    fails(
        "# tracer: function_graph\n#\n 1)   0.541 us    |  do_wp_page();\n",
        0,
        "x:1: the text of tracer function_graph, which is not read; record events with tracer nop",
    );
}
