//! From bytes to a checked program, or to messages.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shootdown_answers::LIBRARY;
use shootdown_litmus::{Variant, check_source, text_of, variants};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = text_of("fuzz.litmus", bytes) else { return };
    if let Err(messages) = check_source("fuzz.litmus", &text, &LIBRARY, &Variant::base()) {
        assert!(messages.has_errors(), "refused without a reason");
    }
    let _ = variants("fuzz.litmus", &text, &LIBRARY);
});
