//! What a test is made of: pages, tables, frames, words, locks, TLBs.
//!
//! Everything has a number here, and the numbers are what the state of a
//! machine is laid out by.

use std::collections::HashMap;

use shootdown_litmus::program::{
    Agent, Backing, GlobalKind, Initial, ObjectId, ObjectKind, TlbSource,
};
use shootdown_litmus::{Name, Program, TlbKind};

use crate::value::{self, MOST_FRAMES, entry};

/// Everything that a machine has to keep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Address spaces, by [`SpaceId`](shootdown_litmus::program::SpaceId).
    pub spaces: Vec<Name>,
    /// Which of them are tables of devices, that no CPU loads.
    pub domains: Vec<bool>,
    /// Virtual pages, the same in every address space.
    pub pages: Vec<Page>,
    /// Pages that one table maps.
    pub blocks: Vec<Vec<usize>>,
    /// Whether upper entries can change.
    pub two_levels: bool,
    /// Tables. The first are those of the beginning: one for each address
    /// space and block, in that order.
    pub tables: usize,
    /// Frames: those that have a name, and one for each place that allocates.
    pub frames: Vec<Frame>,
    /// Words in a frame.
    pub words_per_frame: usize,
    /// Words that nobody remaps.
    pub words: Vec<Word>,
    /// Locks that have a name.
    pub locks: Vec<Name>,
    /// Objects that may come and go: the shared records.
    pub lives: Vec<Life>,
    /// The lock that a field of a shared record is.
    pub lock_of_field: HashMap<(u32, u32), usize>,
    /// The word that says whether a subscriber, by its record, is on the list.
    pub listed: HashMap<u32, usize>,
    /// Readers that somebody may wait for.
    pub readers: Vec<ReaderDomain>,
    /// Translation caches. Those of the file come first, then one for the CPUs
    /// of each address space.
    pub caches: Vec<Cache>,
    /// Root registers with their tags.
    pub contexts: Vec<Context>,
    /// Software TLBs.
    pub softs: Vec<Name>,
    /// Invalidation queues.
    pub queues: Vec<Queue>,
    /// Some CPU has a context: no CPU has a TLB that is not declared.
    pub cpus_have_contexts: bool,
    /// Threads: who runs them.
    pub agents: Vec<AgentShape>,
    /// What the file's objects are.
    pub objects: Vec<ObjectShape>,
    /// Where the words of a global begin, for words and records.
    pub words_of: HashMap<u32, usize>,
    /// The page of a global.
    pub page_of: HashMap<u32, usize>,
    /// The lock of a global.
    pub lock_of: HashMap<u32, usize>,
}

/// Readers of one sort: who waits for them waits for all that are inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReaderDomain {
    /// Sections of RCU. Who has interrupts off is inside as well: one sort of
    /// grace period waits for both since Linux 4.20.
    Rcu,
    /// Processors that have interrupts off.
    Interrupts,
    /// Sections of an `srcu_struct`, a lock that has a name.
    Srcu(usize),
    /// Callbacks of a range where nobody may sleep. Nobody waits for them.
    NonBlock,
    /// Only the order of locks knows these: no machine has steps on them.
    Order(OrderContext),
}

/// Where a thread is, as far as only the order of locks asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OrderContext {
    /// It gives memory back for somebody who waits for it.
    Reclaim,
    /// And may enter file systems: shrinkers that look for `__GFP_FS`.
    FsReclaim,
    /// In `invalidate_range_start` or `_end` of a subscriber.
    RangeStart,
    /// In `arch_invalidate_secondary_tlbs` of a subscriber.
    Told,
    /// Somebody may wait for a fence that it is about to signal.
    Signalling,
    /// In the handler of an interrupt.
    Interrupt,
    /// Its allocations do not wait for file systems.
    NoFs,
    /// Its allocations wait for nothing.
    NoReclaim,
}

/// An object that may come and go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// Its name.
    pub name: Name,
    /// Its words.
    pub words: std::ops::Range<usize>,
    /// Its locks.
    pub locks: Vec<usize>,
    /// The test makes it; it does not exist before.
    pub made: bool,
}

impl ReaderDomain {
    /// Whether who is inside may sleep.
    pub fn sleeps(self) -> bool {
        matches!(self, ReaderDomain::Srcu(_))
    }
}

