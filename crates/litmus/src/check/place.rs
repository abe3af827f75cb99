//! Places: what can be read, written and pointed to.

use crate::ast::{self, BinaryOp, ExprKind as A, Ident};
use crate::program::{Expr, ExprKind, GlobalId, GlobalKind, LocalId, OpKind, Place, PlaceKind};
use crate::source::Span;
use crate::types::Type;

use super::Entity;
use super::body::{Binding, BodyChecker};
use super::expression::{is_poison, poison};

impl BodyChecker<'_> {
    /// The address that a name stands for.
    pub(super) fn address(&mut self, id: GlobalId, span: Span) -> Expr {
        let ty = match &self.cx.globals[id.index()].kind {
            GlobalKind::Page(_) => Type::VirtAddr,
            GlobalKind::Words { .. } => Type::WordPtr,
            GlobalKind::Lock => Type::Lock,
            GlobalKind::Record(record) => Type::Record(*record),
        };
        Expr { kind: ExprKind::Address(id), ty, span }
    }

    /// The place that an expression names, or `None` after a message.
    pub(super) fn place(&mut self, expr: &ast::Expr) -> Option<Place> {
        let span = expr.span;
        match &expr.kind {
            A::Name(name) => self.named_place(&Ident { name: name.clone(), span }),
            A::Deref(inner) => {
                let pointer = self.value(inner, None);
                self.deref(pointer, None, span)
            }
            A::Index(base, index) => {
                let pointer = match &base.kind {
                    // The name of an array is its address, also in a function.
                    A::Name(_) | A::Member { .. } => self.value(base, None),
                    _ => self.value(base, None),
                };
                let index = self.value(index, None);
                self.want(Type::Int, &index);
                self.deref(pointer, Some(index), span)
            }
            A::Member { base, field } => self.member(base, field, span),
            A::Cast(_, inner) => self.place(inner),
            _ => {
                self.error(span, "this is a value, not a place", "");
                None
            }
        }
    }

    fn named_place(&mut self, name: &Ident) -> Option<Place> {
        let span = name.span;
        match self.lookup(&name.name) {
            Some(Binding::Local(id)) => {
                let ty = self.locals[id.index()].ty;
                return Some(Place { kind: PlaceKind::Local(id), ty, span });
            }
            Some(Binding::Global(_)) => {
                let message = format!("`{}` is an address", name.name);
                self.error(span, message, &format!("write `*{}`", name.name));
                return None;
            }
            None => {}
        }
        let Some(Entity::Global(id)) = self.cx.entity(&name.name) else {
            if self.cx.entity(&name.name).is_some() {
                self.error(span, format!("`{}` is not memory", name.name), "");
            } else {
                self.unknown_variable(name);
            }
            return None;
        };
        if self.thread.is_some() {
            self.missing_parameter(name);
            return None;
        }
        match &self.cx.globals[id.index()].kind {
            GlobalKind::Words { ty, array: false, .. } => {
                Some(Place { kind: PlaceKind::Global(id), ty: *ty, span })
            }
            _ => {
                let message = format!("`{}` is an address", name.name);
                self.error(span, message, &format!("write `*{}`", name.name));
                None
            }
        }
    }

    /// What a pointer points to.
    pub(super) fn deref(
        &mut self,
        pointer: Expr,
        index: Option<Expr>,
        span: Span,
    ) -> Option<Place> {
        if let ExprKind::Address(id) = pointer.kind
            && let GlobalKind::Words { ty, array, init } = &self.cx.globals[id.index()].kind
        {
            let (ty, array, length) = (*ty, *array, init.len() as i64);
            let index = index.unwrap_or(Expr { kind: ExprKind::Const(0), ty: Type::Int, span });
            if let ExprKind::Const(at) = index.kind
                && !(0..length).contains(&at)
            {
                let message = format!("`{}` has no word {at}", self.cx.globals[id.index()].name);
                self.error(span, message, &format!("it has {length}"));
                return None;
            }
            let kind =
                if array { PlaceKind::Element(id, Box::new(index)) } else { PlaceKind::Global(id) };
            return Some(Place { kind, ty, span });
        }
        // `*(a + 1)` is `a[1]`.
        if let (None, ExprKind::Binary(BinaryOp::Add, base, offset)) = (&index, &pointer.kind)
            && matches!(base.kind, ExprKind::Address(_))
            && offset.ty.is_number()
        {
            let (base, offset) = ((**base).clone(), (**offset).clone());
            return self.deref(base, Some(offset), span);
        }
        let ty = match pointer.ty {
            Type::VirtAddr | Type::WordPtr | Type::IntPtr => Type::Int,
            Type::PtePtr => Type::Pte,
            Type::PmdPtr => Type::Pmd,
            Type::Any if is_poison(&pointer) => return None,
            Type::Any => Type::Any,
            other => {
                let message = format!("{other} cannot be dereferenced");
                let label = match other {
                    Type::Long => "declare it `int *`",
                    Type::Int => "is this the value of `*x` already?",
                    Type::Page => "use page_read and page_write",
                    Type::Record(_) => "name a field with `->`",
                    _ => "",
                };
                self.error(span, message, label);
                return None;
            }
        };
        if index.is_some() && matches!(pointer.ty, Type::PtePtr | Type::PmdPtr) {
            self.error(span, "tables are not arrays", "pte_offset_map(va) finds an entry");
            return None;
        }
        let kind = PlaceKind::Deref { pointer: Box::new(pointer), index: index.map(Box::new) };
        Some(Place { kind, ty, span })
    }

    fn member(&mut self, base: &ast::Expr, field: &Ident, span: Span) -> Option<Place> {
        let base = match &base.kind {
            // `(&r)->x` and `(*r).x` are what they look like.
            A::AddressOf(inner) | A::Deref(inner) => self.value(inner, None),
            _ => self.value(base, None),
        };
        let Type::Record(record) = base.ty else {
            if !is_poison(&base) {
                let message = format!("{} has no fields here", base.ty);
                let label = match base.ty {
                    Type::Page => "use page_read, page_count, lock_page, ...",
                    Type::Space => "use mmap_read_lock(mm), flush_tlb_mm(mm), ...",
                    Type::Any => "give it a struct type",
                    _ => "",
                };
                self.error(base.span, message, label);
            }
            return None;
        };
        let (id, ty) = self.cx.field(record, field);
        let kind = match base.kind {
            ExprKind::Address(global) => {
                // Shared: whoever reads it need not be who set it.
                self.cx.field_is_set(record, id, Type::Int);
                PlaceKind::GlobalField(global, id)
            }
            _ => PlaceKind::Field(Box::new(base), id),
        };
        let ty = if ty == Type::Any && matches!(kind, PlaceKind::GlobalField(..)) {
            Type::Int
        } else {
            ty
        };
        Some(Place { kind, ty, span })
    }

    /// What a place holds.
    pub(super) fn load(&mut self, place: Place, span: Span, into: Option<LocalId>) -> Expr {
        let ty = place.ty;
        match place.kind {
            PlaceKind::Local(id) => Expr { kind: ExprKind::Local(id), ty, span },
            PlaceKind::Field(record, field) => {
                Expr { kind: ExprKind::Field(record, field), ty, span }
            }
            _ => {
                let into = into.unwrap_or_else(|| self.local(None, ty, span));
                self.push(OpKind::Load { into, place }, span);
                Expr { kind: ExprKind::Local(into), ty, span }
            }
        }
    }

    /// Writes a place.
    pub(super) fn store(&mut self, place: Place, value: Expr, span: Span) {
        self.want(place.ty, &value);
        match place.kind {
            PlaceKind::Local(local) => {
                if value.kind != ExprKind::Local(local) {
                    self.push(OpKind::Set { local, value }, span);
                }
            }
            PlaceKind::Field(record, field) => {
                if let Type::Record(id) = record.ty {
                    self.cx.field_is_set(id, field, value.ty);
                }
                self.push(OpKind::SetField { record: *record, field, value }, span);
            }
            _ => self.push(OpKind::Store { place, value }, span),
        }
    }

    /// `local = value`, without a detour for calls and loads.
    pub(super) fn assign_local(&mut self, id: LocalId, value: &ast::Expr) -> Expr {
        let span = value.span;
        let ty = self.locals[id.index()].ty;
        let value = self.value(value, Some(id));
        if ty == Type::Any && value.ty != Type::Null {
            // `void *` takes the type of what it gets.
            self.locals[id.index()].ty = value.ty;
        }
        self.store(Place { kind: PlaceKind::Local(id), ty, span }, value, span);
        Expr { kind: ExprKind::Local(id), ty: self.locals[id.index()].ty, span }
    }

    pub(super) fn assign(
        &mut self,
        op: Option<BinaryOp>,
        target: &ast::Expr,
        value: &ast::Expr,
        span: Span,
    ) -> Expr {
        self.implicit_register(target);
        let Some(place) = self.place(target) else {
            self.value(value, None);
            return poison(span);
        };
        if let (PlaceKind::Local(id), None) = (&place.kind, op) {
            return self.assign_local(*id, value);
        }
        let value = match op {
            None => self.value(value, None),
            Some(op) => {
                let old = self.load(place.clone(), target.span, None);
                let value = self.value(value, None);
                self.binary(op, old, value, span)
            }
        };
        self.store(place, value.clone(), span);
        value
    }

    /// In herd a thread's variables need no declaration. In ours too, in `P`
    /// threads of plain tests, where something is stored into them.
    fn implicit_register(&mut self, target: &ast::Expr) {
        let A::Name(name) = &target.kind else { return };
        let known = self.lookup(name).is_some() || self.cx.entity(name).is_some();
        if known || self.thread.is_none() || !self.cx.plain {
            return;
        }
        let id = self.local(Some(name.clone()), Type::Any, target.span);
        let first = self.scopes.first_mut().expect("a body has a scope");
        first.insert(name.clone(), (Binding::Local(id), target.span));
        let message = format!("`{name}` is not declared; taken as a register of this thread");
        let diagnostic = crate::diag::Diagnostic::warning(target.span, message);
        self.cx.errors.push(diagnostic.label(format!("write `int {name}`")));
    }

    pub(super) fn step(&mut self, up: bool, prefix: bool, target: &ast::Expr, span: Span) -> Expr {
        let Some(place) = self.place(target) else { return poison(span) };
        let mut old = self.load(place.clone(), target.span, None);
        let private = matches!(place.kind, PlaceKind::Local(_) | PlaceKind::Field(..));
        if !prefix && private {
            let kept = self.local(None, old.ty, span);
            let ty = old.ty;
            self.push(OpKind::Set { local: kept, value: old }, span);
            old = Expr { kind: ExprKind::Local(kept), ty, span };
        }
        let one = Expr { kind: ExprKind::Const(1), ty: Type::Int, span };
        let op = if up { BinaryOp::Add } else { BinaryOp::Subtract };
        let new = self.binary(op, old.clone(), one, span);
        self.store(place, new.clone(), span);
        if prefix { new } else { old }
    }

    /// `&x`.
    pub(super) fn address_of(&mut self, inner: &ast::Expr, span: Span) -> Expr {
        match &inner.kind {
            A::Deref(pointer) => return self.value(pointer, None),
            A::Name(name) => match (self.lookup(name), self.cx.entity(name)) {
                (Some(Binding::Local(id)), _) => {
                    let ty = self.locals[id.index()].ty;
                    if matches!(ty, Type::Record(_) | Type::Lock | Type::Any) {
                        return Expr { kind: ExprKind::Local(id), ty, span };
                    }
                    let message = format!("the address of the variable `{name}`");
                    let label = "only other threads' memory and records have addresses";
                    self.error(span, message, label);
                    return poison(span);
                }
                (Some(Binding::Global(id)), _) => return self.address(id, span),
                (None, Some(Entity::Global(id))) if self.thread.is_none() => {
                    return self.address(id, span);
                }
                _ => return self.value(inner, None),
            },
            _ => {}
        }
        let Some(place) = self.place(inner) else { return poison(span) };
        match (&place.kind, place.ty) {
            (PlaceKind::Field(..), Type::Lock | Type::Record(_) | Type::Any) => {
                self.load(place, span, None)
            }
            (PlaceKind::Field(..) | PlaceKind::Local(_), _) => {
                let label = "only memory of the test has addresses";
                self.error(span, "the address of a field", label);
                poison(span)
            }
            (PlaceKind::Deref { .. }, _) => {
                let kind = ExprKind::AddressOf(Box::new(place));
                Expr { kind, ty: Type::IntPtr, span }
            }
            _ => {
                let kind = ExprKind::AddressOf(Box::new(place));
                Expr { kind, ty: Type::WordPtr, span }
            }
        }
    }
}
