//! Names of C types, with the qualifiers and attributes that mean nothing here.

use crate::ast::{Declarator, Initializer, Parameter, TypeName};
use crate::lex::Tok;

use super::{Parsed, Parser};

const QUALIFIERS: [&str; 14] = [
    "const",
    "volatile",
    "static",
    "inline",
    "extern",
    "register",
    "auto",
    "restrict",
    "_Atomic",
    "noinline",
    "asmlinkage",
    "notrace",
    "noinline_for_stack",
    "__always_inline",
];
const INTEGERS: [&str; 30] = [
    "void", "char", "short", "int", "long", "unsigned", "signed", "bool", "_Bool", "float",
    "double", "u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64", "__u8", "__u16", "__u32",
    "__u64", "__s32", "__s64", "__le32", "__le64", "uint", "ulong", "size_t",
];

impl Parser {
    /// Skips qualifiers and attributes, with their arguments.
    pub(super) fn attributes(&mut self) -> Parsed<()> {
        self.skip_attributes(false)
    }

    /// The same where a name has to come: with nothing but a body, a value or the
    /// end behind it, a word is the name itself, as in `int __replace_page(...) {`.
    fn attributes_before_name(&mut self) -> Parsed<()> {
        self.skip_attributes(true)
    }

    fn skip_attributes(&mut self, before_name: bool) -> Parsed<()> {
        loop {
            let Some(word) = self.token().word() else { return Ok(()) };
            if before_name && word.starts_with("__") && self.is_the_name() {
                return Ok(());
            }
            let own = matches!(&**word, "__implements" | "__from");
            let attribute = word.starts_with("__") && !own && !INTEGERS.contains(&&**word);
            // `__name(` in front of a declaration is one with arguments.
            if !attribute && !QUALIFIERS.contains(&&**word) {
                return Ok(());
            }
            self.next();
            if attribute && self.is("(") {
                self.parentheses()?;
            }
        }
    }

    /// Whether the word here is what is declared.
    fn is_the_name(&self) -> bool {
        let mut at = 1;
        if self.is_ahead(at, "(") {
            let mut depth = 0usize;
            loop {
                match self.ahead(at) {
                    Tok::Punct("(") => depth += 1,
                    Tok::Punct(")") => depth -= 1,
                    Tok::Eof => return false,
                    _ => {}
                }
                at += 1;
                if depth == 0 {
                    break;
                }
            }
        }
        ["{", ";", "=", "["].iter().any(|sign| self.is_ahead(at, sign))
    }

    fn parentheses(&mut self) -> Parsed<()> {
        self.expect("(")?;
        let mut depth = 1usize;
        while depth > 0 {
            match self.token().tok {
                Tok::Punct("(") => depth += 1,
                Tok::Punct(")") => depth -= 1,
                Tok::Eof => return self.expected("`)`"),
                _ => {}
            }
            self.next();
        }
        Ok(())
    }

    /// Whether a declaration begins here.
    pub(super) fn at_type(&self) -> bool {
        let Some(word) = self.token().word() else { return false };
        if is_type_word(word) || QUALIFIERS.contains(&&**word) {
            return true;
        }
        let named = |at| self.word_ahead(at).is_some();
        let pointer = self.is_ahead(1, "*") && named(2);
        let ends = |at| ["=", ";", ",", "["].iter().any(|sign| self.is_ahead(at, sign));
        // `foo_t x`, `foo *x;`: as a statement of its own this is no product.
        (named(1) && ends(2)) || (pointer && ends(3)) || word.starts_with("__") && named(1)
    }

    /// Whether `(type)` follows, at the parenthesis.
    pub(super) fn at_cast(&self) -> bool {
        let Some(word) = self.word_ahead(1) else { return false };
        let known = is_type_word(word) || QUALIFIERS.contains(&&**word);
        let closes = self.is_ahead(2, ")") || self.is_ahead(2, "*");
        known && (closes || self.word_ahead(2).is_some())
    }

    /// A type without its name: `const struct vm_fault`.
    pub(super) fn base_type(&mut self) -> Parsed<TypeName> {
        self.attributes()?;
        let start = self.span();
        let first = self.ident("a type")?.name;
        let is_struct = matches!(&*first, "struct" | "union" | "enum");
        let mut base =
            if is_struct { self.ident("the name of the struct")?.name } else { first }.to_string();
        if INTEGERS.contains(&base.as_str()) && !is_struct {
            while let Some(more) = self.token().word().filter(|w| INTEGERS.contains(&&***w)) {
                base = format!("{base} {more}");
                self.next();
            }
        }
        let span = self.since(start);
        self.attributes_before_name()?;
        Ok(TypeName { base, is_struct, pointers: 0, span })
    }

    pub(super) fn pointers(&mut self, mut ty: TypeName) -> Parsed<TypeName> {
        while self.eat("*") {
            ty.pointers += 1;
            self.attributes_before_name()?;
        }
        Ok(ty)
    }

    /// `int a = 1, *b;` up to and without the `;`.
    pub(super) fn declarators(&mut self) -> Parsed<Vec<Declarator>> {
        let base = self.base_type()?;
        let mut list = Vec::new();
        loop {
            let ty = self.pointers(base.clone())?;
            let name = self.ident("a name")?;
            let mut array = None;
            if self.eat("[") {
                array = Some(if self.is("]") { None } else { Some(self.assignment()?) });
                self.expect("]")?;
            }
            self.attributes()?;
            let init = if self.eat("=") { Some(self.initializer()?) } else { None };
            list.push(Declarator { ty, name, array, init });
            if !self.eat(",") {
                return Ok(list);
            }
        }
    }

    pub(super) fn initializer(&mut self) -> Parsed<Initializer> {
        if !self.is("{") {
            return Ok(Initializer::Value(self.assignment()?));
        }
        self.deeper(|parser| {
            let start = parser.expect("{")?;
            let mut list = Vec::new();
            while !parser.is("}") {
                let mut field = None;
                if parser.eat(".") {
                    field = Some(parser.ident("a field")?);
                    parser.expect("=")?;
                }
                list.push((field, parser.initializer()?));
                if !parser.eat(",") {
                    break;
                }
            }
            parser.expect("}")?;
            Ok(Initializer::List(list, parser.since(start)))
        })
    }

    /// `(int *a, struct page *page)`.
    pub(super) fn parameters(&mut self) -> Parsed<Vec<Parameter>> {
        self.expect("(")?;
        let mut list = Vec::new();
        if self.is_word("void") && self.is_ahead(1, ")") {
            self.next();
        }
        while !self.is(")") {
            let base = self.base_type()?;
            let mut ty = self.pointers(base)?;
            let name = match self.token().word() {
                Some(_) => Some(self.ident("a name")?),
                None => None,
            };
            if self.eat("[") {
                if !self.is("]") {
                    self.assignment()?;
                }
                self.expect("]")?;
                ty.pointers += 1;
            }
            self.attributes()?;
            list.push(Parameter { ty, name });
            if !self.eat(",") {
                break;
            }
        }
        self.expect(")")?;
        Ok(list)
    }
}

fn is_type_word(word: &str) -> bool {
    INTEGERS.contains(&word)
        || matches!(word, "struct" | "union" | "enum")
        || (word.ends_with("_t") && word.len() > 2)
}
