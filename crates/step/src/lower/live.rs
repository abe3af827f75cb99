//! From a graph of nodes to the code of a thread: constants are carried to
//! where they are used, registers that nobody reads go, and those that are
//! never needed at the same time become one.

use std::collections::HashMap;

use shootdown_litmus::{Name, Span};

use crate::code::{Node, NodeId, ThreadCode, Variable};
use crate::expr::{Expr, Reg};
use crate::op::{Access, EntryAt, LockAt, Op, Range};

pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    pub(super) signed: Vec<bool>,
    pub(super) start: NodeId,
    pub(super) initial: Vec<(Reg, i64)>,
    pub(super) variables: Vec<Variable>,
}

impl Graph {
    /// The code, and the first of the unknown results that somebody reads.
    pub(super) fn finish(
        mut self,
        unknown: &[(Reg, Span, Name)],
    ) -> (ThreadCode, Option<(Span, Name)>) {
        self.constants(unknown);
        self.unreachable();
        let live = self.drop_dead();
        let kept = unknown.iter().find(|(reg, ..)| {
            self.nodes.iter().zip(&live).any(|(node, live)| {
                matches!(node, Node::Set { into, .. } if into == reg) && live.contains(*reg)
            })
        });
        let kept = kept.map(|(_, span, name)| (*span, name.clone()));
        (self.code(&live), kept)
    }

    /// A register with one definition, by a constant, is that constant.
    fn constants(&mut self, unknown: &[(Reg, Span, Name)]) {
        loop {
            let mut definitions: HashMap<Reg, Option<i64>> = HashMap::new();
            let mut define = |reg: Reg, value: Option<i64>| {
                definitions.entry(reg).and_modify(|known| *known = None).or_insert(value);
            };
            for reg in
                self.initial.iter().map(|(reg, _)| reg).chain(unknown.iter().map(|(reg, ..)| reg))
            {
                define(*reg, None);
            }
            for variable in &self.variables {
                if let Some(reg) = variable.register {
                    // Looked at when all is over: it stays a register.
                    define(reg, None);
                }
            }
            for node in &self.nodes {
                match node {
                    Node::Set { value, into, .. } => define(*into, value.constant()),
                    Node::Step { op, .. } => results(op, &mut |reg| define(reg, None)),
                    _ => {}
                }
            }
            let known: HashMap<Reg, i64> =
                definitions.into_iter().filter_map(|(reg, value)| Some((reg, value?))).collect();
            if known.is_empty() {
                return;
            }
            for node in &mut self.nodes {
                let replace = |value: &mut Expr| substitute(value, &known);
                match node {
                    Node::Set { into, next, .. } if known.contains_key(into) => {
                        *node = Node::Jump(*next)
                    }
                    Node::Set { value, .. } => replace(value),
                    Node::Branch { condition, yes, no } => {
                        replace(condition);
                        if let Some(value) = condition.constant() {
                            *node = Node::Jump(if value != 0 { *yes } else { *no });
                        }
                    }
                    Node::Step { op, .. } => {
                        operands_mut(op, &mut |value| substitute(value, &known))
                    }
                    _ => {}
                }
            }
        }
    }

    /// Nodes that nothing leads to become jumps, so that they count nowhere.
    fn unreachable(&mut self) {
        let mut reached = vec![false; self.nodes.len()];
        let mut open = vec![self.start];
        while let Some(at) = open.pop() {
            if std::mem::replace(&mut reached[at], true) {
                continue;
            }
            open.extend(successors(&self.nodes[at]));
        }
        for (node, reached) in self.nodes.iter_mut().zip(reached) {
            if !reached {
                *node = Node::End;
            }
        }
    }

    /// Takes out results that nobody reads; gives what is live after each node.
    fn drop_dead(&mut self) -> Vec<Set> {
        loop {
            let live = self.live_after();
            let mut changed = false;
            for (at, node) in self.nodes.iter_mut().enumerate() {
                match node {
                    Node::Set { into, next, .. } if !live[at].contains(*into) => {
                        *node = Node::Jump(*next);
                        changed = true;
                    }
                    Node::Step { op, .. } => {
                        let live = &live[at];
                        drop_results(op, &mut |reg| {
                            changed |= !live.contains(reg);
                            live.contains(reg)
                        });
                    }
                    _ => {}
                }
            }
            if !changed {
                return live;
            }
        }
    }

