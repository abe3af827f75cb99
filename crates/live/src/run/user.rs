//! From a test to what its threads do, if user programs could do it.

use std::sync::Arc;

use shootdown_litmus::primitives::{Action, UserCall, Write};
use shootdown_litmus::program::{
    Agent, Arg, Expr as TextExpr, ExprKind, FaultSource, Initial, ObjectKind, OpKind, Place,
    PlaceKind,
};
use shootdown_litmus::{Program, Span};
use shootdown_step::value::WORD_BASE;
use shootdown_step::{Access, Expr, Reg, Shape};

use super::NotRun;
use super::body::{Code, Do};

type Result<T> = std::result::Result<T, NotRun>;

/// Refuses kernel code.
///
/// What is included is the kernel's part: here the address space plays it.
pub(super) fn check(program: &Program) -> Result<()> {
    let Some(own) = program.threads.first().map(|thread| thread.span.file) else { return Ok(()) };
    let own = program.functions.iter().find(|function| function.span.file == own);
    if let Some(function) = own {
        return Err(NotRun {
            place: Some(program.files.locate(function.span)),
            why: format!(
                "`{}` is kernel code of the test's own, and on threads the kernel is the address \
                 space; use the calls of user programs, or `shootdown check`, which explores it",
                function.name
            ),
            failed: false,
        });
    }
    Ok(())
}

/// Refuses threads whose faults nobody handles: for the checker they end there,
/// and on threads the kernel always handles them.
fn check_faults(program: &Program, codes: &[Arc<Code>]) -> Result<()> {
    for (thread, code) in program.threads.iter().zip(codes) {
        let handled = program.faults.iter().any(|fault| match (thread.agent, fault.who) {
            (Agent::Cpu(_), FaultSource::Cpu) => true,
            (Agent::Device(device), FaultSource::Object(object)) => {
                let tlb = match program.objects[device.index()].kind {
                    ObjectKind::Device { tlb, .. } => Some(tlb),
                    _ => None,
                };
                object == device || tlb == Some(object)
            }
            _ => false,
        });
        if !handled && code.translates() {
            let (who, handler) = match thread.agent {
                Agent::Cpu(_) => ("cpu", "handle_mm_fault"),
                _ => ("dev", "do_page_request"),
            };
            return Err(NotRun {
                place: Some(program.files.locate(thread.span)),
                why: format!(
                    "nobody handles the faults of {}, so the checker ends it at the first; on \
                     threads the kernel handles them: add `fault {who} = {handler};`",
                    thread.name
                ),
                failed: false,
            });
        }
    }
    Ok(())
}

/// Makes code of the bodies.
pub(super) fn compile(program: &Program, shape: &Shape) -> Result<Vec<Arc<Code>>> {
    let threads = program.threads.iter().map(|thread| {
        let compiler = Compiler { program, shape };
        let mut ops = Vec::new();
        for op in &thread.body.ops {
            ops.push(compiler.op(&op.kind, op.span)?);
        }
        let mut locals = vec![0; thread.body.locals.len()];
        for (local, initial) in &thread.init {
            locals[local.index()] = match initial {
                Initial::Int(value) => *value,
                Initial::AddressOf(global) => shape.address_of(global.0),
            };
        }
        Ok(Arc::new(Code { locals, ops }))
    });
    let codes = threads.collect::<Result<Vec<_>>>()?;
    check_faults(program, &codes)?;
    Ok(codes)
}

struct Compiler<'p> {
    program: &'p Program,
    shape: &'p Shape,
}

