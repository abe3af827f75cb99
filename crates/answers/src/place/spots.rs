//! The places of a path where a notification could stand.
//!
//! Before each statement, and before the end of each block, of the functions that
//! change tables or open ranges. It is called for what the function itself names:
//! the address of an entry that it looked up, what it flushes, the range that it
//! opened, and what it told before that was forgotten; wherever these have the
//! value that they had there. A `range_end` that tells, in the place of one that does not,
//! is a place of its own.

use std::collections::HashSet;

use shootdown_litmus::primitives::{Action, FlushScope, Level, Notify};
use shootdown_litmus::program::{Arg, Body, FunctionId, OpKind};
use shootdown_litmus::{Gap, Program, Span, Type};

use super::silent::may_tell;
use super::text::{Edit, Reader, range};
use crate::check::prepare;
use crate::explain::flow::{Flow, Used};

/// A place.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    pub(super) function: FunctionId,
    /// `mmu_notifier_invalidate_range(va)`
    pub(super) call: String,
    pub(super) stands: Stands,
    pub(super) locked: bool,
    /// More than one entry is told.
    pub(super) whole: bool,
    /// What makes it so, every line where it is.
    pub(super) edits: Vec<Edit>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Stands {
    Gap(Gap),
    /// This call of a `range_end` tells.
    End(Span),
}

/// The names that the calls have in a kernel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names {
    pub(super) tell: &'static str,
    /// Where `range_end` tells: that, and what it is without telling.
    pub(super) end: Option<(&'static str, &'static str)>,
}

impl Names {
    pub(super) fn of(range_end_invalidates: bool) -> Names {
        match range_end_invalidates {
            true => Names {
                tell: "mmu_notifier_invalidate_range",
                end: Some((
                    "mmu_notifier_invalidate_range_end",
                    "mmu_notifier_invalidate_range_only_end",
                )),
            },
            false => Names { tell: "mmu_notifier_arch_invalidate_secondary_tlbs", end: None },
        }
    }
}

/// What a notification was called with that is gone, and where in the text.
#[derive(Clone, Debug)]
pub(super) struct Gone {
    pub(super) function: FunctionId,
    pub(super) at: usize,
    pub(super) arguments: String,
}

/// The functions with places, and the places: those of `range_end` first, then
/// in the order of the text.
pub(super) fn spots(
    silent: &Program,
    reader: &Reader<'_>,
    scope: &[FunctionId],
    names: Names,
    gone: &[Gone],
    every: bool,
) -> (Vec<FunctionId>, Vec<Spot>) {
    let (mut functions, mut ends, mut gaps) = (Vec::new(), Vec::new(), Vec::new());
    for function in scope.iter().copied() {
        let body = &silent.functions[function.index()].body;
        if !every && !may_tell(body) {
            continue;
        }
        let flow = Flow::of(silent, body);
        let before = ends.len() + gaps.len();
        if let Some((end, only)) = names.end {
            of_ends(silent, &flow, function, (end, only), &mut ends);
        }
        of_gaps(silent, reader, function, names.tell, gone, &mut gaps);
        if ends.len() + gaps.len() > before {
            functions.push(function);
        }
    }
    ends.extend(gaps);
    (functions, ends)
}

fn of_ends(
    silent: &Program,
    flow: &Flow<'_>,
    function: FunctionId,
    (end, only): (&'static str, &'static str),
    list: &mut Vec<Spot>,
) {
    for (at, op) in flow.body.ops.iter().enumerate().filter(|(at, _)| flow.is_run(*at)) {
        let OpKind::Primitive { primitive, args, .. } = &op.kind else { continue };
        let text = silent.files.text(op.span);
        if primitive.name != only || !text.starts_with(only) {
            continue;
        }
        let start = range(op.span).start;
        let edit = Edit {
            function,
            file: op.span.file,
            range: start..start + only.len(),
            text: end.to_owned(),
        };
        list.push(Spot {
            function,
            call: format!("{end}{}", &text[only.len()..]),
            stands: Stands::End(op.span),
            locked: flow.locked(at, false),
            whole: is_whole(args),
            edits: vec![edit],
        });
    }
}

/// What a notification can be called with, and the step that has it.
fn arguments(silent: &Program, body: &Body, gone: &[&Gone]) -> Vec<(String, usize)> {
    let mut list: Vec<(String, usize)> = Vec::new();
    let mut add = |text: &str, at: usize| {
        let text = text.trim().to_owned();
        if !text.is_empty() && !list.iter().any(|(known, _)| *known == text) {
            list.push((text, at));
        }
    };
    for (at, op) in body.ops.iter().enumerate() {
        let OpKind::Primitive { primitive, args, .. } = &op.kind else { continue };
        match (primitive.action, args.first()) {
            (Action::MapEntry(Level::Pte), Some(Arg::Value(address))) => {
                add(silent.files.text(address.span), at);
            }
            (Action::Flush(FlushScope::Page | FlushScope::Range), Some(_)) => {
                let values: Vec<&str> = args
                    .iter()
                    .filter_map(|arg| match arg {
                        Arg::Value(value) => Some(silent.files.text(value.span)),
                        _ => None,
                    })
                    .collect();
                add(&values.join(", "), at);
            }
            (Action::Notify(Notify::Start | Notify::TryStart), _) => {
                let call = silent.files.text(op.span);
                if let (Some(open), Some(close)) = (call.find('('), call.rfind(')')) {
                    add(call.get(open + 1..close).unwrap_or(""), at);
                }
            }
            _ => {}
        }
    }
    for gone in gone {
        // It stood before the first step that is written behind it.
        let behind = body.ops.iter().position(|op| op.span.start as usize >= gone.at);
        add(&gone.arguments, behind.unwrap_or(body.ops.len() - 1));
    }
    list
}

