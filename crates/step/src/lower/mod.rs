//! From a checked program to steps.
//!
//! Every call is written out: functions, callbacks of subscribers, and at each
//! access that may fault its handler. So a thread is one graph over registers,
//! without a stack, and most addresses are constants. What one call site and
//! another call of the same function do not share costs code, not states.
//!
//! There are three targets. For the machine everything is written out; for ideal
//! memory a function with a contract is its specification, faults do not
//! exist, and code without a contract that touches tables is refused. The order
//! of locks (`order.rs`) has the machine's steps and some that no machine has.

mod actions;
mod calls;
mod contexts;
mod entries;
mod faults;
pub(crate) mod live;
mod locks;
mod objects;
mod order;
mod sites;
mod telling;
mod values;

pub use objects::WALK;
pub use telling::{Moment, Tells};

use std::collections::HashMap;

use shootdown_litmus::primitives::{Order, Primitive, Tag, primitive};
use shootdown_litmus::program::{Body, FieldId, Function, FunctionId, GlobalId, OpKind, PlaceKind};
use shootdown_litmus::{Name, Narrow, Program, Span, Type};

use crate::code::{ContractCall, Node, NodeId, Refusal, Site, ThreadCode, Variable};
use crate::expr::{Expr, Reg};
use crate::memory::MemoryModel;
use crate::op::{Access, Op};
use crate::shape::{ObjectShape, ReaderDomain, Shape};

/// What the steps are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// The machine: page tables, TLBs, kernel code.
    Machine,
    /// Ideal memory: contracts instead of the functions that state them.
    Ideal,
    /// The order of locks: as for the machine, with steps that say where a
    /// thread is and what it may wait for. No machine runs this.
    Order,
}

/// What the kernel and the memory model make of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dials {
    /// What a fence orders: nothing under `sc`, so it is no step there.
    pub model: MemoryModel,
    /// A CPU flush tells the secondary TLBs (since 6.6).
    pub cpu_flush_notifies: bool,
    /// `range_end` tells them (until 6.5).
    pub range_end_invalidates: bool,
    /// When the secondary TLBs are told.
    pub tells: Tells,
    /// If a subscriber refuses a range, those that took it get its end.
    pub failed_start_ends: bool,
    /// A CPU flush is sent as an interrupt.
    pub flush_by_ipi: bool,
}

/// A program as steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lowered {
    /// What there is.
    pub shape: Shape,
    /// What each thread does.
    pub threads: Vec<ThreadCode>,
    /// Calls of functions with a contract.
    pub contracts: Vec<ContractCall>,
    /// Why ideal memory has no answer; `None` for the machine.
    pub refusal: Option<Refusal>,
    /// What the reader of a verdict has to know.
    pub notes: Vec<String>,
}

/// The checker has no meaning for this yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// One sentence.
    pub why: String,
    /// Where.
    pub span: Span,
}

type Result<T> = std::result::Result<T, Unsupported>;

/// Makes steps of a program.
///
/// # Errors
///
/// The first thing that the checker has no meaning for.
pub fn lower(program: &Program, target: Target, dials: Dials) -> Result<Lowered> {
    if let Some(not_covered) = program.not_covered.first() {
        let why = format!("`{}`: {}", not_covered.primitive.name, not_covered.why);
        return Err(Unsupported { why, span: not_covered.span });
    }
    let local =
        program.functions.iter().map(|f| &f.body).chain(program.threads.iter().map(|t| &t.body));
    let local_flushes = local.flat_map(|body| &body.ops).any(|op| {
        use shootdown_litmus::primitives::{Action, FlushScope};
        matches!(&op.kind, OpKind::Primitive { primitive, .. }
            if primitive.action == Action::Flush(FlushScope::LocalPage))
    });
    let shape = Shape::of(program, local_flushes);
    let mut lowering = Lowering {
        program,
        target,
        dials,
        shape,
        contracts: Vec::new(),
        refusal: None,
        notes: Vec::new(),
        sites: HashMap::new(),
        tables: HashMap::new(),
    };
    lowering.shape.two_levels |= lowering.uses_upper_entries();
    if lowering.turns_interrupts_off() {
        // Known before the first flush is written out.
        lowering.shape.readers(ReaderDomain::Interrupts);
    }
    if target == Target::Ideal {
        lowering.zero_frames();
    }
    let threads = (0..program.threads.len())
        .map(|thread| Builder::new(&mut lowering, thread).thread())
        .collect::<Result<Vec<_>>>()?;
    let Lowering { mut shape, contracts, refusal, notes, .. } = lowering;
    let mut contracts = contracts;
    if target == Target::Ideal {
        objects(&mut shape, &mut contracts);
    }
    for frame in &mut shape.frames {
        let rest = if frame.site.is_some() { None } else { Some(0) };
        frame.words.resize(shape.words_per_frame, rest);
    }
    let mut lowered = Lowered { shape, threads, contracts, refusal, notes };
    contexts::admit(&mut lowered, program, target, dials)?;
    Ok(lowered)
}

