//! From a run of the checker's machine to what an address space is to do, in
//! the order of the run.
//!
//! The machine's steps are finer than the points of an address space. Steps
//! that lie between two points are one group, which is done when its last step
//! is taken: until then an old entry can still be used, as in the run. Whether
//! that was right is not argued here: every value is compared when it is read.
//!
//! The machine's TLBs are sets and have no fills. An access through an entry
//! that the table does not have any more needs one: at the latest point before
//! it at which a walk gives that entry.

mod calls;
mod stages;

use shootdown_litmus::Program;
use shootdown_machine::machine::Machine;
use shootdown_machine::model::{Process, Run};
use shootdown_machine::pages::{FREE, LIVE};
use shootdown_machine::run::frame_of_choice;
use shootdown_machine::sets::Sets;
use shootdown_machine::state::State;
use shootdown_step::value::{WORD_BASE, entry, page_of_address};
use shootdown_step::{Expr, Op, Reg, Site};

use address_space::Stage;

use crate::policy::Policy;

pub(crate) use calls::{Call, Kind};
pub(crate) use stages::{rank, stages};

/// Something to do.
#[derive(Clone, Debug)]
pub(crate) struct Act {
    /// When: place in the run of the step that it belongs to.
    pub(crate) step: usize,
    pub(crate) thread: usize,
    pub(crate) what: What,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    /// A TLB takes an entry.
    Fill { page: usize, frame: usize },
    /// A call goes on to a stage. An early one may be left out if somebody
    /// holds a lock that it would wait for: it has no effect yet.
    Reach { call: usize, stage: Stage, early: bool },
    /// A call comes to its end.
    Return { call: usize },
    /// Something about the address space is not as in the run.
    Differs(String),
    /// A translated access.
    Page(PageAccess),
    /// An access to a word that nobody remaps.
    Word { word: usize, old: i64, new: Option<i64> },
    /// A thread takes a frame for itself.
    Take { frame: usize },
    /// And reads or writes it, past all tables.
    Own { word: usize, old: i64, new: Option<i64> },
    /// After the end: a translation to a page that is free is still there.
    Probe { page: usize, frame: usize },
}

/// A translated access, and what the run has of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageAccess {
    pub(crate) page: usize,
    pub(crate) word: usize,
    /// The frame that it reached.
    pub(crate) frame: usize,
    /// What was there.
    pub(crate) old: i64,
    /// What is there afterwards, if it is a store.
    pub(crate) new: Option<i64>,
    /// Whether it reads.
    pub(crate) reads: bool,
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) acts: Vec<Act>,
    pub(crate) calls: Vec<Call>,
}

/// Why there is no plan: the step, and one sentence.
pub(crate) type Unplanned = (Option<usize>, String);

/// A step of a thread.
#[derive(Clone, Copy)]
pub(crate) struct Taken<'r> {
    pub(crate) index: usize,
    pub(crate) choice: u32,
    pub(crate) before: &'r State,
    pub(crate) after: &'r State,
    pub(crate) op: &'r Op,
    pub(crate) site: &'r Site,
}

impl Taken<'_> {
    /// In a function: kernel code.
    pub(crate) fn in_kernel(&self) -> bool {
        !self.site.functions.is_empty()
    }
}

/// What a plan is made from.
#[derive(Clone, Copy)]
pub(crate) struct Planner<'r> {
    pub(crate) program: &'r Program,
    pub(crate) machine: &'r Machine<Sets>,
    pub(crate) run: &'r Run,
    pub(crate) policy: Policy,
}

impl<'r> Planner<'r> {
    /// Makes it.
    pub(crate) fn plan(self) -> Result<Plan, Unplanned> {
        let mut plan = Plan::default();
        for thread in 0..self.machine.world.threads.len() {
            self.thread(thread, &mut plan)?;
        }
        self.probes(&mut plan);
        // Within a step fills come first: they belong to the state before it.
        let order = |act: &Act| (act.step, !matches!(act.what, What::Fill { .. }));
        plan.acts.sort_by_key(order);
        Ok(plan)
    }

