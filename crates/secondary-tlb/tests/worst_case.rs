//! The worst-case TLB: every missing invalidation is caught, no correct
//! sequence is accused.
#![cfg(not(shuttle))]

mod page_table;

use mmu_notifier::{Atomic, Blockable, Invalidation, Notifier, RangeInfo, SecondaryTlb};
use page_table::{PageTable, huge, page, pages, ro, rw};
use secondary_tlb::protocol::{
    Access, Event, Obligation, PageSize, RecordKind, Transition, VirtAddr,
};
use secondary_tlb::{PageTableWalk, Translation, WorstCaseTlb};

const A: VirtAddr = page(1);

/// A table with one page in it, and a TLB that has it.
fn filled(entry: Option<Translation>) -> WorstCaseTlb<PageTable> {
    let tlb = WorstCaseTlb::new(PageTable::new(2));
    tlb.table().set(A, entry);
    tlb.saturate(A);
    tlb
}

fn change(tlb: &WorstCaseTlb<PageTable>, entry: Option<Translation>) {
    tlb.table().set(A, entry);
    tlb.changed(A);
}

#[test]
fn an_unmap_without_invalidation_breaks_return() {
    let tlb = filled(rw(10));
    let (filled_before, changed) = (line!() - 1, line!() + 2);
    tlb.table().set(A, None);
    tlb.changed(A);
    let stale = tlb.access(A, Access::Read).unwrap_err();
    assert_eq!(stale.obligation, Obligation::Return);
    assert_eq!((stale.cached, stale.table), (rw(10).unwrap(), None));
    assert_eq!(stale.changed_at().unwrap().line(), changed);
    assert!(stale.filled_at.line() < filled_before, "inside `filled`");
    let said = stale.to_string();
    for part in ["read of 0x1000", "frame 0xa (4K rw)", "nothing is mapped", "worst_case.rs:"] {
        assert!(said.contains(part), "{part:?} is missing in:\n{said}");
    }
    assert_eq!(format!("{stale:?}"), said, "unwrap shows the same");
    assert_eq!(tlb.check_rest().len(), 1);
}

#[test]
fn a_page_replaced_without_invalidation_breaks_new_even_inside_a_range() {
    let tlb = filled(ro(10));
    tlb.range_started(pages(1, 1));
    change(&tlb, None);
    assert_eq!(tlb.access(A, Access::Read).unwrap(), ro(10), "cleared: still allowed");
    change(&tlb, rw(11));
    let stale = tlb.access(A, Access::Read).unwrap_err();
    assert_eq!(stale.obligation, Obligation::New);
    assert_eq!((stale.cached, stale.table), (ro(10).unwrap(), rw(11)));
    // A write is served by the new entry: the old one does not grant it.
    assert_eq!(tlb.access(A, Access::Write).unwrap(), rw(11));
}

#[test]
fn a_stale_member_is_found_behind_a_right_one() {
    let tlb = filled(rw(10));
    change(&tlb, rw(11));
    change(&tlb, rw(10));
    let stale = tlb.access(A, Access::Read).unwrap_err();
    assert_eq!(stale.cached, rw(11).unwrap(), "10 is in the set too, and older");
}

#[test]
fn write_protection_may_wait_until_the_range_ends_and_no_longer() {
    let tlb = filled(rw(10));
    tlb.range_started(pages(0, 8));
    change(&tlb, ro(10));
    assert_eq!(tlb.access(A, Access::Write).unwrap(), rw(10));
    let copied = tlb.copied(10).unwrap_err();
    assert_eq!((copied.obligation, copied.by.len()), (Obligation::Copy, 1));
    tlb.range_ended(pages(0, 8));
    assert_eq!(tlb.access(A, Access::Read).unwrap(), rw(10), "reads are granted by both");
    assert_eq!(tlb.access(A, Access::Write).unwrap_err().obligation, Obligation::Return);
    tlb.invalidate(pages(0, 8), PageSize::Base);
    assert_eq!(tlb.access(A, Access::Write).unwrap(), None);
    assert_eq!(tlb.copied(10), Ok(()));
    tlb.assert_clean();
}

#[test]
fn a_frame_freed_while_it_is_held_breaks_free_at_once() {
    let tlb = filled(rw(10));
    tlb.range_started(pages(1, 1));
    change(&tlb, None);
    let held = tlb.freed(10).unwrap_err();
    assert_eq!((held.obligation, held.by.len(), held.by[0].addr), (Obligation::Free, 1, A));
    assert!(held.to_string().starts_with("frame 0xa was freed before the tlb was told"));
    // And the running range is no excuse for using it.
    assert_eq!(tlb.access(A, Access::Write).unwrap_err().obligation, Obligation::Free);
    tlb.invalidate(pages(1, 1), PageSize::Base);
    assert_eq!(tlb.freed(10), Ok(()));
}

#[test]
fn a_frame_inside_a_large_page_counts_too() {
    let tlb = WorstCaseTlb::new(PageTable::new(2));
    tlb.table().set(page(512), huge(1024));
    tlb.saturate(page(513));
    assert_eq!(tlb.freed(1024 + 5).unwrap_err().by[0].addr, page(512 + 5));
    tlb.table().clear_huge(page(512));
    tlb.invalidate(pages(700, 1), PageSize::Base);
    assert_eq!(tlb.freed(1024 + 5), Ok(()), "one byte drops it");
}

