//! The primitives: what each row of the table is in steps.

use shootdown_litmus::primitives::{
    Action, Fence, FlushScope, Level, LockOp, Notify, Order, Primitive, Tag, Wanted, Write,
};
use shootdown_litmus::program::{Arg, Place, PlaceKind};
use shootdown_litmus::{Name, Span, Type};

use super::faults::{self, Fault, Faulter};
use super::objects::Walk;
use super::telling::Moment;
use super::{Builder, Cursor, Env, Result, Target, sum, unsupported};
use crate::code::Node;
use crate::expr::{Expr, Reg};
use crate::op::{Access, DirtyAct, EntryAt, Op, Range};
use crate::shape::ObjectShape;
use crate::value;

/// The arguments of a call, evaluated.
pub(super) struct Call<'a> {
    pub(super) values: Vec<Expr>,
    pub(super) place: Option<&'a Place>,
    pub(super) out: Option<&'a Place>,
    pub(super) into: Option<Reg>,
    pub(super) span: Span,
    pub(super) name: Name,
}

impl Call<'_> {
    pub(super) fn value(&self, index: usize) -> Expr {
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
        let (before, atomic) = (self.atomic, self.waits_for_nothing(row, &call));
        self.atomic = atomic;
        self.waits_for_memory(at, row, &call);
        let written = self.action(at, env, row, call);
        self.atomic = before;
        written
    }

    /// Writes out what a row does.
    fn action(
        &mut self,
        at: &mut Cursor,
        env: &Env,
        row: &'static Primitive,
        mut call: Call<'_>,
    ) -> Result<()> {
        let span = call.span;
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
            Action::Section(section, op) => {
                self.section(at, section, op, &call);
                Ok(())
            }
            Action::FenceSignal => {
                call.values = vec![Expr::Const(1)];
                self.word(at, env, Action::Store(Order::Release), call)
            }
            Action::FenceWait => self.fence_wait(at, env, call),
            Action::MightSleep => {
                self.might_sleep(at, &call);
                Ok(())
            }
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

    pub(super) fn word(
        &mut self,
        at: &mut Cursor,
        env: &Env,
        action: Action,
        call: Call<'_>,
    ) -> Result<()> {
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

    /// Flushes and notifications, with the callbacks that they run.
    fn tells(&mut self, at: &mut Cursor, action: Action, call: Call<'_>) -> Result<()> {
        let says = match action {
            Action::Notify(_) => [call.value(2), call.value(3)],
            _ => [Expr::Const(0), Expr::Const(0)],
        };
        let before = std::mem::replace(&mut self.range_says, says);
        let told = self.tells_range(at, action, call);
        self.range_says = before;
        told
    }

    fn tells_range(&mut self, at: &mut Cursor, action: Action, call: Call<'_>) -> Result<()> {
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
                let moment = if kind == Notify::End { Moment::End } else { Moment::OnlyEnd };
                self.tell(at, moment, &start, &end, span)?;
                self.callbacks(at, &["invalidate_range_end"], &start, &end, None, span)?;
                self.step(at, Op::RangeClose { space: self.space }, span, name);
                Ok(())
            }
            Action::Notify(Notify::Range) => self.tell(at, Moment::Call, &start, &end, span),
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
                let (first, last) = (Expr::Reg(first), Expr::Reg(last));
                self.tell(at, Moment::GatherFlush, &first, &last, span)?;
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
            Action::PageBehind(wanted) => {
                if self.cx.shape.agents[self.thread].context.is_some() {
                    self.refuse(format!("`{name}` is called by a thread with a context"), span);
                }
                let address = call.value(0);
                let (write, pins) = (wanted != Wanted::Page, wanted == Wanted::Pin);
                let op = Op::PageBehind { into, address: address.clone(), space, write, pins };
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