    fn live_after(&self) -> Vec<Set> {
        let words = self.signed.len().div_ceil(64);
        let mut before = vec![Set(vec![0; words]); self.nodes.len()];
        let mut after = before.clone();
        let mut changed = true;
        while changed {
            changed = false;
            for at in (0..self.nodes.len()).rev() {
                let mut live = Set(vec![0; words]);
                if let Node::End = self.nodes[at] {
                    for variable in &self.variables {
                        if let Some(reg) = variable.register {
                            live.insert(reg);
                        }
                    }
                    // Not reached, or the end: nothing follows.
                }
                for next in successors(&self.nodes[at]) {
                    live.add(&before[next]);
                }
                after[at] = live.clone();
                match &self.nodes[at] {
                    Node::Set { value, into, .. } => {
                        live.remove(*into);
                        value.registers(&mut |reg| live.insert(reg));
                    }
                    Node::Branch { condition, .. } => {
                        condition.registers(&mut |reg| live.insert(reg))
                    }
                    Node::Step { op, fault, .. } => {
                        // After a fault the result is not there yet.
                        results(op, &mut |reg| {
                            let needed = fault.is_some_and(|fault| before[fault].contains(reg));
                            if !needed {
                                live.remove(reg);
                            }
                        });
                        operands(op, &mut |value| value.registers(&mut |reg| live.insert(reg)));
                    }
                    Node::Jump(_) | Node::End => {}
                }
                if live != before[at] {
                    before[at] = live;
                    changed = true;
                }
            }
        }
        after
    }

    /// Registers that are never live at the same time share one.
    fn colours(&self, live: &[Set]) -> HashMap<Reg, Reg> {
        let mut order = Vec::new();
        let mut conflicts: HashMap<Reg, Vec<Reg>> = HashMap::new();
        let mut seen = |reg: Reg| {
            if !order.contains(&reg) {
                order.push(reg);
            }
        };
        for (reg, _) in &self.initial {
            seen(*reg);
        }
        for variable in &self.variables {
            variable.register.iter().for_each(|reg| seen(*reg));
        }
        for node in &self.nodes {
            match node {
                Node::Set { value, into, .. } => {
                    value.registers(&mut seen);
                    seen(*into);
                }
                Node::Branch { condition, .. } => condition.registers(&mut seen),
                Node::Step { op, .. } => {
                    operands(op, &mut |value| value.registers(&mut seen));
                    results(op, &mut seen);
                }
                _ => {}
            }
        }
        let mut conflict = |a: Reg, b: Reg| {
            conflicts.entry(a).or_default().push(b);
            conflicts.entry(b).or_default().push(a);
        };
        // What is live at the start begins with 0, or with what it is given.
        let at_start: Vec<Reg> =
            order.iter().copied().filter(|reg| self.before_start(live, *reg)).collect();
        let mut kept: Vec<Reg> = self.variables.iter().filter_map(|v| v.register).collect();
        kept.extend(self.initial.iter().map(|(reg, _)| *reg));
        for group in [&at_start, &kept] {
            for (at, a) in group.iter().enumerate() {
                group[at + 1..].iter().for_each(|b| conflict(*a, *b));
            }
        }
        for a in &at_start {
            kept.iter().filter(|b| *b != a).for_each(|b| conflict(*a, *b));
        }
        for (at, node) in self.nodes.iter().enumerate() {
            let mut defined = Vec::new();
            match node {
                Node::Set { into, .. } => defined.push(*into),
                Node::Step { op, .. } => results(op, &mut |reg| defined.push(reg)),
                _ => {}
            }
            for (index, into) in defined.iter().enumerate() {
                defined[index + 1..].iter().for_each(|other| conflict(*into, *other));
                for other in
                    order.iter().filter(|other| *other != into && live[at].contains(**other))
                {
                    conflict(*into, *other);
                }
            }
        }
        let mut colours: HashMap<Reg, Reg> = HashMap::new();
        let mut signed: Vec<bool> = Vec::new();
        // What lives to the end keeps a register of its own.
        for reg in order {
            let taken: Vec<Reg> = conflicts
                .get(&reg)
                .map(|list| list.iter().filter_map(|other| colours.get(other).copied()).collect())
                .unwrap_or_default();
            let wanted = self.signed[reg.0 as usize];
            let free = (0..signed.len())
                .find(|at| signed[*at] == wanted && !taken.contains(&Reg(*at as u16)));
            let colour = free.unwrap_or_else(|| {
                signed.push(wanted);
                signed.len() - 1
            });
            colours.insert(reg, Reg(colour as u16));
        }
        colours
    }

