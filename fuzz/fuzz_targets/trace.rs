//! From bytes to the events of a trace, or to a message.

#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use shootdown_trace::read::{Item, Reader, Wanted};

fuzz_target!(|bytes: &[u8]| {
    let input = Cursor::new(bytes.to_vec());
    let mut reader = match Reader::new("fuzz", input, &Wanted::everything()) {
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
});
