//! One step of one thread.

use shootdown_litmus::primitives::{LifeOp, LockClass, LockOp, Order, RmwOp, RmwResult};
use shootdown_step::value::{UNDEFINED, WORD_BASE, address_of_page, entry, page_of_address};
use shootdown_step::{Access, Failure, LockAt, Op, Range, Target};

use crate::machine::Machine;
use crate::mmu::{Answer, Mmu};
use crate::setting::Drain;
use crate::state::{Slot, State};
use crate::world::{Failed, Seen};

/// Choices of one thread in one step.
pub type Each<'a> = &'a mut dyn FnMut(u32, State);

/// The choice of an access that faults.
pub const FAULT: u32 = 99;
/// What is added to the choice of an access that sets a dirty bit.
const MARKS: u32 = 32;

/// The frame that an access went to, by the choice of its step; a word that
/// nobody remaps has none.
pub fn frame_of_choice(choice: u32) -> Option<usize> {
    match choice {
        0 | FAULT => None,
        choice if choice > MARKS => Some((choice - MARKS) as usize - 1),
        choice => Some(choice as usize - 1),
    }
}

/// Whether an access with this choice sets the dirty bit of an entry, now or
/// later.
pub fn marks(choice: u32) -> bool {
    choice > MARKS && choice != FAULT
}

impl<M: Mmu> Machine<M> {
    /// Every way in which a thread can take its next step.
    pub fn thread_steps(&self, state: &State, thread: usize, each: Each<'_>) {
        if state.get(self.world.error) != 0 || !self.world.alive(state, thread) {
            return;
        }
        let Some((number, op)) = self.world.next_step(state, thread) else { return };
        if self.must_drain(op) && !self.drained(state, thread) || !self.has_room(state, thread) {
            return;
        }
        if self.world.may_sleep(thread, number) && self.must_not_sleep(state, thread) {
            let mut next = state.clone();
            self.fail(&mut next, Failed::Sleep);
            return each(0, next);
        }
        if self.counters.active() && matches!(op, Op::Access { .. }) {
            let value = |expr: &shootdown_step::Expr| self.value(state, thread, expr);
            self.counters.raises(&self.world, state, (thread, number), &value);
        }
        match self.world.weak {
            Some(_) => self.weak_step(state, thread, op, each),
            None => self.strong_step(state, thread, op, each),
        }
    }

    /// The next step of a thread, in memory that has one value for each word.
    pub(crate) fn strong_step(&self, state: &State, thread: usize, op: &Op, each: Each<'_>) {
        match op {
            Op::Access { into, pointer, index, access } => {
                let pointer = self.value(state, thread, pointer);
                let index = self.value(state, thread, index);
                self.access(state, thread, pointer, index, access, *into, each);
            }
            Op::Lock { into, lock, class, op } => {
                self.lock(state, thread, lock, *class, *op, *into, each);
            }
            Op::Sync { queue } => self.sync(state, thread, *queue, each),
            Op::Choose { into, ways } => {
                for way in 0..*ways {
                    let mut next = state.clone();
                    self.keep(&mut next, thread, *into, i64::from(way));
                    self.advance(&mut next, thread);
                    each(way, next);
                }
            }
            Op::Moment { contract } => self.moment(state, thread, *contract, each),
            Op::Alloc { .. }
            | Op::CopyPage { .. }
            | Op::SamePages { .. }
            | Op::PageBehind { .. } => self.page_choices(state, thread, op, each),
            _ => {
                let mut next = state.clone();
                if self.simple(&mut next, thread, op) {
                    each(0, next);
                }
            }
        }
    }

