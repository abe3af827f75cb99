//! A translation cache: sets of entries in front of a source.
//!
//! Tagged by PASID, with 4 KiB and 2 MiB entries in arrays of their own. A
//! lookup takes no lock and writes nothing. Entries come in by
//! [refill](Tlb::refill) only, and what keeps a stale one out is told in the
//! module `set` (fills against invalidations) and in the module `invalidate`
//! (wide ranges, order between TLBs).

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;

use mmu_protocol::{Access, PageSize, RecordKind, Rights, VirtAddr};

use crate::set::{Set, WAYS};
use crate::source::Source;
use crate::sync::atomic::{AtomicU64, Ordering, fence};
use crate::translation::{ADDRESS_BITS, Fault, Pasid, Translation};
use crate::window::Windows;

/// Is told what a TLB does, as [`RecordKind::Fill`] and [`RecordKind::Use`].
///
/// Called inside a window: it must be bounded, must not fault, and must not
/// call an invalidation of this TLB.
pub type Observer = Arc<dyn Fn(RecordKind) + Send + Sync>;

/// A set-associative translation cache that refills from `S`.
///
/// A device thread uses it through a [`Port`](crate::Port). Hardware with
/// several TLBs is several of these: an IOTLB is a [`Tlb<PasidTable<W>>`](crate::Iotlb),
/// the TLB of a device with ATS refills from it and is a
/// [`Tlb<Arc<Iotlb<W>>>`](crate::Atc).
pub struct Tlb<S> {
    base: Box<[Set]>,
    huge: Box<[Set]>,
    /// Counts wide invalidations, which visit only sets with a match.
    pub(crate) wide: AtomicU64,
    pub(crate) windows: Windows,
    observer: Option<Observer>,
    source: S,
}

/// A translation as a value, to be checked again after use.
///
/// It says what the TLB answered, not that the answer still holds:
/// [`Tlb::is_current`] says whether an invalidation came in since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    translation: Translation,
    wide: u64,
    invalidations: u64,
    set: usize,
}

impl Checked {
    /// What the TLB answered.
    pub const fn translation(&self) -> Translation {
        self.translation
    }

    /// The 4 KiB frame that `addr` leads to.
    pub const fn frame(&self, addr: VirtAddr) -> u64 {
        self.translation.frame(addr)
    }
}

const VALID: u64 = 1 << 63;

#[inline]
fn tag(pasid: Pasid, page: u64) -> u64 {
    VALID | u64::from(pasid.get()) << (ADDRESS_BITS - PageSize::Base.shift()) | page
}

/// The PASID and the page number of a tag.
#[inline]
pub(crate) fn untag(tag: u64) -> (u32, u64) {
    let bits = ADDRESS_BITS - PageSize::Base.shift();
    ((tag >> bits) as u32 & ((1 << Pasid::BITS) - 1), tag & ((1 << bits) - 1))
}

#[inline]
fn encode(translation: Translation) -> u64 {
    translation.pfn << 1 | u64::from(translation.rights == Rights::ReadWrite)
}

#[inline]
fn decode(data: u64, size: PageSize) -> Translation {
    let rights = if data & 1 == 1 { Rights::ReadWrite } else { Rights::ReadOnly };
    Translation { pfn: data >> 1, size, rights }
}

/// The number of the 4 KiB page of `addr`.
#[inline]
pub(crate) fn page_number(addr: VirtAddr) -> Result<u64, Fault> {
    if addr.as_u64() >> ADDRESS_BITS != 0 {
        return Err(Fault::TooWide { addr });
    }
    Ok(addr.as_u64() >> PageSize::Base.shift())
}

/// The number of the 2 MiB block of a 4 KiB page.
#[inline]
pub(crate) fn block_of(page: u64) -> u64 {
    page / PageSize::Huge.base_pages()
}

impl<S: Source> Tlb<S> {
    /// A TLB with room for at least `entries` 4 KiB translations and an eighth
    /// as many of 2 MiB.
    pub fn new(source: S, entries: usize) -> Self {
        Self::build(source, entries, None)
    }

    /// As [`new`](Self::new), and tells `observer` of each fill and use.
    pub fn with_observer(source: S, entries: usize, observer: Observer) -> Self {
        Self::build(source, entries, Some(observer))
    }

    fn build(source: S, entries: usize, observer: Option<Observer>) -> Self {
        let sets = |entries: usize| entries.div_ceil(WAYS).max(1).next_power_of_two();
        let array = |sets: usize| (0..sets).map(|_| Set::new()).collect();
        Tlb {
            base: array(sets(entries)),
            huge: array(sets(entries / 8)),
            wide: AtomicU64::new(0),
            windows: Windows::new(),
            observer,
            source,
        }
    }

    /// What it refills from.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// How many 4 KiB translations there is room for.
    pub fn capacity(&self) -> usize {
        self.base.len() * WAYS
    }

