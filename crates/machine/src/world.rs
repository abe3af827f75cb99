//! What every machine has in common: threads, words, locks, page tables in
//! memory, frames, queues.
//!
//! Where a number lies in a state is decided here once; the steps are in the
//! modules beside this one, and what hardware makes of tables is in an
//! [`Mmu`](crate::mmu::Mmu).

use std::sync::atomic::{AtomicU64, Ordering};

use shootdown_litmus::primitives::LockClass;
use shootdown_step::shape::Source;
use shootdown_step::value::{UNDEFINED, entry};
use shootdown_step::{Lowered, Op, Shape, Target, ThreadCode};

use crate::readers::ReaderSlots;
use crate::setting::{HwDirty, MemoryModel, Setting};
use crate::state::{Slot, Slots, State};
use crate::weak::Weak;

/// Where the numbers of a thread lie.
#[derive(Clone, Debug)]
pub struct ThreadSlots {
    /// The number of its next step; 0 is the end.
    pub pc: Slot,
    /// Its registers.
    pub registers: Vec<Slot>,
    /// 1 if it ended with a fault.
    pub fault: Slot,
    /// Descriptors that it waits for: places in a queue, as bits.
    pub awaits: Slot,
    /// Ranges that it has open.
    pub ranges: Slot,
    /// 1 while a gather is open.
    pub gather: Slot,
    /// Frames in it.
    pub gathered: Slot,
    /// Pages whose entries were cleared since it began.
    pub cleared: Slot,
    /// Words of a page that were copied or compared so far.
    pub progress: Slot,
    /// The frame of an access that was translated and not yet performed, plus
    /// one.
    pub in_flight: Slot,
    /// 1 if an invalidation has completed too early since then.
    pub passed: Slot,
    /// Stores that have not reached memory: slot plus one, value.
    pub buffer: Vec<(Slot, Slot)>,
}

/// Where the numbers of a lock lie.
#[derive(Clone, Copy, Debug)]
pub struct LockSlots {
    /// The thread that has it for writing, plus one.
    pub writer: Slot,
    /// The threads that have it for reading, as bits.
    pub readers: Slot,
}

/// Where the numbers of a contract's call lie.
#[derive(Clone, Debug)]
pub struct ContractSlots {
    /// What it is about.
    pub arguments: [Slot; 2],
    /// Pages that have not taken effect, as bits.
    pub pending: Slot,
    /// Entries of its pages when it was called.
    pub before: Vec<Slot>,
}

/// Where the numbers of a context lie.
#[derive(Clone, Copy, Debug)]
pub struct ContextSlots {
    /// The address space that is loaded, plus one.
    pub root: Slot,
    /// The tag that is loaded with it.
    pub tag: Slot,
    /// 1 if hardware walks what is loaded, and nobody uses it.
    pub lazy: Slot,
}

