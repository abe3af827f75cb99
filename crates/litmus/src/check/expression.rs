//! Expressions: what has an effect becomes a step, the rest stays an
//! expression over locals.

use crate::ast::{self, ExprKind as A, Ident};
use crate::diag::{Diagnostic, nearest};
use crate::names;
use crate::program::{
    BinaryOp, Expr, ExprKind, GlobalKind, LocalId, OpKind, Place, PlaceKind, UnaryOp,
};
use crate::source::Span;
use crate::types::{Narrow, Type};

use super::Entity;
use super::body::{Binding, BodyChecker};

/// What stands for an expression that could not be understood: it fits
/// everywhere, so that one mistake gives one message.
pub(super) fn poison(span: Span) -> Expr {
    Expr { kind: ExprKind::Const(0), ty: Type::Any, span }
}

/// A number as a narrow type holds it.
fn wrapped(narrow: Narrow, value: Expr) -> Expr {
    let span = value.span;
    if let ExprKind::Const(number) = value.kind {
        return Expr { kind: ExprKind::Const(narrow.wrap(number)), ty: Type::Int, span };
    }
    let step = |op, left: Expr, number| {
        let right = Expr { kind: ExprKind::Const(number), ty: Type::Int, span };
        let kind = ExprKind::Binary(op, Box::new(left), Box::new(right));
        Expr { kind, ty: Type::Int, span }
    };
    let low = step(BinaryOp::And, value, narrow.mask());
    match narrow.sign() {
        0 => low,
        sign => step(BinaryOp::Subtract, step(BinaryOp::Xor, low, sign), sign),
    }
}

