//! Whether a name is wanted, at the speed at which lines go by.

use super::Wanted;

/// Sets of names in a table by length, first and last letter. A few dozen names, asked
/// for ten million times a second.
pub(super) struct Names {
    all: bool,
    events: Table,
    printed: Table,
    /// First letters of what is wanted if it was printed.
    letters: [bool; 256],
}

/// What a line is wanted as.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// As the event that it is.
    Event,
    /// Only if what was printed begins with a word that is wanted.
    IfPrinted,
    /// Not at all.
    No,
}

struct Table {
    slots: Vec<Vec<Box<[u8]>>>,
    empty: bool,
}

fn slot(name: &[u8]) -> usize {
    let (Some(&first), Some(&last)) = (name.first(), name.last()) else { return 0 };
    (name.len() * 31 + usize::from(first) * 7 + usize::from(last)) & 0xff
}

impl Table {
    fn new<'a>(names: impl Iterator<Item = &'a String>) -> Table {
        let mut table = Table { slots: vec![Vec::new(); 256], empty: true };
        for name in names {
            table.slots[slot(name.as_bytes())].push(name.as_bytes().into());
            table.empty = false;
        }
        table
    }

    fn has(&self, name: &[u8]) -> bool {
        self.slots[slot(name)].iter().any(|known| **known == *name)
    }
}

impl Names {
    pub(super) fn new(wanted: &Wanted) -> Names {
        let mut letters = [false; 256];
        for first in wanted.printed.iter().filter_map(|word| word.bytes().next()) {
            letters[usize::from(first)] = true;
        }
        Names {
            all: wanted.all,
            events: Table::new(wanted.events.iter()),
            printed: Table::new(wanted.printed.iter()),
            letters,
        }
    }

    pub(super) fn event(&self, name: &[u8]) -> Want {
        if self.all || self.events.has(name) {
            Want::Event
        } else if self.printed.empty {
            Want::No
        } else {
            Want::IfPrinted
        }
    }

    pub(super) fn printed_begins_with(&self, letter: u8) -> bool {
        self.letters[usize::from(letter)]
    }

    pub(super) fn printed(&self, word: &[u8]) -> bool {
        self.printed.has(word)
    }
}
