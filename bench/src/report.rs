//! Which rows the table has.

use crate::cases::{iotlb, range, read_side};
use crate::table::{Row, Section, Target};

fn row(
    what: &'static str,
    ours: &'static str,
    (peer_is, peer): (&'static str, &'static str),
    target: Option<Target>,
) -> Row {
    Row { what, ours, peer: Some(peer), peer_is, target }
}

fn ns(most: f64) -> Option<Target> {
    Some(Target::Nanoseconds(most))
}

/// Start and end of a range.
pub fn ranges() -> Section {
    let rwlock = ("std RwLock around an empty list", range::RWLOCK[0].1);
    Section {
        title: "A range, start and end",
        rows: vec![
            row("nobody registered", range::RANGE_NONE, rwlock, ns(3.0)),
            row(
                "nobody registered",
                range::RANGE_NONE,
                ("arc-swap of an empty list", range::ARC_SWAP[0].1),
                None,
            ),
            row(
                "1 TLB (called at the first clear, not here)",
                range::RANGE_TLB,
                ("RwLock, 1 called", range::RWLOCK[1].1),
                None,
            ),
            row(
                "1 no-op mirror (called twice)",
                range::RANGE_MIRROR,
                ("RwLock, 1 called", range::RWLOCK[1].1),
                None,
            ),
        ],
        note: "The peers only read a list; a range also announces itself, so that a registration \
               waits for it.",
    }
}

/// The COW path.
pub fn cow() -> Section {
    let rows = (0..4).map(|at| Row {
        what: [
            "0 subscribers: no ticket, no tombstone",
            "1: ticket drawn, tombstone stored, told",
            "8",
            "64",
        ][at],
        ours: range::TYPED[at].1,
        peer: Some(range::BY_HAND[at].1),
        peer_is: "by hand, same duties",
        target: (at < 2).then_some(Target::PeersInstructions),
    });
    Section {
        title: "COW: start, lock, slot, clear_flush_notify, set, end",
        rows: rows.collect(),
        note: "No page is copied and no CPU has a TLB: what is left is the protocol, two \
               exchanges of an entry, and a lock. Both sides use the same `Srcu`, lock, entries \
               and `Arc<dyn SecondaryTlb>`.",
    }
}

/// What only a list walk costs, for the slope.
pub fn dispatch() -> Section {
    let rows = (0..4).map(|at| {
        row(
            ["0 subscribers", "1", "8", "64"][at],
            range::ACCOUNTANTS[at].1,
            ("RwLock around a Vec, no-op calls", range::RWLOCK[at].1),
            None,
        )
    });
    Section {
        title: "Dispatch: mirrors that take a lock at start and at end",
        rows: rows.collect(),
        note: "Two calls with a lock each for every mirror of ours, one empty call for the \
               peer's: not the same work. These rows are for the slope beside KVM's, below.",
    }
}

/// The read section.
pub fn read_side() -> Section {
    let peers = [
        ("crossbeam-epoch pin", read_side::EPOCH),
        ("crossbeam-epoch, handle held", read_side::EPOCH_HANDLE),
        ("arc-swap load", read_side::ARC_SWAP),
        ("std RwLock read", read_side::STD_RWLOCK),
        ("parking_lot RwLock read", read_side::PARKING_LOT),
    ];
    let mut rows: Vec<Row> = peers
        .into_iter()
        .enumerate()
        .map(|(at, peer)| {
            let target = if at == 0 { ns(4.0) } else { None };
            row("SRCU, membarrier", read_side::MEMBARRIER, peer, target)
        })
        .collect();
    rows.push(row("SRCU, full fence", read_side::FULL_FENCE, peers[0], ns(12.0)));
    rows.push(row(
        "SRCU, membarrier, shared stripe (two read-modify-writes)",
        read_side::SHARED_STRIPE,
        peers[3],
        None,
    ));
    Section {
        title: "Read section of the subscriber list, enter and leave",
        rows,
        note: "Only SRCU lets a reader sleep for as long as it likes without delaying anybody but \
               the writers of its own list, and only it makes the writer wait. An epoch reader \
               that sleeps stops reclamation in the whole process; a lock's reader stops writers; \
               arc-swap has no way to wait for readers. Ours is told its stripe by the task \
               token; *handle held* gives the same to crossbeam-epoch.",
    }
}

