//! Statements of C.

use crate::ast::{Block, Statement, StatementKind};
use crate::diag::Diagnostic;

use super::{Parsed, Parser};

impl Parser {
    /// `{ ... }`. Errors inside are reported and skipped.
    pub(super) fn block(&mut self) -> Parsed<Block> {
        self.deeper(|parser| {
            let start = parser.expect("{")?;
            let mut statements = Vec::new();
            loop {
                if parser.eat("}") {
                    return Ok(Block { statements, span: parser.since(start) });
                }
                if parser.at_end() || parser.at_function() {
                    let message = "this `{` has no `}`";
                    let found = parser.span();
                    let mut diagnostic =
                        Diagnostic::error(start, message).label("the block begins here");
                    if !parser.at_end() && found.file == start.file {
                        diagnostic = diagnostic.also(found, "and something else begins here");
                    }
                    // One open brace is one error, however many are open with it.
                    if !parser.errors.iter().any(|error| error.message == message) {
                        parser.errors.push(diagnostic);
                    }
                    return Ok(Block { statements, span: parser.since(start) });
                }
                match parser.statement() {
                    Ok(statement) => statements.push(statement),
                    Err(_) => parser.recover(),
                }
            }
        })
    }

    fn statement(&mut self) -> Parsed<Statement> {
        self.deeper(Self::one_statement)
    }

    fn one_statement(&mut self) -> Parsed<Statement> {
        let start = self.span();
        let word = self.token().word().map(|word| word.to_string()).unwrap_or_default();
        let kind = match word.as_str() {
            "" if self.is("{") => StatementKind::Block(self.block()?),
            "" if self.eat(";") => StatementKind::Empty,
            "if" => {
                self.next();
                let condition = self.in_parentheses()?;
                let yes = Box::new(self.statement()?);
                let no =
                    if self.eat_word("else") { Some(Box::new(self.statement()?)) } else { None };
                StatementKind::If(condition, yes, no)
            }
            "while" => {
                self.next();
                let condition = self.in_parentheses()?;
                StatementKind::While(condition, Box::new(self.statement()?))
            }
            "do" => {
                self.next();
                let body = Box::new(self.statement()?);
                if !self.eat_word("while") {
                    return self.expected("`while`");
                }
                let condition = self.in_parentheses()?;
                self.expect(";")?;
                StatementKind::DoWhile(body, condition)
            }
            "for" => self.for_loop()?,
            "switch" => {
                self.next();
                let value = self.in_parentheses()?;
                StatementKind::Switch(value, Box::new(self.statement()?))
            }
            "case" => {
                self.next();
                let value = self.assignment()?;
                self.expect(":")?;
                StatementKind::Case(value)
            }
            "default" if self.is_ahead(1, ":") => {
                self.next();
                self.next();
                StatementKind::Default
            }
            "goto" => {
                self.next();
                let label = self.ident("a label")?;
                self.expect(";")?;
                StatementKind::Goto(label)
            }
            "break" | "continue" => {
                self.next();
                self.expect(";")?;
                if word == "break" { StatementKind::Break } else { StatementKind::Continue }
            }
            "return" => {
                self.next();
                let value = if self.is(";") { None } else { Some(self.expression()?) };
                self.expect(";")?;
                StatementKind::Return(value)
            }
            "fallthrough" | "__fallthrough" if self.is_ahead(1, ";") => {
                self.next();
                self.next();
                StatementKind::Empty
            }
            "else" => return self.expected("a statement"),
            _ if !word.is_empty() && self.is_ahead(1, ":") => {
                let label = self.ident("a label")?;
                self.next();
                StatementKind::Label(label)
            }
            _ if self.at_type() => {
                let list = self.declarators()?;
                self.expect(";")?;
                StatementKind::Declare(list)
            }
            _ => {
                let value = self.expression()?;
                self.expect(";")?;
                StatementKind::Expression(value)
            }
        };
        Ok(Statement { kind, span: self.since(start) })
    }

    fn in_parentheses(&mut self) -> Parsed<crate::ast::Expr> {
        self.expect("(")?;
        let inner = self.expression()?;
        self.expect(")")?;
        Ok(inner)
    }

    fn for_loop(&mut self) -> Parsed<StatementKind> {
        self.next();
        self.expect("(")?;
        let start = self.span();
        let init = if self.is(";") {
            None
        } else if self.at_type() {
            Some(StatementKind::Declare(self.declarators()?))
        } else {
            Some(StatementKind::Expression(self.expression()?))
        };
        let init = init.map(|kind| Box::new(Statement { kind, span: self.since(start) }));
        self.expect(";")?;
        let condition = if self.is(";") { None } else { Some(self.expression()?) };
        self.expect(";")?;
        let step = if self.is(")") { None } else { Some(self.expression()?) };
        self.expect(")")?;
        Ok(StatementKind::For(init, condition, step, Box::new(self.statement()?)))
    }
}
