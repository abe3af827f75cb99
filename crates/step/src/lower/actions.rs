//! The primitives: what each row of the table is in steps.

use shootdown_litmus::primitives::{
    Action, Fence, FlushScope, Level, LockClass, LockOp, Notify, Order, Primitive, ReaderOp,
    Readers, Tag, UseMark, Write,
};
use shootdown_litmus::program::{Arg, FieldId, Place, PlaceKind};
use shootdown_litmus::{Name, Span, Type};

use super::faults::{self, Fault, Faulter};
use super::objects::Walk;
use super::{Binding, Builder, Cursor, Env, Result, Target, sum, unsupported};
use crate::code::Node;
use crate::expr::{Expr, Reg};
use crate::op::{Access, DirtyAct, EntryAt, LockAt, Op, Range};
use crate::shape::{ObjectShape, ReaderDomain};
use crate::value;

/// Ways that one choice has, at most.
const MOST_WAYS: u32 = 16;

/// The arguments of a call, evaluated.
struct Call<'a> {
    values: Vec<Expr>,
    place: Option<&'a Place>,
    out: Option<&'a Place>,
    into: Option<Reg>,
    span: Span,
    name: Name,
}

impl Call<'_> {
    fn value(&self, index: usize) -> Expr {
        self.values.get(index).cloned().unwrap_or(Expr::Const(0))
    }
}

impl Builder<'_, '_> {
    pub(super) fn primitive(
        &mut self,
        at: &mut Cursor,
        env: &Env,
        row: &'static Primitive,
        args: &[Arg],
        into: Option<Reg>,
        span: Span,
    ) -> Result<()> {
        let mut call =
            Call { values: Vec::new(), place: None, out: None, into, span, name: row.name.into() };
        for arg in args {
            match arg {
                Arg::Value(value) => call.values.push(self.expr(env, value)?),
                Arg::Place(place) => call.place = Some(place),
                Arg::Out(place) => call.out = Some(place),
            }
        }
        if self.cx.target == Target::Ideal && touches_tables(row) {
            let why = format!("`{}` is called outside of a function with a contract", row.name);
            self.refuse(why, span);
        }
        match row.action {
            Action::Load(_)
            | Action::Store(_)
            | Action::Rmw(..)
            | Action::Exchange(_)
            | Action::CompareExchange(_)
            | Action::AddUnless => self.word(at, env, row.action, call),
            Action::Fence(kind) => {
                if self.cx.dials.model.orders(kind) {
                    self.step(at, Op::Fence(kind), span, &call.name);
                }
                Ok(())
            }
            Action::Lock(class, op) => {
                let interrupts = row.has(Tag::Interrupts).then(|| self.interrupts());
                let (span, name) = (call.span, call.name.clone());
                if let (Some(readers), LockOp::Lock) = (interrupts, op) {
                    self.step(at, Op::Enter { into: None, readers }, span, &name);
                }
                self.lock(at, class, op, call)?;
                if let (Some(readers), LockOp::Unlock) = (interrupts, op) {
                    self.step(at, Op::Leave { readers }, span, &name);
                }
                Ok(())
            }
            Action::Reader(whose, op) => self.readers(at, whose, op, call),
            Action::PostWrite => self.post_write(at, env, call),
            Action::Life(op) => {
                self.life(at, op, call.value(0), span, &call.name);
                Ok(())
            }
            Action::List(op) => self.list(at, op, call.value(0), call.into, span, &call.name),
            Action::Flush(_) | Action::Notify(_) | Action::GatherFlush(_) => {
                self.tells(at, row.action, call)
            }
            Action::MapEntry(_)
            | Action::EntryLock(_)
            | Action::UnmapUnlock(_)
            | Action::ReadEntry(_)
            | Action::ClearEntry { .. }
            | Action::SetEntry(..)
            | Action::WriteProtectEntry(_)
            | Action::SetAccessFlags(_)
            | Action::TestAndClear(..)
            | Action::ExchangeEntry(_)
            | Action::Populate
            | Action::TableEntry => self.entry(at, env, row, call),
            Action::MakeEntry(_)
            | Action::EmptyEntry(_)
            | Action::ChangeEntry(..)
            | Action::AskEntry(..)
            | Action::SameEntry(_)
            | Action::EntryPage(_)
            | Action::PageIndex
            | Action::Same
            | Action::Bound(_)
            | Action::Nothing => {
                self.pure(at, row.action, call);
                Ok(())
            }
            Action::NotCovered(why) => unsupported(format!("`{}`: {why}", row.name), span),
            _ => self.memory_management(at, row.action, call),
        }
    }

