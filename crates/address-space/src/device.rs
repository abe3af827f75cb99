//! Devices with ATS and PASID: they use the addresses of a process.
//!
//! Each device has a TLB of its own, refilled from the IOMMU's, which walks the
//! page table. A device that faults asks for the page and tries again.

use std::fmt;

use mmu_notifier::{SecondaryTlb, Subscription, Task};
use mmu_protocol::{Access, VirtAddr};
use secondary_tlb::{
    AccessError, Atc, DevicePort, FaultHandler, Iotlb, PageRequest, PageResponse, PasidTable, Sva,
    Tlb,
};

use crate::cpu::{check_word, word};
use crate::error::Error;
use crate::memory::Pfn;
use crate::space::AddressSpace;
use crate::sync::atomic::Ordering;
use crate::sync::{Arc, Mutex, Word, lock};
use crate::walk::Walker;

/// How often one access may fault before the device gives up.
const RETRIES: u32 = 10_000;

/// The IOMMU of a machine: one TLB for all devices, tagged by PASID.
#[derive(Clone)]
pub struct Iommu {
    iotlb: Arc<Iotlb<Walker>>,
}

impl Iommu {
    /// An IOMMU for this many address spaces at a time, with a TLB of about
    /// `entries` entries.
    pub fn new(pasids: u32, entries: usize) -> Self {
        Iommu { iotlb: Arc::new(Tlb::new(PasidTable::new(pasids), entries)) }
    }

    /// Lets a new device use an address space.
    ///
    /// May sleep: it waits for ranges that are running.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if no PASID or place is left or the address space has
    /// exited.
    pub fn attach(&self, space: &Arc<AddressSpace>, task: &mut Task) -> Result<Device, Error> {
        const ATC_ENTRIES: usize = 64;
        let hooks = &space.kernel().hooks;
        let atc = Arc::new(hooks.watched_tlb(space.id(), self.iotlb.clone(), ATC_ENTRIES));
        let walker = Walker::new(&space.kernel().tables);
        let sva = Sva::bind(self.iotlb.clone(), vec![atc.clone()], walker);
        let sva = Arc::new(sva.map_err(|_| Error::Device)?);
        let subscription = space.register_tlb(sva.clone(), task)?;
        Ok(Device { space: space.clone(), sva, atc, subscription: Some(subscription) })
    }
}

impl fmt::Debug for Iommu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iommu").field("iotlb", &self.iotlb).finish()
    }
}

/// A device that uses an address space. Its threads are made with
/// [`thread`](Self::thread).
///
/// Dropping it without [`detach`](Self::detach) leaves its TLB registered until
/// the address space exits.
pub struct Device {
    space: Arc<AddressSpace>,
    sva: Arc<Sva<Walker>>,
    atc: Arc<Atc<Walker>>,
    subscription: Option<Subscription<Arc<dyn SecondaryTlb>>>,
}

impl Device {
    /// One of its threads; all of them share the device's TLB.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if it has 64 already.
    pub fn thread(&self) -> Result<DeviceThread, Error> {
        let port = self.atc.port().map_err(|_| Error::Device)?;
        let faults = PageFaults { space: self.space.clone(), refusal: Arc::default() };
        let refusal = faults.refusal.clone();
        let port = DevicePort::new(port, faults, RETRIES);
        Ok(DeviceThread { space: self.space.clone(), sva: self.sva.clone(), port, refusal })
    }

    /// Stops the device: when this has returned it reaches nothing any more.
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// [`Error::Nested`] if this task has a range open.
    pub fn detach(mut self, task: &mut Task) -> Result<(), Error> {
        let Some(subscription) = self.subscription.take() else { return Ok(()) };
        match self.space.mm.unregister_tlb(subscription, task) {
            Ok(_) => Ok(()),
            Err(error) => match error.reason {
                // It was told to stop when the address space exited.
                mmu_notifier::UnregisterRefusal::Released => Ok(()),
                _ => {
                    self.subscription = Some(error.subscription);
                    Err(Error::Nested)
                }
            },
        }
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device").field("pasid", &self.sva.pasid()).finish_non_exhaustive()
    }
}

/// Answers page requests with the address space's fault handler.
///
/// A request is served in the thread that makes it, or, if that thread is a
/// task of its own, in another one: as an interrupt thread would.
#[derive(Clone)]
struct PageFaults {
    space: Arc<AddressSpace>,
    /// Why the last request was refused: a page response does not say it.
    refusal: Arc<Mutex<Option<Error>>>,
}

