//! A suite divided among machines.
//!
//! Every shard reads every file, which costs nothing, and takes every Nth
//! check: neighbours are of one file and cost about the same, so this balances
//! better than whole files would. Whoever puts the results together has to
//! know that they are of one suite: [`Identity`] is a digest of what was read.

use std::fmt;
use std::str::FromStr;

/// One of several parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// From 1.
    pub index: usize,
    /// How many there are.
    pub count: usize,
}

impl Shard {
    /// Everything.
    pub const WHOLE: Shard = Shard { index: 1, count: 1 };

    /// Whether the check at this position, from 0, belongs to it.
    pub fn takes(self, position: usize) -> bool {
        position % self.count == self.index - 1
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Shard, String> {
        let parts = text.split_once('/');
        let numbers =
            parts.and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        let Some((index, count)) = numbers else {
            return Err("write I/N, such as 1/4 for the first of four".to_owned());
        };
        if count == 0 {
            return Err("no shards at all; write 1/1 for everything".to_owned());
        }
        if index == 0 || index > count {
            return Err(format!(
                "there is no shard {index} of {count}; they are 1/{count} to {count}/{count}"
            ));
        }
        Ok(Shard { index, count })
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

/// A digest: FNV-1a, which is stable over versions of Rust and machines.
#[derive(Clone, Copy, Debug)]
pub struct Identity(u64);

impl Default for Identity {
    fn default() -> Self {
        Identity(0xcbf2_9ce4_8422_2325)
    }
}

impl Identity {
    /// One more text; `("a", "b")` is not `("ab", "")`.
    pub fn add(&mut self, text: &str) {
        for byte in (text.len() as u64).to_le_bytes().into_iter().chain(text.bytes()) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_has_one_shard() {
        for count in 1..8 {
            for position in 0..50 {
                let shards = (1..=count).map(|index| Shard { index, count });
                assert_eq!(shards.filter(|shard| shard.takes(position)).count(), 1);
            }
        }
        assert!((0..50).all(|position| Shard::WHOLE.takes(position)));
    }

    #[test]
    fn as_text() {
        assert_eq!("2/3".parse(), Ok(Shard { index: 2, count: 3 }));
        assert_eq!(Shard { index: 2, count: 3 }.to_string(), "2/3");
        for wrong in ["3/2", "0/2", "1/0", "1", "a/b", "", "-1/2", "1/2/3"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
        let why = "3/2".parse::<Shard>().unwrap_err();
        assert_eq!(why, "there is no shard 3 of 2; they are 1/2 to 2/2");
    }

    #[test]
    fn a_digest_tells_pieces_apart() {
        let of = |texts: &[&str]| {
            let mut identity = Identity::default();
            texts.iter().for_each(|text| identity.add(text));
            identity.to_string()
        };
        assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
        assert_ne!(of(&["a", "b"]), of(&["ab", ""]));
        assert_ne!(of(&["a", "b"]), of(&["b", "a"]));
    }
}
