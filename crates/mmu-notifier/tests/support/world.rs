//! What the test platform runs on: frames that know whether they were freed,
//! tables that hardware can walk, and a log of everything that happened.

use std::fmt;

use mmu_notifier::protocol::{PageSize, VirtAddr, VirtRange};

use super::entry::{PRESENT, Pte, ROOM, WRITABLE};
use super::sync::atomic::{AtomicU64, Ordering};
use super::sync::{self, Mutex};

/// The first address of the first table.
pub(crate) const BASE: u64 = 0x10_0000;
/// The first address of the table of huge entries, where there is one.
pub(crate) const HUGE_BASE: u64 = 0x4000_0000;

/// The address of a page of the first table.
pub(crate) fn page(number: u64) -> VirtAddr {
    VirtAddr::new(BASE + number * PageSize::Base.bytes())
}

/// The pages `first..end` of the first table.
pub(crate) fn pages(first: u64, end: u64) -> VirtRange {
    VirtRange::new(page(first), page(end)).expect("the range is not inverted")
}

/// The address of a page of the table of huge entries.
pub(crate) fn huge(number: u64) -> VirtAddr {
    VirtAddr::new(HUGE_BASE + number * PageSize::Huge.bytes())
}

/// The pages `first..end` of the table of huge entries.
pub(crate) fn huge_pages(first: u64, end: u64) -> VirtRange {
    VirtRange::new(huge(first), huge(end)).expect("the range is not inverted")
}

/// What a freed frame holds.
pub(crate) const POISON: u64 = 0xdead_dead_dead_dead;

/// A frame: a word of data, and a generation that is odd while it is allocated.
struct Frame {
    generation: AtomicU64,
    data: AtomicU64,
    /// Nobody may write to it: a page that many entries share.
    sealed: AtomicU64,
}

pub(crate) struct Table {
    pub(crate) span: VirtRange,
    pub(crate) size: PageSize,
    /// Which of the locks protects it.
    pub(crate) lock: usize,
    pub(crate) entries: Vec<AtomicU64>,
}

/// Everything that outlives an address space under test.
pub(crate) struct World {
    frames: Vec<Frame>,
    pub(crate) tables: Vec<Table>,
    pub(crate) locks: Vec<Mutex<()>>,
    /// Always the standard library's: the log is no part of the model.
    log: std::sync::Mutex<Vec<String>>,
    logs: bool,
    /// Runs whenever a frame is freed.
    pub(crate) on_free: std::sync::OnceLock<fn()>,
}

impl World {
    /// One table of `entries` small entries, and a frame for each and some more.
    pub(crate) fn new(entries: usize) -> Self {
        World::build(entries + 8, &[(BASE, PageSize::Base, entries, 0)], true)
    }

    /// Tables as (first address, size of an entry, entries, number of the lock).
    pub(crate) fn build(
        frames: usize,
        tables: &[(u64, PageSize, usize, usize)],
        logs: bool,
    ) -> Self {
        let table = |&(start, size, entries, lock): &(u64, PageSize, usize, usize)| Table {
            span: VirtRange::sized(VirtAddr::new(start), entries as u64 * size.bytes()),
            size,
            lock,
            entries: (0..entries).map(|_| AtomicU64::new(0)).collect(),
        };
        let locks = tables.iter().map(|table| table.3 + 1).max().unwrap_or(0);
        World {
            frames: (0..frames)
                .map(|_| Frame {
                    generation: AtomicU64::new(0),
                    data: AtomicU64::new(POISON),
                    sealed: AtomicU64::new(0),
                })
                .collect(),
            tables: tables.iter().map(table).collect(),
            locks: (0..locks).map(|_| Mutex::new(())).collect(),
            log: std::sync::Mutex::new(Vec::new()),
            logs,
            on_free: std::sync::OnceLock::new(),
        }
    }

    /// The table whose entries of this size map the address.
    pub(crate) fn find(&self, addr: VirtAddr, size: PageSize) -> Option<usize> {
        self.tables.iter().position(|table| table.size == size && table.span.contains(addr))
    }

    /// The entry as hardware reads it: (frame, writable) if it is present.
    pub(crate) fn walk(&self, addr: VirtAddr) -> Option<(usize, bool)> {
        let table = &self.tables[self.find(addr, PageSize::Base)?];
        let index = (addr.as_u64() - table.span.start().as_u64()) >> table.size.shift();
        let raw = table.entries[index as usize].load(Ordering::Acquire);
        (raw & PRESENT != 0).then(|| (Pte::<ROOM>(raw).pfn(), raw & WRITABLE != 0))
    }

