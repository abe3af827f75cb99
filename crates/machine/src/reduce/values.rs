//! What registers may hold at each step: enough to know which entry, frame or
//! lock a step is about before the test runs.

use shootdown_step::value::{
    address_of_page, entry, frame_of_page, page_of_address, page_of_frame, page_of_table,
};
use shootdown_step::{EntryAt, Expr, Node, Op, Reg};

use crate::world::World;

/// More values than this are any.
const MOST: usize = 40;

/// A set of values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Values {
    /// These, in order.
    These(Vec<i64>),
    /// Entries that map one of these frames or nothing, with any flags.
    Entries(u64),
    /// Any.
    Any,
}

impl Values {
    fn one(value: i64) -> Values {
        Values::These(vec![value])
    }

    pub(super) fn of(mut values: Vec<i64>) -> Values {
        values.sort_unstable();
        values.dedup();
        if values.len() > MOST { Values::Any } else { Values::These(values) }
    }

    /// Frames that these entries map; `None` if they need not be entries.
    fn mapped(&self, frames: usize) -> Option<u64> {
        match self {
            Values::Entries(mask) => Some(*mask),
            Values::Any => None,
            Values::These(values) => {
                values.iter().try_fold(0, |mask, value| match frame_of_page(entry::page(*value)) {
                    _ if *value < 0 => None,
                    Some(frame) if frame < frames => Some(mask | 1 << frame),
                    None if entry::page(*value) == 0 => Some(mask),
                    _ => None,
                })
            }
        }
    }

    /// Adds values; whether there were new ones.
    fn join(&mut self, other: &Values, frames: usize) -> bool {
        let joined = match (&*self, other) {
            (Values::Any, _) => return false,
            (_, Values::Any) => Values::Any,
            (Values::These(own), Values::These(other)) => {
                if other.iter().all(|value| own.contains(value)) {
                    return false;
                }
                Values::of(own.iter().chain(other).copied().collect())
            }
            (own, other) => match (own.mapped(frames), other.mapped(frames)) {
                (Some(own), Some(other)) => Values::Entries(own | other),
                _ => Values::Any,
            },
        };
        let changed = joined != *self;
        *self = joined;
        changed
    }
}

/// Frames that may ever be behind what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Maps {
    /// By table and page.
    pub(super) entries: Vec<Vec<u64>>,
    /// By software TLB and page.
    pub(super) softs: Vec<Vec<u64>>,
}

/// Registers of a thread.
pub(super) type Registers = Vec<Values>;

/// What the registers of every thread may hold before each step, and which
/// frames may come to be where. Both depend on each other.
pub(super) fn analyse(world: &World, initial: &Maps) -> (Vec<Vec<Registers>>, Maps) {
    let mut maps = initial.clone();
    loop {
        let mut next = maps.clone();
        let registers = (0..world.threads.len())
            .map(|thread| Analysis { world, thread, maps: &maps, found: &mut next }.run())
            .collect();
        if next == maps {
            return (registers, maps);
        }
        maps = next;
    }
}

struct Analysis<'w, 'f> {
    world: &'w World,
    thread: usize,
    maps: &'w Maps,
    found: &'f mut Maps,
}

impl Analysis<'_, '_> {
    fn run(mut self) -> Vec<Registers> {
        let code = self.world.code(self.thread);
        let frames = self.world.shape().frames.len();
        let nothing = || vec![Values::These(Vec::new()); code.signed.len()];
        let mut at: Vec<Option<Registers>> = vec![None; code.nodes.len()];
        let mut start = vec![Values::one(0); code.signed.len()];
        for (reg, value) in &code.initial {
            start[reg.0 as usize] = Values::one(*value);
        }
        at[code.start] = Some(start);
        let mut open = vec![code.start];
        while let Some(node) = open.pop() {
            let registers = at[node].clone().expect("it was reached");
            let mut flow = |to: usize, registers: &Registers| {
                let changed = match &mut at[to] {
                    Some(known) => known
                        .iter_mut()
                        .zip(registers)
                        .fold(false, |changed, (known, new)| known.join(new, frames) | changed),
                    unknown => {
                        *unknown = Some(registers.clone());
                        true
                    }
                };
                if changed && !open.contains(&to) {
                    open.push(to);
                }
            };
            match &code.nodes[node] {
                Node::Set { value, into, next } => {
                    let mut after = registers.clone();
                    after[into.0 as usize] = evaluate(value, &registers, frames);
                    flow(*next, &after);
                }
                Node::Branch { yes, no, .. } => {
                    flow(*yes, &registers);
                    flow(*no, &registers);
                }
                Node::Jump(next) => flow(*next, &registers),
                Node::Step { op, next, fault, .. } => {
                    let mut after = registers.clone();
                    self.results(op, &registers, &mut after);
                    flow(*next, &after);
                    if let Some(fault) = fault {
                        // Some faults keep a result, some do not.
                        for (after, before) in after.iter_mut().zip(&registers) {
                            after.join(before, frames);
                        }
                        flow(*fault, &after);
                    }
                }
                Node::End => {}
            }
        }
        code.steps
            .iter()
            .map(|node| at.get_mut(*node).and_then(Option::take).unwrap_or_else(nothing))
            .collect()
    }