/// Ideal memory: what a call leaves behind has words of its own.
fn objects(shape: &mut Shape, contracts: &mut [ContractCall]) {
    use shootdown_litmus::program::ContractKind as K;
    for call in contracts {
        if !matches!(call.kind, K::Zap | K::Fork | K::ForkPerPage) {
            continue;
        }
        for page in 0..shape.pages.len() {
            call.objects.push(shape.frames.len());
            shape.frames.push(crate::shape::Frame {
                name: format!("{} after the call", shape.pages[page].name).into(),
                words: vec![Some(0); shape.words_per_frame],
                references: 0,
                immortal: false,
                owner: None,
                kept: crate::shape::Kept::Nowhere,
                site: Some(usize::MAX),
            });
        }
    }
}

struct Lowering<'p> {
    program: &'p Program,
    target: Target,
    dials: Dials,
    shape: Shape,
    contracts: Vec<ContractCall>,
    refusal: Option<Refusal>,
    notes: Vec<String>,
    /// Frames of each place that allocates: how many times it was written out,
    /// by thread.
    sites: HashMap<(usize, Span), (usize, usize)>,
    /// The table of each place that allocates one.
    tables: HashMap<(usize, Span), usize>,
}

impl Lowering<'_> {
    /// Whether the text calls a primitive of this sort anywhere.
    fn calls(&self, which: impl Fn(&Primitive) -> bool) -> bool {
        let bodies = self.program.functions.iter().map(|function| &function.body);
        let threads = self.program.threads.iter().map(|thread| &thread.body);
        let mut ops = bodies.chain(threads).flat_map(|body| &body.ops);
        ops.any(|op| matches!(&op.kind, OpKind::Primitive { primitive, .. } if which(primitive)))
    }

    fn turns_interrupts_off(&self) -> bool {
        use shootdown_litmus::primitives::{Action, ReaderOp, Readers, Section};
        let off = Action::Reader(Readers::Interrupts, ReaderOp::Enter);
        let handler = Action::Section(Section::Interrupt, ReaderOp::Enter);
        self.calls(|row| row.action == off || row.action == handler || row.has(Tag::Interrupts))
    }

    fn uses_upper_entries(&self) -> bool {
        use shootdown_litmus::primitives::{Action, Level};
        self.calls(|primitive| {
            matches!(
                primitive.action,
                Action::Populate
                    | Action::AllocTable
                    | Action::FreeTable
                    | Action::SetEntry(Level::Pmd, _)
                    | Action::ReadEntry(Level::Pmd)
                    | Action::WriteProtectEntry(Level::Pmd)
                    | Action::TestAndClear(Level::Pmd, _)
                    | Action::ExchangeEntry(Level::Pmd)
                    | Action::WriteBack(Level::Pmd)
                    | Action::ClearEntry { level: Level::Pmd, .. }
            )
        })
    }

    /// Ideal memory: every name has words of its own, whatever frame it shares
    /// until the first write. Names with the same shared backing keep sharing.
    fn zero_frames(&mut self) {
        let mut owner: HashMap<usize, usize> = HashMap::new();
        // A private mapping of a page of a file has words of its own, wherever it
        // is declared.
        for (page, is) in self.shape.pages.iter().enumerate().filter(|(_, page)| page.shared) {
            if let Some(frame) = is.frame {
                owner.entry(frame).or_insert(page);
            }
        }
        for page in 0..self.shape.pages.len() {
            let Some(frame) = self.shape.pages[page].frame else { continue };
            let first = *owner.entry(frame).or_insert(page);
            if first == page || self.shape.pages[page].shared {
                continue;
            }
            let mut copy = self.shape.frames[frame].clone();
            copy.name = format!("{} of {}", copy.name, self.shape.pages[page].name).into();
            self.shape.frames.push(copy);
            self.shape.pages[page].frame = Some(self.shape.frames.len() - 1);
        }
    }
}