    fn word(&mut self, at: &mut Cursor, env: &Env, action: Action, call: Call<'_>) -> Result<()> {
        let Some(place) = call.place else {
            return unsupported("an access without a place", call.span);
        };
        let access = match action {
            Action::Load(order) => Access::Load(order),
            Action::Store(order) => Access::Store(order, call.value(0)),
            Action::Rmw(op, result, order) => {
                let value = call.values.first().cloned().unwrap_or(Expr::Const(1));
                Access::Rmw(op, value, result, order)
            }
            Action::Exchange(order) => Access::Exchange(call.value(0), order),
            Action::CompareExchange(order) => {
                Access::CompareExchange(call.value(0), call.value(1), order)
            }
            _ => Access::AddUnless(call.value(0), call.value(1)),
        };
        if matches!(place.kind, PlaceKind::Local(_) | PlaceKind::Field(..)) {
            return unsupported("an atomic operation on a variable of the thread", call.span);
        }
        if matches!(place.ty, Type::Pte | Type::Pmd) {
            return self.access(at, env, place, access, call.into, call.span);
        }
        let (pointer, index) = self.pointer(env, place)?;
        let full = matches!(access, Access::Store(Order::Full, _));
        self.memory(at, pointer, index, access, call.into, call.span, &call.name)?;
        if full && self.cx.dials.model.orders(Fence::Full) {
            self.step(at, Op::Fence(Fence::Full), call.span, &call.name);
        }
        Ok(())
    }

    /// A descriptor that tells by a word that the queue has come to it.
    fn post_write(&mut self, at: &mut Cursor, env: &Env, call: Call<'_>) -> Result<()> {
        let ObjectShape::Queue(queue) = self.object(&call.value(0), call.span)? else {
            return unsupported("this is not a queue", call.span);
        };
        let Some(place) = call.place else {
            return unsupported("a descriptor that writes nowhere", call.span);
        };
        let (pointer, index) = self.pointer(env, place)?;
        let word = sum(pointer, index).constant().map(|address| address - value::WORD_BASE);
        let Some(word) = word.and_then(|word| usize::try_from(word).ok()) else {
            return unsupported("a word that is chosen while the test runs", call.span);
        };
        let op = Op::PostWrite { queue, word, value: call.value(1) };
        self.step(at, op, call.span, &call.name);
        Ok(())
    }

    fn lock(
        &mut self,
        at: &mut Cursor,
        class: LockClass,
        op: LockOp,
        call: Call<'_>,
    ) -> Result<()> {
        let lock = match class {
            LockClass::Spin | LockClass::Mutex => LockAt::Pointer(call.value(0)),
            LockClass::Mmap => {
                let space = call.value(0).constant().unwrap_or(0);
                let space = usize::try_from(space - 1).unwrap_or(self.space);
                LockAt::Mmap(space)
            }
            LockClass::Page => LockAt::Page(call.value(0)),
            LockClass::Rmap => LockAt::Rmap(call.value(0)),
        };
        self.step(at, Op::Lock { into: call.into, lock, class, op }, call.span, &call.name);
        Ok(())
    }

    fn interrupts(&mut self) -> usize {
        self.cx.shape.readers(ReaderDomain::Interrupts)
    }

    fn readers(
        &mut self,
        at: &mut Cursor,
        whose: Readers,
        op: ReaderOp,
        call: Call<'_>,
    ) -> Result<()> {
        let domain = match whose {
            Readers::Rcu => ReaderDomain::Rcu,
            Readers::Interrupts => ReaderDomain::Interrupts,
            Readers::Srcu => {
                let lock = call.value(0).constant().and_then(|at| usize::try_from(at - 1).ok());
                match lock.filter(|lock| *lock < self.cx.shape.locks.len()) {
                    Some(lock) => ReaderDomain::Srcu(lock),
                    None => {
                        let why = "an `srcu_struct` that is chosen while the test runs";
                        return unsupported(why, call.span);
                    }
                }
            }
        };
        let readers = self.cx.shape.readers(domain);
        match op {
            ReaderOp::Enter => {
                let op = Op::Enter { into: call.into, readers };
                self.step(at, op, call.span, &call.name);
            }
            ReaderOp::Leave => {
                self.step(at, Op::Leave { readers }, call.span, &call.name);
            }
            ReaderOp::Synchronize => self.grace(at, readers, None, call.span, &call.name),
        }
        Ok(())
    }

