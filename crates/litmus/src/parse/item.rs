//! The level of the file: functions, threads, tables of callbacks, and what
//! ties them together.

use crate::ast::{
    ContractText, Declaration, DeclarationKind, Function, Ident, Initializer, Operations, Thread,
    ThreadRef,
};
use crate::diag::Diagnostic;
use crate::lex::{Name, Tok};
use crate::source::Span;

use super::{Parsed, Parser, thread_name};

impl Parser {
    pub(super) fn test(&mut self) {
        while !self.at_end() {
            let start = self.at;
            let Err(_) = self.item() else { continue };
            self.recover();
            if self.at == start {
                // Reported by the item that it is none.
                self.next();
            }
        }
    }

    fn item(&mut self) -> Parsed<()> {
        if self.eat(";") {
            return Ok(());
        }
        if self.is("{") {
            return self.declarations();
        }
        if self.is("~") || self.at_condition() {
            let start = self.span();
            let parsed = self.condition_zone();
            let extent = self.since(start);
            self.test.endings.push(extent);
            return parsed;
        }
        let tied = self.word_ahead(1).is_some();
        if self.is_word("subscribe") && tied {
            self.next();
            let space = self.ident("an address space")?;
            self.expect(":")?;
            let operations = self.ident("a table of callbacks")?;
            let mut more = Vec::new();
            while self.eat(",") {
                more.push(self.ident("a record, an srcu_struct, or `off`")?);
            }
            self.expect(";")?;
            self.test.subscriptions.push((space, operations, more));
            return Ok(());
        }
        if self.is_word("fault") && tied {
            self.next();
            let who = self.ident("`cpu`, `devices`, a device or a TLB")?;
            self.expect("=")?;
            let handler = self.ident("a function")?;
            self.expect(";")?;
            self.test.faults.push((who, handler));
            return Ok(());
        }
        if self.at_declaration() {
            return self.declaration();
        }
        if self.is("}") {
            let diagnostic = Diagnostic::error(self.span(), "this `}` has no `{`");
            return self.report(diagnostic);
        }
        self.definition()
    }

    /// A function, a thread, or a variable.
    fn definition(&mut self) -> Parsed<()> {
        let start = self.span();
        let mut contracts = Vec::new();
        let mut origins: Vec<(Name, Name, Ident)> = Vec::new();
        loop {
            self.attributes()?;
            if self.is_word("__implements") {
                contracts.push(self.contract()?);
            } else if self.is_word("__from") {
                origins.push(self.origin()?);
            } else {
                break;
            }
        }
        if self.is_word("void") && self.word_ahead(1).is_some_and(|w| thread_name(w).is_some()) {
            self.next();
        }
        if let Some(id) = self.token().word().and_then(|word| thread_name(word))
            && (self.is_ahead(1, "(") || self.is_ahead(1, "@"))
        {
            return self.thread(id, start);
        }
        let typed = self.word_ahead(1).is_some() || self.is_ahead(1, "*");
        if self.token().word().is_none() || !typed {
            return self.expected("a function, a thread or a condition");
        }
        // `struct foo { ... };`: records have no layout, so this says nothing.
        if self.is_word("struct") && self.is_ahead(2, "{") {
            self.next();
            self.next();
            self.next();
            let mut depth = 1usize;
            while depth > 0 && !self.at_end() {
                match self.next().tok {
                    Tok::Punct("{") => depth += 1,
                    Tok::Punct("}") => depth -= 1,
                    _ => {}
                }
            }
            self.expect(";")?;
            return Ok(());
        }
        let before = self.at;
        let base = self.base_type()?;
        let result = self.pointers(base)?;
        let name = self.ident("a name")?;
        if !self.is("(") {
            self.at = before;
            return self.variables(start);
        }
        let parameters = self.parameters()?;
        self.attributes()?;
        let body = if self.eat(";") { None } else { Some(self.block()?) };
        self.test.functions.push(Function { contracts, origins, result, name, parameters, body });
        Ok(())
    }

    fn variables(&mut self, start: Span) -> Parsed<()> {
        let mut plain = Vec::new();
        for declarator in self.declarators()? {
            let designated = matches!(&declarator.init, Some(Initializer::List(list, _))
                if list.iter().any(|(field, _)| field.is_some()));
            if !(declarator.ty.is_struct && (designated || declarator.ty.base.ends_with("_ops"))) {
                plain.push(declarator);
                continue;
            }
            let kind = Ident { name: declarator.ty.base.into(), span: declarator.ty.span };
            let mut entries = Vec::new();
            if let Some(Initializer::List(list, span)) = declarator.init {
                for (field, value) in list {
                    let target = match value {
                        Initializer::Value(expr) => function_named(expr),
                        Initializer::List(..) => None,
                    };
                    match (field, target) {
                        (Some(field), Some(target)) => entries.push((field, target)),
                        _ => {
                            let message = "a table of callbacks has entries `.name = function`";
                            self.errors.push(Diagnostic::error(span, message));
                        }
                    }
                }
            }
            self.test.operations.push(Operations { kind, name: declarator.name, entries });
        }
        self.expect(";")?;
        if !plain.is_empty() {
            let span = self.since(start);
            let kind = DeclarationKind::Globals(plain);
            self.test.declarations.push(Declaration { kind, span });
        }
        Ok(())
    }

    fn thread(&mut self, (class, number): (char, u32), start: Span) -> Parsed<()> {
        let span = self.next().span;
        let at =
            if self.eat("@") { Some(self.ident("a device or an address space")?) } else { None };
        let parameters = self.parameters()?;
        let body = self.block()?;
        let id = ThreadRef { class, number, span };
        let extent = self.since(start);
        self.test.threads.push(Thread { id, at, parameters, body, extent });
        Ok(())
    }

    fn contract(&mut self) -> Parsed<ContractText> {
        let start = self.next().span;
        self.expect("(")?;
        let kind = self.ident("a contract")?;
        let arguments = if self.is("(") { self.arguments()? } else { Vec::new() };
        self.expect(")")?;
        Ok(ContractText { kind, arguments, span: self.since(start) })
    }

    fn origin(&mut self) -> Parsed<(Name, Name, Ident)> {
        self.next();
        self.expect("(")?;
        let tag = self.string("the tag that was read")?;
        self.expect(",")?;
        let file = self.string("the kernel's file")?;
        self.expect(",")?;
        let function = self.ident("the kernel's function")?;
        self.expect(")")?;
        Ok((tag, file, function))
    }

    pub(super) fn string(&mut self, what: &str) -> Parsed<Name> {
        match self.token().tok.clone() {
            Tok::Str(text) => {
                self.next();
                Ok(text)
            }
            _ => self.expected(&format!("{what} in quotes")),
        }
    }
}

fn function_named(expr: crate::ast::Expr) -> Option<Ident> {
    use crate::ast::ExprKind;
    match expr.kind {
        ExprKind::Name(name) => Some(Ident { name, span: expr.span }),
        ExprKind::AddressOf(inner) => function_named(*inner),
        _ => None,
    }
}
