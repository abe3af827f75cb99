//! Which protocol the address space follows.

use std::fmt;
use std::sync::Arc;

use address_space::{AddressSpace, Builder, OutOfFrames, WrongPolicy};

/// The right protocol, or by name a wrong one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Policy {
    /// The secondary TLBs are told in time.
    #[default]
    Right,
    /// A way to break the protocol.
    Wrong(WrongPolicy),
}

impl Policy {
    /// All that there are, with the names that a command line takes.
    pub const ALL: [(&'static str, Policy); 4] = [
        ("right", Policy::Right),
        ("late-notify", Policy::Wrong(WrongPolicy::LateNotify)),
        ("early-free", Policy::Wrong(WrongPolicy::EarlyFree)),
        ("unsettled-copy", Policy::Wrong(WrongPolicy::UnsettledCopy)),
    ];

    /// The policy of a name.
    pub fn of(name: &str) -> Option<Policy> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, policy)| *policy)
    }

    /// Whether it is this wrong one.
    pub(crate) fn is(self, wrong: WrongPolicy) -> bool {
        self == Policy::Wrong(wrong)
    }

    /// Builds an address space that follows it.
    pub(crate) fn build(self, builder: Builder) -> Result<Arc<AddressSpace>, OutOfFrames> {
        match self {
            Policy::Right => builder.build(),
            Policy::Wrong(wrong) => {
                // SAFETY: INV-ASSUMED: what comes out of the test is printed, and
                // nothing else depends on what its devices read and write.
                unsafe { builder.wrong_policy(wrong, "to show what the checker has found") }.build()
            }
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Self::ALL.iter().find(|(_, policy)| policy == self);
        f.pad(known.map_or("another wrong policy", |(name, _)| name))
    }
}
