//! A checked program: what the machine is built from.
//!
//! Names are numbers, every call is tied to a function or a row of the
//! primitive table, and bodies are flat lists of [`Op`]s. Between two ops
//! nothing happens that another thread could see: expressions read locals and
//! constants only, and everything else is an op of its own, in the order of
//! evaluation. `&&`, `||`, `?:`, `switch`, loops and `goto` are branches.

use crate::diag::Diagnostics;
use crate::expect::Expectations;
use crate::header::Header;
use crate::lex::Name;
use crate::primitives::Primitive;
use crate::source::{Files, Span};
use crate::types::{RecordId, TlbKind, Type};
use crate::variant::Variant;

pub use crate::ast::Quantifier;
pub use crate::steps::{
    Arg, BinaryOp, Body, Expr, ExprKind, Local, Op, OpKind, Place, PlaceKind, UnaryOp,
};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u32);

        impl $name {
            /// As an index.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

ids! {
    /// An index into [`Program::globals`].
    GlobalId
    /// An index into [`Program::objects`].
    ObjectId
    /// An index into [`Program::spaces`]; 0 is `mm`.
    SpaceId
    /// An index into [`Program::frames`].
    FrameId
    /// An index into [`Program::functions`].
    FunctionId
    /// An index into [`Program::threads`].
    ThreadId
    /// An index into [`Body::locals`].
    LocalId
    /// An index into [`Record::fields`].
    FieldId
    /// An index into [`Body::ops`].
    OpId
}

/// A test, for one variant.
#[derive(Clone, Debug)]
pub struct Program {
    /// What the file says about itself.
    pub header: Header,
    /// Which variant this is.
    pub variant: Variant,
    /// The texts, to turn spans into lines.
    pub files: Files,
    /// Address spaces; the first is `mm`.
    pub spaces: Vec<Space>,
    /// Physical pages that have a name.
    pub frames: Vec<Frame>,
    /// Memory that has a name: mapped pages and words.
    pub globals: Vec<Global>,
    /// TLBs, queues and devices.
    pub objects: Vec<Object>,
    /// Which entries share a lock. Entries in no group have one each.
    pub table_locks: Vec<TableLock>,
    /// `param` lines.
    pub params: Vec<Param>,
    /// `model` lines; empty means any.
    pub models: Vec<(Name, Span)>,
    /// Records, with all fields that the text uses.
    pub records: Vec<Record>,
    /// Functions, in the order of the text; they never call in circles.
    pub functions: Vec<Function>,
    /// Threads: `P`, `D`, `V`, by number.
    pub threads: Vec<Thread>,
    /// Who is told of changes.
    pub subscriptions: Vec<Subscription>,
    /// Who handles faults.
    pub faults: Vec<FaultHandler>,
    /// `locations [...]`.
    pub locations: Vec<Observed>,
    /// `filter`: runs that do not fulfil it do not count.
    pub filter: Option<Prop>,
    /// The question. Without one, as in herd, `forall (true)`.
    pub condition: Option<Condition>,
    /// The `expect` table.
    pub expectations: Expectations,
    /// The texts of all that stands behind the program: condition, filter,
    /// locations, expectations.
    pub endings: Vec<Span>,
    /// Primitives that no verdict can be given for, where they are called.
    pub not_covered: Vec<NotCovered>,
    /// What may not mean what its author thinks.
    pub warnings: Diagnostics,
}

/// An address space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    /// Its name.
    pub name: Name,
    /// It is the table of devices, and no CPU loads it.
    pub domain: bool,
    /// Where it is first named.
    pub span: Span,
}

/// A physical page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its name.
    pub name: Name,
    /// The words in it at the beginning; the rest is 0.
    pub values: Vec<i64>,
    /// Who may get it once it is free.
    pub owner: Option<SpaceId>,
    /// Where it is first named.
    pub span: Span,
}

/// Memory that has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Global {
    /// Its name.
    pub name: Name,
    /// What it is.
    pub kind: GlobalKind,
    /// Where it is declared.
    pub span: Span,
}

/// What a name in memory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GlobalKind {
    /// A virtual address that tables map.
    Page(Mapping),
    /// Coherent words that nobody remaps: one, or an array.
    Words {
        /// What each holds: [`Type::Int`], or a pointer.
        ty: Type,
        /// `int a[N]`: naming it gives the address of the first.
        array: bool,
        /// At the beginning.
        init: Vec<Initial>,
    },
    /// A lock, free at the beginning.
    Lock,
    /// A record whose fields are words.
    Record(RecordId),
}

