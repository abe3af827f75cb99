//! Recordings with random damage: there is an answer, and no panic.

use std::io::Cursor;

use shootdown_trace::read::{Item, Reader, Wanted};

use crate::bytes;

/// A small generator of numbers (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).expect("fits")
    }
}

/// What to read: so many bytes of a recording are enough to meet every kind of line.
const RECORDINGS: [(&str, usize); 8] = [
    ("linux-6.1-kvm.trace.gz", 60_000),
    ("linux-6.1-faketlb-correct.trace.gz", 20_000),
    ("linux-6.12-cow-v7.report.txt.gz", 20_000),
    ("linux-6.18-perf-script.txt.gz", 20_000),
    ("linux-6.1-bpftrace.txt.gz", 10_000),
    ("linux-6.12-cow-v7.dat", usize::MAX),
    ("linux-6.12-cow-v7-plain.dat.gz", usize::MAX),
    ("linux-6.12-cow-v7-as-v6.dat.gz", usize::MAX),
];

/// Reads everything, and looks at every field.
fn read_through(input: Vec<u8>) -> (u64, bool) {
    let mut events = 0;
    let mut reader = match Reader::new("mutated", Cursor::new(input), &Wanted::everything()) {
        Ok(reader) => reader,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return (0, true);
        }
    };
    loop {
        match reader.next() {
            Ok(Some(Item::Event(event))) => {
                events += 1;
                for field in ["mm", "start", "event", "gfn", "pfn", "buf", "reason"] {
                    let _ = (event.number(field), event.hex(field), event.text(field));
                }
                if events % 64 == 0 {
                    let _ = event.body.to_string();
                }
            }
            Ok(Some(Item::Lost(_))) => {}
            Ok(None) => return (events, false),
            Err(error) => {
                assert!(error.to_string().starts_with("mutated"), "{error}");
                return (events, true);
            }
        }
    }
}

fn mutate(bytes: &mut Vec<u8>, numbers: &mut Numbers) {
    // The head of a binary recording is a small part of it, and the most delicate one.
    let near = if numbers.below(2) == 0 { bytes.len() } else { bytes.len().min(2000) };
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(near.min(bytes.len()).max(1));
        match numbers.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << numbers.below(8),
            1 if at < bytes.len() => bytes[at] = u8::try_from(numbers.below(256)).expect("a byte"),
            2 => bytes.truncate(at.max(1)),
            3 => {
                let end = (at + numbers.below(40)).min(bytes.len());
                bytes.drain(at.min(end)..end);
            }
            4 => {
                let end = (at + numbers.below(400)).min(bytes.len());
                let copy = bytes[at.min(end)..end].to_vec();
                let to = numbers.below(bytes.len() + 1);
                bytes.splice(to..to, copy);
            }
            _ => {
                let large = [u64::MAX, 1 << 31, 1 << 63, 0][numbers.below(4)].to_le_bytes();
                let end = (at + 8).min(bytes.len());
                bytes[at.min(end)..end].copy_from_slice(&large[..end - at.min(end)]);
            }
        }
    }
}

#[test]
fn mutated_recordings() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let (mut refused, mut read) = (0, 0);
    for (name, most) in RECORDINGS {
        let whole = bytes(name);
        let whole = &whole[..whole.len().min(most)];
        for _ in 0..300 {
            let mut damaged = whole.to_vec();
            mutate(&mut damaged, &mut numbers);
            let (events, error) = read_through(damaged);
            refused += u64::from(error);
            read += u64::from(events > 0);
        }
    }
    // Most damage is noticed, and most of what is before it is read.
    assert!(refused > 1200, "{refused}");
    assert!(read > 1200, "{read}");
}

#[test]
fn noise() {
    let mut numbers = Numbers(42);
    for head in [
        &b""[..],
        b"# tracer: nop\n",
        b"cpus=2\n",
        b"Attaching 1 probe...\n",
        b"(lock ",
        b"\x17\x08\x44tracing6\0\0\x08\0\x10\0\0",
        b"\x17\x08\x44tracing7\0\0\x08\0\x10\0\0zstd\x001\0",
        b"\x1f\x8b\x08\0",
        b"\x28\xb5\x2f\xfd",
    ] {
        for _ in 0..200 {
            let mut input = head.to_vec();
            let length = numbers.below(600);
            // Bytes of any kind, or those that lines are made of.
            let lines = numbers.below(2) == 0;
            input.extend((0..length).map(|_| {
                let byte = u8::try_from(numbers.below(256)).expect("a byte");
                if lines {
                    b" -[]():.0123456789abcdefx=#\n\""[usize::from(byte) % 29]
                } else {
                    byte
                }
            }));
            read_through(input);
        }
    }
}