#[test]
fn correct_sequences_are_clean() {
    // COW: cleared, told, set; the old frame is freed.
    let tlb = filled(ro(10));
    change(&tlb, None);
    tlb.invalidate(pages(1, 1), PageSize::Base);
    change(&tlb, rw(11));
    tlb.freed(10).unwrap();
    assert_eq!(tlb.access(A, Access::Write).unwrap(), rw(11));
    // Made writable: nobody is told.
    change(&tlb, ro(11));
    tlb.invalidate(pages(1, 1), PageSize::Base);
    change(&tlb, rw(11));
    assert_eq!(tlb.access(A, Access::Write).unwrap(), rw(11));
    tlb.assert_clean(); // it still holds an entry that grants less
    // Unmapped, and told when the range ends.
    tlb.range_started(pages(0, 4));
    change(&tlb, None);
    assert_eq!(tlb.access(A, Access::Read).unwrap(), ro(11), "the oldest that grants it");
    tlb.invalidate(pages(0, 4), PageSize::Base);
    tlb.range_ended(pages(0, 4));
    tlb.freed(11).unwrap();
    assert_eq!(tlb.access(A, Access::Read).unwrap(), None);
    // The frame comes back elsewhere.
    tlb.table().set(page(2), rw(11));
    assert_eq!(tlb.access(page(2), Access::Write).unwrap(), rw(11));
    tlb.assert_clean();
}

#[test]
fn the_same_content_may_wait_until_the_range_ends() {
    for told in [true, false] {
        let tlb = filled(ro(10));
        tlb.range_started(pages(1, 1));
        tlb.table().set(A, ro(11));
        tlb.changed_to_same_content(A);
        assert_eq!(tlb.access(A, Access::Read).unwrap(), ro(10));
        if told {
            tlb.invalidate(pages(1, 1), PageSize::Base);
        }
        tlb.range_ended(pages(1, 1));
        let after = tlb.access(A, Access::Read).map_err(|stale| stale.obligation);
        assert_eq!(after, if told { Ok(ro(11)) } else { Err(Obligation::Return) });
        assert_eq!(tlb.freed(10).is_ok(), told);
    }
}

#[test]
fn a_split_is_clean_as_long_as_the_frames_are_the_same() {
    let tlb = WorstCaseTlb::new(PageTable::new(2));
    tlb.table().set(page(512), huge(1024));
    tlb.watch(pages(512, 4));
    for number in 512..1024 {
        tlb.table().set(page(number), rw(512 + number));
    }
    tlb.table().clear_huge(page(512));
    tlb.changed(page(513));
    assert_eq!(tlb.access(page(513), Access::Write).unwrap(), huge(1024));
    tlb.assert_clean();
    // One of the small pages is replaced, and the large entry is forgotten.
    tlb.table().set(page(514), rw(9));
    tlb.changed(page(514));
    assert_eq!(tlb.access(page(514), Access::Read).unwrap_err().cached, huge(1024).unwrap());
    assert_eq!(tlb.access(page(513), Access::Read).unwrap(), huge(1024));
    assert_eq!(tlb.check_rest().len(), 1);
}

#[test]
fn records_feed_it() {
    let (range, event, size) = (pages(1, 1), Event::Clear, PageSize::Base);
    let cow = |told: bool| {
        let tlb = filled(ro(10));
        tlb.observe(RecordKind::Start { range, event, blockable: true });
        tlb.table().set(A, None);
        tlb.observe(RecordKind::Clear { addr: A, size, pfn: 10 });
        if told {
            tlb.observe(RecordKind::Invalidate { range });
        }
        tlb.table().set(A, rw(11));
        let transition = Transition::Replace;
        tlb.observe(RecordKind::Set { addr: A, size, pfn: 11, transition });
        let used = tlb.access(A, Access::Read).map_err(|stale| stale.obligation);
        tlb.observe(RecordKind::Free { pfn: 10 });
        tlb.observe(RecordKind::End { range, event });
        (used, tlb.take_found().len(), tlb.check_rest().len())
    };
    assert_eq!(cow(true), (Ok(rw(11)), 0, 0));
    assert_eq!(cow(false), (Err(Obligation::New), 1, 1));
}

#[test]
#[should_panic(expected = "disagree in 1 places")]
fn a_leftover_at_rest_panics_with_everything() {
    let tlb = filled(rw(10));
    change(&tlb, None);
    tlb.assert_clean();
}

#[test]
fn it_is_told_as_a_subscriber() {
    let tlb = filled(rw(10));
    let info = RangeInfo::new(pages(1, 1), Event::Unmap, Blockable::Yes);
    tlb.range_start(&info).unwrap();
    change(&tlb, None);
    assert_eq!(tlb.access(A, Access::Write).unwrap(), rw(10));
    let told = Invalidation::new(pages(1, 1), PageSize::Base);
    tlb.invalidate_range(&told, Atomic::assume());
    tlb.range_end(&info);
    assert_eq!(tlb.access(A, Access::Write).unwrap(), None);
    tlb.table().set(A, rw(12));
    assert_eq!(tlb.access(A, Access::Write).unwrap(), rw(12));
    SecondaryTlb::release(&tlb);
    assert_eq!(tlb.access(A, Access::Write).unwrap(), None, "released for ever");
    assert!(tlb.table().walk(A).is_some());
}
