//! Text of any length, made of the lines of a recording of a real kernel.

use std::io::Read;

use crate::cases::WANTED;

const RECORDING: &str = "../../crates/trace/tests/traces/linux-6.12-kvm-counter.trace.gz";

/// What is before and behind the time of a line.
type Parts = (String, String);

/// At least so many bytes. Every hundredth line has the event that is wanted, no other
/// line has; times go up.
pub fn text(bytes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes + 1024);
    write(bytes as u64, &mut out).expect("memory");
    out
}

pub fn write(bytes: u64, out: &mut impl std::io::Write) -> std::io::Result<()> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(RECORDING);
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path)?).read_to_string(&mut text)?;
    let parts: Vec<Parts> = text.lines().filter_map(parts).collect();
    let name = format!(": {WANTED}: ");
    let (wanted, others): (Vec<_>, Vec<_>) =
        parts.into_iter().partition(|(_, rest)| rest.starts_with(&name));
    let mut wanted = wanted.iter().cycle();
    let mut others = others.iter().cycle();
    let mut written = 0;
    out.write_all(b"# tracer: nop\n#\n")?;
    for time in 1_u64.. {
        let (before, behind) =
            if time % 100 == 0 { &mut wanted } else { &mut others }.next().expect("not empty");
        let line = format!("{before} {time:>12}{behind}\n");
        out.write_all(line.as_bytes())?;
        written += line.len() as u64;
        if written >= bytes {
            break;
        }
    }
    Ok(())
}

fn parts(line: &str) -> Option<Parts> {
    let flags = line.find("] ")? + "] .....".len();
    let time = flags + line.get(flags..)?.find(": ")?;
    Some((line[..flags].to_owned(), line[time..].to_owned()))
}
