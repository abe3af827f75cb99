//! Bodies: flat lists of steps over locals.
//!
//! Between two steps nothing happens that another thread could see. Targets of
//! jumps are indices into the same list.

use crate::gaps::Gap;
use crate::lex::Name;
use crate::primitives::Primitive;
use crate::program::{FieldId, FunctionId, GlobalId, LocalId, ObjectId, OpId, SpaceId};
use crate::source::Span;
use crate::types::Type;

pub use crate::ast::{BinaryOp, UnaryOp};

/// What a function or thread does.
#[derive(Clone, Debug, Default)]
pub struct Body {
    /// The parameters of a function are the first of these.
    pub locals: Vec<Local>,
    /// How many of the locals are parameters.
    pub parameters: usize,
    /// The steps. The last is always a [`OpKind::Return`].
    pub ops: Vec<Op>,
    /// Where the text could have one statement more.
    pub gaps: Vec<Gap>,
}

/// A variable that only its thread sees. It begins with 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// Its name; what holds a result in passing has none.
    pub name: Option<Name>,
    /// What it holds. `struct x v;` holds a record of its own.
    pub ty: Type,
    /// It holds fewer bits than other numbers: `u8 x`.
    pub narrow: Option<crate::types::Narrow>,
    /// `struct x v;` (a new record) and not `struct x *v`.
    pub owns_record: bool,
    /// Where it is declared.
    pub span: Span,
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub struct Op {
    /// What is done.
    pub kind: OpKind,
    /// The text that it comes from.
    pub span: Span,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub enum OpKind {
    /// Computes.
    Set {
        /// What it is kept in.
        local: LocalId,
        /// What is computed.
        value: Expr,
    },
    /// Stores into a record of the thread.
    SetField {
        /// The record.
        record: Expr,
        /// Its field.
        field: FieldId,
        /// What is stored.
        value: Expr,
    },
    /// A plain read of shared memory.
    Load {
        /// What it is kept in.
        into: LocalId,
        /// What is read.
        place: Place,
    },
    /// A plain write of shared memory.
    Store {
        /// What is written.
        place: Place,
        /// The value.
        value: Expr,
    },
    /// A primitive.
    Primitive {
        /// What its result is kept in.
        into: Option<LocalId>,
        /// The row of the table.
        primitive: &'static Primitive,
        /// As the row's [`Action`](crate::primitives::Action) lists them.
        args: Vec<Arg>,
    },
    /// A function of the file. Calls never recur.
    Call {
        /// What its result is kept in.
        into: Option<LocalId>,
        /// Which.
        function: FunctionId,
        /// One for each parameter.
        args: Vec<Expr>,
    },
    /// Goes on elsewhere.
    Jump(OpId),
    /// Goes on here or there.
    Branch {
        /// Not zero: `yes`.
        condition: Expr,
        /// Where to go on.
        yes: OpId,
        /// Where to go on otherwise.
        no: OpId,
    },
    /// Ends the function or thread.
    Return(Option<Expr>),
}

/// An argument of a primitive.
#[derive(Clone, Debug, PartialEq)]
pub enum Arg {
    /// A value.
    Value(Expr),
    /// A place to read or write.
    Place(Place),
    /// A place that gets something: `&ptl`.
    Out(Place),
}

/// A place.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Which.
    pub kind: PlaceKind,
    /// What it holds.
    pub ty: Type,
    /// Where it is named.
    pub span: Span,
}

/// Which place.
#[derive(Clone, Debug, PartialEq)]
pub enum PlaceKind {
    /// A word with a name.
    Global(GlobalId),
    /// A word of an array.
    Element(GlobalId, Box<Expr>),
    /// A field of a shared record.
    GlobalField(GlobalId, FieldId),
    /// What a pointer points to. The pointer's type says what is asked for:
    /// [`Type::VirtAddr`] an access that is translated, [`Type::WordPtr`] a
    /// word, [`Type::IntPtr`] one of the two, [`Type::PtePtr`] an entry.
    Deref {
        /// The pointer.
        pointer: Box<Expr>,
        /// `p[i]`.
        index: Option<Box<Expr>>,
    },
    /// A variable of the thread.
    Local(LocalId),
    /// A field of a record of the thread.
    Field(Box<Expr>, FieldId),
}

/// A computation without effects.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What is computed.
    pub kind: ExprKind,
    /// What it gives.
    pub ty: Type,
    /// The text that it comes from.
    pub span: Span,
}

/// What is computed.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A number; rights have bits 0 read, 1 write, 2 execute; NULL is 0.
    Const(i64),
    /// A variable of the thread.
    Local(LocalId),
    /// The address of a name: a mapped page, a word, a lock.
    Address(GlobalId),
    /// The address of a place that is not a name of its own.
    AddressOf(Box<Place>),
    /// A TLB, a queue, a device.
    Object(ObjectId),
    /// An address space.
    Space(SpaceId),
    /// A field of a record of the thread.
    Field(Box<Expr>, FieldId),
    /// One operand.
    Unary(UnaryOp, Box<Expr>),
    /// Two operands.
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
}