/// Everything but the hardware.
#[derive(Debug)]
pub struct World {
    /// What there is, and what the threads do.
    pub lowered: Lowered,
    /// How it is run.
    pub setting: Setting,
    /// Machine or ideal memory.
    pub target: Target,
    /// Threads.
    pub threads: Vec<ThreadSlots>,
    /// Words.
    pub words: Vec<Slot>,
    /// Locks: named ones, of upper entries, of tables, of address spaces, of
    /// pages, of reverse maps.
    pub locks: Vec<LockSlots>,
    /// Lower entries, by table and page.
    pub entries: Vec<Vec<Slot>>,
    /// Upper entries, by address space and block.
    pub upper: Vec<Vec<Slot>>,
    /// Software TLBs: entries by page.
    pub softs: Vec<Vec<Slot>>,
    /// Words of frames.
    pub contents: Vec<Vec<Slot>>,
    /// References of frames.
    pub references: Vec<Slot>,
    /// Pins of frames.
    pub pins: Vec<Slot>,
    /// 0 nobody has had it yet, 1 somebody has it, 2 free.
    pub frames: Vec<Slot>,
    /// What is kept of frames elsewhere, as [`Kept`](shootdown_step::shape::Kept);
    /// nothing unless dirty pages are tracked.
    pub kept: Vec<Slot>,
    /// 1 if software has marked the frame as dirty.
    pub marked: Vec<Slot>,
    /// Somebody tracks which pages are dirty: hardware, or the program.
    pub tracks_dirty: bool,
    /// 1 if the table was given back.
    pub freed_tables: Vec<Slot>,
    /// What faults may grant, by address space and page.
    pub rights: Vec<Vec<Slot>>,
    /// 1 once threads of an address space may run.
    pub born: Vec<Slot>,
    /// Calls of functions with contracts.
    pub contracts: Vec<ContractSlots>,
    /// 1 if an object is not there.
    pub gone: Vec<Slot>,
    /// The object of each word.
    pub(crate) lives_of_words: Vec<Option<usize>>,
    /// Readers that somebody may wait for.
    pub readers: Vec<ReaderSlots>,
    /// What contexts have loaded.
    pub contexts: Vec<ContextSlots>,
    /// Posted descriptors, by queue and place.
    pub queues: Vec<Vec<Slot>>,
    /// Why the run cannot go on, plus one.
    pub error: Slot,
    /// What was found and does not end the run, as bits.
    pub marks: Slot,
    /// Slots from here to there are tables.
    tables: std::ops::Range<usize>,
    /// Whether a step may sleep, by thread and number.
    sleeps: Vec<Vec<bool>>,
    /// Which named locks are mutexes.
    pub(crate) mutexes: Vec<bool>,
    /// What the search has met so far.
    pub seen: Seen,
    /// Memory under `ra`.
    pub weak: Option<Weak>,
}

/// What some reachable state has put to the test, gathered while searching.
#[derive(Debug, Default)]
pub struct Seen {
    /// Frames that an entry has mapped.
    pub installed: AtomicU64,
    /// Frames that were freed.
    pub freed: AtomicU64,
    /// Frames that were copied or compared.
    pub copied: AtomicU64,
    /// Pages that an entry was set for after another frame was there.
    pub replaced: AtomicU64,
    /// Pages that were accessed through a translation.
    pub accessed: AtomicU64,
    /// 1 a contract with something to revoke returned, 2 a table was given
    /// back, 4 a table changed, 8 an object was freed, 16 a page that is kept
    /// elsewhere was written.
    pub events: AtomicU64,
}

impl Seen {
    /// Notes bits.
    #[inline]
    pub fn note(which: &AtomicU64, bits: u64) {
        // Most of the time they are there already.
        if which.load(Ordering::Relaxed) & bits != bits {
            which.fetch_or(bits, Ordering::Relaxed);
        }
    }
}

/// Why a run cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Failed {
    /// A word that nobody wrote was read.
    Undefined,
    /// Something that sleeps was called under a spin lock, in an RCU section or
    /// with interrupts off.
    Sleep,
    /// A lock was dropped by somebody who does not have it, or never dropped; or
    /// so with a section of readers.
    Unlock,
    /// `range_end` without `range_start`, or the other way round.
    Range,
    /// A condition that must not hold holds.
    Warning,
    /// A pointer to a page, entry or lock that leads nowhere, or to a page that
    /// is free.
    Page,
    /// A fault inside of its own handler.
    NestedFault,
    /// More pages in use than the machine has.
    Frames,
    /// A loop that does nothing others can see, or a value that is too large.
    Endless,
    /// A table was given back and a cache still leads to it.
    Table,
    /// More stores to one word that somebody may still read than are kept.
    Stores,
    /// Two stores to an entry that nothing orders, under `ra`.
    Unordered,
    /// An entry is read or written in a table that was given back.
    Walk,
    /// An object is used that is not there.
    Lifetime,
}

