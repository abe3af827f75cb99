//! A program with one thing taken out: what guards are found by.

use shootdown_litmus::primitives::{Action, LockClass, LockOp, Notify, Primitive, Tag, primitive};
use shootdown_litmus::program::{Body, FunctionId, Op, OpId, OpKind};
use shootdown_litmus::{Program, Span};

/// Something that can be taken out of a program.
#[derive(Clone, Debug)]
pub struct Mutation {
    /// What it is: `mmu_notifier_invalidate_range`, `the lock`.
    pub what: String,
    /// Where.
    pub span: Span,
    /// In which function, `None` in a thread.
    pub function: Option<FunctionId>,
    /// The program without it.
    pub program: Program,
}

/// Everything that tells hardware, waits for it, or excludes others, taken out
/// one at a time.
pub fn mutations(program: &Program) -> Vec<Mutation> {
    let mut list = Vec::new();
    for (at, function) in program.functions.iter().enumerate() {
        let id = FunctionId(at as u32);
        if !is_called(program, id) {
            continue;
        }
        for (what, span, body) in of_body(&function.body) {
            let mut program = program.clone();
            program.functions[at].body = body;
            list.push(Mutation { what, span, function: Some(id), program });
        }
    }
    for (at, thread) in program.threads.iter().enumerate() {
        for (what, span, body) in of_body(&thread.body) {
            let mut program = program.clone();
            program.threads[at].body = body;
            list.push(Mutation { what, span, function: None, program });
        }
    }
    list
}

/// Whether anybody can get to a function.
pub(crate) fn is_called(program: &Program, id: FunctionId) -> bool {
    let mut reached = vec![false; program.functions.len()];
    let mut open: Vec<FunctionId> = Vec::new();
    let calls = |body: &Body, open: &mut Vec<FunctionId>| {
        open.extend(body.ops.iter().filter_map(|op| match &op.kind {
            OpKind::Call { function, .. } => Some(*function),
            _ => None,
        }));
    };
    program.threads.iter().for_each(|thread| calls(&thread.body, &mut open));
    open.extend(program.subscriptions.iter().flat_map(|s| s.callbacks.iter().map(|(_, id)| *id)));
    open.extend(program.faults.iter().map(|fault| fault.handler));
    // Calls of a user program go to functions by their names.
    let named = program.functions.iter().enumerate().filter(|(_, f)| f.name.starts_with("sys_"));
    open.extend(named.map(|(at, _)| FunctionId(at as u32)));
    while let Some(next) = open.pop() {
        if !std::mem::replace(&mut reached[next.index()], true) {
            calls(&program.functions[next.index()].body, &mut open);
        }
    }
    reached[id.index()]
}

type Taken = (String, Span, Body);

fn of_body(body: &Body) -> Vec<Taken> {
    let mut list = Vec::new();
    for (at, op) in body.ops.iter().enumerate() {
        let OpKind::Primitive { primitive: row, .. } = &op.kind else { continue };
        if let Some(weaker) = weaker(row) {
            // The clear stays, the flush goes.
            let mut body = body.clone();
            if let OpKind::Primitive { primitive, .. } = &mut body.ops[at].kind {
                *primitive = weaker;
            }
            list.push((format!("the flush in {}", row.name), op.span, body));
        } else if takes_lock(row) {
            list.push((
                format!("the lock ({})", row.name),
                op.span,
                without_lock(body, row.action),
            ));
        } else if tells(row) || row.action == Action::GatherStart {
            let mut body = body.clone();
            take_out(&mut body.ops, at);
            // A gather that was never begun frees its pages, and flushes nothing.
            let what = match row.action {
                Action::GatherStart => format!("what the gather flushes ({})", row.name),
                _ => row.name.to_owned(),
            };
            list.push((what, op.span, body));
        }
    }
    // A lock that is taken in several places of one body is taken out once.
    let mut seen: Vec<String> = Vec::new();
    list.retain(|(what, ..)| {
        !what.starts_with("the lock")
            || !seen.contains(what) && {
                seen.push(what.clone());
                true
            }
    });
    list
}

fn tells(row: &Primitive) -> bool {
    !matches!(row.action, Action::ClearEntry { .. })
        && (row.has(Tag::Notifies)
            || row.has(Tag::Flushes)
            || matches!(row.action, Action::Sync | Action::SoftZap | Action::Notify(Notify::Start)))
        && !matches!(row.action, Action::GatherFlush(true))
}

/// The same primitive with less.
pub(crate) fn weaker(row: &Primitive) -> Option<&'static Primitive> {
    let name = match row.name {
        "ptep_clear_flush_notify" => "ptep_clear_flush",
        "ptep_clear_flush" => "ptep_get_and_clear",
        "pmdp_huge_clear_flush_notify" => "pmdp_huge_clear_flush",
        "pmdp_huge_clear_flush" | "pmdp_collapse_flush" | "pmdp_invalidate" => {
            "pmdp_huge_get_and_clear"
        }
        "write_cr3" => "write_cr3_noflush",
        "mmu_notifier_invalidate_range_end" => "mmu_notifier_invalidate_range_only_end",
        _ => return None,
    };
    primitive(name)
}

fn takes_lock(row: &Primitive) -> bool {
    match row.action {
        Action::Lock(_, op) => matches!(op, LockOp::Lock | LockOp::ReadLock),
        Action::MapEntry(_) | Action::EntryLock(_) => row.has(Tag::Locks),
        _ => false,
    }
}

/// A body that neither takes nor drops a lock of this kind.
fn without_lock(body: &Body, action: Action) -> Body {
    let mut body = body.clone();
    for at in 0..body.ops.len() {
        let OpKind::Primitive { primitive: row, .. } = &mut body.ops[at].kind else { continue };
        match (action, row.action) {
            (Action::MapEntry(_), Action::MapEntry(_)) if row.has(Tag::Locks) => {
                *row = primitive("pte_offset_map").expect("a row of the table");
                // The lock that is kept in a variable is never looked at.
                if let OpKind::Primitive { args, .. } = &mut body.ops[at].kind {
                    args.retain(|arg| !matches!(arg, shootdown_litmus::program::Arg::Out(_)));
                }
            }
            (Action::MapEntry(_), Action::UnmapUnlock(_))
            | (Action::EntryLock(_), Action::EntryLock(_)) => take_out(&mut body.ops, at),
            (Action::Lock(class, _), Action::Lock(other, _)) if class == other => {
                take_out(&mut body.ops, at)
            }
            (Action::EntryLock(_), Action::Lock(LockClass::Spin, LockOp::Unlock)) => {
                take_out(&mut body.ops, at)
            }
            _ => {}
        }
    }
    body
}

fn take_out(ops: &mut [Op], at: usize) {
    ops[at].kind = OpKind::Jump(OpId(at as u32 + 1));
}