    fn before_start(&self, live: &[Set], reg: Reg) -> bool {
        let mut read = live[self.start].contains(reg);
        let mut set = false;
        match &self.nodes[self.start] {
            Node::Set { value, into, .. } => {
                set = *into == reg;
                value.registers(&mut |r| read |= r == reg);
            }
            Node::Branch { condition, .. } => condition.registers(&mut |r| read |= r == reg),
            Node::Step { op, .. } => {
                results(op, &mut |r| set |= r == reg);
                operands(op, &mut |value| value.registers(&mut |r| read |= r == reg));
            }
            _ => {}
        }
        read && !set || self.variables.iter().any(|v| v.register == Some(reg))
    }

    fn code(mut self, live: &[Set]) -> ThreadCode {
        let colours = self.colours(live);
        let name = |reg: Reg| colours.get(&reg).copied().unwrap_or(Reg(0));
        let count = colours.values().map(|reg| reg.0 as usize + 1).max().unwrap_or(0);
        let mut signed = vec![false; count];
        for (reg, colour) in &colours {
            signed[colour.0 as usize] = self.signed[reg.0 as usize];
        }
        // The end is number 0; steps follow in the order of the text.
        let end = self.nodes.iter().position(|node| *node == Node::End);
        let end = end.unwrap_or_else(|| {
            self.nodes.push(Node::End);
            self.nodes.len() - 1
        });
        let mut steps = vec![end];
        let mut kept: Vec<Vec<Reg>> = vec![
            self.variables.iter().filter_map(|variable| variable.register.map(name)).collect(),
        ];
        for (at, live) in live.iter().enumerate() {
            if !matches!(self.nodes[at], Node::Step { .. }) {
                continue;
            }
            let mut needed = Vec::new();
            for reg in colours.keys().copied() {
                let mut used = live.contains(reg);
                if let Node::Step { op, fault, .. } = &self.nodes[at] {
                    let mut defined = false;
                    results(op, &mut |r| defined |= r == reg);
                    used &= !(defined && fault.is_none());
                    operands(op, &mut |value| value.registers(&mut |r| used |= r == reg));
                }
                if used {
                    needed.push(name(reg));
                }
            }
            kept.push(needed);
            let number = steps.len();
            steps.push(at);
            if let Node::Step { op, number: own, .. } = &mut self.nodes[at] {
                *own = number;
                operands_mut(op, &mut |value| value.rename(&name));
                rename_results(op, &name);
            }
        }
        for node in &mut self.nodes {
            match node {
                Node::Set { value, into, .. } => {
                    value.rename(&name);
                    *into = name(*into);
                }
                Node::Branch { condition, .. } => condition.rename(&name),
                _ => {}
            }
        }
        let all = (0..count).map(|reg| Reg(reg as u16));
        let dead = kept
            .iter()
            .map(|kept| all.clone().filter(|reg| !kept.contains(reg)).collect())
            .collect();
        let initial = self.initial.iter().map(|(reg, value)| (name(*reg), *value)).collect();
        let mut variables = self.variables;
        for variable in &mut variables {
            variable.register = variable.register.map(name);
        }
        ThreadCode { nodes: self.nodes, start: self.start, signed, initial, steps, dead, variables }
    }
}

/// Registers, as bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Set(Vec<u64>);

impl Set {
    fn contains(&self, reg: Reg) -> bool {
        self.0[reg.0 as usize / 64] >> (reg.0 % 64) & 1 != 0
    }
    fn insert(&mut self, reg: Reg) {
        self.0[reg.0 as usize / 64] |= 1 << (reg.0 % 64);
    }
    fn remove(&mut self, reg: Reg) {
        self.0[reg.0 as usize / 64] &= !(1 << (reg.0 % 64));
    }
    fn add(&mut self, other: &Set) {
        self.0.iter_mut().zip(&other.0).for_each(|(mine, theirs)| *mine |= theirs);
    }
}

