//! Registration and its end: who waits for whom, and every refusal gives back
//! what it was given.
#![cfg(not(any(loom, shuttle)))]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mmu_notifier::protocol::{Event, PageSize, VirtRange};
use mmu_notifier::{
    Atomic, ExclusiveMm, Invalidation, Mm, Notifier, RangeInfo, RegisterRefusal, SecondaryTlb,
    UnregisterRefusal, WouldBlock,
};
use support::*;

#[test]
fn a_subscriber_is_told_until_it_is_given_back() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    let iommu = Arc::new(Recorder::new("iommu", &world));
    let subscription = mm.register_tlb(iommu.clone(), &mut task).unwrap();
    let zap = |task: &mut mmu_notifier::Task| {
        map(&mm, task, page(0), RW);
        let mut range = start(&mm, pages(0, 1), task);
        range.lock_ptl(page(0)).unwrap().slot(page(0)).unwrap().present().unwrap().zap();
        range.end();
        world.log().iter().filter(|line| line.starts_with("tell iommu")).count()
    };
    assert_eq!(zap(&mut task), 1);
    drop(mm.unregister_tlb(subscription, &mut task).unwrap());
    assert_eq!(world.log(), ["release iommu"]);
    assert_eq!(Arc::strong_count(&iommu), 1);
    assert_eq!(zap(&mut task), 0);
}

