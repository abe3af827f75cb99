//! Where a path tells the secondary TLBs.

use shootdown_litmus::Program;
use shootdown_litmus::primitives::{Action, Notify};
use shootdown_litmus::program::{Body, FaultSource, FunctionId, OpKind, Thread};
use shootdown_step::Dials;

use super::answer::Tells;
use super::flow::Flow;
use super::parts::{self, Owner};
use super::spots::Spot;

/// Where the secondary TLBs are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Where {
    /// At the end of a range.
    RangeEnd,
    /// Elsewhere outside of the page table lock: a gather's flush stands behind
    /// the range, others in front of its end.
    Outside,
    /// Under the page table lock.
    UnderLock,
}

/// Where the path of a thread tells the secondary TLBs, its faults included: of
/// each place in its functions one.
pub fn tellings(program: &Program, dials: Dials, thread: &Thread) -> Vec<Where> {
    let mut list = Vec::new();
    let mut open = called(program, &thread.body, &|_| false);
    // Who is called under the lock is there once, and who is called without too.
    let mut seen: Vec<(FunctionId, bool)> = Vec::new();
    while let Some((id, locked)) = open.pop() {
        if seen.contains(&(id, locked)) {
            continue;
        }
        seen.push((id, locked));
        let owner = Owner::Function(id);
        let flow = Flow::of(program, owner.body(program));
        open.extend(called(program, flow.body, &|at| locked || flow.locked(at, false)));
        for part in parts::of_owner(program, owner, dials) {
            if part.tells == Tells::Cpus {
                continue;
            }
            let ends = matches!(&flow.body.ops[part.at].kind, OpKind::Primitive { primitive, .. }
                if matches!(primitive.action, Action::Notify(Notify::End | Notify::OnlyEnd)));
            list.push(match locked || Spot::own(&flow, &part).locked {
                _ if ends => Where::RangeEnd,
                true => Where::UnderLock,
                false => Where::Outside,
            });
        }
    }
    list
}

/// The functions that a body calls, and whether a page table lock is held there.
fn called(
    program: &Program,
    body: &Body,
    locked: &dyn Fn(usize) -> bool,
) -> Vec<(FunctionId, bool)> {
    let mut list = Vec::new();
    for (at, op) in body.ops.iter().enumerate() {
        let mut add = |id: FunctionId| list.push((id, locked(at)));
        match &op.kind {
            OpKind::Call { function, .. } => add(*function),
            OpKind::Primitive { primitive, .. } => match primitive.action {
                Action::FaultIn(_) => {
                    let cpu = program.faults.iter().filter(|fault| fault.who == FaultSource::Cpu);
                    cpu.for_each(|fault| add(fault.handler));
                }
                // `mprotect` is sys_mprotect_ro, sys_mprotect_rw and others.
                Action::User(_) => {
                    let wanted = format!("sys_{}", primitive.name);
                    let functions = program.functions.iter().enumerate();
                    let named = functions.filter(|(_, f)| f.name.starts_with(&wanted));
                    named.for_each(|(id, _)| add(FunctionId(id as u32)));
                }
                _ => {}
            },
            _ => {}
        }
    }
    list
}

/// The dials of a kernel whose flushes tell.
pub fn flushing(dials: Dials) -> Dials {
    Dials { cpu_flush_notifies: true, range_end_invalidates: false, ..dials }
}
