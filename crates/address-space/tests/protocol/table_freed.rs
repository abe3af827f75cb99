//! TABLE: when the frame of a page table is freed, no walker holds a pointer to
//! it, or it would read its next owner's data as page table entries.
//!
//! The walker here is hardware with a paging-structure cache, by hand: it reads
//! the frames themselves and keeps the upper entry that it has read. The wrong
//! one believes that every invalidation is one of leaf entries, which is what a
//! driver gets that uses the "leaf only" form of its invalidation command.

use std::sync::{Arc, Mutex};

use address_space::{AddressSpace, Cpu, Memory, Pfn};
use mmu_notifier::{Atomic, Invalidation, SecondaryTlb};
use mmu_protocol::{PageSize, VirtAddr};

use crate::support::{RW, World, block, blocks, page, pages, task};

/// Bits of an entry, as the module `entry` draws them.
const PRESENT: u64 = 1 << 0;
const TABLE: u64 = 1 << 3;
const PFN_SHIFT: u64 = 12;

/// A walker that remembers the last table of 4 KiB entries that it went through.
struct Psc {
    memory: Arc<Memory>,
    root: Pfn,
    cached: Mutex<Option<(VirtAddr, Pfn)>>,
    leaf_only: bool,
}

impl Psc {
    /// The frame that `addr` leads to.
    fn walk(&self, addr: VirtAddr) -> Option<Pfn> {
        let entry = |table, shift: u32| {
            let index = addr.as_u64() >> shift & 511;
            let entry =
                self.memory.word(table, index * 8).load(std::sync::atomic::Ordering::SeqCst);
            (entry & PRESENT != 0).then_some(entry)
        };
        let start = addr.align_down(PageSize::Huge);
        let mut cached = self.cached.lock().unwrap();
        let table = match *cached {
            Some((of, table)) if of == start => table,
            _ => {
                let upper = entry(entry(self.root, 30)? >> PFN_SHIFT, 21)?;
                assert_ne!(upper & TABLE, 0, "these tests have 4 KiB pages only");
                *cached = Some((start, upper >> PFN_SHIFT));
                upper >> PFN_SHIFT
            }
        };
        entry(table, 12).map(|entry| entry >> PFN_SHIFT)
    }
}

// SAFETY: INV-TOLD: it keeps no leaf entries, walks under its own lock, and
// drops its pointer on an invalidation above 4 KiB that touches it; the walker
// that does not (`leaf_only`) is read by these tests alone.
unsafe impl SecondaryTlb for Psc {
    fn invalidate_range(&self, invalidation: &Invalidation, _: Atomic<'_>) {
        let mut cached = self.cached.lock().unwrap();
        if let Some((start, _)) = *cached
            && invalidation.size > PageSize::Base
            && invalidation.range.overlaps(mmu_protocol::VirtRange::page(start, PageSize::Huge))
            && !self.leaf_only
        {
            *cached = None;
        }
    }

    fn release(&self) {
        *self.cached.lock().unwrap() = None;
    }
}

/// How the table goes.
#[derive(Clone, Copy, Debug)]
enum Free {
    Munmap,
    Collapse,
}

/// Where the walker gets by an address whose table was freed, when the frame
/// belongs to somebody who wrote a forged entry there.
fn walk_after_the_free(how: Free, leaf_only: bool) -> Option<Pfn> {
    const SECRET: Pfn = 0xbad;
    let world = World::new(2048);
    let mut task = task();
    let other = world.space();
    other.mmap(pages(16, 2048), RW).unwrap();
    let mut other_cpu = Cpu::new(&other).unwrap();
    other_cpu.store(page(16), 0, &mut task).unwrap();

    let space = world.space();
    // The frame of the root is the one that was handed out last.
    let root = (0..world.memory.frames() as Pfn)
        .rev()
        .find(|pfn| world.memory.owner(*pfn) == space.id() && world.memory.references(*pfn) == 1)
        .unwrap();
    space.mmap(blocks(1, 1), RW).unwrap();
    let mut cpu = Cpu::new(&space).unwrap();
    for part in 0..512 {
        cpu.store(page(512 + part), part, &mut task).unwrap();
    }
    let psc =
        Arc::new(Psc { memory: world.memory.clone(), root, cached: Mutex::new(None), leaf_only });
    let subscription = space.register_tlb(psc.clone(), &mut task).unwrap();
    let at = block(1).offset(8 << 12);
    assert_eq!(psc.walk(at), Some(space.translate(at).unwrap().pfn), "it walks as hardware does");
    let (_, table) = psc.cached.lock().unwrap().unwrap();

    match how {
        Free::Munmap => space.munmap(blocks(1, 1), &mut task).unwrap(),
        Free::Collapse => {
            space.collapse(block(1), &mut task).unwrap();
            // A 2 MiB entry is more than this walker understands.
            space.split_huge(block(1), &mut task).unwrap();
        }
    }
    // The other process gets the table's frame and fills it with forged entries.
    let forged = SECRET << PFN_SHIFT | PRESENT;
    owner_of(&world, table, &other, &mut other_cpu, forged, &mut task);
    let reached = psc.walk(at);
    if let (Free::Collapse, false) = (how, leaf_only) {
        assert_eq!(reached, Some(space.translate(at).unwrap().frame(at)));
    }
    space.unregister_tlb(subscription, &mut task).unwrap();
    drop((cpu, other_cpu, psc, task));
    world.finish([space, other], None);
    reached.filter(|frame| *frame == SECRET)
}

/// Lets `other` write until it owns `frame` and every word of it is `word`.
fn owner_of(
    world: &World,
    frame: Pfn,
    other: &Arc<AddressSpace>,
    cpu: &mut Cpu,
    word: u64,
    task: &mut mmu_notifier::Task,
) {
    for number in 17..2048 {
        for index in 0..512 {
            cpu.store(page(number).offset(index * 8), word, task).unwrap();
        }
        if other.translate(page(number)).unwrap().pfn == frame {
            assert_eq!(world.memory.owner(frame), other.id());
            return;
        }
    }
    panic!("the table's frame {frame} was not handed out again");
}

#[test]
fn a_freed_table_has_no_walker() {
    for how in [Free::Munmap, Free::Collapse] {
        assert_eq!(walk_after_the_free(how, true), Some(0xbad), "{how:?}: leaf only");
        assert_eq!(walk_after_the_free(how, false), None, "{how:?}: the pointer is gone");
    }
}