#[test]
fn the_sixty_fifth_subscriber_comes_back() {
    let (world, mut task) = (World::new(4), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    let mut subscriptions = Vec::new();
    for _ in 0..64 {
        let tlb = Arc::new(Recorder::new("iommu", &world));
        subscriptions.push(mm.register_tlb(tlb, &mut task).unwrap());
    }
    let last = Arc::new(Recorder::new("last", &world));
    let refused = mm.register_tlb(last.clone(), &mut task).unwrap_err();
    assert_eq!(refused.reason, RegisterRefusal::Full);
    assert_eq!(Arc::strong_count(&last), 2, "it is in the error");
    // The other kind has places of its own, and a place that is given back is free.
    drop(mm.register_notifier(last, &mut task).unwrap());
    drop(mm.unregister_tlb(subscriptions.remove(20), &mut task).unwrap());
    drop(mm.register_tlb(refused.subscriber, &mut task).unwrap());
}

#[test]
fn inside_a_range_everything_that_would_wait_for_it_is_refused() {
    let (world, mut task) = (World::new(4), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    let recorder = || Arc::new(Recorder::new("late", &world));
    let tlb = mm.register_tlb(recorder(), &mut task).unwrap();
    let mirror = mm.register_notifier(recorder(), &mut task).unwrap();
    let mut range = start(&mm, pages(0, 1), &mut task);
    world.log();
    let refused = mm.register_tlb(recorder(), range.task()).unwrap_err();
    assert_eq!(refused.reason, RegisterRefusal::InsideRange);
    let refused = mm.register_notifier(recorder(), range.task()).unwrap_err();
    assert_eq!(refused.reason, RegisterRefusal::InsideRange);
    let tlb = mm.unregister_tlb(tlb, range.task()).err().unwrap();
    assert_eq!(tlb.reason, UnregisterRefusal::InsideRange);
    let mirror = mm.unregister_notifier(mirror, range.task()).err().unwrap();
    assert_eq!(mirror.reason, UnregisterRefusal::InsideRange);
    assert_eq!(world.log(), [""; 0]);
    range.end();
    drop(mm.unregister_tlb(tlb.subscription, &mut task).unwrap());
    drop(mm.unregister_notifier(mirror.subscription, &mut task).unwrap());
}

#[test]
fn after_release_nobody_is_registered_and_nobody_can_be() {
    let (world, mut task) = (World::new(4), task());
    let mut mm = Mm::new(Flat::<V61>::new(&world));
    let tlb = Arc::new(Recorder::new("iommu", &world));
    let mirror = Arc::new(Recorder::new("kvm", &world));
    let tlb_subscription = mm.register_tlb(tlb.clone(), &mut task).unwrap();
    let mirror_subscription = mm.register_notifier(mirror.clone(), &mut task).unwrap();
    mm.release(&mut task).unwrap();
    assert_eq!(world.log(), ["release kvm", "release iommu"]);
    assert_eq!((Arc::strong_count(&tlb), Arc::strong_count(&mirror)), (1, 1));

    // The subscriptions are void; their places are not given away again.
    let refused = mm.unregister_tlb(tlb_subscription, &mut task).err().unwrap();
    assert_eq!(refused.reason, UnregisterRefusal::Released);
    let again = mm.unregister_tlb(refused.subscription, &mut task).err().unwrap();
    assert_eq!(again.reason, UnregisterRefusal::Released);
    let refused = mm.unregister_notifier(mirror_subscription, &mut task).err().unwrap();
    assert_eq!(refused.reason, UnregisterRefusal::Released);

    let refused = mm.register_tlb(tlb.clone(), &mut task).unwrap_err();
    assert_eq!(refused.reason, RegisterRefusal::Released);
    let refused = mm.register_notifier(mirror.clone(), &mut task).unwrap_err();
    assert_eq!(refused.reason, RegisterRefusal::Released);
    let refused = mm.register_tlb_exclusive(tlb.clone()).unwrap_err();
    assert_eq!(refused.reason, RegisterRefusal::Released);

    // A second release finds nothing to do, and so does the end.
    mm.release(&mut task).unwrap();
    map(&mm, &mut task, page(0), RW);
    world.log();
    drop(mm);
    assert_eq!(world.log(), ["free 0"]);
}

#[test]
fn a_subscription_fits_one_address_space_only() {
    let (world, mut task) = (World::new(4), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    let other = Mm::new(Flat::<V61>::new(&world));
    let subscription =
        mm.register_tlb(Arc::new(Recorder::new("iommu", &world)), &mut task).unwrap();
    let refused = other.unregister_tlb(subscription, &mut task).err().unwrap();
    assert_eq!(refused.reason, UnregisterRefusal::OtherMm);
    drop(mm.unregister_tlb(refused.subscription, &mut task).unwrap());
}

#[test]
fn a_subscription_fits_one_list_only_also_where_both_kinds_have_one_type() {
    /// A platform whose two handles are of the same type: `unregister_tlb` and
    /// `unregister_notifier` then take the same `Subscription<T>`.
    type Both = Arc<Recorder<'static>>;
    static WORLD: std::sync::LazyLock<World> = std::sync::LazyLock::new(|| World::new(4));
    let (world, mut task): (&'static World, _) = (&WORLD, task());
    let mm = Mm::new(same_type::OneType(Flat::<V61>::new(world)));
    let both: Both = Arc::new(Recorder::new("both", world));
    let tlb = mm.register_tlb(both.clone(), &mut task).unwrap();
    let refused = mm.unregister_notifier(tlb, &mut task).err().unwrap();
    assert_eq!(refused.reason, UnregisterRefusal::OtherKind);
    let mirror = mm.register_notifier(both.clone(), &mut task).unwrap();
    let refused_too = mm.unregister_tlb(mirror, &mut task).err().unwrap();
    assert_eq!(refused_too.reason, UnregisterRefusal::OtherKind);
    drop(mm.unregister_tlb(refused.subscription, &mut task).unwrap());
    drop(mm.unregister_notifier(refused_too.subscription, &mut task).unwrap());
    assert_eq!(world.log(), ["release both", "release both"]);
}

#[test]
fn the_exclusive_forms_wait_for_nobody() {
    let (world, mut task) = (World::new(4), task());
    let mut mm = Mm::new(Flat::<V61>::new(&world));
    let recorder = |name| Arc::new(Recorder::new(name, &world));
    let first = mm.register_tlb_exclusive(recorder("a")).unwrap();
    drop(mm.register_notifier_exclusive(recorder("b")).unwrap());
    // SAFETY: INV-EXCLUSIVE: this is the only thread and it has no range open.
    let mut proof = unsafe { ExclusiveMm::assume(&mm) };
    drop(proof.register_tlb(recorder("c")).unwrap());
    drop(proof.register_notifier(recorder("d")).unwrap());
    drop(mm.unregister_tlb(first, &mut task).unwrap());
    world.log();
    start(&mm, pages(0, 1), &mut task).end();
    assert_eq!(world.log(), ["start b 0", "start d 0", "end d 0", "end b 0"]);
}

/// Whether `f`, on a thread of its own, had not returned when `open` began.
///
/// The yields only give a wrong program the chance to show itself; that the
/// right one waits in every schedule is for the model checker to say.
fn waits_for(f: impl FnOnce() + Send, open: impl FnOnce()) -> bool {
    let (began, returned) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            began.store(true, Ordering::SeqCst);
            f();
            returned.store(true, Ordering::SeqCst);
        });
        while !began.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        for _ in 0..100 {
            std::thread::yield_now();
        }
        let early = returned.load(Ordering::SeqCst);
        open();
        !early
    })
}

