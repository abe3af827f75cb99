//! The invalidation queue: software posts, hardware executes, a wait
//! descriptor says when.
//!
//! # Protocol
//!
//! A ring of descriptors behind a short lock. Anybody may play the hardware
//! for one step ([`process`](InvalidationQueue::process)): a thread of its
//! own, or the waiter, who helps. Descriptors are executed outside the lock.
//!
//! A wait descriptor completes when everything posted before it is done, and
//! nothing posted after it begins before; then its number is written to the
//! status word. Between two waits the order is a choice of the machine
//! ([`Order`]): with [`Order::Any`] a device TLB may be invalidated before the
//! IOTLB that was posted first, takes the old entry from it once more, and
//! keeps it. [`submit_and_wait`](InvalidationQueue::submit_and_wait) posts a
//! wait in between where the machine needs one; a list that is
//! [posted](InvalidationQueue::post) by hand is executed as it stands.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::lock::Lock;
use crate::pasid::{Atc, FlushedPasid, Iotlb, RetiredPasid};
use crate::source::PageTableWalk;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::relax;
use crate::translation::{Pasid, Scope};

/// In which order the hardware executes what lies between two waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As posted, one at a time.
    Posted,
    /// In any. Executed youngest first, which is as far from the order of
    /// posting as it gets.
    Any,
}

/// A device TLB behind a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeviceId(usize);

/// What the hardware is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descriptor {
    /// Drop a scope from the IOTLB.
    Iotlb(Scope),
    /// Drop a scope from a device's TLB.
    Device(DeviceId, Scope),
    /// Drop everything of a PASID from the IOTLB.
    Pasid(Pasid),
}

/// The number of a wait descriptor, to be compared with the status word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WaitNumber(u64);

/// The ring has no room: let the hardware take a step, or help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingFull;

impl fmt::Display for RingFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the invalidation queue is full; process a descriptor and post again")
    }
}

impl core::error::Error for RingFull {}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Posted,
    Running,
    Done,
}

#[derive(Clone, Copy)]
enum Work {
    Invalidate(Descriptor),
    Wait(WaitNumber),
}

struct Slot {
    work: Work,
    state: State,
}

struct Ring {
    slots: VecDeque<Slot>,
    capacity: usize,
    /// The position of the front slot since the beginning of time.
    front: u64,
    last_wait: u64,
}

/// A queue of invalidations in front of an IOTLB and its device TLBs.
pub struct InvalidationQueue<W: PageTableWalk> {
    iotlb: Arc<Iotlb<W>>,
    devices: Vec<Arc<Atc<W>>>,
    order: Order,
    ring: Lock<Ring>,
    /// The number of the last wait that completed.
    status: AtomicU64,
}

impl<W: PageTableWalk> InvalidationQueue<W> {
    /// A queue of `capacity` descriptors.
    ///
    /// # Panics
    ///
    /// If there is no room for one descriptor, or if a device TLB does not
    /// refill from the IOTLB.
    pub fn new(
        iotlb: Arc<Iotlb<W>>,
        devices: Vec<Arc<Atc<W>>>,
        capacity: usize,
        order: Order,
    ) -> Self {
        assert!(capacity > 0, "a queue holds at least one descriptor");
        assert!(
            devices.iter().all(|device| Arc::ptr_eq(device.source(), &iotlb)),
            "a device tlb behind the queue refills from another iotlb"
        );
        let slots = VecDeque::with_capacity(capacity);
        InvalidationQueue {
            iotlb,
            devices,
            order,
            ring: Lock::new(Ring { slots, capacity, front: 0, last_wait: 0 }),
            status: AtomicU64::new(0),
        }
    }

    /// The IOTLB behind it.
    pub fn iotlb(&self) -> &Arc<Iotlb<W>> {
        &self.iotlb
    }

    /// The device TLBs behind it.
    pub fn devices(&self) -> impl Iterator<Item = (DeviceId, &Arc<Atc<W>>)> {
        self.devices.iter().enumerate().map(|(index, atc)| (DeviceId(index), atc))
    }

    /// Posts a descriptor, to be executed as it stands.
    ///
    /// # Errors
    ///
    /// [`RingFull`] if there is no room; nothing was posted.
    ///
    /// # Panics
    ///
    /// If the descriptor names a device that this queue does not have.
    pub fn post(&self, descriptor: Descriptor) -> Result<(), RingFull> {
        if let Descriptor::Device(device, _) = descriptor {
            assert!(device.0 < self.devices.len(), "the device is behind another queue");
        }
        self.ring.lock().push(|_| Work::Invalidate(descriptor)).map(|_| ())
    }

    /// Posts a wait descriptor.
    ///
    /// # Errors
    ///
    /// [`RingFull`] if there is no room; nothing was posted.
    pub fn post_wait(&self) -> Result<WaitNumber, RingFull> {
        let mut ring = self.ring.lock();
        ring.push(Work::Wait)
    }

    /// Whether everything before this wait descriptor is done.
    pub fn is_done(&self, wait: WaitNumber) -> bool {
        // Acquire: what was invalidated before the status was written is gone for us.
        self.status.load(Ordering::Acquire) >= wait.0
    }