    /// What a step leaves in its registers and in the tables.
    fn results(&mut self, op: &Op, registers: &Registers, after: &mut Registers) {
        let world = self.world;
        let shape = world.shape();
        let frames = shape.frames.len();
        let value = |expr: &Expr| evaluate(expr, registers, frames);
        for reg in results(op).into_iter().flatten() {
            after[reg.0 as usize] = Values::Any;
        }
        let mut keep = |reg: &Option<Reg>, values: Values| {
            if let Some(reg) = reg {
                after[reg.0 as usize] = values;
            }
        };
        let addresses = |expr: &Expr| pages(world, &value(expr));
        match op {
            Op::Alloc { into, site, .. } => {
                let may = super::foot::allocatable(world, self.thread, *site);
                let may = (0..frames).filter(|frame| may >> frame & 1 != 0);
                keep(into, Values::of(may.map(page_of_frame).collect()));
            }
            Op::AllocTable { into, site } => keep(into, Values::one(page_of_table(*site))),
            Op::MapEntry { into, address, space, lock } => {
                let (mut pointers, mut locks) = (vec![], vec![]);
                for page in addresses(address) {
                    for table in tables_of(world, *space, page) {
                        pointers.push(shape.entry_pointer(table, page));
                        locks.push(shape.table_lock(table));
                    }
                }
                if shape.two_levels {
                    pointers.push(0);
                }
                keep(into, Values::of(pointers));
                if let Some(out) = lock {
                    // Without a table the register stays what it was.
                    let known = if shape.two_levels { Values::Any } else { Values::of(locks) };
                    keep(out, known);
                }
            }
            Op::EntryOfTable { into, address, .. } => {
                let pages = addresses(address);
                let pointers = (0..shape.tables).flat_map(|table| {
                    pages.iter().map(move |page| shape.entry_pointer(table, *page))
                });
                keep(into, Values::of(pointers.collect()));
            }
            Op::EntryLock { into, entry: EntryAt::Lower(pointer), .. } => {
                let locks = lower(world, &value(pointer));
                let locks = locks.into_iter().map(|(table, _)| shape.table_lock(table));
                keep(into, Values::of(locks.collect()));
            }
            Op::ReadEntry { into, entry: EntryAt::Lower(pointer) }
            | Op::ClearEntry { into, entry: EntryAt::Lower(pointer) } => {
                let at = lower(world, &value(pointer)).into_iter();
                let mask = at.fold(0, |mask, (table, page)| mask | self.maps.entries[table][page]);
                keep(into, Values::Entries(mask));
            }
            Op::EnterFault { value: into, address, space, .. } => {
                let mask = addresses(address)
                    .into_iter()
                    .fold(0, |mask, page| mask | mapped_at(world, self.maps, *space, page));
                keep(into, if shape.two_levels { Values::Any } else { Values::Entries(mask) });
            }
            Op::ReadEntry { into, entry: EntryAt::Soft(soft, address) }
            | Op::ClearEntry { into, entry: EntryAt::Soft(soft, address) } => {
                let at = addresses(address).into_iter();
                keep(into, Values::Entries(at.fold(0, |m, page| m | self.maps.softs[*soft][page])));
            }
            Op::SetEntry { entry: EntryAt::Soft(soft, address), value: set }
            | Op::ExchangeEntry { entry: EntryAt::Soft(soft, address), value: set, .. } => {
                let mask = value(set).mapped(frames).unwrap_or((1 << frames) - 1);
                for page in addresses(address) {
                    self.found.softs[*soft][page] |= mask;
                }
            }
            Op::SetEntry { entry: EntryAt::Lower(pointer), value: set }
            | Op::ExchangeEntry { entry: EntryAt::Lower(pointer), value: set, .. }
            | Op::SetAccessFlags { entry: EntryAt::Lower(pointer), value: set, .. } => {
                let mask = value(set).mapped(frames).unwrap_or((1 << frames) - 1);
                for (table, page) in lower(world, &value(pointer)) {
                    self.found.entries[table][page] |= mask;
                }
            }
            Op::ForkEntries { from, to, .. } => {
                for page in 0..shape.pages.len() {
                    let mask = mapped_at(world, self.maps, *from, page);
                    for table in tables_of(world, *to, page) {
                        self.found.entries[table][page] |= mask;
                    }
                }
            }
            Op::SetChildEntry { to, address, value: set, .. } => {
                let mask = value(set).mapped(frames).unwrap_or((1 << frames) - 1);
                for page in addresses(address) {
                    for table in tables_of(world, *to, page) {
                        self.found.entries[table][page] |= mask;
                    }
                }
            }
            Op::Choose { into, ways } => {
                keep(into, Values::of((0..i64::from(*ways)).collect()));
            }
            Op::SoftInstall { soft, address, page, .. } => {
                let mask = frames_of(world, &value(page));
                for at in addresses(address) {
                    self.found.softs[*soft][at] |= mask;
                }
            }
            _ => {}
        }
    }
}

