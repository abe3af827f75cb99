//! What a thread of a test does, step by step.

use std::sync::atomic::{AtomicI64, Ordering, fence};

use address_space::{AddressSpace, Cpu, DeviceThread, Error};
use mmu_notifier::Task;
use mmu_protocol::{Access as Kind, Rights, VirtAddr};
use shootdown_litmus::primitives::{Fence, Order, RmwOp, RmwResult, UserCall};
use shootdown_step::value::{UNDEFINED, WORD_BASE, page_of_address};
use shootdown_step::{Access, Expr};

use crate::ground::{Layout, RW};

/// A thread's body.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    /// Variables at the beginning.
    pub(crate) locals: Vec<i64>,
    pub(crate) ops: Vec<Do>,
}

/// A step.
#[derive(Clone, Debug)]
pub(crate) enum Do {
    Set(usize, Expr),
    Access { into: Option<usize>, pointer: Expr, index: Expr, access: Access },
    Fence(Fence),
    FaultIn { address: Expr, write: bool },
    Call { into: Option<usize>, call: UserCall, values: Vec<Expr>, child: Option<usize> },
    Jump(usize),
    Branch(Expr, usize, usize),
    Nothing,
    End,
}

impl Code {
    /// Whether it makes this address space.
    pub(crate) fn forks(&self, space: usize) -> bool {
        let makes = |op: &Do| matches!(op, Do::Call { child: Some(child), .. } if *child == space);
        self.ops.iter().any(makes)
    }

    /// Whether it may access what tables map.
    pub(crate) fn translates(&self) -> bool {
        self.ops.iter().any(|op| match op {
            Do::Access { pointer, .. } => {
                pointer.constant().is_none_or(|pointer| pointer < WORD_BASE)
            }
            Do::FaultIn { .. } => true,
            _ => false,
        })
    }
}

/// How a thread reaches memory.
pub(crate) enum Port<'t> {
    /// A processor, and the task that runs on it.
    Cpu(Cpu, &'t mut Task),
    /// A thread of a device.
    Device(DeviceThread),
}

impl Port<'_> {
    /// Takes an entry into its TLB, if a walk gives one.
    pub(crate) fn touch(&mut self, address: VirtAddr) {
        match self {
            Port::Cpu(cpu, _) => drop(cpu.try_load(address)),
            Port::Device(device) => drop(device.try_load(address)),
        }
    }

    fn load(&mut self, address: VirtAddr) -> Result<i64, Error> {
        match self {
            Port::Cpu(cpu, task) => cpu.load(address, task),
            Port::Device(device) => device.load(address),
        }
        .map(|value| value as i64)
    }

    fn store(&mut self, address: VirtAddr, value: i64) -> Result<(), Error> {
        match self {
            Port::Cpu(cpu, task) => cpu.store(address, value as u64, task),
            Port::Device(device) => device.store(address, value as u64),
        }
    }

    fn add(&mut self, address: VirtAddr, value: i64) -> Result<i64, Error> {
        match self {
            Port::Cpu(cpu, task) => cpu.add(address, value as u64, task),
            Port::Device(device) => device.add(address, value as u64),
        }
        .map(|value| value as i64)
    }
}

/// What a thread meets outside of itself.
pub(crate) trait Outside {
    fn layout(&self) -> &Layout;
    fn words(&self) -> &[AtomicI64];
    /// An access begins.
    fn access(&self);
    /// An access has ended.
    fn accessed(&self);
    /// A call begins.
    fn call_begins(&self);
    fn call_ends(&self);
    /// A child was made.
    fn born(&self, child: usize, space: std::sync::Arc<AddressSpace>);
}

/// How a thread ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ended {
    pub(crate) locals: Vec<i64>,
    pub(crate) fault: bool,
}

/// Why a thread ends before its end.
enum Stop {
    /// An access was not allowed.
    Fault,
    /// The address space failed.
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        match error {
            Error::NoMapping { .. } | Error::Forbidden { .. } => Stop::Fault,
            other => Stop::Failed(other),
        }
    }
}