    /// Whether a step waits until the thread's stores are in memory.
    pub(crate) fn must_drain(&self, op: &Op) -> bool {
        match op {
            Op::Access { access, .. } => access.is_atomic(),
            Op::Pinned { .. } | Op::Choose { .. } => false,
            Op::Lock { op, .. } => !matches!(op, LockOp::Unlock | LockOp::IsLocked),
            Op::SetEntry { .. }
            | Op::PageWrite { .. }
            | Op::PageRead { .. }
            | Op::ReadEntry { .. } => false,
            // Reads of the tables by software, and what no other thread sees.
            Op::Probe { .. } | Op::RangeOpen { .. } | Op::RangeClose { .. } | Op::Begin { .. } => {
                false
            }
            Op::AskRights { .. } | Op::PageCount { .. } | Op::Warn { .. } => false,
            // Leaving waits its turn, as dropping a lock does.
            Op::Enter { .. } | Op::Leave { .. } => false,
            Op::Life { op, .. } => *op != LifeOp::Use,
            _ => true,
        }
    }

    fn must_not_sleep(&self, state: &State, thread: usize) -> bool {
        self.holds_spin_lock(state, thread) || self.world.in_atomic_section(state, thread)
    }

    fn holds_spin_lock(&self, state: &State, thread: usize) -> bool {
        let mine = thread as i64 + 1;
        self.world.locks.iter().enumerate().any(|(lock, slots)| {
            self.world.is_spin(lock)
                && (self.load(state, thread, slots.writer) == mine
                    || state.get(slots.readers) >> thread & 1 != 0)
        })
    }

    /// A step with one outcome; `false` if it has to wait.
    fn simple(&self, state: &mut State, thread: usize, op: &Op) -> bool {
        let outcome = match op {
            Op::Fence(_) => Ok(true),
            Op::Life { object, op } => {
                let pointer = self.value(state, thread, object);
                self.life_step(state, pointer, *op)
            }
            Op::Enter { .. } | Op::Leave { .. } | Op::GraceStart { .. } | Op::GraceWait { .. } => {
                self.reader_step(state, thread, op)
            }
            Op::GetPage { .. }
            | Op::PutPage { .. }
            | Op::ClearPage { .. }
            | Op::PageWrite { .. }
            | Op::PageRead { .. }
            | Op::PageCount { .. }
            | Op::Dirty { .. }
            | Op::MoveMarks { .. }
            | Op::Unpin { .. }
            | Op::Pinned { .. }
            | Op::GatherStart
            | Op::GatherPage { .. }
            | Op::GatherFlush { .. }
            | Op::GatherFree => self.page(state, thread, op),
            Op::FlushCpu { .. }
            | Op::FlushCache { .. }
            | Op::FlushContext { .. }
            | Op::Lazy { .. }
            | Op::LoadRoot { .. }
            | Op::WriteBack { .. }
            | Op::Post { .. }
            | Op::PostWrite { .. }
            | Op::SoftInstall { .. }
            | Op::SoftZap { .. } => self.told(state, thread, op),
            Op::RangeOpen { .. } => {
                let slot = self.world.threads[thread].ranges;
                state.set(slot, state.get(slot) + 1);
                Ok(true)
            }
            Op::RangeClose { .. } => {
                let slot = self.world.threads[thread].ranges;
                match state.get(slot) {
                    0 => Err(Failed::Range),
                    open => {
                        state.set(slot, open - 1);
                        Ok(true)
                    }
                }
            }
            Op::Begin { contract, arguments } => {
                self.contract_begins(state, thread, *contract, arguments);
                Ok(true)
            }
            Op::Return { contract } => {
                self.contract_returns(state, *contract);
                Ok(true)
            }
            Op::Born { space } => {
                state.set(self.world.born[*space], 1);
                Ok(true)
            }
            Op::Warn { condition } => match self.value(state, thread, condition) {
                0 => Ok(true),
                _ => Err(Failed::Warning),
            },
            Op::Fail(Failure::Fault) => {
                self.end_by_fault(state, thread);
                return true;
            }
            Op::Fail(Failure::NestedFault) => Err(Failed::NestedFault),
            // These go on by themselves: to a handler, or not.
            Op::Probe { .. } | Op::EnterFault { .. } => {
                self.fault_step(state, thread, op);
                return true;
            }
            _ => self.entry(state, thread, op),
        };
        match outcome {
            Ok(true) => self.advance(state, thread),
            Ok(false) => return false,
            Err(why) => self.fail(state, why),
        }
        true
    }