impl Compiler<'_> {
    fn refuse<T>(&self, span: Span, why: impl Into<String>) -> Result<T> {
        Err(NotRun { place: Some(self.program.files.locate(span)), why: why.into(), failed: false })
    }

    fn op(&self, kind: &OpKind, span: Span) -> Result<Do> {
        Ok(match kind {
            OpKind::Set { local, value } => Do::Set(local.index(), self.expr(value)?),
            OpKind::SetField { .. } => return self.refuse(span, "threads have no records"),
            OpKind::Load { into, place } => {
                let order = shootdown_litmus::primitives::Order::Once;
                self.access(Some(into.index()), place, Access::Load(order), span)?
            }
            OpKind::Store { place, value } => {
                let order = shootdown_litmus::primitives::Order::Once;
                self.access(None, place, Access::Store(order, self.expr(value)?), span)?
            }
            OpKind::Primitive { into, primitive, args } => {
                let into = into.map(|local| local.index());
                self.primitive(into, primitive.name, primitive.action, args, span)?
            }
            OpKind::Call { function, .. } => {
                let name = &self.program.functions[function.index()].name;
                let why = format!(
                    "`{name}` is kernel code, which user programs reach by calls only: mmap, \
                     munmap, mprotect, mremap, madvise, fork, exit"
                );
                return self.refuse(span, why);
            }
            OpKind::Jump(to) => Do::Jump(to.index()),
            OpKind::Branch { condition, yes, no } => {
                Do::Branch(self.expr(condition)?, yes.index(), no.index())
            }
            OpKind::Return(_) => Do::End,
        })
    }

    fn primitive(
        &self,
        into: Option<usize>,
        name: &str,
        action: Action,
        args: &[Arg],
        span: Span,
    ) -> Result<Do> {
        let value = |index: usize| match args.get(index) {
            Some(Arg::Value(value)) => self.expr(value),
            _ => self.refuse(span, format!("`{name}` has a place where a value is needed")),
        };
        let access = |access: Access| match args.first() {
            Some(Arg::Place(place)) => self.access(into, place, access, span),
            _ => self.refuse(span, format!("`{name}` has a value where a place is needed")),
        };
        match action {
            Action::Load(order) => access(Access::Load(order)),
            Action::Store(order) => access(Access::Store(order, value(1)?)),
            Action::Rmw(op, result, order) => {
                let operand = if args.len() > 1 { value(1)? } else { Expr::Const(1) };
                access(Access::Rmw(op, operand, result, order))
            }
            Action::Exchange(order) => access(Access::Exchange(value(1)?, order)),
            Action::CompareExchange(order) => {
                access(Access::CompareExchange(value(1)?, value(2)?, order))
            }
            Action::AddUnless => access(Access::AddUnless(value(1)?, value(2)?)),
            Action::Fence(fence) => Ok(Do::Fence(fence)),
            Action::FaultIn(write) => {
                Ok(Do::FaultIn { address: value(0)?, write: write == Write::Yes })
            }
            Action::Same => match into {
                Some(into) => Ok(Do::Set(into, value(0)?)),
                None => Ok(Do::Nothing),
            },
            Action::Nothing => Ok(Do::Nothing),
            Action::User(call) => self.call(into, call, args, span),
            _ => self.refuse(
                span,
                format!(
                    "`{name}` is for kernel code, and user programs do not have it; they have \
                     loads, stores, atomic operations, fences, and the calls mmap, munmap, \
                     mprotect, mremap, madvise, fork, exit"
                ),
            ),
        }
    }

    fn call(&self, into: Option<usize>, call: UserCall, args: &[Arg], span: Span) -> Result<Do> {
        let mut child = None;
        let mut values = Vec::new();
        for arg in args {
            match arg {
                Arg::Value(TextExpr { kind: ExprKind::Space(space), .. }) => {
                    child = Some(space.index());
                }
                Arg::Value(value) => values.push(self.expr(value)?),
                _ => return self.refuse(span, "a call takes values"),
            }
        }
        let number = values.get(1).and_then(Expr::constant);
        match (call, number) {
            (UserCall::Mprotect, Some(0)) => self.refuse(
                span,
                "the address space knows `PROT_READ` and `PROT_READ|PROT_WRITE` only",
            ),
            (UserCall::Mprotect, None) => self.refuse(span, "rights have to be a constant"),
            (UserCall::Madvise, Some(4)) => Ok(()),
            (UserCall::Madvise, _) => {
                self.refuse(span, "the address space has no advice but MADV_DONTNEED")
            }
            (UserCall::Fork, _) if child.is_none() => {
                child = (self.shape.spaces.len() > 1).then_some(1);
                Ok(())
            }
            _ => Ok(()),
        }?;
        Ok(Do::Call { into, call, values, child })
    }

    fn access(&self, into: Option<usize>, place: &Place, access: Access, span: Span) -> Result<Do> {
        let (pointer, index) = self.pointer(place)?;
        let word = pointer.constant().is_some_and(|pointer| pointer >= WORD_BASE);
        let adds = matches!(
            &access,
            Access::Load(_)
                | Access::Store(..)
                | Access::Rmw(shootdown_litmus::primitives::RmwOp::Add, ..)
        );
        if !word && !adds {
            return self.refuse(
                span,
                "on memory that is mapped the address space can load, store and add; use a word \
                 that nobody remaps",
            );
        }
        Ok(Do::Access { into, pointer, index, access })
    }

    fn pointer(&self, place: &Place) -> Result<(Expr, Expr)> {
        let zero = Expr::Const(0);
        Ok(match &place.kind {
            PlaceKind::Global(global) => (Expr::Const(self.shape.address_of(global.0)), zero),
            PlaceKind::Element(global, index) => {
                (Expr::Const(self.shape.address_of(global.0)), self.expr(index)?)
            }
            PlaceKind::GlobalField(global, field) => {
                (Expr::Const(self.shape.address_of(global.0)), Expr::Const(i64::from(field.0)))
            }
            PlaceKind::Deref { pointer, index } => {
                let index = match index {
                    Some(index) => self.expr(index)?,
                    None => zero,
                };
                (self.expr(pointer)?, index)
            }
            PlaceKind::Local(_) | PlaceKind::Field(..) => {
                return self.refuse(place.span, "a variable of the thread is no shared memory");
            }
        })
    }

    fn expr(&self, expr: &TextExpr) -> Result<Expr> {
        Ok(match &expr.kind {
            ExprKind::Const(value) => Expr::Const(*value),
            ExprKind::Local(local) => Expr::Reg(Reg(local.0 as u16)),
            ExprKind::Address(global) => Expr::Const(self.shape.address_of(global.0)),
            ExprKind::AddressOf(place) => {
                let (pointer, index) = self.pointer(place)?;
                let op = shootdown_litmus::program::BinaryOp::Add;
                Expr::Binary(op, Box::new(pointer), Box::new(index)).folded()
            }
            ExprKind::Unary(op, inner) => Expr::Unary(*op, Box::new(self.expr(inner)?)).folded(),
            ExprKind::Binary(op, left, right) => {
                Expr::Binary(*op, Box::new(self.expr(left)?), Box::new(self.expr(right)?)).folded()
            }
            ExprKind::Object(_) | ExprKind::Space(_) | ExprKind::Field(..) => {
                return self.refuse(expr.span, "threads have no such value");
            }
        })
    }
}