/// Runs a thread. With `barriers` a full one follows each store.
pub(crate) fn run(
    code: &Code,
    port: &mut Port<'_>,
    outside: &impl Outside,
    barriers: bool,
) -> Result<Ended, Error> {
    let mut thread = Running { locals: code.locals.clone(), port, outside, barriers };
    let mut at = 0;
    loop {
        let done = match &code.ops[at] {
            Do::End => return Ok(Ended { locals: thread.locals, fault: false }),
            Do::Jump(to) => Ok(*to),
            Do::Branch(condition, yes, no) => {
                // A loop that waits gives way: there may be fewer processors
                // than threads.
                let to = if thread.value(condition) != 0 { *yes } else { *no };
                if to <= at {
                    std::thread::yield_now();
                }
                Ok(to)
            }
            op => thread.step(op).map(|()| at + 1),
        };
        at = match done {
            Ok(next) => {
                if next <= at && matches!(code.ops[at], Do::Jump(_)) {
                    std::thread::yield_now();
                }
                next
            }
            Err(Stop::Fault) => return Ok(Ended { locals: thread.locals, fault: true }),
            Err(Stop::Failed(error)) => return Err(error),
        };
    }
}

struct Running<'a, 't, O> {
    locals: Vec<i64>,
    port: &'a mut Port<'t>,
    outside: &'a O,
    barriers: bool,
}

impl<O: Outside> Running<'_, '_, O> {
    fn value(&self, expr: &Expr) -> i64 {
        expr.value(&|reg| self.locals[reg.0 as usize])
    }

    fn keep(&mut self, into: Option<usize>, value: i64) {
        if let Some(into) = into {
            self.locals[into] = value;
        }
    }

    fn step(&mut self, op: &Do) -> Result<(), Stop> {
        match op {
            Do::Set(local, value) => self.locals[*local] = self.value(value),
            Do::Fence(Fence::Compiler) => std::sync::atomic::compiler_fence(Ordering::SeqCst),
            // The models keep loads in order with loads, and stores with stores.
            Do::Fence(Fence::Read) => fence(Ordering::Acquire),
            Do::Fence(Fence::Write) => fence(Ordering::Release),
            Do::Fence(Fence::Full) => fence(Ordering::SeqCst),
            Do::FaultIn { address, write } => {
                let address = self.address(self.value(address), 0)?;
                if let Port::Cpu(cpu, task) = self.port {
                    let access = if *write { Kind::Write } else { Kind::Read };
                    self.outside.access();
                    let space = cpu.space().clone();
                    let done = space.handle_fault(address, access, task);
                    self.outside.accessed();
                    done?;
                }
            }
            Do::Access { into, pointer, index, access } => {
                let (pointer, index) = (self.value(pointer), self.value(index));
                self.outside.access();
                let result = if pointer >= WORD_BASE {
                    self.word((pointer - WORD_BASE + index) as usize, access)
                } else {
                    self.page(pointer, index, access)
                };
                self.outside.accessed();
                let result = result?;
                if access.writes() && self.barriers {
                    fence(Ordering::SeqCst);
                }
                self.keep(*into, result);
            }
            Do::Call { into, call, values, child } => {
                let values: Vec<i64> = values.iter().map(|value| self.value(value)).collect();
                self.outside.call_begins();
                let done = self.call(*call, &values, *child);
                self.outside.call_ends();
                let result = match done {
                    Ok(()) => 0,
                    Err(Stop::Failed(error @ (Error::OutOfFrames | Error::Device))) => {
                        return Err(Stop::Failed(error));
                    }
                    // -ENOMEM where nothing is mapped, -EINVAL else.
                    Err(Stop::Fault) => -12,
                    Err(Stop::Failed(_)) => -22,
                };
                self.keep(*into, result);
            }
            Do::Jump(_) | Do::Branch(..) | Do::Nothing | Do::End => {}
        }
        Ok(())
    }

    /// A word of a page; another address leads nowhere.
    fn address(&self, pointer: i64, index: i64) -> Result<VirtAddr, Stop> {
        let page = page_of_address(pointer).filter(|page| *page < self.outside.layout().pages());
        let (Some(page), Ok(word)) = (page, usize::try_from(index)) else {
            return Err(Stop::Fault);
        };
        Ok(self.outside.layout().word(page, word))
    }

    fn page(&mut self, pointer: i64, index: i64, access: &Access) -> Result<i64, Stop> {
        let address = self.address(pointer, index)?;
        match access {
            Access::Load(_) => Ok(self.port.load(address)?),
            Access::Store(order, value) => {
                self.port.store(address, self.value(value))?;
                if *order == Order::Full {
                    fence(Ordering::SeqCst);
                }
                Ok(0)
            }
            Access::Rmw(RmwOp::Add, value, result, _) => {
                let operand = self.value(value);
                fence(Ordering::SeqCst);
                let old = self.port.add(address, operand)?;
                fence(Ordering::SeqCst);
                Ok(given(*result, old, old.wrapping_add(operand)))
            }
            _ => Err(Stop::Fault),
        }
    }

