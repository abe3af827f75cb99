//! Accesses that may fault, and who handles that.

use shootdown_litmus::program::{Agent, FaultSource, FunctionId, Place};
use shootdown_litmus::{Name, Span, Type};

use super::{Binding, Builder, Cursor, Env, Result, Target, unsupported};
use crate::code::Node;
use crate::expr::{Expr, Reg};
use crate::op::{Access, Failure, Op};
use crate::value::{WORD_BASE, entry};

impl Builder<'_, '_> {
    /// A plain access of the text.
    pub(super) fn access(
        &mut self,
        at: &mut Cursor,
        env: &Env,
        place: &Place,
        access: Access,
        into: Option<Reg>,
        span: Span,
    ) -> Result<()> {
        let name: Name = if access.writes() { "store".into() } else { "load".into() };
        match place.ty {
            Type::Pte | Type::Pmd => {
                let (pointer, _) = self.pointer(env, place)?;
                let entry = match place.ty {
                    Type::Pte => crate::op::EntryAt::Lower(pointer),
                    _ => crate::op::EntryAt::Upper(pointer),
                };
                self.refuse("code without a contract reads a page table", span);
                match access {
                    Access::Load(_) => self.step(at, Op::ReadEntry { into, entry }, span, &name),
                    Access::Store(_, value) => {
                        self.step(at, Op::SetEntry { entry, value }, span, &name)
                    }
                    Access::Exchange(value, _) => {
                        let op = Op::ExchangeEntry { into, entry, expected: None, value };
                        self.step(at, op, span, &name)
                    }
                    Access::CompareExchange(expected, value, _) => {
                        let expected = Some(expected);
                        let op = Op::ExchangeEntry { into, entry, expected, value };
                        self.step(at, op, span, &name)
                    }
                    _ => return unsupported("arithmetic on an entry", span),
                };
                Ok(())
            }
            _ => {
                let (pointer, index) = self.pointer(env, place)?;
                self.memory(at, pointer, index, access, into, span, &name)
            }
        }
    }

    /// An access to a word or through a translation.
    #[expect(clippy::too_many_arguments, reason = "they are what an access is")]
    pub(super) fn memory(
        &mut self,
        at: &mut Cursor,
        pointer: Expr,
        index: Expr,
        access: Access,
        into: Option<Reg>,
        span: Span,
        name: &Name,
    ) -> Result<()> {
        let write = access.writes();
        let agent = &self.cx.shape.agents[self.thread];
        let domain = matches!(agent.agent, Agent::Cpu(_)) && self.cx.shape.domains[agent.space];
        let word = pointer.constant().is_some_and(|pointer| pointer >= WORD_BASE);
        if domain && !word {
            return unsupported("an access of a CPU through a domain, which no CPU loads", span);
        }
        if let Some(highest) = index.constant()
            && !word
        {
            let words = &mut self.cx.shape.words_per_frame;
            *words = (*words).max(usize::try_from(highest).unwrap_or(0) + 1);
        }
        if !word
            && self.cx.shape.cpus_have_contexts
            && matches!(self.cx.program.threads[self.thread].agent, Agent::Cpu(_))
        {
            let thread = &self.cx.program.threads[self.thread].name;
            let why = format!(
                "{thread} uses memory through a translation and has no context, as other CPUs of \
                 this test have; write `{thread}@c`"
            );
            return super::unsupported(why, span);
        }
        let address = pointer.clone();
        let node = self.step(at, Op::Access { into, pointer, index, access }, span, name);
        if !word && self.cx.target != Target::Ideal {
            let whose = Faulter::Thread;
            self.handled(node, &Fault { whose, address, write, again: true, into: None, span })?;
        }
        Ok(())
    }

    /// The handler of faults.
    fn handler(&self, whose: Faulter) -> Option<FunctionId> {
        let program = self.cx.program;
        let tlb_of = |device| match &program.objects[usize::try_from(device).unwrap_or(0)].kind {
            shootdown_litmus::program::ObjectKind::Device { tlb, .. } => Some(*tlb),
            _ => None,
        };
        let fits = |who: FaultSource| match (program.threads[self.thread].agent, who) {
            (_, who) if whose == Faulter::Kernel => who == FaultSource::Cpu,
            (Agent::Cpu(_) | Agent::Context(_), FaultSource::Cpu) => true,
            (Agent::Device(device), FaultSource::Object(object)) => {
                object == device || tlb_of(device.0) == Some(object)
            }
            (Agent::Guest(own) | Agent::Context(own), FaultSource::Object(object)) => object == own,
            _ => false,
        };
        program.faults.iter().find(|fault| fits(fault.who)).map(|fault| fault.handler)
    }