/// What a local of a body is.
#[derive(Clone, Debug)]
enum Binding {
    Value(Expr),
    Record(usize),
    /// A record that all threads see.
    Shared(GlobalId),
    /// A record pointer that was not set yet.
    NoRecord,
}

/// A record, as far as a pointer to it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RecordRef {
    /// A variable of the thread.
    Private(usize),
    /// A record that all threads see.
    Shared(GlobalId),
}

/// The locals of one copy of a body.
#[derive(Clone, Debug)]
struct Env {
    locals: Vec<Binding>,
}

impl From<RecordRef> for Binding {
    fn from(record: RecordRef) -> Binding {
        match record {
            RecordRef::Private(record) => Binding::Record(record),
            RecordRef::Shared(global) => Binding::Shared(global),
        }
    }
}

struct Builder<'l, 'p> {
    cx: &'l mut Lowering<'p>,
    thread: usize,
    space: usize,
    nodes: Vec<Node>,
    signed: Vec<bool>,
    /// Records of the thread: their fields.
    records: Vec<HashMap<FieldId, Expr>>,
    /// What the notification that is being written out is for, and who does it:
    /// `event` and `owner` of its range.
    range_says: [Expr; 2],
    functions: Vec<FunctionId>,
    /// Handlers that are being written out.
    handlers: Vec<FunctionId>,
    /// Results that only a contract could know.
    unknown: Vec<(Reg, Span, Name)>,
    /// Functions with a contract that are being written out.
    promised: usize,
    /// Choices that ideal memory makes as well.
    choices: Vec<Choice>,
    /// Fields of shared records that an expression reads: where each is kept,
    /// and its place. They are read before whatever comes next.
    reads: Vec<(Reg, Expr, Expr, Span)>,
    /// The flags of the call that is being written out say that it waits for
    /// nothing.
    atomic: bool,
}

/// A choice of a thread.
#[derive(Clone, Debug)]
struct Choice {
    node: NodeId,
    /// Where what was chosen stays.
    kept: Reg,
    span: Span,
}

/// Where the next node goes.
type Cursor = NodeId;

impl<'l, 'p> Builder<'l, 'p> {
    fn new(cx: &'l mut Lowering<'p>, thread: usize) -> Self {
        let space = cx.shape.agents[thread].space;
        Builder {
            cx,
            thread,
            space,
            nodes: Vec::new(),
            signed: Vec::new(),
            records: Vec::new(),
            range_says: [Expr::Const(0), Expr::Const(0)],
            functions: Vec::new(),
            handlers: Vec::new(),
            unknown: Vec::new(),
            promised: 0,
            choices: Vec::new(),
            reads: Vec::new(),
            atomic: false,
        }
    }

    /// Reads what the expressions so far need of shared records.
    fn read_fields(&mut self, at: &mut Cursor) {
        let name: Name = "load".into();
        for (into, pointer, index, span) in std::mem::take(&mut self.reads) {
            let access = Access::Load(Order::Once);
            self.step(at, Op::Access { into: Some(into), pointer, index, access }, span, &name);
        }
    }