/// Where the results of a step are kept.
pub(super) fn results(op: &Op) -> [Option<Reg>; 2] {
    match op {
        Op::Access { into, .. }
        | Op::Lock { into, .. }
        | Op::Enter { into, .. }
        | Op::Alloc { into, .. }
        | Op::SamePages { into, .. }
        | Op::PageRead { into, .. }
        | Op::PageCount { into, .. }
        | Op::Pinned { into, .. }
        | Op::Choose { into, .. }
        | Op::EntryOfTable { into, .. }
        | Op::EntryLock { into, .. }
        | Op::ReadEntry { into, .. }
        | Op::ClearEntry { into, .. }
        | Op::SetAccessFlags { into, .. }
        | Op::Flags { into, .. }
        | Op::ExchangeEntry { into, .. }
        | Op::Dirty { into, .. }
        | Op::AllocTable { into, .. }
        | Op::PageBehind { into, .. }
        | Op::AskRights { into, .. }
        | Op::EnterFault { value: into, .. } => [*into, None],
        Op::MapEntry { into, lock, .. } => [*into, lock.flatten()],
        Op::GatherFlush { start, end, .. } => [*start, *end],
        // Written out, so that a new step with a result is not forgotten.
        Op::Fence(_)
        | Op::Leave { .. }
        | Op::Life { .. }
        | Op::GraceStart { .. }
        | Op::GraceWait { .. }
        | Op::GetPage { .. }
        | Op::MoveMarks { .. }
        | Op::PutPage { .. }
        | Op::Unpin { .. }
        | Op::CopyPage { .. }
        | Op::ClearPage { .. }
        | Op::PageWrite { .. }
        | Op::SetEntry { .. }
        | Op::WriteProtectEntry { .. }
        | Op::Populate { .. }
        | Op::FreeTable { .. }
        | Op::FlushCpu { .. }
        | Op::RangeOpen { .. }
        | Op::RangeClose { .. }
        | Op::Post { .. }
        | Op::PostWrite { .. }
        | Op::Sync { .. }
        | Op::SoftInstall { .. }
        | Op::SoftZap { .. }
        | Op::FlushCache { .. }
        | Op::FlushContext { .. }
        | Op::Lazy { .. }
        | Op::LoadRoot { .. }
        | Op::WriteBack { .. }
        | Op::GatherStart
        | Op::GatherPage { .. }
        | Op::GatherFree
        | Op::Probe { .. }
        | Op::SetRights { .. }
        | Op::ForkEntries { .. }
        | Op::SetChildEntry { .. }
        | Op::Born { .. }
        | Op::Begin { .. }
        | Op::Moment { .. }
        | Op::Return { .. }
        | Op::Warn { .. }
        | Op::Fail(_) => [None, None],
    }
}

