//! Processors: each has a TLB of its own and loads and stores through it.

use std::fmt;

use mmu_notifier::Task;
use mmu_protocol::{Access, PageSize, VirtAddr, VirtRange};
use secondary_tlb::{Pasid, Port, Scope, Tlb, Translation};

use crate::error::Error;
use crate::memory::Memory;
use crate::space::AddressSpace;
use crate::sync::atomic::Ordering;
use crate::sync::{Arc, RwLock, Word, read, write};
use crate::walk::Walker;

type CpuTlb = Tlb<Walker>;

/// Entries of a processor's TLB.
const ENTRIES: usize = 64;

/// A CPU's TLB belongs to one address space; the tag is always the same.
const TAG: Pasid = match Pasid::new(0) {
    Some(tag) => tag,
    None => unreachable!(),
};

/// The TLBs of the processors that run in an address space.
#[derive(Default)]
pub(crate) struct CpuTlbs {
    /// A processor that joins during a flush starts empty and finds the tables
    /// as they are after the change, so it need not be flushed.
    running: RwLock<Vec<Arc<CpuTlb>>>,
}

impl CpuTlbs {
    /// Drops a range from every processor's TLB and waits for the accesses
    /// that use it: the shootdown.
    pub(crate) fn flush(&self, range: VirtRange, _size: PageSize) {
        for tlb in read(&self.running).iter() {
            tlb.invalidate(Scope::range(TAG, range));
        }
    }

    fn join(&self, tlb: &Arc<CpuTlb>) {
        write(&self.running).push(tlb.clone());
    }

    fn leave(&self, tlb: &Arc<CpuTlb>) {
        write(&self.running).retain(|running| !Arc::ptr_eq(running, tlb));
    }
}

/// A processor that runs in an address space.
///
/// `Send`, so that it can be made in one thread and used in another; each
/// thread needs its own.
pub struct Cpu {
    space: Arc<AddressSpace>,
    tlb: Arc<CpuTlb>,
    port: Port<Walker>,
}

impl Cpu {
    /// A processor with an empty TLB.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyCpus`] never happens for a new TLB; it is kept for
    /// platforms with shared ones.
    pub fn new(space: &Arc<AddressSpace>) -> Result<Self, Error> {
        let walker = Walker::new(&space.kernel().tables);
        let tlb = Arc::new(space.kernel().hooks.watched_tlb(space.id(), walker, ENTRIES));
        let port = tlb.port().map_err(|_| Error::TooManyCpus)?;
        space.kernel().cpus.join(&tlb);
        Ok(Cpu { space: space.clone(), tlb, port })
    }

    /// The address space it runs in.
    pub fn space(&self) -> &Arc<AddressSpace> {
        &self.space
    }

    /// Loads a word, faulting its page in if need be.
    ///
    /// # Errors
    ///
    /// [`Error::Misaligned`], or why the fault could not be handled.
    pub fn load(&mut self, addr: VirtAddr, task: &mut Task) -> Result<u64, Error> {
        self.access(addr, Access::Read, task, |word| word.load(Ordering::Acquire))
    }

    /// Stores a word, faulting its page in if need be.
    ///
    /// # Errors
    ///
    /// As for [`load`](Self::load).
    pub fn store(&mut self, addr: VirtAddr, value: u64, task: &mut Task) -> Result<(), Error> {
        self.access(addr, Access::Write, task, |word| word.store(value, Ordering::Release))
    }

    /// Adds to a word in one step; returns what it was.
    ///
    /// # Errors
    ///
    /// As for [`load`](Self::load).
    pub fn add(&mut self, addr: VirtAddr, value: u64, task: &mut Task) -> Result<u64, Error> {
        self.access(addr, Access::Write, task, |word| word.fetch_add(value, Ordering::AcqRel))
    }

    /// Loads a word if the access is possible without a fault.
    ///
    /// # Errors
    ///
    /// [`Error::NotPresent`] if it would fault.
    pub fn try_load(&mut self, addr: VirtAddr) -> Result<u64, Error> {
        self.attempt(addr, Access::Read, |word| word.load(Ordering::Acquire))
            .ok_or(Error::NotPresent { addr })
    }

    /// Stores a word if the access is possible without a fault.
    ///
    /// # Errors
    ///
    /// [`Error::NotPresent`] if it would fault.
    pub fn try_store(&mut self, addr: VirtAddr, value: u64) -> Result<(), Error> {
        self.attempt(addr, Access::Write, |word| word.store(value, Ordering::Release))
            .ok_or(Error::NotPresent { addr })
    }

    fn attempt<R>(
        &mut self,
        addr: VirtAddr,
        access: Access,
        perform: impl FnOnce(&Word) -> R,
    ) -> Option<R> {
        let memory = self.space.memory();
        self.port.translate_with(TAG, addr, access, |found| perform(word(memory, found, addr))).ok()
    }

    fn access<R>(
        &mut self,
        addr: VirtAddr,
        access: Access,
        task: &mut Task,
        perform: impl Fn(&Word) -> R,
    ) -> Result<R, Error> {
        check_word(addr)?;
        loop {
            if let Some(result) = self.attempt(addr, access, &perform) {
                return Ok(result);
            }
            self.space.handle_fault(addr, access, task)?;
        }
    }
}

impl Drop for Cpu {
    fn drop(&mut self) {
        self.space.kernel().cpus.leave(&self.tlb);
    }
}

impl fmt::Debug for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cpu").field("space", &self.space.id()).finish_non_exhaustive()
    }
}

/// Whether a word of 8 bytes can start here.
pub(crate) fn check_word(addr: VirtAddr) -> Result<(), Error> {
    if addr.as_u64() % 8 == 0 { Ok(()) } else { Err(Error::Misaligned { addr }) }
}

/// The word that a translation leads to.
pub(crate) fn word<'m>(memory: &'m Memory, found: &Translation, addr: VirtAddr) -> &'m Word {
    memory.word(found.frame(addr), addr.page_offset(PageSize::Base))
}
