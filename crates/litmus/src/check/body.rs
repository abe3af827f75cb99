//! Bodies: statements become steps and branches.

use std::collections::HashMap;

use crate::ast::{self, Block, ExprKind as A, Ident, Initializer, Statement, StatementKind};
use crate::diag::{Diagnostic, nearest};
use crate::gaps::gaps;
use crate::lex::Name;
use crate::program::{
    BinaryOp, Body, Expr, ExprKind, FunctionId, GlobalId, Local, LocalId, Op, OpId, OpKind, UnaryOp,
};
use crate::source::Span;
use crate::types::{Narrow, Type};

use super::Checker;

/// What a name of a scope stands for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Binding {
    Local(LocalId),
    /// A parameter of a thread: the address of the memory it names.
    Global(GlobalId),
}

/// A place in the list of steps that may not be known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label(u32);

struct UserLabel {
    label: Label,
    defined: Option<Span>,
    used: Option<Span>,
}

struct Switch {
    cases: Vec<(i64, Label, Span)>,
    default: Option<Label>,
}

pub(super) struct BodyChecker<'a> {
    pub(super) cx: &'a mut Checker,
    pub(super) function: Option<FunctionId>,
    /// The thread's name, in a thread.
    pub(super) thread: Option<String>,
    pub(super) result: Type,
    pub(super) locals: Vec<Local>,
    pub(super) scopes: Vec<HashMap<Name, (Binding, Span)>>,
    pub(super) ops: Vec<Op>,
    parameters: usize,
    labels: Vec<Option<OpId>>,
    named: HashMap<Name, UserLabel>,
    /// Where `break` and `continue` lead.
    exits: Vec<(Label, Option<Label>)>,
    switches: Vec<Switch>,
}

impl<'a> BodyChecker<'a> {
    pub(super) fn new(cx: &'a mut Checker, function: Option<FunctionId>, result: Type) -> Self {
        BodyChecker {
            cx,
            function,
            thread: None,
            result,
            locals: Vec::new(),
            scopes: vec![HashMap::new()],
            ops: Vec::new(),
            parameters: 0,
            labels: Vec::new(),
            named: HashMap::new(),
            exits: Vec::new(),
            switches: Vec::new(),
        }
    }

    /// The parameters of a function are its first locals.
    pub(super) fn parameters(&mut self, list: &[ast::Parameter]) {
        for parameter in list {
            let ty = self.cx.ty(&parameter.ty);
            let span = parameter.name.as_ref().map_or(parameter.ty.span, |name| name.span);
            let name = parameter.name.as_ref().map(|name| name.name.clone());
            let id = self.local(name, ty, span);
            self.locals[id.index()].narrow = Narrow::of(&parameter.ty);
            if let Some(name) = &parameter.name {
                self.bind(name, Binding::Local(id));
            }
        }
        self.parameters = list.len();
    }

    pub(super) fn thread(&mut self, name: &str, parameters: &[GlobalId]) {
        self.thread = Some(name.to_owned());
        for id in parameters {
            let global = &self.cx.globals[id.index()];
            let (name, span) = (global.name.clone(), global.span);
            self.scopes[0].insert(name, (Binding::Global(*id), span));
        }
    }

    pub(super) fn finish(mut self, block: &Block) -> Body {
        self.scopes.push(HashMap::new());
        self.statements(&block.statements);
        let end = Span { start: block.span.end.saturating_sub(1), ..block.span };
        self.push(OpKind::Return(None), end);
        let mut names: Vec<(&Name, &UserLabel)> = self.named.iter().collect();
        names.sort_by_key(|(name, _)| (*name).clone());
        for (name, label) in names {
            let (None, Some(used)) = (label.defined, label.used) else { continue };
            let others = self.named.iter().filter(|(_, label)| label.defined.is_some());
            let near = nearest(name, others.map(|(name, _)| &**name));
            let message = format!("there is no label `{name}`");
            self.cx.errors.push(Diagnostic::error(used, message).nearest(near));
        }
        let last = OpId(self.ops.len() as u32 - 1);
        let target = |label: OpId| self.labels[label.index()].unwrap_or(last);
        for op in &mut self.ops {
            match &mut op.kind {
                OpKind::Jump(to) => *to = target(*to),
                OpKind::Branch { yes, no, .. } => (*yes, *no) = (target(*yes), target(*no)),
                _ => {}
            }
        }
        let (locals, parameters, ops) = (self.locals, self.parameters, self.ops);
        Body { locals, parameters, ops, gaps: gaps(block) }
    }

