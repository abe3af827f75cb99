//! The text as it was written, as a tree. Nothing is resolved here; what is
//! meant stands in [`crate::program`].

use crate::lex::Name;
use crate::source::Span;

/// A name and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ident {
    pub(crate) name: Name,
    pub(crate) span: Span,
}

/// A whole test, or an included part of one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Test {
    pub(crate) declarations: Vec<Declaration>,
    pub(crate) functions: Vec<Function>,
    pub(crate) threads: Vec<Thread>,
    pub(crate) operations: Vec<Operations>,
    /// Address space, callbacks, and what more the line says.
    pub(crate) subscriptions: Vec<(Ident, Ident, Vec<Ident>)>,
    pub(crate) faults: Vec<(Ident, Ident)>,
    pub(crate) locations: Vec<PlaceRef>,
    pub(crate) filter: Option<Prop>,
    pub(crate) condition: Option<(Quantifier, Prop, Span)>,
    pub(crate) expect: Vec<ExpectLine>,
    /// The texts of conditions, filters, locations and expectations.
    pub(crate) endings: Vec<Span>,
}

/// A line of the declarative block.
#[derive(Clone, Debug)]
pub(crate) struct Declaration {
    pub(crate) kind: DeclarationKind,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) enum DeclarationKind {
    Map {
        page: Ident,
        frame: Option<Ident>,
        values: Vec<i64>,
        attributes: Vec<Ident>,
    },
    Ptl {
        mode: Ident,
        pages: Vec<Ident>,
    },
    Frame {
        frame: Ident,
        owner: Ident,
    },
    /// `iotlb`, `atc` or `tlb`, which is the first name.
    Tlb {
        kind: Ident,
        name: Ident,
        source: Option<Ident>,
        tags: Option<(i64, Span)>,
        noncoherent: Option<Span>,
    },
    /// Without a space nothing is loaded.
    Context {
        name: Ident,
        tlb: Ident,
        space: Option<Ident>,
        tag: i64,
        lazy: bool,
    },
    Swtlb {
        names: Vec<Ident>,
    },
    Queue {
        name: Ident,
        targets: Vec<Ident>,
        order: Option<Ident>,
    },
    Device {
        name: Ident,
        tlb: Ident,
        pasid: Option<i64>,
        order: Option<Ident>,
    },
    Param {
        name: Ident,
        value: Ident,
    },
    Model {
        names: Vec<Ident>,
    },
    Space {
        names: Vec<Ident>,
        domain: bool,
    },
    Globals(Vec<Declarator>),
    Set {
        name: Ident,
        index: Option<i64>,
        value: Expr,
    },
    Register {
        thread: ThreadRef,
        register: Ident,
        value: Expr,
    },
}

/// A C type as written, without qualifiers and attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TypeName {
    /// `unsigned long`, `pte_t`, or the tag after `struct`.
    pub(crate) base: String,
    pub(crate) is_struct: bool,
    pub(crate) pointers: u32,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) struct Declarator {
    pub(crate) ty: TypeName,
    pub(crate) name: Ident,
    pub(crate) array: Option<Option<Expr>>,
    pub(crate) init: Option<Initializer>,
}

#[derive(Clone, Debug)]
pub(crate) enum Initializer {
    Value(Expr),
    List(Vec<(Option<Ident>, Initializer)>, Span),
}

#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    pub(crate) ty: TypeName,
    pub(crate) name: Option<Ident>,
}

#[derive(Clone, Debug)]
pub(crate) struct Function {
    pub(crate) contracts: Vec<ContractText>,
    pub(crate) origins: Vec<(Name, Name, Ident)>,
    pub(crate) result: TypeName,
    pub(crate) name: Ident,
    pub(crate) parameters: Vec<Parameter>,
    /// `None` for a prototype.
    pub(crate) body: Option<Block>,
}

#[derive(Clone, Debug)]
pub(crate) struct ContractText {
    pub(crate) kind: Ident,
    pub(crate) arguments: Vec<Expr>,
    pub(crate) span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ThreadRef {
    pub(crate) class: char,
    pub(crate) number: u32,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) struct Thread {
    pub(crate) id: ThreadRef,
    pub(crate) at: Option<Ident>,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) body: Block,
    pub(crate) extent: Span,
}

