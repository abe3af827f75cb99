//! Calls: of functions of the file, and of rows of the primitive table.

use crate::ast::{self, ExprKind as A, Ident};
use crate::diag::{Diagnostic, nearest};
use crate::primitives::{Action, Gives, Kind, Primitive, primitive, primitives};
use crate::program::{
    Arg, Expr, ExprKind, GlobalKind, LocalId, NotCovered, OpKind, Place, PlaceKind,
};
use crate::source::Span;
use crate::types::{TlbKind, Type};

use super::Entity;
use super::body::BodyChecker;
use super::expression::{advice, fits, is_poison, poison};

impl BodyChecker<'_> {
    /// A call. `used` is whether somebody wants its result.
    pub(super) fn call(
        &mut self,
        callee: &Ident,
        arguments: &[ast::Expr],
        span: Span,
        into: Option<LocalId>,
        used: bool,
    ) -> Expr {
        if let Some(Entity::Function(_)) = self.cx.entity(&callee.name) {
            return self.call_function(callee, arguments, span, into, used);
        }
        if let Some(row) = primitive(&callee.name) {
            return self.call_primitive(row, callee, arguments, span, into, used);
        }
        for argument in arguments {
            self.value(argument, None);
        }
        let mut known: Vec<&str> = primitives().map(|row| row.name).collect();
        known.extend(self.cx.signatures.iter().map(|signature| &*signature.name));
        let near = nearest(&callee.name, known);
        let message = format!("unknown primitive `{}`", callee.name);
        let mut diagnostic = Diagnostic::error(callee.span, message);
        diagnostic = match near {
            Some(near) => diagnostic.nearest(Some(near)),
            None => diagnostic.label("define it, or delete the line if it does not matter"),
        };
        self.cx.errors.push(diagnostic);
        poison(span)
    }

    fn call_function(
        &mut self,
        callee: &Ident,
        arguments: &[ast::Expr],
        span: Span,
        into: Option<LocalId>,
        used: bool,
    ) -> Expr {
        let Some(Entity::Function(id)) = self.cx.entity(&callee.name) else { return poison(span) };
        let signature = &self.cx.signatures[id.index()];
        let (result, defined) = (signature.result, signature.span);
        let wanted: Vec<Type> = signature.parameters.iter().map(|(_, ty)| *ty).collect();
        let args: Vec<Expr> = arguments.iter().map(|a| self.value(a, None)).collect();
        if args.len() != wanted.len() {
            let message =
                format!("`{}` takes {}, not {}", callee.name, count(wanted.len()), args.len());
            self.cx.errors.push(Diagnostic::error(span, message).also(defined, "defined here"));
            return poison(span);
        }
        for (at, (ty, arg)) in wanted.iter().zip(&args).enumerate() {
            if !fits(*ty, arg) {
                self.wrong_argument(at, &callee.name, ty.describe(), *ty, arg);
            }
        }
        if let Some(caller) = self.function {
            self.cx.calls[caller.index()].push((id, callee.span));
        }
        if used && result == Type::Void {
            self.error(span, format!("`{}` gives nothing", callee.name), "it is `void`");
            return poison(span);
        }
        let kept = used.then(|| into.unwrap_or_else(|| self.local(None, result, span)));
        self.push(OpKind::Call { into: kept, function: id, args }, span);
        match kept {
            Some(local) => Expr { kind: ExprKind::Local(local), ty: result, span },
            None => poison(span),
        }
    }

    fn wrong_argument(&mut self, at: usize, callee: &str, wanted: &str, ty: Type, arg: &Expr) {
        let message = format!("argument {} of `{callee}` must be {wanted}, not {}", at + 1, arg.ty);
        let mut diagnostic = Diagnostic::error(arg.span, message);
        diagnostic.help = advice(ty, arg.ty).map(str::to_owned);
        self.cx.errors.push(diagnostic);
    }

    fn call_primitive(
        &mut self,
        row: &'static Primitive,
        callee: &Ident,
        arguments: &[ast::Expr],
        span: Span,
        into: Option<LocalId>,
        used: bool,
    ) -> Expr {
        let Some(form) = row.forms.iter().find(|form| form.len() == arguments.len()) else {
            let mut lengths: Vec<usize> = row.forms.iter().map(|form| form.len()).collect();
            lengths.sort_unstable();
            let takes: Vec<String> = lengths.iter().map(|length| count(*length)).collect();
            let forms: Vec<String> = row.forms.iter().map(|form| shown(row.name, form)).collect();
            let message =
                format!("`{}` takes {}, not {}", row.name, takes.join(" or "), arguments.len());
            self.cx.errors.push(Diagnostic::error(span, message).help(forms.join("\n")));
            return poison(span);
        };
        let mut places = Vec::new();
        let mut others = Vec::new();
        let mut failed = false;
        for (at, (kind, argument)) in form.iter().zip(arguments).enumerate() {
            match self.argument(row, at, *kind, argument, &mut others) {
                Ok(Some(place)) => places.push(place),
                Ok(None) => {}
                Err(()) => failed = true,
            }
        }
        if failed {
            return poison(span);
        }
        if let (Some(place), true) = (places.first(), form.contains(&Kind::Value)) {
            let ty = place.ty;
            for arg in &others {
                if let Arg::Value(value) = arg {
                    self.want(ty, value);
                }
            }
        }
        if let Some(why) = row.not_covered() {
            self.cx.not_covered.push(NotCovered { primitive: row, why, span: callee.span });
        }
        let ty = match row.result {
            Gives::Nothing => Type::Void,
            Gives::One(ty) => ty,
            Gives::OfPlace => places.first().map_or(Type::Any, |place| place.ty),
            Gives::OfArgument => match others.first() {
                Some(Arg::Value(value)) => value.ty,
                _ => Type::Any,
            },
        };
        if used && ty == Type::Void {
            self.error(span, format!("`{}` gives nothing", row.name), "");
            return poison(span);
        }
        match (row.action, others.first()) {
            // Nothing is done, so there is no step.
            (Action::Same, Some(Arg::Value(value))) => return value.clone(),
            (Action::Nothing, _) => {
                return Expr { kind: ExprKind::Const(0), ty, span };
            }
            // A variable of the thread is nobody else's business.
            (Action::Load(_), _) if places.first().is_some_and(private) => {
                return self.load(places.swap_remove(0), span, into);
            }
            (Action::Store(_), Some(Arg::Value(value))) if places.first().is_some_and(private) => {
                let value = value.clone();
                self.store(places.swap_remove(0), value, span);
                return poison(span);
            }
            _ => {}
        }
        let mut args: Vec<Arg> = places.into_iter().map(Arg::Place).collect();
        args.extend(others);
        let kept = used.then(|| into.unwrap_or_else(|| self.local(None, ty, span)));
        self.push(OpKind::Primitive { into: kept, primitive: row, args }, span);
        match kept {
            Some(local) => Expr { kind: ExprKind::Local(local), ty, span },
            None => poison(span),
        }
    }

    /// A field that is used as a lock is one.
    fn lock_of_record(&mut self, value: Expr) -> Expr {
        let (record, field) = match &value.kind {
            ExprKind::AddressOf(place) => match &place.kind {
                PlaceKind::GlobalField(global, field) => {
                    match &self.cx.globals[global.index()].kind {
                        GlobalKind::Record(record) => (*record, *field),
                        _ => return value,
                    }
                }
                _ => return value,
            },
            ExprKind::Field(base, field) => match base.ty {
                Type::Record(record) => (record, *field),
                _ => return value,
            },
            _ => return value,
        };
        self.cx.field_is_lock(record, field);
        Expr { ty: Type::Lock, ..value }
    }

    /// One argument: a place, or something added to `others`.
    fn argument(
        &mut self,
        row: &'static Primitive,
        at: usize,
        kind: Kind,
        argument: &ast::Expr,
        others: &mut Vec<Arg>,
    ) -> Result<Option<Place>, ()> {
        match kind {
            Kind::Place => {
                if let (A::Name(name), Some(_)) = (&argument.kind, &self.thread)
                    && matches!(self.lookup(name), Some(super::body::Binding::Global(_)))
                {
                    let message = format!("`{}` takes a place, not an address", row.name);
                    self.error(argument.span, message, &format!("write `*{name}`"));
                    return Err(());
                }
                return self.place(argument).map(Some).ok_or(());
            }
            Kind::Pointer => {
                let pointer = self.value(argument, None);
                if matches!(pointer.ty, Type::Int | Type::Long | Type::Rights) {
                    let message = format!("`{}` takes a pointer, not {}", row.name, pointer.ty);
                    let label = match &argument.kind {
                        A::Deref(_) => "without the `*`",
                        _ => "write `&` before it",
                    };
                    self.error(argument.span, message, label);
                    return Err(());
                }
                return self.deref(pointer, None, argument.span).map(Some).ok_or(());
            }
            Kind::LockOut => {
                let place = match &argument.kind {
                    A::AddressOf(inner) => self.place(inner).ok_or(())?,
                    _ => {
                        let value = self.value(argument, None);
                        if !is_poison(&value) {
                            let wanted = kind.describe();
                            self.wrong_argument(at, row.name, wanted, Type::Lock, &value);
                        }
                        return Err(());
                    }
                };
                let is_variable = matches!(place.kind, PlaceKind::Local(_) | PlaceKind::Field(..));
                if !is_variable || !matches!(place.ty, Type::Lock | Type::Any) {
                    let message = format!("`{}` stores a lock here", row.name);
                    self.error(argument.span, message, "declare `spinlock_t *ptl`");
                    return Err(());
                }
                if let PlaceKind::Field(record, field) = &place.kind
                    && let Type::Record(id) = record.ty
                {
                    self.cx.field_is_set(id, *field, Type::Lock);
                }
                others.push(Arg::Out(place));
                return Ok(None);
            }
            _ => {}
        }
        let value = self.value(argument, None);
        let value = if kind == Kind::Lock { self.lock_of_record(value) } else { value };
        match (kind, value.ty) {
            (Kind::Context, _) => return Ok(None),
            (Kind::Record, Type::Record(_) | Type::WordPtr | Type::IntPtr | Type::Any) => {}
            (Kind::Record, ty) => {
                self.wrong_argument(at, row.name, kind.describe(), ty, &value);
                return Err(());
            }
            (Kind::Truth, _) => {
                let value = self.truth(value);
                others.push(Arg::Value(value));
                return Ok(None);
            }
            (Kind::Tlb, Type::Tlb(_)) => {}
            (Kind::Range, Type::Record(record)) => {
                // A notification also says what it is for, and who does it.
                let says = match row.action {
                    Action::Notify(_) => &["start", "end", "event", "owner"][..],
                    _ => &["start", "end"],
                };
                for name in says {
                    let ident = Ident { name: (*name).into(), span: argument.span };
                    let (field, ty) = self.cx.field(record, &ident);
                    let kind = ExprKind::Field(Box::new(value.clone()), field);
                    others.push(Arg::Value(Expr { kind, ty, span: argument.span }));
                }
                return Ok(None);
            }
            (Kind::Value, Type::Void) | (_, Type::Void) => {
                self.error(argument.span, "this gives nothing", "");
                return Err(());
            }
            (kind, _) if !fits(kind.ty(), &value) => {
                self.wrong_argument(at, row.name, kind.describe(), kind.ty(), &value);
                return Err(());
            }
            (Kind::Tlb, other) if other != Type::Any && other != Type::Tlb(TlbKind::Tlb) => {
                self.wrong_argument(at, row.name, kind.describe(), kind.ty(), &value);
                return Err(());
            }
            _ => {}
        }
        others.push(Arg::Value(value));
        Ok(None)
    }
}

fn private(place: &Place) -> bool {
    matches!(place.kind, PlaceKind::Local(_) | PlaceKind::Field(..))
}

fn count(arguments: usize) -> String {
    match arguments {
        0 => "no argument".to_owned(),
        1 => "1 argument".to_owned(),
        more => format!("{more} arguments"),
    }
}

/// A form as C: `set_pte_at(pte_t *, pte_t)`.
fn shown(name: &str, form: &[Kind]) -> String {
    let kinds: Vec<&str> = form.iter().map(|kind| kind.describe()).collect();
    format!("{name}({})", kinds.join(", "))
}