    /// How many descriptors are not done yet.
    pub fn pending(&self) -> usize {
        self.ring.lock().slots.iter().filter(|slot| slot.state != State::Done).count()
    }

    /// Executes one descriptor, as the hardware would. `false` if there was
    /// none that may begin.
    pub fn process(&self) -> bool {
        let Some((position, descriptor)) = self.take() else { return false };
        let mut running = Running { queue: self, position, then: State::Posted };
        self.execute(descriptor);
        running.then = State::Done;
        true
    }

    /// Waits for a wait descriptor, and helps the hardware meanwhile.
    pub fn wait(&self, wait: WaitNumber) {
        while !self.is_done(wait) {
            if !self.process() {
                relax();
            }
        }
    }

    /// Invalidates the IOTLB and then these device TLBs, and waits for it. Does
    /// not allocate; if the ring is full it helps until there is room.
    pub fn submit_and_wait(&self, scope: Scope, devices: &[DeviceId]) {
        self.submit(Descriptor::Iotlb(scope), scope, devices);
    }

    /// Flushes everything of a retired PASID from the IOTLB and then from
    /// these device TLBs, and waits for it.
    pub fn flush_retired(&self, retired: RetiredPasid, devices: &[DeviceId]) -> FlushedPasid {
        let pasid = retired.pasid();
        self.submit(Descriptor::Pasid(pasid), Scope::pasid(pasid), devices);
        retired.flushed()
    }

    fn submit(&self, source: Descriptor, scope: Scope, devices: &[DeviceId]) {
        self.helping(|| self.post(source));
        if self.order == Order::Any && !devices.is_empty() {
            // INV-ORDER: nothing after this begins before the IOTLB is done.
            self.helping(|| self.post_wait());
        }
        for &device in devices {
            self.helping(|| self.post(Descriptor::Device(device, scope)));
        }
        let wait = self.helping(|| self.post_wait());
        self.wait(wait);
    }

    fn helping<T>(&self, mut post: impl FnMut() -> Result<T, RingFull>) -> T {
        loop {
            if let Ok(posted) = post() {
                return posted;
            }
            if !self.process() {
                relax();
            }
        }
    }

    /// The next descriptor that may begin. Completes the waits in front of it.
    fn take(&self) -> Option<(u64, Descriptor)> {
        let mut ring = self.ring.lock();
        loop {
            match ring.slots.front()? {
                Slot { state: State::Done, .. } => ring.pop(),
                Slot { work: Work::Wait(number), .. } => {
                    // Release: pairs with `is_done`.
                    self.status.store(number.0, Ordering::Release);
                    ring.pop();
                }
                Slot { .. } => break,
            }
        }
        let index = match self.order {
            Order::Posted => 0,
            Order::Any => ring.youngest_posted()?,
        };
        let slot = &mut ring.slots[index];
        match slot.work {
            Work::Invalidate(descriptor) if slot.state == State::Posted => {
                slot.state = State::Running;
                Some((ring.front + index as u64, descriptor))
            }
            _ => None,
        }
    }

    fn execute(&self, descriptor: Descriptor) {
        match descriptor {
            Descriptor::Iotlb(scope) => {
                self.iotlb.invalidate(scope);
            }
            Descriptor::Pasid(pasid) => {
                self.iotlb.invalidate(Scope::pasid(pasid));
            }
            Descriptor::Device(device, scope) => {
                // SAFETY: INV-ORDER: `submit` posts in this order; a list
                // posted by hand promises nothing.
                unsafe { self.devices[device.0].invalidate_unordered(scope) };
            }
        }
    }
}

impl Ring {
    fn push(&mut self, work: impl FnOnce(WaitNumber) -> Work) -> Result<WaitNumber, RingFull> {
        if self.slots.len() == self.capacity {
            return Err(RingFull);
        }
        let next = WaitNumber(self.last_wait + 1);
        let work = work(next);
        if matches!(work, Work::Wait(_)) {
            self.last_wait += 1;
        }
        self.slots.push_back(Slot { work, state: State::Posted });
        Ok(next)
    }

    fn pop(&mut self) {
        self.slots.pop_front();
        self.front += 1;
    }

    /// The last descriptor before the next wait that nobody has begun.
    fn youngest_posted(&self) -> Option<usize> {
        let is_wait = |slot: &Slot| matches!(slot.work, Work::Wait(_));
        let end = self.slots.iter().position(is_wait).unwrap_or(self.slots.len());
        (0..end).rev().find(|&index| self.slots[index].state == State::Posted)
    }
}

/// A descriptor is being executed. If that panics it goes back to the ring.
struct Running<'q, W: PageTableWalk> {
    queue: &'q InvalidationQueue<W>,
    position: u64,
    then: State,
}

impl<W: PageTableWalk> Drop for Running<'_, W> {
    fn drop(&mut self) {
        let mut ring = self.queue.ring.lock();
        let index = (self.position - ring.front) as usize;
        ring.slots[index].state = self.then;
    }
}

impl<W: PageTableWalk> fmt::Debug for InvalidationQueue<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InvalidationQueue")
            .field("order", &self.order)
            .field("devices", &self.devices.len())
            .finish_non_exhaustive()
    }
}
