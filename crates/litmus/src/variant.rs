//! One file, several programs: the switches that its `#ifdef`s ask for.

use std::collections::BTreeSet;
use std::fmt;

/// A choice of switches. The empty one is the file as its author left it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Variant(BTreeSet<String>);

impl Variant {
    /// No switch is on.
    pub fn base() -> Variant {
        Variant::default()
    }

    /// These switches are on.
    ///
    /// ```
    /// use shootdown_litmus::Variant;
    ///
    /// let both = Variant::new(["END_UNLOCKED", "DEC_FIRST"]);
    /// assert_eq!(both.to_string(), "DEC_FIRST END_UNLOCKED");
    /// assert_eq!(Variant::base().to_string(), "base");
    /// ```
    pub fn new<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Variant {
        Variant(names.into_iter().map(Into::into).collect())
    }

    /// The switches that are on, in alphabetic order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether this switch is on.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// Whether no switch is on.
    pub fn is_base(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_base() {
            return f.write_str("base");
        }
        let names: Vec<&str> = self.names().collect();
        f.write_str(&names.join(" "))
    }
}

/// What a file offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variants {
    /// Every switch that an `#ifdef` of the file or of an include asks for, in
    /// the order of the text.
    pub switches: Vec<String>,
    /// The variants to be judged: the base, every combination that the
    /// `expect` table names, and every switch that the table names in no line
    /// (those are what `*` is for, or unjudged). A switch that the table names
    /// in combinations only is no variant alone.
    pub listed: Vec<Variant>,
}

impl Variants {
    pub(crate) fn new(switches: Vec<String>, expected: &[Variant]) -> Variants {
        let mut listed = vec![Variant::base()];
        for switch in &switches {
            if !expected.iter().any(|variant| variant.contains(switch)) {
                listed.push(Variant::new([switch.as_str()]));
            }
        }
        for variant in expected {
            if !listed.contains(variant) {
                listed.push(variant.clone());
            }
        }
        Variants { switches, listed }
    }
}
