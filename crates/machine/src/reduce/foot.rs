//! What a step touches: in a state, or ever.
//!
//! One list for both, so that they cannot disagree: [`Know`] says what is known
//! of the operands. In a state that is everything; ahead of the run it is what
//! the [values](super::values) of the registers say.

use shootdown_litmus::primitives::{LifeOp, LockOp};
use shootdown_litmus::program::ContractKind;
use shootdown_step::shape::Source;
use shootdown_step::value::WORD_BASE;
use shootdown_step::{Access, DirtyAct, EntryAt, Expr, Op, Range, Target};

use super::objects::{Foot, Kind, Objects};
use super::values::{self, Maps, Values};
use crate::setting::HwDirty;
use crate::world::World;

/// What is known of a step's operands and of what it finds.
pub(super) trait Know {
    /// What an expression may be.
    fn values(&self, expr: &Expr) -> Values;
    /// Frames that an access to a page may go to.
    fn answers(&self, thread: usize, page: usize, write: bool) -> u64;
    /// Frames that a site may allocate.
    fn allocated(&self, thread: usize, site: usize) -> u64;
    /// Whether nobody else can get hold of the frame before the thread goes on.
    fn private(&self, frame: usize) -> bool;
    /// Whether giving back a reference may be the last time.
    fn frees(&self, frame: usize) -> bool;
    /// Frames that the thread has gathered.
    fn gathered(&self) -> u64;
    /// Pages that it has cleared.
    fn cleared(&self) -> u64;
    /// Pages that a contract found something at.
    fn found(&self, contract: usize) -> u64;
    /// Whether it has waited already, and is done.
    fn awaited(&self) -> bool;
}

/// Frames that a site may ever allocate for a thread.
pub(super) fn allocatable(world: &World, thread: usize, site: usize) -> u64 {
    let shape = world.shape();
    let space = shape.agents[thread].space;
    let may = shape
        .frames
        .iter()
        .enumerate()
        .filter(|(_, frame)| frame.site == Some(site) || frame.owner == Some(space));
    may.fold(0, |mask, (frame, _)| mask | 1 << frame)
}

/// An entry that a step is about.
enum At {
    /// By table and page.
    Lower((usize, usize)),
    /// Any upper entry.
    Upper,
    /// By software TLB and page.
    Soft(usize, usize),
}

/// Makes footprints.
pub(super) struct Feet<'r> {
    pub(super) world: &'r World,
    pub(super) objects: &'r Objects,
    pub(super) maps: &'r Maps,
    /// Kinds of objects that are not looked at. Only a test leaves any out.
    pub(super) blind: &'r [Kind],
}

pub(super) fn bits(mask: u64) -> impl Iterator<Item = usize> {
    (0..64).filter(move |bit| mask >> bit & 1 != 0)
}

