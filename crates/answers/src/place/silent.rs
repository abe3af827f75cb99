//! The functions that a path runs, and their text without what tells the
//! secondary TLBs.

use shootdown_litmus::primitives::{Action, Notify, Primitive, Tag};
use shootdown_litmus::program::{Body, FunctionId, OpKind};
use shootdown_litmus::{Gap, Program, Span};
use shootdown_step::{Dials, Moment};

use super::text::{Edit, range};
use crate::mutate::weaker;

/// The functions of the path, or the one of this name: those of the test's own
/// file that threads run and that change tables or open ranges, or if there are
/// none, those of the kernel that it includes. What subscribers do when they are called is the
/// machine's, and a handler that the language brings along stands for the rest of
/// the kernel.
pub(super) fn scope(program: &Program, function: Option<&str>) -> Vec<FunctionId> {
    if let Some(name) = function {
        let at = program.functions.iter().position(|function| *function.name == *name);
        return at.map(|at| FunctionId(at as u32)).into_iter().collect();
    }
    let threads = program.threads.iter().flat_map(|thread| callees(&thread.body));
    let faults = program.faults.iter().map(|fault| fault.handler);
    let named = program.functions.iter().enumerate().filter(|(_, f)| f.name.starts_with("sys_"));
    let named = named.map(|(at, _)| FunctionId(at as u32));
    let run = reached(program, threads.chain(faults).chain(named).collect());
    let called = program.subscriptions.iter().flat_map(|s| s.callbacks.iter().map(|(_, id)| *id));
    let hardware = reached(program, called.collect());
    let ids = (0..program.functions.len()).filter(|at| run[*at] && !hardware[*at]);
    let written = |at: &usize| {
        !program.files.name(program.functions[*at].span.file).starts_with("<builtin>/")
    };
    let all: Vec<FunctionId> = ids.filter(written).map(|at| FunctionId(at as u32)).collect();
    let own = |id: &&FunctionId| {
        let function = &program.functions[id.index()];
        function.span.file == program.header.span.file && may_tell(&function.body)
    };
    match all.iter().any(|id| own(&id)) {
        true => all.iter().filter(own).copied().collect(),
        false => all,
    }
}

/// Whether a body changes a table that hardware walks, opens or ends a range, or
/// flushes a gather.
pub(super) fn may_tell(body: &Body) -> bool {
    let software = |action| {
        matches!(
            action,
            Action::SoftInstall
                | Action::SoftZap
                | Action::SoftSet
                | Action::SoftHide
                | Action::SoftExchange
        )
    };
    body.ops.iter().any(|op| match &op.kind {
        OpKind::Primitive { primitive, .. } => {
            matches!(primitive.action, Action::Notify(_) | Action::GatherFlush(_))
                || primitive.has(Tag::Table) && !software(primitive.action)
        }
        _ => false,
    })
}

fn callees(body: &Body) -> Vec<FunctionId> {
    let call = |op: &shootdown_litmus::program::Op| match &op.kind {
        OpKind::Call { function, .. } => Some(*function),
        _ => None,
    };
    body.ops.iter().filter_map(call).collect()
}

fn reached(program: &Program, mut open: Vec<FunctionId>) -> Vec<bool> {
    let mut reached = vec![false; program.functions.len()];
    while let Some(next) = open.pop() {
        if !std::mem::replace(&mut reached[next.index()], true) {
            open.extend(callees(&program.functions[next.index()].body));
        }
    }
    reached
}

/// Something that tells, and how it is taken out of the text.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    pub(super) function: FunctionId,
    pub(super) what: &'static str,
    pub(super) span: Span,
    pub(super) how: How,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum How {
    /// The call goes; it is the whole of this statement.
    Whole(Gap),
    /// The call becomes the one of this name.
    Renamed(&'static str),
}

/// Why a function cannot be made silent.
#[derive(Clone, Debug)]
pub(super) struct Loud {
    pub(super) why: String,
    pub(super) span: Span,
}

/// A flush in some functions that tells the secondary TLBs as well. It stays where
/// it is: the dial `tells=calls` makes it silent.
pub(super) fn flush_that_tells(
    program: &Program,
    scope: &[FunctionId],
    dials: Dials,
) -> Option<(&'static str, Span)> {
    let bodies = scope.iter().map(|function| &program.functions[function.index()].body);
    bodies.flat_map(|body| &body.ops).find_map(|op| {
        let OpKind::Primitive { primitive: row, .. } = &op.kind else { return None };
        let moment = match row.action {
            Action::GatherFlush(_) => Moment::GatherFlush,
            Action::Flush(_) | Action::ClearEntry { flush: true, .. } => Moment::Flush,
            _ => return None,
        };
        dials.tells_at(moment).then_some((row.name, op.span))
    })
}

/// What tells the secondary TLBs in some functions, other than a flush.
pub(super) fn cuts(
    program: &Program,
    scope: &[FunctionId],
    dials: Dials,
) -> Result<Vec<Cut>, Loud> {
    let mut list = Vec::new();
    for function in scope {
        let body = &program.functions[function.index()].body;
        for op in &body.ops {
            let OpKind::Primitive { primitive: row, .. } = &op.kind else { continue };
            let loud = |why: String| Loud { why, span: op.span };
            let whole = match row.action {
                Action::Notify(Notify::Range) => true,
                Action::Notify(Notify::End) => {
                    if !dials.tells_at(Moment::End) {
                        continue;
                    }
                    false
                }
                Action::ClearEntry { notify: true, .. } => false,
                _ => continue,
            };
            let text = program.files.text(op.span);
            if !text.starts_with(row.name) {
                return Err(loud(format!(
                    "the `{}` here comes from a #define, and the text that is changed is the \
                     one that is written",
                    row.name
                )));
            }
            let how = match whole {
                true => How::Whole(statement(program, body, op.span).ok_or_else(|| {
                    loud(format!("`{}` is not a statement of its own", row.name))
                })?),
                false => How::Renamed(less(row).ok_or_else(|| {
                    loud(format!("there is no `{}` that tells nobody", row.name))
                })?),
            };
            list.push(Cut { function: *function, what: row.name, span: op.span, how });
        }
    }
    Ok(list)
}

fn less(row: &Primitive) -> Option<&'static str> {
    weaker(row).map(|less| less.name)
}

/// The statement that is this call and nothing else.
fn statement(program: &Program, body: &Body, call: Span) -> Option<Gap> {
    let whole = |gap: &&Gap| {
        let text = program.files.text(gap.before);
        gap.before.start == call.start
            && gap.before.file == call.file
            && text.get((call.end - call.start) as usize..).is_some_and(|rest| rest.trim() == ";")
    };
    body.gaps.iter().find(whole).copied()
}

impl Cut {
    /// What a call that is gone was made with.
    pub(super) fn arguments<'p>(&self, program: &'p Program) -> Option<&'p str> {
        let call = program.files.text(self.span);
        let (open, close) = (call.find('(')?, call.rfind(')')?);
        matches!(self.how, How::Whole(_)).then(|| call.get(open + 1..close))?
    }

    /// As a change that leaves every line where it is.
    pub(super) fn edit(&self) -> Edit {
        let own = range(self.span);
        let (range, text) = match self.how {
            How::Whole(_) => (own, String::new()),
            How::Renamed(name) => (own.start..own.start + self.what.len(), name.to_owned()),
        };
        Edit { function: self.function, file: self.span.file, range, text }
    }
}