    /// The pages of a range.
    pub(crate) fn pages(&self, state: &State, thread: usize, range: &Range) -> u64 {
        let start = self.value(state, thread, &range.start);
        let end = self.value(state, thread, &range.end);
        self.world.pages_between(start, end)
    }

    /// The page that an address is in.
    pub(crate) fn page_at(&self, address: i64) -> Option<usize> {
        page_of_address(address).filter(|page| *page < self.world.shape().pages.len())
    }

    #[expect(clippy::too_many_arguments, reason = "they are what an access is")]
    fn access(
        &self,
        state: &State,
        thread: usize,
        pointer: i64,
        index: i64,
        access: &Access,
        into: Option<shootdown_step::Reg>,
        each: Each<'_>,
    ) {
        let failed = |why: Failed, each: Each<'_>| {
            let mut next = state.clone();
            self.fail(&mut next, why);
            each(0, next);
        };
        if pointer >= WORD_BASE {
            let word = usize::try_from(pointer - WORD_BASE + index).ok();
            let life = word.and_then(|word| self.world.life_of_word(word));
            if life.is_some_and(|life| self.world.is_gone(state, life)) {
                return failed(Failed::Lifetime, each);
            }
            return match word.and_then(|word| self.world.words.get(word)) {
                Some(slot) => {
                    let mut next = state.clone();
                    self.perform(&mut next, thread, *slot, access, into);
                    each(0, next);
                }
                None => failed(Failed::Page, each),
            };
        }
        let word =
            usize::try_from(index).ok().filter(|word| *word < self.world.shape().words_per_frame);
        let (Some(page), Some(word)) = (self.page_at(pointer), word) else {
            return failed(Failed::Page, each);
        };
        Seen::note(&self.world.seen.accessed, 1 << page);
        let slots = &self.world.threads[thread];
        // With a broken completion an access is two steps: it is translated,
        // and later performed where it was translated to.
        let in_two = self.world.setting.drain != Drain::Yes && self.world.target == Target::Machine;
        let in_flight = state.get(slots.in_flight);
        if in_two && in_flight != 0 {
            let mut next = state.clone();
            next.set(slots.in_flight, 0);
            next.set(slots.passed, 0);
            let slot = self.world.contents[in_flight as usize - 1][word];
            self.perform(&mut next, thread, slot, access, into);
            return each(0, next);
        }
        if self.world.translation(state, thread).is_none() {
            // Nothing is loaded that could be handled a fault of.
            let mut next = state.clone();
            self.end_by_fault(&mut next, thread);
            return each(FAULT, next);
        }
        // One step for each frame and for what becomes of its dirty bit.
        let mut answers = [0u64; 3];
        let mut marked: Vec<(usize, Slot)> = Vec::new();
        let mut faults = false;
        self.mmu.access(&self.world, state, thread, page, access.writes(), &mut |answer| {
            match answer {
                Answer::Frame(frame) => answers[0] |= 1 << frame,
                Answer::Owes(frame) => answers[2] |= 1 << frame,
                Answer::Marks(frame, slot) if !marked.contains(&(frame, slot)) => {
                    marked.push((frame, slot))
                }
                Answer::Marks(..) => {}
                Answer::Fault => faults = true,
            }
        });
        let go = |mut next: State, frame: usize, choice: u32, each: &mut dyn FnMut(u32, State)| {
            if in_two {
                next.set(slots.in_flight, frame as i64 + 1);
            } else {
                let slot = self.world.contents[frame][word];
                self.perform(&mut next, thread, slot, access, into);
                // One that compares and finds another value writes nothing.
                let conditional =
                    matches!(access, Access::CompareExchange(..) | Access::AddUnless(..));
                if access.writes() && (!conditional || next.get(slot) != state.get(slot)) {
                    self.mmu.written(&mut next, frame);
                }
            }
            each(choice, next);
        };
        for (kind, mut frames) in answers.into_iter().enumerate() {
            while frames != 0 {
                let frame = frames.trailing_zeros() as usize;
                frames &= frames - 1;
                let mut next = state.clone();
                if kind == 2 {
                    self.mmu.owes(&self.world, &mut next, thread, page, frame);
                }
                go(next, frame, frame as u32 + 1 + if kind == 2 { MARKS } else { 0 }, each);
            }
        }
        for (frame, slot) in marked {
            let mut next = state.clone();
            let value = next.get(slot) | entry::DIRTY;
            self.commit(&mut next, slot, value);
            go(next, frame, frame as u32 + 1 + MARKS, each);
        }
        if faults {
            let mut next = state.clone();
            self.mmu.fault(&self.world, &mut next, thread, page);
            self.faulted(&mut next, thread);
            each(FAULT, next);
        }
    }

    /// An access to a word, wherever it lies.
    fn perform(
        &self,
        state: &mut State,
        thread: usize,
        slot: Slot,
        access: &Access,
        into: Option<shootdown_step::Reg>,
    ) {
        let old = self.load(state, thread, slot);
        let reads = !matches!(access, Access::Store(..));
        if reads && old == UNDEFINED && !self.is_free_word(state, slot) {
            return self.fail(state, Failed::Undefined);
        }
        let number = |value: &shootdown_step::Expr| self.value(state, thread, value);
        let (new, result) = changed(access, old, &number);
        if let Some(new) = new {
            match access {
                Access::Store(Order::Once | Order::Release | Order::Acquire | Order::Full, _) => {
                    self.store(state, thread, slot, new);
                }
                _ => self.commit(state, slot, new),
            }
        }
        self.keep(state, thread, into, result);
        self.advance(state, thread);
    }

    /// Whether a word belongs to a frame that is free.
    pub(crate) fn is_free_word(&self, state: &State, slot: Slot) -> bool {
        let frames = self.world.contents.iter().zip(&self.world.frames);
        let mut owner = frames.filter(|(words, _)| words.contains(&slot));
        owner.next().is_some_and(|(_, frame)| state.get(*frame) != 1)
    }

    #[expect(clippy::too_many_arguments, reason = "they are what an operation on a lock is")]
    pub(crate) fn lock(
        &self,
        state: &State,
        thread: usize,
        lock: &LockAt,
        class: LockClass,
        op: LockOp,
        into: Option<shootdown_step::Reg>,
        each: Each<'_>,
    ) {
        let lock = self.lock_at(state, thread, lock, class);
        let waits = match op {
            LockOp::Lock => lock.is_some_and(|lock| !self.is_free(state, thread, lock)),
            _ => false,
        };
        if waits {
            return;
        }
        let mut next = state.clone();
        let Some(lock) = lock else {
            self.fail(&mut next, Failed::Page);
            return each(0, next);
        };
        let life = self.world.life_of_lock(lock);
        let outcome = match life.is_some_and(|life| self.world.is_gone(state, life)) {
            true => Err(Failed::Lifetime),
            false => self.lock_step(&mut next, thread, lock, op),
        };
        match outcome {
            Ok(None) => return,
            Ok(Some(result)) => {
                self.keep(&mut next, thread, into, result);
                self.advance(&mut next, thread);
            }
            Err(why) => self.fail(&mut next, why),
        }
        each(0, next);
    }

    /// Which lock is meant; `None` if none is.
    pub(crate) fn lock_at(
        &self,
        state: &State,
        thread: usize,
        lock: &LockAt,
        class: LockClass,
    ) -> Option<usize> {
        match lock {
            LockAt::Pointer(pointer) => {
                self.world.lock_of_pointer(self.value(state, thread, pointer))
            }
            LockAt::Mmap(space) => Some(self.world.mmap_lock(*space)),
            LockAt::Page(page) | LockAt::Rmap(page) => {
                let frame = shootdown_step::value::frame_of_page(self.value(state, thread, page));
                let frame = frame.filter(|frame| *frame < self.world.frames.len());
                frame.map(|frame| match class {
                    LockClass::Rmap => self.world.rmap_lock(frame),
                    _ => self.world.page_lock(frame),
                })
            }
        }
    }

    /// Whether nobody has a lock, as far as the thread can tell.
    fn is_free(&self, state: &State, thread: usize, lock: usize) -> bool {
        let slots = self.world.locks[lock];
        self.load(state, thread, slots.writer) == 0 && state.get(slots.readers) == 0
    }

    /// An operation on a lock: its result, or nothing if it has to wait.
    pub(crate) fn lock_step(
        &self,
        state: &mut State,
        thread: usize,
        lock: usize,
        op: LockOp,
    ) -> Result<Option<i64>, Failed> {
        let slots = self.world.locks[lock];
        let mine = thread as i64 + 1;
        let writer = self.load(state, thread, slots.writer);
        let readers = state.get(slots.readers);
        let me = 1i64 << thread;
        let free = writer == 0 && readers == 0;
        Ok(match op {
            LockOp::Lock if free => {
                state.set(slots.writer, mine);
                Some(0)
            }
            LockOp::TryLock => {
                if free {
                    state.set(slots.writer, mine);
                }
                Some(i64::from(free))
            }
            LockOp::ReadLock if writer == 0 && readers & me == 0 => {
                state.set(slots.readers, readers | me);
                Some(0)
            }
            LockOp::ReadTryLock => {
                let free = writer == 0 && readers & me == 0;
                if free {
                    state.set(slots.readers, readers | me);
                }
                Some(i64::from(free))
            }
            LockOp::Lock | LockOp::ReadLock => None,
            LockOp::Unlock if writer == mine => {
                self.store(state, thread, slots.writer, 0);
                Some(0)
            }
            LockOp::ReadUnlock if readers & me != 0 => {
                state.set(slots.readers, readers & !me);
                Some(0)
            }
            LockOp::Downgrade if writer == mine => {
                state.set(slots.writer, 0);
                state.set(slots.readers, readers | me);
                Some(0)
            }
            LockOp::Unlock | LockOp::ReadUnlock | LockOp::Downgrade => return Err(Failed::Unlock),
            LockOp::IsLocked => Some(i64::from(!free)),
        })
    }

    /// The address of a page, for messages.
    pub fn address(page: usize) -> i64 {
        address_of_page(page)
    }
}

