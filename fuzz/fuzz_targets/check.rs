//! From bytes to a verdict: reading, lowering, both searches up to a limit, and
//! the words for what was found.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use shootdown_answers::LIBRARY;
use shootdown_answers::check::{check, read};
use shootdown_answers::request::Request;
use shootdown_explore::Limits;
use shootdown_litmus::{Variant, text_of, variants};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = text_of("fuzz.litmus", bytes) else { return };
    let limits = Limits { states: 3000, bytes: 256 << 20, time: Duration::from_secs(5) };
    let request = Request { limits, ..Request::default() };
    let Ok(offered) = variants("fuzz.litmus", &text, &LIBRARY) else { return };
    // The base and one more: what a mutation can break is mostly in both.
    for variant in offered.listed.iter().take(2).chain([&Variant::base()]) {
        if let Ok(subject) = read("fuzz.litmus", &text, &LIBRARY, variant, &request) {
            check(&subject, &request);
        }
    }
});