/// `struct mmu_notifier_ops NAME = { .callback = function };`
#[derive(Clone, Debug)]
pub(crate) struct Operations {
    pub(crate) kind: Ident,
    pub(crate) name: Ident,
    pub(crate) entries: Vec<(Ident, Ident)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) statements: Vec<Statement>,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(crate) kind: StatementKind,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) enum StatementKind {
    Empty,
    Block(Block),
    Declare(Vec<Declarator>),
    Expression(Expr),
    If(Expr, Box<Statement>, Option<Box<Statement>>),
    While(Expr, Box<Statement>),
    DoWhile(Box<Statement>, Expr),
    For(Option<Box<Statement>>, Option<Expr>, Option<Expr>, Box<Statement>),
    Switch(Expr, Box<Statement>),
    Case(Expr),
    Default,
    Label(Ident),
    Goto(Ident),
    Break,
    Continue,
    Return(Option<Expr>),
}

#[derive(Clone, Debug)]
pub(crate) struct Expr {
    pub(crate) kind: ExprKind,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) enum ExprKind {
    Int(i64),
    Text,
    Name(Name),
    Unary(UnaryOp, Box<Expr>),
    AddressOf(Box<Expr>),
    Deref(Box<Expr>),
    /// `++` and `--`.
    Step {
        up: bool,
        prefix: bool,
        target: Box<Expr>,
    },
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Assign {
        op: Option<BinaryOp>,
        target: Box<Expr>,
        value: Box<Expr>,
    },
    Ternary(Box<Expr>, Box<Expr>, Box<Expr>),
    Call {
        callee: Ident,
        arguments: Vec<Expr>,
    },
    Member {
        base: Box<Expr>,
        field: Ident,
    },
    Index(Box<Expr>, Box<Expr>),
    Cast(TypeName, Box<Expr>),
    Comma(Box<Expr>, Box<Expr>),
}

/// Operators of one operand that compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// `-`
    Negate,
    /// `~`
    Complement,
    /// `!`
    Not,
}

/// Operators of two operands that compute; `&&` and `||` are branches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the signs are the documentation")]
pub enum BinaryOp {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    ShiftLeft,
    ShiftRight,
    And,
    Or,
    Xor,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl BinaryOp {
    /// Whether the result is 0 or 1.
    pub fn is_comparison(self) -> bool {
        use BinaryOp::{Equal, Greater, GreaterEqual, Less, LessEqual, NotEqual};
        matches!(self, Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual)
    }
}

/// A place in a condition, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlaceRef {
    pub(crate) thread: Option<ThreadRef>,
    pub(crate) name: Ident,
    pub(crate) index: Option<i64>,
    pub(crate) brackets: bool,
    pub(crate) span: Span,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operand {
    Int(i64),
    Place(PlaceRef),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Prop {
    Constant(bool),
    Atom { left: PlaceRef, equal: bool, right: Operand },
    Not(Box<Prop>),
    And(Box<Prop>, Box<Prop>),
    Or(Box<Prop>, Box<Prop>),
    Implies(Box<Prop>, Box<Prop>),
}

/// What is asked about the proposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quantifier {
    /// `exists`: herd's kind *Allowed*.
    Exists,
    /// `~exists`: *Forbidden*.
    NotExists,
    /// `forall`: *Required*.
    Forall,
    /// `final`: read as `exists`.
    Final,
}

#[derive(Clone, Debug)]
pub(crate) struct ExpectLine {
    pub(crate) any: bool,
    pub(crate) variants: Vec<Ident>,
    pub(crate) models: Vec<Ident>,
    pub(crate) machines: Vec<Ident>,
    pub(crate) kernels: Vec<Ident>,
    pub(crate) params: Vec<(Ident, Ident)>,
    pub(crate) verdicts: Vec<(Ident, Option<(Name, Span)>)>,
    pub(crate) span: Span,
}
