//! From the tree to a [`Program`]: names, types, and bodies as lists of steps.

mod body;
mod call;
mod contract;
mod declaration;
mod ending;
mod expression;
mod function;
mod place;

use std::collections::HashMap;

use crate::Read;
use crate::ast::Ident;
use crate::diag::{Diagnostic, Diagnostics, Severity, nearest};
use crate::lex::Name;
use crate::names;
use crate::program::{
    Field, FieldId, Frame, FrameId, Function, FunctionId, Global, GlobalId, NotCovered, Object,
    ObjectId, Param, Program, Record, Space, SpaceId, TableLock, Thread,
};
use crate::source::Span;
use crate::types::{RecordId, Type};
use crate::variant::Variant;

/// What a name of the file stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entity {
    Global(GlobalId),
    Object(ObjectId),
    Space(SpaceId),
    Frame(FrameId),
    Function(FunctionId),
    Operations(usize),
}

pub(crate) struct Signature {
    pub(crate) name: Name,
    pub(crate) parameters: Vec<(Option<Name>, Type)>,
    pub(crate) result: Type,
    pub(crate) span: Span,
}

#[derive(Clone, Copy, Default)]
struct FieldUse {
    read: Option<Span>,
    set: bool,
}

#[derive(Default)]
pub(crate) struct Checker {
    pub(crate) errors: Vec<Diagnostic>,
    pub(crate) entities: HashMap<Name, (Entity, Span)>,
    pub(crate) spaces: Vec<Space>,
    pub(crate) frames: Vec<Frame>,
    pub(crate) globals: Vec<Global>,
    pub(crate) objects: Vec<Object>,
    pub(crate) table_locks: Vec<TableLock>,
    pub(crate) params: Vec<Param>,
    pub(crate) models: Vec<(Name, Span)>,
    pub(crate) records: Vec<Record>,
    uses: Vec<Vec<FieldUse>>,
    pub(crate) signatures: Vec<Signature>,
    /// For each function, whom it calls and where.
    pub(crate) calls: Vec<Vec<(FunctionId, Span)>>,
    pub(crate) functions: Vec<Function>,
    pub(crate) threads: Vec<Thread>,
    pub(crate) not_covered: Vec<NotCovered>,
    /// No table is declared: an ordinary litmus test, whose parameters may
    /// introduce words that nobody declared.
    pub(crate) plain: bool,
    /// TLBs with tags, and how many each has.
    pub(crate) tags: Vec<(Name, u32)>,
}

/// Checks one variant.
pub(crate) fn check(read: Read, variant: &Variant) -> Result<Program, Diagnostics> {
    let Read { files, header, test, switches, mut errors } = read;
    for name in variant.names() {
        if !switches.iter().any(|(switch, _)| &**switch == name) {
            let known: Vec<&str> = switches.iter().map(|(switch, _)| &**switch).collect();
            let has = match known.len() {
                0 => "the file has no variants".to_owned(),
                _ => format!("the file has {}", known.join(", ")),
            };
            errors.push(
                Diagnostic::error(header.span, format!("there is no variant `{name}`"))
                    .nearest(nearest(name, known.iter().copied()))
                    .help(has),
            );
        }
    }
    let failed = |errors: &[Diagnostic]| errors.iter().any(|e| e.severity == Severity::Error);
    if failed(&errors) {
        // What could not be read would be missed everywhere.
        return Err(Diagnostics::new(files, errors));
    }
    let mut checker = Checker { errors, ..Checker::default() };
    checker.declarations(&test);
    checker.functions(&test);
    let subscriptions = checker.subscriptions(&test);
    let faults = checker.faults(&test);
    checker.fields_that_nobody_sets();
    let ending = checker.ending(&test, &switches);
    let mut all = checker.errors;
    if failed(&all) {
        return Err(Diagnostics::new(files, all));
    }
    all.retain(|message| message.severity == Severity::Warning);
    let warnings = Diagnostics::new(files.clone(), all);
    Ok(Program {
        header,
        variant: variant.clone(),
        files,
        spaces: checker.spaces,
        frames: checker.frames,
        globals: checker.globals,
        objects: checker.objects,
        table_locks: checker.table_locks,
        params: checker.params,
        models: checker.models,
        records: checker.records,
        functions: checker.functions,
        threads: checker.threads,
        subscriptions,
        faults,
        locations: ending.locations,
        filter: ending.filter,
        condition: ending.condition,
        expectations: ending.expectations,
        endings: test.endings,
        not_covered: checker.not_covered,
        warnings,
    })
}

impl Checker {
    pub(crate) fn error(&mut self, span: Span, message: impl Into<String>, label: &str) {
        let diagnostic = Diagnostic::error(span, message);
        let diagnostic = if label.is_empty() { diagnostic } else { diagnostic.label(label) };
        self.errors.push(diagnostic);
    }