/// A value at the beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Initial {
    /// A number.
    Int(i64),
    /// The address of a name.
    AddressOf(GlobalId),
}

/// A `map` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The frame; `None` for `map a -> none`.
    pub frame: Option<FrameId>,
    /// Writes are allowed by the entry.
    pub writable: bool,
    /// Reads are.
    pub readable: bool,
    /// What is mapped.
    pub backing: Backing,
    /// The first write copies.
    pub cow: bool,
    /// Nobody else has the page: a write may use it in place.
    pub exclusive: bool,
    /// A huge page.
    pub huge: bool,
    /// `dirty` or `clean` at the beginning, if the line says so.
    pub dirty: Option<bool>,
    /// The contents are elsewhere too: in swap, at the other end of a migration.
    pub saved: bool,
    /// How many address spaces map it: `x2`.
    pub mapped_by: u32,
}

/// What is behind a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named as in the language")]
pub enum Backing {
    Anon,
    File,
    Shmem,
    Zero,
}

/// A TLB, a queue or a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its name.
    pub name: Name,
    /// What it is.
    pub kind: ObjectKind,
    /// Where it is declared.
    pub span: Span,
}

/// What a name of the machine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    /// `iotlb U <- mm`, `atc T <- U`, `tlb G <- spte`.
    Tlb {
        /// Which kind.
        kind: TlbKind,
        /// What it fills from.
        source: TlbSource,
        /// Its walker reads memory and does not look into the CPUs' caches.
        noncoherent: bool,
    },
    /// `context c -> U : mm, tag 1`: a root register with its tag.
    Context {
        /// The TLB that fills from what is loaded.
        tlb: ObjectId,
        /// The address space that is loaded at the beginning.
        space: Option<SpaceId>,
        /// The tag that is loaded with it.
        tag: i64,
        /// Its agent runs, and does not use the address space.
        lazy: bool,
    },
    /// `swtlb S`.
    SoftTlb,
    /// `queue Q -> U, T : in_order`.
    Queue {
        /// Who executes what is posted.
        targets: Vec<ObjectId>,
        /// Descriptors complete in order.
        in_order: bool,
    },
    /// `device d : T, pasid 1, order waits`.
    Device {
        /// The TLB or context its accesses go through.
        tlb: ObjectId,
        /// Its address space's tag.
        pasid: i64,
        /// An access waits for the one before it.
        ordered: bool,
    },
}

/// What a TLB fills from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlbSource {
    /// A page table.
    Space(SpaceId),
    /// Another TLB, a software TLB, or what a context reaches.
    Object(ObjectId),
    /// What its contexts have loaded; it has so many tags.
    Contexts(u32),
}

/// A `ptl` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableLock {
    /// `ptl split`: one lock each, said aloud.
    pub split: bool,
    /// The names.
    pub pages: Vec<GlobalId>,
    /// The line.
    pub span: Span,
}

/// A `param` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// Which dial of the machine.
    pub name: Name,
    /// Its value, as written.
    pub value: Name,
    /// The line.
    pub span: Span,
}

/// An open record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The tag after `struct`.
    pub tag: Name,
    /// Its fields.
    pub fields: Vec<Field>,
}

/// A field of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: Name,
    /// What is stored in it.
    pub ty: Type,
}

/// A function of the file.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name.
    pub name: Name,
    /// What it gives.
    pub result: Type,
    /// What it does.
    pub body: Body,
    /// What it promises, if it says so.
    pub contract: Option<Contract>,
    /// Where it was read: the functions of a kernel that it stands for.
    pub origins: Vec<Origin>,
    /// Its name in the definition.
    pub span: Span,
}

/// `__implements(...)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Contract {
    /// Which row of the specification.
    pub kind: ContractKind,
    /// What it is about: expressions over the function's parameters, in the
    /// order of [`ContractKind`].
    pub arguments: Vec<Expr>,
    /// Where it is given.
    pub span: Span,
}

