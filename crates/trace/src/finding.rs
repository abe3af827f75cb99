//! What the rules say.

use mmu_protocol::{MmId, Obligation};

use crate::event::{Event, Tag};
use crate::rules::Rule;

/// A rule was broken, or seems to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which rule.
    pub rule: Rule,
    /// Whose table, if it is known.
    pub mm: Option<MmId>,
    /// What goes wrong then.
    pub obligation: Obligation,
    /// What happened, in one sentence.
    pub what: &'static str,
    /// Why this is a suspicion and no violation: what is missing. `None`: it is a
    /// violation.
    pub lacks: Option<Lack>,
    /// The events that show it, in order.
    pub chain: Vec<Link>,
}

/// An event and its part in the story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The event.
    pub event: Event,
    /// Its part, in a few words; empty if it speaks for itself.
    pub note: &'static str,
}

/// Why something cannot be said for certain, or was not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Lack {
    /// No event of this kind is in the trace: its probe was not recorded.
    Probe(Tag),
    /// The first event of this kind comes later: the probe may not have been there yet.
    NotYet(Tag),
    /// Times of several CPUs cannot be compared.
    Clock,
    /// Events were lost.
    Lost,
    /// The registration of a subscriber is not in the trace.
    Registration,
    /// Which kernel it is is not known, so it is not known what its `range_end` does.
    Kernel,
    /// The trace ends before the end could come.
    Ends,
    /// The address space was released first.
    Released,
    /// The address is not in the trace: the entry was cleared where no probe can be.
    Address,
    /// The value of the entry is not in the trace.
    Value,
    /// The entry granted nothing when it was cleared: its flush was earlier.
    NotAccessible,
    /// The page's frame could not be told from its address.
    Frame,
    /// The event names no address space, and there is none or more than one.
    Whose,
    /// Another path of the kernel may have opened the range elsewhere.
    OtherPath,
    /// An invalidation of another thread had begun, and may have returned or not.
    NotReturned,
    /// The lock was dropped; what others did with the empty entry is not seen.
    Unlocked,
    /// The kernel does not count how often preemption is disabled.
    Preemption,
    /// Where guest memory is mapped is not in the trace.
    Slots,
    /// A 2 MiB page: parts of it may have been told one by one.
    Huge,
    /// The replay of the hypervisor's table begins after its first entry.
    Replay,
    /// Nothing of the kind happened.
    Nothing,
}

impl Link {
    /// An event with its part.
    pub fn new(event: Event, note: &'static str) -> Link {
        Link { event, note }
    }
}
