//! What ties functions to the machine: contracts, tables of callbacks, and
//! fault handlers.

use crate::ast::{self, ExprKind as A, Test};
use crate::diag::{Diagnostic, nearest};
use crate::names;
use crate::program::{
    Contract, ContractKind, FaultHandler, FaultSource, FunctionId, GlobalKind, ObjectId,
    ObjectKind, Subscription, TlbSource,
};
use crate::types::Type;

use super::body::BodyChecker;
use super::{Checker, Entity};

const VA: Type = Type::VirtAddr;
/// The contracts, with what each is about.
const CONTRACTS: [(&str, ContractKind, &[Type]); 12] = [
    ("nop", ContractKind::Nop, &[]),
    ("zap", ContractKind::Zap, &[VA]),
    ("replace", ContractKind::Replace, &[VA, Type::Page]),
    ("downgrade", ContractKind::Downgrade, &[VA]),
    ("revoke", ContractKind::Revoke, &[VA]),
    ("upgrade", ContractKind::Upgrade, &[VA]),
    ("move", ContractKind::Move, &[VA, VA]),
    ("lazyfree", ContractKind::LazyFree, &[VA]),
    ("pin", ContractKind::Pin, &[VA]),
    ("fork", ContractKind::Fork, &[]),
    ("fork_per_page", ContractKind::ForkPerPage, &[]),
    ("exit", ContractKind::Exit, &[]),
];

impl Checker {
    pub(super) fn contract(&mut self, function: &ast::Function) -> Option<Contract> {
        let first = function.contracts.first()?;
        if let Some(second) = function.contracts.get(1) {
            let message = format!("`{}` has two contracts", function.name.name);
            self.error(second.span, message, "a function keeps one promise");
        }
        let Some((name, kind, wanted)) =
            CONTRACTS.iter().find(|(name, ..)| *name == &*first.kind.name)
        else {
            let message = format!("unknown contract `{}`", first.kind.name);
            let names: Vec<&str> = CONTRACTS.iter().map(|(name, ..)| *name).collect();
            let near = nearest(&first.kind.name, names.iter().copied());
            self.errors.push(
                Diagnostic::error(first.kind.span, message)
                    .nearest(near)
                    .help(format!("one of {}", names.join(", "))),
            );
            return None;
        };
        if wanted.len() != first.arguments.len() {
            let shape = match wanted.len() {
                0 => format!("`{name}`"),
                1 => format!("`{name}(va)`"),
                _ if wanted[1] == Type::Page => format!("`{name}(va, page)`"),
                _ => format!("`{name}(va, va)`"),
            };
            let message = format!("the contract `{name}` has {} arguments", wanted.len());
            self.error(first.span, message, &format!("write {shape}"));
            return None;
        }
        let mut checker = BodyChecker::new(self, None, Type::Void);
        checker.parameters(&function.parameters);
        let mut arguments = Vec::new();
        for (argument, ty) in first.arguments.iter().zip(*wanted) {
            let Some(root) = root(argument).filter(|root| checker.lookup(root).is_some()) else {
                let written = match root(argument) {
                    Some(name) => format!("no parameter `{name}`"),
                    None => "no such parameter".to_owned(),
                };
                let message =
                    format!("`{name}` does not fit `{}`, which has {written}", function.name.name);
                let listed: Vec<String> = function
                    .parameters
                    .iter()
                    .filter_map(|parameter| parameter.name.as_ref())
                    .map(|name| format!("`{}`", name.name))
                    .collect();
                let has = match listed.len() {
                    0 => "it has no parameters".to_owned(),
                    _ => format!("it has {}", listed.join(", ")),
                };
                checker.cx.errors.push(
                    Diagnostic::error(argument.span, message)
                        .label(has)
                        .also(function.name.span, "the function"),
                );
                return None;
            };
            let value = checker.value(argument, None);
            if value.ty == Type::Int && *ty == Type::VirtAddr {
                let message = format!("`{root}` is a number, not a virtual address");
                let label = "declare it `unsigned long`";
                checker.cx.error(argument.span, message, label);
                return None;
            }
            checker.want(*ty, &value);
            arguments.push(value);
        }
        Some(Contract { kind: *kind, arguments, span: first.span })
    }

