//! Which witnesses of the seeds can be played on an address space, and why the
//! others cannot.

use address_space::WrongPolicy;

use crate::policy::Policy;

/// A variant of a seed.
#[derive(Clone, Copy, Debug)]
pub struct Seed {
    /// The file, without folder and ending.
    pub file: &'static str,
    /// The switches that are on.
    pub variant: &'static [&'static str],
    /// What the run shows.
    pub shows: Shows,
    /// The policy under which it comes out, or why there is none.
    pub policy: Result<Policy, &'static str>,
}

/// What a run shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// It ends as the condition of the file says.
    Condition,
    /// It ends with a free page in the TLB of a device.
    Free,
}

const LATE: Result<Policy, &str> = Ok(Policy::Wrong(WrongPolicy::LateNotify));
const EARLY_FREE: Result<Policy, &str> = Ok(Policy::Wrong(WrongPolicy::EarlyFree));

const EARLY: &str = "no policy tells before the entry is cleared";
const UNDER_LOCK: &str = "no policy tells under the lock, after the new entry is stored";
const NEVER: &str = "no policy forgets to tell: the late ones tell at range_end";
const KSM: &str = "the KSM of the address space is one operation with the order of its own, which \
                   no policy breaks";
const ORDER: &str = "the TLBs are one structure that invalidates from the source outwards; no \
                     policy turns that round";
const GUEST: &str = "a guest's CPU and the table of a hypervisor have no counterpart";
const FORK: &str = "the fork of the address space holds the mmap lock to its end and tells at \
                    range_end, and no policy changes that";

const fn row(
    file: &'static str,
    variant: &'static [&'static str],
    shows: Shows,
    policy: Result<Policy, &'static str>,
) -> Seed {
    Seed { file, variant, shows, policy }
}

/// Every variant of a seed that shows something.
#[rustfmt::skip]
pub const SEEDS: &[Seed] = {
    use Shows::{Condition, Free};
    &[
        row("doorbell", &["LATE"], Condition, LATE),
        row("doorbell", &["EARLY"], Condition, Err(EARLY)),
        row("doorbell", &["AFTERSET"], Condition, Err(UNDER_LOCK)),
        row("doorbell", &["NONE"], Condition, Err(NEVER)),
        row("cow-two-writers", &["LATE"], Condition, LATE),
        row("cow-two-writers", &["EARLY"], Condition, Err(EARLY)),
        row("cow-two-writers", &["AFTERSET"], Condition, Err(UNDER_LOCK)),
        row("cow-two-writers", &["NONE"], Condition, Err(NEVER)),
        row("zero-page", &["LATE"], Condition, LATE),
        row("zero-page", &["NONE"], Condition, Err(NEVER)),
        row("replace-page", &["LATE"], Condition, LATE),
        row("replace-page", &["NONE"], Condition, Err(NEVER)),
        row("page-freed-before-range-end", &["LATE"], Condition, EARLY_FREE),
        row("page-freed-before-range-end", &["LATE"], Free, EARLY_FREE),
        row("page-freed-before-range-end", &["NONE"], Condition, Err(NEVER)),
        row("dontneed-vs-fault", &["FREE_FIRST"], Free, EARLY_FREE),
        row("dontneed-vs-fault", &["SKIP_EMPTY"], Condition, Err("a call that meets an entry which somebody else has cleared tells for it, under every policy")),
        row("dontneed-vs-fault", &["NONE"], Condition, Err(NEVER)),
        row("write-protect", &["NONE"], Condition, Err(NEVER)),
        row("fork-with-device", &["NONE"], Condition, Err(NEVER)),
        row("fork-with-device", &["EARLY_UNLOCK"], Condition, Err(FORK)),
        row("fork-with-device", &["NO_CPU_FLUSH"], Condition, Err(FORK)),
        row("ksm", &["PROTECT_SILENTLY"], Condition, Err(KSM)),
        row("ksm", &["FREE_EARLY"], Free, Err(KSM)),
        row("atc-before-iotlb", &["ATC_FIRST"], Condition, Err(ORDER)),
        row("atc-before-iotlb", &["NO_SYNC_BETWEEN"], Condition, Err(ORDER)),
        row("kvm-fault-vs-invalidate", &["NO_COUNT"], Condition, Err(GUEST)),
        row("kvm-fault-vs-invalidate", &["SEQ_LATE"], Condition, Err(GUEST)),
        row("kvm-fault-vs-invalidate", &["CHECK_UNLOCKED"], Condition, Err(GUEST)),
        row("kvm-fault-vs-invalidate", &["DEC_FIRST", "END_UNLOCKED"], Condition, Err(GUEST)),
        row("x86-upgrade", &[], Condition, Err("nothing is wrong but with `perm_miss_rewalk=no`, and the TLBs always look again")),
    ]
};
