//! Entries: finding and locking them, reading and changing them.

use shootdown_litmus::Span;
use shootdown_litmus::primitives::{Action, Level, LockClass, LockOp, Primitive, Tag, UseMark};
use shootdown_litmus::program::{FieldId, Place, PlaceKind};

use super::actions::Call;
use super::telling::Moment;
use super::{Binding, Builder, Cursor, Env, Result, sum, unsupported};
use crate::expr::{Expr, Reg};
use crate::op::{EntryAt, LockAt, Op};
use crate::value;

impl Builder<'_, '_> {
    pub(super) fn entry(
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
                    if notify {
                        self.tell(at, Moment::ClearNotify, &start, &end, span)?;
                    }
                }
                self.changed(at, level, &call.value(0), span)
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
                self.changed(at, level, &call.value(0), span)
            }
            Action::WriteProtectEntry(level) => {
                self.step(at, Op::WriteProtectEntry { entry: entry(level) }, span, &name);
                self.changed(at, level, &call.value(0), span)
            }
            Action::TestAndClear(level, mark) => {
                let flags = match mark {
                    UseMark::Dirty => value::entry::DIRTY,
                    UseMark::Young => value::entry::YOUNG,
                };
                let op = Op::Flags { into, entry: entry(level), clears: flags, sets: 0 };
                self.step(at, op, span, &name);
                self.changed(at, level, &call.value(0), span)
            }
            Action::ExchangeEntry(level) => {
                let (entry, value) = (entry(level), call.value(1));
                let op = Op::ExchangeEntry { into, entry, expected: None, value };
                self.step(at, op, span, &name);
                self.changed(at, level, &call.value(0), span)
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

    /// An entry was changed: told here only if every change is told at once.
    fn changed(&mut self, at: &mut Cursor, level: Level, entry: &Expr, span: Span) -> Result<()> {
        if !self.cx.dials.tells_at(Moment::Change) {
            return Ok(());
        }
        let (start, end) = self.range_of_entry(level, entry, span)?;
        self.tell(at, Moment::Change, &start, &end, span)
    }

    pub(super) fn map_entry(
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

    pub(super) fn out(&mut self, env: &Env, place: &Place) -> Result<Reg> {
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

    pub(super) fn lock_of(&self, level: Level, pointer: i64) -> Option<i64> {
        let shape = &self.cx.shape;
        match level {
            Level::Pte => shape.entry_of_pointer(pointer).map(|(table, _)| shape.table_lock(table)),
            Level::Pmd => shape.upper_of_pointer(pointer).map(|(space, _)| shape.upper_lock(space)),
        }
    }

    /// The addresses that an entry maps.
    pub(super) fn range_of_entry(
        &self,
        level: Level,
        pointer: &Expr,
        span: Span,
    ) -> Result<(Expr, Expr)> {
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
}
