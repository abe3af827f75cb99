//! Expressions of C, with its precedences.

use crate::ast::{BinaryOp, Expr, ExprKind, Ident, UnaryOp};
use crate::diag::Diagnostic;
use crate::lex::Tok;
use crate::source::Span;

use super::{Parsed, Parser};

/// How tightly an operator of two operands binds; higher is tighter.
fn precedence(sign: &str) -> Option<(u8, Option<BinaryOp>)> {
    use BinaryOp as B;
    Some(match sign {
        "||" => (1, None),
        "&&" => (2, None),
        "|" => (3, Some(B::Or)),
        "^" => (4, Some(B::Xor)),
        "&" => (5, Some(B::And)),
        "==" => (6, Some(B::Equal)),
        "!=" => (6, Some(B::NotEqual)),
        "<" => (7, Some(B::Less)),
        "<=" => (7, Some(B::LessEqual)),
        ">" => (7, Some(B::Greater)),
        ">=" => (7, Some(B::GreaterEqual)),
        "<<" => (8, Some(B::ShiftLeft)),
        ">>" => (8, Some(B::ShiftRight)),
        "+" => (9, Some(B::Add)),
        "-" => (9, Some(B::Subtract)),
        "*" => (10, Some(B::Multiply)),
        "/" => (10, Some(B::Divide)),
        "%" => (10, Some(B::Remainder)),
        _ => return None,
    })
}

fn assigned(sign: &str) -> Option<Option<BinaryOp>> {
    use BinaryOp as B;
    Some(match sign {
        "=" => None,
        "+=" => Some(B::Add),
        "-=" => Some(B::Subtract),
        "*=" => Some(B::Multiply),
        "/=" => Some(B::Divide),
        "%=" => Some(B::Remainder),
        "<<=" => Some(B::ShiftLeft),
        ">>=" => Some(B::ShiftRight),
        "&=" => Some(B::And),
        "|=" => Some(B::Or),
        "^=" => Some(B::Xor),
        _ => return None,
    })
}

impl Parser {
    /// An expression, with the comma operator.
    pub(super) fn expression(&mut self) -> Parsed<Expr> {
        let start = self.span();
        let mut left = self.assignment()?;
        while self.eat(",") {
            let right = self.assignment()?;
            let kind = ExprKind::Comma(Box::new(left), Box::new(right));
            left = Expr { kind, span: self.since(start) };
        }
        Ok(left)
    }

    /// An expression without the comma operator.
    pub(super) fn assignment(&mut self) -> Parsed<Expr> {
        self.deeper(|parser| {
            let start = parser.span();
            let left = parser.ternary()?;
            let Tok::Punct(sign) = parser.token().tok else { return Ok(left) };
            let Some(op) = assigned(sign) else { return Ok(left) };
            parser.next();
            let value = Box::new(parser.assignment()?);
            let kind = ExprKind::Assign { op, target: Box::new(left), value };
            Ok(Expr { kind, span: parser.since(start) })
        })
    }

    fn ternary(&mut self) -> Parsed<Expr> {
        let start = self.span();
        let condition = self.binary(1)?;
        if !self.eat("?") {
            return Ok(condition);
        }
        let yes = if self.is(":") { condition.clone() } else { self.assignment()? };
        self.expect(":")?;
        let no = self.assignment()?;
        let kind = ExprKind::Ternary(Box::new(condition), Box::new(yes), Box::new(no));
        Ok(Expr { kind, span: self.since(start) })
    }

    fn binary(&mut self, lowest: u8) -> Parsed<Expr> {
        let start = self.span();
        let mut left = self.unary()?;
        // Chains nest to the left: each link is one level of the tree.
        let mut links = 0;
        while let Tok::Punct(sign) = self.token().tok {
            let Some((level, op)) = precedence(sign).filter(|(level, _)| *level >= lowest) else {
                break;
            };
            self.next();
            links += 1;
            if links > 500 {
                let message = "more than 500 operators in one expression";
                return self.report(Diagnostic::error(self.span(), message));
            }
            let right = Box::new(self.binary(level + 1)?);
            let boxed = Box::new(left);
            let kind = match (op, sign) {
                (Some(op), _) => ExprKind::Binary(op, boxed, right),
                (None, "&&") => ExprKind::And(boxed, right),
                (None, _) => ExprKind::Or(boxed, right),
            };
            left = Expr { kind, span: self.since(start) };
        }
        Ok(left)
    }