impl BodyChecker<'_> {
    /// Checks an expression for its effects.
    pub(super) fn discard(&mut self, expr: &ast::Expr) {
        match &expr.kind {
            A::Call { callee, arguments } => {
                self.call(callee, arguments, expr.span, None, false);
            }
            A::Step { up, target, .. } => {
                self.step(*up, true, target, expr.span);
            }
            A::Cast(_, inner) => self.discard(inner),
            A::Comma(left, right) => {
                self.discard(left);
                self.discard(right);
            }
            _ => {
                self.value(expr, None);
            }
        }
    }

    /// The value of an expression. A result that needs a variable is kept in
    /// `into` if that is given, and then the value is that variable.
    pub(super) fn value(&mut self, expr: &ast::Expr, into: Option<LocalId>) -> Expr {
        let span = expr.span;
        match &expr.kind {
            A::Int(number) => Expr { kind: ExprKind::Const(*number), ty: Type::Int, span },
            A::Text => poison(span),
            A::Name(name) => self.name(&Ident { name: name.clone(), span }, into),
            A::Unary(op, inner) => {
                let inner = self.value(inner, None);
                self.unary(*op, inner, span)
            }
            A::AddressOf(inner) => self.address_of(inner, span),
            A::Deref(_) | A::Index(..) | A::Member { .. } => match self.place(expr) {
                Some(place) => self.load(place, span, into),
                None => poison(span),
            },
            A::Step { up, prefix, target } => self.step(*up, *prefix, target, span),
            A::Binary(op, left, right) => {
                let left = self.value(left, None);
                let right = self.value(right, None);
                self.binary(*op, left, right, span)
            }
            A::And(left, right) | A::Or(left, right) if self.is_pure(expr) => {
                let (left, right) = (self.value(left, None), self.value(right, None));
                let (left, right) = (self.as_bit(left), self.as_bit(right));
                let and = matches!(expr.kind, A::And(..));
                let op = if and { BinaryOp::And } else { BinaryOp::Or };
                let kind = ExprKind::Binary(op, Box::new(left), Box::new(right));
                Expr { kind, ty: Type::Int, span }
            }
            A::And(..) | A::Or(..) => {
                let kept = into.unwrap_or_else(|| self.local(None, Type::Int, span));
                let (yes, no, end) = (self.new_label(), self.new_label(), self.new_label());
                self.branch(expr, yes, no);
                for (label, number) in [(yes, 1), (no, 0)] {
                    self.place_label(label);
                    let value = Expr { kind: ExprKind::Const(number), ty: Type::Int, span };
                    self.push(OpKind::Set { local: kept, value }, span);
                    self.jump(end, span);
                }
                self.place_label(end);
                Expr { kind: ExprKind::Local(kept), ty: Type::Int, span }
            }
            A::Assign { op, target, value } => self.assign(*op, target, value, span),
            A::Ternary(condition, yes, no) => self.ternary(condition, yes, no, span, into),
            A::Call { callee, arguments } => self.call(callee, arguments, span, into, true),
            A::Cast(ty, inner) => {
                let target = self.cx.ty(ty);
                let value = self.value(inner, into);
                if let (Some(narrow), true) = (Narrow::of(ty), value.ty.is_number()) {
                    return wrapped(narrow, value);
                }
                // Any other cast changes what is not known, and nothing else: an
                // address stays one as an `unsigned long`.
                match (value.ty, target) {
                    (Type::Any, to) if to != Type::Void && !is_poison(&value) => {
                        Expr { ty: to, ..value }
                    }
                    (Type::Long, Type::IntPtr) => Expr { ty: Type::IntPtr, ..value },
                    _ => value,
                }
            }
            A::Comma(left, right) => {
                self.discard(left);
                self.value(right, into)
            }
        }
    }

    fn name(&mut self, name: &Ident, into: Option<LocalId>) -> Expr {
        let span = name.span;
        match self.lookup(&name.name) {
            Some(Binding::Local(id)) => {
                let ty = self.locals[id.index()].ty;
                return Expr { kind: ExprKind::Local(id), ty, span };
            }
            Some(Binding::Global(id)) => return self.address(id, span),
            None => {}
        }
        match self.cx.entity(&name.name) {
            Some(Entity::Global(id)) => {
                if self.thread.is_some() {
                    self.missing_parameter(name);
                    return poison(span);
                }
                match &self.cx.globals[id.index()].kind {
                    GlobalKind::Words { ty, array: false, .. } => {
                        let place = Place { kind: PlaceKind::Global(id), ty: *ty, span };
                        self.load(place, span, into)
                    }
                    _ => self.address(id, span),
                }
            }
            Some(Entity::Object(id)) => {
                use crate::program::ObjectKind as O;
                let ty = match &self.cx.objects[id.index()].kind {
                    O::Tlb { kind, .. } => Type::Tlb(*kind),
                    O::SoftTlb => Type::SoftTlb,
                    O::Queue { .. } => Type::Queue,
                    O::Device { .. } => Type::Device,
                    O::Context { .. } => Type::Context,
                };
                Expr { kind: ExprKind::Object(id), ty, span }
            }
            Some(Entity::Space(id)) => Expr { kind: ExprKind::Space(id), ty: Type::Space, span },
            Some(Entity::Function(_) | Entity::Operations(_)) => {
                let message = format!("`{}` is a function, not a value", name.name);
                self.error(span, message, "call it");
                poison(span)
            }
            Some(Entity::Frame(_)) => {
                let message = format!("`{}` is a frame, not a value", name.name);
                self.error(span, message, "code gets at frames through `struct page *`");
                poison(span)
            }
            None => match names::constant(&name.name) {
                Some(constant) => {
                    let kind = ExprKind::Const(constant.value);
                    Expr { kind, ty: constant.ty, span }
                }
                None => {
                    self.unknown_variable(name);
                    poison(span)
                }
            },
        }
    }

    pub(super) fn missing_parameter(&mut self, name: &Ident) {
        let thread = self.thread.clone().unwrap_or_default();
        let message = format!("`{}` is not a parameter of {thread}", name.name);
        let diagnostic = Diagnostic::error(name.span, message)
            .label(format!("add `int *{}` to the parameters of {thread}", name.name))
            .help("a thread sees the memory of the test through its parameters");
        self.cx.errors.push(diagnostic);
    }

    pub(super) fn unknown_variable(&mut self, name: &Ident) {
        let mut known: Vec<&str> =
            self.scopes.iter().flat_map(|scope| scope.keys()).map(|name| &**name).collect();
        known.extend(self.cx.entities.keys().map(|name| &**name));
        known.extend(names::CONSTANTS.iter().map(|constant| constant.name));
        known.sort_unstable();
        let near = nearest(&name.name, known);
        let message = format!("unknown variable `{}`", name.name);
        self.cx.errors.push(Diagnostic::error(name.span, message).nearest(near));
    }

    pub(super) fn is_pure(&self, expr: &ast::Expr) -> bool {
        match &expr.kind {
            A::Int(_) => true,
            A::Name(name) => match self.lookup(name) {
                Some(_) => true,
                None => !matches!(self.cx.entity(name), Some(Entity::Global(_))),
            },
            A::Unary(_, inner) | A::Cast(_, inner) => self.is_pure(inner),
            A::Member { base, .. } => self.is_pure(base),
            A::Binary(_, left, right) | A::And(left, right) | A::Or(left, right) => {
                self.is_pure(left) && self.is_pure(right)
            }
            _ => false,
        }
    }

    /// Reports a value that is not of the type that is meant.
    pub(super) fn want(&mut self, to: Type, value: &Expr) {
        if !fits(to, value) {
            let message = format!("expected {to}, found {}", value.ty);
            let help = advice(to, value.ty);
            let mut diagnostic = Diagnostic::error(value.span, message);
            diagnostic.help = help.map(str::to_owned);
            self.cx.errors.push(diagnostic);
        }
    }

    /// A value that is tested for being zero.
    pub(super) fn truth(&mut self, value: Expr) -> Expr {
        let label = match value.ty {
            Type::Void => "it gives nothing",
            Type::Pte => "ask with pte_none, pte_present, ...",
            Type::Pmd => "ask with pmd_none, pmd_present, ...",
            _ => return value,
        };
        let message = format!("{} is no condition", value.ty);
        self.error(value.span, message, label);
        poison(value.span)
    }

    fn as_bit(&mut self, value: Expr) -> Expr {
        let value = self.truth(value);
        match value.kind {
            ExprKind::Binary(op, ..) if op.is_comparison() => value,
            ExprKind::Unary(UnaryOp::Not, _) => value,
            _ => {
                let span = value.span;
                let zero = Expr { kind: ExprKind::Const(0), ty: value.ty, span };
                let kind = ExprKind::Binary(BinaryOp::NotEqual, Box::new(value), Box::new(zero));
                Expr { kind, ty: Type::Int, span }
            }
        }
    }

    fn unary(&mut self, op: UnaryOp, inner: Expr, span: Span) -> Expr {
        if op == UnaryOp::Not {
            let inner = self.truth(inner);
            if let ExprKind::Const(number) = inner.kind {
                let kind = ExprKind::Const(i64::from(number == 0));
                return Expr { kind, ty: Type::Int, span };
            }
            return Expr { kind: ExprKind::Unary(op, Box::new(inner)), ty: Type::Int, span };
        }
        if !inner.ty.is_number() {
            self.error(inner.span, format!("expected a number, found {}", inner.ty), "");
            return poison(span);
        }
        let ty = inner.ty;
        if let ExprKind::Const(number) = inner.kind {
            let number = if op == UnaryOp::Negate { number.wrapping_neg() } else { !number };
            return Expr { kind: ExprKind::Const(number), ty, span };
        }
        Expr { kind: ExprKind::Unary(op, Box::new(inner)), ty, span }
    }

    pub(super) fn binary(&mut self, op: BinaryOp, left: Expr, right: Expr, span: Span) -> Expr {
        use Type as T;
        let sum = matches!(op, BinaryOp::Add | BinaryOp::Subtract);
        let bits = matches!(op, BinaryOp::And | BinaryOp::Or | BinaryOp::Xor);
        let address = |ty| matches!(ty, T::VirtAddr | T::IntPtr | T::WordPtr);
        let ty = match (left.ty, right.ty) {
            (T::Pte | T::Pmd, _) | (_, T::Pte | T::Pmd) => {
                let label = "compare with pte_same or pmd_same, change with pte_mkwrite, ...";
                self.error(span, "entries are no numbers", label);
                return poison(span);
            }
            (a, b) if op.is_comparison() => {
                if !fits(a, &right) && !fits(b, &left) {
                    let message = format!("comparing {a} with {b}");
                    self.error(span, message, "these are never the same thing");
                }
                T::Int
            }
            (a, b) if a.is_number() && b.is_number() => match (a, b) {
                (T::Any, _) | (_, T::Any) => T::Any,
                (T::Long, _) | (_, T::Long) => T::Long,
                _ => T::Int,
            },
            (T::Rights, T::Rights) if bits => T::Rights,
            // The pages behind a huge entry follow each other.
            (T::Page, b) if b.is_number() && sum => T::Page,
            (a, b) if address(a) && b.is_number() && (sum || bits) => a,
            (a, b) if a.is_number() && address(b) && (op == BinaryOp::Add || bits) => b,
            (a, b) if address(a) && a == b && op == BinaryOp::Subtract => T::Int,
            (a, b) => {
                self.error(span, format!("cannot calculate with {a} and {b}"), "");
                return poison(span);
            }
        };
        if let (ExprKind::Const(a), ExprKind::Const(b)) = (&left.kind, &right.kind)
            && left.ty != T::Any
            && right.ty != T::Any
        {
            return match fold(op, *a, *b) {
                Some(number) => Expr { kind: ExprKind::Const(number), ty, span },
                None => {
                    self.error(span, "division by zero", "");
                    poison(span)
                }
            };
        }
        Expr { kind: ExprKind::Binary(op, Box::new(left), Box::new(right)), ty, span }
    }

    fn ternary(
        &mut self,
        condition: &ast::Expr,
        yes: &ast::Expr,
        no: &ast::Expr,
        span: Span,
        into: Option<LocalId>,
    ) -> Expr {
        let (then, otherwise, end) = (self.new_label(), self.new_label(), self.new_label());
        let kept = into.unwrap_or_else(|| self.local(None, Type::Any, span));
        self.branch(condition, then, otherwise);
        self.place_label(then);
        let first = self.value(yes, None);
        let ty = first.ty;
        self.push(OpKind::Set { local: kept, value: first }, span);
        self.jump(end, span);
        self.place_label(otherwise);
        let second = self.value(no, None);
        let ty = if matches!(ty, Type::Null) { second.ty } else { ty };
        self.want(ty, &second);
        self.push(OpKind::Set { local: kept, value: second }, span);
        self.place_label(end);
        if into.is_none() {
            self.locals[kept.index()].ty = ty;
        }
        Expr { kind: ExprKind::Local(kept), ty, span }
    }
}

