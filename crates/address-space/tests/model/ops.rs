//! What a sequence is made of, and how it is drawn.
//!
//! All addresses are in two small places: twelve 4 KiB pages across the border
//! of two tables, and one 2 MiB page of which four parts are looked at. In so
//! little room everything meets everything.

use mmu_protocol::{PageSize, Rights, VirtAddr, VirtRange};
use proptest::collection::vec;
use proptest::prelude::*;

/// First of the small pages: the last six of one table, the first six of the next.
const SMALL: u64 = 506;
/// How many.
pub(crate) const SMALL_COUNT: u64 = 12;
/// First 4 KiB page of the 2 MiB page.
const HUGE: u64 = 2048;
/// The parts of it that are looked at.
const PARTS: [u64; 4] = [0, 1, 2, 511];

/// Pages that are looked at.
pub(crate) const CELLS: usize = SMALL_COUNT as usize + PARTS.len();

/// The number of the page of a cell.
pub(crate) fn cell_page(cell: usize) -> u64 {
    match cell.checked_sub(SMALL_COUNT as usize) {
        None => SMALL + cell as u64,
        Some(part) => HUGE + PARTS[part % PARTS.len()],
    }
}

/// The address of one of the two words of a page that are looked at.
pub(crate) fn word_addr(page: u64, word: usize) -> VirtAddr {
    VirtAddr::new((page << 12) + if word == 0 { 0 } else { 0xff8 })
}

/// A range of addresses.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Area {
    /// Some of the small pages.
    Small { first: u64, count: u64 },
    /// The 2 MiB page.
    Block,
    /// Two parts of the 2 MiB page.
    Parts,
}

impl Area {
    /// First page and number of pages.
    pub(crate) fn pages(self) -> std::ops::Range<u64> {
        match self {
            Area::Small { first, count } => {
                let end = (first + count).min(SMALL_COUNT);
                SMALL + first..SMALL + end
            }
            Area::Block => HUGE..HUGE + PageSize::Huge.base_pages(),
            Area::Parts => HUGE + 1..HUGE + 3,
        }
    }

    pub(crate) fn range(self) -> VirtRange {
        let pages = self.pages();
        VirtRange::sized(VirtAddr::new(pages.start << 12), (pages.end - pages.start) << 12)
    }
}

/// The start of the 2 MiB page.
pub(crate) fn block() -> VirtAddr {
    VirtAddr::new(HUGE << 12)
}

/// Who accesses.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Agent {
    Cpu(usize),
    Device(usize),
}

/// A load or a store of one word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access {
    /// Which address space, and which page; `None`: where the operation is that
    /// stands still.
    pub(crate) at: Option<(usize, usize)>,
    pub(crate) word: usize,
    pub(crate) agent: Agent,
    pub(crate) store: bool,
}

/// One step. Address spaces are numbered among those that live.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Mmap {
        space: usize,
        area: Area,
        rights: Rights,
    },
    Munmap {
        space: usize,
        area: Area,
    },
    Dontneed {
        space: usize,
        area: Area,
    },
    Mprotect {
        space: usize,
        area: Area,
        rights: Rights,
    },
    Mremap {
        space: usize,
        area: Area,
        to: u64,
    },
    Fork {
        space: usize,
    },
    Exit {
        space: usize,
    },
    Ksm {
        space: usize,
        cell: usize,
    },
    Split {
        space: usize,
    },
    Collapse {
        space: usize,
    },
    Replace {
        space: usize,
        cell: usize,
        word: usize,
    },
    Access(Access),
    /// The operation stands at one of its points while the others go on.
    Stopped {
        op: Box<Op>,
        stage: usize,
        meanwhile: Vec<Op>,
    },
}

fn area() -> impl Strategy<Value = Area> {
    prop_oneof![
        6 => (0..SMALL_COUNT, 1_u64..4).prop_map(|(first, count)| Area::Small { first, count }),
        1 => Just(Area::Block),
        1 => Just(Area::Parts),
    ]
}

fn rights() -> impl Strategy<Value = Rights> {
    prop_oneof![Just(Rights::ReadWrite), Just(Rights::ReadOnly)]
}

fn space() -> impl Strategy<Value = usize> {
    0_usize..3
}

