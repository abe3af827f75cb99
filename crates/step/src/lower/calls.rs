//! Calls: of functions, of callbacks of subscribers, of user-level operations.

use shootdown_litmus::primitives::UserCall;
use shootdown_litmus::program::{ContractKind, FunctionId};
use shootdown_litmus::{Name, Span};

use super::objects::Walk;
use super::telling::Moment;
use super::{Binding, Builder, Cursor, Result, Target, sum, unsupported};
use crate::code::{ContractCall, Node};
use crate::expr::{Expr, Reg};
use crate::op::Op;

impl Builder<'_, '_> {
    /// Writes out a call of a function.
    pub(super) fn call(
        &mut self,
        at: &mut Cursor,
        id: FunctionId,
        arguments: Vec<Binding>,
        into: Option<Reg>,
        span: Span,
    ) -> Result<()> {
        let program = self.cx.program;
        let function = &program.functions[id.index()];
        let env = self.locals(&function.body, arguments.clone());
        for (index, argument) in arguments.into_iter().enumerate() {
            if let (Binding::Value(value), Binding::Value(Expr::Reg(reg))) =
                (argument, &env.locals[index])
            {
                let narrow = function.body.locals[index].narrow;
                let value = match narrow {
                    Some(narrow) => super::wrapped(narrow, value),
                    None => value,
                };
                self.set(at, *reg, value);
            }
        }
        let Some(contract) = &function.contract else {
            return self.inline(at, id, env, into);
        };
        let name = &function.name;
        let mut wanted = Vec::new();
        for argument in &contract.arguments {
            wanted.push(self.expr(&env, argument)?);
        }
        let first = wanted.first().cloned();
        let number = self.cx.contracts.len();
        let forks = matches!(contract.kind, ContractKind::Fork | ContractKind::ForkPerPage);
        let child = if forks { self.child(id) } else { None };
        self.cx.contracts.push(ContractCall {
            thread: self.thread,
            function: id,
            kind: contract.kind,
            space: self.space,
            child,
            objects: Vec::new(),
        });
        // What changes nothing has nothing to begin or to return from.
        let silent = matches!(contract.kind, ContractKind::Nop | ContractKind::Pin);
        if !silent {
            self.step(at, Op::Begin { contract: number, arguments: wanted }, span, name);
        }
        match self.cx.target {
            Target::Machine | Target::Order => {
                self.promised += 1;
                let inlined = self.inline(at, id, env, into);
                self.promised -= 1;
                inlined?;
            }
            Target::Ideal => {
                if !silent {
                    self.step(at, Op::Moment { contract: number }, span, name);
                }
                // What is pinned is what the name leads to, as with `hva_to_pfn`.
                let behind = first.filter(|_| contract.kind == ContractKind::Pin);
                if let (Some(into), Some(address)) = (into, behind) {
                    let op = Op::PageBehind {
                        into: Some(into),
                        address,
                        space: self.space,
                        write: false,
                        pins: false,
                    };
                    self.step(at, op, span, name);
                } else if let Some(into) = into {
                    self.unknown.push((into, span, name.clone()));
                    self.set(at, into, Expr::Const(0));
                }
            }
        }
        if !silent {
            self.step(at, Op::Return { contract: number }, span, name);
        }
        if let Some(child) = child {
            self.step(at, Op::Born { space: child }, span, name);
        }
        Ok(())
    }

    /// Writes out a function where its call stands.
    fn inline(
        &mut self,
        at: &mut Cursor,
        id: FunctionId,
        env: super::Env,
        into: Option<Reg>,
    ) -> Result<()> {
        let program = self.cx.program;
        let function = &program.functions[id.index()];
        let after = self.fresh();
        self.functions.push(id);
        let start = self.body(&function.body, env, after, into);
        self.functions.pop();
        self.nodes[*at] = Node::Jump(start?);
        *at = after;
        Ok(())
    }

    /// The address space that a function, or what it calls, makes.
    fn child(&self, id: FunctionId) -> Option<usize> {
        use shootdown_litmus::primitives::Action;
        use shootdown_litmus::program::{Arg, ExprKind, OpKind};
        let program = self.cx.program;
        program.functions[id.index()].body.ops.iter().find_map(|op| match &op.kind {
            OpKind::Primitive { primitive, args, .. }
                if matches!(primitive.action, Action::User(UserCall::Fork) | Action::ForkEntry) =>
            {
                args.iter().find_map(|arg| match arg {
                    Arg::Value(value) => match value.kind {
                        ExprKind::Space(space) => Some(space.index()),
                        _ => None,
                    },
                    _ => None,
                })
            }
            OpKind::Call { function, .. } => self.child(*function),
            _ => None,
        })
    }

