//! Physical memory: frames of 4 KiB with contents, counts and owners.
//!
//! Everything lives in frames, page tables too: the entries of a table are the
//! words of its frame. A walker that reads a freed table therefore reads
//! whatever its next owner wrote there, exactly as hardware would, and in Rust
//! it is still a plain atomic load.
//!
//! A freed frame is filled with [`POISON`] and handed out again as soon as
//! possible, so that a stale translation shows.

use std::fmt;

use mmu_protocol::{MmId, PageSize, Record, RecordKind, VirtAddr};

use crate::buddy::Buddy;
use crate::platform::Observer;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, RwLock, Word, lock, read, write};

/// Words of eight bytes in a frame.
pub const WORDS: usize = 512;

/// What every word of a free frame holds.
pub const POISON: u64 = 0xdead_f0f0_dead_f0f0;

/// The number of a 4 KiB frame.
pub type Pfn = u64;

/// No frame is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfFrames;

impl fmt::Display for OutOfFrames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "no frame of this size is free; unmap something or give the machine more memory",
        )
    }
}

impl std::error::Error for OutOfFrames {}

/// Where a frame is mapped: one entry of the reverse map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mapping {
    /// The address space.
    pub mm: MmId,
    /// Start of the page there.
    pub addr: VirtAddr,
    /// Size of the entry that maps it.
    pub size: PageSize,
}

/// What is known of a frame beside its contents.
struct FrameState {
    /// References to the page that starts here; meaningful in a head only.
    refs: AtomicU32,
    /// First frame of the page that this frame belongs to.
    head: AtomicU64,
    /// Who asked for it.
    owner: AtomicU64,
    /// Shared by content: every entry that maps it is write-protected for ever.
    /// Of each frame by itself, as the parts of a split page are mapped.
    ksm: AtomicU32,
    /// Of a page table: the first address that it maps.
    base: AtomicU64,
    /// Of a page table: its lock.
    ptl: Mutex<()>,
    /// The entries that map the page; kept in its head.
    rmap: Mutex<Vec<Mapping>>,
}

/// The memory of the machine.
///
/// `Send` and `Sync`. Frames hold it alive.
pub struct Memory {
    words: Vec<Word>,
    /// Touched before each access to a word, so that another thread may run there.
    #[cfg(shuttle)]
    access: AtomicU32,
    frames: Vec<FrameState>,
    free: Mutex<Buddy>,
    frees: AtomicU64,
    /// Who is told of frees, by the address space that asked for the frame.
    observers: RwLock<Vec<(MmId, Arc<dyn Observer>)>>,
}

impl Memory {
    /// Memory of `frames` frames of 4 KiB, all free but one: the zero page.
    ///
    /// # Panics
    ///
    /// If `frames` is zero or needs more than 32 bits.
    pub fn new(frames: usize) -> Arc<Self> {
        assert!(frames > 0 && u32::try_from(frames).is_ok(), "between 1 and 2^32 - 1 frames");
        let state = |pfn: usize| FrameState {
            refs: AtomicU32::new(0),
            head: AtomicU64::new(pfn as u64),
            owner: AtomicU64::new(0),
            ksm: AtomicU32::new(0),
            base: AtomicU64::new(0),
            ptl: Mutex::new(()),
            rmap: Mutex::new(Vec::new()),
        };
        let memory = Arc::new(Memory {
            words: (0..frames * WORDS).map(|_| Word::new(POISON)).collect(),
            #[cfg(shuttle)]
            access: AtomicU32::new(0),
            frames: (0..frames).map(state).collect(),
            free: Mutex::new(Buddy::new(frames)),
            frees: AtomicU64::new(0),
            observers: RwLock::new(Vec::new()),
        });
        // The memory itself keeps this reference, so the zero page is never free.
        let zero = memory.hand_out(PageSize::Base, MmId(0)).expect("there is a first frame");
        assert_eq!(zero, ZERO_PFN, "the first frame handed out is the zero page");
        memory.clear(zero, PageSize::Base);
        memory
    }

    /// Frames that are free now.
    pub fn free_frames(&self) -> usize {
        lock(&self.free).free_frames()
    }

    /// Frames there are.
    pub fn frames(&self) -> usize {
        self.frames.len()
    }

    /// Pages that were freed so far.
    pub fn frees(&self) -> u64 {
        self.frees.load(Ordering::Relaxed)
    }

