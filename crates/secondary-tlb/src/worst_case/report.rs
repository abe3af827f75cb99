//! What the worst-case TLB says when it has caught somebody: what was used,
//! where it came from, where it should have gone, and which rule that breaks.
//!
//! The `Debug` form is the `Display` form, so that `unwrap` shows it.

use alloc::vec::Vec;
use core::fmt;
use core::panic::Location;

use mmu_protocol::{Access, Obligation, VirtAddr};

use crate::translation::Translation;

/// A change of an entry that no invalidation has followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// What happened to the entry.
    pub what: &'static str,
    /// Who noted it.
    pub at: &'static Location<'static>,
    pub(super) order: u64,
}

/// An entry was used, or is held at rest, that should have been dropped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StaleUse {
    /// The address.
    pub addr: VirtAddr,
    /// The access, or `None` if the entry was found at rest.
    pub access: Option<Access>,
    /// What the entry says.
    pub cached: Translation,
    /// What the table says now.
    pub table: Option<Translation>,
    /// Where the entry was taken.
    pub filled_at: &'static Location<'static>,
    /// After which change it should have been dropped: the last one noted
    /// that no invalidation has followed.
    pub change: Option<Change>,
    /// What it breaks.
    pub obligation: Obligation,
}

impl StaleUse {
    /// Where the entry should have been dropped.
    pub fn changed_at(&self) -> Option<&'static Location<'static>> {
        self.change.map(|change| change.at)
    }
}

/// An entry that leads to a frame.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The address that leads to the frame.
    pub addr: VirtAddr,
    /// What the entry says.
    pub cached: Translation,
    /// Where the entry was taken.
    pub filled_at: &'static Location<'static>,
    /// After which change it should have been dropped.
    pub change: Option<Change>,
}

/// A frame was freed or copied too early.
#[derive(Clone, PartialEq, Eq)]
pub struct StillHeld {
    /// The frame.
    pub pfn: u64,
    /// [`Obligation::Free`] or [`Obligation::Copy`].
    pub obligation: Obligation,
    /// The entries that lead to it. Never empty.
    pub by: Vec<Held>,
}

/// What an obligation asks, in one line.
fn rule(obligation: Obligation) -> &'static str {
    match obligation {
        Obligation::Free => {
            "no translation to a page survives the moment from which it may be given away"
        }
        Obligation::New => {
            "once the new entry can be used, no access goes through an old translation"
        }
        Obligation::Copy => "no writable translation survives the start of the copy",
        Obligation::Return => {
            "no translation that an operation revoked survives the operation's return"
        }
        Obligation::Rest => "when all is quiet, no entry grants what the table does not",
        _ => "see mmu_protocol::Obligation",
    }
}

fn dropped(f: &mut fmt::Formatter<'_>, change: Option<Change>) -> fmt::Result {
    match change {
        Some(change) => write!(f, "\n  not dropped at {} ({})", change.at, change.what),
        None => f.write_str("\n  not dropped at an unknown place; note changes with `changed`"),
    }
}

impl fmt::Display for StaleUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.access {
            Some(access) => write!(
                f,
                "the tlb was used after it should have been told: {access} of {}",
                self.addr
            )?,
            None => write!(f, "the tlb was never told: at rest it still maps {}", self.addr)?,
        }
        write!(f, "\n  it answered    {}", self.cached)?;
        match self.table {
            Some(table) => write!(f, "\n  the table says {table}")?,
            None => f.write_str("\n  the table says nothing is mapped")?,
        }
        write!(f, "\n  filled at      {}", self.filled_at)?;
        dropped(f, self.change)?;
        write!(f, "\n  this breaks    {}: {}", self.obligation, rule(self.obligation))
    }
}

impl fmt::Debug for StaleUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::error::Error for StaleUse {}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} leads to it through {}", self.addr, self.cached)?;
        write!(f, "\n  filled at      {}", self.filled_at)?;
        dropped(f, self.change)
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for StillHeld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let deed = if self.obligation == Obligation::Copy { "copied" } else { "freed" };
        write!(f, "frame {:#x} was {deed} before the tlb was told", self.pfn)?;
        for held in &self.by {
            write!(f, "\n  {held}")?;
        }
        write!(f, "\n  this breaks    {}: {}", self.obligation, rule(self.obligation))
    }
}

impl fmt::Debug for StillHeld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::error::Error for StillHeld {}

/// Everything at once, for a panic.
pub(super) struct Findings<'a> {
    pub(super) found: &'a [StillHeld],
    pub(super) rest: &'a [StaleUse],
}

impl fmt::Display for Findings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the page table and the tlb disagree in {} places", self.count())?;
        for held in self.found {
            write!(f, "\n{held}")?;
        }
        for stale in self.rest {
            write!(f, "\n{stale}")?;
        }
        Ok(())
    }
}

impl Findings<'_> {
    fn count(&self) -> usize {
        self.found.len() + self.rest.len()
    }
}