fn substitute(value: &mut Expr, known: &HashMap<Reg, i64>) {
    let mut uses = false;
    value.registers(&mut |reg| uses |= known.contains_key(&reg));
    if !uses {
        return;
    }
    fn walk(value: &mut Expr, known: &HashMap<Reg, i64>) {
        match value {
            Expr::Const(_) => {}
            Expr::Reg(reg) => {
                if let Some(constant) = known.get(reg) {
                    *value = Expr::Const(*constant);
                }
            }
            Expr::Unary(_, inner)
            | Expr::ChangeEntry(_, inner)
            | Expr::AskEntry(_, inner)
            | Expr::EntryPage(inner) => walk(inner, known),
            Expr::Binary(_, left, right) | Expr::MakeEntry(left, right, _) => {
                walk(left, known);
                walk(right, known);
            }
        }
    }
    walk(value, known);
    *value = std::mem::replace(value, Expr::Const(0)).folded();
}

pub(super) fn successors(node: &Node) -> Vec<NodeId> {
    match node {
        Node::Step { next, fault, .. } => fault.iter().copied().chain([*next]).collect(),
        Node::Set { next, .. } | Node::Jump(next) => vec![*next],
        Node::Branch { yes, no, .. } => vec![*yes, *no],
        Node::End => Vec::new(),
    }
}

/// Calls `each` with every expression of a step.
pub(super) fn operands_mut(op: &mut Op, each: &mut dyn FnMut(&mut Expr)) {
    let range = |range: &mut Range, each: &mut dyn FnMut(&mut Expr)| {
        each(&mut range.start);
        each(&mut range.end);
    };
    let entry = |entry: &mut EntryAt, each: &mut dyn FnMut(&mut Expr)| match entry {
        EntryAt::Lower(pointer) | EntryAt::Upper(pointer) | EntryAt::Soft(_, pointer) => {
            each(pointer)
        }
    };
    match op {
        Op::Access { pointer, index, access, .. } => {
            each(pointer);
            each(index);
            match access {
                Access::Load(_) => {}
                Access::Store(_, value)
                | Access::Rmw(_, value, ..)
                | Access::Exchange(value, _) => each(value),
                Access::CompareExchange(a, b, _) | Access::AddUnless(a, b) => {
                    each(a);
                    each(b);
                }
            }
        }
        Op::Lock { lock, .. } => match lock {
            LockAt::Pointer(value) | LockAt::Page(value) | LockAt::Rmap(value) => each(value),
            LockAt::Mmap(_) => {}
        },
        Op::Life { object, .. } => each(object),
        Op::GetPage { page }
        | Op::PutPage { page }
        | Op::ClearPage { page }
        | Op::PageCount { page, .. }
        | Op::Dirty { page, .. }
        | Op::Unpin { page }
        | Op::Pinned { page, .. }
        | Op::GatherPage { page } => each(page),
        Op::CopyPage { to, from } | Op::MoveMarks { to, from } => {
            each(to);
            each(from);
        }
        Op::SamePages { left, right, .. } => {
            each(left);
            each(right);
        }
        Op::PageWrite { page, index, value } => {
            each(page);
            each(index);
            each(value);
        }
        Op::PageRead { page, index, .. } => {
            each(page);
            each(index);
        }
        Op::MapEntry { address, .. }
        | Op::PageBehind { address, .. }
        | Op::Probe { address, .. }
        | Op::EnterFault { address, .. }
        | Op::AskRights { address, .. } => each(address),
        Op::EntryOfTable { table, address, .. } => {
            each(table);
            each(address);
        }
        Op::EntryLock { entry: at, .. }
        | Op::ReadEntry { entry: at, .. }
        | Op::ClearEntry { entry: at, .. }
        | Op::Flags { entry: at, .. }
        | Op::WriteBack { entry: at }
        | Op::WriteProtectEntry { entry: at } => entry(at, each),
        Op::ExchangeEntry { entry: at, expected, value, .. } => {
            entry(at, each);
            expected.iter_mut().for_each(&mut *each);
            each(value);
        }
        Op::SetEntry { entry: at, value } | Op::SetAccessFlags { entry: at, value, .. } => {
            entry(at, each);
            each(value);
        }
        Op::Populate { entry, table } => {
            each(entry);
            each(table);
        }
        Op::PostWrite { value, .. } => each(value),
        Op::FreeTable { table } => each(table),
        Op::FlushCpu { range: at, .. } | Op::FlushContext { range: at, .. } => {
            if let Some(at) = at {
                range(at, each);
            }
        }
        Op::FlushCache { range: at, tag, .. } => {
            tag.iter_mut().for_each(&mut *each);
            if let Some(at) = at {
                range(at, each);
            }
        }
        Op::Post { range: at, tag, .. } => {
            tag.iter_mut().for_each(&mut *each);
            range(at, each);
        }
        Op::LoadRoot { tag, .. } => each(tag),
        Op::SoftZap { range: at, .. } => range(at, each),
        Op::SoftInstall { address, page, rights, .. } => {
            each(address);
            each(page);
            each(rights);
        }
        Op::SetRights { address, rights, .. } => {
            each(address);
            each(rights);
        }
        Op::ForkEntries { address, .. } => address.iter_mut().for_each(each),
        Op::SetChildEntry { address, value, .. } => {
            each(address);
            each(value);
        }
        Op::Begin { arguments, .. } => arguments.iter_mut().for_each(each),
        Op::Warn { condition } => each(condition),
        Op::Fence(_)
        | Op::Enter { .. }
        | Op::Leave { .. }
        | Op::GraceStart { .. }
        | Op::GraceWait { .. }
        | Op::Lazy { .. }
        | Op::Alloc { .. }
        | Op::AllocTable { .. }
        | Op::Choose { .. }
        | Op::RangeOpen { .. }
        | Op::RangeClose { .. }
        | Op::Sync { .. }
        | Op::GatherStart
        | Op::GatherFlush { .. }
        | Op::GatherFree
        | Op::Born { .. }
        | Op::Moment { .. }
        | Op::Return { .. }
        | Op::Fail(_) => {}
    }
}

