//! How the worst-case TLB is told: as a subscriber, and by a platform's records.

use core::panic::Location;

use mmu_notifier::{Atomic, Invalidation, Notifier, RangeInfo, SecondaryTlb, WouldBlock};
use mmu_protocol::{PageSize, RecordKind, Transition, VirtAddr};

use super::{Site, State, WorstCaseTlb};
use crate::source::PageTableWalk;

impl<W: PageTableWalk> WorstCaseTlb<W> {
    /// Takes note of what a platform reports. Frees and copies of frames that
    /// are still held are collected for [`take_found`](Self::take_found)
    /// instead of panicking under somebody's lock.
    ///
    /// The records must come after the table was written.
    #[track_caller]
    pub fn observe(&self, record: RecordKind) {
        let at = Location::caller();
        match record {
            RecordKind::Start { range, .. } => self.range_started(range),
            RecordKind::End { range, .. } => self.range_ended(range),
            RecordKind::Clear { addr, size, .. } => {
                self.note(addr, size, "the entry was cleared", at)
            }
            RecordKind::Set { addr, size, pfn, transition } => {
                {
                    // The frames have an owner again.
                    let mut state = self.state.lock();
                    for frame in pfn..pfn + size.base_pages() {
                        state.freed.remove(&frame);
                    }
                }
                match transition {
                    Transition::SameContent => self.note_same_content(addr, at),
                    // Nothing that a TLB may hold is wrong after a fill.
                    Transition::Fill => self.saturate_from(addr, at),
                    other => self.note(addr, size, other.row().change, at),
                }
            }
            RecordKind::Change { addr, transition: Transition::CopySource, .. } => {
                if let Some(now) = self.table.walk(addr) {
                    let found = self.copied(now.frame(addr));
                    self.state.lock().found.extend(found.err());
                }
            }
            RecordKind::Change { addr, size, transition } => {
                self.note(addr, size, transition.row().change, at);
            }
            RecordKind::Invalidate { range } => self.drop_range(range, PageSize::Base, at),
            RecordKind::Free { pfn } => {
                let found = self.freed(pfn);
                self.state.lock().found.extend(found.err());
            }
            // CPU TLBs, and what other TLBs do, are not its business.
            _ => {}
        }
    }

    fn saturate_from(&self, addr: VirtAddr, at: Site) {
        self.fill(&mut self.state.lock(), addr, at);
    }
}

// SAFETY: INV-TOLD: the entries of the range go, under the state's lock, under
// which walks run too, so none that began before installs one; and no memory
// is accessed through an entry here: what `access` returned before is the
// caller's to stop using. After `release` nothing is filled any more. The lock
// is short and taken by nobody who waits.
unsafe impl<W: PageTableWalk> SecondaryTlb for WorstCaseTlb<W> {
    #[track_caller]
    fn invalidate_range(&self, invalidation: &Invalidation, _: Atomic<'_>) {
        self.drop_range(invalidation.range, invalidation.size, Location::caller());
    }

    fn release(&self) {
        *self.state.lock() = State { released: true, ..State::default() };
    }
}

// SAFETY: INV-MIRROR: as a mirror it is an empty one that only learns when
// ranges start and end. The entries it holds are those of its registration as
// a hardware-walking TLB, and no memory is accessed through them here.
unsafe impl<W: PageTableWalk> Notifier for WorstCaseTlb<W> {
    fn range_start(&self, info: &RangeInfo) -> Result<(), WouldBlock> {
        self.range_started(info.range);
        Ok(())
    }

    fn range_end(&self, info: &RangeInfo) {
        self.range_ended(info.range);
    }

    fn release(&self) {
        SecondaryTlb::release(self);
    }
}
