//! Where a statement could be put into a body, in the text.

use crate::ast::{Block, Statement, StatementKind};
use crate::source::Span;

/// A place for one more statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// What it would stand before: a statement, or the `}` of a block.
    pub before: Span,
    /// That statement has no braces around it, and is what an `if`, an `else` or
    /// a loop runs: two statements need some. They go behind the head, which goes
    /// on here.
    pub bare: Option<u32>,
    /// It is the `}` of a block.
    pub closes: bool,
}

/// Before each statement, and before the end of each block that runs come to.
/// Before a label there is none: who jumps there would not come by, and behind it
/// is a place as well.
pub(crate) fn gaps(block: &Block) -> Vec<Gap> {
    let mut list = Vec::new();
    of_block(block, &mut list);
    list
}

fn of_block(block: &Block, list: &mut Vec<Gap>) {
    for statement in &block.statements {
        of_statement(statement, None, list);
    }
    let leaves = |statement: &Statement| {
        use StatementKind::{Break, Continue, Goto, Return};
        matches!(statement.kind, Return(_) | Goto(_) | Break | Continue)
    };
    if !block.statements.last().is_some_and(leaves) {
        let end = Span { start: block.span.end.saturating_sub(1), ..block.span };
        list.push(Gap { before: end, bare: None, closes: true });
    }
}

fn of_statement(statement: &Statement, bare: Option<u32>, list: &mut Vec<Gap>) {
    use StatementKind as S;
    if !matches!(statement.kind, S::Empty | S::Block(_) | S::Label(_) | S::Case(_) | S::Default) {
        list.push(Gap { before: statement.span, bare, closes: false });
    }
    match &statement.kind {
        S::Block(block) => of_block(block, list),
        S::If(_, yes, no) => {
            of_statement(yes, Some(statement.span.start), list);
            // What an `else if` asks belongs to the chain that it is in.
            if let Some(no) = no {
                let from = list.len();
                of_statement(no, Some(yes.span.end), list);
                if matches!(no.kind, S::If(..)) {
                    list.remove(from);
                }
            }
        }
        S::While(_, body) | S::DoWhile(body, _) | S::For(_, _, _, body) => {
            of_statement(body, Some(statement.span.start), list);
        }
        S::Switch(_, body) => of_statement(body, None, list),
        _ => {}
    }
}