#[test]
fn registration_and_its_end_wait_for_a_range_of_another_thread() {
    let (world, mut task) = (World::new(4), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    let recorder = |name| Arc::new(Recorder::new(name, &world));
    let tlb = mm.register_tlb(recorder("tlb"), &mut task).unwrap();
    let mirror = mm.register_notifier(recorder("mirror"), &mut task).unwrap();

    let range = start(&mm, pages(0, 1), &mut task);
    assert!(waits_for(
        || drop(mm.register_tlb(recorder("new"), &mut support::task()).unwrap()),
        || range.end(),
    ));
    let range = start(&mm, pages(0, 1), &mut task);
    assert!(waits_for(
        || drop(mm.unregister_tlb(tlb, &mut support::task()).unwrap()),
        || range.end(),
    ));
    let range = start(&mm, pages(0, 1), &mut task);
    world.log();
    assert!(waits_for(
        || drop(mm.unregister_notifier(mirror, &mut support::task()).unwrap()),
        || {
            while !world.saw("release mirror") {
                std::thread::yield_now();
            }
            range.end();
        },
    ));
    assert_eq!(
        world.log(),
        ["release mirror", "end mirror 0"],
        "what it saw start is ended for it before it is given back"
    );
    let ptl = mm.lock_ptl(page(0), PageSize::Base, &mut task).unwrap();
    assert!(waits_for(|| mm.release(&mut support::task()).unwrap(), || drop(ptl)));
}

/// A mirror that tries to leave from inside its own callback.
struct Leaver {
    answer: std::sync::Mutex<Option<bool>>,
}

// SAFETY: INV-MIRROR: it holds no translations.
unsafe impl Notifier for Leaver {
    fn range_start(&self, _: &RangeInfo) -> Result<(), WouldBlock> {
        // All that leaving takes a `&mut Task`, and this thread's is taken.
        *self.answer.lock().unwrap() = Some(mmu_notifier::Task::current().is_err());
        Ok(())
    }
    fn range_end(&self, _: &RangeInfo) {}
    fn release(&self) {}
}

#[test]
fn a_callback_has_no_task_to_unregister_with() {
    let (world, mut task) = (World::new(4), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    let leaver = Arc::new(Leaver { answer: std::sync::Mutex::new(None) });
    drop(mm.register_notifier(leaver.clone(), &mut task).unwrap());
    start(&mm, VirtRange::EMPTY, &mut task).end();
    assert_eq!(*leaver.answer.lock().unwrap(), Some(true));
}

#[test]
fn subscribers_come_and_go_while_ranges_run() {
    let rounds = if cfg!(miri) { 10 } else { 2_000 };
    let world = World::build(64, &[(BASE, PageSize::Base, 4, 0)], false);
    let mm = Mm::new(Flat::<V61>::new(&world));
    std::thread::scope(|scope| {
        for number in 0..2 {
            let mm = &mm;
            let world = &world;
            scope.spawn(move || {
                let mut task = task();
                for _ in 0..rounds {
                    map(mm, &mut task, page(number), RW);
                    mm.invalidate(pages(number, number + 1), Event::Unmap, &mut task, |range| {
                        let mut ptl = range.lock_ptl(page(number)).unwrap();
                        ptl.slot(page(number)).unwrap().present().unwrap().zap();
                    })
                    .unwrap();
                }
                assert!(world.allocated() <= 2);
            });
        }
        scope.spawn(|| {
            let mut task = task();
            for _ in 0..rounds {
                let device = Arc::new(Device::new(&world));
                let subscription = mm.register_tlb(device.clone(), &mut task).unwrap();
                for number in 0..2 {
                    // A fault or a page that was not freed: anything else panics.
                    let _ = device.load(page(number));
                }
                drop(mm.unregister_tlb(subscription, &mut task).unwrap());
                assert!(!device.holds(page(0)) && !device.holds(page(1)));
            }
        });
    });
    assert_eq!(world.allocated(), 0);
}

/// A TLB whose drop can be counted.
struct Counted {
    _alive: Arc<()>,
}

// SAFETY: INV-TOLD: it holds no translations.
unsafe impl SecondaryTlb for Counted {
    fn invalidate_range(&self, _: &Invalidation, _: Atomic<'_>) {}
    fn release(&self) {}
}

#[test]
fn every_subscriber_is_dropped_exactly_once() {
    let (world, mut task) = (World::new(4), task());
    let count = Arc::new(());
    let tlb = || Arc::new(Counted { _alive: count.clone() });
    let mm = Mm::new(Flat::<V61>::new(&world));
    let kept = mm.register_tlb(tlb(), &mut task).unwrap();
    let left = mm.register_tlb(tlb(), &mut task).unwrap();
    drop(mm.unregister_tlb(left, &mut task).unwrap());
    assert_eq!(Arc::strong_count(&count), 2);
    drop(mm);
    assert_eq!(Arc::strong_count(&count), 1);

    let mm = Mm::new(Flat::<V61>::new(&world));
    drop(mm.register_tlb(tlb(), &mut task).unwrap());
    mm.release(&mut task).unwrap();
    assert_eq!(Arc::strong_count(&count), 1);
    drop(mm);
    drop(kept);
    assert_eq!(Arc::strong_count(&count), 1);
}

/// The test platform with one handle type for both kinds of subscriber.
mod same_type {
    use std::sync::Arc;

    use mmu_notifier::protocol::{PageSize, Rights, VirtAddr, VirtRange};
    use mmu_notifier::{Locked, Platform, PtlError};

    use super::support::flat::Ptl;
    use super::support::{Flat, Page, Recorder, V61};

    type Inner = Flat<'static, V61>;

    pub(super) struct OneType(pub(super) Inner);

    // SAFETY: every promise is that of the platform inside.
    unsafe impl Platform for OneType {
        type Page = Page<'static>;
        type Attr = Rights;
        type Entry = <Inner as Platform>::Entry;
        type Table = usize;
        type Ptl<'a> = Ptl<'a>;
        type Flushing = VirtRange;
        type Deferred = Vec<Page<'static>>;
        type Tlb = Arc<Recorder<'static>>;
        type Notifier = Arc<Recorder<'static>>;
        type Fence = mmu_notifier::FullFence;

        fn lock_ptl(
            &self,
            addr: VirtAddr,
            size: PageSize,
        ) -> Result<Locked<Ptl<'_>, usize>, PtlError> {
            self.0.lock_ptl(addr, size)
        }
        fn ptl_order(&self, addr: VirtAddr, size: PageSize) -> Option<usize> {
            self.0.ptl_order(addr, size)
        }
        unsafe fn table_under(
            &self,
            held: &Ptl<'_>,
            addr: VirtAddr,
            size: PageSize,
        ) -> Result<(usize, VirtRange), PtlError> {
            // SAFETY: the caller's promise, passed on.
            unsafe { self.0.table_under(held, addr, size) }
        }
        unsafe fn load(&self, table: usize, index: usize) -> Self::Entry {
            // SAFETY: the caller's promise, passed on.
            unsafe { self.0.load(table, index) }
        }
        unsafe fn exchange(&self, table: usize, index: usize, new: Self::Entry) -> Self::Entry {
            // SAFETY: the caller's promise, passed on.
            unsafe { self.0.exchange(table, index, new) }
        }
        unsafe fn compare_exchange(
            &self,
            table: usize,
            index: usize,
            current: Self::Entry,
            new: Self::Entry,
        ) -> Result<(), Self::Entry> {
            // SAFETY: the caller's promise, passed on.
            unsafe { self.0.compare_exchange(table, index, current, new) }
        }
        fn make_entry(&self, page: Page<'static>, attr: Rights, size: PageSize) -> Self::Entry {
            self.0.make_entry(page, attr, size)
        }
        unsafe fn take_page(&self, entry: Self::Entry, size: PageSize) -> Page<'static> {
            // SAFETY: the caller's promise, passed on.
            unsafe { self.0.take_page(entry, size) }
        }
        fn begin_flush(&self, range: VirtRange, size: PageSize) -> VirtRange {
            self.0.begin_flush(range, size)
        }
        fn wait_flush(&self, flushing: VirtRange) {
            self.0.wait_flush(flushing);
        }
    }
}