    pub(super) fn subscriptions(&mut self, test: &Test) -> Vec<Subscription> {
        let mut tables = Vec::new();
        for operations in &test.operations {
            tables.push(self.callbacks(operations));
        }
        let mut list = Vec::new();
        for (space, name, more) in &test.subscriptions {
            let Some(Entity::Space(id)) = self.entity(&space.name) else {
                self.unknown("address space", space, |e| matches!(e, Entity::Space(_)));
                continue;
            };
            let Some(Entity::Operations(at)) = self.entity(&name.name) else {
                self.unknown("table of callbacks", name, |e| matches!(e, Entity::Operations(_)));
                continue;
            };
            let kind = test.operations[at].kind.name.clone();
            let callbacks = tables[at].clone();
            let span = space.span.to(name.span);
            let name = name.name.clone();
            let (object, readers, off) = (None, None, false);
            let mut line =
                Subscription { space: id, kind, name, callbacks, object, readers, off, span };
            for word in more {
                self.more_of_subscription(&mut line, word);
            }
            if line.off && line.object.is_none() {
                let label = "name a record: `subscribe mm : ops, mn, off;`";
                self.error(line.span, "nobody can put this subscriber on the list", label);
            }
            list.push(line);
        }
        list
    }

    fn more_of_subscription(&mut self, line: &mut Subscription, word: &crate::ast::Ident) {
        if &*word.name == "off" {
            line.off = true;
            return;
        }
        let kind = match self.entity(&word.name) {
            Some(Entity::Global(id)) => Some((id, &self.globals[id.index()].kind)),
            _ => None,
        };
        match kind {
            Some((id, GlobalKind::Record(_))) => line.object = Some(id),
            Some((id, GlobalKind::Lock)) => line.readers = Some(id),
            Some(_) => {
                let message = format!("`{}` is no record and no srcu_struct", word.name);
                self.error(word.span, message, "or write `off`");
            }
            None => self.unknown("record", word, |e| matches!(e, Entity::Global(_))),
        }
    }

    fn callbacks(&mut self, operations: &ast::Operations) -> Vec<(crate::lex::Name, FunctionId)> {
        let kind = &*operations.kind.name;
        let rows: Vec<_> = names::CALLBACKS.iter().filter(|row| row.0 == kind).collect();
        if rows.is_empty() {
            let kinds = names::CALLBACKS.iter().map(|row| row.0);
            let message = format!("unknown table of callbacks `struct {kind}`");
            let near = nearest(kind, kinds);
            self.errors.push(Diagnostic::error(operations.kind.span, message).nearest(near));
            return Vec::new();
        }
        let mut list: Vec<(crate::lex::Name, FunctionId)> = Vec::new();
        for (field, function) in &operations.entries {
            let Some((_, _, wanted)) = rows.iter().find(|row| row.1 == &*field.name) else {
                let message = format!("struct {kind} has no callback `{}`", field.name);
                let near = nearest(&field.name, rows.iter().map(|row| row.1));
                self.errors.push(Diagnostic::error(field.span, message).nearest(near));
                continue;
            };
            let Some(Entity::Function(id)) = self.entity(&function.name) else {
                self.unknown("function", function, |e| matches!(e, Entity::Function(_)));
                continue;
            };
            if list.iter().any(|(name, _)| *name == field.name) {
                let message = format!("`.{}` is there twice", field.name);
                self.error(field.span, message, "");
            }
            let signature = &self.signatures[id.index()];
            let fits = signature.parameters.len() == wanted.len()
                && wanted
                    .iter()
                    .zip(&signature.parameters)
                    .all(|(to, (_, from))| from.accepts(*to));
            if !fits {
                let types: Vec<&str> = wanted
                    .iter()
                    .map(|ty| if *ty == Type::Any { "a record" } else { ty.describe() })
                    .collect();
                let message = format!("`{}` does not fit `.{}`", function.name, field.name);
                let defined = signature.span;
                self.errors.push(
                    Diagnostic::error(function.span, message)
                        .label(format!("called with {}", types.join(", ")))
                        .also(defined, "defined here"),
                );
            }
            list.push((field.name.clone(), id));
        }
        list
    }