    fn unary(&mut self) -> Parsed<Expr> {
        self.deeper(|parser| {
            let start = parser.span();
            if parser.is("(") && parser.at_cast() {
                parser.next();
                let base = parser.base_type()?;
                let ty = parser.pointers(base)?;
                parser.expect(")")?;
                let inner = Box::new(parser.unary()?);
                return Ok(Expr { kind: ExprKind::Cast(ty, inner), span: parser.since(start) });
            }
            let Tok::Punct(sign) = parser.token().tok else { return parser.postfix() };
            if !matches!(sign, "-" | "+" | "!" | "~" | "*" | "&" | "++" | "--") {
                return parser.postfix();
            }
            parser.next();
            let inner = Box::new(parser.unary()?);
            let kind = match sign {
                "-" => ExprKind::Unary(UnaryOp::Negate, inner),
                "!" => ExprKind::Unary(UnaryOp::Not, inner),
                "~" => ExprKind::Unary(UnaryOp::Complement, inner),
                "*" => ExprKind::Deref(inner),
                "&" => ExprKind::AddressOf(inner),
                "+" => return Ok(*inner),
                _ => ExprKind::Step { up: sign == "++", prefix: true, target: inner },
            };
            Ok(Expr { kind, span: parser.since(start) })
        })
    }

    fn postfix(&mut self) -> Parsed<Expr> {
        let start = self.span();
        let mut expr = self.primary()?;
        let mut links = 0;
        loop {
            links += 1;
            if links > 100 {
                return self.expected("the end of this expression");
            }
            let inner = Box::new(expr);
            let kind = if self.eat("[") {
                let index = self.expression()?;
                self.expect("]")?;
                ExprKind::Index(inner, Box::new(index))
            } else if self.eat("->") || self.eat(".") {
                let field = self.ident("a field")?;
                ExprKind::Member { base: inner, field }
            } else if self.is("++") || self.is("--") {
                let up = self.is("++");
                self.next();
                ExprKind::Step { up, prefix: false, target: inner }
            } else if self.is("(") {
                let message = "calls through a pointer are not read";
                let label = "name the function; callbacks are tied with `subscribe` and `fault`";
                let span = self.since(start);
                return self.report(Diagnostic::error(span, message).label(label));
            } else {
                return Ok(*inner);
            };
            expr = Expr { kind, span: self.since(start) };
        }
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let start = self.span();
        let kind = match self.token().tok.clone() {
            Tok::Int(value) => {
                self.next();
                ExprKind::Int(value)
            }
            Tok::Str(_) => {
                self.next();
                ExprKind::Text
            }
            Tok::Word(word) if matches!(&*word, "sizeof" | "typeof" | "asm" | "__asm__") => {
                let message = format!("`{word}` means nothing here: there is no layout");
                return self.report(Diagnostic::error(start, message).label("write the value"));
            }
            Tok::Word(name) => {
                self.next();
                if self.is("(") {
                    let arguments = self.arguments()?;
                    ExprKind::Call { callee: Ident { name, span: start }, arguments }
                } else {
                    ExprKind::Name(name)
                }
            }
            Tok::Punct("(") if self.is_ahead(1, "{") => {
                let message = "a statement in parentheses is not read";
                let diagnostic = Diagnostic::error(start, message);
                return self.report(diagnostic.label("write a static function"));
            }
            Tok::Punct("(") => {
                self.next();
                let inner = self.expression()?;
                self.expect(")")?;
                return Ok(Expr { span: self.since(start), ..inner });
            }
            _ => return self.expected("an expression"),
        };
        Ok(Expr { kind, span: self.since(start) })
    }

    pub(super) fn arguments(&mut self) -> Parsed<Vec<Expr>> {
        self.expect("(")?;
        let mut list = Vec::new();
        while !self.is(")") {
            list.push(self.assignment()?);
            if !self.eat(",") {
                break;
            }
        }
        if !self.is(")") {
            return self.expected("`,` or `)`");
        }
        self.next();
        Ok(list)
    }

    /// A number as an expression.
    pub(super) fn int_expr(value: i64, span: Span) -> Expr {
        Expr { kind: ExprKind::Int(value), span }
    }
}
