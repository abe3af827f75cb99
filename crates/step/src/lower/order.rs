//! The order of locks: where a thread is, and what it may wait for.
//!
//! What reclaim takes, and which fence an allocation waits for, is no step of a
//! machine: memory does not run out there. So these steps exist for
//! [`Target::Order`] only, as sections that begin and end, and as waits for
//! whoever is inside of one. The rules are those that Linux v6.12 tells its own
//! lock checker: `fs_reclaim_acquire` in mm/page_alloc.c, `might_alloc` in
//! include/linux/sched/mm.h, `mmu_notifier_invalidate_range_start` in
//! include/linux/mmu_notifier.h, `__dma_fence_might_wait` in
//! drivers/dma-buf/dma-fence.c.

use shootdown_litmus::primitives::{Action, Order, Primitive, ReaderOp, Section, Tag, gfp};
use shootdown_litmus::{Name, Span, Type};

use super::actions::Call;
use super::{Builder, Cursor, Env, Result, Target};
use crate::code::Node;
use crate::expr::{Expr, Reg};
use crate::op::Op;
use crate::shape::{OrderContext, ReaderDomain};

/// The flags of a call that allocates, if the text gives any. Those that are
/// computed while the test runs may be any.
fn flags(row: &Primitive, call: &Call<'_>) -> Option<i64> {
    let at = match row.action {
        Action::AllocPage(_) | Action::Section(Section::Reclaim, _) => 0,
        Action::Life(_) => 1,
        _ => return None,
    };
    call.values.get(at).map(|value| value.constant().unwrap_or(gfp::KERNEL))
}

impl Builder<'_, '_> {
    /// Whether a call's flags say that it does not sleep.
    pub(super) fn waits_for_nothing(&self, row: &Primitive, call: &Call<'_>) -> bool {
        row.has(Tag::Allocates)
            && flags(row, call).is_some_and(|flags| flags & gfp::DIRECT_RECLAIM == 0)
    }

    /// An allocation may wait for whoever gives memory back.
    pub(super) fn waits_for_memory(&mut self, at: &mut Cursor, row: &Primitive, call: &Call<'_>) {
        if self.cx.target == Target::Order && row.has(Tag::Allocates) {
            for context in reclaim(flags(row, call).unwrap_or(gfp::KERNEL)) {
                self.wait_order(at, context, call.span, &call.name);
            }
        }
    }

    /// A section that only the order of locks knows, but that the handler of an
    /// interrupt has interrupts off.
    pub(super) fn section(
        &mut self,
        at: &mut Cursor,
        section: Section,
        op: ReaderOp,
        call: &Call<'_>,
    ) {
        let (span, name) = (call.span, &call.name);
        if section == Section::Interrupt && op == ReaderOp::Enter {
            let readers = self.interrupts();
            self.step(at, Op::Enter { into: None, readers }, span, name);
        }
        let context = match section {
            // The first is enough: whoever may enter file systems is in both.
            Section::Reclaim => {
                let all = reclaim(call.value(0).constant().unwrap_or(gfp::KERNEL));
                all.into_iter().last()
            }
            Section::NoFs => Some(OrderContext::NoFs),
            Section::NoReclaim => Some(OrderContext::NoReclaim),
            Section::Signalling => Some(OrderContext::Signalling),
            Section::Interrupt => Some(OrderContext::Interrupt),
        };
        match (op, context) {
            (ReaderOp::Enter, _) => self.enter_order(at, context, span, name),
            (ReaderOp::Leave, _) => self.leave_order(at, context, span, name),
            // An allocation was written out before.
            (ReaderOp::Synchronize, _) if section == Section::Reclaim => {}
            (ReaderOp::Synchronize, Some(context)) => self.wait_order(at, context, span, name),
            (ReaderOp::Synchronize, None) => {}
        }
        if section == Section::Interrupt && op == ReaderOp::Leave {
            let readers = self.interrupts();
            self.step(at, Op::Leave { readers }, span, name);
        }
        if op == ReaderOp::Synchronize {
            self.might_sleep(at, call);
        }
        if let Some(into) = call.into {
            self.set(at, into, Expr::Const(0));
        }
    }

    /// A step that does nothing and may sleep. Ideal memory has no locks that
    /// forbid it, so it has no such step.
    pub(super) fn might_sleep(&mut self, at: &mut Cursor, call: &Call<'_>) {
        if let Some(into) = call.into {
            self.set(at, into, Expr::Const(0));
        }
        if self.cx.target != Target::Ideal && !self.atomic {
            self.step(at, Op::Warn { condition: Expr::Const(0) }, call.span, &call.name);
        }
    }

    /// Waits until the word of a fence is not 0.
    pub(super) fn fence_wait(&mut self, at: &mut Cursor, env: &Env, call: Call<'_>) -> Result<()> {
        if self.cx.target == Target::Order {
            self.wait_order(at, OrderContext::Signalling, call.span, &call.name);
        }
        let (first, signalled): (Cursor, Reg) = (*at, self.register(Type::Int));
        let load = Call { into: Some(signalled), ..call };
        self.word(at, env, Action::Load(Order::Acquire), load)?;
        let behind = self.fresh();
        let condition = Expr::Reg(signalled);
        self.nodes[*at] = Node::Branch { condition, yes: behind, no: first };
        *at = behind;
        Ok(())
    }

    /// In which context these callbacks of subscribers run.
    pub(super) fn order_context(&self, callbacks: &[&str]) -> Option<OrderContext> {
        let among = |names: &[&str]| callbacks.iter().any(|name| names.contains(name));
        if among(&["invalidate_range_start", "invalidate_range_end"]) {
            Some(OrderContext::RangeStart)
        } else if among(&["invalidate_range", "arch_invalidate_secondary_tlbs"]) {
            Some(OrderContext::Told)
        } else {
            None
        }
    }

    pub(super) fn enter_order(
        &mut self,
        at: &mut Cursor,
        context: Option<OrderContext>,
        span: Span,
        name: &Name,
    ) {
        if let (Target::Order, Some(context)) = (self.cx.target, context) {
            let readers = self.cx.shape.readers(ReaderDomain::Order(context));
            self.step(at, Op::Enter { into: None, readers }, span, name);
        }
    }

    pub(super) fn leave_order(
        &mut self,
        at: &mut Cursor,
        context: Option<OrderContext>,
        span: Span,
        name: &Name,
    ) {
        if let (Target::Order, Some(context)) = (self.cx.target, context) {
            let readers = self.cx.shape.readers(ReaderDomain::Order(context));
            self.step(at, Op::Leave { readers }, span, name);
        }
    }

    fn wait_order(&mut self, at: &mut Cursor, context: OrderContext, span: Span, name: &Name) {
        if self.cx.target == Target::Order {
            let readers = self.cx.shape.readers(ReaderDomain::Order(context));
            self.step(at, Op::GraceWait { readers }, span, name);
        }
    }
}

/// What an allocation with these flags may wait for, the weaker first.
fn reclaim(flags: i64) -> Vec<OrderContext> {
    let mut list = Vec::new();
    if flags & gfp::DIRECT_RECLAIM != 0 {
        list.push(OrderContext::Reclaim);
        if flags & gfp::FS != 0 {
            list.push(OrderContext::FsReclaim);
        }
    }
    list
}