fn of_gaps(
    silent: &Program,
    reader: &Reader<'_>,
    function: FunctionId,
    tell: &'static str,
    gone: &[Gone],
    list: &mut Vec<Spot>,
) {
    let gone: Vec<&Gone> = gone.iter().filter(|gone| gone.function == function).collect();
    let own = &silent.functions[function.index()];
    let mut seen: HashSet<(String, usize)> = HashSet::new();
    let mut found = Vec::new();
    // From the end on: of places that nobody can tell apart the last one is kept,
    // which stands right before what others see.
    for gap in own.body.gaps.iter().rev().filter(|gap| gap.before.file == own.span.file) {
        for (arguments, from) in arguments(silent, &own.body, &gone) {
            let call = format!("{tell}({arguments})");
            let edits = put_in(function, gap, &call);
            let Some(program) = reader.read(silent, silent, &edits) else { continue };
            let Some(at) = place_of(&program, function, tell, gap) else { continue };
            let flow = Flow::of(&program, &program.functions[function.index()].body);
            let from = if from < at { from } else { from + 1 };
            if !flow.is_run(at) || !is_computed(&flow, at, from) {
                continue;
            }
            if !seen.insert((arguments.clone(), next_seen(&flow, at))) {
                continue;
            }
            let (locked, whole) = (flow.locked(at, false), whole(&flow.body.ops[at].kind));
            if prepare(program, reader.request).is_ok() {
                let stands = Stands::Gap(*gap);
                found.push(Spot { function, call, stands, locked, whole, edits });
            }
        }
    }
    found.reverse();
    list.extend(found);
}

/// A call before a statement, on the same line.
fn put_in(function: FunctionId, gap: &Gap, call: &str) -> Vec<Edit> {
    let file = gap.before.file;
    let at = |at: u32, text: String| {
        let at = at as usize;
        Edit { function, file, range: at..at, text }
    };
    match gap.bare {
        None => vec![at(gap.before.start, format!("{call}; "))],
        Some(_) => {
            vec![at(gap.before.start, format!("{{ {call}; ")), at(gap.before.end, " }".to_owned())]
        }
    }
}

/// Which step of the body the new call is.
fn place_of(program: &Program, function: FunctionId, tell: &str, gap: &Gap) -> Option<usize> {
    let start = gap.before.start + if gap.bare.is_some() { 2 } else { 0 };
    let ops = &program.functions[function.index()].body.ops;
    ops.iter().position(|op| {
        op.span.file == gap.before.file
            && op.span.start == start
            && matches!(&op.kind, OpKind::Primitive { primitive, .. } if primitive.name == tell)
    })
}

/// Whether what the call is made with has the value here that it has where it
/// comes from.
fn is_computed(flow: &Flow<'_>, at: usize, from: usize) -> bool {
    let OpKind::Primitive { args, .. } = &flow.body.ops[at].kind else { return false };
    let used = Used::of(args);
    let same = |list: Vec<usize>| !list.into_iter().any(|at| flow.changes(at, &used));
    let never = !(0..flow.body.ops.len()).any(|at| flow.changes(at, &used));
    let kept = !flow.changes(from, &used);
    never
        || flow.leads(from, at) && kept && same(flow.between(Some(from), at))
        || flow.leads(at, from) && same(flow.between(Some(at), from))
}

/// The step before which the call stands, for whoever cannot see what lies in
/// between.
fn next_seen(flow: &Flow<'_>, at: usize) -> usize {
    let is_target = |to: usize| {
        flow.body.ops.iter().any(|op| match &op.kind {
            OpKind::Jump(target) => target.index() == to,
            OpKind::Branch { yes, no, .. } => yes.index() == to || no.index() == to,
            _ => false,
        })
    };
    let goes_on = |at: usize| {
        !flow.is_seen(at)
            && !matches!(flow.body.ops[at].kind, OpKind::Jump(_) | OpKind::Branch { .. })
            && !is_target(at + 1)
    };
    let mut next = at + 1;
    while goes_on(next) {
        next += 1;
    }
    next
}

fn whole(kind: &OpKind) -> bool {
    matches!(kind, OpKind::Primitive { args, .. } if is_whole(args))
}

fn is_whole(args: &[Arg]) -> bool {
    let record =
        |arg: &Arg| matches!(arg, Arg::Value(value) if matches!(value.ty, Type::Record(_)));
    args.len() > 1 || args.iter().any(record)
}