fn cell() -> impl Strategy<Value = usize> {
    // The first cells are mapped from the start.
    prop_oneof![3 => 0_usize..6, 1 => 0_usize..CELLS, 1 => SMALL_COUNT as usize..CELLS]
}

fn agent() -> impl Strategy<Value = Agent> {
    prop_oneof![(0_usize..2).prop_map(Agent::Cpu), (0_usize..2).prop_map(Agent::Device)]
}

/// `near`: how often out of ten where the stopped operation is.
fn access(near: u32) -> impl Strategy<Value = Op> {
    let at = prop_oneof![
        near => Just(None),
        10 - near => (space(), cell()).prop_map(Some),
    ];
    (at, 0_usize..2, agent(), any::<bool>())
        .prop_map(|(at, word, agent, store)| Op::Access(Access { at, word, agent, store }))
}

/// An operation that can be stopped.
fn operation() -> impl Strategy<Value = Op> {
    let store = (space(), cell(), agent(), 0_usize..2).prop_map(|(space, cell, agent, word)| {
        Op::Access(Access { at: Some((space, cell)), word, agent, store: true })
    });
    prop_oneof![
        2 => (space(), area()).prop_map(|(space, area)| Op::Munmap { space, area }),
        4 => (space(), area()).prop_map(|(space, area)| Op::Dontneed { space, area }),
        3 => (space(), area(), rights())
            .prop_map(|(space, area, rights)| Op::Mprotect { space, area, rights }),
        3 => (space(), area(), 0..SMALL_COUNT)
            .prop_map(|(space, area, to)| Op::Mremap { space, area, to }),
        3 => space().prop_map(|space| Op::Fork { space }),
        4 => (space(), cell()).prop_map(|(space, cell)| Op::Ksm { space, cell }),
        1 => space().prop_map(|space| Op::Split { space }),
        1 => space().prop_map(|space| Op::Collapse { space }),
        2 => (space(), cell(), 0_usize..2)
            .prop_map(|(space, cell, word)| Op::Replace { space, cell, word }),
        6 => store,
    ]
}

fn step() -> impl Strategy<Value = Op> {
    let stopped = (operation(), 0_usize..8, vec(access(7), 1..8))
        .prop_map(|(op, stage, meanwhile)| Op::Stopped { op: Box::new(op), stage, meanwhile });
    prop_oneof![
        10 => access(0),
        2 => (space(), area(), rights())
            .prop_map(|(space, area, rights)| Op::Mmap { space, area, rights }),
        4 => operation(),
        1 => space().prop_map(|space| Op::Exit { space }),
        6 => stopped,
    ]
}

/// Sequences of everything.
pub(crate) fn sequences() -> impl Strategy<Value = Vec<Op>> {
    vec(step(), 1..40)
}

/// Sequences about the parts of the 2 MiB page, with one operation stopped
/// while another one stands still already.
pub(crate) fn nested() -> impl Strategy<Value = Vec<Op>> {
    let part = SMALL_COUNT as usize..CELLS;
    let store = (agent(), 0_usize..2)
        .prop_map(|(agent, word)| Op::Access(Access { at: None, word, agent, store: true }));
    let inner = (store, 0_usize..8, vec(access(9), 1..5))
        .prop_map(|(op, stage, meanwhile)| Op::Stopped { op: Box::new(op), stage, meanwhile });
    let outer = prop_oneof![
        3 => part.clone().prop_map(|cell| Op::Ksm { space: 0, cell }),
        1 => Just(Op::Split { space: 0 }),
    ];
    let stopped = (outer, 0_usize..8, vec(access(9), 0..3), inner, vec(access(9), 0..3)).prop_map(
        |(op, stage, mut meanwhile, inner, after)| {
            meanwhile.push(inner);
            meanwhile.extend(after);
            Op::Stopped { op: Box::new(op), stage, meanwhile }
        },
    );
    let touch =
        (part, 0_usize..2, agent(), any::<bool>()).prop_map(|(cell, word, agent, store)| {
            Op::Access(Access { at: Some((0, cell)), word, agent, store })
        });
    let step = prop_oneof![
        6 => touch,
        1 => Just(Op::Split { space: 0 }),
        1 => Just(Op::Fork { space: 0 }),
        4 => stopped,
    ];
    vec(step, 1..24)
}
