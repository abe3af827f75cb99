//! A TLB of 16,384 pages, ours and vm-memory's.
//!
//! Both hold the same translations, which do not merge into larger ranges,
//! and are asked for the same pages in the same shuffled order. vm-memory's
//! answers for byte ranges of any length; ours for a page. It is asked for
//! eight bytes inside a page, so it needs one answer as well. It is used
//! without a lock where that is better for it.

use std::hint::black_box;
use std::sync::{Arc, RwLock};

use mmu_notifier::Task;
use secondary_tlb::protocol::{Access, PageSize, VirtAddr};
use secondary_tlb::{Iotlb, PasidTable, Port, Scope, Sva, Tlb};
use vm_memory::iommu::Iotlb as PeerTlb;
use vm_memory::{GuestAddress, Permissions};

use crate::radix::Radix;
use crate::work::{Case, Pass};

pub const HIT_VALUE: &str = "hit, value with check";
pub const HIT_GUARDED: &str = "hit, guarded access";
pub const HIT_PEER: &str = "vm-memory lookup";
pub const HIT_PEER_LOCKED: &str = "vm-memory lookup under RwLock";
pub const WALK_LOCKED: &str = "walk under RwLock, no cache";
pub const ABSENT: &str = "lookup of an absent page";
pub const ABSENT_PEER: &str = "vm-memory lookup of an absent page";
pub const MISS: &str = "miss, walk and fill";
pub const MISS_PEER: &str = "vm-memory miss, walk and set_mapping";
pub const INVALIDATE: &str = "invalidate a page";
pub const INVALIDATE_PEER: &str = "vm-memory invalidate_mapping";
pub const REFILL: &str = "invalidate and refill";
pub const REFILL_PEER: &str = "vm-memory invalidate_mapping, walk and set_mapping";

/// Pages in the TLB.
pub const ENTRIES: usize = 16_384;
/// Pages of a pass that removes them.
const PASS: usize = 1024;
/// The first page, and one that nobody maps.
const FIRST: u64 = 0x10_0000;
const UNMAPPED: u64 = FIRST + (1 << 20);

/// Ours and the peers'.
pub fn cases() -> Vec<Case> {
    let mut cases = hits();
    cases.extend(changes());
    cases
}

fn hits() -> Vec<Case> {
    vec![
        Case::warmed(HIT_VALUE, ENTRIES as u64, |_| {
            let mut ours = Ours::new();
            let mut order = Order::new();
            move |_: &mut Task| {
                let addr = order.next();
                let pasid = ours.sva.pasid();
                let checked = ours.port.translate(pasid, addr, Access::Read).expect("it is mapped");
                black_box(checked.frame(addr));
                black_box(ours.iotlb.is_current(&checked));
            }
        }),
        Case::warmed(HIT_GUARDED, ENTRIES as u64, |_| {
            let mut ours = Ours::new();
            let mut order = Order::new();
            move |_: &mut Task| {
                let addr = order.next();
                let pasid = ours.sva.pasid();
                let frame = ours.port.translate_with(pasid, addr, Access::Read, |page| page.pfn);
                black_box(frame.expect("it is mapped"));
            }
        }),
        Case::warmed(HIT_PEER, ENTRIES as u64, |_| {
            let peer = peer();
            let mut order = Order::new();
            move |_: &mut Task| {
                let addr = GuestAddress(order.next().as_u64());
                let found = PeerTlb::lookup(&peer, addr, 8, Permissions::Read);
                black_box(found.expect("it is mapped").next());
            }
        }),
        Case::warmed(HIT_PEER_LOCKED, ENTRIES as u64, |_| {
            let peer = RwLock::new(peer());
            let mut order = Order::new();
            move |_: &mut Task| {
                let addr = GuestAddress(order.next().as_u64());
                let tlb = peer.read().expect("nobody panics with it");
                let found = PeerTlb::lookup(tlb, addr, 8, Permissions::Read);
                black_box(found.expect("it is mapped").next());
            }
        }),
        Case::warmed(WALK_LOCKED, ENTRIES as u64, |_| {
            let table = RwLock::new(table());
            let mut order = Order::new();
            move |_: &mut Task| {
                let page = order.next().as_u64() >> PageSize::Base.shift();
                let table = table.read().expect("nobody panics with it");
                black_box(table.frame(page).expect("it is mapped"));
            }
        }),
        Case::warmed(ABSENT, ENTRIES as u64, |_| {
            let ours = Ours::new();
            let mut order = Order::new();
            move |_: &mut Task| {
                let addr = order.next().offset((UNMAPPED - FIRST) << 12);
                black_box(ours.iotlb.lookup(ours.sva.pasid(), addr, Access::Read));
            }
        }),
        Case::warmed(ABSENT_PEER, ENTRIES as u64, |_| {
            let peer = peer();
            let mut order = Order::new();
            move |_: &mut Task| {
                let addr = order.next().offset((UNMAPPED - FIRST) << 12);
                let addr = GuestAddress(addr.as_u64());
                black_box(PeerTlb::lookup(&peer, addr, 8, Permissions::Read).is_err());
            }
        }),
    ]
}

