//! Tickets and tombstones under loom: a fill by another thread against a zap
//! whose flush is late. The page is never stored before the TLBs were told.
#![cfg(loom)]

mod support;

use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;
use mmu_notifier::protocol::{PageSize, VirtAddr, VirtRange};
use mmu_notifier::{Atomic, FillSlot, FullFence, Invalidation, SecondaryTlb, Task};
use support::entry::{LOSES_TICKET, LOSES_TOMBSTONE, NO_ROOM, ROOM};
use support::flat::shape;
use support::model::{Arena, SharedMm, explore, model_task, must_fail, shared_mm};
use support::*;

shape!(
    /// The platform as it should be.
    Right, V6_1, ROOM, Vec<Page<'w>>, FullFence
);
shape!(
    /// Without room for tickets, and it says so.
    Coarse, V6_1, NO_ROOM, Vec<Page<'w>>, FullFence
);
shape!(
    /// Wrong: its tombstones carry nothing.
    LostTombstone, V6_1, LOSES_TOMBSTONE, Vec<Page<'w>>, FullFence
);
shape!(
    /// Wrong: the ticket in its tombstones cannot be read.
    LostTicket, V6_1, LOSES_TICKET, Vec<Page<'w>>, FullFence
);

const EARLY: &str = "the new page is in the table and the device still has the old one";

/// The page is zapped inside a range that tells at its end; another thread
/// fills the entry as soon as it finds it absent.
fn a_fill_meets_a_zap_that_was_not_told<S: Shape>() {
    let arena = Arena::new(World::build(2, &[(BASE, PageSize::Base, 1, 0)], false));
    let world = arena.world();
    let mm: SharedMm<S> = shared_mm(&arena);
    map_data(&mm, &mut model_task(0), page(0), RW, 1);
    let device = add_device(&mm, &mut model_task(0));
    device.load(page(0)).unwrap();
    let new = world.alloc(2);

    let filler = {
        let (mm, device) = (mm.clone(), device.clone());
        thread::spawn(move || {
            let mut task = model_task(1);
            let mut ptl = mm.lock_ptl(page(0), PageSize::Base, &mut task).unwrap();
            if let Some(empty) = ptl.fill(page(0)).unwrap().vacant() {
                empty.set(new, RW);
                assert!(device.load(page(0)) == Some(2), "{EARLY}");
            }
        })
    };
    let mut task = model_task(0);
    zap(&mm, &mut task, page(0));
    filler.join().unwrap();
    drop(mm);
}

fn zap<S: Shape>(mm: &SharedMm<S>, task: &mut Task, addr: VirtAddr) {
    let mut range = start(mm, VirtRange::page(addr, PageSize::Base), task);
    range.lock_ptl(addr).unwrap().slot(addr).unwrap().present().unwrap().zap();
    range.end();
}

#[test]
fn a_fill_never_stores_before_the_tlbs_were_told() {
    explore(4, a_fill_meets_a_zap_that_was_not_told::<Right>);
}

#[test]
fn a_fill_never_stores_before_the_tlbs_were_told_without_tombstones() {
    explore(4, a_fill_meets_a_zap_that_was_not_told::<Coarse>);
}

#[test]
fn mutation_a_tombstone_that_carries_nothing_is_filled_too_early() {
    must_fail(4, EARLY, a_fill_meets_a_zap_that_was_not_told::<LostTombstone>);
}

#[test]
fn mutation_a_ticket_that_is_lost_lets_the_entry_be_filled_too_early() {
    must_fail(4, EARLY, a_fill_meets_a_zap_that_was_not_told::<LostTicket>);
}