impl Feet<'_> {
    /// Pages that share an entry are one object there.
    fn column(&self, kind: Kind, column: usize) -> usize {
        if kind == Kind::Entry { self.world.shape().twin(column) } else { column }
    }

    pub(super) fn read(&self, foot: &mut Foot, kind: Kind, row: usize, column: usize) {
        let column = self.column(kind, column);
        if !self.blind.contains(&kind) {
            foot.reads.add(self.objects.at(kind, row, column));
        }
    }

    pub(super) fn write(&self, foot: &mut Foot, kind: Kind, row: usize, column: usize) {
        let column = self.column(kind, column);
        if !self.blind.contains(&kind) {
            foot.writes.add(self.objects.at(kind, row, column));
        }
    }

    fn contents<K: Know>(&self, foot: &mut Foot, know: &K, frames: u64, write: bool) {
        for frame in bits(frames).filter(|frame| !know.private(*frame)) {
            self.read(foot, Kind::Frame, 0, frame);
            self.read(foot, Kind::Contents, 0, frame);
            if write {
                self.write(foot, Kind::Contents, 0, frame);
            }
        }
    }

    fn translated<K: Know>(
        &self,
        foot: &mut Foot,
        know: &K,
        thread: usize,
        page: usize,
        write: bool,
    ) {
        let shape = self.world.shape();
        let agent = &shape.agents[thread];
        if self.world.target == Target::Ideal {
            match agent.context {
                // Any that its context may have loaded.
                Some(_) => {
                    (0..shape.spaces.len())
                        .for_each(|space| self.read(foot, Kind::Name, space, page));
                }
                None => self.read(foot, Kind::Name, agent.space, page),
            }
        } else {
            for root in self.tags(self.root(agent.cache)) {
                self.read(foot, Kind::Set, root, page);
                self.source(foot, root, page);
            }
            for cache in self.tags(agent.cache) {
                self.read(foot, Kind::Set, cache, page);
                if self.world.setting.fault_invalidates {
                    self.invalidate(foot, cache, 1 << page);
                }
            }
        }
        if let Some(context) = agent.context {
            self.read(foot, Kind::Context, 0, context);
        }
        self.contents(foot, know, know.answers(thread, page, write), write);
        if write
            && self.world.setting.hw_dirty != HwDirty::No
            && self.world.target == Target::Machine
        {
            self.set_dirty(foot, self.root(agent.cache), page);
        }
    }

    fn access<K: Know>(
        &self,
        foot: &mut Foot,
        know: &K,
        thread: usize,
        operands: (&Expr, &Expr),
        access: &Access,
    ) {
        let shape = self.world.shape();
        let (pointers, indices) = (know.values(operands.0), know.values(operands.1));
        let write = access.writes();
        let word = |foot: &mut Foot, word: usize| {
            self.read(foot, Kind::Word, 0, word);
            if let Some(life) = self.world.life_of_word(word) {
                self.read(foot, Kind::Life, 0, life);
            }
            if write {
                self.write(foot, Kind::Word, 0, word);
            }
        };
        let Values::These(pointers) = &pointers else {
            (0..self.world.words.len()).for_each(|at| word(foot, at));
            for page in 0..shape.pages.len() {
                self.translated(foot, know, thread, page, write);
            }
            return;
        };
        for pointer in pointers {
            match &indices {
                Values::These(indices) if *pointer >= WORD_BASE => {
                    let words = indices
                        .iter()
                        .filter_map(|at| usize::try_from(pointer - WORD_BASE + at).ok());
                    words.filter(|at| *at < self.world.words.len()).for_each(|at| word(foot, at));
                }
                _ if *pointer >= WORD_BASE => {
                    (0..self.world.words.len()).for_each(|at| word(foot, at))
                }
                _ => {
                    for page in values::pages(self.world, &Values::These(vec![*pointer])) {
                        self.translated(foot, know, thread, page, write);
                    }
                }
            }
        }
    }

    fn put<K: Know>(&self, foot: &mut Foot, know: &K, frame: usize) {
        if know.private(frame) || self.world.shape().frames[frame].immortal {
            self.read(foot, Kind::Frame, 0, frame);
            return;
        }
        self.read(foot, Kind::Frame, 0, frame);
        self.write(foot, Kind::References, 0, frame);
        if know.frees(frame) {
            self.write(foot, Kind::Frame, 0, frame);
            self.write(foot, Kind::Contents, 0, frame);
            self.write(foot, Kind::Mark, 0, frame);
            // From now on nobody may hold it, so what anybody holds matters.
            let shape = self.world.shape();
            self.contexts(foot);
            for cache in 0..shape.caches.len() {
                for page in 0..shape.pages.len() {
                    if self.may_hold(cache, page) >> frame & 1 != 0 {
                        self.read(foot, Kind::Set, cache, page);
                    }
                }
            }
            for soft in 0..shape.softs.len() {
                for page in 0..shape.pages.len() {
                    self.read(foot, Kind::Soft, soft, page);
                }
            }
        }
    }

    pub(super) fn frames<K: Know>(&self, know: &K, page: &Expr) -> Vec<usize> {
        let frames = values::frames_of(self.world, &know.values(page));
        bits(frames).collect()
    }

    fn range<K: Know>(&self, know: &K, range: &Range) -> u64 {
        values::range(self.world, &know.values(&range.start), &know.values(&range.end))
    }

    fn optional<K: Know>(&self, know: &K, range: &Option<Range>) -> u64 {
        range.as_ref().map_or(self.world.shape().all_pages(), |range| self.range(know, range))
    }

    fn entry<K: Know>(&self, know: &K, at: &EntryAt, each: &mut dyn FnMut(At)) {
        match at {
            EntryAt::Lower(pointer) => {
                for at in values::lower(self.world, &know.values(pointer)) {
                    each(At::Lower(at));
                }
            }
            EntryAt::Upper(_) => each(At::Upper),
            EntryAt::Soft(soft, address) => {
                for page in values::pages(self.world, &know.values(address)) {
                    each(At::Soft(*soft, page));
                }
            }
        }
    }

    /// Everything that a step touches.
    pub(super) fn of<K: Know>(&self, foot: &mut Foot, know: &K, thread: usize, op: &Op) {
        let shape = self.world.shape();
        let every_page = 0..shape.pages.len();
        let pages = |expr: &Expr| values::pages(self.world, &know.values(expr));
        for lock in self.taken(know, op) {
            if !self.blind.contains(&Kind::Lock) {
                foot.takes.add(self.objects.at(Kind::Lock, 0, lock));
            }
        }
        if let Op::Lock { lock, class, .. } = op {
            for lock in self.locks(know, lock, *class) {
                if let Some(life) = self.world.life_of_lock(lock) {
                    self.read(foot, Kind::Life, 0, life);
                }
            }
        }
        match op {
            Op::Access { pointer, index, access, .. } => {
                self.access(foot, know, thread, (pointer, index), access);
            }
            Op::Lock { lock, class, op, .. } => {
                let set = match op {
                    LockOp::Lock | LockOp::ReadLock => return,
                    LockOp::TryLock | LockOp::ReadTryLock | LockOp::IsLocked => &mut foot.tries,
                    LockOp::Unlock | LockOp::ReadUnlock | LockOp::Downgrade => &mut foot.drops,
                };
                if !self.blind.contains(&Kind::Lock) {
                    for lock in self.locks(know, lock, *class) {
                        set.add(self.objects.at(Kind::Lock, 0, lock));
                    }
                }
            }
            Op::Life { object, op } => {
                let lives: Vec<usize> = match know.values(object) {
                    Values::These(pointers) => {
                        pointers.into_iter().filter_map(|at| shape.life_at(at)).collect()
                    }
                    _ => (0..shape.lives.len()).collect(),
                };
                for life in lives {
                    self.read(foot, Kind::Life, 0, life);
                    if *op != LifeOp::Use {
                        self.write(foot, Kind::Life, 0, life);
                        for word in shape.lives[life].words.clone() {
                            self.write(foot, Kind::Word, 0, word);
                        }
                    }
                }
            }
            Op::Enter { readers, .. } | Op::Leave { readers } => {
                for at in 0..shape.readers.len() {
                    if !self.world.counted(at).any(|counted| counted == *readers) {
                        continue;
                    }
                    self.write(foot, Kind::Reader, at, thread);
                    if matches!(op, Op::Leave { .. }) {
                        // Whoever waits may go on.
                        for other in 0..self.world.threads.len() {
                            self.write(foot, Kind::Grace, at, other);
                        }
                    }
                }
            }
            Op::GraceStart { readers, .. } => {
                for other in 0..self.world.threads.len() {
                    self.read(foot, Kind::Reader, *readers, other);
                }
                self.write(foot, Kind::Grace, *readers, thread);
            }
            Op::GraceWait { readers } => self.read(foot, Kind::Grace, *readers, thread),
            Op::Alloc { site, .. } => {
                let space = shape.agents[thread].space;
                for (at, frame) in shape.frames.iter().enumerate() {
                    let own = frame.site == Some(*site);
                    if (own || frame.owner == Some(space)) && !know.private(at) {
                        // Whether it is in use decides which it will be.
                        self.read(foot, Kind::Frame, 0, at);
                    }
                }
                for frame in bits(know.allocated(thread, *site)).filter(|at| !know.private(*at)) {
                    self.write(foot, Kind::Frame, 0, frame);
                    self.write(foot, Kind::References, 0, frame);
                    self.write(foot, Kind::Contents, 0, frame);
                }
            }
            Op::GetPage { page } => {
                for frame in self.frames(know, page).into_iter().filter(|at| !know.private(*at)) {
                    self.read(foot, Kind::Frame, 0, frame);
                    self.write(foot, Kind::References, 0, frame);
                }
            }
            // Pins are counted beside the references.
            Op::Unpin { page } => {
                for frame in self.frames(know, page) {
                    self.read(foot, Kind::Frame, 0, frame);
                    self.write(foot, Kind::References, 0, frame);
                }
            }
            Op::PutPage { page } => {
                for frame in self.frames(know, page) {
                    self.put(foot, know, frame);
                }
            }
            Op::CopyPage { to, from } => {
                self.contents(foot, know, values::frames_of(self.world, &know.values(from)), false);
                self.contents(foot, know, values::frames_of(self.world, &know.values(to)), true);
            }
            Op::ClearPage { page } | Op::PageWrite { page, .. } => {
                self.contents(foot, know, values::frames_of(self.world, &know.values(page)), true);
            }
            Op::SamePages { left: page, right: other, .. } => {
                self.contents(foot, know, values::frames_of(self.world, &know.values(page)), false);
                self.contents(
                    foot,
                    know,
                    values::frames_of(self.world, &know.values(other)),
                    false,
                );
            }
            Op::PageRead { page, .. } => {
                self.contents(foot, know, values::frames_of(self.world, &know.values(page)), false);
            }
            Op::PageCount { page, .. } | Op::Pinned { page, .. } | Op::GatherPage { page } => {
                for frame in self.frames(know, page).into_iter().filter(|at| !know.private(*at)) {
                    self.read(foot, Kind::Frame, 0, frame);
                    self.read(foot, Kind::References, 0, frame);
                }
            }
            Op::Dirty { page, act, .. } => {
                for frame in self.frames(know, page) {
                    self.read(foot, Kind::Frame, 0, frame);
                    self.read(foot, Kind::Mark, 0, frame);
                    if *act != DirtyAct::Ask {
                        self.write(foot, Kind::Mark, 0, frame);
                        // What is written out is what is there now.
                        self.write(foot, Kind::Contents, 0, frame);
                    }
                }
            }
            Op::MoveMarks { to, from } => {
                for frame in [self.frames(know, to), self.frames(know, from)].concat() {
                    self.read(foot, Kind::Frame, 0, frame);
                    self.write(foot, Kind::Mark, 0, frame);
                    self.write(foot, Kind::Contents, 0, frame);
                }
            }
            Op::MapEntry { space, .. } => {
                for block in (0..shape.blocks.len()).filter(|_| shape.two_levels) {
                    self.read(foot, Kind::Upper, *space, block);
                }
            }
            Op::ReadEntry { entry, .. } => self.entry(know, entry, &mut |at| match at {
                At::Lower((table, page)) => self.read(foot, Kind::Entry, table, page),
                At::Upper => self.read_upper(foot),
                At::Soft(soft, page) => self.read(foot, Kind::Soft, soft, page),
            }),
            Op::ClearEntry { entry, .. } => self.entry(know, entry, &mut |at| match at {
                At::Lower((table, page)) => {
                    self.read(foot, Kind::Entry, table, page);
                    self.set_entry(foot, table, page, false);
                }
                At::Upper => self.upper(foot),
                At::Soft(soft, page) => {
                    self.read(foot, Kind::Soft, soft, page);
                    self.set_soft(foot, soft, page);
                }
            }),
            Op::SetEntry { entry, .. }
            | Op::WriteProtectEntry { entry }
            | Op::Flags { entry, .. }
            | Op::ExchangeEntry { entry, .. }
            | Op::SetAccessFlags { entry, .. } => self.entry(know, entry, &mut |at| match at {
                At::Lower((table, page)) => {
                    self.read(foot, Kind::Entry, table, page);
                    self.set_entry(foot, table, page, true);
                }
                At::Upper => self.upper(foot),
                At::Soft(soft, page) => {
                    self.read(foot, Kind::Soft, soft, page);
                    self.set_soft(foot, soft, page);
                }
            }),
            Op::Populate { .. } => self.upper(foot),
            Op::AllocTable { site, .. } => {
                every_page.for_each(|page| self.set_entry(foot, *site, page, true));
            }
            Op::FreeTable { .. } => {
                self.all_sets(foot);
                for table in 0..shape.tables {
                    every_page.clone().for_each(|page| self.write(foot, Kind::Entry, table, page));
                }
            }
            Op::FlushCpu { space, range, local } => {
                let pages = self.optional(know, range);
                let own = shape.caches.iter().position(|cache| cache.thread == Some(thread));
                match own {
                    _ if !*local => self.flush_cpu(foot, *space, pages),
                    Some(own) => self.invalidate(foot, own, pages),
                    None => {}
                }
            }
            Op::FlushCache { cache, count, range, .. } => {
                let pages = self.optional(know, range);
                (*cache..cache + count).for_each(|cache| self.invalidate(foot, cache, pages));
            }
            Op::FlushContext { context, range } => {
                let pages = self.optional(know, range);
                for cache in self.tags(shape.contexts[*context].cache) {
                    self.invalidate(foot, cache, pages);
                }
            }
            Op::LoadRoot { context, .. } | Op::Lazy { context, .. } => {
                self.load_root(foot, *context)
            }
            // With walkers that are not coherent nothing is fused.
            Op::WriteBack { .. } => {}
            Op::Post { queue, .. } | Op::PostWrite { queue, .. } => {
                self.write(foot, Kind::Queue, 0, *queue)
            }
            Op::Sync { queue } => {
                if !know.awaited() {
                    self.read(foot, Kind::Queue, 0, *queue);
                }
            }
            Op::SoftInstall { soft, address, .. } => {
                pages(address).into_iter().for_each(|page| self.set_soft(foot, *soft, page));
            }
            Op::SoftZap { soft, range } => {
                bits(self.range(know, range)).for_each(|page| self.set_soft(foot, *soft, page));
            }
            Op::GatherFlush { space, .. } => self.flush_cpu(foot, *space, know.cleared()),
            Op::GatherFree => bits(know.gathered()).for_each(|frame| self.put(foot, know, frame)),
            Op::PageBehind { address, space, write, .. } => {
                for page in pages(address) {
                    if self.world.target == Target::Ideal {
                        self.read(foot, Kind::Name, shape.agents[thread].space, page);
                    } else {
                        self.walk(foot, *space, page);
                    }
                    let frames = values::mapped_at(self.world, self.maps, *space, page);
                    for frame in bits(frames | know.answers(thread, page, *write)) {
                        self.read(foot, Kind::Frame, 0, frame);
                        self.write(foot, Kind::References, 0, frame);
                    }
                }
            }
            Op::Probe { address, space, .. } | Op::EnterFault { address, space, .. } => {
                pages(address).into_iter().for_each(|page| self.walk(foot, *space, page));
            }
            Op::SetRights { space, address, .. } => {
                for page in pages(address) {
                    self.write(foot, Kind::Rights, *space, page);
                }
            }
            Op::AskRights { space, address, .. } => {
                for page in pages(address) {
                    self.read(foot, Kind::Rights, *space, page);
                }
            }
            Op::ForkEntries { from, to, address } => {
                let pages = address.as_ref().map_or_else(|| every_page.collect(), pages);
                for page in pages {
                    self.walk(foot, *from, page);
                    self.read(foot, Kind::Rights, *from, page);
                    self.write(foot, Kind::Rights, *to, page);
                    let table = shape.first_table(*to, shape.pages[page].block);
                    self.set_entry(foot, table, page, true);
                }
            }
            Op::SetChildEntry { from, to, address, .. } => {
                for page in pages(address) {
                    self.read(foot, Kind::Rights, *from, page);
                    self.write(foot, Kind::Rights, *to, page);
                    let table = shape.first_table(*to, shape.pages[page].block);
                    self.set_entry(foot, table, page, true);
                }
            }
            Op::Born { space } => self.write(foot, Kind::Born, 0, *space),
            Op::Begin { contract, arguments } => {
                if self.world.target == Target::Machine {
                    let space = self.world.lowered.contracts[*contract].space;
                    for page in self.about(know, *contract, arguments) {
                        self.walk(foot, space, page);
                    }
                }
            }
            Op::Moment { contract } => self.names(foot, *contract),
            Op::Return { contract } if self.world.target == Target::Ideal => {
                self.names(foot, *contract)
            }
            Op::Return { contract } => {
                let space = self.world.lowered.contracts[*contract].space;
                for page in bits(know.found(*contract)) {
                    for (at, cache) in shape.caches.iter().enumerate() {
                        let root = self.root(at);
                        if cache.space == space || shape.caches[root].source == Source::Roots {
                            self.read(foot, Kind::Set, at, page);
                            self.tags(root).for_each(|at| self.read(foot, Kind::Set, at, page));
                        }
                    }
                    for soft in 0..shape.softs.len() {
                        self.read(foot, Kind::Soft, soft, page);
                    }
                    self.contexts(foot);
                    self.walk(foot, space, page);
                }
            }
            Op::Fence(_)
            | Op::EntryOfTable { .. }
            | Op::EntryLock { .. }
            | Op::Choose { .. }
            | Op::RangeOpen { .. }
            | Op::RangeClose { .. }
            | Op::GatherStart
            | Op::Warn { .. }
            | Op::Fail(_) => {}
        }
    }

    /// The pages that a contract is about.
    pub(super) fn about<K: Know>(
        &self,
        know: &K,
        contract: usize,
        arguments: &[Expr],
    ) -> Vec<usize> {
        let kind = &self.world.lowered.contracts[contract].kind;
        match (kind, arguments.first()) {
            (ContractKind::Fork | ContractKind::ForkPerPage | ContractKind::Exit, _)
            | (_, None) => (0..self.world.shape().pages.len()).collect(),
            (_, Some(first)) => values::pages(self.world, &know.values(first)),
        }
    }

    fn read_upper(&self, foot: &mut Foot) {
        let shape = self.world.shape();
        for space in 0..shape.spaces.len() {
            for block in 0..shape.blocks.len() {
                self.read(foot, Kind::Upper, space, block);
            }
        }
    }

    /// Ideal memory: what a contract may change.
    fn names(&self, foot: &mut Foot, contract: usize) {
        let shape = self.world.shape();
        for space in 0..shape.spaces.len() {
            for page in 0..shape.pages.len() {
                self.write(foot, Kind::Name, space, page);
            }
        }
        let call = &self.world.lowered.contracts[contract];
        // A fork copies what names lead to now.
        for frame in 0..shape.frames.len() {
            self.read(foot, Kind::Contents, 0, frame);
        }
        for frame in &call.objects {
            self.write(foot, Kind::Contents, 0, *frame);
            self.write(foot, Kind::Frame, 0, *frame);
            self.write(foot, Kind::References, 0, *frame);
        }
    }

    /// What a posted descriptor does once the queue comes to it: as a part of
    /// what somebody may do, the step that posts it includes that.
    pub(super) fn posted<K: Know>(&self, foot: &mut Foot, know: &K, op: &Op) {
        match op {
            Op::Post { cache, count, range, .. } => {
                let pages = self.range(know, range);
                (*cache..cache + count).for_each(|cache| self.invalidate(foot, cache, pages));
            }
            Op::PostWrite { word, .. } => self.write(foot, Kind::Word, 0, *word),
            _ => {}
        }
    }
}
