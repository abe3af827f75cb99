//! Memory does not grow with the recording. A program of its own: what is measured is
//! the most that the process ever had.

#![cfg(target_os = "linux")]

use std::io::Read;

use shootdown_trace::read::{Reader, Wanted};

/// Text of ftrace that is made while it is read.
struct Endless {
    line: Vec<u8>,
    at: usize,
    time: u64,
    left: u64,
    header: bool,
}

impl Endless {
    fn new(lines: u64, header: bool) -> Endless {
        Endless { line: Vec::new(), at: 0, time: 0, left: lines, header }
    }
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.line.len() {
            if self.left == 0 {
                return Ok(0);
            }
            self.left -= 1;
            self.time += 1;
            let line = if std::mem::take(&mut self.header) {
                "# tracer: nop\n".to_owned()
            } else {
                let (cpu, time) = (self.time % 4, self.time);
                format!(
                    "            init-1       (      1) [{cpu:03}] d..2. {time:>12}: start: (f+0x4/0x190) mm=0xff1100000405a100 start=0x7efe26c00000 end=0x7efe27400000 flags=1 event=2\n"
                )
            };
            self.line = line.into_bytes();
            self.at = 0;
        }
        let count = buffer.len().min(self.line.len() - self.at);
        buffer[..count].copy_from_slice(&self.line[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// The most memory that was resident, in kilobytes.
fn most() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("procfs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a kernel's");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn read(lines: u64, header: bool) {
    let mut reader =
        Reader::new("endless", Endless::new(lines, header), &Wanted::everything()).expect("ftrace");
    let mut events = 0;
    while reader.next().expect("readable").is_some() {
        events += 1;
    }
    assert_eq!(events, lines - u64::from(header));
}

#[test]
fn memory_does_not_grow_with_the_recording() {
    // With a header, and as from trace_pipe, where a window of events is held.
    for (header, window) in [(true, 7_000), (false, 100_000)] {
        read(100_000, header);
        let small = most();
        read(600_000, header);
        let more = most() - small;
        assert!(more < 2_000, "{more} kB more for 80 MB more");
        assert!(small < 20_000 + window, "{small} kB");
    }
}
