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

impl fmt::Display for Obligation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}