#[test]
fn a_copy_never_begins_before_the_write_protection_was_told() {
    explore(4, || {
        let arena = Arena::new(World::build(1, &[(BASE, PageSize::Base, 1, 0)], false));
        let mm: SharedMm<Right> = shared_mm(&arena);
        map(&mm, &mut model_task(0), page(0), RW);
        let device = add_device(&mm, &mut model_task(0));
        device.store(page(0), 1).unwrap();
        let copier = {
            let (mm, device) = (mm.clone(), device.clone());
            thread::spawn(move || {
                let mut task = model_task(1);
                let mut ptl = mm.lock_ptl(page(0), PageSize::Base, &mut task).unwrap();
                let mut view = ptl.fill(page(0)).unwrap().present().unwrap();
                if view.settle().is_ok() {
                    assert_eq!(device.store(page(0), 2), None, "a write behind the copy");
                }
            })
        };
        let mut task = model_task(0);
        let mut range = start(&mm, pages(0, 1), &mut task);
        range.lock_ptl(page(0)).unwrap().slot(page(0)).unwrap().present().unwrap().write_protect();
        range.end();
        copier.join().unwrap();
        drop(mm);
    });
}

/// A TLB that writes down, without any synchronisation of its own, that it was
/// told of page 0: reading it is a race unless the protocol orders the two.
struct Told {
    told: UnsafeCell<bool>,
}

// SAFETY: that accesses to the cell are ordered is what the model checks.
unsafe impl Sync for Told {}
// SAFETY: as above.
unsafe impl Send for Told {}

// SAFETY: INV-TOLD: it holds no translations.
unsafe impl SecondaryTlb for Told {
    fn invalidate_range(&self, invalidation: &Invalidation, _: Atomic<'_>) {
        if invalidation.range.contains(page(0)) {
            // SAFETY: one range tells page 0, once.
            self.told.with_mut(|told| unsafe { *told = true });
        }
    }
    fn release(&self) {}
}

/// The ticket of page 0's range is retired, and its place is used by another
/// range before the filler looks: what the filler reads is the second
/// retirement, and it must hand on what the first one told.
///
/// The flags only pick the schedules in which the three come one after the
/// other; they are relaxed and order nothing.
#[test]
fn a_place_that_was_used_again_hands_on_that_the_first_range_told() {
    explore(2, || {
        let second = BASE + 0x10_0000;
        let tables = [(BASE, PageSize::Base, 1, 0), (second, PageSize::Base, 1, 1)];
        let arena = Arena::new(World::build(3, &tables, false));
        let mm: SharedMm<Right> = shared_mm(&arena);
        let other = VirtAddr::new(second);
        map(&mm, &mut model_task(0), page(0), RW);
        map(&mm, &mut model_task(0), other, RW);
        let tlb = Arc::new(Told { told: UnsafeCell::new(false) });
        drop(mm.register_tlb(tlb.clone(), &mut model_task(0)).unwrap());
        let ended = Arc::new(AtomicU32::new(0));

        let first = {
            let (mm, ended) = (mm.clone(), ended.clone());
            thread::spawn(move || {
                zap(&mm, &mut model_task(0), page(0));
                ended.store(1, Ordering::Relaxed);
            })
        };
        let successor = {
            let (mm, ended) = (mm.clone(), ended.clone());
            thread::spawn(move || {
                if ended.load(Ordering::Relaxed) == 1 {
                    // Stripe 2 is shared, with the hint of stripe 0: the same place.
                    zap(&mm, &mut model_task(2), other);
                    ended.store(2, Ordering::Relaxed);
                }
            })
        };
        let filler = {
            let mm = mm.clone();
            thread::spawn(move || {
                if ended.load(Ordering::Relaxed) == 2 {
                    let mut task = model_task(1);
                    let mut ptl = mm.lock_ptl(page(0), PageSize::Base, &mut task).unwrap();
                    if let FillSlot::Empty(_) = ptl.fill(page(0)).unwrap() {
                        // SAFETY: the entry is empty, so everybody was told before.
                        assert!(tlb.told.with(|told| unsafe { *told }));
                    }
                }
            })
        };
        for thread in [first, successor, filler] {
            thread.join().unwrap();
        }
        drop(mm);
    });
}