/// What an access makes of the value that it finds: what it stores, if
/// anything, and its result.
pub(crate) fn changed(
    access: &Access,
    old: i64,
    number: &dyn Fn(&shootdown_step::Expr) -> i64,
) -> (Option<i64>, i64) {
    // What is computed from an undefined word is undefined.
    match access {
        Access::Load(_) => (None, old),
        Access::Store(_, value) => (Some(number(value)), 0),
        Access::Rmw(op, value, wanted, _) => {
            let new = if old == UNDEFINED { old } else { rmw(*op, old, number(value)) };
            let result = match wanted {
                RmwResult::Nothing => 0,
                RmwResult::Old => old,
                RmwResult::New => new,
                RmwResult::IsZero => i64::from(new == 0),
                RmwResult::IsNegative => i64::from(new < 0),
            };
            (Some(new), result)
        }
        Access::Exchange(value, _) => (Some(number(value)), old),
        Access::CompareExchange(expected, value, _) => {
            let same = old == number(expected);
            (same.then(|| number(value)), old)
        }
        Access::AddUnless(value, unless) => {
            let add = old != number(unless);
            (add.then(|| old.wrapping_add(number(value))), i64::from(add))
        }
    }
}

fn rmw(op: RmwOp, old: i64, value: i64) -> i64 {
    match op {
        RmwOp::Add => old.wrapping_add(value),
        RmwOp::Subtract => old.wrapping_sub(value),
        RmwOp::And => old & value,
        RmwOp::Or => old | value,
        RmwOp::Xor => old ^ value,
        RmwOp::AndNot => old & !value,
    }
}