    /// The page that holds only zeros and is shared by everybody who only reads.
    pub fn zero_page(self: &Arc<Self>) -> Frame {
        self.get(ZERO_PFN)
    }

    /// A page whose contents are whatever the last owner's death left.
    ///
    /// # Errors
    ///
    /// [`OutOfFrames`].
    pub fn alloc(self: &Arc<Self>, size: PageSize, owner: MmId) -> Result<Frame, OutOfFrames> {
        Ok(Frame { memory: self.clone(), pfn: self.hand_out(size, owner)? })
    }

    fn hand_out(&self, size: PageSize, owner: MmId) -> Result<Pfn, OutOfFrames> {
        let pfn = lock(&self.free).take(size).ok_or(OutOfFrames)?;
        for part in pfn..pfn + size.base_pages() {
            self.state(part).head.store(pfn, Ordering::Relaxed);
            self.state(part).ksm.store(0, Ordering::Relaxed);
        }
        let state = self.state(pfn);
        state.owner.store(owner.0, Ordering::Relaxed);
        let before = state.refs.swap(1, Ordering::Relaxed);
        assert_eq!(before, 0, "frame {pfn} was handed out while {before} references were left");
        Ok(pfn)
    }

    /// A page full of zeros.
    ///
    /// # Errors
    ///
    /// [`OutOfFrames`].
    pub fn alloc_zeroed(
        self: &Arc<Self>,
        size: PageSize,
        owner: MmId,
    ) -> Result<Frame, OutOfFrames> {
        let frame = self.alloc(size, owner)?;
        self.clear(frame.pfn, size);
        Ok(frame)
    }

