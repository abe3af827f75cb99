//! Calls of kernel code, from stage to stage.

use std::sync::Arc;

use address_space::{AddressSpace, Error, Operation, Stage};
use mmu_protocol::Access;

use super::Stand;
use crate::conductor::{At, Pending, Stuck};
use crate::ground::RW;
use crate::plan::{Act, Call, Kind, rank, stages};
use crate::replayed::Did;

/// A call that has begun.
pub(super) struct Open {
    call: usize,
    pending: Pending<Result<Option<Arc<AddressSpace>>, Error>>,
    stage: Option<Stage>,
}

impl Stand<'_> {
    /// Begins a call; it stops at its first point.
    fn begin(&mut self, act: &Act, number: usize) -> Result<(), String> {
        let call = self.plan.calls[number].clone();
        self.may_begin(&call)?;
        let space = self.space(call.thread)?;
        let (layout, kind) = (self.layout.clone(), call.kind.clone());
        let worker = self.worker(call.thread)?;
        let begun = worker.begin(move |hands| {
            let task = &mut hands.task;
            match kind {
                Kind::Fault { page, write, .. } => {
                    let access = if write { Access::Write } else { Access::Read };
                    space.handle_fault(layout.address(page), access, task)?;
                }
                Kind::Zap { page, unmap: true } => space.munmap(layout.range(page), task)?,
                Kind::Zap { page, .. } => space.dontneed(layout.range(page), task)?,
                Kind::Map { page } => space.mmap(layout.range(page), RW)?,
                Kind::Replace { page, words } => {
                    let edit = |now: &mut [u64; address_space::WORDS]| {
                        for (word, value) in now.iter_mut().zip(&words) {
                            *word = *value as u64;
                        }
                    };
                    space.replace_page(layout.address(page), edit, task)?;
                }
                Kind::Protect { page, rights } => {
                    space.mprotect(layout.range(page), rights, task)?;
                }
                Kind::Fork { .. } => return space.fork(task).map(Some),
                Kind::Move { from, to } => {
                    space.mremap(layout.range(from), layout.address(to), task)?;
                }
            }
            Ok(None)
        });
        let pending = begun.map_err(|Stuck| self.stuck(&call))?;
        self.open[call.thread] = Some(Open { call: number, pending, stage: None });
        self.note_stage(act, number);
        Ok(())
    }

    /// Whether nobody has a lock that it would wait for.
    fn may_begin(&self, call: &Call) -> Result<(), String> {
        for other in self.open.iter().flatten() {
            let other = &self.plan.calls[other.call];
            if other.thread != call.thread && (other.kind.excludes() || call.kind.excludes()) {
                return Err(format!(
                    "`{}` waits here for the mmap lock, which `{}` of {} has until it returns",
                    call.name,
                    other.name,
                    self.name(other.thread)
                ));
            }
        }
        Ok(())
    }

    /// Somebody else who stands under the page table lock of this call.
    fn holder(&self, call: &Call) -> Option<&Call> {
        let pages = &self.lowered.shape.pages;
        let block = |call: &Call| call.kind.page().map(|page| pages[page].block);
        self.open.iter().flatten().find_map(|open| {
            let under = (rank(Stage::Locked)..=rank(Stage::Set)).contains(&rank(open.stage?));
            let other = &self.plan.calls[open.call];
            let same = block(call).is_none_or(|mine| block(other) == Some(mine));
            (other.thread != call.thread && under && same).then_some(other)
        })
    }

    fn stuck(&self, call: &Call) -> String {
        format!(
            "`{}` of {} does not come on: it waits for a lock that another thread of the run has",
            call.name,
            self.name(call.thread)
        )
    }

    /// Where a call stands now, if it has come further.
    fn note_stage(&mut self, act: &Act, number: usize) {
        let thread = self.plan.calls[number].thread;
        let At::Stopped(point) = self.conductor.at(thread) else { return };
        if let Some(open) = &mut self.open[thread] {
            open.stage = Some(point.stage);
        }
        let act = Act { thread, ..act.clone() };
        self.did(&act, Did::Reached(point.operation, point.stage));
        self.learn(number, point.stage);
    }

    /// After a new entry was stored it is known what its frame stands for.
    fn learn(&mut self, number: usize, stage: Stage) {
        let call = &self.plan.calls[number];
        if rank(stage) < rank(Stage::Set) {
            return;
        }
        let page = match call.kind {
            Kind::Move { to, .. } => Some(to),
            _ => call.kind.page(),
        };
        let (Some((_, frame)), Some(page)) = (call.frame, page) else { return };
        let Ok(space) = self.space(call.thread) else { return };
        if let Some(found) = space.translate(self.layout.address(page)) {
            self.frames[frame] = Some(found.pfn);
        }
    }

    pub(super) fn reach(
        &mut self,
        act: &Act,
        number: usize,
        stage: Stage,
        early: bool,
    ) -> Result<(), String> {
        let call = self.plan.calls[number].clone();
        let Some(operation) = call.kind.operation() else { return Ok(()) };
        // The last point of the address space that is not behind the stage.
        let known = stages(operation, self.planner.policy).filter(|has| rank(*has) <= rank(stage));
        let Some(target) = known.last() else { return Ok(()) };
        if let Some(holder) = self.holder(&call) {
            if early {
                return Ok(());
            }
            return Err(format!(
                "`{}` waits here for the page table lock, which `{}` of {} has",
                call.name,
                holder.name,
                self.name(holder.thread)
            ));
        }
        if self.open[call.thread].as_ref().is_none_or(|open| open.call != number) {
            if early && self.may_begin(&call).is_err() {
                return Ok(());
            }
            self.begin(act, number)?;
        }
        loop {
            match self.conductor.at(call.thread) {
                At::Stopped(point) if point.operation != operation => {
                    return Err(self.another(&call, operation, point.operation));
                }
                At::Stopped(point) if rank(point.stage) >= rank(target) => return Ok(()),
                At::Stopped(_) => {
                    let went = self.conductor.go_on(call.thread);
                    went.map_err(|Stuck| self.stuck(&call))?;
                    self.note_stage(act, number);
                }
                At::Idle | At::Running => {
                    return Err(format!(
                        "the address space has nothing to do for `{}`: it returns before it comes \
                         to {target:?}{}",
                        call.name,
                        self.because()
                    ));
                }
            }
        }
    }

    fn another(&self, call: &Call, wanted: Operation, found: Operation) -> String {
        format!(
            "`{}` is {wanted:?} in the run, and the address space does {found:?}{}",
            call.name,
            self.because()
        )
    }

    pub(super) fn finish(&mut self, act: &Act, number: usize) -> Result<(), String> {
        let call = self.plan.calls[number].clone();
        if self.open[call.thread].as_ref().is_none_or(|open| open.call != number) {
            self.begin(act, number)?;
        }
        while matches!(self.conductor.at(call.thread), At::Stopped(_)) {
            let went = self.conductor.go_on(call.thread);
            went.map_err(|Stuck| self.stuck(&call))?;
            self.note_stage(act, number);
        }
        self.learn(number, Stage::Ended);
        let open = self.open[call.thread].take().expect("it has begun");
        match open.pending.result() {
            Some(Ok(child)) => {
                if let (Kind::Fork { child: number }, Some(child)) = (&call.kind, child) {
                    self.ground.spaces[*number] = Some(child);
                }
            }
            Some(Err(error)) => return Err(format!("`{}` fails: {error}", call.name)),
            None => return Err(format!("`{}` ends with a panic", call.name)),
        }
        self.did(act, Did::Returned(call.name));
        Ok(())
    }
}