/// A virtual page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its name.
    pub name: Name,
    /// The block that it is in.
    pub block: usize,
    /// Its place in the block.
    pub index: usize,
    /// The entry of the first address space at the beginning.
    pub entry: i64,
    /// The frame behind it at the beginning, also if it is huge.
    pub frame: Option<usize>,
    /// It is mapped by the block's upper entry.
    pub huge: bool,
    /// Its entry is dirty at the beginning.
    pub dirty: bool,
    /// What accesses may be granted.
    pub rights: i64,
    /// The map line's own entry forbids writes, and a fault may allow them.
    pub write_faults: bool,
    /// Names with the same backing see the same words.
    pub shared: bool,
    /// What is behind it.
    pub backing: Backing,
}

/// A physical page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// `Fa`, or `new1`.
    pub name: Name,
    /// Its words; `None` if nobody wrote them.
    pub words: Vec<Option<i64>>,
    /// References at the beginning.
    pub references: i64,
    /// It is never freed.
    pub immortal: bool,
    /// Which address space may get it once it is free.
    pub owner: Option<usize>,
    /// Whether its contents are elsewhere too, at the beginning.
    pub kept: Kept,
    /// The place that allocates it.
    pub site: Option<usize>,
}

/// Whether what a page holds is elsewhere too: in a file, in swap, at the other
/// end of a migration. Nobody can read this; it is what must not be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kept {
    /// The page is all there is, and nobody promises to keep it.
    Nowhere = 0,
    /// As it is, or it may be lost as it is.
    Same = 1,
    /// As it was; what was written since would be lost with the page.
    Older = 2,
}

/// A word that nobody remaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// `x`, `x[1]`, `r.f`.
    pub name: Name,
    /// At the beginning.
    pub value: i64,
    /// Its global, and its place in it.
    pub global: (u32, u32),
}

/// A translation cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// Its name; those of CPUs are called `cpu`.
    pub name: Name,
    /// What it fills from.
    pub source: Source,
    /// The address space whose pages it holds.
    pub space: usize,
    /// It belongs to CPUs of this address space.
    pub cpu: bool,
    /// It belongs to this thread's CPU alone.
    pub thread: Option<usize>,
    /// Invalidations of it say that they are done and do nothing.
    pub ignores: bool,
    /// Its walker reads memory, not what the CPUs' caches have.
    pub noncoherent: bool,
}

/// A root register with its tag, and the TLB that fills from what it has
/// loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// Its name.
    pub name: Name,
    /// The cache of tag 0; the others follow.
    pub cache: usize,
    /// How many tags there are.
    pub tags: usize,
    /// What is loaded at the beginning.
    pub space: Option<usize>,
    /// The tag at the beginning.
    pub tag: usize,
    /// It is lazy at the beginning.
    pub lazy: bool,
}

/// What a cache fills from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nothing: the TLB of a CPU that never loads this address space.
    Nothing,
    /// The page tables of an address space.
    Table,
    /// A software TLB.
    Soft(usize),
    /// Another cache.
    Cache(usize),
    /// What the contexts that have its tag have loaded.
    Roots,
    /// The cache of a context's tag.
    Context(usize),
}

/// An invalidation queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Its name.
    pub name: Name,
    /// Descriptors complete in order.
    pub in_order: bool,
}

/// Who runs a thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentShape {
    /// What it is.
    pub agent: Agent,
    /// Its address space.
    pub space: usize,
    /// What its accesses go through; with a context and no cache of its own
    /// behind it, the cache of tag 0.
    pub cache: usize,
    /// The context that says which root its accesses go to.
    pub context: Option<usize>,
    /// It has a store buffer under `tso`.
    pub cpu: bool,
    /// An access waits for the one before it.
    pub ordered: bool,
}

/// What an object of the file is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectShape {
    /// An index into [`Shape::caches`].
    Cache(usize),
    /// A TLB with tags: the first of its caches, and how many there are.
    Tagged(usize, usize),
    /// An index into [`Shape::contexts`].
    Context(usize),
    /// An index into [`Shape::softs`].
    Soft(usize),
    /// An index into [`Shape::queues`].
    Queue(usize),
    /// A device and its cache.
    Device(usize),
}

impl Shape {
    /// What a program declares. `local_flushes`: each CPU has a TLB of its own,
    /// because somebody flushes one without the others.
    pub(crate) fn of(program: &Program, local_flushes: bool) -> Shape {
        let mut shape = Shape {
            spaces: program.spaces.iter().map(|space| space.name.clone()).collect(),
            domains: program.spaces.iter().map(|space| space.domain).collect(),
            words_per_frame: program
                .frames
                .iter()
                .map(|f| f.values.len())
                .max()
                .unwrap_or(1)
                .max(1),
            ..Shape::default()
        };
        shape.globals(program);
        shape.frames(program);
        shape.objects(program);
        shape.threads(program, local_flushes);
        shape
    }

