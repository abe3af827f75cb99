//! Ranges and the COW path, with 0 to 64 subscribers.

use std::hint::black_box;
use std::sync::{Arc, RwLock};

use arc_swap::ArcSwap;
use mmu_notifier::protocol::{Event, PageSize, VirtAddr, VirtRange};
use mmu_notifier::{Atomic, Invalidation, Mm, Notifier, SecondaryTlb, Subscription, Task};

use crate::arena::{Arena, Page};
use crate::by_hand::{self, HandTask};
use crate::subscribers::{Accountant, NoOp};
use crate::typed;
use crate::work::Case;

pub const RANGE_NONE: &str = "range, no subscriber";
pub const RANGE_TLB: &str = "range, 1 tlb";
pub const RANGE_MIRROR: &str = "range, 1 mirror";

/// Subscribers, and the names of the cases with so many.
pub const TYPED: [(usize, &str); 4] =
    [(0, "typed cow, 0"), (1, "typed cow, 1"), (8, "typed cow, 8"), (64, "typed cow, 64")];
pub const BY_HAND: [(usize, &str); 4] =
    [(0, "cow by hand, 0"), (1, "cow by hand, 1"), (8, "cow by hand, 8"), (64, "cow by hand, 64")];
pub const RWLOCK: [(usize, &str); 4] = [
    (0, "RwLock<Vec> of 0"),
    (1, "RwLock<Vec> of 1"),
    (8, "RwLock<Vec> of 8"),
    (64, "RwLock<Vec> of 64"),
];
pub const ARC_SWAP: [(usize, &str); 4] =
    [(0, "arc-swap of 0"), (1, "arc-swap of 1"), (8, "arc-swap of 8"), (64, "arc-swap of 64")];
pub const ACCOUNTANTS: [(usize, &str); 4] = [
    (0, "0 mirrors with lock"),
    (1, "1 mirror with lock"),
    (8, "8 mirrors with lock"),
    (64, "64 mirrors with lock"),
];

/// Ours and the peers'.
pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new(RANGE_NONE, |task| {
            let mm = with_tlbs(0, task);
            move |task| start_end(mm, task)
        }),
        Case::new(RANGE_TLB, |task| {
            let mm = with_tlbs(1, task);
            move |task| start_end(mm, task)
        }),
        Case::new(RANGE_MIRROR, |task| {
            let mm = with_mirrors(1, task, || Arc::new(NoOp));
            move |task| start_end(mm, task)
        }),
    ];
    cases.extend(TYPED.map(|(count, name)| typed(name, count)));
    cases.extend(BY_HAND.map(|(count, name)| by_hand(name, count)));
    cases.extend(RWLOCK.map(|(count, name)| rwlock(name, count)));
    cases.extend(ARC_SWAP.map(|(count, name)| arc_swap(name, count)));
    cases.extend(ACCOUNTANTS.map(|(count, name)| {
        Case::new(name, move |task| {
            let mm = with_mirrors(count, task, || Arc::new(Accountant::default()));
            move |task| start_end(mm, task)
        })
    }));
    cases
}

/// A page of the table, another one each time, as faults come.
struct Pages(u64);

impl Pages {
    fn next(&mut self) -> VirtAddr {
        self.0 = self.0.wrapping_add(1);
        Arena::addr(self.0)
    }
}

fn start_end(mm: &Mm<Arena>, task: &mut Task) {
    let range = VirtRange::page(black_box(Arena::addr(3)), PageSize::Base);
    mm.invalidate_range_start(range, Event::Clear, task).expect("not nested").end();
}

fn typed(name: &'static str, count: usize) -> Case {
    Case::new(name, move |task| {
        let mm = with_tlbs(count, task);
        let (mut pages, mut spare) = (Pages(0), Page(u32::MAX));
        move |task| {
            let new = Page(spare.0);
            spare = typed::cow(mm, task, pages.next(), new).expect("every page is present");
        }
    })
}

fn by_hand(name: &'static str, count: usize) -> Case {
    Case::new(name, move |_| {
        let space = by_hand::Space::new((0..count).map(|_| no_op()).collect());
        // SAFETY: INV-STRIPE: as in `read_side::exclusive`.
        let mut hand = unsafe { HandTask::new(31) };
        let (mut pages, mut spare) = (Pages(0), Page(u32::MAX));
        move |_| {
            let new = Page(spare.0);
            spare =
                by_hand::cow(&space, &mut hand, pages.next(), new).expect("every page is present");
        }
    })
}

/// What most programs would write: a list under a reader-writer lock.
fn rwlock(name: &'static str, count: usize) -> Case {
    Case::new(name, move |_| {
        let list: RwLock<Vec<_>> = RwLock::new((0..count).map(|_| no_op()).collect());
        move |_| {
            tell(&list.read().expect("nobody panics with it"));
        }
    })
}

fn arc_swap(name: &'static str, count: usize) -> Case {
    Case::new(name, move |_| {
        let list: Vec<_> = (0..count).map(|_| no_op()).collect();
        let list = ArcSwap::from_pointee(list);
        move |_| tell(&list.load())
    })
}

fn tell(list: &[Arc<dyn SecondaryTlb>]) {
    let range = VirtRange::page(black_box(Arena::addr(3)), PageSize::Base);
    let invalidation = Invalidation::new(range, PageSize::Base);
    for tlb in list {
        tlb.invalidate_range(&invalidation, Atomic::assume());
    }
}

fn no_op() -> Arc<dyn SecondaryTlb> {
    Arc::new(NoOp)
}

/// An address space that stays: a few of them, each made once.
fn with_tlbs(count: usize, task: &mut Task) -> &'static Mm<Arena> {
    let mm: &Mm<Arena> = Box::leak(Box::new(Mm::new(Arena::new())));
    for _ in 0..count {
        stay(mm.register_tlb(no_op(), task).expect("there is a place"));
    }
    mm
}

fn with_mirrors(
    count: usize,
    task: &mut Task,
    make: impl Fn() -> Arc<dyn Notifier>,
) -> &'static Mm<Arena> {
    let mm: &Mm<Arena> = Box::leak(Box::new(Mm::new(Arena::new())));
    for _ in 0..count {
        stay(mm.register_notifier(make(), task).expect("there is a place"));
    }
    mm
}

/// A subscription that is dropped leaves the subscriber registered.
fn stay<T>(subscription: Subscription<T>) {
    drop(subscription);
}

/// For the rows that need an address space of their own.
pub fn space_without_subscribers() -> Mm<Arena> {
    Mm::new(Arena::new())
}
