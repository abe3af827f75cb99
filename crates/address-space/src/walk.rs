//! How hardware reads the tables: at any time, without a lock.

use mmu_notifier::PageTableEntry;
use mmu_protocol::{Access, VirtAddr};
use secondary_tlb::{PageTableWalk, Pasid, Root, Source, Translation};

use crate::sync::Arc;
use crate::sync::atomic::Ordering;
use crate::table::Tables;

/// Walks the tables of one address space.
#[derive(Clone)]
pub struct Walker {
    tables: Arc<Tables>,
}

impl Walker {
    pub(crate) fn new(tables: &Arc<Tables>) -> Self {
        Walker { tables: tables.clone() }
    }
}

impl PageTableWalk for Walker {
    fn walk(&self, addr: VirtAddr) -> Option<Translation> {
        let (entry, size, table, index) = self.tables.walk(addr)?;
        if !entry.is_young() {
            // In one step, and only if the entry is still the same: an entry
            // that was cleared meanwhile must not come back to life.
            let word = self.tables.memory().word(table, index as u64 * 8);
            let young = entry.made_young().bits();
            word.compare_exchange(entry.bits(), young, Ordering::SeqCst, Ordering::Relaxed).ok()?;
        }
        Some(Translation { pfn: entry.pfn(), size, rights: entry.rights() })
    }
}

/// The processors of an address space refill from its tables, whatever the
/// number that tags their entries.
impl Source for Walker {
    fn walk(&self, _: Pasid, addr: VirtAddr, _: Access) -> Option<Translation> {
        PageTableWalk::walk(self, addr)
    }
}

impl Root for Walker {}

impl std::fmt::Debug for Walker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Walker").field("mm", &self.tables.mm()).finish()
    }
}
