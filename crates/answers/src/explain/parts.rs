//! What can be taken out of a program, and what it is when it stands elsewhere.
//!
//! A call that does nothing else is taken out whole. What is a part of another
//! step leaves that step behind: `ptep_clear_flush` without its flush is
//! `ptep_get_and_clear`, `range_end` without its notification is `only_end`.

use shootdown_litmus::primitives::{Action, FlushScope, Level, Notify, Primitive, Tag, primitive};
use shootdown_litmus::program::{
    Arg, Body, Expr, ExprKind, FunctionId, LocalId, Op, OpKind, Place, PlaceKind,
};
use shootdown_litmus::{Program, Span};
use shootdown_step::{Dials, Moment};

use super::answer::Tells;
use super::edit::{put_in, take_out};
use super::flow::{Flow, Used};
use super::spots::Spot;
use crate::mutate::{is_called, weaker};

/// Whose body it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Function(FunctionId),
    Thread(usize),
}

impl Owner {
    pub(crate) fn body(self, program: &Program) -> &Body {
        match self {
            Owner::Function(id) => &program.functions[id.index()].body,
            Owner::Thread(at) => &program.threads[at].body,
        }
    }

    fn body_mut(self, program: &mut Program) -> &mut Body {
        match self {
            Owner::Function(id) => &mut program.functions[id.index()].body,
            Owner::Thread(at) => &mut program.threads[at].body,
        }
    }

    pub(crate) fn name(self, program: &Program) -> String {
        match self {
            Owner::Function(id) => program.functions[id.index()].name.to_string(),
            Owner::Thread(at) => program.threads[at].name.to_string(),
        }
    }

    pub(crate) fn span(self, program: &Program) -> Span {
        match self {
            Owner::Function(id) => program.functions[id.index()].span,
            Owner::Thread(at) => program.threads[at].span,
        }
    }
}

/// A notification or a flush.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) owner: Owner,
    /// Which step of the body.
    pub(super) at: usize,
    pub(super) what: String,
    pub(super) span: Span,
    pub(super) tells: Tells,
    /// It is a part of a step that stays.
    pub(super) inside: bool,
    /// Why it is not taken out.
    pub(super) left_out: Option<&'static str>,
    /// What it is elsewhere; `None` if that cannot be said.
    pub(super) elsewhere: Option<OpKind>,
    /// What that is computed from.
    pub(super) used: Used,
    rest: Rest,
}