fn changes() -> Vec<Case> {
    vec![
        Case::passes(MISS, |_| OurMisses(Ours::new(), Order::new())),
        Case::passes(MISS_PEER, |_| PeerMisses(peer(), table(), Order::new())),
        Case::passes(INVALIDATE, |_| OurInvalidations(Ours::new(), Order::new())),
        Case::passes(INVALIDATE_PEER, |_| PeerInvalidations(peer(), table(), Order::new())),
        Case::warmed(REFILL, ENTRIES as u64, |_| {
            let mut ours = Ours::new();
            let mut order = Order::new();
            move |_: &mut Task| {
                let addr = order.next();
                ours.invalidate(addr);
                ours.touch(addr);
            }
        }),
        Case::warmed(REFILL_PEER, ENTRIES as u64, |_| {
            let mut peer = peer();
            let table = table();
            let mut order = Order::new();
            move |_: &mut Task| {
                let addr = order.next();
                peer.invalidate_mapping(GuestAddress(addr.as_u64()), 4096);
                fill(&mut peer, &table, addr);
            }
        }),
    ]
}

/// Our IOTLB over the table, with one port, full.
///
/// Before each sample every page is asked for once, so that what is measured
/// is the structure and not what the case before has left in the caches.
struct Ours {
    iotlb: Arc<Iotlb<Radix>>,
    sva: Sva<Radix>,
    port: Port<PasidTable<Radix>>,
}

impl Ours {
    fn new() -> Self {
        let iotlb = Arc::new(Tlb::new(PasidTable::new(4), ENTRIES));
        let sva = Sva::bind(Arc::clone(&iotlb), Vec::new(), table()).expect("there is a pasid");
        let port = iotlb.port().expect("there is a port");
        let mut ours = Ours { iotlb, sva, port };
        let mut order = Order::new();
        for _ in 0..ENTRIES {
            ours.touch(order.next());
        }
        ours
    }

    fn touch(&mut self, addr: VirtAddr) {
        let found = self.port.translate(self.sva.pasid(), addr, Access::Read);
        black_box(found.expect("it is mapped").frame(addr));
    }

    fn invalidate(&mut self, addr: VirtAddr) {
        black_box(self.iotlb.invalidate(Scope::page(self.sva.pasid(), addr, PageSize::Base)));
    }
}

/// vm-memory's IOTLB with the same translations.
fn peer() -> PeerTlb {
    let mut peer = PeerTlb::new();
    let table = table();
    let mut order = Order::new();
    for _ in 0..ENTRIES {
        fill(&mut peer, &table, order.next());
    }
    peer
}

fn look_up(peer: &PeerTlb, addr: VirtAddr) {
    let found = PeerTlb::lookup(peer, GuestAddress(addr.as_u64()), 8, Permissions::Read);
    black_box(found.expect("it is mapped").next());
}

