//! How large clients may be.

use std::fmt;
use std::str::FromStr;

/// How large clients may be. A verdict over clients holds up to its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bound {
    /// Devices, guests included, that access memory: threads of their own.
    pub devices: usize,
    /// CPUs that do, beside those of the path.
    pub cpus: usize,
    /// Steps of one thread, messages included.
    pub steps: usize,
    /// Accesses of pages, of all threads together.
    pub accesses: usize,
    /// Pages that may be accessed: the first so many of the path's own thread,
    /// then of the test.
    pub pages: usize,
    /// Words that carry messages.
    pub messages: usize,
    /// Steps that the path's own thread takes when the path has returned.
    pub after: usize,
}

impl Default for Bound {
    /// One device, one CPU, two steps for each, two accesses in all of one page,
    /// one message, and one step behind the path. The document's cases are in it:
    /// the doorbell, the lost write, the message that a call has returned.
    fn default() -> Self {
        Bound { devices: 1, cpus: 1, steps: 2, accesses: 2, pages: 1, messages: 1, after: 1 }
    }
}

/// The parts of a bound by name: one table for reading and printing.
type Part = (&'static str, fn(&Bound) -> usize, fn(&mut Bound, usize), usize);

/// Name, how it is read and set, and the most that can be listed.
const PARTS: [Part; 7] = [
    ("devices", |b| b.devices, |b, n| b.devices = n, 2),
    ("cpus", |b| b.cpus, |b, n| b.cpus = n, 2),
    ("steps", |b| b.steps, |b, n| b.steps = n, 3),
    ("accesses", |b| b.accesses, |b, n| b.accesses = n, 6),
    ("pages", |b| b.pages, |b, n| b.pages = n, 3),
    ("messages", |b| b.messages, |b, n| b.messages = n, 2),
    ("after", |b| b.after, |b, n| b.after = n, 2),
];

impl fmt::Display for Bound {
    /// `devices=1,cpus=1,steps=2,accesses=3,pages=1,messages=1,after=1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, get, ..)) in PARTS.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{name}={}", get(self))?;
        }
        Ok(())
    }
}

/// Why a text is no bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundError(String);

impl fmt::Display for BoundError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BoundError {}

impl FromStr for Bound {
    type Err = BoundError;

    /// The default with some parts changed: `cpus=0,steps=1`.
    fn from_str(text: &str) -> Result<Bound, BoundError> {
        let mut bound = Bound::default();
        for part in text.split(',').filter(|part| !part.trim().is_empty()) {
            let names = || PARTS.map(|(name, ..)| name).join(", ");
            let Some((name, number)) = part.split_once('=') else {
                let why = format!("`{part}` in the bound is not NAME=NUMBER; names: {}", names());
                return Err(BoundError(why));
            };
            let found = PARTS.iter().find(|(known, ..)| *known == name.trim());
            let Some((_, _, set, most)) = found else {
                let why = format!("the bound has no part `{}`; it has {}", name.trim(), names());
                return Err(BoundError(why));
            };
            match number.trim().parse::<usize>() {
                Ok(number) if number <= *most => set(&mut bound, number),
                _ => {
                    let why = format!(
                        "`{}` in the bound is a number from 0 to {most}, not `{}`",
                        name.trim(),
                        number.trim()
                    );
                    return Err(BoundError(why));
                }
            }
        }
        Ok(bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_read_as_it_is_printed() {
        let bound = Bound { devices: 2, pages: 2, after: 0, ..Bound::default() };
        assert_eq!(bound.to_string().parse(), Ok(bound));
        assert_eq!("".parse(), Ok(Bound::default()));
        assert_eq!("cpus=0".parse(), Ok(Bound { cpus: 0, ..Bound::default() }));
    }

    #[test]
    fn messages_say_what_there_is() {
        let error = |text: &str| text.parse::<Bound>().expect_err("a wrong bound").to_string();
        assert!(error("cpu=1").contains("no part `cpu`; it has devices, cpus"));
        assert!(error("cpus").contains("not NAME=NUMBER"));
        assert!(error("steps=9").contains("a number from 0 to 3"));
        assert!(error("steps=-1").contains("a number from 0 to 3"));
    }
}
