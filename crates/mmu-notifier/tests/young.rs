//! Aging: the accessed bit is cleared and the mirrors are asked.
#![cfg(not(any(loom, shuttle)))]

mod support;

use std::sync::atomic::Ordering;

use mmu_notifier::Mm;
use mmu_notifier::protocol::PageSize;
use support::*;

#[test]
fn clearing_young_asks_the_notifiers_and_flushes_nothing() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V61>::new(&world));
    map(&mm, &mut task, page(0), RW);
    add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
    let mirror = add_mirror(&mm, &mut task, Recorder::new("kvm", &world));
    world.log();

    let mut ptl = mm.lock_ptl(page(0), PageSize::Base, &mut task).unwrap();
    let mut view = ptl.fill(page(0)).unwrap().present().unwrap();
    assert!(view.test_and_clear_young(false), "the entry was young");
    assert!(!view.test_and_clear_young(false), "and is not any more");
    mirror.busy.store(true, Ordering::Relaxed);
    assert!(view.test_and_clear_young(false), "the mirror has seen an access");
    drop(ptl);
    assert_eq!(
        world.log(),
        ["lock", "age 0", "young kvm 0 keep", "young kvm 0 keep", "young kvm 0 keep", "unlock"]
    );
}

#[test]
fn clearing_young_with_a_flush_flushes_only_if_it_was_young() {
    let (world, mut task) = (World::new(8), task());
    let mm = Mm::new(Flat::<V612>::new(&world));
    map(&mm, &mut task, page(0), RW);
    add_tlb(&mm, &mut task, Recorder::new("iommu", &world));
    add_mirror(&mm, &mut task, Recorder::new("kvm", &world));
    world.log();

    let mut ptl = mm.lock_ptl(page(0), PageSize::Base, &mut task).unwrap();
    let mut view = ptl.fill(page(0)).unwrap().present().unwrap();
    assert!(view.test_and_clear_young(true));
    assert!(!view.test_and_clear_young(true));
    drop(ptl);
    assert_eq!(
        world.log(),
        [
            "lock",
            "age 0",
            "begin flush 0",
            "flush 0",
            "tell iommu 0",
            "young kvm 0 flush",
            "young kvm 0 flush",
            "unlock"
        ]
    );
}
