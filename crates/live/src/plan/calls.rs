//! Kernel code of a run, as operations of the address space.
//!
//! A call is what a thread does in functions of the file, from a fault or from
//! the beginning of a contract to the end. Which operation it is follows from
//! the contract, or from what the faulting access found; how far it has come
//! follows from its steps.

use address_space::{Operation, Stage, WrongPolicy};
use mmu_protocol::Rights;
use shootdown_litmus::primitives::{LockClass, LockOp};
use shootdown_litmus::program::ContractKind;
use shootdown_machine::model::Process;
use shootdown_step::Op;
use shootdown_step::value::{entry, frame_of_page, page_of_address};

use super::stages::replaces;
use super::{Act, Plan, Planner, Taken, Unplanned, What};

/// A call of kernel code.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) thread: usize,
    /// The function.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// The frame that it installs, if it came so far.
    pub(crate) frame: Option<(usize, usize)>,
}

/// What the address space is asked for.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// A fault; without an operation it fills an empty entry or adds a right,
    /// at once.
    Fault { page: usize, write: bool, operation: Option<Operation> },
    /// munmap, or DONTNEED.
    Zap { page: usize, unmap: bool },
    /// mmap, where nothing is mapped.
    Map { page: usize },
    /// Another page with these words.
    Replace { page: usize, words: Vec<i64> },
    /// mprotect.
    Protect { page: usize, rights: Rights },
    /// fork.
    Fork { child: usize },
    /// mremap.
    Move { from: usize, to: usize },
}

impl Kind {
    /// The operation, if threads can be stopped in it.
    pub(crate) fn operation(&self) -> Option<Operation> {
        match self {
            Kind::Fault { operation, .. } => *operation,
            Kind::Zap { .. } => Some(Operation::Zap),
            Kind::Replace { .. } => Some(Operation::Replace),
            Kind::Protect { rights: Rights::ReadOnly, .. } => Some(Operation::Mprotect),
            Kind::Protect { .. } | Kind::Map { .. } => None,
            Kind::Fork { .. } => Some(Operation::Fork),
            Kind::Move { .. } => Some(Operation::Move),
        }
    }

    /// The page that it is about; a fork is about all.
    pub(crate) fn page(&self) -> Option<usize> {
        match self {
            Kind::Fault { page, .. }
            | Kind::Zap { page, .. }
            | Kind::Map { page }
            | Kind::Replace { page, .. }
            | Kind::Protect { page, .. }
            | Kind::Move { from: page, .. } => Some(*page),
            Kind::Fork { .. } => None,
        }
    }

    /// Whether it takes the mmap lock for itself alone.
    pub(crate) fn excludes(&self) -> bool {
        !matches!(self, Kind::Fault { .. } | Kind::Zap { unmap: false, .. })
    }
}

/// A call at the beginning of some steps of a thread.
pub(crate) struct Span {
    pub(crate) length: usize,
    /// Nothing if it changes nothing.
    kind: Option<Kind>,
    name: String,
    complete: bool,
}

/// When the secondary TLBs are told in a call.
#[derive(Default)]
struct Progress {
    cleared: bool,
    set: bool,
    unlocked: bool,
    told: bool,
    told_between: bool,
}

