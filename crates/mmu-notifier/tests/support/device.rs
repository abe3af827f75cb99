//! A device with a TLB of its own: it walks the page table when it has to,
//! keeps what it read until it is told, and never asks anybody.

use mmu_notifier::protocol::VirtAddr;
use mmu_notifier::{Atomic, Invalidation, SecondaryTlb};

use super::sync::{self, Mutex};
use super::world::World;

#[derive(Clone, Copy)]
struct Translation {
    addr: VirtAddr,
    pfn: usize,
    writable: bool,
    /// Of the frame, when the translation was taken.
    generation: u64,
}

/// The device. Accesses are made under the lock of its TLB, so an invalidation
/// waits for those in flight.
pub(crate) struct Device<'w> {
    world: &'w World,
    cached: Mutex<Vec<Translation>>,
}

impl<'w> Device<'w> {
    pub(crate) fn new(world: &'w World) -> Self {
        Device { world, cached: Mutex::new(Vec::new()) }
    }

    fn access<R>(&self, addr: VirtAddr, write: bool, f: impl FnOnce(usize) -> R) -> Option<R> {
        let mut cached = sync::lock(&self.cached);
        let hit = cached.iter().find(|hit| hit.addr == addr && (hit.writable || !write)).copied();
        let hit = match hit {
            Some(hit) => hit,
            None => {
                let (pfn, writable) = self.world.walk(addr)?;
                let generation = self.world.generation(pfn);
                assert!(generation & 1 == 1, "the device walked to frame {pfn}, which is free");
                let filled = Translation { addr, pfn, writable, generation };
                cached.retain(|old| old.addr != addr);
                cached.push(filled);
                if write && !writable {
                    return None;
                }
                filled
            }
        };
        assert_eq!(
            self.world.generation(hit.pfn),
            hit.generation,
            "the device reached frame {} after it was freed",
            hit.pfn
        );
        Some(f(hit.pfn))
    }

    /// Loads through the TLB; `None` is a fault.
    pub(crate) fn load(&self, addr: VirtAddr) -> Option<u64> {
        self.access(addr, false, |pfn| self.world.read(pfn))
    }

    /// Stores through the TLB; `None` is a fault.
    pub(crate) fn store(&self, addr: VirtAddr, data: u64) -> Option<()> {
        self.access(addr, true, |pfn| self.world.write(pfn, data))
    }

    /// Whether it holds a translation of the page.
    pub(crate) fn holds(&self, addr: VirtAddr) -> bool {
        sync::lock(&self.cached).iter().any(|hit| hit.addr == addr)
    }
}

// SAFETY: INV-TOLD: fills, accesses and invalidations take the same lock.
unsafe impl SecondaryTlb for Device<'_> {
    fn invalidate_range(&self, invalidation: &Invalidation, _context: Atomic<'_>) {
        sync::lock(&self.cached).retain(|hit| !invalidation.range.contains(hit.addr));
    }

    fn release(&self) {
        sync::lock(&self.cached).clear();
    }
}