    fn thread(mut self) -> Result<ThreadCode> {
        let program = self.cx.program;
        let thread = &program.threads[self.thread];
        let end = self.fresh();
        self.nodes[end] = Node::End;
        let env = self.locals(&thread.body, Vec::new());
        let start = self.body(&thread.body, env.clone(), end, None)?;
        let mut variables = Vec::new();
        for (at, local) in thread.body.locals.iter().enumerate() {
            let (Some(name), Binding::Value(Expr::Reg(reg))) = (&local.name, &env.locals[at])
            else {
                continue;
            };
            let promised = thread.body.ops.iter().any(|op| match &op.kind {
                OpKind::Call { into: Some(into), function, .. } => {
                    into.index() == at && program.functions[function.index()].contract.is_some()
                }
                _ => false,
            });
            let number = matches!(local.ty, Type::Int | Type::Long) && !promised;
            variables.push(Variable {
                local: at as u32,
                name: name.clone(),
                register: Some(*reg),
                number,
            });
        }
        for (at, choice) in std::mem::take(&mut self.choices).into_iter().enumerate() {
            if self.leads_back(choice.node) {
                // Only the last of several choices would be compared.
                self.refuse("a choice in a loop is not compared with ideal memory", choice.span);
            }
            variables.push(Variable {
                local: u32::MAX,
                name: format!("choice{}", at + 1).into(),
                register: Some(choice.kept),
                number: true,
            });
        }
        let mut initial = Vec::new();
        for (local, value) in &thread.init {
            if let Binding::Value(Expr::Reg(reg)) = &env.locals[local.index()] {
                initial.push((*reg, self.cx.shape.initial(value)));
            }
        }
        let graph =
            live::Graph { nodes: self.nodes, signed: self.signed, start, initial, variables };
        let (code, kept) = graph.finish(&self.unknown);
        if let Some((span, name)) = kept
            && self.cx.target == Target::Ideal
        {
            let why =
                format!("the result of `{name}` is used, and its contract does not say what it is");
            self.cx.refusal.get_or_insert(Refusal { why, span });
        }
        Ok(code)
    }

    /// Whether a node can be reached from itself.
    fn leads_back(&self, node: NodeId) -> bool {
        let mut seen = vec![false; self.nodes.len()];
        let mut open = live::successors(&self.nodes[node]);
        while let Some(at) = open.pop() {
            if at == node {
                return true;
            }
            if !std::mem::replace(&mut seen[at], true) {
                open.extend(live::successors(&self.nodes[at]));
            }
        }
        false
    }

    fn refuse(&mut self, why: impl Into<String>, span: Span) {
        if self.cx.target == Target::Ideal && self.cx.refusal.is_none() {
            self.cx.refusal = Some(Refusal { why: why.into(), span });
        }
    }

    fn fresh(&mut self) -> NodeId {
        self.nodes.push(Node::End);
        self.nodes.len() - 1
    }

    fn register(&mut self, ty: Type) -> Reg {
        self.signed.push(matches!(ty, Type::Int | Type::Long | Type::Any));
        Reg(u16::try_from(self.signed.len() - 1).expect("fewer than 65,536 registers"))
    }

    fn set(&mut self, at: &mut Cursor, into: Reg, value: Expr) {
        self.read_fields(at);
        let next = self.fresh();
        self.nodes[*at] = Node::Set { value, into, next };
        *at = next;
    }

    fn step(&mut self, at: &mut Cursor, op: Op, span: Span, name: &Name) -> NodeId {
        self.read_fields(at);
        let next = self.fresh();
        let sleeps = !self.atomic && primitive(name).is_some_and(|row| row.has(Tag::Sleeps));
        let site = Site { span, functions: self.functions.clone(), name: name.clone(), sleeps };
        self.nodes[*at] = Node::Step { op, next, fault: None, number: 0, site };
        std::mem::replace(at, next)
    }