    /// The state before a step.
    pub(crate) fn state(&self, step: usize) -> &'r State {
        match step {
            0 => &self.run.start,
            step => &self.run.steps[step - 1].2,
        }
    }

    /// The thread of a step, its op and where it stands.
    pub(crate) fn taken(&self, index: usize) -> Option<(usize, Taken<'r>)> {
        let (Process::Thread(thread), choice, after) = &self.run.steps[index] else { return None };
        let before = self.state(index);
        let number = before.get(self.machine.world.threads[*thread].pc) as usize;
        let (op, site) = self.machine.world.code(*thread).step(number)?;
        Some((*thread, Taken { index, choice: *choice, before, after, op, site }))
    }

    /// The value of an expression before a step.
    pub(crate) fn value(&self, thread: usize, state: &State, expr: &Expr) -> i64 {
        let registers = &self.machine.world.threads[thread].registers;
        expr.value(&|reg: Reg| state.get(registers[reg.0 as usize]))
    }

    fn thread(self, thread: usize, plan: &mut Plan) -> Result<(), Unplanned> {
        let all = (0..self.run.steps.len()).filter_map(|index| self.taken(index));
        let taken: Vec<Taken<'r>> =
            all.filter(|(whose, _)| *whose == thread).map(|(_, taken)| taken).collect();
        let mut at = 0;
        while at < taken.len() {
            let call = self.call(thread, &taken[at..])?;
            match call {
                Some(span) => {
                    let length = span.length;
                    self.acts_of_call(thread, span, &taken[at..at + length], plan);
                    at += length;
                }
                None => {
                    self.body(thread, &taken[at], plan)?;
                    at += 1;
                }
            }
        }
        Ok(())
    }

    /// A step of the test itself.
    fn body(self, thread: usize, taken: &Taken<'r>, plan: &mut Plan) -> Result<(), Unplanned> {
        let world = &self.machine.world;
        let step = taken.index;
        let mut act = |what| plan.acts.push(Act { step, thread, what });
        let value = |expr| self.value(thread, taken.before, expr);
        match taken.op {
            Op::Access { pointer, index, access, .. } => {
                let (pointer, index) = (value(pointer), value(index));
                let writes = access.writes();
                if pointer >= WORD_BASE {
                    let word = (pointer - WORD_BASE + index) as usize;
                    let old = taken.before.get(world.words[word]);
                    let new = writes.then(|| taken.after.get(world.words[word]));
                    act(What::Word { word, old, new });
                    return Ok(());
                }
                let Some(frame) = frame_of_choice(taken.choice) else { return Ok(()) };
                let (Some(page), Ok(word)) = (page_of_address(pointer), usize::try_from(index))
                else {
                    return Err((Some(step), "it leads to no page".to_owned()));
                };
                let slot = world.contents[frame][word];
                let reads = !writes || access.is_atomic();
                let new = writes.then(|| taken.after.get(slot));
                let old = taken.before.get(slot);
                act(What::Page(PageAccess { page, word, frame, old, new, reads }));
                self.fill(thread, page, frame, writes, step, plan)?;
            }
            Op::Alloc { .. } if self.takes_for_itself(thread) => {
                act(What::Take { frame: taken.choice as usize });
            }
            Op::PageWrite { page, index, .. } | Op::PageRead { page, index, .. }
                if self.takes_for_itself(thread) =>
            {
                let frame = shootdown_step::value::frame_of_page(value(page));
                let (Some(frame), Ok(word)) = (frame, usize::try_from(value(index))) else {
                    return Err((Some(step), "it leads to no page".to_owned()));
                };
                let slot = world.contents[frame][word];
                let writes = matches!(taken.op, Op::PageWrite { .. });
                let new = writes.then(|| taken.after.get(slot));
                act(What::Own { word, old: taken.before.get(slot), new });
            }
            // Orders that one thread after the other keeps anyway, what has no
            // effect, and frames that an operation will install.
            Op::Fence(_)
            | Op::Enter { .. }
            | Op::Life { .. }
            | Op::Leave { .. }
            | Op::GraceStart { .. }
            | Op::GraceWait { .. }
            | Op::Lock { .. }
            | Op::Alloc { .. }
            | Op::PageWrite { .. }
            | Op::PageRead { .. }
            | Op::Probe { .. }
            | Op::EnterFault { .. }
            | Op::Return { .. }
            | Op::Born { .. }
            | Op::Fail(_) => {}
            // What it does with frames that it is about to install: their words
            // are taken from the run when the operation begins.
            Op::PageBehind { .. }
            | Op::CopyPage { .. }
            | Op::ClearPage { .. }
            | Op::GetPage { .. }
            | Op::PutPage { .. }
            | Op::Unpin { .. }
                if !self.takes_for_itself(thread) => {}
            _ => {
                let why = format!(
                    "`{}` is kernel code outside of a function, which no operation of the address \
                     space is; put it into a function with a contract",
                    taken.site.name
                );
                return Err((Some(step), why));
            }
        }
        Ok(())
    }

    /// Whether what a thread allocates is for itself and not to be mapped.
    pub(crate) fn takes_for_itself(&self, thread: usize) -> bool {
        let code = self.machine.world.code(thread);
        let maps = |number: &usize| {
            code.step(*number).is_some_and(|(op, _)| matches!(op, Op::SetEntry { .. }))
        };
        !(0..code.steps.len()).any(|number| maps(&number))
    }

    /// Makes sure that the TLB of a thread has an entry when it uses it.
    fn fill(
        self,
        thread: usize,
        page: usize,
        frame: usize,
        write: bool,
        step: usize,
        plan: &mut Plan,
    ) -> Result<(), Unplanned> {
        let space = self.machine.world.shape().agents[thread].space;
        let gives = |step: &usize| {
            let value = self.machine.world.walk(self.state(*step), space, page);
            entry::frame(value) == Some(frame) && entry::grants(value, write)
        };
        match (0..=step).rev().find(gives) {
            // A walk now gives it.
            Some(latest) if latest == step => {}
            Some(latest) => {
                plan.acts.push(Act { step: latest, thread, what: What::Fill { page, frame } });
            }
            None => {
                let why = "no walk before it gives the entry that it uses".to_owned();
                return Err((Some(step), why));
            }
        }
        Ok(())
    }

    /// A run that ends with a free page in the TLB of a device: an access shows
    /// it.
    fn probes(self, plan: &mut Plan) {
        let world = &self.machine.world;
        let (shape, end) = (world.shape(), self.run.steps.len());
        let state = self.state(end);
        for (thread, agent) in shape.agents.iter().enumerate() {
            if shape.caches[agent.cache].cpu {
                continue;
            }
            for page in 0..shape.pages.len() {
                let entries = self.machine.mmu.entries(world, state, agent.cache, page);
                let mut frames = entries.into_iter().filter_map(entry::frame);
                let free = frames.find(|frame| state.get(world.frames[*frame]) == FREE);
                if let Some(frame) = free
                    && self.fill(thread, page, frame, false, end, plan).is_ok()
                {
                    let what = What::Probe { page, frame };
                    plan.acts.push(Act { step: end, thread, what });
                    return;
                }
            }
        }
    }

    /// Whether somebody has a frame at the end of the run.
    pub(crate) fn is_live(&self, frame: usize) -> bool {
        let world = &self.machine.world;
        self.state(self.run.steps.len()).get(world.frames[frame]) == LIVE
    }
}