    /// Hands out the first free frame, which holds `data` then.
    pub(crate) fn alloc(&self, data: u64) -> Page<'_> {
        for (pfn, frame) in self.frames.iter().enumerate() {
            let generation = frame.generation.load(Ordering::Relaxed);
            let won = generation & 1 == 0
                && frame
                    .generation
                    .compare_exchange(
                        generation,
                        generation + 1,
                        Ordering::Acquire,
                        Ordering::Relaxed,
                    )
                    .is_ok();
            if won {
                frame.data.store(data, Ordering::Relaxed);
                return Page { world: self, pfn };
            }
        }
        panic!("the test platform is out of frames");
    }

    /// The reference that an entry owned.
    pub(crate) fn adopt(&self, pfn: usize) -> Page<'_> {
        Page { world: self, pfn }
    }

    pub(crate) fn generation(&self, pfn: usize) -> u64 {
        self.frames[pfn].generation.load(Ordering::Acquire)
    }

    pub(crate) fn is_allocated(&self, pfn: usize) -> bool {
        self.generation(pfn) & 1 == 1
    }

    /// How often the frame was freed.
    pub(crate) fn frees(&self, pfn: usize) -> u64 {
        self.generation(pfn) / 2
    }

    /// How many frames are allocated.
    pub(crate) fn allocated(&self) -> usize {
        (0..self.frames.len()).filter(|&pfn| self.is_allocated(pfn)).count()
    }

    pub(crate) fn read(&self, pfn: usize) -> u64 {
        self.frames[pfn].data.load(Ordering::Relaxed)
    }

    pub(crate) fn write(&self, pfn: usize, data: u64) {
        self.frames[pfn].data.store(data, Ordering::Relaxed);
    }

    pub(crate) fn seal(&self, pfn: usize) {
        self.frames[pfn].sealed.store(1, Ordering::Relaxed);
    }

    pub(crate) fn is_sealed(&self, pfn: usize) -> bool {
        self.frames[pfn].sealed.load(Ordering::Relaxed) == 1
    }

    fn free(&self, pfn: usize) {
        let frame = &self.frames[pfn];
        frame.data.store(POISON, Ordering::Relaxed);
        frame.sealed.store(0, Ordering::Relaxed);
        let before = frame.generation.fetch_add(1, Ordering::AcqRel);
        assert!(before & 1 == 1, "frame {pfn} was freed twice");
        self.note(format_args!("free {pfn}"));
        if let Some(f) = self.on_free.get() {
            f();
        }
    }

    /// Adds a line to the log.
    pub(crate) fn note(&self, line: fmt::Arguments<'_>) {
        if self.logs {
            self.log.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(line.to_string());
        }
    }

    /// The log so far, which is empty afterwards.
    pub(crate) fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    /// Whether the log holds this line.
    pub(crate) fn saw(&self, line: &str) -> bool {
        self.log.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).iter().any(|l| l == line)
    }

    pub(crate) fn lock(&self, number: usize) -> sync::MutexGuard<'_, ()> {
        sync::lock(&self.locks[number])
    }
}

/// An owned reference to a frame: dropping it frees the frame.
pub(crate) struct Page<'w> {
    world: &'w World,
    pfn: usize,
}

impl Page<'_> {
    pub(crate) fn pfn(&self) -> usize {
        self.pfn
    }

    pub(crate) fn data(&self) -> u64 {
        self.world.read(self.pfn)
    }

    /// Moves the reference into an entry.
    pub(crate) fn into_pfn(self) -> usize {
        std::mem::ManuallyDrop::new(self).pfn
    }
}

impl Drop for Page<'_> {
    fn drop(&mut self) {
        self.world.free(self.pfn);
    }
}

impl fmt::Debug for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "frame {}", self.pfn)
    }
}

/// An address in the log: the number of the page in its table.
pub(crate) struct Short(pub(crate) VirtAddr);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addr = self.0.as_u64();
        if addr >= HUGE_BASE {
            write!(f, "H{}", (addr - HUGE_BASE) >> PageSize::Huge.shift())
        } else {
            write!(f, "{}", (addr - BASE) >> PageSize::Base.shift())
        }
    }
}

/// A range in the log: one page, or the first and the one after the last.
pub(crate) struct Span(pub(crate) VirtRange);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, end) = (Short(self.0.start()), Short(self.0.end()));
        if self.0.len() == PageSize::Base.bytes() {
            write!(f, "{start}")
        } else {
            write!(f, "{start}..{end}")
        }
    }
}