    /// The locals of a body, with its arguments.
    fn locals(&mut self, body: &Body, arguments: Vec<Binding>) -> Env {
        let mut locals = Vec::new();
        let mut arguments = arguments.into_iter();
        for (at, local) in body.locals.iter().enumerate() {
            let binding = match arguments.next() {
                Some(Binding::Value(value)) => {
                    let value = match local.narrow {
                        Some(narrow) => wrapped(narrow, value),
                        None => value,
                    };
                    // A parameter that is never assigned is its argument.
                    let assigned = at >= body.parameters || assigns(body, at);
                    match value {
                        Expr::Const(_) if !assigned => Binding::Value(value),
                        _ => Binding::Value(Expr::Reg(self.register(local.ty))),
                    }
                }
                Some(other) => other,
                None if local.owns_record => {
                    self.records.push(HashMap::new());
                    Binding::Record(self.records.len() - 1)
                }
                None if matches!(local.ty, Type::Record(_)) => Binding::NoRecord,
                None => Binding::Value(Expr::Reg(self.register(local.ty))),
            };
            locals.push(binding);
        }
        Env { locals }
    }

    /// Writes a body out; gives where it begins. `after` is where it returns
    /// to.
    fn body(
        &mut self,
        body: &Body,
        mut env: Env,
        after: NodeId,
        result: Option<Reg>,
    ) -> Result<NodeId> {
        let starts: Vec<NodeId> = body.ops.iter().map(|_| self.fresh()).collect();
        for (index, op) in body.ops.iter().enumerate() {
            let mut at = starts[index];
            let span = op.span;
            match &op.kind {
                OpKind::Set { local, value } => {
                    if let Type::Record(_) = value.ty {
                        let record = self.record(&env, value)?;
                        let known = match &env.locals[local.index()] {
                            Binding::Record(old) => Some(RecordRef::Private(*old)),
                            Binding::Shared(old) => Some(RecordRef::Shared(*old)),
                            _ => None,
                        };
                        match (known, record) {
                            (Some(old), Some(new)) if old != new => {
                                return unsupported("a record pointer that changes", span);
                            }
                            (None, Some(new)) => env.locals[local.index()] = new.into(),
                            _ => {}
                        }
                    } else {
                        let value = self.expr(&env, value)?;
                        let into = self.target(&env, local.index(), span)?;
                        if let Some(into) = into {
                            self.set(&mut at, into, value);
                        }
                    }
                }
                OpKind::SetField { record, field, value } => {
                    let value = match value.ty {
                        Type::Record(_) => return unsupported("a record inside of a record", span),
                        _ => self.expr(&env, value)?,
                    };
                    if let Some(RecordRef::Shared(global)) = self.record(&env, record)? {
                        let pointer = Expr::Const(self.cx.shape.address_of(global.0));
                        let index = Expr::Const(i64::from(field.0));
                        let access = Access::Store(Order::Once, value);
                        let name: Name = "store".into();
                        let op = Op::Access { into: None, pointer, index, access };
                        self.step(&mut at, op, span, &name);
                    } else {
                        let into = self.field_register(&env, record, *field)?;
                        self.set(&mut at, into, value);
                    }
                }
                OpKind::Load { into, place } => {
                    let into = self.target(&env, into.index(), span)?;
                    self.access(&mut at, &env, place, Access::Load(Order::Once), into, span)?;
                }
                OpKind::Store { place, value } => {
                    let value = self.expr(&env, value)?;
                    self.access(
                        &mut at,
                        &env,
                        place,
                        Access::Store(Order::Once, value),
                        None,
                        span,
                    )?;
                }
                OpKind::Primitive { into, primitive, args } => {
                    let into = match into {
                        Some(local) => self.target(&env, local.index(), span)?,
                        None => None,
                    };
                    self.primitive(&mut at, &env, primitive, args, into, span)?;
                }
                OpKind::Call { into, function, args } => {
                    let into = match into {
                        Some(local) => self.target(&env, local.index(), span)?,
                        None => None,
                    };
                    let mut arguments = Vec::new();
                    for arg in args {
                        arguments.push(self.argument(&env, arg)?);
                    }
                    self.call(&mut at, *function, arguments, into, span)?;
                }
                OpKind::Jump(to) => {
                    self.nodes[at] = Node::Jump(starts[to.index()]);
                    continue;
                }
                OpKind::Branch { condition, yes, no } => {
                    let condition = self.expr(&env, condition)?;
                    self.read_fields(&mut at);
                    let (yes, no) = (starts[yes.index()], starts[no.index()]);
                    self.nodes[at] = match condition.constant() {
                        Some(0) => Node::Jump(no),
                        Some(_) => Node::Jump(yes),
                        None => Node::Branch { condition, yes, no },
                    };
                    continue;
                }
                OpKind::Return(value) => {
                    if let (Some(value), Some(into)) = (value, result) {
                        let value = self.expr(&env, value)?;
                        self.set(&mut at, into, value);
                    }
                    self.read_fields(&mut at);
                    self.nodes[at] = Node::Jump(after);
                    continue;
                }
            }
            self.wrap_result(&mut at, body, &env, &op.kind);
            let next = starts.get(index + 1).copied().unwrap_or(after);
            self.read_fields(&mut at);
            self.nodes[at] = Node::Jump(next);
        }
        Ok(starts.first().copied().unwrap_or(after))
    }

