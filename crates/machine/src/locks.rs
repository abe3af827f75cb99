//! Which lock is which: their numbers, and what they are called.

use crate::world::World;

impl World {
    /// The lock of a pointer.
    pub fn lock_of_pointer(&self, pointer: i64) -> Option<usize> {
        let shape = self.shape();
        let at = usize::try_from(pointer).ok()?.checked_sub(1)?;
        (at < shape.locks.len() + shape.spaces.len() + shape.tables).then_some(at)
    }

    /// The lock of a table.
    pub fn table_lock(&self, table: usize) -> usize {
        let shape = self.shape();
        shape.locks.len() + shape.spaces.len() + table
    }

    /// The `mmap_lock` of an address space.
    pub fn mmap_lock(&self, space: usize) -> usize {
        let shape = self.shape();
        shape.locks.len() + shape.spaces.len() + shape.tables + space
    }

    /// The lock of a page.
    pub fn page_lock(&self, frame: usize) -> usize {
        self.mmap_lock(self.shape().spaces.len()) + frame
    }

    /// The lock of a page's reverse map.
    pub fn rmap_lock(&self, frame: usize) -> usize {
        self.page_lock(self.shape().frames.len()) + frame
    }

    /// What a lock is called.
    pub fn lock_name(&self, lock: usize) -> String {
        let shape = self.shape();
        let (named, spaces) = (shape.locks.len(), shape.spaces.len());
        if lock < named {
            shape.locks[lock].to_string()
        } else if lock < named + spaces {
            format!("pmd lock of {}", shape.spaces[lock - named])
        } else if lock < named + spaces + shape.tables {
            let table = lock - named - spaces;
            let first = spaces * shape.blocks.len();
            if table >= first {
                return format!("ptl of table {table}");
            }
            let pages: Vec<&str> = shape.blocks[table % shape.blocks.len()]
                .iter()
                .map(|p| &*shape.pages[*p].name)
                .collect();
            let of = table / shape.blocks.len();
            let suffix = if of == 0 { String::new() } else { format!("@{}", shape.spaces[of]) };
            format!("ptl({}){suffix}", pages.join(","))
        } else if lock < self.page_lock(0) {
            format!("mmap_lock({})", shape.spaces[lock - self.mmap_lock(0)])
        } else if lock < self.rmap_lock(0) {
            format!("page lock({})", shape.frames[lock - self.page_lock(0)].name)
        } else {
            format!("rmap lock({})", shape.frames[lock - self.rmap_lock(0)].name)
        }
    }

    /// Whether holding it forbids sleep.
    pub fn is_spin(&self, lock: usize) -> bool {
        match self.mutexes.get(lock) {
            Some(mutex) => !mutex,
            None => lock < self.mmap_lock(0),
        }
    }
}