#[expect(clippy::collapsible_match, reason = "the step is one thing, what it means another")]
impl<'r> Planner<'r> {
    /// The call that these steps of a thread begin with, if they do.
    pub(super) fn call(
        self,
        thread: usize,
        taken: &[Taken<'r>],
    ) -> Result<Option<Span>, Unplanned> {
        let first = &taken[0];
        let handles = matches!(first.op, Op::EnterFault { .. });
        let begins = matches!(first.op, Op::Begin { .. });
        if handles && !taken.get(1).is_some_and(Taken::in_kernel)
            || !handles && !begins && !first.in_kernel()
        {
            return Ok(None);
        }
        let mut length = 1;
        let mut complete = false;
        while let Some(next) = taken.get(length).filter(|_| !complete) {
            let returns = matches!(next.op, Op::Return { .. }) && !next.in_kernel();
            if !next.in_kernel() && !returns {
                break;
            }
            length += 1;
            complete = returns;
        }
        let last = &taken[length - 1];
        let world = &self.machine.world;
        let number = last.after.get(world.threads[thread].pc) as usize;
        let goes_on = world.code(thread).step(number).is_some_and(|(op, site)| {
            !site.functions.is_empty() || matches!(op, Op::Return { .. })
        });
        complete |= !goes_on;
        let kernel = taken[..length].iter().find_map(|taken| taken.site.functions.first());
        let begin = taken[..length].iter().find(|taken| matches!(taken.op, Op::Begin { .. }));
        let function = kernel.copied().or_else(|| match begin.map(|taken| taken.op) {
            Some(Op::Begin { contract, .. }) => Some(world.lowered.contracts[*contract].function),
            _ => None,
        });
        let name = function.map_or_else(String::new, |function| {
            self.program.functions[function.index()].name.to_string()
        });
        let kind = match (handles, begin) {
            (true, _) => self.fault(thread, first).map(Some),
            (false, Some(begin)) => self.contract(thread, begin, &name).map(Some),
            (false, None) => self.by_hand(thread, &taken[..length], &name),
        }?;
        Ok(Some(Span { length, kind, name, complete }))
    }

    fn fault(self, thread: usize, taken: &Taken<'r>) -> Result<Kind, Unplanned> {
        let Op::EnterFault { address, space, write, .. } = taken.op else {
            return Err((Some(taken.index), "no fault begins here".to_owned()));
        };
        let page = self.page(thread, taken, address)?;
        Ok(self.fault_at(taken, *space, page, *write))
    }

    /// A fault, for what it finds.
    fn fault_at(self, taken: &Taken<'r>, space: usize, page: usize, write: bool) -> Kind {
        let world = &self.machine.world;
        let value = world.walk(taken.before, space, page);
        let operation = entry::frame(value).filter(|_| write).and_then(|frame| {
            let shared = taken.before.get(world.references[frame]) > 1;
            match world.shape().frames[frame].immortal {
                true => Some(Operation::ZeroPage),
                false => shared.then_some(Operation::Cow),
            }
        });
        Kind::Fault { page, write, operation }
    }

    /// A function that the test calls itself, without a contract that takes
    /// something away. If it stores an entry that can be written it is a write
    /// fault; one that only looks is nothing.
    fn by_hand(
        self,
        thread: usize,
        taken: &[Taken<'r>],
        name: &str,
    ) -> Result<Option<Kind>, Unplanned> {
        if !taken.iter().any(changes) {
            return Ok(None);
        }
        let world = &self.machine.world;
        let space = world.shape().agents[thread].space;
        let sets = taken.iter().filter(|taken| matches!(taken.op, Op::SetEntry { .. }));
        let stored = sets.flat_map(|taken| {
            let pages = 0..world.shape().pages.len();
            pages.map(|page| (page, [taken.before, taken.after]))
        });
        let written = stored.into_iter().find(|(page, states)| {
            let [before, after] = states.map(|state| world.walk(state, space, *page));
            before != after && entry::grants(after, true)
        });
        match written {
            Some((page, _)) => Ok(Some(self.fault_at(&taken[0], space, page, true))),
            None => Err((
                Some(taken[0].index),
                format!(
                    "`{name}` is no operation of the address space: it is not called by a fault, \
                     stores no entry that can be written, and its contract is not `zap`, \
                     `replace`, `downgrade`, `upgrade`, `move` or `fork`"
                ),
            )),
        }
    }

    fn contract(self, thread: usize, taken: &Taken<'r>, name: &str) -> Result<Kind, Unplanned> {
        let Op::Begin { contract, arguments } = taken.op else {
            return Err((Some(taken.index), "no contract begins here".to_owned()));
        };
        let world = &self.machine.world;
        let contract = &world.lowered.contracts[*contract];
        let page = |index: usize| match arguments.get(index) {
            Some(argument) => self.page(thread, taken, argument),
            None => Err((Some(taken.index), format!("the contract of `{name}` names no page"))),
        };
        Ok(match contract.kind {
            ContractKind::Zap if name.ends_with("_mmap") => Kind::Map { page: page(0)? },
            ContractKind::Zap => Kind::Zap { page: page(0)?, unmap: name.contains("munmap") },
            ContractKind::Downgrade => Kind::Protect { page: page(0)?, rights: Rights::ReadOnly },
            ContractKind::Upgrade => Kind::Protect { page: page(0)?, rights: Rights::ReadWrite },
            ContractKind::Move => Kind::Move { from: page(0)?, to: page(1)? },
            ContractKind::Replace => {
                let new = arguments.get(1).map_or(0, |new| self.value(thread, taken.before, new));
                let slots = frame_of_page(new).map(|frame| &world.contents[frame][..]);
                let words = slots.unwrap_or_default().iter().map(|slot| taken.before.get(*slot));
                Kind::Replace { page: page(0)?, words: words.collect() }
            }
            ContractKind::Fork | ContractKind::ForkPerPage => match contract.child {
                Some(child) => Kind::Fork { child },
                None => return Err((Some(taken.index), format!("`{name}` names no child"))),
            },
            kind => {
                let why = match kind {
                    ContractKind::Revoke => {
                        "the address space has no entry that is there and grants nothing"
                    }
                    ContractKind::LazyFree => "the address space frees no page lazily",
                    ContractKind::Exit => "the end of an address space is not played step by step",
                    _ => "the address space has no operation for its contract",
                };
                return Err((Some(taken.index), format!("`{name}`: {why}")));
            }
        })
    }

    fn page(
        self,
        thread: usize,
        taken: &Taken<'r>,
        address: &shootdown_step::Expr,
    ) -> Result<usize, Unplanned> {
        let address = self.value(thread, taken.before, address);
        let page = page_of_address(address);
        page.filter(|page| *page < self.machine.world.shape().pages.len())
            .ok_or_else(|| (Some(taken.index), "the address is that of no page".to_owned()))
    }

    pub(super) fn acts_of_call(
        self,
        thread: usize,
        span: Span,
        taken: &[Taken<'r>],
        plan: &mut Plan,
    ) {
        let Span { kind: Some(kind), name, complete, .. } = span else { return };
        let changes = taken.iter().any(changes);
        let asks = !matches!(kind, Kind::Fault { .. });
        if !(changes || asks && complete) {
            // Somebody was faster, or it has not begun to matter.
            return;
        }
        let call = plan.calls.len();
        let operation = kind.operation();
        let mut acts = Acts { call, thread, acts: Vec::new() };
        let mut frame = None;
        match operation {
            Some(operation) => {
                self.stages_of_call(&name, operation, taken, &mut acts);
                if complete {
                    acts.add(taken[taken.len() - 1].index, What::Return { call });
                }
            }
            // It has no points: it is done when the entry changes.
            None => {
                let changes = taken.iter().find(|taken| {
                    matches!(taken.op, Op::SetEntry { .. } | Op::SetAccessFlags { .. })
                });
                let last = complete.then(|| &taken[taken.len() - 1]);
                if let Some(taken) = changes.or(last) {
                    acts.add(taken.index, What::Return { call });
                }
            }
        }
        let set = taken.iter().rev().find(|taken| matches!(taken.op, Op::SetEntry { .. }));
        if let (Some(set), Some(page)) = (set, kind.page()) {
            let space = self.machine.world.shape().agents[thread].space;
            let value = self.machine.world.walk(set.after, space, page);
            frame = entry::frame(value).map(|frame| (set.index, frame));
        }
        plan.acts.append(&mut acts.acts);
        plan.calls.push(Call { thread, name, kind, frame });
    }

    fn stages_of_call(
        self,
        name: &str,
        operation: Operation,
        taken: &[Taken<'r>],
        acts: &mut Acts,
    ) {
        let late = self.policy.is(WrongPolicy::LateNotify);
        let early_free = self.policy.is(WrongPolicy::EarlyFree);
        let mut at = Progress::default();
        let mut next = 0;
        while let Some(step) = taken.get(next) {
            let mut index = step.index;
            next += 1;
            match step.op {
                // Word by word: the last one goes on behind it.
                Op::CopyPage { .. } => {
                    if !taken.get(next).is_some_and(|next| next.op == step.op) {
                        acts.reach(index, Stage::Copied, true);
                    }
                }
                Op::RangeOpen { .. } => acts.reach(index, Stage::Started, true),
                Op::Lock { class: LockClass::Spin, op: LockOp::Lock, .. }
                | Op::MapEntry { lock: Some(_), .. }
                | Op::EntryLock { take: true, .. } => acts.reach(index, Stage::Locked, true),
                Op::ClearEntry { .. } => at.cleared = true,
                Op::FlushCpu { .. } if at.cleared && !at.set && replaces(operation) => {
                    acts.reach(index, Stage::Cleared, false);
                }
                Op::Post { .. } | Op::Sync { .. } | Op::FlushCache { .. } => {
                    let tells = |taken: &Taken<'_>| {
                        matches!(
                            taken.op,
                            Op::Post { .. } | Op::Sync { .. } | Op::FlushCache { .. }
                        )
                    };
                    while taken.get(next).is_some_and(tells) {
                        next += 1;
                    }
                    // They forget when the queue executes it.
                    let last = taken[next - 1].index;
                    let queue = |at: &usize| matches!(self.run.steps[*at].0, Process::Queue(_));
                    index = (index..=last).rev().find(queue).unwrap_or(last);
                    self.told(name, operation, index, &mut at, acts);
                }
                Op::SetEntry { .. } if replaces(operation) => {
                    at.set = true;
                    if !at.told_between && !late {
                        acts.add(index, What::Differs(format!(
                            "the address space tells the secondary TLBs before it stores the new \
                             entry, and `{name}` does not"
                        )));
                    }
                    acts.reach(index, Stage::Set, false);
                }
                Op::Lock { class: LockClass::Spin, op: LockOp::Unlock, .. } => {
                    at.unlocked = true;
                    if operation == Operation::Zap && early_free {
                        // The page is freed before the lock is released.
                        let rest = taken[next..].iter();
                        let frees = rest
                            .take_while(|taken| {
                                !matches!(
                                    taken.op,
                                    Op::Post { .. } | Op::FlushCpu { .. } | Op::RangeClose { .. }
                                )
                            })
                            .filter(|taken| matches!(taken.op, Op::PutPage { .. }));
                        index = frees.last().map_or(index, |taken| taken.index);
                    }
                    acts.reach(index, Stage::Unlocked, false);
                }
                Op::PutPage { .. } if operation == Operation::Zap => {
                    if !at.told && !early_free {
                        acts.add(index, What::Differs(format!(
                            "the address space frees the page after the secondary TLBs were told, \
                             and `{name}` before"
                        )));
                    }
                }
                Op::RangeClose { .. } => {
                    if !at.told {
                        acts.add(index, What::Differs(format!(
                            "the address space tells the secondary TLBs at range_end, and `{name}` \
                             never does"
                        )));
                    }
                    acts.reach(index, Stage::Ended, false);
                }
                _ => {}
            }
        }
    }

    /// The secondary TLBs were told.
    fn told(
        self,
        name: &str,
        operation: Operation,
        index: usize,
        at: &mut Progress,
        acts: &mut Acts,
    ) {
        let late = self.policy.is(WrongPolicy::LateNotify);
        at.told = true;
        let differs = |when: &str| {
            What::Differs(format!(
                "`{name}` tells the secondary TLBs {when}, and the address space under the policy \
                 `{}` does not",
                self.policy
            ))
        };
        if !replaces(operation) {
            if at.unlocked {
                acts.reach(index, Stage::Ended, false);
            }
            return;
        }
        match (at.cleared, at.set, at.unlocked) {
            (true, false, false) => {
                at.told_between = true;
                if late {
                    acts.add(index, differs("between clear and set"));
                } else {
                    acts.reach(index, Stage::Notified, false);
                }
            }
            (_, true, true) => acts.reach(index, Stage::Ended, false),
            (_, true, false) => {
                acts.add(index, differs("after the new entry is stored, under the lock"));
            }
            _ => acts.add(index, differs("before the entry is cleared")),
        }
    }
}

/// Whether a step changes what a table grants.
fn changes(taken: &Taken<'_>) -> bool {
    matches!(
        taken.op,
        Op::ClearEntry { .. }
            | Op::SetEntry { .. }
            | Op::WriteProtectEntry { .. }
            | Op::SetAccessFlags { .. }
            | Op::ForkEntries { .. }
            | Op::SetChildEntry { .. }
            | Op::SetRights { .. }
    )
}

/// Acts of one call.
struct Acts {
    call: usize,
    thread: usize,
    acts: Vec<Act>,
}

impl Acts {
    fn add(&mut self, step: usize, what: What) {
        self.acts.push(Act { step, thread: self.thread, what });
    }

    fn reach(&mut self, step: usize, stage: Stage, early: bool) {
        let call = self.call;
        self.add(step, What::Reach { call, stage, early });
    }
}
