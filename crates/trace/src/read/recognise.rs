//! What a recording is: by its content, never by its name.

use std::io::{BufReader, Read};

use super::lines::Lines;
use super::{Cause, Compression, Format, bpftrace, columns};

/// The first bytes of a `trace.dat`.
pub(super) const TRACE_DAT: &[u8] = b"\x17\x08\x44tracing";
const GZIP: &[u8] = b"\x1f\x8b";
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
/// How much of a text is looked at.
const LOOKED_AT: usize = 16 << 10;
/// Text has no zero at its beginning; one later is damage, and has its line.
const BINARY: usize = 64;

/// Other tools' files, by their first bytes.
const OTHERS: [(&[u8], &str); 9] = [
    (b"PERFILE2", "a perf.data (run perf script)"),
    (b"\xfd7zXZ", "xz (unpack it first)"),
    (b"BZh", "bzip2 (unpack it first)"),
    (b"PK\x03\x04", "a zip archive (unpack it first)"),
    (b"\x7fELF", "a program"),
    (b"\xc1\x1f\xfc\xc1", "a trace of LTTng"),
    (b"\x75\xd1\x1f\xfc", "metadata of a trace of LTTng"),
    (b"{", "JSON"),
    (b"<", "XML"),
];

/// Takes gzip or zstd away.
pub(super) fn unpack(
    mut input: Box<dyn Read + Send>,
) -> std::io::Result<(Box<dyn Read + Send>, Option<Compression>)> {
    let mut first = Vec::new();
    input.by_ref().take(4).read_to_end(&mut first)?;
    let gzip = first.starts_with(GZIP);
    let zstd = first.starts_with(ZSTD);
    let whole = BufReader::with_capacity(64 << 10, std::io::Cursor::new(first).chain(input));
    if gzip {
        // Several members may follow each other.
        let decoder = flate2::bufread::MultiGzDecoder::new(whole);
        return Ok((Box::new(decoder), Some(Compression::Gzip)));
    }
    if zstd {
        let decoder = super::frames::Frames::new(whole);
        return Ok((Box::new(decoder), Some(Compression::Zstd)));
    }
    Ok((Box::new(whole), None))
}

/// What a text is, and whether it says that it is in the order of time.
pub(super) fn text(lines: &mut Lines) -> Result<(Format, bool), Cause> {
    let begins = lines.peek(LOOKED_AT);
    if begins.is_empty() {
        return Err(lines.take_broken().unwrap_or(Cause::Empty));
    }
    if let Some((_, what)) = OTHERS.iter().find(|(first, _)| begins.starts_with(first)) {
        return Err(Cause::Unrecognised { looks_like: Some(what) });
    }
    if begins[..begins.len().min(BINARY)].contains(&0) {
        return Err(Cause::Unrecognised { looks_like: Some("binary data") });
    }
    let mut ordered = false;
    for line in begins.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii_end();
        if line.trim_ascii().is_empty() {
            continue;
        }
        if line.starts_with(b"# tracer:") || line.starts_with(b"# entries-in-buffer") {
            ordered = true;
        } else if line.starts_with(b"#") && ordered {
            // More of the header.
        } else if line.starts_with(b"#") && is_perf_header(line) {
            return Ok((Format::PerfScript, true));
        } else if line.starts_with(b"Attaching ") || bpftrace::is_line(line) {
            return Ok((Format::Bpftrace, false));
        } else if line.starts_with(b"cpus=") || line.starts_with(b"version = ") {
            return Ok((Format::TraceCmdReport, true));
        } else if line.starts_with(b"(") && line.get(1).is_some_and(u8::is_ascii_lowercase) {
            return Ok((Format::Casemate, true));
        } else if let Some(columns) = columns::find(line, Format::Ftrace, &mut 0) {
            // trace-cmd fills the name to 20 columns.
            let padded = line[columns.body..].starts_with(b"  ");
            return Ok(match padded && !ordered {
                true => (Format::TraceCmdReport, true),
                false => (Format::Ftrace, ordered),
            });
        } else if columns::find(line, Format::PerfScript, &mut 0).is_some() {
            return Ok((Format::PerfScript, true));
        } else if line.starts_with(b"CPU:") || line.starts_with(b"#") {
            // A loss at the very beginning, or somebody's remark.
        } else if ordered {
            // A header of ftrace, and then no events: latency tracers, functions.
            return Ok((Format::Ftrace, true));
        } else {
            break;
        }
    }
    if ordered {
        return Ok((Format::Ftrace, true));
    }
    Err(lines.take_broken().unwrap_or(Cause::Unrecognised { looks_like: None }))
}

fn is_perf_header(line: &[u8]) -> bool {
    let perf = [b"# ========".as_slice(), b"# captured on", b"# hostname :", b"# os release :"];
    perf.iter().any(|start| line.starts_with(start))
}