    /// Calls every subscriber of an address space that has one of these
    /// callbacks.
    pub(super) fn callbacks(
        &mut self,
        at: &mut Cursor,
        names: &[&str],
        start: &Expr,
        end: &Expr,
        entry: Option<&Expr>,
        span: Span,
    ) -> Result<()> {
        let walk = Walk { names, start, end, entry, refused: None, only: None, span };
        self.walk_list(at, &walk)
    }

    /// A call of a user program: the function of the file that is its path.
    pub(super) fn user_call(
        &mut self,
        at: &mut Cursor,
        call: UserCall,
        arguments: Vec<Expr>,
        into: Option<Reg>,
        span: Span,
    ) -> Result<()> {
        let number = |index: usize| arguments.get(index).and_then(Expr::constant);
        let (name, kept) = match call {
            UserCall::Mmap => ("sys_mmap", 1),
            UserCall::Munmap => ("sys_munmap", 1),
            UserCall::Mremap => ("sys_mremap", 2),
            UserCall::Fork => ("sys_fork", 0),
            UserCall::Exit => ("sys_exit", 0),
            UserCall::Mprotect => match number(1) {
                Some(0) => ("sys_mprotect_none", 1),
                Some(rights) if rights & 2 != 0 => ("sys_mprotect_rw", 1),
                Some(_) => ("sys_mprotect_ro", 1),
                None => return unsupported("rights that are computed while the test runs", span),
            },
            UserCall::Madvise => match number(1) {
                Some(4) => ("sys_madvise_dontneed", 1),
                Some(8) => ("sys_madvise_free", 1),
                Some(20 | 21) => ("sys_madvise_pageout", 1),
                _ => return unsupported("an advice that has no path", span),
            },
        };
        let Some((id, function)) = self.function(name) else {
            let call = name.trim_start_matches("sys_");
            let why = format!(
                "`{call}` has no path; include one, such as <kernel/v6.1/calls>, or define `{name}`"
            );
            return unsupported(why, span);
        };
        if function.body.parameters != kept {
            return unsupported(format!("`{name}` has to have {kept} parameters"), span);
        }
        let arguments = arguments.into_iter().take(kept).map(Binding::Value).collect();
        self.call(at, id, arguments, into, span)
    }

    /// A flush of the CPU TLBs, and what hangs off it.
    pub(super) fn flush_cpu(
        &mut self,
        at: &mut Cursor,
        range: Option<(Expr, Expr)>,
        local: bool,
        span: Span,
        name: &Name,
    ) -> Result<()> {
        if self.cx.shape.cpus_have_contexts {
            return flush_without_a_tlb(name, span);
        }
        let (start, end) = range.clone().unwrap_or((Expr::Const(1), self.last_address()));
        let range = range.map(|(start, end)| crate::op::Range { start, end });
        if !local {
            self.interrupt_for_flush(at, span, name);
        }
        self.step(at, Op::FlushCpu { space: self.space, range, local }, span, name);
        if !local {
            self.tell(at, Moment::Flush, &start, &end, span)?;
        }
        Ok(())
    }

    /// Tells the secondary TLBs, if this is when they are told.
    pub(super) fn tell(
        &mut self,
        at: &mut Cursor,
        moment: Moment,
        start: &Expr,
        end: &Expr,
        span: Span,
    ) -> Result<()> {
        if !self.cx.dials.tells_at(moment) {
            return Ok(());
        }
        let names = ["invalidate_range", "arch_invalidate_secondary_tlbs"];
        self.callbacks(at, &names, start, end, None, span)
    }

    /// The first address after all pages.
    pub(super) fn last_address(&self) -> Expr {
        Expr::Const(self.cx.shape.pages.len() as i64 + 1)
    }

    /// The range that one address or two name.
    pub(super) fn range(&self, values: &[Expr]) -> (Expr, Expr) {
        match values {
            [start, end, ..] => (start.clone(), end.clone()),
            [start] => (start.clone(), sum(start.clone(), Expr::Const(1))),
            [] => (Expr::Const(1), self.last_address()),
        }
    }
}

/// Where CPUs have contexts, which of them a flush reaches is what the test is
/// about.
pub(super) fn flush_without_a_tlb<T>(name: &Name, span: Span) -> Result<T> {
    let why = format!(
        "`{name}` does not say which CPUs it reaches, and CPUs have contexts here; write \
         `tlb_flush_tag(TLB, tag)` or `flush_context(context)` for each"
    );
    unsupported(why, span)
}
