//! Which locks a step is about.

use shootdown_litmus::primitives::{LockClass, LockOp};
use shootdown_step::{EntryAt, LockAt, Op};

use super::foot::{Feet, Know};
use super::values::{self, Values};

impl Feet<'_> {
    /// Locks that an operation may be about.
    pub(super) fn locks<K: Know>(&self, know: &K, lock: &LockAt, class: LockClass) -> Vec<usize> {
        let world = self.world;
        match lock {
            LockAt::Mmap(space) => vec![world.mmap_lock(*space)],
            LockAt::Pointer(pointer) => match know.values(pointer) {
                Values::These(pointers) => {
                    pointers.into_iter().filter_map(|at| world.lock_of_pointer(at)).collect()
                }
                _ => (0..world.locks.len()).collect(),
            },
            LockAt::Page(page) | LockAt::Rmap(page) => {
                let lock = |frame| match class {
                    LockClass::Rmap => world.rmap_lock(frame),
                    _ => world.page_lock(frame),
                };
                self.frames(know, page).into_iter().map(lock).collect()
            }
        }
    }

    /// Locks that a step waits for and takes.
    pub(super) fn taken<K: Know>(&self, know: &K, op: &Op) -> Vec<usize> {
        let shape = self.world.shape();
        match op {
            Op::Lock { lock, class, op: LockOp::Lock | LockOp::ReadLock, .. } => {
                self.locks(know, lock, *class)
            }
            Op::MapEntry { address, space, lock: Some(_), .. } => {
                let pages = values::pages(self.world, &know.values(address)).into_iter();
                let tables = pages.flat_map(|page| values::tables_of(self.world, *space, page));
                let mut locks: Vec<usize> =
                    tables.map(|table| self.world.table_lock(table)).collect();
                locks.dedup();
                locks
            }
            Op::EntryLock { entry, take: true, .. } => {
                match (entry, know.values(entry.pointer())) {
                    (EntryAt::Lower(_), values) => {
                        let tables = values::lower(self.world, &values).into_iter();
                        let mut locks: Vec<usize> =
                            tables.map(|(table, _)| self.world.table_lock(table)).collect();
                        locks.dedup();
                        locks
                    }
                    // Nothing but software's own locks guards its entries.
                    (EntryAt::Soft(..), _) => Vec::new(),
                    (EntryAt::Upper(_), Values::These(pointers)) => {
                        let at = pointers
                            .into_iter()
                            .filter_map(|pointer| shape.upper_of_pointer(pointer));
                        at.map(|(space, _)| shape.upper_lock(space) as usize - 1).collect()
                    }
                    (EntryAt::Upper(_), _) => (0..shape.spaces.len())
                        .map(|space| shape.upper_lock(space) as usize - 1)
                        .collect(),
                }
            }
            _ => Vec::new(),
        }
    }
}