/// What is left where it stood.
#[derive(Clone, Debug)]
enum Rest {
    Nothing,
    /// This, with the same arguments.
    Less(&'static Primitive),
    /// This, and then that.
    LessAnd(&'static Primitive, Option<OpKind>),
}

/// All notifications and flushes of the test's own file, or of the function of
/// this name, in the order of the text.
pub(super) fn parts(program: &Program, dials: Dials, function: Option<&str>) -> Vec<Part> {
    let functions = (0..program.functions.len()).map(|at| FunctionId(at as u32));
    let called = functions.filter(|id| is_called(program, *id)).map(Owner::Function);
    let mut list = Vec::new();
    for owner in called.chain((0..program.threads.len()).map(Owner::Thread)) {
        let wanted = match function {
            Some(name) => owner.name(program) == name,
            None => owner.span(program).file == program.header.span.file,
        };
        if wanted {
            of_body(program, owner, dials, &mut list);
        }
    }
    list
}

/// All notifications and flushes of a body.
pub(super) fn of_owner(program: &Program, owner: Owner, dials: Dials) -> Vec<Part> {
    let mut list = Vec::new();
    of_body(program, owner, dials, &mut list);
    list
}

fn of_body(program: &Program, owner: Owner, dials: Dials, list: &mut Vec<Part>) {
    let flow = Flow::of(program, owner.body(program));
    for (at, op) in flow.body.ops.iter().enumerate().filter(|(at, _)| flow.is_run(*at)) {
        let OpKind::Primitive { primitive: row, args, .. } = &op.kind else { continue };
        let mut add = |what: String, tells, rest: Rest, elsewhere: Option<OpKind>| {
            let used = match &elsewhere {
                Some(OpKind::Primitive { args, .. }) => Used::of(args),
                _ => Used::default(),
            };
            let inside = !matches!(rest, Rest::Nothing);
            let left_out = matches!(row.action, Action::GatherFlush(true))
                .then_some("it frees what was gathered as well, and that is one call");
            list.push(Part {
                owner,
                at,
                what,
                span: op.span,
                tells,
                inside,
                left_out,
                elsewhere,
                used,
                rest,
            });
        };
        let flush = |moment| if dials.tells_at(moment) { Tells::Both } else { Tells::Cpus };
        let cpus = flush(Moment::Flush);
        match row.action {
            Action::ClearEntry { level, flush: true, notify } => {
                let Some(less) = weaker(row) else { continue };
                let least = if notify { weaker(less) } else { Some(less) };
                let Some(least) = least else { continue };
                let range = range(&flow, at, level, args);
                let tell =
                    range.as_ref().and_then(|range| call("mmu_notifier_invalidate_range", range));
                let name = if level == Level::Pte { "flush_tlb_page" } else { "flush_tlb_range" };
                let name = if range.as_ref().is_some_and(|range| range.len() > 1) {
                    "flush_tlb_range"
                } else {
                    name
                };
                let flush = range.as_ref().and_then(|range| call(name, range));
                let tells_too = notify && dials.tells_at(Moment::ClearNotify);
                let rest = match tells_too {
                    true => Rest::LessAnd(least, tell.clone()),
                    false => Rest::Less(least),
                };
                add(format!("the flush in {}", row.name), cpus, rest, flush);
                if tells_too {
                    let what = format!("the notification in {}", row.name);
                    add(what, Tells::Secondary, Rest::Less(less), tell);
                }
            }
            Action::Notify(Notify::End) => {
                if let Some(less) = weaker(row).filter(|_| dials.tells_at(Moment::End)) {
                    let tell = call("mmu_notifier_invalidate_range", args);
                    add(row.name.to_owned(), Tells::Secondary, Rest::Less(less), tell);
                }
            }
            action if row.has(Tag::Notifies) || row.has(Tag::Flushes) => {
                let names = matches!(
                    action,
                    Action::FlushTlb(_)
                        | Action::FlushTag
                        | Action::FlushContext
                        | Action::Post(_)
                        | Action::PostTag
                );
                // Which TLB, tag or context it is about is its argument.
                let text = program.files.text(op.span);
                let what = match names && text.starts_with(row.name) {
                    true => text.split_whitespace().collect::<Vec<_>>().join(" "),
                    false => row.name.to_owned(),
                };
                let tells = match action {
                    _ if names => Tells::Named,
                    Action::Flush(FlushScope::LocalPage) => Tells::Cpus,
                    Action::Flush(_) => cpus,
                    Action::GatherFlush(_) => flush(Moment::GatherFlush),
                    _ => Tells::Secondary,
                };
                add(what, tells, Rest::Nothing, Some(op.kind.clone()));
            }
            _ => {}
        }
    }
}

fn call(name: &str, args: &[Arg]) -> Option<OpKind> {
    Some(OpKind::Primitive { into: None, primitive: primitive(name)?, args: args.to_vec() })
}

/// The range that an entry maps: the address that it was found by, or else
/// what the function opened.
fn range(flow: &Flow<'_>, at: usize, level: Level, args: &[Arg]) -> Option<Vec<Arg>> {
    let ops = &flow.body.ops;
    let primitives = || {
        ops.iter().enumerate().filter_map(|(at, op)| match &op.kind {
            OpKind::Primitive { into, primitive, args } => {
                Some((at, *into, primitive.action, args))
            }
            _ => None,
        })
    };
    let pointer = args.iter().rev().find_map(|arg| match arg {
        Arg::Value(value) => Some(value),
        _ => None,
    })?;
    // Whoever the pointer may come from.
    let mut found: Vec<Arg> = Vec::new();
    for (_, into, action, args) in primitives() {
        let (Action::MapEntry(Level::Pte), Some(into), Some(address)) =
            (action, into, args.first())
        else {
            continue;
        };
        if level == Level::Pte
            && comes_from(ops, pointer, into)
            && !found.iter().any(|arg| same(arg, address))
        {
            found.push(address.clone());
        }
    }
    if let [address] = &found[..] {
        return Some(vec![address.clone()]);
    }
    let opens = |(from, _, action, _): &(usize, _, Action, _)| {
        *action == Action::Notify(Notify::Start) && flow.leads(*from, at)
    };
    let mut starts = primitives().filter(opens);
    match (starts.next(), starts.next()) {
        (Some((.., args)), None) => Some(args.clone()),
        _ => None,
    }
}

/// Whether two arguments are the same but for where they are written.
fn same(left: &Arg, right: &Arg) -> bool {
    let (Arg::Value(left), Arg::Value(right)) = (left, right) else { return left == right };
    same_expr(left, right)
}

fn same_expr(left: &Expr, right: &Expr) -> bool {
    match (&left.kind, &right.kind) {
        (ExprKind::Field(a, x), ExprKind::Field(b, y)) => x == y && same_expr(a, b),
        (ExprKind::Local(a), ExprKind::Local(b)) => a == b,
        (a, b) => a == b,
    }
}

/// Whether a value may be what this local got.
fn comes_from(ops: &[Op], value: &Expr, source: LocalId) -> bool {
    let is_source = |value: &Expr| matches!(value.kind, ExprKind::Local(local) if local == source);
    is_source(value)
        || ops.iter().any(|op| {
            match (&op.kind, &value.kind) {
        (OpKind::Set { local, value: from }, ExprKind::Local(own)) => {
            local == own && is_source(from)
        }
        (OpKind::SetField { field, value: from, .. }, ExprKind::Field(_, own)) => {
            field == own && is_source(from)
        }
        (OpKind::Primitive { args, .. }, _) => args.iter().any(|arg| {
            matches!(arg, Arg::Out(Place { kind: PlaceKind::Local(local), .. }) if *local == source)
                && is_source(value)
        }),
        _ => false,
    }
        })
}

/// The program without some parts; `None` if that cannot be written down.
pub(super) fn without(program: &Program, parts: &[&Part]) -> Option<Program> {
    let mut program = program.clone();
    let mut parts: Vec<&Part> = parts.to_vec();
    // From the end on: what is put in moves only what is behind it.
    parts.sort_by_key(|part| std::cmp::Reverse(part.at));
    for (n, part) in parts.iter().enumerate() {
        let other = |other: &&Part| other.owner == part.owner && other.at == part.at;
        let same: Vec<&Part> = parts.iter().copied().filter(other).collect();
        if same.len() > 1 {
            // Both parts of one step: what has neither is left.
            let both = same.iter().find_map(|part| match part.rest {
                Rest::LessAnd(least, _) => Some(least),
                _ => None,
            })?;
            if !parts[..n].iter().any(other) {
                weaken(part.owner.body_mut(&mut program), part.at, both);
            }
            continue;
        }
        leave(part.owner.body_mut(&mut program), part)?;
        if let Rest::LessAnd(_, tell) = &part.rest {
            let op = Op { kind: tell.clone()?, span: part.span };
            put_in(part.owner.body_mut(&mut program), part.at + 1, op, false);
        }
    }
    Some(program)
}

/// The program with a part elsewhere.
pub(super) fn moved(program: &Program, part: &Part, spot: &Spot) -> Option<Program> {
    let mut program = program.clone();
    let body = part.owner.body_mut(&mut program);
    leave(body, part)?;
    let own = Op { kind: part.elsewhere.clone()?, span: part.span };
    let tell = match &part.rest {
        Rest::LessAnd(_, tell) => Some(Op { kind: tell.clone()?, span: part.span }),
        _ => None,
    };
    if spot.at > part.at + 1 {
        put_in(body, spot.at, own.clone(), spot.jumps);
    }
    if let Some(tell) = tell {
        put_in(body, part.at + 1, tell, false);
    }
    if spot.at <= part.at + 1 {
        put_in(body, spot.at, own, spot.jumps);
    }
    Some(program)
}

fn leave(body: &mut Body, part: &Part) -> Option<()> {
    match &part.rest {
        Rest::Nothing => take_out(body, part.at),
        Rest::Less(less) | Rest::LessAnd(less, _) => weaken(body, part.at, less),
    }
    Some(())
}

fn weaken(body: &mut Body, at: usize, less: &'static Primitive) {
    if let OpKind::Primitive { primitive, .. } = &mut body.ops[at].kind {
        *primitive = less;
    }
}