    pub(super) fn faults(&mut self, test: &Test) -> Vec<FaultHandler> {
        let mut list: Vec<FaultHandler> = Vec::new();
        for (who, name) in &test.faults {
            let sources = match self.entity(&who.name) {
                _ if &*who.name == "cpu" => vec![FaultSource::Cpu],
                _ if &*who.name == "devices" => self.walking_devices(),
                Some(Entity::Object(id))
                    if matches!(
                        self.objects[id.index()].kind,
                        ObjectKind::Device { .. }
                            | ObjectKind::Tlb { .. }
                            | ObjectKind::Context { .. }
                    ) =>
                {
                    vec![FaultSource::Object(id)]
                }
                _ => {
                    self.unknown("device or TLB", who, |e| matches!(e, Entity::Object(_)));
                    continue;
                }
            };
            let handler = match self.entity(&name.name) {
                Some(Entity::Function(id)) => {
                    let signature = &self.signatures[id.index()];
                    let fits = match signature.parameters.as_slice() {
                        [(_, Type::Record(_) | Type::Any)] => true,
                        [(_, ty)] => ty.accepts(Type::VirtAddr),
                        _ => false,
                    };
                    if !fits {
                        let message = format!("`{}` cannot handle a fault", name.name);
                        let label = "its one parameter is `struct vm_fault *` or `unsigned long`";
                        let defined = signature.span;
                        self.errors.push(
                            Diagnostic::error(name.span, message)
                                .label(label)
                                .also(defined, "defined here"),
                        );
                    }
                    id
                }
                _ => {
                    self.unknown("fault handler", name, |e| matches!(e, Entity::Function(_)));
                    continue;
                }
            };
            let span = who.span.to(name.span);
            for source in sources {
                if let Some(at) = list.iter().position(|other| other.who == source) {
                    let first = list[at].span;
                    if first.file == span.file {
                        let message = format!("the faults of `{}` have two handlers", who.name);
                        self.errors.push(
                            Diagnostic::error(who.span, message)
                                .label("the second")
                                .also(first, "the first"),
                        );
                    }
                    // The test knows better than the machine it includes.
                    if first.file < span.file {
                        continue;
                    }
                    list.remove(at);
                }
                list.push(FaultHandler { who: source, handler, span });
            }
        }
        list
    }

    /// Devices whose translations hardware takes from a page table. Others are
    /// given theirs by a handler of their own, which stays.
    fn walking_devices(&self) -> Vec<FaultSource> {
        // As many links as there are objects: a circle is an error of its own.
        let walks = |mut id: ObjectId| {
            for _ in &self.objects {
                match &self.objects[id.index()].kind {
                    ObjectKind::Tlb { source: TlbSource::Object(next), .. } => id = *next,
                    ObjectKind::SoftTlb => return false,
                    _ => return true,
                }
            }
            false
        };
        let devices = self.objects.iter().enumerate().filter_map(|(at, object)| {
            let ObjectKind::Device { tlb, .. } = object.kind else { return None };
            walks(tlb).then_some(FaultSource::Object(ObjectId(at as u32)))
        });
        devices.collect()
    }
}

/// The name that an expression of names and fields begins with.
fn root(expr: &ast::Expr) -> Option<&str> {
    match &expr.kind {
        A::Name(name) => Some(name),
        A::Member { base, .. } => root(base),
        _ => None,
    }
}
