//! Locks, and sections of readers that somebody may wait for.

use shootdown_litmus::primitives::{LockClass, LockOp, ReaderOp, Readers};
use shootdown_litmus::{Name, Span};

use super::actions::Call;
use super::{Builder, Cursor, Result, unsupported};
use crate::op::{LockAt, Op};
use crate::shape::ReaderDomain;

impl Builder<'_, '_> {
    pub(super) fn lock(
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

    pub(super) fn interrupts(&mut self) -> usize {
        self.cx.shape.readers(ReaderDomain::Interrupts)
    }

    pub(super) fn readers(
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
    pub(super) fn grace(
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
}
