//! Functions and threads as a whole: who calls whom, who runs where.

use std::collections::HashSet;

use crate::ast::{self, DeclarationKind, Test};
use crate::diag::Diagnostic;
use crate::program::{
    Agent, Function, FunctionId, GlobalId, GlobalKind, ObjectId, ObjectKind, Origin, SpaceId,
    Thread, TlbSource,
};
use crate::types::{TlbKind, Type};

use super::body::BodyChecker;
use super::{Checker, Entity, Signature};

impl Checker {
    pub(super) fn functions(&mut self, test: &Test) {
        let defined: Vec<(&ast::Function, &ast::Block)> =
            test.functions.iter().filter_map(|f| Some((f, f.body.as_ref()?))).collect();
        for (function, _) in &defined {
            let result = self.ty(&function.result);
            let parameters = function
                .parameters
                .iter()
                .map(|parameter| {
                    let name = parameter.name.as_ref().map(|name| name.name.clone());
                    (name, self.ty(&parameter.ty))
                })
                .collect();
            let id = FunctionId(self.signatures.len() as u32);
            let (name, span) = (function.name.name.clone(), function.name.span);
            self.signatures.push(Signature { name, parameters, result, span });
            self.calls.push(Vec::new());
            self.enter(&function.name, Entity::Function(id));
        }
        for (at, operations) in test.operations.iter().enumerate() {
            self.enter(&operations.name, Entity::Operations(at));
        }
        for (at, (function, block)) in defined.iter().enumerate() {
            let result = self.signatures[at].result;
            let contract = self.contract(function);
            let mut checker = BodyChecker::new(self, Some(FunctionId(at as u32)), result);
            checker.parameters(&function.parameters);
            let body = checker.finish(block);
            let origins = function.origins.iter().map(|(tag, file, name)| Origin {
                tag: tag.clone(),
                file: file.clone(),
                function: name.name.clone(),
            });
            let origins = origins.collect();
            let (name, span) = (function.name.name.clone(), function.name.span);
            self.functions.push(Function { name, result, body, contract, origins, span });
        }
        self.recursion();
        self.threads(test);
    }

    /// Calls that come back to where they began never end: there is no stack.
    fn recursion(&mut self) {
        let mut done = HashSet::new();
        for at in 0..self.calls.len() {
            let mut path = Vec::new();
            if let Some(cycle) = self.cycle(FunctionId(at as u32), &mut path, &mut done) {
                let names: Vec<String> = cycle
                    .iter()
                    .map(|(id, _)| self.signatures[id.index()].name.to_string())
                    .collect();
                let (first, span) = cycle[0];
                let message = format!("`{}` calls itself", self.signatures[first.index()].name);
                let chain = format!("{} -> {}", names.join(" -> "), names[0]);
                self.errors
                    .push(Diagnostic::error(span, message).label("write a loop").help(chain));
            }
        }
    }

    fn cycle(
        &self,
        at: FunctionId,
        path: &mut Vec<FunctionId>,
        done: &mut HashSet<FunctionId>,
    ) -> Option<Vec<(FunctionId, crate::source::Span)>> {
        // Depth first by hand: a chain of calls may be long.
        let mut stack = vec![(at, 0usize)];
        while let Some((function, next)) = stack.last_mut() {
            if *next == 0 {
                if done.contains(function) {
                    stack.pop();
                    continue;
                }
                path.push(*function);
            }
            let calls = &self.calls[function.index()];
            let Some((callee, span)) = calls.get(*next).copied() else {
                done.insert(*function);
                path.pop();
                stack.pop();
                continue;
            };
            *next += 1;
            if let Some(begin) = path.iter().position(|open| *open == callee) {
                done.extend(path.iter().copied());
                return Some(path[begin..].iter().map(|id| (*id, span)).collect());
            }
            stack.push((callee, 0));
        }
        None
    }

    fn threads(&mut self, test: &Test) {
        let mut order: Vec<&ast::Thread> = test.threads.iter().collect();
        order.sort_by_key(|thread| ("PDV".find(thread.id.class), thread.id.number));
        for pair in order.windows(2) {
            let (first, second) = (pair[0].id, pair[1].id);
            if (first.class, first.number) == (second.class, second.number) {
                let message = format!("thread {}{} is there twice", second.class, second.number);
                self.errors.push(
                    Diagnostic::error(second.span, message)
                        .label("the second")
                        .also(first.span, "the first"),
                );
            }
        }
        let processors = order.iter().filter(|thread| thread.id.class == 'P');
        let mut expected = 0;
        for thread in processors {
            if thread.id.number > expected {
                let message = format!("there is a P{} and no P{expected}", thread.id.number);
                let label = "number the P threads from 0, without gaps";
                self.error(thread.id.span, message, label);
            }
            expected = thread.id.number.saturating_add(1);
        }
        if order.is_empty() && self.errors.is_empty() {
            let span = test.condition.as_ref().map_or_else(Default::default, |(_, _, span)| *span);
            self.error(span, "the test has no threads", "write `P0(int *x) { ... }`");
        }
        for thread in order {
            self.thread(thread, test);
        }
    }

