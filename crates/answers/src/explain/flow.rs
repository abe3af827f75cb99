//! The order of the steps of a body: which come before which on every run,
//! where a page table lock is held, and what changes a value on the way.

use std::collections::HashSet;

use shootdown_litmus::Program;
use shootdown_litmus::Type;
use shootdown_litmus::primitives::{Action, LockClass, LockOp, Tag};
use shootdown_litmus::program::{
    Arg, Body, Expr, ExprKind, FieldId, FunctionId, LocalId, Op, OpKind, Place, PlaceKind,
};

/// A body with its order.
pub(crate) struct Flow<'b> {
    program: &'b Program,
    pub(crate) body: &'b Body,
    after: Vec<Vec<usize>>,
    before: Vec<Vec<usize>>,
    /// Locks that are held at least, when a step begins.
    locks: Vec<Option<u32>>,
}

impl<'b> Flow<'b> {
    pub(crate) fn of(program: &'b Program, body: &'b Body) -> Flow<'b> {
        let after: Vec<Vec<usize>> =
            body.ops.iter().enumerate().map(|(at, op)| next(at, op)).collect();
        let mut before = vec![Vec::new(); after.len()];
        for (at, list) in after.iter().enumerate() {
            list.iter().for_each(|to| before[*to].push(at));
        }
        let mut flow = Flow { program, body, after, before, locks: Vec::new() };
        flow.locks = flow.held();
        flow
    }

    /// Whether any run comes by.
    pub(crate) fn is_run(&self, at: usize) -> bool {
        self.locks[at].is_some()
    }

    /// Whether others could see a step, so that it matters on which side of it
    /// something stands.
    pub(crate) fn is_seen(&self, at: usize) -> bool {
        match &self.body.ops[at].kind {
            OpKind::Primitive { primitive, .. } => {
                !primitive.has(Tag::Pure) && primitive.action != Action::Nothing
            }
            OpKind::Load { .. }
            | OpKind::Store { .. }
            | OpKind::Call { .. }
            | OpKind::Return(_) => true,
            _ => false,
        }
    }

    /// Everything that can be run from here on without a step of `not`; what
    /// is in `not` is left out.
    fn reach(
        edges: &[Vec<usize>],
        from: impl IntoIterator<Item = usize>,
        not: Option<usize>,
    ) -> Vec<bool> {
        let mut reached = vec![false; edges.len()];
        let mut open: Vec<usize> = from.into_iter().collect();
        while let Some(at) = open.pop() {
            if Some(at) != not && !std::mem::replace(&mut reached[at], true) {
                open.extend(&edges[at]);
            }
        }
        reached
    }

    /// Whether every run to `at` comes by `first`.
    pub(crate) fn leads(&self, first: usize, at: usize) -> bool {
        first != at && !Self::reach(&self.after, [0], Some(first))[at]
    }

    /// Whether every run that comes by `at` comes by `last` afterwards.
    pub(crate) fn follows(&self, last: usize, at: usize) -> bool {
        let reached = Self::reach(&self.after, self.after[at].iter().copied(), Some(last));
        let ends = |(at, op): (usize, &Op)| reached[at] && matches!(op.kind, OpKind::Return(_));
        let comes_by = Self::reach(&self.after, self.after[at].iter().copied(), None)[last];
        last != at && comes_by && !self.body.ops.iter().enumerate().any(ends)
    }

    /// The steps between two, on any run from the one to the other; `None` is
    /// the beginning.
    pub(crate) fn between(&self, first: Option<usize>, last: usize) -> Vec<usize> {
        let from = first.map_or(vec![0], |first| self.after[first].clone());
        let on = Self::reach(&self.after, from, Some(last));
        let back = Self::reach(&self.before, self.before[last].iter().copied(), first);
        (0..on.len())
            .filter(|at| on[*at] && back[*at] && Some(*at) != first && *at != last)
            .collect()
    }

    /// Whether a lock is held when a step begins, or when it has ended.
    pub(crate) fn locked(&self, at: usize, ended: bool) -> bool {
        let held = self.locks[at].unwrap_or(0);
        if ended { change(&self.body.ops[at], held) > 0 } else { held > 0 }
    }

    /// Whether a lock is taken anywhere.
    pub(crate) fn takes_lock(&self) -> bool {
        self.body.ops.iter().any(|op| change(op, 0) > 0)
    }

    fn held(&self) -> Vec<Option<u32>> {
        let mut locks: Vec<Option<u32>> = vec![None; self.body.ops.len()];
        let mut open = vec![(0, 0)];
        while let Some((at, held)) = open.pop() {
            // The least of what any run holds.
            if locks[at].is_none_or(|known| held < known) {
                locks[at] = Some(held);
                let then = change(&self.body.ops[at], held);
                open.extend(self.after[at].iter().map(|to| (*to, then)));
            }
        }
        locks
    }

    /// Whether a step changes what is used.
    pub(crate) fn changes(&self, at: usize, used: &Used) -> bool {
        changes(self.program, &self.body.ops[at], used)
    }
}