    /// Gives a name its meaning; a name has one.
    pub(crate) fn enter(&mut self, name: &Ident, entity: Entity) {
        if let Some((_, first)) = self.entities.get(&name.name) {
            let diagnostic =
                Diagnostic::error(name.span, format!("`{}` is declared twice", name.name))
                    .label("the second declaration")
                    .also(*first, "the first is here");
            self.errors.push(diagnostic);
            return;
        }
        self.entities.insert(name.name.clone(), (entity, name.span));
    }

    pub(crate) fn entity(&self, name: &str) -> Option<Entity> {
        self.entities.get(name).map(|(entity, _)| *entity)
    }

    /// The declared name most like this one.
    pub(crate) fn near(&self, name: &str, fits: impl Fn(Entity) -> bool) -> Option<String> {
        let mut names: Vec<&str> = self
            .entities
            .iter()
            .filter(|(_, (entity, _))| fits(*entity))
            .map(|(name, _)| &**name)
            .collect();
        names.sort_unstable();
        nearest(name, names)
    }

    pub(crate) fn unknown(&mut self, what: &str, name: &Ident, fits: impl Fn(Entity) -> bool) {
        let near = self.near(&name.name, fits);
        let diagnostic =
            Diagnostic::error(name.span, format!("unknown {what} `{}`", name.name)).nearest(near);
        self.errors.push(diagnostic);
    }

    /// The number of a record, by its tag.
    pub(crate) fn record(&mut self, tag: &str) -> RecordId {
        if let Some(at) = self.records.iter().position(|record| &*record.tag == tag) {
            return RecordId(at as u32);
        }
        self.records.push(Record { tag: tag.into(), fields: Vec::new() });
        self.uses.push(Vec::new());
        RecordId(self.records.len() as u32 - 1)
    }

    /// A field that the text names. It comes into being with its first use.
    pub(crate) fn field(&mut self, record: RecordId, name: &Ident) -> (FieldId, Type) {
        let at = record.0 as usize;
        let known = self.records[at].fields.iter().position(|field| field.name == name.name);
        let field = known.unwrap_or_else(|| {
            let tag = self.records[at].tag.clone();
            let ty = if &*tag == "vm_fault" && &*name.name == "vma" {
                Type::Record(self.record("vm_area_struct"))
            } else {
                let row = names::FIELDS.iter().find(|(t, f, _)| *t == &*tag && *f == &*name.name);
                row.map_or(Type::Any, |(_, _, ty)| *ty)
            };
            let given = names::FIELDS.iter().any(|(t, f, _)| *t == &*tag && *f == &*name.name);
            self.records[at].fields.push(Field { name: name.name.clone(), ty });
            self.uses[at].push(FieldUse { read: None, set: given });
            self.records[at].fields.len() - 1
        });
        self.uses[at][field].read.get_or_insert(name.span);
        (FieldId(field as u32), self.records[at].fields[field].ty)
    }

    /// Something is stored in a field: if its type was not known it is now.
    pub(crate) fn field_is_set(&mut self, record: RecordId, field: FieldId, ty: Type) {
        let (at, index) = (record.0 as usize, field.index());
        self.uses[at][index].set = true;
        let known = &mut self.records[at].fields[index].ty;
        if *known == Type::Any && ty != Type::Null {
            *known = ty;
        }
    }

    /// A field is used as a lock; nobody has to set it.
    pub(crate) fn field_is_lock(&mut self, record: RecordId, field: FieldId) {
        let (at, index) = (record.0 as usize, field.index());
        self.uses[at][index].set = true;
        self.records[at].fields[index].ty = Type::Lock;
    }

    /// A field that is read and that nobody sets is a typing error.
    fn fields_that_nobody_sets(&mut self) {
        for (record, uses) in self.records.iter().zip(&self.uses) {
            for (field, usage) in record.fields.iter().zip(uses) {
                let (false, Some(span)) = (usage.set, usage.read) else { continue };
                let others = record.fields.iter().map(|other| &*other.name);
                let listed = names::FIELDS.iter().filter(|row| row.0 == &*record.tag);
                let near = nearest(&field.name, others.chain(listed.map(|row| row.1)));
                let message =
                    format!("nobody sets the field `{}` of struct {}", field.name, record.tag);
                self.errors.push(Diagnostic::error(span, message).nearest(near));
            }
        }
    }

    /// The type that a C type stands for.
    pub(crate) fn ty(&mut self, ty: &crate::ast::TypeName) -> Type {
        crate::types::resolve(ty, &mut |tag| self.record(tag))
    }
}
