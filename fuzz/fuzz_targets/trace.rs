//! From bytes to the report of a recording, and to the litmus tests of what was found.

#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use shootdown::command::trace::{Asked, of_finding};
use shootdown::draw::Paint;
use shootdown::draw::trace::{Shown, json, text};
use shootdown_answers::LIBRARY;
use shootdown_litmus::{Variant, check_source};
use shootdown_trace::check::{Options, check};
use shootdown_trace::meaning;
use shootdown_trace::read::{Item, Reader, Wanted};

/// Every event and field, also those that no rule asks for.
fn everything(bytes: &[u8]) {
    let mut reader = match Reader::new("fuzz", Cursor::new(bytes.to_vec()), &Wanted::everything()) {
        Ok(reader) => reader,
        Err(error) => return assert!(error.to_string().len() > "fuzz: ".len()),
    };
    loop {
        match reader.next() {
            Ok(Some(Item::Event(event))) => {
                for field in ["mm", "start", "gfn", "reason", "buf"] {
                    let _ = (event.number(field), event.hex(field), event.text(field));
                }
                let _ = event.body.to_string();
            }
            Ok(Some(Item::Lost(_))) => {}
            Ok(None) => return,
            Err(error) => return assert!(error.to_string().len() > "fuzz: ".len()),
        }
    }
}

/// What `shootdown trace` does with it.
fn checked(bytes: &[u8]) {
    let wanted = meaning::wanted();
    let Ok(reader) = Reader::new("fuzz", Cursor::new(bytes.to_vec()), &wanted) else { return };
    let clock = bytes.first().is_some_and(|first| first & 1 == 1).then(|| "mono".to_owned());
    let all = [check(reader, &Options { era: None, clock }, |event| {
        let _ = event.kind.to_string();
    })];
    let asked = Asked::default();
    let shown = Shown { asked: &asked, findings: 3, statistics: true };
    assert!(!text(&all, &shown, Paint::new(false)).is_empty());
    assert!(json(&all, &shown).is_ok());
    for finding in all[0].report.rows.iter().flat_map(|row| &row.findings) {
        let Some(litmus) = of_finding(finding, &all[0]) else { continue };
        if let Err(messages) = check_source("fuzz.litmus", &litmus, &LIBRARY, &Variant::base()) {
            panic!("a litmus test that cannot be read: {messages:?}\n{litmus}");
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    everything(bytes);
    checked(bytes);
});