    /// Writes out the handler of a fault. `access` is the step that faulted;
    /// with `again` it is tried again afterwards, otherwise the thread goes on
    /// behind it. Gives where the handling begins, `None` if nobody handles.
    fn fault(&mut self, access: usize, fault: &Fault) -> Result<Option<usize>> {
        let Some(id) = self.handler(fault.whose) else { return Ok(None) };
        let Fault { address, write, again, span, .. } = fault;
        let (write, span) = (*write, *span);
        let program = self.cx.program;
        let function = &program.functions[id.index()];
        let name = function.name.clone();
        let start = self.fresh();
        let mut at = start;
        if self.handlers.contains(&id) {
            self.step(&mut at, Op::Fail(Failure::NestedFault), span, &name);
            return Ok(Some(start));
        }
        let behind = match &self.nodes[access] {
            Node::Step { next, .. } => *next,
            _ => access,
        };
        let back = if *again { access } else { behind };
        // What faults there is not in the page table's say.
        let guest = matches!(program.threads[self.thread].agent, Agent::Guest(_))
            || self.cx.shape.fills_from_software(self.cx.shape.agents[self.thread].cache);
        let mut value = None;
        // What a guest lacks is in no table of its own.
        if !guest || fault.whose == Faulter::Kernel {
            let found = self.register(Type::Pte);
            value = Some(found);
            let again = *again && fault.whose == Faulter::Thread;
            let op =
                Op::EnterFault { address: address.clone(), space: self.space, write, again, value };
            let node = self.step(&mut at, op, span, &name);
            // The table grants it by now: nothing to handle.
            if let Node::Step { fault, .. } = &mut self.nodes[node] {
                *fault = Some(back);
            }
        }
        let argument = self.fault_argument(id, address, write, value);
        let result = (function.result != Type::Void).then(|| self.register(function.result));
        self.handlers.push(id);
        let called = self.call(&mut at, id, vec![argument], result, span);
        self.handlers.pop();
        called?;
        match result {
            None => self.nodes[at] = Node::Jump(back),
            Some(result) => {
                // OOM, SIGBUS and SIGSEGV end a thread.
                let refused = Expr::Binary(
                    shootdown_litmus::program::BinaryOp::And,
                    Box::new(Expr::Reg(result)),
                    Box::new(Expr::Const(1 | 2 | 64)),
                );
                let mut end = self.fresh();
                self.nodes[at] = Node::Branch { condition: refused, yes: end, no: back };
                match fault.whose {
                    Faulter::Thread => {
                        self.step(&mut end, Op::Fail(Failure::Fault), span, &name);
                    }
                    // The kernel is told that there is no page.
                    Faulter::Kernel => {
                        if let Some(into) = fault.into {
                            self.set(&mut end, into, Expr::Const(0));
                        }
                        self.nodes[end] = Node::Jump(behind);
                    }
                }
            }
        }
        Ok(Some(start))
    }

    /// What a handler is called with: an address, or a `struct vm_fault`.
    fn fault_argument(
        &mut self,
        id: FunctionId,
        address: &Expr,
        write: bool,
        value: Option<Reg>,
    ) -> Binding {
        let program = self.cx.program;
        let body = &program.functions[id.index()].body;
        let Some(Type::Record(record)) = body.locals.first().map(|local| local.ty) else {
            return Binding::Value(address.clone());
        };
        let mut fields = std::collections::HashMap::new();
        for (index, field) in program.records[record.0 as usize].fields.iter().enumerate() {
            let value = match (&*field.name, value) {
                ("address" | "real_address", _) => address.clone(),
                ("orig_pte", Some(value)) => Expr::Reg(value),
                ("page", Some(value)) => Expr::EntryPage(Box::new(Expr::Reg(value))),
                ("flags", _) => Expr::Const(i64::from(write)),
                ("mm", _) => Expr::Const(self.space as i64 + 1),
                _ => continue,
            };
            fields.insert(shootdown_litmus::program::FieldId(index as u32), value);
        }
        self.records.push(fields);
        Binding::Record(self.records.len() - 1)
    }

    /// Makes a step's fault edge lead to the handler.
    pub(super) fn handled(&mut self, node: usize, fault: &Fault) -> Result<()> {
        if self.cx.target == Target::Ideal {
            return Ok(());
        }
        let handler = self.fault(node, fault)?;
        if let Node::Step { fault: edge, .. } = &mut self.nodes[node] {
            *edge = handler;
        }
        Ok(())
    }
}

/// Who faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Faulter {
    /// The thread, with an access of its own.
    Thread,
    /// The kernel, which looks a page up for it: a guest's or a device's
    /// thread as well is in the host's kernel then.
    Kernel,
}

/// A step that may fault.
pub(super) struct Fault {
    pub(super) whose: Faulter,
    pub(super) address: Expr,
    pub(super) write: bool,
    /// The step is tried again afterwards.
    pub(super) again: bool,
    /// What the kernel looks up: NULL if the fault is refused.
    pub(super) into: Option<Reg>,
    pub(super) span: Span,
}

/// Rights as the flags of an entry.
pub(super) fn flags(rights: i64) -> i64 {
    rights & (entry::READ | entry::WRITE | entry::EXECUTE)
}