/// The value of an expression.
pub(super) fn evaluate(expr: &Expr, registers: &Registers, frames: usize) -> Values {
    let inner = |expr: &Expr| evaluate(expr, registers, frames);
    let constant = |value: i64| Box::new(Expr::Const(value));
    match expr {
        Expr::Const(value) => Values::one(*value),
        Expr::Reg(reg) => registers[reg.0 as usize].clone(),
        Expr::Unary(op, value) => each(inner(value), &|value| Expr::Unary(*op, constant(value))),
        Expr::Binary(op, left, right) => match (inner(left), inner(right)) {
            (Values::These(left), Values::These(right)) if left.len() * right.len() <= 400 => {
                let pairs = left.iter().flat_map(|l| right.iter().map(move |r| (*l, *r)));
                let value = |(l, r)| Expr::Binary(*op, constant(l), constant(r)).value(&|_| 0);
                Values::of(pairs.map(value).collect())
            }
            _ => Values::Any,
        },
        Expr::MakeEntry(page, _, false) => match inner(page) {
            Values::These(pages) => {
                let entries: Vec<i64> = pages.iter().map(|page| entry::make(*page, 0)).collect();
                Values::of(entries).mapped(frames).map_or(Values::Any, Values::Entries)
            }
            _ => Values::Any,
        },
        Expr::ChangeEntry(change, value) => match inner(value) {
            Values::Entries(mask) => Values::Entries(mask),
            values => each(values, &|value| Expr::ChangeEntry(*change, constant(value))),
        },
        Expr::EntryPage(value) => match inner(value) {
            Values::Entries(mask) => {
                let pages = (0..64).filter(|frame| mask >> frame & 1 != 0).map(page_of_frame);
                Values::of(pages.chain([0]).collect())
            }
            values => each(values, &|value| Expr::EntryPage(constant(value))),
        },
        _ => Values::Any,
    }
}

fn each(values: Values, with: &dyn Fn(i64) -> Expr) -> Values {
    match values {
        Values::These(values) => {
            Values::of(values.into_iter().map(|value| with(value).value(&|_| 0)).collect())
        }
        _ => Values::Any,
    }
}

/// Tables that a page's entry may be in.
pub(super) fn tables_of(world: &World, space: usize, page: usize) -> std::ops::Range<usize> {
    let shape = world.shape();
    if shape.two_levels {
        return 0..shape.tables;
    }
    let first = shape.first_table(space, shape.pages[page].block);
    first..first + 1
}

/// Frames that a page of an address space may ever lead to.
pub(super) fn mapped_at(world: &World, maps: &Maps, space: usize, page: usize) -> u64 {
    tables_of(world, space, page).fold(0, |mask, table| mask | maps.entries[table][page])
}

/// The pages that addresses are in.
pub(super) fn pages(world: &World, values: &Values) -> Vec<usize> {
    let all = world.shape().pages.len();
    match values {
        Values::These(values) => {
            values.iter().filter_map(|at| page_of_address(*at)).filter(|page| *page < all).collect()
        }
        _ => (0..all).collect(),
    }
}

/// The entries that pointers lead to.
pub(super) fn lower(world: &World, values: &Values) -> Vec<(usize, usize)> {
    let shape = world.shape();
    match values {
        Values::These(values) => {
            values.iter().filter_map(|pointer| shape.entry_of_pointer(*pointer)).collect()
        }
        _ => (0..shape.tables)
            .flat_map(|table| (0..shape.pages.len()).map(move |page| (table, page)))
            .collect(),
    }
}

/// The frames that pages are.
pub(super) fn frames_of(world: &World, values: &Values) -> u64 {
    let frames = world.shape().frames.len();
    match values {
        Values::These(values) => values
            .iter()
            .filter_map(|page| frame_of_page(*page))
            .filter(|frame| *frame < frames)
            .fold(0, |mask, frame| mask | 1 << frame),
        _ => (1 << frames) - 1,
    }
}

/// The pages of a range of addresses, as bits.
pub(super) fn range(world: &World, start: &Values, end: &Values) -> u64 {
    let shape = world.shape();
    match (start, end) {
        (Values::These(starts), Values::These(ends)) => starts
            .iter()
            .flat_map(|start| ends.iter().map(move |end| world.pages_between(*start, *end)))
            .fold(0, |mask, pages| mask | pages),
        // What begins somewhere ends at the end at most.
        (Values::These(starts), _) if !world.setting.empty_range_is_all => {
            starts.iter().fold(0, |mask, start| {
                mask | shape.pages_between(*start, address_of_page(shape.pages.len()))
            })
        }
        _ => shape.all_pages(),
    }
}