    fn clear(&self, pfn: Pfn, size: PageSize) {
        for word in self.page_words(pfn, size) {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// Copies the contents of one page over another.
    pub fn copy(&self, from: Pfn, to: Pfn, size: PageSize) {
        for (from, to) in self.page_words(from, size).iter().zip(self.page_words(to, size)) {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// Whether two pages hold the same bytes.
    pub fn same(&self, a: Pfn, b: Pfn, size: PageSize) -> bool {
        let words = self.page_words(a, size).iter().zip(self.page_words(b, size));
        words.into_iter().all(|(a, b)| a.load(Ordering::Relaxed) == b.load(Ordering::Relaxed))
    }

    /// The word at this byte offset of a page; the last three bits are ignored.
    #[inline]
    pub fn word(&self, pfn: Pfn, offset: u64) -> &Word {
        #[cfg(shuttle)]
        self.access.load(Ordering::Relaxed);
        &self.words[pfn as usize * WORDS + (offset / 8) as usize]
    }

    /// Who asked for the page that this frame belongs to.
    pub fn owner(&self, pfn: Pfn) -> MmId {
        MmId(self.state(self.head(pfn)).owner.load(Ordering::Relaxed))
    }

    /// The entries that map the page that this frame belongs to.
    pub fn mappings(&self, pfn: Pfn) -> Vec<Mapping> {
        lock(&self.state(self.head(pfn)).rmap).clone()
    }

    /// References to the page that this frame belongs to; 0 if it is free.
    pub fn references(&self, pfn: Pfn) -> u32 {
        self.state(self.head(pfn)).refs.load(Ordering::Acquire)
    }

    pub(crate) fn is_ksm(&self, pfn: Pfn) -> bool {
        self.state(pfn).ksm.load(Ordering::Acquire) != 0
    }

    /// From now on nobody may map the frame writable.
    pub(crate) fn mark_ksm(&self, frame: &Frame) {
        self.state(frame.pfn).ksm.store(1, Ordering::Release);
    }

    /// Tells `observer` when a page is freed that this address space asked for.
    pub(crate) fn observe_frees(&self, mm: MmId, observer: Arc<dyn Observer>) {
        write(&self.observers).push((mm, observer));
    }

    /// The address space is gone, and with it its pages.
    pub(crate) fn forget_observer(&self, mm: MmId) {
        write(&self.observers).retain(|(observed, _)| *observed != mm);
    }

    pub(crate) fn ptl(&self, table: Pfn) -> &Mutex<()> {
        &self.state(table).ptl
    }

    /// First address that the table maps.
    pub(crate) fn table_base(&self, table: Pfn) -> VirtAddr {
        VirtAddr::new(self.state(table).base.load(Ordering::Relaxed))
    }

    pub(crate) fn set_table_base(&self, table: Pfn, base: VirtAddr) {
        self.state(table).base.store(base.as_u64(), Ordering::Relaxed);
    }

    pub(crate) fn rmap_add(&self, pfn: Pfn, mapping: Mapping) {
        lock(&self.state(self.head(pfn)).rmap).push(mapping);
    }

    pub(crate) fn rmap_remove(&self, pfn: Pfn, mapping: Mapping) {
        let mut rmap = lock(&self.state(self.head(pfn)).rmap);
        let place = rmap.iter().position(|entry| *entry == mapping);
        rmap.swap_remove(place.expect("an entry that maps a page is in its reverse map"));
    }

    /// A further reference to the page that this frame belongs to.
    pub(crate) fn get(self: &Arc<Self>, pfn: Pfn) -> Frame {
        let before = self.state(self.head(pfn)).refs.fetch_add(1, Ordering::Relaxed);
        assert_ne!(before, 0, "frame {pfn} was referenced after it was freed");
        Frame { memory: self.clone(), pfn }
    }

    /// The reference that an entry owned until now, or lends.
    ///
    /// # Safety
    ///
    /// INV-OWNED: the entry got it from [`Frame::into_pfn`], and of the values
    /// made from it one at most is dropped or cloned away; the others are lent
    /// and forgotten.
    pub(crate) unsafe fn adopt(self: &Arc<Self>, pfn: Pfn) -> Frame {
        // SAFETY: `into_pfn` has left the entry a count of the `Arc` too; taking
        // it without adding one keeps lending free of side effects.
        let memory = unsafe { Arc::from_raw(Arc::as_ptr(self)) };
        Frame { memory, pfn }
    }

    fn put(&self, pfn: Pfn) {
        let head = self.head(pfn);
        let state = self.state(head);
        let before = state.refs.fetch_sub(1, Ordering::AcqRel);
        assert_ne!(before, 0, "frame {head} was freed twice");
        if before != 1 {
            return;
        }
        let rmap = std::mem::take(&mut *lock(&state.rmap));
        assert!(rmap.is_empty(), "frame {head} was freed while mapped at {rmap:?}");
        // The page is nobody's until it is given back: no lock is needed yet.
        let size = lock(&self.free).size_of(head);
        for word in self.page_words(head, size) {
            word.store(POISON, Ordering::Relaxed);
        }
        self.frees.fetch_add(1, Ordering::Relaxed);
        let owner = MmId(state.owner.load(Ordering::Relaxed));
        for (mm, observer) in read(&self.observers).iter() {
            if *mm == owner {
                observer.record(Record { mm: owner, kind: RecordKind::Free { pfn: head } });
            }
        }
        // Only now may somebody else have it: its free is recorded before.
        lock(&self.free).give(head);
    }

    fn page_words(&self, pfn: Pfn, size: PageSize) -> &[Word] {
        #[cfg(shuttle)]
        self.access.load(Ordering::Relaxed);
        let first = pfn as usize * WORDS;
        &self.words[first..first + size.base_pages() as usize * WORDS]
    }

    fn state(&self, pfn: Pfn) -> &FrameState {
        &self.frames[pfn as usize]
    }

    pub(crate) fn head(&self, pfn: Pfn) -> Pfn {
        self.state(pfn).head.load(Ordering::Relaxed)
    }
}

/// The frame of the zero page.
pub(crate) const ZERO_PFN: Pfn = 0;

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("frames", &self.frames.len()).finish_non_exhaustive()
    }
}

/// One reference to a page, which is freed with the last of them.
///
/// It names a frame of the page: of a 2 MiB page that was split each part is
/// mapped on its own and counts as one reference to the whole.
pub struct Frame {
    memory: Arc<Memory>,
    pfn: Pfn,
}

impl Frame {
    /// The frame.
    pub fn pfn(&self) -> Pfn {
        self.pfn
    }

    /// References to the whole page, this one included.
    pub fn references(&self) -> u32 {
        self.memory.references(self.pfn)
    }

    /// Gives the reference to somebody who keeps only the number, an entry, and
    /// with it the handle on the memory: [`Memory::adopt`] takes both back.
    pub(crate) fn into_pfn(self) -> Pfn {
        std::mem::ManuallyDrop::new(self).pfn
    }
}

impl Clone for Frame {
    fn clone(&self) -> Self {
        self.memory.get(self.pfn)
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        self.memory.put(self.pfn);
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({})", self.pfn)
    }
}
