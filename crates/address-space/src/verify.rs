//! Books that must balance: every reference to a frame has an owner.

use std::collections::HashMap;
use std::fmt;

use mmu_protocol::PageSize;

use crate::ksm::Ksm;
use crate::memory::{Mapping, Memory, Pfn, ZERO_PFN};
use crate::space::AddressSpace;
use crate::sync::Arc;

/// A frame whose count or reverse map is not what the tables say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imbalance {
    /// The frame.
    pub pfn: Pfn,
    /// References it has.
    pub counted: u32,
    /// References that were found.
    pub found: u32,
    /// What its reverse map says.
    pub rmap: Vec<Mapping>,
    /// What the tables say.
    pub mapped: Vec<Mapping>,
}

impl fmt::Display for Imbalance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "frame {}: {} references counted, {} found; reverse map {:?}, tables {:?}",
            self.pfn, self.counted, self.found, self.rmap, self.mapped
        )
    }
}

impl std::error::Error for Imbalance {}

/// Checks the counts and the reverse map of every frame against the tables of
/// all address spaces that live in the memory.
///
/// Only when all is quiet: no operation and no fault is running.
///
/// # Errors
///
/// The first frame whose books do not balance.
pub fn verify(
    memory: &Arc<Memory>,
    spaces: &[&AddressSpace],
    ksm: Option<&Ksm>,
) -> Result<(), Imbalance> {
    let mut found: HashMap<Pfn, u32> = HashMap::new();
    let mut mapped: HashMap<Pfn, Vec<Mapping>> = HashMap::new();
    // The memory itself holds the zero page.
    *found.entry(ZERO_PFN).or_default() += 1;
    for space in spaces {
        let tables = &space.kernel().tables;
        tables.for_each_upper(|pfn| *found.entry(pfn).or_default() += 1);
        tables.for_each_entry(|addr, size, entry| {
            let head = memory.head(entry.pfn());
            *found.entry(head).or_default() += 1;
            if entry.is_leaf() {
                let size = if entry.is_huge() { PageSize::Huge } else { size };
                mapped.entry(head).or_default().push(Mapping { mm: space.id(), addr, size });
            }
        });
    }
    for page in ksm.into_iter().flat_map(Ksm::frames) {
        *found.entry(memory.head(page)).or_default() += 1;
    }
    for pfn in 0..memory.frames() as Pfn {
        if memory.head(pfn) != pfn {
            continue;
        }
        let counted = memory.references(pfn);
        let found = found.get(&pfn).copied().unwrap_or(0);
        let mut rmap = memory.mappings(pfn);
        let mut mapped = mapped.remove(&pfn).unwrap_or_default();
        rmap.sort_unstable();
        mapped.sort_unstable();
        if counted != found || rmap != mapped {
            return Err(Imbalance { pfn, counted, found, rmap, mapped });
        }
    }
    Ok(())
}