/// The specifications that a function may implement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContractKind {
    /// Nothing that an access could see changes.
    Nop,
    /// `(va)`: the mapping goes away.
    Zap,
    /// `(va, page)`: another page is mapped instead.
    Replace,
    /// `(va)`: a right goes away.
    Downgrade,
    /// `(va)`: every right goes away, and the contents stay.
    Revoke,
    /// `(va)`: a right is added.
    Upgrade,
    /// `(va, va)`: what is at the first is at the second afterwards.
    Move,
    /// `(va)`: the page may become zero until the next write.
    LazyFree,
    /// `(va)`: the page is pinned.
    Pin,
    /// The child gets a snapshot of one moment.
    Fork,
    /// The child gets each page of a moment of its own.
    ForkPerPage,
    /// The address space ends.
    Exit,
}

/// `__from("tag", "file", function)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The kernel that was read.
    pub tag: Name,
    /// The file in it.
    pub file: Name,
    /// The function in that.
    pub function: Name,
}

/// Who runs a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Agent {
    /// `P`: a CPU in this address space.
    Cpu(SpaceId),
    /// `D`: a device.
    Device(ObjectId),
    /// `V`: a guest's CPU behind this TLB or context.
    Guest(ObjectId),
    /// `P0@c`: a CPU with this context.
    Context(ObjectId),
}

/// A thread.
#[derive(Clone, Debug)]
pub struct Thread {
    /// `P0`, `D2`, `V0`.
    pub name: Name,
    /// Its number.
    pub number: u32,
    /// Who runs it.
    pub agent: Agent,
    /// The names of memory that it lists as parameters.
    pub parameters: Vec<GlobalId>,
    /// What it does.
    pub body: Body,
    /// Registers that do not begin with 0.
    pub init: Vec<(LocalId, Initial)>,
    /// Its name in the definition.
    pub span: Span,
    /// The whole definition.
    pub extent: Span,
}

/// `subscribe mm : OPS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Who is watched.
    pub space: SpaceId,
    /// The type of the table: `mmu_notifier_ops`, ...
    pub kind: Name,
    /// The table's name.
    pub name: Name,
    /// What is called.
    pub callbacks: Vec<(Name, FunctionId)>,
    /// The object that has subscribed; it has to exist when it is called.
    pub object: Option<GlobalId>,
    /// The `srcu_struct` whose readers the calls are.
    pub readers: Option<GlobalId>,
    /// Not on the list at the beginning.
    pub off: bool,
    /// The line.
    pub span: Span,
}

/// `fault WHO = HANDLER`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultHandler {
    /// Whose faults.
    pub who: FaultSource,
    /// What is called: with a `struct vm_fault *` or an address.
    pub handler: FunctionId,
    /// The line.
    pub span: Span,
}

/// Whose faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultSource {
    /// `cpu`.
    Cpu,
    /// A device or a TLB.
    Object(ObjectId),
}

/// A place that a condition looks at when all is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// A variable of a thread.
    Register(ThreadId, LocalId),
    /// Whether a thread ended with a fault.
    Fault(ThreadId),
    /// A word, or what an address leads to.
    Memory(GlobalId, u32),
    /// A word of a frame.
    Frame(FrameId, u32),
}

/// The right side of an atom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A number.
    Int(i64),
    /// The address of a name.
    AddressOf(GlobalId),
    /// What another place holds.
    Place(Observed),
}

/// A proposition about the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prop {
    /// `true` or `false`.
    Constant(bool),
    /// `x = 1`.
    Atom {
        /// What is looked at.
        left: Observed,
        /// `=` and not `!=`.
        equal: bool,
        /// What it is compared with.
        right: Wanted,
    },
    /// Not.
    Not(Box<Prop>),
    /// Both.
    And(Box<Prop>, Box<Prop>),
    /// One of them.
    Or(Box<Prop>, Box<Prop>),
    /// The second if the first.
    Implies(Box<Prop>, Box<Prop>),
}

/// The quantified condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// What is asked.
    pub quantifier: Quantifier,
    /// About what.
    pub prop: Prop,
    /// The text of it.
    pub span: Span,
}

/// A call that no verdict can be given for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotCovered {
    /// What is called.
    pub primitive: &'static Primitive,
    /// Why.
    pub why: &'static str,
    /// Where.
    pub span: Span,
}

impl Program {
    /// The thread of a name.
    pub fn thread(&self, name: &str) -> Option<&Thread> {
        self.threads.iter().find(|thread| &*thread.name == name)
    }

    /// The function of a name.
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|function| &*function.name == name)
    }

    /// The name in memory of this name.
    pub fn global(&self, name: &str) -> Option<&Global> {
        self.globals.iter().find(|global| &*global.name == name)
    }
}
