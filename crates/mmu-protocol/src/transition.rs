//! The transition table: which change of an entry needs the notification
//! where, and why.
//!
//! Two rows with a letter are the two cases of Linux'
//! `Documentation/mm/mmu_notifier.rst`, and those of KSM and of removed write
//! permission are its exemption. The document speaks of kernels from 4.15 to
//! 6.5 and says that there are only these two cases of notifying under the
//! lock; the other rows extend it to what it leaves out.

use core::fmt;

use crate::{Obligation, Placement};

/// A change of one page table entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transition {
    /// Absent to present.
    Fill,
    /// Present to absent; the page is freed before `range_end`.
    ZapFree,
    /// Present to absent; the page is kept until `range_end`.
    ZapDefer,
    /// Present to another page whose contents may come to differ.
    Replace,
    /// Present to another page with the same bytes, both write-protected.
    SameContent,
    /// The write permission is removed.
    WriteProtect,
    /// A write-protected page is copied, compared, or taken as clean.
    CopySource,
    /// The write permission is added to the same page.
    MakeWritable,
    /// The accessed bit is cleared.
    ClearYoung,
    /// A page moves to another address.
    Move,
    /// A huge entry becomes a table that maps the same frames.
    Split,
    /// A table becomes a huge entry of another page with a copy of the contents.
    Collapse,
    /// A table becomes absent; the table page is freed.
    FreeTable,
}

/// One row of the transition table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Row {
    /// Which change.
    pub transition: Transition,
    /// The change in a few words, for the printed table.
    pub change: &'static str,
    /// Who does it in a kernel.
    pub examples: &'static str,
    /// When the secondary TLBs have to be told.
    pub placement: Placement,
    /// The founding document's letter, where it has one.
    pub case: Option<char>,
    /// What breaks if they are told later, most telling first.
    pub obligations: &'static [Obligation],
    /// Why, in one sentence.
    pub why: &'static str,
    /// The method of `mmu-notifier` that performs it.
    pub method: &'static str,
    /// The test that shows the placement to be needed or enough.
    pub test: &'static str,
}