fn fill(peer: &mut PeerTlb, table: &Radix, addr: VirtAddr) {
    let frame = table.frame(addr.as_u64() >> PageSize::Base.shift()).expect("it is mapped");
    let (from, to) = (GuestAddress(addr.as_u64()), GuestAddress(frame << PageSize::Base.shift()));
    peer.set_mapping(from, to, 4096, Permissions::ReadWrite).expect("it never fails");
}

/// Neighbours lead to frames that are no neighbours.
fn table() -> Radix {
    let frames: Vec<u64> = (0..ENTRIES as u64).map(|page| page * 7 % ENTRIES as u64).collect();
    Radix::new(FIRST, &frames)
}

/// All pages in a fixed shuffled order, over and over.
struct Order {
    addresses: Vec<VirtAddr>,
    next: usize,
}

impl Order {
    fn new() -> Self {
        let mut addresses: Vec<VirtAddr> =
            (FIRST..FIRST + ENTRIES as u64).map(|page| VirtAddr::new(page << 12)).collect();
        // Any constant will do; the same for everybody.
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        for last in (1..addresses.len()).rev() {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            addresses.swap(last, state as usize % (last + 1));
        }
        Order { addresses, next: 0 }
    }

    #[inline]
    fn next(&mut self) -> VirtAddr {
        self.next = (self.next + 1) % ENTRIES;
        self.addresses[self.next]
    }

    fn for_each(&self, each: impl FnMut(VirtAddr)) {
        self.addresses.iter().copied().for_each(each);
    }

    /// The pages of the next pass.
    fn pass(&mut self) {
        self.next = (self.next + PASS) % ENTRIES;
    }

    #[inline]
    fn of_pass(&self, step: u64) -> VirtAddr {
        self.addresses[(self.next + step as usize) % ENTRIES]
    }
}

struct OurMisses(Ours, Order);

impl Pass for OurMisses {
    fn steps(&self) -> u64 {
        PASS as u64
    }
    fn set_up(&mut self) {
        self.1.for_each(|addr| self.0.touch(addr));
        self.1.pass();
        for step in 0..PASS as u64 {
            self.0.invalidate(self.1.of_pass(step));
        }
    }
    #[inline]
    fn step(&mut self, step: u64) {
        self.0.touch(self.1.of_pass(step));
    }
}

struct PeerMisses(PeerTlb, Radix, Order);

impl Pass for PeerMisses {
    fn steps(&self) -> u64 {
        PASS as u64
    }
    fn set_up(&mut self) {
        self.2.for_each(|addr| look_up(&self.0, addr));
        self.2.pass();
        for step in 0..PASS as u64 {
            self.0.invalidate_mapping(GuestAddress(self.2.of_pass(step).as_u64()), 4096);
        }
    }
    #[inline]
    fn step(&mut self, step: u64) {
        let addr = self.2.of_pass(step);
        let guest = GuestAddress(addr.as_u64());
        assert!(PeerTlb::lookup(&self.0, guest, 8, Permissions::Read).is_err());
        fill(&mut self.0, &self.1, addr);
    }
}

struct OurInvalidations(Ours, Order);

impl Pass for OurInvalidations {
    fn steps(&self) -> u64 {
        PASS as u64
    }
    fn set_up(&mut self) {
        self.1.for_each(|addr| self.0.touch(addr));
        self.1.pass();
    }
    #[inline]
    fn step(&mut self, step: u64) {
        self.0.invalidate(self.1.of_pass(step));
    }
}

struct PeerInvalidations(PeerTlb, Radix, Order);

impl Pass for PeerInvalidations {
    fn steps(&self) -> u64 {
        PASS as u64
    }
    fn set_up(&mut self) {
        for step in 0..PASS as u64 {
            fill(&mut self.0, &self.1, self.2.of_pass(step));
        }
        self.2.for_each(|addr| look_up(&self.0, addr));
        self.2.pass();
    }
    #[inline]
    fn step(&mut self, step: u64) {
        let addr = GuestAddress(self.2.of_pass(step).as_u64());
        self.0.invalidate_mapping(addr, 4096);
    }
}