fn next(at: usize, op: &Op) -> Vec<usize> {
    match &op.kind {
        OpKind::Jump(to) => vec![to.index()],
        OpKind::Branch { yes, no, .. } => vec![yes.index(), no.index()],
        OpKind::Return(_) => Vec::new(),
        _ => vec![at + 1],
    }
}

/// Locks that are held after a step.
fn change(op: &Op, held: u32) -> u32 {
    let OpKind::Primitive { primitive, args, .. } = &op.kind else { return held };
    // A lock with a name of its own belongs to a driver.
    let named =
        || matches!(args.first(), Some(Arg::Value(Expr { kind: ExprKind::Address(_), .. })));
    match primitive.action {
        Action::MapEntry(_) | Action::EntryLock(_) if primitive.has(Tag::Locks) => held + 1,
        Action::Lock(LockClass::Spin, LockOp::Lock) if !named() => held + 1,
        Action::UnmapUnlock(_) => held.saturating_sub(1),
        Action::Lock(LockClass::Spin, LockOp::Unlock) if !named() => held.saturating_sub(1),
        _ => held,
    }
}

/// What the arguments of a step are computed from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Used {
    locals: HashSet<LocalId>,
    fields: HashSet<FieldId>,
    /// A whole record: every field.
    records: bool,
}

impl Used {
    pub(crate) fn of(args: &[Arg]) -> Used {
        let mut used = Used::default();
        for arg in args {
            match arg {
                Arg::Value(value) => used.expr(value),
                Arg::Place(place) | Arg::Out(place) => used.place(place),
            }
        }
        used
    }

    fn expr(&mut self, value: &Expr) {
        match &value.kind {
            ExprKind::Local(local) => {
                self.locals.insert(*local);
                self.records |= matches!(value.ty, Type::Record(_));
            }
            ExprKind::Field(record, field) => {
                self.fields.insert(*field);
                self.base(record);
            }
            ExprKind::AddressOf(place) => self.place(place),
            ExprKind::Unary(_, value) => self.expr(value),
            ExprKind::Binary(_, left, right) => {
                self.expr(left);
                self.expr(right);
            }
            _ => {}
        }
    }

    /// A record of which one field is asked for.
    fn base(&mut self, record: &Expr) {
        match &record.kind {
            ExprKind::Local(local) => {
                self.locals.insert(*local);
            }
            _ => self.expr(record),
        }
    }

    fn place(&mut self, place: &Place) {
        match &place.kind {
            PlaceKind::Local(local) => {
                self.locals.insert(*local);
                self.records |= matches!(place.ty, Type::Record(_));
            }
            PlaceKind::Field(record, field) => {
                self.fields.insert(*field);
                self.base(record);
            }
            PlaceKind::Element(_, index) => self.expr(index),
            PlaceKind::Deref { pointer, index } => {
                self.expr(pointer);
                if let Some(index) = index {
                    self.expr(index);
                }
            }
            _ => {}
        }
    }

    fn has_field(&self, field: FieldId) -> bool {
        self.records || self.fields.contains(&field)
    }
}

fn changes(program: &Program, op: &Op, used: &Used) -> bool {
    let local = |local: &Option<LocalId>| local.is_some_and(|local| used.locals.contains(&local));
    match &op.kind {
        OpKind::Set { local, .. } | OpKind::Load { into: local, .. } => used.locals.contains(local),
        OpKind::SetField { field, .. } => used.has_field(*field),
        OpKind::Primitive { into, args, .. } => {
            local(into)
                || args.iter().any(|arg| match arg {
                    Arg::Out(Place { kind: PlaceKind::Local(local), .. }) => {
                        used.locals.contains(local)
                    }
                    Arg::Out(Place { kind: PlaceKind::Field(_, field), .. }) => {
                        used.has_field(*field)
                    }
                    _ => false,
                })
        }
        OpKind::Call { into, function, .. } => local(into) || sets_field(program, *function, used),
        _ => false,
    }
}

/// Whether a function, or what it calls, sets a field. Records are handed on by
/// reference; which one it is does not matter here.
fn sets_field(program: &Program, id: FunctionId, used: &Used) -> bool {
    let fields = Used { locals: HashSet::new(), ..used.clone() };
    program.functions[id.index()].body.ops.iter().any(|op| changes(program, op, &fields))
}