    /// An access to a word that nobody remaps.
    ///
    /// Never weaker than acquire and release: the checker's memory models keep
    /// more order than C promises for relaxed accesses.
    fn word(&mut self, word: usize, access: &Access) -> Result<i64, Stop> {
        let Some(place) = self.outside.words().get(word) else { return Err(Stop::Fault) };
        let value = |expr: &Expr| self.value(expr);
        let change = |change: &dyn Fn(i64) -> Option<i64>| {
            let changed = place.fetch_update(Ordering::SeqCst, Ordering::SeqCst, change);
            changed.unwrap_or_else(|old| old)
        };
        Ok(match access {
            Access::Load(Order::Full) => place.load(Ordering::SeqCst),
            Access::Load(_) => place.load(Ordering::Acquire),
            Access::Store(Order::Full, new) => {
                place.store(value(new), Ordering::SeqCst);
                fence(Ordering::SeqCst);
                0
            }
            Access::Store(_, new) => {
                place.store(value(new), Ordering::Release);
                0
            }
            Access::Rmw(op, operand, result, _) => {
                let operand = value(operand);
                let old = change(&|old| Some(changed(*op, old, operand)));
                given(*result, old, changed(*op, old, operand))
            }
            Access::Exchange(new, _) => place.swap(value(new), Ordering::SeqCst),
            Access::CompareExchange(expected, new, _) => {
                let (expected, new) = (value(expected), value(new));
                change(&|old| (old == expected).then_some(new))
            }
            Access::AddUnless(operand, unless) => {
                let (operand, unless) = (value(operand), value(unless));
                let old = change(&|old| (old != unless).then(|| old.wrapping_add(operand)));
                i64::from(old != unless)
            }
        })
    }

    fn call(&mut self, call: UserCall, values: &[i64], child: Option<usize>) -> Result<(), Stop> {
        let Port::Cpu(cpu, task) = self.port else { return Err(Stop::Failed(Error::Device)) };
        let space = cpu.space().clone();
        let layout = self.outside.layout();
        let page = |index: usize| {
            let address = values.get(index).copied().unwrap_or(UNDEFINED);
            let page = page_of_address(address).filter(|page| *page < layout.pages());
            page.ok_or(Stop::Fault)
        };
        match call {
            UserCall::Mmap => {
                // What was there before goes: MAP_FIXED.
                let range = layout.range(page(0)?);
                space.munmap(range, task)?;
                space.mmap(range, RW)?;
            }
            UserCall::Munmap => space.munmap(layout.range(page(0)?), task)?,
            UserCall::Mprotect => {
                let writable = values.get(1).is_some_and(|rights| rights & 2 != 0);
                let rights = if writable { Rights::ReadWrite } else { Rights::ReadOnly };
                space.mprotect(layout.range(page(0)?), rights, task)?;
            }
            UserCall::Mremap => {
                let to = layout.range(page(1)?);
                space.munmap(to, task)?;
                space.mremap(layout.range(page(0)?), to.start(), task)?;
            }
            UserCall::Madvise => space.dontneed(layout.range(page(0)?), task)?,
            UserCall::Fork => {
                let made = space.fork(task)?;
                match child {
                    Some(child) => self.outside.born(child, made),
                    None => made.exit(task)?,
                }
            }
            UserCall::Exit => space.exit(task)?,
        }
        Ok(())
    }
}

fn given(result: RmwResult, old: i64, new: i64) -> i64 {
    match result {
        RmwResult::Nothing => 0,
        RmwResult::Old => old,
        RmwResult::New => new,
        RmwResult::IsZero => i64::from(new == 0),
        RmwResult::IsNegative => i64::from(new < 0),
    }
}

fn changed(op: RmwOp, old: i64, value: i64) -> i64 {
    match op {
        RmwOp::Add => old.wrapping_add(value),
        RmwOp::Subtract => old.wrapping_sub(value),
        RmwOp::And => old & value,
        RmwOp::Or => old | value,
        RmwOp::Xor => old ^ value,
        RmwOp::AndNot => old & !value,
    }
}