    fn thread(&mut self, thread: &ast::Thread, test: &Test) {
        let agent = self.agent(thread);
        let mut parameters: Vec<GlobalId> = Vec::new();
        for parameter in &thread.parameters {
            let Some(name) = &parameter.name else {
                let label = "a parameter is how a thread names memory of the test";
                self.error(parameter.ty.span, "a parameter without a name", label);
                continue;
            };
            let Some(Entity::Global(id)) = self.entity(&name.name) else {
                self.unknown("variable", name, |e| matches!(e, Entity::Global(_)));
                continue;
            };
            if parameters.contains(&id) {
                let message = format!("`{}` is a parameter twice", name.name);
                self.error(name.span, message, "");
                continue;
            }
            let is_lock = matches!(self.globals[id.index()].kind, GlobalKind::Lock);
            let ty = self.ty(&parameter.ty);
            if is_lock != (ty == Type::Lock) && ty != Type::Any {
                let (is, write) =
                    if is_lock { ("a lock", "spinlock_t *") } else { ("no lock", "int *") };
                let label = format!("write `{write}{}`", name.name);
                self.error(name.span, format!("`{}` is {is}", name.name), &label);
            } else if parameter.ty.pointers == 0 {
                let message = format!("a thread sees `{}` through a pointer", name.name);
                self.error(name.span, message, &format!("write `int *{}`", name.name));
            }
            parameters.push(id);
        }
        let name = format!("{}{}", thread.id.class, thread.id.number);
        let mut checker = BodyChecker::new(self, None, Type::Void);
        checker.thread(&name, &parameters);
        let body = checker.finish(&thread.body);
        let mut init = Vec::new();
        for declaration in &test.declarations {
            let DeclarationKind::Register { thread: id, register, value } = &declaration.kind
            else {
                continue;
            };
            if (id.class, id.number) != (thread.id.class, thread.id.number) {
                continue;
            }
            let local = body.locals.iter().position(|l| l.name.as_ref() == Some(&register.name));
            match (local, self.initial(value)) {
                (Some(at), Some(value)) => {
                    init.push((crate::program::LocalId(at as u32), value));
                }
                (None, _) => {
                    let message = format!("{name} has no register `{}`", register.name);
                    self.error(register.span, message, "");
                }
                _ => {}
            }
        }
        let (number, span) = (thread.id.number, thread.id.span);
        self.threads.push(Thread {
            name: name.into(),
            number,
            agent,
            parameters,
            body,
            init,
            span,
            extent: thread.extent,
        });
    }

    fn agent(&mut self, thread: &ast::Thread) -> Agent {
        let of_kind = |checker: &Checker, guest: bool| -> Vec<ObjectId> {
            let fits = |kind: &ObjectKind| match kind {
                ObjectKind::Device { .. } => !guest,
                // A TLB with tags is used through a context.
                ObjectKind::Tlb { source: TlbSource::Contexts(_), .. } => false,
                ObjectKind::Tlb { kind: TlbKind::Tlb, .. } => guest,
                ObjectKind::Context { .. } => guest,
                _ => false,
            };
            let objects = checker.objects.iter().enumerate();
            objects.filter(|(_, o)| fits(&o.kind)).map(|(at, _)| ObjectId(at as u32)).collect()
        };
        if thread.id.class == 'P' {
            let Some(at) = &thread.at else { return Agent::Cpu(SpaceId(0)) };
            return match self.entity(&at.name) {
                Some(Entity::Space(id)) => Agent::Cpu(id),
                Some(Entity::Object(id))
                    if matches!(self.objects[id.index()].kind, ObjectKind::Context { .. }) =>
                {
                    Agent::Context(id)
                }
                _ => {
                    let near = self.near(&at.name, |e| matches!(e, Entity::Space(_)));
                    self.errors.push(
                        Diagnostic::error(at.span, format!("unknown address space `{}`", at.name))
                            .nearest(near)
                            .help("`frame F owner NAME;` or `mm NAME;` declares one"),
                    );
                    Agent::Cpu(SpaceId(0))
                }
            };
        }
        let guest = thread.id.class == 'V';
        let what = if guest { "tlb or context" } else { "device" };
        let candidates = of_kind(self, guest);
        let chosen = match (&thread.at, candidates.as_slice()) {
            (Some(at), _) => match self.entity(&at.name) {
                Some(Entity::Object(id)) if candidates.contains(&id) => id,
                _ => {
                    self.unknown(what, at, |e| match e {
                        Entity::Object(id) => candidates.contains(&id),
                        _ => false,
                    });
                    ObjectId(0)
                }
            },
            (None, [only]) => *only,
            (None, _) => {
                let name = format!("{}{}", thread.id.class, thread.id.number);
                let message = format!("{name} does not say which {what} it runs on");
                let label = match candidates.first() {
                    Some(id) => format!("write `{name}@{}(...)`", self.objects[id.index()].name),
                    None if guest => "declare `tlb G <- mm;`".to_owned(),
                    None => "declare `device dev : T;` or include a machine".to_owned(),
                };
                self.error(thread.id.span, message, &label);
                ObjectId(0)
            }
        };
        if guest { Agent::Guest(chosen) } else { Agent::Device(chosen) }
    }
}