    /// Looks up a translation that grants the access, without walking.
    ///
    /// `None` says nothing: an entry may have been dropped at any time.
    #[inline]
    pub fn lookup(&self, pasid: Pasid, addr: VirtAddr, access: Access) -> Option<Checked> {
        let page = page_number(addr).ok()?;
        // Acquire, and before the entry is read: an entry that a wide
        // invalidation removes later is not current after it.
        let wide = self.wide.load(Ordering::Acquire);
        let set = self.set_index(PageSize::Base, pasid, page);
        if let Some(hit) = self.base[set].probe(tag(pasid, page)) {
            let translation = decode(hit.data, PageSize::Base);
            if translation.rights.grant(access) {
                return Some(Checked { translation, wide, invalidations: hit.invalidations, set });
            }
        }
        let checked = self.lookup_huge(pasid, page, access, wide)?;
        Some(checked)
    }

    /// Out of line, so that a hit on a small page is small where it is inlined.
    #[inline(never)]
    fn lookup_huge(&self, pasid: Pasid, page: u64, access: Access, wide: u64) -> Option<Checked> {
        let block = block_of(page);
        let set = self.set_index(PageSize::Huge, pasid, block);
        let hit = self.huge[set].probe(tag(pasid, block))?;
        let translation = decode(hit.data, PageSize::Huge);
        let checked = Checked { translation, wide, invalidations: hit.invalidations, set };
        translation.rights.grant(access).then_some(checked)
    }

    /// Whether no invalidation has touched the translation since it was
    /// looked up.
    ///
    /// `true` after an access means that the access used a translation that
    /// was valid while it ran, as with a sequence lock: a load may then be
    /// believed; a store has already happened, so stores belong in
    /// [`Port::translate_with`](crate::Port::translate_with). May be `false`
    /// without need, when a neighbour in the same set was invalidated.
    #[inline]
    pub fn is_current(&self, checked: &Checked) -> bool {
        // What was read through the translation was read before the counts are.
        fence(Ordering::Acquire);
        let set = match checked.translation.size {
            PageSize::Base => &self.base[checked.set & (self.base.len() - 1)],
            PageSize::Huge => &self.huge[checked.set & (self.huge.len() - 1)],
        };
        set.invalidations() == checked.invalidations
            && self.wide.load(Ordering::Relaxed) == checked.wide
    }

    /// What a TLB that refills from this one is given. The caller's window is
    /// open (INV-WINDOW).
    pub(crate) fn answer(
        &self,
        pasid: Pasid,
        addr: VirtAddr,
        access: Access,
    ) -> Option<Translation> {
        match self.lookup(pasid, addr, access) {
            Some(checked) => Some(checked.translation),
            None => self.refill(pasid, addr, access).map(|checked| checked.translation),
        }
    }

    /// Asks the source and keeps what it says, unless an invalidation came in
    /// meanwhile. The result may not grant the access.
    ///
    /// The caller's window is open (INV-WINDOW): an invalidation waits for the
    /// walk and for whatever is done with a result that came too late to be kept.
    #[cold]
    pub(crate) fn refill(&self, pasid: Pasid, addr: VirtAddr, access: Access) -> Option<Checked> {
        let page = page_number(addr).ok()?;
        let block = block_of(page);
        let (base_set, huge_set) = (
            self.set_index(PageSize::Base, pasid, page),
            self.set_index(PageSize::Huge, pasid, block),
        );
        let (base, huge) = (&self.base[base_set], &self.huge[huge_set]);
        // An entry that does not grant the access hides what the table says now.
        for (set, tag, size) in
            [(base, tag(pasid, page), PageSize::Base), (huge, tag(pasid, block), PageSize::Huge)]
        {
            if let Some(hit) = set.probe(tag) {
                if !decode(hit.data, size).rights.grant(access) {
                    set.forget(tag, hit.data);
                }
            }
        }
        // All counts before the walk, because its result may be of either size.
        let wide = self.wide.load(Ordering::Acquire);
        let base_count = base.invalidations();
        let huge_count = huge.invalidations();
        let translation = self.source.walk(pasid, addr, access)?;
        let (set, index, tag, count) = match translation.size {
            PageSize::Base => (base, base_set, tag(pasid, page), base_count),
            PageSize::Huge => (huge, huge_set, tag(pasid, block), huge_count),
        };
        let kept = set
            .install(tag, encode(translation), count, || self.wide.load(Ordering::Relaxed) == wide);
        if kept {
            if let Some(observer) = &self.observer {
                let (size, pfn) = (translation.size, translation.pfn);
                observer(RecordKind::Fill { addr: addr.align_down(size), size, pfn });
            }
        }
        Some(Checked { translation, wide, invalidations: count, set: index })
    }

    #[inline]
    pub(crate) fn observe_use(&self, addr: VirtAddr, pfn: u64, access: Access) {
        if let Some(observer) = &self.observer {
            observer(RecordKind::Use { addr, pfn, write: access == Access::Write });
        }
    }

    #[inline]
    pub(crate) fn sets(&self, size: PageSize) -> &[Set] {
        match size {
            PageSize::Base => &self.base,
            PageSize::Huge => &self.huge,
        }
    }

    /// The set of a page. Address spaces look alike, so the PASID moves their
    /// pages apart.
    #[inline]
    pub(crate) fn set_index(&self, size: PageSize, pasid: Pasid, page: u64) -> usize {
        let spread = pasid.get().wrapping_mul(0x9E37_79B1) >> 12;
        (page as usize ^ spread as usize) & (self.sets(size).len() - 1)
    }
}

impl<S> fmt::Debug for Tlb<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tlb").field("entries", &(self.base.len() * WAYS)).finish_non_exhaustive()
    }
}
