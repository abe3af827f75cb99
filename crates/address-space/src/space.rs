//! The address space: mappings, page tables, and the protocol between them.

use std::fmt;

use mmu_notifier::{Mm, Notifier, SecondaryTlb, Subscription, Task};
use mmu_protocol::{MmId, PageSize, VirtAddr, VirtRange};
use secondary_tlb::{PageTableWalk, Translation};

use crate::cpu::CpuTlbs;
use crate::error::Error;
use crate::memory::{Memory, OutOfFrames};
use crate::platform::{Hooks, Kernel, Observer};
use crate::point::{Operation, Point, Schedule, Stage};
use crate::policy::{Policy, WrongPolicy};
use crate::sync::{Arc, RwLock, read, write};
use crate::table::{END_OF_ADDRESSES, Tables};
use crate::vma::{Vma, Vmas};
use crate::walk::Walker;

/// An address space that CPUs and devices use at the same time.
///
/// Operations are methods, one file each, and take the calling thread's
/// [`Task`]. They may be called from any thread. `Send` and `Sync`.
///
/// Dropping it without [`exit`](Self::exit) leaks its frames: devices may
/// still translate to them.
pub struct AddressSpace {
    pub(crate) mm: Mm<Kernel>,
    /// The mmap_lock: read by faults and by what changes no mapping, written
    /// by what does.
    pub(crate) vmas: RwLock<Vmas>,
}

/// What an [`AddressSpace`] is built from.
pub struct Builder {
    memory: Arc<Memory>,
    hooks: Hooks,
}

/// The next number of an address space; 0 is the machine itself.
static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);

impl Builder {
    /// Reports every step to `observer`, the fills and uses of its CPUs' and
    /// devices' TLBs, and the frees of the pages that it asked for.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.hooks.observer = Some(observer);
        self
    }

    /// Lets `schedule` stop threads at [`Point`]s.
    pub fn schedule(mut self, schedule: Arc<dyn Schedule>) -> Self {
        self.hooks.schedule = Some(schedule);
        self
    }

    /// Lets another thread run after each release of a page table lock.
    pub fn yield_after_unlock(mut self) -> Self {
        self.hooks.yield_after_unlock = true;
        self
    }

    /// Breaks the protocol on purpose. `reason` is for the reader of the call.
    ///
    /// # Safety
    ///
    /// INV-ASSUMED: nothing but the outcome of a test or a demonstration
    /// depends on what devices of this address space read and write.
    pub unsafe fn wrong_policy(mut self, policy: WrongPolicy, reason: &'static str) -> Self {
        let _ = reason;
        self.hooks.policy = Policy::Wrong(policy);
        self
    }

    /// Builds it.
    ///
    /// # Errors
    ///
    /// [`OutOfFrames`] if there is none for its root table.
    pub fn build(self) -> Result<Arc<AddressSpace>, OutOfFrames> {
        let id = MmId(NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        let tables = Arc::new(Tables::new(self.memory, id)?);
        if let Some(observer) = &self.hooks.observer {
            tables.memory().observe_frees(id, observer.clone());
        }
        let kernel = Kernel { tables, cpus: CpuTlbs::default(), hooks: self.hooks };
        Ok(Arc::new(AddressSpace { mm: Mm::new(kernel), vmas: RwLock::new(Vmas::default()) }))
    }
}

impl AddressSpace {
    /// An empty address space in this memory, following the protocol.
    ///
    /// # Errors
    ///
    /// [`OutOfFrames`] if there is none for its root table.
    pub fn new(memory: &Arc<Memory>) -> Result<Arc<Self>, OutOfFrames> {
        Self::builder(memory).build()
    }

    /// As [`new`](Self::new), with something to watch or steer it.
    pub fn builder(memory: &Arc<Memory>) -> Builder {
        Builder {
            memory: memory.clone(),
            hooks: Hooks {
                observer: None,
                schedule: None,
                yield_after_unlock: false,
                policy: Policy::InTime,
            },
        }
    }