    /// A narrow local keeps the lowest bits of what was put into it.
    fn wrap_result(&mut self, at: &mut Cursor, body: &Body, env: &Env, op: &OpKind) {
        let into = match op {
            OpKind::Set { local, .. } | OpKind::Load { into: local, .. } => Some(*local),
            OpKind::Primitive { into, .. } | OpKind::Call { into, .. } => *into,
            _ => None,
        };
        if let Some(local) = into
            && let Some(narrow) = body.locals[local.index()].narrow
            && let Binding::Value(Expr::Reg(reg)) = env.locals[local.index()]
        {
            self.set(at, reg, wrapped(narrow, Expr::Reg(reg)));
        }
    }

    /// The function of a name, if the file has it.
    fn function(&self, name: &str) -> Option<(FunctionId, &'p Function)> {
        let list = &self.cx.program.functions;
        let at = list.iter().position(|function| &*function.name == name)?;
        Some((FunctionId(at as u32), &list[at]))
    }

    /// What an object of the file is, known before the test runs.
    fn object(&self, value: &Expr, span: Span) -> Result<ObjectShape> {
        match value.constant().and_then(|number| usize::try_from(number - 1).ok()) {
            Some(object) if object < self.cx.shape.objects.len() => {
                Ok(self.cx.shape.objects[object])
            }
            _ => unsupported("a TLB or queue that is chosen while the test runs", span),
        }
    }
}

fn sum(left: Expr, right: Expr) -> Expr {
    use shootdown_litmus::program::BinaryOp;
    if right == Expr::Const(0) {
        return left;
    }
    Expr::Binary(BinaryOp::Add, Box::new(left), Box::new(right)).folded()
}

/// A number as a narrow type holds it.
fn wrapped(narrow: Narrow, value: Expr) -> Expr {
    use shootdown_litmus::program::BinaryOp as B;
    let step = |op, left: Expr, number| {
        Expr::Binary(op, Box::new(left), Box::new(Expr::Const(number))).folded()
    };
    let low = step(B::And, value, narrow.mask());
    match narrow.sign() {
        0 => low,
        sign => step(B::Subtract, step(B::Xor, low, sign), sign),
    }
}

fn unsupported<T>(why: impl Into<String>, span: Span) -> Result<T> {
    Err(Unsupported { why: why.into(), span })
}

/// Whether a body assigns one of its locals.
fn assigns(body: &Body, local: usize) -> bool {
    use shootdown_litmus::program::Arg;
    body.ops.iter().any(|op| {
        let direct = match &op.kind {
            OpKind::Set { local: into, .. } | OpKind::Load { into, .. } => Some(*into),
            OpKind::Primitive { into, .. } | OpKind::Call { into, .. } => *into,
            _ => None,
        };
        let out = match &op.kind {
            OpKind::Primitive { args, .. } => args.iter().any(|arg| match arg {
                Arg::Out(place) => {
                    matches!(place.kind, PlaceKind::Local(id) if id.index() == local)
                }
                _ => false,
            }),
            _ => false,
        };
        out || direct.is_some_and(|into| into.index() == local)
    })
}
