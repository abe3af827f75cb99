//! Shared virtual addressing: devices that use the addresses of a process.
//!
//! An [`Sva`] binds one address space to a PASID and is the subscriber that
//! tells the IOTLB and the device TLBs. Registered with a
//! [`Mm`](mmu_notifier::Mm), it is told of every change; it passes the word on
//! from the source outwards, directly or through an invalidation queue.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use mmu_notifier::{Atomic, Invalidation, SecondaryTlb};

use crate::lock::Lock;
use crate::pasid::{Atc, BoundPasid, Exhausted, FlushedPasid, Iotlb};
use crate::queue::{DeviceId, InvalidationQueue};
use crate::source::PageTableWalk;
use crate::translation::{Pasid, Scope};

/// One address space, bound to the devices behind an IOTLB.
///
/// Its PASID goes back to the pool when it is dropped, so keep it until the
/// devices have stopped using the number. Until then, and after
/// [`release`](SecondaryTlb::release), their accesses fault.
pub struct Sva<W: PageTableWalk> {
    path: Path<W>,
    pasid: Pasid,
    token: Lock<Token>,
}

/// How the TLBs are reached.
enum Path<W: PageTableWalk> {
    Direct { iotlb: Arc<Iotlb<W>>, devices: Vec<Arc<Atc<W>>> },
    Queue { queue: Arc<InvalidationQueue<W>>, devices: Vec<DeviceId> },
}

enum Token {
    Bound(BoundPasid),
    Flushed(FlushedPasid),
    /// Somebody is working on it, or it is back in the pool.
    Gone,
}

/// Why an address space was not bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BindError {
    /// There is no PASID left.
    Exhausted,
    /// A device TLB refills from another IOTLB.
    ForeignDevice,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BindError::Exhausted => Exhausted.fmt(f),
            BindError::ForeignDevice => f.write_str(
                "a device tlb refills from another iotlb; bind it through the iommu it is behind",
            ),
        }
    }
}

impl core::error::Error for BindError {}

impl From<Exhausted> for BindError {
    fn from(Exhausted: Exhausted) -> Self {
        BindError::Exhausted
    }
}

impl<W: PageTableWalk> Sva<W> {
    /// Binds the address space that `walker` walks; invalidations go straight
    /// to the TLBs.
    ///
    /// The devices may use the PASID once the result is registered.
    ///
    /// # Errors
    ///
    /// [`BindError`]; nothing was bound.
    pub fn bind(
        iotlb: Arc<Iotlb<W>>,
        devices: Vec<Arc<Atc<W>>>,
        walker: W,
    ) -> Result<Self, BindError> {
        if !devices.iter().all(|device| Arc::ptr_eq(device.source(), &iotlb)) {
            return Err(BindError::ForeignDevice);
        }
        Self::over(Path::Direct { iotlb, devices }, walker)
    }

    /// As [`bind`](Self::bind), with the invalidations posted to a queue.
    ///
    /// # Errors
    ///
    /// [`BindError`]; nothing was bound.
    pub fn bind_queued(
        queue: Arc<InvalidationQueue<W>>,
        devices: Vec<DeviceId>,
        walker: W,
    ) -> Result<Self, BindError> {
        if !devices.iter().all(|device| queue.devices().any(|(own, _)| own == *device)) {
            return Err(BindError::ForeignDevice);
        }
        Self::over(Path::Queue { queue, devices }, walker)
    }

    fn over(path: Path<W>, walker: W) -> Result<Self, BindError> {
        let table = path.iotlb().source();
        let bound = table.bind(table.allocate()?, walker);
        Ok(Sva { pasid: bound.pasid(), token: Lock::new(Token::Bound(bound)), path })
    }

    /// The number that the devices use.
    pub fn pasid(&self) -> Pasid {
        self.pasid
    }

    /// The IOTLB that it is bound in.
    pub fn iotlb(&self) -> &Arc<Iotlb<W>> {
        self.path.iotlb()
    }

    fn unbind(&self) {
        // Taken out first: `unbind` waits for walks, and nobody spins meanwhile.
        let token = core::mem::replace(&mut *self.token.lock(), Token::Gone);
        let token = match token {
            Token::Bound(bound) => {
                let retired = self.path.iotlb().source().unbind(bound);
                Token::Flushed(match &self.path {
                    Path::Direct { iotlb, devices } => iotlb.flush_retired(retired, devices),
                    Path::Queue { queue, devices } => queue.flush_retired(retired, devices),
                })
            }
            token => token,
        };
        *self.token.lock() = token;
    }
}

impl<W: PageTableWalk> Path<W> {
    fn iotlb(&self) -> &Arc<Iotlb<W>> {
        match self {
            Path::Direct { iotlb, .. } => iotlb,
            Path::Queue { queue, .. } => queue.iotlb(),
        }
    }
}

// SAFETY: INV-TOLD. Entries of this address space are held in the IOTLB and in
// the devices' TLBs, under this PASID. `invalidate_range` drops the range from
// the IOTLB and after that from the devices (INV-ORDER), so what was taken
// before is held nowhere and no walk that began before installs it; each drop
// waits for the windows (INV-WINDOW), so the accesses have been performed. A
// size above 4 KiB widens the range to it, so that every walk through the
// tables under it is waited for. Neither step allocates, sleeps or takes a
// lock under which anybody does; windows are bounded. `release` unbinds first,
// after which no walk gives anything (INV-WALKER), and then drops everything;
// the number is not used for anything else before `self` is dropped.
unsafe impl<W: PageTableWalk> SecondaryTlb for Sva<W> {
    fn invalidate_range(&self, invalidation: &Invalidation, _: Atomic<'_>) {
        if invalidation.range.is_empty() {
            return;
        }
        let scope = Scope::widened(self.pasid, invalidation);
        match &self.path {
            Path::Direct { iotlb, devices } => {
                let done = iotlb.invalidate(scope);
                for device in devices {
                    device.invalidate_after(&done);
                }
            }
            Path::Queue { queue, devices } => queue.submit_and_wait(scope, devices),
        }
    }

    fn release(&self) {
        self.unbind();
    }
}

impl<W: PageTableWalk> Drop for Sva<W> {
    fn drop(&mut self) {
        // Whoever never registered it, or forgot the address space, gets here bound.
        self.unbind();
        let token = core::mem::replace(&mut *self.token.lock(), Token::Gone);
        if let Token::Flushed(flushed) = token {
            self.path.iotlb().source().reclaim(flushed);
        }
    }
}

impl<W: PageTableWalk> fmt::Debug for Sva<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sva").field("pasid", &self.pasid).finish_non_exhaustive()
    }
}
