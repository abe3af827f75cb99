//! What an expression of the text is: a computation over registers, and a place
//! as a pointer with an index.

use shootdown_litmus::program::{
    Expr as TextExpr, ExprKind, FieldId, GlobalKind, Place, PlaceKind,
};
use shootdown_litmus::{Span, Type};

use super::{Binding, Builder, Env, RecordRef, Result, sum, unsupported};
use crate::expr::{Expr, Reg};

impl Builder<'_, '_> {
    pub(super) fn argument(&mut self, env: &Env, value: &TextExpr) -> Result<Binding> {
        if matches!(value.ty, Type::Record(_)) {
            return Ok(self.record(env, value)?.map_or(Binding::NoRecord, Binding::from));
        }
        Ok(Binding::Value(self.expr(env, value)?))
    }

    /// Where a result goes; nowhere if the local is a constant or a record.
    pub(super) fn target(&self, env: &Env, local: usize, span: Span) -> Result<Option<Reg>> {
        match &env.locals[local] {
            Binding::Value(Expr::Reg(reg)) => Ok(Some(*reg)),
            Binding::Value(_) => unsupported("a parameter that is assigned", span),
            _ => Ok(None),
        }
    }

    pub(super) fn record(&self, env: &Env, value: &TextExpr) -> Result<Option<RecordRef>> {
        let of_local = |local: usize| match &env.locals[local] {
            Binding::Record(record) => Some(RecordRef::Private(*record)),
            Binding::Shared(global) => Some(RecordRef::Shared(*global)),
            _ => None,
        };
        match &value.kind {
            ExprKind::Local(local) => Ok(of_local(local.index())),
            ExprKind::Const(_) => Ok(None),
            ExprKind::Address(global)
                if matches!(
                    self.cx.program.globals[global.index()].kind,
                    GlobalKind::Record(_)
                ) =>
            {
                Ok(Some(RecordRef::Shared(*global)))
            }
            ExprKind::AddressOf(place) => match &place.kind {
                PlaceKind::Local(local) => Ok(of_local(local.index())),
                _ => unsupported("a pointer to a record that is not a variable", value.span),
            },
            _ => unsupported("a record that is not a variable of the thread", value.span),
        }
    }

    pub(super) fn field(
        &mut self,
        env: &Env,
        record: &TextExpr,
        field: FieldId,
        ty: Type,
    ) -> Result<Expr> {
        let Some(record_id) = self.record(env, record)? else {
            return unsupported("a field of a record that nobody made", record.span);
        };
        let record_id = match record_id {
            RecordRef::Private(record) => record,
            RecordRef::Shared(global) => {
                if let Some(lock) = self.cx.shape.lock_of_field.get(&(global.0, field.0)) {
                    return Ok(Expr::Const(*lock as i64 + 1));
                }
                let into = self.register(Type::Int);
                let pointer = Expr::Const(self.cx.shape.address_of(global.0));
                let index = Expr::Const(i64::from(field.0));
                self.reads.push((into, pointer, index, record.span));
                return Ok(Expr::Reg(into));
            }
        };
        if let Some(value) = self.records[record_id].get(&field) {
            return Ok(value.clone());
        }
        let reg = self.register(ty);
        self.records[record_id].insert(field, Expr::Reg(reg));
        Ok(Expr::Reg(reg))
    }

    pub(super) fn field_register(
        &mut self,
        env: &Env,
        record: &TextExpr,
        field: FieldId,
    ) -> Result<Reg> {
        let ty = match record.ty {
            Type::Record(id) => self.cx.program.records[id.0 as usize].fields[field.index()].ty,
            _ => Type::Any,
        };
        match self.field(env, record, field, ty)? {
            Expr::Reg(reg) => Ok(reg),
            _ => unsupported("a field that the machine sets is assigned", record.span),
        }
    }

    pub(super) fn expr(&mut self, env: &Env, value: &TextExpr) -> Result<Expr> {
        Ok(match &value.kind {
            ExprKind::Const(number) => Expr::Const(*number),
            ExprKind::Local(local) => match &env.locals[local.index()] {
                Binding::Value(value) => value.clone(),
                // A record is only ever tested for NULL here.
                Binding::Record(record) => Expr::Const(*record as i64 + 1),
                Binding::Shared(global) => Expr::Const(self.cx.shape.address_of(global.0)),
                Binding::NoRecord => Expr::Const(0),
            },
            ExprKind::Address(global) => Expr::Const(self.cx.shape.address_of(global.0)),
            ExprKind::AddressOf(place) => self.address_of(env, place)?,
            ExprKind::Object(object) => Expr::Const(i64::from(object.0) + 1),
            ExprKind::Space(space) => Expr::Const(i64::from(space.0) + 1),
            ExprKind::Field(record, field) => self.field(env, record, *field, value.ty)?,
            ExprKind::Unary(op, inner) => {
                Expr::Unary(*op, Box::new(self.expr(env, inner)?)).folded()
            }
            ExprKind::Binary(op, left, right) => {
                let (left, right) = (self.expr(env, left)?, self.expr(env, right)?);
                Expr::Binary(*op, Box::new(left), Box::new(right)).folded()
            }
        })
    }

    /// The address of a place in shared memory.
    pub(super) fn address_of(&mut self, env: &Env, place: &Place) -> Result<Expr> {
        if let PlaceKind::GlobalField(global, field) = &place.kind
            && let Some(lock) = self.cx.shape.lock_of_field.get(&(global.0, field.0))
        {
            return Ok(Expr::Const(*lock as i64 + 1));
        }
        let (pointer, index) = self.pointer(env, place)?;
        let word = pointer.constant().is_some_and(|pointer| pointer >= crate::value::WORD_BASE);
        if !word && index != Expr::Const(0) {
            // The next address is the next page, not the next word.
            return unsupported("a pointer into a page; write `a[1]` where it is used", place.span);
        }
        Ok(sum(pointer, index))
    }

    /// A place as a pointer and an index.
    pub(super) fn pointer(&mut self, env: &Env, place: &Place) -> Result<(Expr, Expr)> {
        let zero = Expr::Const(0);
        Ok(match &place.kind {
            PlaceKind::Global(global) => (Expr::Const(self.cx.shape.address_of(global.0)), zero),
            PlaceKind::Element(global, index) => {
                (Expr::Const(self.cx.shape.address_of(global.0)), self.expr(env, index)?)
            }
            PlaceKind::GlobalField(global, field) => {
                (Expr::Const(self.cx.shape.address_of(global.0)), Expr::Const(i64::from(field.0)))
            }
            PlaceKind::Deref { pointer, index } => {
                let pointer = self.expr(env, pointer)?;
                let index = match index {
                    Some(index) => self.expr(env, index)?,
                    None => zero,
                };
                (pointer, index)
            }
            PlaceKind::Local(_) | PlaceKind::Field(..) => {
                return unsupported("the address of a variable of the thread", place.span);
            }
        })
    }
}
