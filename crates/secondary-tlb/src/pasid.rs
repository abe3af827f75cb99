//! The PASID table: which number stands for which address space.
//!
//! # Protocol
//!
//! A number goes round in four tokens, none of which can be copied:
//!
//! ```text
//!   allocate -> FreshPasid -bind-> BoundPasid -unbind-> RetiredPasid
//!       ^                                                    | flushed from every TLB
//!       +----------------------reclaim---------------- FlushedPasid
//! ```
//!
//! A token that is dropped or forgotten leaks its number; it never comes back
//! unflushed.
//!
//! **INV-PASID**: there is at most one token for a number, so whoever holds it
//! is the only one who changes the number's place in the table.
//!
//! **INV-WALKER**: a walk uses the walker of a place only while it is counted
//! as a reader and has seen the place live after it was counted. `unbind`
//! clears *live*, runs a full fence, and waits until no reader is left before
//! it takes the walker out. So after `unbind` no walk for the number gives
//! anything, and none is under way.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::fmt;

use mmu_protocol::{Access, VirtAddr};

use crate::invalidate::SourceDone;
use crate::lock::Lock;
use crate::source::{PageTableWalk, Root, Source};
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use crate::sync::relax;
use crate::tlb::Tlb;
use crate::translation::{Pasid, Scope, Translation};

/// The TLB of an IOMMU.
pub type Iotlb<W> = Tlb<PasidTable<W>>;

/// The TLB of a device with ATS: refills from the IOTLB.
pub type Atc<W> = Tlb<Arc<Iotlb<W>>>;

struct Place<W> {
    live: AtomicBool,
    readers: AtomicUsize,
    walker: UnsafeCell<Option<W>>,
}

/// Which PASID stands for which address space; the source of an [`Iotlb`].
pub struct PasidTable<W> {
    places: Box<[Place<W>]>,
    /// Numbers that nobody has; the last one is handed out next.
    free: Lock<Vec<u32>>,
    number: usize,
}

// SAFETY: INV-PASID, INV-WALKER: a walker is moved by the one holder of a
// token, and shared with walks, which many threads run at once.
unsafe impl<W: Send + Sync> Sync for PasidTable<W> {}

/// Not a model checker's atomic: the numbers outlive its executions.
static NEXT_NUMBER: core::sync::atomic::AtomicUsize = core::sync::atomic::AtomicUsize::new(0);

macro_rules! token {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, PartialEq, Eq)]
        #[must_use = "a token that is dropped leaks its number"]
        pub struct $name {
            pasid: Pasid,
            table: usize,
        }

        impl $name {
            /// The number.
            pub const fn pasid(&self) -> Pasid {
                self.pasid
            }
        }
    };
}

token! {
    /// A number that stands for nothing yet and is in no TLB.
    FreshPasid
}
token! {
    /// A number that stands for an address space.
    BoundPasid
}
token! {
    /// A number that stands for nothing any more; TLBs may still hold entries.
    RetiredPasid
}
token! {
    /// A number that stands for nothing and is in no TLB any more.
    FlushedPasid
}

/// All PASIDs of the table are in use, or were leaked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("all pasids of the table are in use; unbind and flush one first")
    }
}

impl core::error::Error for Exhausted {}

impl<W: PageTableWalk> PasidTable<W> {
    /// A table of the PASIDs from 1 to `count`. Zero is left to requests
    /// without a PASID.
    ///
    /// # Panics
    ///
    /// If `count` does not fit in 20 bits.
    pub fn new(count: u32) -> Self {
        assert!(Pasid::new(count).is_some(), "a pasid has 20 bits");
        let place = |_| Place {
            live: AtomicBool::new(false),
            readers: AtomicUsize::new(0),
            walker: UnsafeCell::new(None),
        };
        PasidTable {
            places: (0..count).map(place).collect(),
            free: Lock::new((1..=count).rev().collect()),
            number: NEXT_NUMBER.fetch_add(1, core::sync::atomic::Ordering::Relaxed),
        }
    }

    /// Takes a number out of the pool. A number that was given back is handed
    /// out again first: what was forgotten in a TLB shows at once.
    ///
    /// # Errors
    ///
    /// [`Exhausted`] if there is none.
    pub fn allocate(&self) -> Result<FreshPasid, Exhausted> {
        let number = self.free.lock().pop().ok_or(Exhausted)?;
        let pasid = Pasid::new(number).ok_or(Exhausted)?;
        Ok(FreshPasid { pasid, table: self.number })
    }