pub(super) fn is_poison(value: &Expr) -> bool {
    value.ty == Type::Any && matches!(value.kind, ExprKind::Const(_))
}

/// Whether a value may stand where a type is meant; 0 is a null pointer.
pub(super) fn fits(to: Type, value: &Expr) -> bool {
    let null = value.ty == Type::Int && matches!(value.kind, ExprKind::Const(0));
    to.accepts(value.ty) || (null && to.is_pointer())
}

/// What to write instead, for the mistakes that are easy to make.
pub(super) fn advice(to: Type, from: Type) -> Option<&'static str> {
    use Type as T;
    let address = matches!(from, T::VirtAddr | T::Long | T::IntPtr);
    Some(match (to, from) {
        (T::PtePtr, _) if address => "pte_offset_map_lock(va, &ptl) gives the entry of an address",
        (T::PmdPtr, _) if address => "pmd_offset(va) gives the upper entry of an address",
        (T::Page, _) if address => "hva_to_pfn(va) gives the page behind an address",
        (T::Pte, T::PtePtr) => "`*pte` is the value of the entry `pte`",
        (T::PtePtr, T::Pte) => "this is a value; the entry is a `pte_t *`",
        (T::Page, T::Pte) => "pte_page(pte) gives the page of a value",
        (T::Pte, T::Page) => "mk_pte(page, RW) gives the value that maps a page",
        (T::VirtAddr, T::PtePtr) => "an entry is not an address; pass the address it belongs to",
        (T::VirtAddr, T::Int) => "declare it `unsigned long`",
        (T::VirtAddr, T::WordPtr) => "this word is not mapped; only `map` names are addresses",
        (T::VirtAddr, T::Page) => "a page has no address; pass the name that maps it",
        (T::Int, T::VirtAddr) => "`*a` is what the address leads to",
        _ => return None,
    })
}

fn fold(op: BinaryOp, a: i64, b: i64) -> Option<i64> {
    use BinaryOp as B;
    let shift = (b & 63) as u32;
    Some(match op {
        B::Add => a.wrapping_add(b),
        B::Subtract => a.wrapping_sub(b),
        B::Multiply => a.wrapping_mul(b),
        B::Divide if b == 0 => return None,
        B::Divide => a.wrapping_div(b),
        B::Remainder if b == 0 => return None,
        B::Remainder => a.wrapping_rem(b),
        B::ShiftLeft => a.wrapping_shl(shift),
        B::ShiftRight => a.wrapping_shr(shift),
        B::And => a & b,
        B::Or => a | b,
        B::Xor => a ^ b,
        B::Equal => i64::from(a == b),
        B::NotEqual => i64::from(a != b),
        B::Less => i64::from(a < b),
        B::LessEqual => i64::from(a <= b),
        B::Greater => i64::from(a > b),
        B::GreaterEqual => i64::from(a >= b),
    })
}