    fn globals(&mut self, program: &Program) {
        for (at, global) in program.globals.iter().enumerate() {
            let at = at as u32;
            let word = |index: u32, name: String, value: i64| Word {
                name: name.into(),
                value,
                global: (at, index),
            };
            match &global.kind {
                GlobalKind::Page(_) => {
                    self.page_of.insert(at, self.page_of.len());
                }
                GlobalKind::Lock => {
                    self.lock_of.insert(at, self.locks.len());
                    self.locks.push(global.name.clone());
                }
                GlobalKind::Words { init, array, .. } => {
                    self.words_of.insert(at, self.words.len());
                    for (index, _) in init.iter().enumerate() {
                        let name = match array {
                            true => format!("{}[{index}]", global.name),
                            false => global.name.to_string(),
                        };
                        self.words.push(word(index as u32, name, 0));
                    }
                }
                GlobalKind::Record(record) => {
                    let first = self.words.len();
                    self.words_of.insert(at, first);
                    let mut locks = Vec::new();
                    let fields = &program.records[record.0 as usize].fields;
                    for (index, field) in fields.iter().enumerate() {
                        let name = format!("{}.{}", global.name, field.name);
                        if field.ty == shootdown_litmus::Type::Lock {
                            self.lock_of_field.insert((at, index as u32), self.locks.len());
                            locks.push(self.locks.len());
                            self.locks.push(name.as_str().into());
                        }
                        self.words.push(word(index as u32, name, 0));
                    }
                    if fields.is_empty() {
                        // An address of its own.
                        self.words.push(word(0, global.name.to_string(), 0));
                    }
                    let words = first..self.words.len();
                    let name = global.name.clone();
                    self.lives.push(Life { name, words, locks, made: false });
                }
            }
        }
        self.subscribers(program);
        // Addresses are known now, so initial values can be.
        for (at, global) in program.globals.iter().enumerate() {
            let GlobalKind::Words { init, .. } = &global.kind else { continue };
            let base = self.words_of[&(at as u32)];
            for (index, initial) in init.iter().enumerate() {
                self.words[base + index].value = self.initial(initial);
            }
        }
    }

    /// Whether each subscriber is on the list, if anybody ever changes that.
    fn subscribers(&mut self, program: &Program) {
        use shootdown_litmus::primitives::{Action, ListOp};
        use shootdown_litmus::program::OpKind;
        let bodies = program.functions.iter().map(|function| &function.body);
        let bodies = bodies.chain(program.threads.iter().map(|thread| &thread.body));
        let changes = bodies.flat_map(|body| &body.ops).any(|op| match &op.kind {
            OpKind::Primitive { primitive, .. } => matches!(
                primitive.action,
                Action::List(ListOp::Add | ListOp::Delete | ListOp::DeleteAll)
            ),
            _ => false,
        });
        for line in &program.subscriptions {
            let Some(object) = line.object else { continue };
            if (changes || line.off) && !self.listed.contains_key(&object.0) {
                let name = format!("list({})", program.globals[object.index()].name);
                self.listed.insert(object.0, self.words.len());
                let (value, global) = (i64::from(!line.off), (object.0, u32::MAX));
                self.words.push(Word { name: name.into(), value, global });
            }
        }
    }

    /// Whether software fills what a cache refills from.
    pub fn fills_from_software(&self, cache: usize) -> bool {
        match self.caches[cache].source {
            Source::Nothing | Source::Table | Source::Roots | Source::Context(_) => false,
            Source::Soft(_) => true,
            Source::Cache(other) => self.fills_from_software(other),
        }
    }

    /// The object that an address is in.
    pub fn life_at(&self, pointer: i64) -> Option<usize> {
        let word = usize::try_from(pointer - value::WORD_BASE).ok()?;
        self.lives.iter().position(|life| life.words.contains(&word))
    }

    /// A value at the beginning.
    pub fn initial(&self, initial: &Initial) -> i64 {
        match initial {
            Initial::Int(value) => *value,
            Initial::AddressOf(global) => self.address_of(global.0),
        }
    }

    /// The address of a global.
    pub fn address_of(&self, global: u32) -> i64 {
        if let Some(page) = self.page_of.get(&global) {
            value::address_of_page(*page)
        } else if let Some(word) = self.words_of.get(&global) {
            value::WORD_BASE + *word as i64
        } else {
            self.lock_of.get(&global).map_or(0, |lock| *lock as i64 + 1)
        }
    }