    /// Makes the number stand for the address space that `walker` walks.
    ///
    /// # Panics
    ///
    /// If the number is from another table.
    pub fn bind(&self, fresh: FreshPasid, walker: W) -> BoundPasid {
        let pasid = self.own(fresh.table, fresh.pasid);
        let place = &self.places[pasid.get() as usize - 1];
        // SAFETY: INV-PASID: the token is ours; INV-WALKER: the place is not
        // live, so no walk reads the walker.
        unsafe { *place.walker.get() = Some(walker) };
        place.live.store(true, Ordering::Release);
        BoundPasid { pasid, table: self.number }
    }

    /// Ends what the number stands for. When this returns no walk for it is
    /// under way, and none will give anything.
    ///
    /// Waits for the walks under way, which are bounded.
    ///
    /// # Panics
    ///
    /// If the number is from another table.
    pub fn unbind(&self, bound: BoundPasid) -> RetiredPasid {
        let pasid = self.own(bound.table, bound.pasid);
        let place = &self.places[pasid.get() as usize - 1];
        place.live.store(false, Ordering::Relaxed);
        // Pairs with the fence of `walk`.
        fence(Ordering::SeqCst);
        // Acquire: pairs with the release at the end of a walk.
        while place.readers.load(Ordering::Acquire) != 0 {
            relax();
        }
        // SAFETY: INV-PASID: the token is ours; INV-WALKER: no reader is left
        // that saw the place live, and none can come.
        drop(unsafe { (*place.walker.get()).take() });
        RetiredPasid { pasid, table: self.number }
    }

    /// Puts a number back into the pool.
    ///
    /// # Panics
    ///
    /// If the number is from another table.
    pub fn reclaim(&self, flushed: FlushedPasid) {
        let pasid = self.own(flushed.table, flushed.pasid);
        self.free.lock().push(pasid.get());
    }

    fn own(&self, table: usize, pasid: Pasid) -> Pasid {
        assert!(table == self.number, "the pasid was allocated in another table");
        pasid
    }
}

impl RetiredPasid {
    /// The number is in no TLB any more.
    pub(crate) fn flushed(self) -> FlushedPasid {
        FlushedPasid { pasid: self.pasid, table: self.table }
    }
}

impl<W: PageTableWalk> Tlb<PasidTable<W>> {
    /// Flushes everything of a retired number from this IOTLB and then from
    /// the device TLBs that used it.
    ///
    /// # Panics
    ///
    /// If the number is from another table, or a device TLB refills from
    /// another IOTLB.
    pub fn flush_retired(&self, retired: RetiredPasid, devices: &[Arc<Atc<W>>]) -> FlushedPasid {
        let pasid = self.source().own(retired.table, retired.pasid);
        let done: SourceDone<'_> = self.invalidate(Scope::pasid(pasid));
        for device in devices {
            device.invalidate_after(&done);
        }
        retired.flushed()
    }
}

impl<W: PageTableWalk> Source for PasidTable<W> {
    fn walk(&self, pasid: Pasid, addr: VirtAddr, _: Access) -> Option<Translation> {
        let place = self.places.get((pasid.get() as usize).checked_sub(1)?)?;
        if !place.live.load(Ordering::Relaxed) {
            // Not counted: walks of a dead number do not hold up its unbind.
            return None;
        }
        let _reader = Reader::enter(place);
        if !place.live.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: INV-WALKER: we are counted, and the place was live after that.
        unsafe { (*place.walker.get()).as_ref() }?.walk(addr)
    }
}

impl<W: PageTableWalk> Root for PasidTable<W> {}

/// Counted as a reader until dropped, also by a panic of the walker.
struct Reader<'p> {
    readers: &'p AtomicUsize,
}

impl<'p> Reader<'p> {
    fn enter<W>(place: &'p Place<W>) -> Self {
        place.readers.fetch_add(1, Ordering::Relaxed);
        // Pairs with the fence of `unbind`: either it counts us, or we see
        // that the place is dead.
        fence(Ordering::SeqCst);
        Reader { readers: &place.readers }
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.readers.fetch_sub(1, Ordering::Release);
    }
}

impl<W> fmt::Debug for PasidTable<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasidTable").field("count", &self.places.len()).finish_non_exhaustive()
    }
}