    pub(super) fn error(&mut self, span: Span, message: impl Into<String>, label: &str) {
        self.cx.error(span, message, label);
    }

    pub(super) fn push(&mut self, kind: OpKind, span: Span) {
        self.ops.push(Op { kind, span });
    }

    pub(super) fn local(&mut self, name: Option<Name>, ty: Type, span: Span) -> LocalId {
        self.locals.push(Local { name, ty, narrow: None, owns_record: false, span });
        LocalId(self.locals.len() as u32 - 1)
    }

    pub(super) fn bind(&mut self, name: &Ident, binding: Binding) {
        let scope = self.scopes.last_mut().expect("a body has a scope");
        if let Some((_, first)) = scope.insert(name.name.clone(), (binding, name.span)) {
            let message = format!("`{}` is declared twice", name.name);
            self.cx.errors.push(
                Diagnostic::error(name.span, message)
                    .label("the second declaration")
                    .also(first, "the first is here"),
            );
        }
    }

    pub(super) fn lookup(&self, name: &str) -> Option<Binding> {
        self.scopes.iter().rev().find_map(|scope| scope.get(name)).map(|(binding, _)| *binding)
    }

    pub(super) fn new_label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() as u32 - 1)
    }

    pub(super) fn place_label(&mut self, label: Label) {
        self.labels[label.0 as usize] = Some(OpId(self.ops.len() as u32));
    }

    pub(super) fn jump(&mut self, label: Label, span: Span) {
        self.push(OpKind::Jump(OpId(label.0)), span);
    }

    pub(super) fn branch_on(&mut self, condition: Expr, yes: Label, no: Label) {
        let span = condition.span;
        self.push(OpKind::Branch { condition, yes: OpId(yes.0), no: OpId(no.0) }, span);
    }

    /// A condition as branches: `&&`, `||` and `!` need no values.
    pub(super) fn branch(&mut self, expr: &ast::Expr, yes: Label, no: Label) {
        match &expr.kind {
            A::And(left, right) if !self.is_pure(expr) => {
                let middle = self.new_label();
                self.branch(left, middle, no);
                self.place_label(middle);
                self.branch(right, yes, no);
            }
            A::Or(left, right) if !self.is_pure(expr) => {
                let middle = self.new_label();
                self.branch(left, yes, middle);
                self.place_label(middle);
                self.branch(right, yes, no);
            }
            A::Unary(UnaryOp::Not, inner) => self.branch(inner, no, yes),
            A::Call { callee, arguments }
                if matches!(&*callee.name, "likely" | "unlikely") && arguments.len() == 1 =>
            {
                self.branch(&arguments[0], yes, no);
            }
            _ => {
                let value = self.value(expr, None);
                let value = self.truth(value);
                self.branch_on(value, yes, no);
            }
        }
    }

    fn statements(&mut self, list: &[Statement]) {
        for statement in list {
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: &Statement) {
        let span = statement.span;
        match &statement.kind {
            StatementKind::Empty => {}
            StatementKind::Block(block) => {
                self.scopes.push(HashMap::new());
                self.statements(&block.statements);
                self.scopes.pop();
            }
            StatementKind::Declare(list) => {
                for declarator in list {
                    self.declare(declarator);
                }
            }
            StatementKind::Expression(expr) => self.discard(expr),
            StatementKind::If(condition, yes, no) => {
                let (then, otherwise) = (self.new_label(), self.new_label());
                self.branch(condition, then, otherwise);
                self.place_label(then);
                self.scoped(yes);
                match no {
                    None => self.place_label(otherwise),
                    Some(no) => {
                        let end = self.new_label();
                        self.jump(end, span);
                        self.place_label(otherwise);
                        self.scoped(no);
                        self.place_label(end);
                    }
                }
            }
            StatementKind::While(condition, body) => {
                self.repeat(Some(condition), None, body, false, span);
            }
            StatementKind::DoWhile(body, condition) => {
                self.repeat(Some(condition), None, body, true, span);
            }
            StatementKind::For(init, condition, step, body) => {
                self.scopes.push(HashMap::new());
                if let Some(init) = init {
                    self.statement(init);
                }
                self.repeat(condition.as_ref(), step.as_ref(), body, false, span);
                self.scopes.pop();
            }
            StatementKind::Switch(value, body) => self.switch(value, body, span),
            StatementKind::Case(value) => self.case(value, span),
            StatementKind::Default => {
                let label = self.new_label();
                self.place_label(label);
                match self.switches.last_mut() {
                    Some(switch) if switch.default.is_none() => switch.default = Some(label),
                    Some(_) => self.error(span, "a second `default`", ""),
                    None => self.error(span, "`default` outside of a switch", ""),
                }
            }
            StatementKind::Label(name) => {
                let label = self.user_label(name, true);
                self.place_label(label);
            }
            StatementKind::Goto(name) => {
                let label = self.user_label(name, false);
                self.jump(label, span);
            }
            StatementKind::Break => match self.exits.last() {
                Some((end, _)) => self.jump(*end, span),
                None => self.error(span, "`break` outside of a loop or switch", ""),
            },
            StatementKind::Continue => match self.exits.iter().rev().find_map(|(_, next)| *next) {
                Some(next) => self.jump(next, span),
                None => self.error(span, "`continue` outside of a loop", ""),
            },
            StatementKind::Return(value) => self.give_back(value.as_ref(), span),
        }
    }

    fn scoped(&mut self, statement: &Statement) {
        self.scopes.push(HashMap::new());
        self.statement(statement);
        self.scopes.pop();
    }

    fn repeat(
        &mut self,
        condition: Option<&ast::Expr>,
        step: Option<&ast::Expr>,
        body: &Statement,
        body_first: bool,
        span: Span,
    ) {
        let (top, test, end) = (self.new_label(), self.new_label(), self.new_label());
        let next = self.new_label();
        if !body_first {
            self.place_label(test);
            if let Some(condition) = condition {
                self.branch(condition, top, end);
            }
        }
        self.place_label(top);
        self.exits.push((end, Some(next)));
        self.scoped(body);
        self.exits.pop();
        self.place_label(next);
        if let Some(step) = step {
            self.discard(step);
        }
        match (body_first, condition) {
            (true, Some(condition)) => self.branch(condition, top, end),
            _ => self.jump(test, span),
        }
        self.place_label(end);
    }

    fn switch(&mut self, value: &ast::Expr, body: &Statement, span: Span) {
        let value = self.value(value, None);
        self.want(Type::Int, &value);
        let kept = self.local(None, Type::Int, value.span);
        let at = value.span;
        self.push(OpKind::Set { local: kept, value }, at);
        let (dispatch, end) = (self.new_label(), self.new_label());
        self.jump(dispatch, at);
        self.switches.push(Switch { cases: Vec::new(), default: None });
        self.exits.push((end, None));
        self.scoped(body);
        self.exits.pop();
        self.jump(end, span);
        self.place_label(dispatch);
        let Some(switch) = self.switches.pop() else { return };
        for (number, label, span) in switch.cases {
            let next = self.new_label();
            let local = Expr { kind: ExprKind::Local(kept), ty: Type::Int, span };
            let number = Expr { kind: ExprKind::Const(number), ty: Type::Int, span };
            let kind = ExprKind::Binary(BinaryOp::Equal, Box::new(local), Box::new(number));
            self.branch_on(Expr { kind, ty: Type::Int, span }, label, next);
            self.place_label(next);
        }
        self.jump(switch.default.unwrap_or(end), span);
        self.place_label(end);
    }

    fn case(&mut self, value: &ast::Expr, span: Span) {
        let before = self.ops.len();
        let checked = self.value(value, None);
        let number = match checked.kind {
            ExprKind::Const(number) if self.ops.len() == before => number,
            _ => {
                self.error(value.span, "a case is a number", "known before the test runs");
                return;
            }
        };
        let label = self.new_label();
        self.place_label(label);
        let Some(switch) = self.switches.last_mut() else {
            self.error(span, "`case` outside of a switch", "");
            return;
        };
        if switch.cases.iter().any(|(known, ..)| *known == number) {
            self.error(span, format!("a second `case {number}`"), "");
            return;
        }
        switch.cases.push((number, label, span));
    }

    fn user_label(&mut self, name: &Ident, define: bool) -> Label {
        if !self.named.contains_key(&name.name) {
            let label = self.new_label();
            self.named.insert(name.name.clone(), UserLabel { label, defined: None, used: None });
        }
        let entry = self.named.get_mut(&name.name).expect("inserted above");
        let label = entry.label;
        if !define {
            entry.used.get_or_insert(name.span);
        } else if let Some(first) = entry.defined.replace(name.span) {
            let message = format!("the label `{}` is there twice", name.name);
            self.cx.errors.push(Diagnostic::error(name.span, message).also(first, "the first"));
        }
        label
    }

    fn give_back(&mut self, value: Option<&ast::Expr>, span: Span) {
        let Some(value) = value else {
            if self.result != Type::Void {
                let label = format!("this function gives {}", self.result);
                self.error(span, "`return` without a value", &label);
            }
            return self.push(OpKind::Return(None), span);
        };
        if self.function.is_none() {
            self.error(value.span, "a thread gives nothing back", "write `return;`");
            return;
        }
        let value = self.value(value, None);
        if self.result == Type::Void {
            self.error(value.span, "this function gives nothing back", "it is `void`");
        } else {
            self.want(self.result, &value);
        }
        self.push(OpKind::Return(Some(value)), span);
    }

    fn declare(&mut self, declarator: &ast::Declarator) {
        let ty = self.cx.ty(&declarator.ty);
        let name = &declarator.name;
        if declarator.array.is_some() {
            let label = "declare it in the block: `int a[2] = {1, 2};`";
            self.error(name.span, "an array in a function", label);
        }
        if ty == Type::Void {
            self.error(name.span, "a variable of type void", "write `int`");
        }
        let id = self.local(Some(name.name.clone()), ty, name.span);
        self.locals[id.index()].narrow = Narrow::of(&declarator.ty);
        self.locals[id.index()].owns_record =
            matches!(ty, Type::Record(_)) && declarator.ty.pointers == 0;
        match &declarator.init {
            None => {}
            Some(Initializer::Value(value)) => {
                self.assign_local(id, value);
            }
            Some(Initializer::List(list, span)) => self.initialise_record(id, list, *span),
        }
        // After its value: `int r = r;` speaks of an outer `r`.
        self.bind(name, Binding::Local(id));
    }

    fn initialise_record(
        &mut self,
        id: LocalId,
        list: &[(Option<Ident>, Initializer)],
        span: Span,
    ) {
        let ty = self.locals[id.index()].ty;
        let Type::Record(record) = ty else {
            self.error(span, format!("{ty} is not made of parts"), "write one value");
            return;
        };
        for (field, value) in list {
            let (Some(field), Initializer::Value(value)) = (field, value) else {
                // `{ 0 }` and `{}` make everything 0, which it is.
                continue;
            };
            let value = self.value(value, None);
            let (field_id, ty) = self.cx.field(record, field);
            self.want(ty, &value);
            self.cx.field_is_set(record, field_id, value.ty);
            let base = Expr { kind: ExprKind::Local(id), ty: Type::Record(record), span };
            self.push(OpKind::SetField { record: base, field: field_id, value }, field.span);
        }
    }
}
