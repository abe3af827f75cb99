//! Memory without page tables: for each address space which pages are mapped,
//! with what rights, and what each word may hold.
//!
//! A word is a set of possibilities, usually one. Several exist after accesses
//! to a page that an operation was replacing: a store may have gone to the old
//! page and be lost. Each load picks one and rules out the others.

use std::collections::{BTreeMap, BTreeSet};

use address_space::Error;
use mmu_protocol::{Access, Rights};

use crate::ops::word_addr;

/// One possibility.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Word {
    /// The oldest generation that is live.
    old: u64,
    /// The generation that replaces it, once its moment has come.
    new: Option<u64>,
    /// The store in flight has been performed.
    performed: bool,
}

impl Word {
    const fn plain(value: u64) -> Self {
        Word { old: value, new: None, performed: false }
    }
}

pub(crate) type Words = BTreeSet<Word>;

/// What is in flight at the moment: at most one operation that changes what
/// memory means, besides any number of those that do not.
#[derive(Clone, Debug)]
pub(crate) enum Flight {
    /// Content stays: COW, KSM, split, collapse.
    Nop,
    /// A store, or `replace_page` that sets a word.
    Store { page: u64, word: usize, value: u64 },
    /// DONTNEED: until the return the old page and zero are both live.
    Zap { pages: std::ops::Range<u64> },
    /// munmap: until the return the old page or a fault.
    Unmap { pages: std::ops::Range<u64> },
    /// mprotect: until the return the old or the new right.
    Protect { pages: std::ops::Range<u64>, rights: Rights },
    /// mremap: until the return both names lead to the same words.
    Move { pages: std::ops::Range<u64>, to: u64 },
    /// fork: what the child may hold, collected while it runs.
    Fork { child: BTreeMap<(u64, usize), Words> },
}

/// The memory of one address space.
#[derive(Clone, Debug, Default)]
pub(crate) struct Space {
    mapped: BTreeMap<u64, Rights>,
    /// A word that is not here is zero.
    words: BTreeMap<(u64, usize), Words>,
    flight: Option<Flight>,
}

impl Space {
    pub(crate) fn is_mapped(&self, page: u64) -> bool {
        self.mapped.contains_key(&page)
    }

