//! Digests of functions.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// The first eight bytes of the SHA-256 of a function's tokens.
///
/// Long enough that two versions of one function do not meet by chance; nobody
/// has a reason to make them meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 8]);

impl Digest {
    /// Of tokens, in their order.
    pub fn of<'t>(tokens: impl IntoIterator<Item = &'t str>) -> Digest {
        let mut hash = Sha256::new();
        for token in tokens {
            hash.update(token.as_bytes());
            hash.update([0]);
        }
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&hash.finalize()[..8]);
        Digest(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Digest {
    type Err = ();

    fn from_str(text: &str) -> Result<Digest, ()> {
        let number = u64::from_str_radix(text, 16).map_err(|_| ())?;
        if text.len() == 16 { Ok(Digest(number.to_be_bytes())) } else { Err(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let digest = Digest::of(["int", "x"]);
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_ne!(digest, Digest::of(["intx"]));
        assert_eq!("12".parse::<Digest>(), Err(()));
    }
}