impl Failed {
    /// All of them, by number.
    pub const ALL: [Failed; 14] = [
        Failed::Undefined,
        Failed::Sleep,
        Failed::Unlock,
        Failed::Range,
        Failed::Warning,
        Failed::Page,
        Failed::NestedFault,
        Failed::Frames,
        Failed::Endless,
        Failed::Table,
        Failed::Stores,
        Failed::Unordered,
        Failed::Walk,
        Failed::Lifetime,
    ];
}

/// The mark of a return that a translation outlived.
pub const MARK_RETURN: i64 = 1;
/// The mark of a free that lost what nobody had written out.
pub const MARK_CLEAN: i64 = 2;

/// Places of a queue, at most.
pub(crate) const QUEUE: usize = 6;
/// Stores that a buffer holds, at most.
const BUFFER: usize = 6;

impl World {
    /// Lays a program out.
    pub fn new(lowered: Lowered, target: Target, setting: Setting) -> (World, Slots) {
        let mut slots = Slots::default();
        let shape = &lowered.shape;
        let pages = shape.pages.len();
        let words: Vec<Slot> = shape.words.iter().map(|word| slots.integer(word.value)).collect();
        let contents: Vec<Vec<Slot>> = shape
            .frames
            .iter()
            .map(|frame| {
                let word = |word: &Option<i64>| slots.integer(word.unwrap_or(UNDEFINED));
                frame.words.iter().map(word).collect()
            })
            .collect();
        slots.next_family();
        let first_table = slots.len();
        let entries: Vec<Vec<Slot>> = (0..shape.tables)
            .map(|table| {
                // Pages with the same place in their blocks have one entry.
                let its = |page: &usize| table == shape.first_table(0, shape.pages[*page].block);
                let entry = |twin: usize| {
                    let mut own = (0..pages).filter(its);
                    let own = own.find(|page| shape.twin(*page) == twin);
                    own.map_or(0, |page| shape.pages[page].entry)
                };
                let mut made: Vec<Option<Slot>> = vec![None; pages];
                (0..pages)
                    .map(|page| {
                        let twin = shape.twin(page);
                        *made[twin].get_or_insert_with(|| slots.natural(entry(twin)))
                    })
                    .collect()
            })
            .collect();
        slots.next_family();
        let upper: Vec<Vec<Slot>> = (0..shape.spaces.len())
            .map(|space| {
                (0..shape.blocks.len())
                    .map(|block| {
                        let table =
                            shootdown_step::value::page_of_table(shape.first_table(space, block));
                        let huge = if space == 0 { shape.huge_entry(block) } else { 0 };
                        let value = if huge != 0 { huge } else { entry::make(table, entry::TABLE) };
                        slots.natural(if shape.two_levels { value } else { 0 })
                    })
                    .collect()
            })
            .collect();
        slots.next_family();
        let softs: Vec<Vec<Slot>> =
            shape.softs.iter().map(|_| (0..pages).map(|_| slots.natural(0)).collect()).collect();
        let tables = first_table..slots.len();
        let threads: Vec<ThreadSlots> = lowered
            .threads
            .iter()
            .enumerate()
            .map(|(thread, code)| {
                thread_slots(&mut slots, code, &setting, shape.agents[thread].cpu)
            })
            .collect();
        slots.next_family();
        let locks =
            shape.locks.len() + shape.spaces.len() * 2 + shape.tables + shape.frames.len() * 2;
        let locks = (0..locks)
            .map(|_| LockSlots { writer: slots.natural(0), readers: slots.natural(0) })
            .collect();
        slots.next_family();
        let references = shape.frames.iter().map(|frame| slots.natural(frame.references)).collect();
        slots.next_family();
        let pins = shape.frames.iter().map(|_| slots.natural(0)).collect();
        slots.next_family();
        let frames = shape
            .frames
            .iter()
            .map(|frame| slots.natural(i64::from(frame.site.is_none())))
            .collect();
        slots.next_family();
        // Ideal memory loses nothing.
        let tracks_dirty = target == Target::Machine
            && (setting.hw_dirty != HwDirty::No || asks_for_dirty(&lowered));
        let begins = |frame: &shootdown_step::shape::Frame| match tracks_dirty {
            true => frame.kept as i64,
            false => 0,
        };
        let kept = shape.frames.iter().map(|frame| slots.natural(begins(frame))).collect();
        slots.next_family();
        let marked = shape.frames.iter().map(|_| slots.natural(0)).collect();
        slots.next_family();
        let freed_tables = (0..shape.tables).map(|_| slots.natural(0)).collect();
        slots.next_family();
        let rights = (0..shape.spaces.len())
            .map(|space| {
                let rights = |page: usize| if space == 0 { shape.pages[page].rights } else { 0 };
                (0..pages).map(|page| slots.natural(rights(page))).collect()
            })
            .collect();
        slots.next_family();
        let made = |space: usize| lowered.contracts.iter().any(|c| c.child == Some(space));
        let born =
            (0..shape.spaces.len()).map(|space| slots.natural(i64::from(!made(space)))).collect();
        slots.next_family();
        let contracts = lowered
            .contracts
            .iter()
            .map(|_| ContractSlots {
                arguments: [slots.natural(0), slots.natural(0)],
                pending: slots.natural(0),
                before: (0..pages).map(|_| slots.natural(0)).collect(),
            })
            .collect();
        slots.next_family();
        let gone = shape.lives.iter().map(|life| slots.natural(i64::from(life.made))).collect();
        slots.next_family();
        let lives_of_words = (0..shape.words.len())
            .map(|word| shape.lives.iter().position(|life| life.words.contains(&word)))
            .collect();
        let readers = ReaderSlots::declare(&mut slots, shape.readers.len(), shape.agents.len());
        slots.next_family();
        let queues =
            shape.queues.iter().map(|_| (0..QUEUE).map(|_| slots.natural(0)).collect()).collect();
        slots.next_family();
        let contexts = shape
            .contexts
            .iter()
            .map(|context| ContextSlots {
                root: slots.natural(context.space.map_or(0, |space| space as i64 + 1)),
                tag: slots.natural(context.tag as i64),
                lazy: slots.natural(i64::from(context.lazy)),
            })
            .collect();
        slots.next_family();
        let (error, marks) = (slots.natural(0), slots.natural(0));
        let sleeps = lowered
            .threads
            .iter()
            .map(|code| {
                let sleeps = |number: usize| code.step(number).is_some_and(|(_, site)| site.sleeps);
                (0..code.steps.len()).map(sleeps).collect()
            })
            .collect();
        let mutexes = mutexes(&lowered);
        let seen = Seen::default();
        let mapped = shape.pages.iter().filter_map(|page| page.frame).fold(0, |m, f| m | 1 << f);
        Seen::note(&seen.installed, mapped);
        let weak = (setting.model == MemoryModel::Ra).then(|| {
            let tables = [&entries[..], &upper[..], &softs[..]];
            Weak::new(&mut slots, shape, (&words, &contents), tables, threads.len())
        });
        let world = World {
            lowered,
            setting,
            target,
            threads,
            words,
            locks,
            entries,
            upper,
            softs,
            contents,
            references,
            pins,
            frames,
            kept,
            marked,
            tracks_dirty,
            freed_tables,
            rights,
            born,
            contracts,
            gone,
            lives_of_words,
            readers,
            contexts,
            queues,
            error,
            marks,
            tables,
            sleeps,
            mutexes,
            seen,
            weak,
        };
        (world, slots)
    }

