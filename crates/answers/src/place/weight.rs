//! What a notification costs, for the order in which placements are listed.

use std::fmt;
use std::str::FromStr;

/// How dear a notification is, by where it stands and what it tells. The cost of
/// one is a product: place, extent, and what it makes the machine do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Weights {
    /// Under a page table lock: whoever waits for the lock waits as well.
    pub lock: u64,
    /// Outside of it.
    pub outside: u64,
    /// The whole range that was opened.
    pub range: u64,
    /// One entry.
    pub entry: u64,
    /// A wait for hardware.
    pub wait: u64,
    /// An invalidation that is posted.
    pub post: u64,
}

impl Default for Weights {
    fn default() -> Self {
        Weights { lock: 4, outside: 1, range: 2, entry: 1, wait: 2, post: 1 }
    }
}

/// The weights by name: one table for reading and printing.
type Part = (&'static str, fn(&Weights) -> u64, fn(&mut Weights, u64));

const PARTS: [Part; 6] = [
    ("lock", |w| w.lock, |w, n| w.lock = n),
    ("outside", |w| w.outside, |w, n| w.outside = n),
    ("range", |w| w.range, |w, n| w.range = n),
    ("entry", |w| w.entry, |w, n| w.entry = n),
    ("wait", |w| w.wait, |w, n| w.wait = n),
    ("post", |w| w.post, |w, n| w.post = n),
];

/// The largest weight: sums of costs stay small numbers.
const MOST: u64 = 1000;

impl Weights {
    /// What one notification costs; never nothing, so that one more is always
    /// dearer than one less.
    pub(super) fn cost(&self, locked: bool, whole: bool, posts: u32, waits: u32) -> u64 {
        let place = if locked { self.lock } else { self.outside };
        let extent = if whole { self.range } else { self.entry };
        let work = u64::from(posts) * self.post + u64::from(waits) * self.wait;
        (place * extent * work).max(1)
    }
}

impl fmt::Display for Weights {
    /// `lock=4,outside=1,range=2,entry=1,wait=2,post=1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, get, _)) in PARTS.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{name}={}", get(self))?;
        }
        Ok(())
    }
}

/// Why a text says no weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightsError(String);

impl fmt::Display for WeightsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WeightsError {}

impl FromStr for Weights {
    type Err = WeightsError;

    /// The default with some of them changed: `lock=1,wait=5`.
    fn from_str(text: &str) -> Result<Weights, WeightsError> {
        let names = || PARTS.map(|(name, ..)| name).join(", ");
        let mut weights = Weights::default();
        for part in text.split(',').filter(|part| !part.trim().is_empty()) {
            let Some((name, number)) = part.split_once('=') else {
                let why = format!("`{part}` in the weights is not NAME=NUMBER; names: {}", names());
                return Err(WeightsError(why));
            };
            let Some((_, _, set)) = PARTS.iter().find(|(known, ..)| *known == name.trim()) else {
                let why = format!("there is no weight `{}`; there are {}", name.trim(), names());
                return Err(WeightsError(why));
            };
            match number.trim().parse::<u64>() {
                Ok(number) if (1..=MOST).contains(&number) => set(&mut weights, number),
                _ => {
                    let why = format!(
                        "the weight `{}` is a number from 1 to {MOST}, not `{}`",
                        name.trim(),
                        number.trim()
                    );
                    return Err(WeightsError(why));
                }
            }
        }
        Ok(weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_read_as_they_are_printed() {
        let weights = Weights { lock: 1, wait: 9, ..Weights::default() };
        assert_eq!(weights.to_string().parse(), Ok(weights));
        assert_eq!("".parse(), Ok(Weights::default()));
    }

    #[test]
    fn messages_say_what_there_is() {
        let error = |text: &str| text.parse::<Weights>().expect_err("wrong weights").to_string();
        assert!(error("locks=1").contains("no weight `locks`; there are lock, outside"));
        assert!(error("lock").contains("not NAME=NUMBER"));
        assert!(error("lock=0").contains("a number from 1 to 1000"));
    }

    #[test]
    fn dearer_is_what_the_document_says_is() {
        let weights = Weights::default();
        assert!(weights.cost(true, false, 2, 2) > weights.cost(false, false, 2, 2));
        assert!(weights.cost(false, true, 2, 2) > weights.cost(false, false, 2, 2));
        assert!(weights.cost(false, false, 2, 2) > weights.cost(false, false, 2, 0));
        assert!(weights.cost(false, false, 0, 0) > 0);
    }
}