    fn frames(&mut self, program: &Program) {
        // A huge frame has a frame of its own for each page of its block.
        let mut first = Vec::new();
        for (at, frame) in program.frames.iter().enumerate() {
            first.push(self.frames.len());
            let huge = program.globals.iter().filter(|global| match &global.kind {
                GlobalKind::Page(mapping) => {
                    mapping.huge && mapping.frame.is_some_and(|f| f.index() == at)
                }
                _ => false,
            });
            let parts = huge.count().max(1);
            for part in 0..parts {
                let name = if parts > 1 {
                    format!("{}+{part}", frame.name)
                } else {
                    frame.name.to_string()
                };
                self.frames.push(Frame {
                    name: name.into(),
                    words: Vec::new(),
                    references: 0,
                    immortal: false,
                    owner: frame.owner.map(|space| space.index()),
                    kept: Kept::Nowhere,
                    site: None,
                });
                let values = if parts > 1 {
                    frame.values.get(part..=part).unwrap_or(&[])
                } else {
                    &frame.values[..]
                };
                let last = self.frames.last_mut().expect("just pushed");
                last.words = values.iter().map(|value| Some(*value)).collect();
            }
        }
        let mut used = vec![0usize; program.frames.len()];
        let pages = program.globals.iter().filter_map(|global| match &global.kind {
            GlobalKind::Page(mapping) => Some((global.name.clone(), mapping)),
            _ => None,
        });
        let pages: Vec<_> = pages.collect();
        let group_of = |page: usize| -> Option<usize> {
            program.table_locks.iter().position(|line| {
                !line.split && line.pages.iter().any(|global| self.page_of[&global.0] == page)
            })
        };
        let mut block_of_group: HashMap<usize, usize> = HashMap::new();
        let mut blocks: Vec<Vec<usize>> = Vec::new();
        let mut list = Vec::new();
        for (at, (name, mapping)) in pages.iter().enumerate() {
            let block = match group_of(at) {
                Some(group) => *block_of_group.entry(group).or_insert_with(|| {
                    blocks.push(Vec::new());
                    blocks.len() - 1
                }),
                None => {
                    blocks.push(Vec::new());
                    blocks.len() - 1
                }
            };
            let index = blocks[block].len();
            blocks[block].push(at);
            let frame = mapping.frame.map(|frame| {
                let part = if mapping.huge { used[frame.index()] } else { 0 };
                used[frame.index()] += 1;
                first[frame.index()] + part
            });
            let mut flags = 0;
            flags |= if mapping.readable { entry::READ } else { 0 };
            flags |= if mapping.writable { entry::READ | entry::WRITE } else { 0 };
            flags |= if mapping.dirty == Some(true) { entry::DIRTY } else { 0 };
            let page = frame.map_or(0, value::page_of_frame);
            if let Some(frame) = frame {
                let frame = &mut self.frames[frame];
                frame.references += i64::from(mapping.mapped_by.max(1));
                // The page cache has the page too.
                if matches!(mapping.backing, Backing::File | Backing::Shmem)
                    && frame.references == i64::from(mapping.mapped_by.max(1))
                {
                    frame.references += 1;
                }
                if mapping.saved || matches!(mapping.backing, Backing::File | Backing::Shmem) {
                    let dirty = mapping.dirty == Some(true);
                    let kept = if dirty { Kept::Older } else { Kept::Same };
                    frame.kept = frame.kept.max(kept);
                }
                frame.immortal |= mapping.backing == Backing::Zero;
            }
            list.push(Page {
                name: name.clone(),
                block,
                index,
                entry: if mapping.huge { 0 } else { entry::make(page, flags) },
                frame,
                huge: mapping.huge,
                dirty: mapping.dirty == Some(true),
                rights: entry::READ | entry::WRITE,
                write_faults: !mapping.writable,
                shared: matches!(mapping.backing, Backing::File | Backing::Shmem) && !mapping.cow,
                backing: mapping.backing,
            });
            if mapping.huge {
                let last = list.last_mut().expect("just pushed");
                last.entry = 0;
                self.two_levels = true;
            }
        }
        self.pages = list;
        self.blocks = blocks;
        self.tables = self.spaces.len() * self.blocks.len();
    }

    /// The upper entry of a block of the first address space at the beginning,
    /// if it maps a huge page; otherwise 0.
    pub fn huge_entry(&self, block: usize) -> i64 {
        let page = &self.pages[self.blocks[block][0]];
        match page.frame {
            Some(frame) if page.huge => {
                let write = if page.write_faults { 0 } else { entry::WRITE };
                let flags = entry::READ | write | if page.dirty { entry::DIRTY } else { 0 };
                entry::make(value::page_of_frame(frame), flags | entry::HUGE)
            }
            _ => 0,
        }
    }