/// The software IOTLB.
pub fn iotlb() -> Section {
    let bare = ("vm-memory `Iotlb`, no lock", iotlb::HIT_PEER);
    let locked = ("vm-memory `Iotlb` under RwLock", iotlb::HIT_PEER_LOCKED);
    Section {
        title: "Software IOTLB, 16,384 pages of 4 KiB that do not merge, shuffled",
        rows: vec![
            row("hit: value with check", iotlb::HIT_VALUE, bare, ns(10.0)),
            row("hit: guarded access (`translate_with`)", iotlb::HIT_GUARDED, locked, ns(15.0)),
            row(
                "hit: guarded access (`translate_with`)",
                iotlb::HIT_GUARDED,
                ("walk of 4 levels under RwLock, no cache", iotlb::WALK_LOCKED),
                None,
            ),
            row(
                "absent page: lookup alone",
                iotlb::ABSENT,
                ("vm-memory `lookup`", iotlb::ABSENT_PEER),
                None,
            ),
            row(
                "miss: lookup, walk, fill",
                iotlb::MISS,
                ("vm-memory `lookup`, same walk, `set_mapping`", iotlb::MISS_PEER),
                None,
            ),
            row(
                "invalidate one page",
                iotlb::INVALIDATE,
                ("vm-memory `invalidate_mapping`", iotlb::INVALIDATE_PEER),
                ns(50.0),
            ),
            row(
                "invalidate one page and refill it",
                iotlb::REFILL,
                ("vm-memory `invalidate_mapping`, same walk, `set_mapping`", iotlb::REFILL_PEER),
                None,
            ),
        ],
        note: "Same pages, same order, same table behind the misses. vm-memory answers for byte \
               ranges of any length and alignment, ours for one page; it is asked for 8 bytes in \
               a page, so one answer serves. Its changes are measured without a lock. Ours are \
               safe to use from many threads at once, and its invalidation returns only when no \
               access through the old translation is in flight; vm-memory's slices outlive its \
               guard.",
    }
}

/// Beside the live kernel.
#[cfg(target_os = "linux")]
pub fn live() -> Section {
    use crate::live::{COPY, FORK, ZERO};
    let mut rows = Vec::new();
    let whats = [
        ["write fault after fork", "same, 1 no-op mirror", "same, 8 no-op mirrors"],
        ["write fault on the zero page", "same, 1 no-op mirror", "same, 8 no-op mirrors"],
    ];
    let kernels = ["Linux, no notifier", "Linux, 1 open KVM VM", "Linux, 8 open KVM VMs"];
    for (names, whats) in [FORK, ZERO].into_iter().zip(whats) {
        for ((_, ours, kernel), (what, peer_is)) in
            names.into_iter().zip(whats.into_iter().zip(kernels))
        {
            rows.push(row(what, ours, (peer_is, kernel), None));
        }
    }
    rows.push(Row {
        what: "the copy of 4 KiB alone",
        ours: COPY,
        peer: None,
        peer_is: "",
        target: None,
    });
    Section {
        title: "COW fault with its 4 KiB copy: `address-space` beside the live kernel",
        rows,
        note: "The kernel's figures include the trap and its return, the VMA lookup, a page from \
               the allocator and its charge to the memory cgroup, reverse map and LRU, and, with \
               VMs open, KVM's lock and memory slots. Ours include a software TLB that misses, \
               the walk, a mutex, a reverse map in a vector, and a copy in 8-byte atomic words; \
               no trap, no cgroup, no LRU. The ratio says nothing about who is faster; read the \
               differences between the rows of one side.",
    }
}

/// All of them.
pub fn sections() -> Vec<Section> {
    vec![
        ranges(),
        cow(),
        read_side(),
        iotlb(),
        dispatch(),
        #[cfg(target_os = "linux")]
        live(),
    ]
}