    /// What there is.
    #[inline]
    pub fn shape(&self) -> &Shape {
        &self.lowered.shape
    }

    /// The code of a thread.
    #[inline]
    pub fn code(&self, thread: usize) -> &ThreadCode {
        &self.lowered.threads[thread]
    }

    /// The step that a thread takes next, with its number.
    #[inline]
    pub fn next_step(&self, state: &State, thread: usize) -> Option<(usize, &Op)> {
        let number = state.get(self.threads[thread].pc) as usize;
        self.code(thread).step(number).map(|(op, _)| (number, op))
    }

    /// Whether a thread has come to its end.
    #[inline]
    pub fn ended(&self, state: &State, thread: usize) -> bool {
        state.get(self.threads[thread].pc) == 0
    }

    /// Whether a thread's address space exists.
    #[inline]
    pub fn alive(&self, state: &State, thread: usize) -> bool {
        state.get(self.born[self.shape().agents[thread].space]) != 0
    }

    /// Whether registers that nobody reads any more are kept.
    pub fn setting_keeps_dead(&self) -> bool {
        self.setting.keep_dead
    }

    /// Whether a step of a thread may sleep.
    pub fn may_sleep(&self, thread: usize, number: usize) -> bool {
        self.sleeps[thread][number]
    }

    /// The address space that a context has loaded.
    pub fn root(&self, state: &State, context: usize) -> Option<usize> {
        usize::try_from(state.get(self.contexts[context].root) - 1).ok()
    }