/// Calls `each` with every expression that a step computes.
pub fn operands(op: &Op, each: &mut dyn FnMut(&Expr)) {
    // One list of the fields is enough to keep right.
    let mut copy = op.clone();
    operands_mut(&mut copy, &mut |value| each(value));
}

/// Where a step's results go.
fn slots(op: &mut Op) -> Vec<&mut Option<Reg>> {
    match op {
        Op::Access { into, .. }
        | Op::Lock { into, .. }
        | Op::Enter { into, .. }
        | Op::Alloc { into, .. }
        | Op::SamePages { into, .. }
        | Op::PageRead { into, .. }
        | Op::PageCount { into, .. }
        | Op::Dirty { into, .. }
        | Op::Flags { into, .. }
        | Op::ExchangeEntry { into, .. }
        | Op::Pinned { into, .. }
        | Op::Choose { into, .. }
        | Op::EntryOfTable { into, .. }
        | Op::EntryLock { into, .. }
        | Op::ReadEntry { into, .. }
        | Op::ClearEntry { into, .. }
        | Op::SetAccessFlags { into, .. }
        | Op::AllocTable { into, .. }
        | Op::PageBehind { into, .. }
        | Op::AskRights { into, .. }
        | Op::EnterFault { value: into, .. } => vec![into],
        Op::MapEntry { into, lock, .. } => {
            let mut list = vec![into];
            list.extend(lock.as_mut());
            list
        }
        Op::GatherFlush { start, end, .. } => vec![start, end],
        _ => Vec::new(),
    }
}

/// Calls `each` with every register that a step's results go to.
pub fn results(op: &Op, each: &mut dyn FnMut(Reg)) {
    let mut copy = op.clone();
    slots(&mut copy).into_iter().flatten().for_each(|reg| each(*reg));
}

fn drop_results(op: &mut Op, keep: &mut dyn FnMut(Reg) -> bool) {
    for slot in slots(op) {
        if slot.is_some_and(|reg| !keep(reg)) {
            *slot = None;
        }
    }
}

fn rename_results(op: &mut Op, name: &dyn Fn(Reg) -> Reg) {
    for slot in slots(op) {
        *slot = slot.map(name);
    }
}
