//! What must not go wrong: the rule behind every notification.

use core::fmt;

/// An obligation of whoever changes a page table.
///
/// The founding document names two situations, A and B; both are instances of
/// these. They are the vocabulary of every verdict, message and trace rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Obligation {
    /// No translation to a page, and no access in flight to it, survives the
    /// moment from which the allocator may hand the page to somebody else.
    /// Broken, a device's write lands in the new owner's page. Case A.
    Free,
    /// Once anybody can use the new entry, no access through an old
    /// translation has an effect that the operation does not allow.
    /// Broken, a device sees new data and afterwards old data. Case B.
    New,
    /// No writable translation survives the start of the copy or compare of
    /// the page. Broken, a device's write is lost.
    Copy,
    /// No cached upper-level entry survives the free of the page-table page.
    Table,
    /// No translation that can write without setting the dirty bit survives
    /// the moment the page is taken as clean.
    Clean,
    /// No translation that an operation revoked survives the operation's
    /// return, unless the table grants it again.
    Return,
    /// Nobody faults or waits for ever.
    Progress,
    /// No callback runs on an object that is gone.
    Lifetime,
    /// No callback allocates, or takes a lock or waits for a fence under which
    /// somebody allocates.
    Reclaim,
    /// When all is quiet, no cached entry grants what its source does not.
    Rest,
}

impl Obligation {
    /// The code in messages and traces.
    pub const fn code(self) -> &'static str {
        match self {
            Obligation::Free => "FREE",
            Obligation::New => "NEW",
            Obligation::Copy => "COPY",
            Obligation::Table => "TABLE",
            Obligation::Clean => "CLEAN",
            Obligation::Return => "RETURN",
            Obligation::Progress => "PROGRESS",
            Obligation::Lifetime => "LIFETIME",
            Obligation::Reclaim => "RECLAIM",
            Obligation::Rest => "REST",
        }
    }
}

impl Obligation {
    /// Every obligation, in the order of the enum.
    pub const ALL: [Self; 10] = [
        Obligation::Free,
        Obligation::New,
        Obligation::Copy,
        Obligation::Table,
        Obligation::Clean,
        Obligation::Return,
        Obligation::Progress,
        Obligation::Lifetime,
        Obligation::Reclaim,
        Obligation::Rest,
    ];

    /// What it forbids, in one line.
    pub const fn forbids(self) -> &'static str {
        match self {
            Obligation::Free => {
                "a translation that outlives the page: a write lands in the next owner's"
            }
            Obligation::New => "an old translation in use after the new entry: old data after new",
            Obligation::Copy => {
                "a writable translation during the copy or compare: a write is lost"
            }
            Obligation::Table => "a cached pointer that outlives the page-table page",
            Obligation::Clean => "a write through a translation after the page was taken as clean",
            Obligation::Return => "a translation that outlives the call which revoked it",
            Obligation::Progress => "a fault or a wait without end",
            Obligation::Lifetime => "a callback on an object that is gone",
            Obligation::Reclaim => "a callback that allocates, or waits for whoever does",
            Obligation::Rest => "a cached entry that grants more than the table when all is quiet",
        }
    }
}

impl fmt::Display for Obligation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}