    /// The cache of the tag that a context has loaded.
    pub fn tagged(&self, state: &State, context: usize) -> usize {
        self.shape().contexts[context].cache + state.get(self.contexts[context].tag) as usize
    }

    /// The cache that a thread's accesses go through now, and the address space
    /// whose pages they name; nothing if its context has no root.
    pub fn translation(&self, state: &State, thread: usize) -> Option<(usize, usize)> {
        let agent = &self.shape().agents[thread];
        let Some(context) = agent.context else { return Some((agent.cache, agent.space)) };
        let space = self.root(state, context)?;
        let cache = match self.shape().caches[agent.cache].source {
            Source::Roots => self.tagged(state, context),
            _ => agent.cache,
        };
        Some((cache, space))
    }

    /// The slots that are tables.
    pub fn tables(&self) -> std::ops::Range<usize> {
        self.tables.clone()
    }

    /// How many of them hardware walks; the rest is of software TLBs.
    pub(crate) fn walked(&self) -> usize {
        let all = self.entries.iter().chain(&self.upper).flatten();
        all.map(|slot| slot.index()).collect::<std::collections::BTreeSet<_>>().len()
    }

    /// Whether a slot is part of a table.
    #[inline]
    pub fn is_table(&self, slot: Slot) -> bool {
        self.tables.contains(&slot.index())
    }

    /// The lower entry of a page as a walk from the root finds it now: its
    /// value, or that of the huge page's part.
    #[inline]
    pub fn walk(&self, state: &State, space: usize, page: usize) -> i64 {
        let shape = self.shape();
        let block = shape.pages[page].block;
        if !shape.two_levels {
            return state.get(self.entries[shape.first_table(space, block)][page]);
        }
        let upper = state.get(self.upper[space][block]);
        if upper & entry::HUGE != 0 {
            return self.part_of_huge(upper, page);
        }
        match entry::table(upper) {
            Some(table) if table < self.entries.len() => state.get(self.entries[table][page]),
            _ => 0,
        }
    }

    /// What a huge entry maps at a page of its block.
    pub fn part_of_huge(&self, upper: i64, page: usize) -> i64 {
        let index = self.shape().pages[page].index as i64;
        match entry::page(upper) {
            0 => 0,
            first => entry::make(first + index, upper & (0x1f | entry::INVALID)),
        }
    }

    /// The pages that an invalidation from the one address up to the other
    /// means, as bits.
    pub fn pages_between(&self, start: i64, end: i64) -> u64 {
        if end <= start && self.setting.empty_range_is_all {
            return self.shape().all_pages();
        }
        self.shape().pages_between(start, end)
    }

    /// The frame that a word of memory lies in.
    pub fn frame_of_word(&self, slot: Slot) -> Option<usize> {
        let first = self.contents.first()?.first()?.index();
        let frame = slot.index().checked_sub(first)? / self.shape().words_per_frame;
        (frame < self.contents.len()).then_some(frame)
    }