    /// Waits for readers that are inside now.
    fn grace(
        &mut self,
        at: &mut Cursor,
        readers: usize,
        space: Option<usize>,
        span: Span,
        name: &Name,
    ) {
        self.step(at, Op::GraceStart { readers, space }, span, name);
        self.step(at, Op::GraceWait { readers }, span, name);
    }

    /// A flush that is sent as an interrupt: processors that have them off take
    /// it when they turn them on.
    pub(super) fn interrupt_for_flush(&mut self, at: &mut Cursor, span: Span, name: &Name) {
        let known = self.cx.shape.readers.iter().position(|d| *d == ReaderDomain::Interrupts);
        if let (Some(readers), true) = (known, self.cx.dials.flush_by_ipi) {
            self.grace(at, readers, Some(self.space), span, name);
        }
    }

    /// Flushes and notifications, with the callbacks that they run.
    fn tells(&mut self, at: &mut Cursor, action: Action, call: Call<'_>) -> Result<()> {
        let (span, name) = (call.span, &call.name);
        let (start, end) = self.range(&call.values);
        match action {
            Action::Flush(FlushScope::Mm) => self.flush_cpu(at, None, false, span, name),
            Action::Flush(scope) => {
                let local = scope == FlushScope::LocalPage;
                self.flush_cpu(at, Some((start, end)), local, span, name)
            }
            Action::Notify(Notify::Start) => {
                self.step(at, Op::RangeOpen { space: self.space }, span, name);
                self.callbacks(at, &["invalidate_range_start"], &start, &end, None, span)
            }
            Action::Notify(Notify::TryStart) => {
                self.try_start(at, &start, &end, call.into, span, name)
            }
            Action::Notify(kind @ (Notify::End | Notify::OnlyEnd)) => {
                if kind == Notify::End && self.cx.dials.range_end_invalidates {
                    self.tell(at, &start, &end, span)?;
                }
                self.callbacks(at, &["invalidate_range_end"], &start, &end, None, span)?;
                self.step(at, Op::RangeClose { space: self.space }, span, name);
                Ok(())
            }
            Action::Notify(Notify::Range) => self.tell(at, &start, &end, span),
            Action::Notify(Notify::Release) => {
                let (start, end) = (Expr::Const(1), self.last_address());
                self.callbacks(at, &["release"], &start, &end, None, span)
            }
            Action::GatherFlush(_) if self.cx.shape.cpus_have_contexts => {
                super::calls::flush_without_a_tlb(name, span)
            }
            Action::GatherFlush(frees) => {
                let (first, last) = (self.register(Type::VirtAddr), self.register(Type::VirtAddr));
                self.interrupt_for_flush(at, span, name);
                let op = Op::GatherFlush { space: self.space, start: Some(first), end: Some(last) };
                self.step(at, op, span, name);
                // Until 6.5 with a call of its own, since 6.6 from the flush.
                self.tell(at, &Expr::Reg(first), &Expr::Reg(last), span)?;
                if frees {
                    self.step(at, Op::GatherFree, span, name);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A range where nobody may sleep. If a subscriber refuses, it is not open;
    /// the others are told so.
    fn try_start(
        &mut self,
        at: &mut Cursor,
        start: &Expr,
        end: &Expr,
        into: Option<Reg>,
        span: Span,
        name: &Name,
    ) -> Result<()> {
        let refused = self.register(Type::Int);
        self.set(at, refused, Expr::Const(0));
        let names = &["invalidate_range_start"];
        let walk =
            Walk { names, start, end, entry: None, refused: Some(refused), only: None, span };
        self.walk_list(at, &walk)?;
        let (mut failed, mut opens, behind) = (self.fresh(), self.fresh(), self.fresh());
        self.nodes[*at] = Node::Branch { condition: Expr::Reg(refused), yes: failed, no: opens };
        if self.cx.dials.failed_start_ends {
            self.callbacks(&mut failed, &["invalidate_range_end"], start, end, None, span)?;
        }
        self.nodes[failed] = Node::Jump(behind);
        self.step(&mut opens, Op::RangeOpen { space: self.space }, span, name);
        self.nodes[opens] = Node::Jump(behind);
        *at = behind;
        if let Some(into) = into {
            self.set(at, into, Expr::Reg(refused));
        }
        Ok(())
    }

    fn entry(
        &mut self,
        at: &mut Cursor,
        env: &Env,
        row: &'static Primitive,
        call: Call<'_>,
    ) -> Result<()> {
        let (span, into) = (call.span, call.into);
        let name = call.name.clone();
        let entry = |level: Level| match level {
            Level::Pte => EntryAt::Lower(call.value(0)),
            Level::Pmd => EntryAt::Upper(call.value(0)),
        };
        match row.action {
            Action::MapEntry(level) => self.map_entry(at, env, level, row.has(Tag::Locks), call),
            Action::TableEntry => {
                let op = Op::EntryOfTable { into, table: call.value(0), address: call.value(1) };
                self.step(at, op, span, &name);
                Ok(())
            }
            Action::EntryLock(level) => {
                let take = row.has(Tag::Locks);
                let known = call.value(0).constant();
                if let Some(lock) = known.and_then(|pointer| self.lock_of(level, pointer)) {
                    if let Some(into) = into {
                        self.set(at, into, Expr::Const(lock));
                    }
                    if take {
                        let lock = LockAt::Pointer(Expr::Const(lock));
                        let op =
                            Op::Lock { into: None, lock, class: LockClass::Spin, op: LockOp::Lock };
                        self.step(at, op, span, &name);
                    }
                    return Ok(());
                }
                self.step(at, Op::EntryLock { into, entry: entry(level), take }, span, &name);
                Ok(())
            }
            Action::UnmapUnlock(_) => {
                let lock = LockAt::Pointer(call.value(1));
                let op = Op::Lock { into: None, lock, class: LockClass::Spin, op: LockOp::Unlock };
                self.step(at, op, span, &name);
                Ok(())
            }
            Action::ReadEntry(level) => {
                self.step(at, Op::ReadEntry { into, entry: entry(level) }, span, &name);
                Ok(())
            }
            Action::ClearEntry { level, flush, notify } => {
                self.step(at, Op::ClearEntry { into, entry: entry(level) }, span, &name);
                if flush {
                    let (start, end) = self.range_of_entry(level, &call.value(0), span)?;
                    self.flush_cpu(at, Some((start.clone(), end.clone())), false, span, &name)?;
                    if notify && !self.cx.dials.cpu_flush_notifies {
                        self.tell(at, &start, &end, span)?;
                    }
                }
                Ok(())
            }
            Action::SetEntry(level, tells) => {
                if tells {
                    let (start, end) = self.range_of_entry(level, &call.value(0), span)?;
                    self.callbacks(at, &["change_pte"], &start, &end, Some(&call.value(1)), span)?;
                }
                self.step(
                    at,
                    Op::SetEntry { entry: entry(level), value: call.value(1) },
                    span,
                    &name,
                );
                Ok(())
            }
            Action::WriteProtectEntry(level) => {
                self.step(at, Op::WriteProtectEntry { entry: entry(level) }, span, &name);
                Ok(())
            }
            Action::TestAndClear(level, mark) => {
                let flags = match mark {
                    UseMark::Dirty => value::entry::DIRTY,
                    UseMark::Young => value::entry::YOUNG,
                };
                let op = Op::Flags { into, entry: entry(level), clears: flags, sets: 0 };
                self.step(at, op, span, &name);
                Ok(())
            }
            Action::ExchangeEntry(level) => {
                let (entry, value) = (entry(level), call.value(1));
                let op = Op::ExchangeEntry { into, entry, expected: None, value };
                self.step(at, op, span, &name);
                Ok(())
            }
            Action::SetAccessFlags(level) => {
                let op = Op::SetAccessFlags { into, entry: entry(level), value: call.value(1) };
                self.step(at, op, span, &name);
                Ok(())
            }
            _ => {
                let op = Op::Populate { entry: call.value(0), table: call.value(1) };
                self.step(at, op, span, &name);
                Ok(())
            }
        }
    }

    fn map_entry(
        &mut self,
        at: &mut Cursor,
        env: &Env,
        level: Level,
        locks: bool,
        call: Call<'_>,
    ) -> Result<()> {
        let address = call.value(0);
        let page = address.constant().and_then(value::page_of_address);
        let page = page.filter(|page| *page < self.cx.shape.pages.len());
        let out = match call.out {
            Some(place) => Some(self.out(env, place)?),
            None => None,
        };
        let space = self.space;
        if level == Level::Pmd {
            let Some(page) = page else {
                return unsupported("the upper entry of an address that is computed", call.span);
            };
            let block = self.cx.shape.pages[page].block;
            let pointer = self.cx.shape.upper_pointer(space, block);
            if let Some(into) = call.into {
                self.set(at, into, Expr::Const(pointer));
            }
            return Ok(());
        }
        if let (Some(page), false) = (page, self.cx.shape.two_levels) {
            // The table never changes, so the entry is known.
            let table = self.cx.shape.first_table(space, self.cx.shape.pages[page].block);
            let pointer = self.cx.shape.entry_pointer(table, page);
            let lock = self.cx.shape.table_lock(table);
            if let Some(into) = call.into {
                self.set(at, into, Expr::Const(pointer));
            }
            if let Some(out) = out {
                self.set(at, out, Expr::Const(lock));
            }
            if locks {
                let lock = LockAt::Pointer(Expr::Const(lock));
                let op = Op::Lock { into: None, lock, class: LockClass::Spin, op: LockOp::Lock };
                self.step(at, op, call.span, &call.name);
            }
            return Ok(());
        }
        let lock = locks.then_some(out);
        self.step(
            at,
            Op::MapEntry { into: call.into, address, space, lock },
            call.span,
            &call.name,
        );
        Ok(())
    }

    fn out(&mut self, env: &Env, place: &Place) -> Result<Reg> {
        match &place.kind {
            PlaceKind::Local(local) => match &env.locals[local.index()] {
                Binding::Value(Expr::Reg(reg)) => Ok(*reg),
                _ => unsupported("a lock variable that is a parameter", place.span),
            },
            PlaceKind::Field(record, field) => {
                let field: FieldId = *field;
                self.field_register(env, record, field)
            }
            _ => unsupported("a lock variable that is shared", place.span),
        }
    }

    fn lock_of(&self, level: Level, pointer: i64) -> Option<i64> {
        let shape = &self.cx.shape;
        match level {
            Level::Pte => shape.entry_of_pointer(pointer).map(|(table, _)| shape.table_lock(table)),
            Level::Pmd => shape.upper_of_pointer(pointer).map(|(space, _)| shape.upper_lock(space)),
        }
    }

    /// The addresses that an entry maps.
    fn range_of_entry(&self, level: Level, pointer: &Expr, span: Span) -> Result<(Expr, Expr)> {
        use shootdown_litmus::program::BinaryOp;
        let shape = &self.cx.shape;
        let constant = |value| Box::new(Expr::Const(value));
        if level == Level::Pte {
            let number = Expr::Binary(BinaryOp::Subtract, Box::new(pointer.clone()), constant(1));
            let pages = constant(shape.pages.len().max(1) as i64);
            let page = Expr::Binary(BinaryOp::Remainder, Box::new(number), pages);
            let start = sum(page, Expr::Const(1)).folded();
            return Ok((start.clone(), sum(start, Expr::Const(1)).folded()));
        }
        // The pointer is compared with that of each block.
        let (mut start, mut end) = (Expr::Const(0), Expr::Const(0));
        for (block, pages) in shape.blocks.iter().enumerate() {
            let (first, last) = (pages[0], pages[pages.len() - 1]);
            if last - first + 1 != pages.len() {
                return unsupported(
                    "pages of one table that are not declared one after the other",
                    span,
                );
            }
            let own = constant(shape.upper_pointer(self.space, block));
            let is = Expr::Binary(BinaryOp::Equal, Box::new(pointer.clone()), own);
            let part = |address| {
                Expr::Binary(BinaryOp::Multiply, Box::new(is.clone()), constant(address)).folded()
            };
            start = sum(start, part(value::address_of_page(first)));
            end = sum(end, part(value::address_of_page(last) + 1));
        }
        Ok((start.folded(), end.folded()))
    }

    fn pure(&mut self, at: &mut Cursor, action: Action, call: Call<'_>) {
        let Some(into) = call.into else { return };
        let first = || Box::new(call.value(0));
        let value = match action {
            Action::MakeEntry(level) => {
                let rights = match call.value(1) {
                    Expr::Const(rights) => Expr::Const(faults::flags(rights)),
                    other => other,
                };
                Expr::MakeEntry(first(), Box::new(rights), level == Level::Pmd)
            }
            Action::ChangeEntry(_, change) => Expr::ChangeEntry(change, first()),
            Action::AskEntry(_, question) => Expr::AskEntry(question, first()),
            Action::SameEntry(_) => Expr::Binary(
                shootdown_litmus::program::BinaryOp::Equal,
                first(),
                Box::new(call.value(1)),
            ),
            Action::EntryPage(_) => Expr::EntryPage(first()),
            Action::Same => call.value(0),
            Action::PageIndex => Expr::Binary(
                shootdown_litmus::program::BinaryOp::Subtract,
                first(),
                Box::new(Expr::Const(value::address_of_page(0))),
            ),
            Action::Bound(false) => Expr::Const(value::address_of_page(0)),
            Action::Bound(true) => self.last_address(),
            _ => Expr::Const(0),
        };
        self.set(at, into, value.folded());
    }

    /// Pages, faults on behalf of a program, queues, software TLBs.
    fn memory_management(&mut self, at: &mut Cursor, action: Action, call: Call<'_>) -> Result<()> {
        let (into, span) = (call.into, call.span);
        let (space, name) = (self.space, call.name.clone());
        let (start, end) = match action {
            // The first argument is the TLB or the queue.
            Action::FlushTlb(_) | Action::SoftZap | Action::FlushContext => {
                self.range(call.values.get(1..).unwrap_or(&[]))
            }
            Action::Post(_) | Action::FlushTag => self.range(call.values.get(2..).unwrap_or(&[])),
            Action::PostTag => self.range(call.values.get(3..).unwrap_or(&[])),
            _ => (Expr::Const(0), Expr::Const(0)),
        };
        let range = Range { start, end };
        let op = match action {
            Action::AllocPage(zeroed) => Op::Alloc { into, site: self.site(span)?, zeroed },
            Action::GetPage => Op::GetPage { page: call.value(0) },
            Action::PutPage => Op::PutPage { page: call.value(0) },
            Action::CopyPage => Op::CopyPage { to: call.value(0), from: call.value(1) },
            Action::ClearPage => Op::ClearPage { page: call.value(0) },
            Action::SamePages => Op::SamePages { into, left: call.value(0), right: call.value(1) },
            Action::PageWrite => {
                self.words(&call.value(1));
                Op::PageWrite { page: call.value(0), index: call.value(1), value: call.value(2) }
            }
            Action::PageRead => {
                self.words(&call.value(1));
                Op::PageRead { into, page: call.value(0), index: call.value(1) }
            }
            Action::PageCount => Op::PageCount { into, page: call.value(0) },
            Action::MarkDirty
            | Action::UnmarkDirty
            | Action::IsMarked
            | Action::WriteOut
            | Action::GiveUp { .. } => {
                let act = match action {
                    Action::MarkDirty => DirtyAct::Mark,
                    Action::UnmarkDirty => DirtyAct::Unmark,
                    Action::IsMarked => DirtyAct::Ask,
                    Action::WriteOut => DirtyAct::WriteOut,
                    Action::GiveUp { for_good } => DirtyAct::GiveUp(for_good),
                    _ => unreachable!("these are the actions above"),
                };
                Op::Dirty { into, page: call.value(0), act }
            }
            Action::MoveMarks => Op::MoveMarks { to: call.value(0), from: call.value(1) },
            Action::Pinned => Op::Pinned { into, page: call.value(0) },
            Action::Unpin => {
                self.step(at, Op::Unpin { page: call.value(0) }, span, &name);
                Op::PutPage { page: call.value(0) }
            }
            Action::AllocTable => Op::AllocTable { into, site: self.table_site(span) },
            Action::FreeTable => Op::FreeTable { table: call.value(0) },
            Action::Post(_) | Action::PostTag => {
                let leaf = action == Action::Post(true);
                let tag = (action == Action::PostTag).then(|| call.value(2));
                let queue = self.object(&call.value(0), span)?;
                let (cache, count) = self.caches(&call.value(1), tag.is_some(), span)?;
                let ObjectShape::Queue(queue) = queue else {
                    return unsupported("this is not a queue", span);
                };
                Op::Post { queue, cache, count, tag, range, leaf }
            }
            Action::Sync => {
                let ObjectShape::Queue(queue) = self.object(&call.value(0), span)? else {
                    return unsupported("this is not a queue", span);
                };
                Op::Sync { queue }
            }
            Action::SoftInstall | Action::SoftZap => {
                let ObjectShape::Soft(soft) = self.object(&call.value(0), span)? else {
                    return unsupported("this is not a software TLB", span);
                };
                if action == Action::SoftZap {
                    Op::SoftZap { soft, range }
                } else {
                    let rights = call.values.get(3).cloned().unwrap_or(Expr::Const(3));
                    Op::SoftInstall { soft, address: call.value(1), page: call.value(2), rights }
                }
            }
            Action::SoftRead | Action::SoftSet | Action::SoftExchange | Action::SoftHide => {
                let ObjectShape::Soft(soft) = self.object(&call.value(0), span)? else {
                    return unsupported("this is not a software TLB", span);
                };
                let (entry, new) = (EntryAt::Soft(soft, call.value(1)), call.value(2));
                match action {
                    Action::SoftRead => Op::ReadEntry { into, entry },
                    Action::SoftSet => Op::SetEntry { entry, value: new },
                    Action::SoftHide => {
                        Op::Flags { into, entry, clears: 0, sets: value::entry::INVALID }
                    }
                    _ => Op::ExchangeEntry { into, entry, expected: None, value: new },
                }
            }
            Action::FlushTlb(_) | Action::FlushTag => {
                let leaf = action == Action::FlushTlb(true);
                let tag = (action == Action::FlushTag).then(|| call.value(1));
                let ranged = call.values.len() > 1 + usize::from(tag.is_some());
                let (cache, count) = self.caches(&call.value(0), tag.is_some(), span)?;
                Op::FlushCache { cache, count, tag, range: ranged.then_some(range), leaf }
            }
            Action::LoadRoot { .. }
            | Action::ClearRoot
            | Action::Lazy(_)
            | Action::FlushContext => {
                let ObjectShape::Context(context) = self.object(&call.value(0), span)? else {
                    return unsupported("this is not a context", span);
                };
                match action {
                    Action::Lazy(lazy) => Op::Lazy { context, lazy },
                    Action::FlushContext => {
                        let range = (call.values.len() > 1).then_some(range);
                        Op::FlushContext { context, range }
                    }
                    Action::LoadRoot { flush } => {
                        let space = call.value(1).constant();
                        let space = space.and_then(|space| usize::try_from(space - 1).ok());
                        if space.is_none() {
                            return unsupported(
                                "an address space that is chosen while the test runs",
                                span,
                            );
                        }
                        Op::LoadRoot { context, space, tag: call.value(2), flush }
                    }
                    _ => {
                        let tag = Expr::Const(0);
                        Op::LoadRoot { context, space: None, tag, flush: false }
                    }
                }
            }
            Action::WriteBack(level) => {
                let pointer = call.value(0);
                let entry = match level {
                    Level::Pte => EntryAt::Lower(pointer),
                    Level::Pmd => EntryAt::Upper(pointer),
                };
                Op::WriteBack { entry }
            }
            Action::GatherStart => Op::GatherStart,
            Action::GatherPage => Op::GatherPage { page: call.value(0) },
            Action::PageBehind(write) => {
                if self.cx.shape.agents[self.thread].context.is_some() {
                    self.refuse(format!("`{name}` is called by a thread with a context"), span);
                }
                let address = call.value(0);
                let op = Op::PageBehind { into, address: address.clone(), space, write };
                let node = self.step(at, op, span, &name);
                let whose = Faulter::Kernel;
                return self
                    .handled(node, &Fault { whose, address, write, again: true, into, span });
            }
            Action::FaultIn(write) => {
                // Ideal memory has no faults.
                if self.cx.target == Target::Ideal {
                    return Ok(());
                }
                let write = write == Write::Yes;
                let address = call.value(0);
                let op = Op::Probe { address: address.clone(), space, write };
                let node = self.step(at, op, span, &name);
                let whose = Faulter::Thread;
                return self
                    .handled(node, &Fault { whose, address, write, again: false, into, span });
            }
            Action::SetRights => {
                Op::SetRights { space, address: call.value(0), rights: call.value(1) }
            }
            Action::AskRights => Op::AskRights { into, space, address: call.value(0) },
            Action::ForkEntry => {
                let Some(to) = call.value(0).constant().and_then(|to| usize::try_from(to - 1).ok())
                else {
                    return unsupported("a child that is chosen while the test runs", span);
                };
                Op::ForkEntries { from: space, to, address: call.values.get(1).cloned() }
            }
            Action::SetChildEntry => {
                let Some(to) = call.value(0).constant().and_then(|to| usize::try_from(to - 1).ok())
                else {
                    return unsupported("a child that is chosen while the test runs", span);
                };
                let (address, value) = (call.value(1), call.value(2));
                Op::SetChildEntry { from: space, to, address, value }
            }
            Action::Choose => return self.choose(at, &call),
            Action::User(user) => return self.user_call(at, user, call.values, into, span),
            Action::Warn => {
                let condition = call.value(0);
                if let Some(into) = into {
                    self.set(at, into, condition.clone());
                }
                // Known to be false: nothing can happen.
                if condition == Expr::Const(0) {
                    return Ok(());
                }
                Op::Warn { condition }
            }
            _ => return unsupported(format!("`{name}` has no meaning here yet"), span),
        };
        self.step(at, op, span, &name);
        Ok(())
    }

    /// A choice is an input: an end of the machine is compared with the ends of
    /// ideal memory that chose the same. So what was chosen is a variable of the
    /// thread, whatever the text makes of it. Code that ideal memory does not
    /// have (under a contract, in a handler) has to be right whichever way it
    /// goes, and needs none.
    fn choose(&mut self, at: &mut Cursor, call: &Call<'_>) -> Result<()> {
        let ways = call.value(0).constant().and_then(|ways| u32::try_from(ways).ok());
        let Some(ways) = ways.filter(|ways| (1..=MOST_WAYS).contains(ways)) else {
            let why = format!("`choose` takes a constant from 1 to {MOST_WAYS}");
            return unsupported(why, call.span);
        };
        let chosen = self.register(Type::Int);
        let node = self.step(at, Op::Choose { into: Some(chosen), ways }, call.span, &call.name);
        if self.promised == 0 && self.handlers.is_empty() {
            let kept = self.register(Type::Int);
            self.set(at, kept, Expr::Reg(chosen));
            self.choices.push(super::Choice { node, kept, span: call.span });
        }
        if let Some(into) = call.into {
            self.set(at, into, Expr::Reg(chosen));
        }
        Ok(())
    }

    /// The caches of a TLB. Who names a tag wants them to have tags.
    fn caches(&self, tlb: &Expr, tagged: bool, span: Span) -> Result<(usize, usize)> {
        match self.object(tlb, span)? {
            ObjectShape::Tagged(first, tags) => Ok((first, tags)),
            ObjectShape::Cache(_) if tagged => {
                unsupported("a tag of a TLB that has none; declare it with `: tags 2`", span)
            }
            ObjectShape::Cache(cache) => Ok((cache, 1)),
            _ => unsupported("this is not a TLB", span),
        }
    }

    fn words(&mut self, index: &Expr) {
        if let Some(highest) = index.constant() {
            let words = &mut self.cx.shape.words_per_frame;
            *words = (*words).max(usize::try_from(highest).unwrap_or(0).min(63) + 1);
        }
    }

    /// The frames of a place that allocates: one, and a second for the case
    /// that the first is still in use, if the place is written out twice or in
    /// a handler: the same access may fault again.
    fn site(&mut self, span: Span) -> Result<usize> {
        let thread = self.thread;
        if let Some((site, copies)) = self.cx.sites.get_mut(&(thread, span)) {
            *copies += 1;
            let (site, copies) = (*site, *copies);
            if copies == 2 {
                self.frame_of_site(site, span)?;
            }
            return Ok(site);
        }
        let site = self.cx.sites.len();
        self.frame_of_site(site, span)?;
        let again = !self.handlers.is_empty();
        if again {
            self.frame_of_site(site, span)?;
        }
        self.cx.sites.insert((thread, span), (site, 1 + usize::from(again)));
        Ok(site)
    }

    fn frame_of_site(&mut self, site: usize, span: Span) -> Result<()> {
        let thread = &self.cx.program.threads[self.thread].name;
        let taken = |name: &str| self.cx.shape.frames.iter().any(|frame| &*frame.name == name);
        let mut name = format!("new.{thread}");
        let mut number = 2;
        while taken(&name) {
            name = format!("new.{thread}.{number}");
            number += 1;
        }
        match self.cx.shape.allocate(name, site) {
            Some(_) => Ok(()),
            None => unsupported(
                format!(
                    "more than {} pages; use fewer threads or fewer faults",
                    value::MOST_FRAMES
                ),
                span,
            ),
        }
    }

    fn table_site(&mut self, span: Span) -> usize {
        let shape = &mut self.cx.shape;
        *self.cx.tables.entry((self.thread, span)).or_insert_with(|| {
            shape.tables += 1;
            shape.tables - 1
        })
    }
}

/// Whether a primitive belongs to code that has to state what it promises.
fn touches_tables(row: &Primitive) -> bool {
    matches!(
        row.action,
        Action::ReadEntry(_)
            | Action::ClearEntry { .. }
            | Action::SetEntry(..)
            | Action::WriteProtectEntry(_)
            | Action::SetAccessFlags(_)
            | Action::TestAndClear(..)
            | Action::ExchangeEntry(_)
            | Action::MarkDirty
            | Action::UnmarkDirty
            | Action::IsMarked
            | Action::WriteOut
            | Action::GiveUp { .. }
            | Action::MoveMarks
            | Action::SoftRead
            | Action::SoftSet
            | Action::SoftHide
            | Action::SoftExchange
            | Action::Populate
            | Action::ForkEntry
            | Action::SetChildEntry
            | Action::Pinned
            | Action::FreeTable
            | Action::SoftInstall
    )
}