/// One row for each [`Transition`], in the order of the enum.
pub const TABLE: [Row; 13] = [
    Row {
        transition: Transition::Fill,
        change: "absent to present, nothing pending",
        examples: "first touch, swap-in, file fault",
        placement: Placement::NotNeeded,
        case: None,
        obligations: &[],
        why: "no TLB holds anything for the entry; one that caches absence says so and is told, and an \
              entry that was zapped and is still owed is told before it is filled",
        method: "EmptySlot::set",
        test: "fill_tells_only_those_that_cache_absence",
    },
    Row {
        transition: Transition::ZapFree,
        change: "present to absent, page freed before range_end",
        examples: "munmap and DONTNEED through a gather, reclaim",
        placement: Placement::BeforeFree,
        case: Some('A'),
        obligations: &[Obligation::Free],
        why: "a device could write to a page that already belongs to another task",
        method: "NotifiedPte::take",
        test: "early_free_lets_a_device_write_into_the_new_owners_page",
    },
    Row {
        transition: Transition::ZapDefer,
        change: "present to absent, page kept until range_end",
        examples: "munmap of a small range",
        placement: Placement::AtRangeEnd,
        case: None,
        obligations: &[Obligation::Return],
        why: "until the call returns old and new are both allowed, and the page has no new owner",
        method: "PresentSlot::zap",
        test: "a_zapped_page_is_kept_until_the_secondary_tlbs_were_told",
    },
    Row {
        transition: Transition::Replace,
        change: "present to another page",
        examples: "COW, write fault on the zero page, __replace_page",
        placement: Placement::BetweenClearAndSet,
        case: Some('B'),
        obligations: &[Obligation::New],
        why: "a device could see new data at one address and afterwards old data at another",
        method: "NotifiedPte::set",
        test: "late_notify_shows_old_data_after_new",
    },
    Row {
        transition: Transition::SameContent,
        change: "present to a write-protected page, same bytes",
        examples: "KSM replace",
        placement: Placement::AtRangeEnd,
        case: None,
        obligations: &[Obligation::Free],
        why: "both pages hold the same bytes and neither can be written; the old one is kept until then",
        method: "PresentSlot::replace_same_content",
        test: "ksm_replace_may_wait_until_range_end",
    },
    Row {
        transition: Transition::WriteProtect,
        change: "write permission removed",
        examples: "fork, KSM protect, mprotect, soft-dirty",
        placement: Placement::AtRangeEnd,
        case: None,
        obligations: &[Obligation::Return],
        why: "an old translation reaches the same page; its writes are not lost as long as nobody copies",
        method: "PresentSlot::write_protect",
        test: "write_protect_may_wait_until_range_end",
    },
    Row {
        transition: Transition::CopySource,
        change: "protected page copied, compared, taken as clean",
        examples: "COW copy, KSM compare, writeback",
        placement: Placement::BeforeCopy,
        case: None,
        obligations: &[Obligation::Copy, Obligation::Clean],
        why: "a device that may still write would write behind the copy",
        method: "PresentView::settle",
        test: "a_copy_waits_for_the_write_protection_to_be_told",
    },
    Row {
        transition: Transition::MakeWritable,
        change: "write permission added, same page",
        examples: "reuse of an unshared page, mprotect back",
        placement: Placement::NotNeeded,
        case: None,
        obligations: &[],
        why: "a stale read-only translation only faults again, provided that the TLB walks again on a \
              permission miss (PROGRESS); there is no way here to tell one that does not",
        method: "PresentView::make_writable",
        test: "make_writable_tells_nobody",
    },
    Row {
        transition: Transition::ClearYoung,
        change: "accessed bit cleared",
        examples: "aging before reclaim",
        placement: Placement::NotNeeded,
        case: None,
        obligations: &[],
        why: "the translation stays right; only mirrors that track accesses are asked",
        method: "PresentView::test_and_clear_young",
        test: "clearing_young_asks_the_notifiers_and_flushes_nothing",
    },
    Row {
        transition: Transition::Move,
        change: "page moved to another address",
        examples: "mremap",
        placement: Placement::BeforeUnlock,
        case: None,
        obligations: &[Obligation::Free, Obligation::Return],
        why: "once the locks are released anybody may unmap the new address and free the page, without \
              knowing the old one",
        method: "RangePtlPair::source",
        test: "a_moved_page_is_unreachable_by_its_old_address",
    },
    Row {
        transition: Transition::Split,
        change: "huge entry to a table of the same frames",
        examples: "split of a huge pmd",
        placement: Placement::AtRangeEnd,
        case: None,
        obligations: &[Obligation::Rest],
        why: "the same frames with the same rights; an invalidation of 4K drops the 2M translation that covers it",
        method: "ClearedPte::set_same_frames",
        test: "split_keeps_every_byte_while_devices_go_on",
    },
    Row {
        transition: Transition::Collapse,
        change: "table to a huge entry of another page",
        examples: "collapse",
        placement: Placement::BetweenClearAndSet,
        case: Some('B'),
        obligations: &[Obligation::New, Obligation::Copy, Obligation::Table],
        why: "each of the pages is replaced by its copy, which nobody may write behind; the table page is \
              freed",
        method: "NotifiedPte::set",
        test: "late_notify_of_a_collapse_loses_a_write",
    },
    Row {
        transition: Transition::FreeTable,
        change: "table to absent, table page freed",
        examples: "munmap of a whole table",
        placement: Placement::BeforeFree,
        case: None,
        obligations: &[Obligation::Table],
        why: "a walker that cached the upper entry would read a freed page as a page table",
        method: "NotifiedPte::take",
        test: "a_freed_table_has_no_walker",
    },
];

impl Transition {
    /// The row of this change.
    pub const fn row(self) -> &'static Row {
        const ROWS: &[Row; 13] = &TABLE;
        &ROWS[self as usize]
    }
}

// The index in `row` is right as long as the table follows the enum.
const _: () = {
    let mut i = 0;
    while i < TABLE.len() {
        assert!(TABLE[i].transition as usize == i, "TABLE must follow the order of Transition");
        i += 1;
    }
};

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.row().change)
    }
}