    /// The slot of the entry that a `pte_t *` points to.
    pub fn entry_slot(&self, pointer: i64) -> Option<Slot> {
        self.shape().entry_of_pointer(pointer).map(|(table, page)| self.entries[table][page])
    }

    /// The slot of the entry that a `pmd_t *` points to.
    pub fn upper_slot(&self, pointer: i64) -> Option<Slot> {
        self.shape().upper_of_pointer(pointer).map(|(space, block)| self.upper[space][block])
    }

    /// A name for an entry's value: `Fa rw`, `none`.
    pub fn entry_name(&self, value: i64) -> String {
        if value == 0 {
            return "none".to_owned();
        }
        if let Some(table) = entry::table(value) {
            return format!("table {table}");
        }
        let rights = match (value & entry::READ != 0, value & entry::WRITE != 0) {
            (_, true) => " rw",
            (true, false) => " ro",
            (false, false) => " no access",
        };
        let name = entry::frame(value).and_then(|frame| self.shape().frames.get(frame));
        let huge = if value & entry::HUGE != 0 { " huge" } else { "" };
        // Where nobody asks, the bit is what software says and nothing more.
        let dirty = if self.tracks_dirty && value & entry::DIRTY != 0 { " dirty" } else { "" };
        let hidden = if value & entry::INVALID != 0 { " invalid" } else { "" };
        format!("{}{rights}{dirty}{hidden}{huge}", name.map_or("?", |frame| &frame.name))
    }
}

fn thread_slots(slots: &mut Slots, code: &ThreadCode, setting: &Setting, cpu: bool) -> ThreadSlots {
    let stores = code.nodes.iter().filter(|node| match node {
        shootdown_step::Node::Step { op, .. } => matches!(
            op,
            Op::Access { .. }
                | Op::SetEntry { .. }
                | Op::PageWrite { .. }
                | Op::Lock { .. }
                | Op::EntryLock { .. }
                | Op::Leave { .. }
        ),
        _ => false,
    });
    let buffer = if setting.model.has_buffers() && cpu { stores.count().min(BUFFER) } else { 0 };
    ThreadSlots {
        pc: own(slots),
        registers: code
            .signed
            .iter()
            .map(|signed| {
                slots.next_family();
                if *signed { slots.integer(0) } else { slots.natural(0) }
            })
            .collect(),
        fault: own(slots),
        awaits: own(slots),
        ranges: own(slots),
        gather: own(slots),
        gathered: own(slots),
        cleared: own(slots),
        progress: own(slots),
        in_flight: own(slots),
        passed: own(slots),
        buffer: {
            let slot: Vec<Slot> = (0..buffer).map(|_| slots.natural(0)).collect();
            slots.next_family();
            slot.into_iter().map(|slot| (slot, slots.integer(0))).collect()
        },
    }
}

/// Whether a program asks which pages are dirty, or says what is written out.
fn asks_for_dirty(lowered: &Lowered) -> bool {
    lowered.threads.iter().flat_map(|code| &code.nodes).any(|node| {
        matches!(
            node,
            shootdown_step::Node::Step { op: Op::Dirty { .. } | Op::MoveMarks { .. }, .. }
        )
    })
}

/// A number that is like no other.
fn own(slots: &mut Slots) -> Slot {
    slots.next_family();
    slots.natural(0)
}

fn mutexes(lowered: &Lowered) -> Vec<bool> {
    let mut mutexes = vec![false; lowered.shape.locks.len()];
    for code in &lowered.threads {
        for node in &code.nodes {
            let shootdown_step::Node::Step {
                op: Op::Lock { lock, class: LockClass::Mutex, .. },
                ..
            } = node
            else {
                continue;
            };
            if let shootdown_step::LockAt::Pointer(pointer) = lock
                && let Some(pointer) = pointer.constant()
                && let Some(mutex) = mutexes.get_mut((pointer - 1) as usize)
            {
                *mutex = true;
            }
        }
    }
    mutexes
}