    /// The caches of a TLB with tags, by any of them.
    pub fn every_tag(&self, cache: usize) -> std::ops::Range<usize> {
        let its =
            |context: &&Context| (context.cache..context.cache + context.tags).contains(&cache);
        match self.contexts.iter().find(its) {
            Some(context) => context.cache..context.cache + context.tags,
            None => cache..cache + 1,
        }
    }

    /// A frame more, for a place that allocates.
    pub(crate) fn allocate(&mut self, name: String, site: usize) -> Option<usize> {
        if self.frames.len() >= MOST_FRAMES {
            return None;
        }
        self.frames.push(Frame {
            name: name.into(),
            words: vec![None; self.words_per_frame],
            references: 0,
            immortal: false,
            owner: None,
            kept: Kept::Nowhere,
            site: Some(site),
        });
        Some(self.frames.len() - 1)
    }

    /// The number of a sort of readers; they are numbered as they are met.
    pub(crate) fn readers(&mut self, domain: ReaderDomain) -> usize {
        let known = self.readers.iter().position(|other| *other == domain);
        known.unwrap_or_else(|| {
            self.readers.push(domain);
            self.readers.len() - 1
        })
    }

    /// The table of a block at the beginning.
    #[inline]
    pub fn first_table(&self, space: usize, block: usize) -> usize {
        space * self.blocks.len() + block
    }

    /// The value of a `pte_t *`: of the entry for a page, in a table.
    pub fn entry_pointer(&self, table: usize, page: usize) -> i64 {
        (table * self.pages.len() + page) as i64 + 1
    }

    /// The table and the page whose entry a `pte_t *` points to.
    #[inline]
    pub fn entry_of_pointer(&self, pointer: i64) -> Option<(usize, usize)> {
        let at = usize::try_from(pointer).ok()?.checked_sub(1)?;
        let width = self.pages.len();
        (width > 0 && at / width < self.tables).then(|| (at / width, at % width))
    }

    /// The pointer to the lock of a table.
    pub fn table_lock(&self, table: usize) -> i64 {
        (self.locks.len() + self.spaces.len() + table) as i64 + 1
    }

    /// The pointer to the lock of the upper entries of an address space.
    pub fn upper_lock(&self, space: usize) -> i64 {
        (self.locks.len() + space) as i64 + 1
    }

    /// The value of a `pmd_t *`.
    pub fn upper_pointer(&self, space: usize, block: usize) -> i64 {
        self.first_table(space, block) as i64 + 1
    }

    /// The address space and block that a `pmd_t *` points to.
    pub fn upper_of_pointer(&self, pointer: i64) -> Option<(usize, usize)> {
        let at = usize::try_from(pointer).ok()?.checked_sub(1)?;
        let blocks = self.blocks.len();
        (blocks > 0 && at < self.spaces.len() * blocks).then(|| (at / blocks, at % blocks))
    }

    /// Pages of a range of addresses, as bits.
    #[inline]
    pub fn pages_between(&self, start: i64, end: i64) -> u64 {
        let pages = 0..self.pages.len();
        pages
            .filter(|page| (start..end).contains(&value::address_of_page(*page)))
            .fold(0, |mask, page| mask | 1 << page)
    }

    /// The page whose entry a page shares in every table: the first one with the
    /// same place in its block. A table that is moved from one block to another
    /// takes its entries along. With one level of tables none is moved.
    #[inline]
    pub fn twin(&self, page: usize) -> usize {
        let index = self.pages[page].index;
        match self.two_levels {
            true => self.blocks.iter().find_map(|block| block.get(index)).map_or(page, |at| *at),
            false => page,
        }
    }

    /// All pages, as bits.
    #[inline]
    pub fn all_pages(&self) -> u64 {
        (1u64 << self.pages.len()) - 1
    }
}

/// The address space at the root of a chain of caches; the host's behind a
/// software TLB.
pub(crate) fn space_of(program: &Program, object: ObjectId) -> usize {
    let mut at = object;
    // A chain is no longer than the list.
    for _ in 0..program.objects.len() {
        match &program.objects[at.index()].kind {
            ObjectKind::Tlb { source: TlbSource::Space(space), .. } => return space.index(),
            ObjectKind::Tlb { source: TlbSource::Object(other), .. } => at = *other,
            _ => return 0,
        }
    }
    0
}

/// Whether a kind of cache belongs to an IOMMU or a device.
pub fn is_secondary(kind: TlbKind) -> bool {
    !matches!(kind, TlbKind::Tlb)
}