impl PageFaults {
    fn serve(&self, request: PageRequest, task: &mut Task) -> PageResponse {
        match self.space.handle_fault(request.addr, request.access, task) {
            Ok(()) => PageResponse::Success,
            Err(error) => {
                *lock(&self.refusal) = Some(error);
                let failed = error == Error::OutOfFrames;
                if failed { PageResponse::Failure } else { PageResponse::Invalid }
            }
        }
    }
}

impl FaultHandler for PageFaults {
    fn handle(&self, request: PageRequest) -> PageResponse {
        if let Ok(mut task) = Task::current() {
            return self.serve(request, &mut task);
        }
        let faults = self.clone();
        let server = crate::sync::thread::spawn(move || {
            let mut task = Task::current().expect("a new thread has no task yet");
            faults.serve(request, &mut task)
        });
        server.join().unwrap_or(PageResponse::Failure)
    }
}

/// A thread of a device: loads and stores through the device's TLB.
///
/// It must not be used while the calling thread holds a lock of the address
/// space: a fault would wait for it.
pub struct DeviceThread {
    space: Arc<AddressSpace>,
    /// Keeps the PASID from standing for another address space while we use it.
    sva: Arc<Sva<Walker>>,
    port: DevicePort<Arc<Iotlb<Walker>>, PageFaults>,
    refusal: Arc<Mutex<Option<Error>>>,
}

impl DeviceThread {
    /// Loads a word, asking for its page if need be.
    ///
    /// # Errors
    ///
    /// [`Error::Misaligned`], or why the page request was refused.
    pub fn load(&mut self, addr: VirtAddr) -> Result<u64, Error> {
        self.load_from(addr).map(|(value, _)| value)
    }

    /// Loads a word and tells from which frame.
    ///
    /// # Errors
    ///
    /// As for [`load`](Self::load).
    pub fn load_from(&mut self, addr: VirtAddr) -> Result<(u64, Pfn), Error> {
        self.access(addr, Access::Read, |word, pfn| (word.load(Ordering::Acquire), pfn))
    }

    /// Stores a word, asking for its page if need be.
    ///
    /// # Errors
    ///
    /// As for [`load`](Self::load).
    pub fn store(&mut self, addr: VirtAddr, value: u64) -> Result<(), Error> {
        self.access(addr, Access::Write, |word, _| word.store(value, Ordering::Release))
    }

    /// Adds to a word in one step; returns what it was.
    ///
    /// # Errors
    ///
    /// As for [`load`](Self::load).
    pub fn add(&mut self, addr: VirtAddr, value: u64) -> Result<u64, Error> {
        self.access(addr, Access::Write, |word, _| word.fetch_add(value, Ordering::AcqRel))
    }

    /// Loads a word if the TLB or a walk gives it; asks nobody.
    pub fn try_load(&mut self, addr: VirtAddr) -> Option<u64> {
        self.attempt(addr, Access::Read, |word| word.load(Ordering::Acquire))
    }

    /// Stores a word if the TLB or a walk allows it; asks nobody.
    pub fn try_store(&mut self, addr: VirtAddr, value: u64) -> Option<()> {
        self.attempt(addr, Access::Write, |word| word.store(value, Ordering::Release))
    }

    fn attempt<R>(
        &mut self,
        addr: VirtAddr,
        access: Access,
        perform: impl FnOnce(&Word) -> R,
    ) -> Option<R> {
        let memory = self.space.memory();
        self.port
            .port()
            .translate_with(self.sva.pasid(), addr, access, |found| {
                perform(word(memory, found, addr))
            })
            .ok()
    }

    fn access<R>(
        &mut self,
        addr: VirtAddr,
        access: Access,
        perform: impl FnOnce(&Word, Pfn) -> R,
    ) -> Result<R, Error> {
        check_word(addr)?;
        let memory = self.space.memory();
        let done = self.port.access(self.sva.pasid(), addr, access, |found| {
            perform(word(memory, found, addr), found.frame(addr))
        });
        done.map_err(|error| match (error, lock(&self.refusal).take()) {
            (AccessError::Failure(_) | AccessError::Invalid(_), Some(refusal)) => refusal,
            _ => Error::NoMapping { addr },
        })
    }
}

impl fmt::Debug for DeviceThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceThread").field("pasid", &self.sva.pasid()).finish_non_exhaustive()
    }
}