    pub(crate) fn mapped(&self) -> impl Iterator<Item = u64> + '_ {
        self.mapped.keys().copied()
    }

    /// The first page of the range that is not mapped.
    pub(crate) fn hole(&self, mut pages: std::ops::Range<u64>) -> Option<u64> {
        pages.find(|page| !self.is_mapped(*page))
    }

    pub(crate) fn map(&mut self, pages: std::ops::Range<u64>, rights: Rights) {
        for page in pages {
            self.mapped.insert(page, rights);
            self.forget(page);
        }
    }

    fn forget(&mut self, page: u64) {
        self.words.retain(|(of, _), _| *of != page);
    }

    /// What an access must say that is not performed.
    pub(crate) fn refusal(&self, page: u64, word: usize, store: bool) -> Option<Error> {
        let addr = word_addr(page, word);
        match self.mapped.get(&page) {
            None => Some(Error::NoMapping { addr }),
            Some(Rights::ReadOnly) if store => {
                Some(Error::Forbidden { addr, access: Access::Write })
            }
            Some(_) => None,
        }
    }

    /// The name under which a page's words are kept.
    fn name(&self, page: u64) -> u64 {
        match &self.flight {
            Some(Flight::Move { pages, to }) => {
                let count = pages.end - pages.start;
                if (*to..to + count).contains(&page) { pages.start + (page - to) } else { page }
            }
            _ => page,
        }
    }

    /// What the word may be, with every moment that may have come.
    fn possible(&self, page: u64, word: usize) -> Words {
        let mut words =
            self.words.get(&(page, word)).cloned().unwrap_or_else(|| Words::from([Word::plain(0)]));
        match &self.flight {
            Some(Flight::Zap { pages }) if pages.contains(&page) => {
                let come: Vec<_> = words
                    .iter()
                    .filter(|word| word.new.is_none())
                    .map(|word| Word { new: Some(0), ..*word })
                    .collect();
                words.extend(come);
            }
            Some(Flight::Store { page: stored, word: index, value })
                if (*stored, *index) == (page, word) =>
            {
                let come: Vec<_> = words
                    .iter()
                    .filter(|word| !word.performed)
                    .map(|word| Word { old: *value, performed: true, ..*word })
                    .collect();
                words.extend(come);
            }
            _ => {}
        }
        words
    }

    /// A load has given this value.
    pub(crate) fn loaded(&mut self, page: u64, word: usize, value: u64) -> Result<(), String> {
        let page = self.name(page);
        let before = self.possible(page, word);
        let after: Words = before
            .iter()
            .copied()
            .filter(|word| word.old == value || word.new == Some(value))
            .collect();
        if after.is_empty() {
            let addr = word_addr(page, word);
            return Err(format!("{addr} was read as {value:#x}; possible: {before:x?}"));
        }
        self.words.insert((page, word), after);
        Ok(())
    }

    /// A store of this value was performed.
    pub(crate) fn stored(&mut self, page: u64, word: usize, value: u64) {
        let page = self.name(page);
        let before = self.possible(page, word);
        let to_old = before.iter().map(|word| Word { old: value, ..*word });
        let to_new = before
            .iter()
            .filter(|word| word.new.is_some())
            .map(|word| Word { new: Some(value), ..*word });
        let after: Words = to_old.chain(to_new).collect();
        if let Some(Flight::Fork { child }) = &mut self.flight {
            child.entry((page, word)).or_default().insert(Word::plain(value));
        }
        self.words.insert((page, word), after);
    }

    /// An operation is called.
    pub(crate) fn begin(&mut self, flight: Flight) {
        if matches!(flight, Flight::Nop) {
            return;
        }
        assert!(self.flight.is_none(), "one operation at a time changes what memory means");
        self.flight = Some(flight);
    }

    /// What the child of a fork that is called now may hold.
    pub(crate) fn fork(&self) -> Flight {
        let mut child = self.words.clone();
        for page in self.mapped.keys() {
            for word in 0..2 {
                child.entry((*page, word)).or_insert_with(|| Words::from([Word::plain(0)]));
            }
        }
        Flight::Fork { child }
    }

    /// It has returned; the child's memory, if it was a fork.
    pub(crate) fn end(&mut self, flight: &Flight) -> Option<Space> {
        if matches!(flight, Flight::Nop) {
            return None;
        }
        match flight {
            // Every moment has come by now, and the old is dead.
            Flight::Zap { pages } => {
                let keys: Vec<_> =
                    self.words.keys().filter(|(page, _)| pages.contains(page)).copied().collect();
                for key in keys {
                    let words = self.words.remove(&key).unwrap_or_default();
                    let live = words.into_iter().map(|word| Word::plain(word.new.unwrap_or(0)));
                    self.words.insert(key, live.collect());
                }
            }
            &Flight::Store { page, word, .. } => {
                let words = self.possible(page, word);
                let live = words.into_iter().filter(|word| word.performed);
                self.words.insert((page, word), live.map(|word| Word::plain(word.old)).collect());
            }
            Flight::Unmap { pages } => {
                for page in pages.clone() {
                    self.mapped.remove(&page);
                    self.forget(page);
                }
            }
            Flight::Protect { pages, rights } => {
                self.mapped.extend(pages.clone().map(|page| (page, *rights)));
            }
            Flight::Move { pages, to } => {
                for page in pages.clone() {
                    let new = to + (page - pages.start);
                    if let Some(rights) = self.mapped.remove(&page) {
                        self.mapped.insert(new, rights);
                    }
                    for word in 0..2 {
                        if let Some(words) = self.words.remove(&(page, word)) {
                            self.words.insert((new, word), words);
                        }
                    }
                }
            }
            Flight::Fork { .. } | Flight::Nop => {}
        }
        match self.flight.take() {
            Some(Flight::Fork { child }) => {
                Some(Space { mapped: self.mapped.clone(), words: child, flight: None })
            }
            _ => None,
        }
    }
}