    /// An empty address space with the same memory, observer and policy.
    pub(crate) fn sibling(&self) -> Result<Arc<Self>, OutOfFrames> {
        Builder { memory: self.memory().clone(), hooks: self.kernel().hooks.clone() }.build()
    }

    /// Its number in records.
    pub fn id(&self) -> MmId {
        self.kernel().tables.mm()
    }

    /// The memory it lives in.
    pub fn memory(&self) -> &Arc<Memory> {
        self.kernel().memory()
    }

    /// Reads its tables as hardware does, for a TLB of the caller's own. Such a
    /// TLB has to be [registered](Self::register_tlb) before it is used.
    pub fn walker(&self) -> Walker {
        Walker::new(&self.kernel().tables)
    }

    pub(crate) fn kernel(&self) -> &Kernel {
        self.mm.platform()
    }

    pub(crate) fn is_wrong(&self, policy: WrongPolicy) -> bool {
        self.kernel().hooks.policy.is(policy)
    }

    /// The calling thread stands at a point where a schedule may stop it.
    pub(crate) fn reach(&self, operation: Operation, stage: Stage, addr: VirtAddr) {
        if let Some(schedule) = &self.kernel().hooks.schedule {
            schedule.reach(Point { mm: self.id(), operation, stage, addr });
        }
    }

    /// Maps anonymous memory: every page reads as zero until it is written.
    ///
    /// # Errors
    ///
    /// [`Error::BadRange`] or [`Error::Overlap`].
    pub fn mmap(&self, range: VirtRange, vma: Vma) -> Result<(), Error> {
        check_range(range)?;
        if write(&self.vmas).insert(range, vma) { Ok(()) } else { Err(Error::Overlap { range }) }
    }

    /// The mappings, lowest first.
    pub fn mappings(&self) -> Vec<(VirtRange, Vma)> {
        read(&self.vmas).all()
    }

    /// What hardware finds for `addr` now: the frame, and what the entry grants.
    pub fn translate(&self, addr: VirtAddr) -> Option<Translation> {
        PageTableWalk::walk(&Walker::new(&self.kernel().tables), addr)
    }

    /// Registers a device TLB. Its device may translate when this has returned.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if there is no place or the address space has exited.
    pub fn register_tlb(
        &self,
        tlb: Arc<dyn SecondaryTlb>,
        task: &mut Task,
    ) -> Result<Subscription<Arc<dyn SecondaryTlb>>, Error> {
        self.mm.register_tlb(tlb, task).map_err(|_| Error::Device)
    }

    /// Registers a software mirror.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if there is no place or the address space has exited.
    pub fn register_notifier(
        &self,
        notifier: Arc<dyn Notifier>,
        task: &mut Task,
    ) -> Result<Subscription<Arc<dyn Notifier>>, Error> {
        self.mm.register_notifier(notifier, task).map_err(|_| Error::Device)
    }

    /// The protocol's own view of this address space, for unregistering and
    /// for changes of the caller's own.
    pub fn unregister_tlb(
        &self,
        subscription: Subscription<Arc<dyn SecondaryTlb>>,
        task: &mut Task,
    ) -> Result<(), Error> {
        self.mm.unregister_tlb(subscription, task).map(drop).map_err(|_| Error::Device)
    }
}

impl Drop for AddressSpace {
    fn drop(&mut self) {
        self.memory().forget_observer(self.id());
    }
}

/// Whether `range` is a whole number of pages that the tables can map.
pub(crate) fn check_range(range: VirtRange) -> Result<(), Error> {
    let whole = range.start().is_aligned(PageSize::Base) && range.end().is_aligned(PageSize::Base);
    if whole && !range.is_empty() && range.end() <= END_OF_ADDRESSES {
        Ok(())
    } else {
        Err(Error::BadRange { range })
    }
}

impl fmt::Debug for AddressSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AddressSpace").field("id", &self.id()).finish_non_exhaustive()
    }
}
