//! The declarative block: tables, words, TLBs, queues, devices.

use crate::ast::{
    Declaration, DeclarationKind, Declarator, Expr, ExprKind, Ident, Initializer, Test, UnaryOp,
};
use crate::diag::{Diagnostic, nearest};
use crate::names;
use crate::program::{
    Backing, Frame, FrameId, Global, GlobalId, GlobalKind, Initial, Mapping, Object, ObjectId,
    ObjectKind, Param, Space, SpaceId, TableLock, TlbSource,
};
use crate::source::Span;
use crate::types::{TlbKind, Type};

use super::{Checker, Entity};

/// More tags than this a TLB cannot have: each costs a set for each page.
const MOST_TAGS: i64 = 8;

/// More words than this in one array is a mistake.
const LONGEST_ARRAY: i64 = 4096;

impl Checker {
    pub(super) fn declarations(&mut self, test: &Test) {
        let mm = Ident { name: "mm".into(), span: Span::default() };
        self.space(&mm);
        self.plain = !test
            .declarations
            .iter()
            .any(|declaration| matches!(declaration.kind, DeclarationKind::Map { .. }));
        self.tags = test
            .declarations
            .iter()
            .filter_map(|declaration| match &declaration.kind {
                DeclarationKind::Tlb { name, tags: Some((tags, _)), .. } => {
                    Some((name.name.clone(), u32::try_from(*tags).unwrap_or(0)))
                }
                _ => None,
            })
            .collect();
        // What others refer to first: the order of lines is the author's.
        for declaration in &test.declarations {
            self.first_pass(declaration);
        }
        for declaration in &test.declarations {
            self.second_pass(declaration);
        }
        self.implicit_words(test);
        for declaration in &test.declarations {
            self.initial_values(declaration);
        }
    }

    fn space(&mut self, name: &Ident) -> SpaceId {
        if let Some(Entity::Space(id)) = self.entity(&name.name) {
            return id;
        }
        let id = SpaceId(self.spaces.len() as u32);
        self.spaces.push(Space { name: name.name.clone(), domain: false, span: name.span });
        self.enter(name, Entity::Space(id));
        id
    }

    fn frame(&mut self, name: &Ident) -> FrameId {
        if let Some(Entity::Frame(id)) = self.entity(&name.name) {
            return id;
        }
        let id = FrameId(self.frames.len() as u32);
        let values = Vec::new();
        self.frames.push(Frame { name: name.name.clone(), values, owner: None, span: name.span });
        self.enter(name, Entity::Frame(id));
        id
    }

    fn global(&mut self, name: &Ident, kind: GlobalKind) -> GlobalId {
        let id = GlobalId(self.globals.len() as u32);
        self.globals.push(Global { name: name.name.clone(), kind, span: name.span });
        self.enter(name, Entity::Global(id));
        id
    }

    fn object(&mut self, name: &Ident, kind: ObjectKind) {
        let id = ObjectId(self.objects.len() as u32);
        self.objects.push(Object { name: name.name.clone(), kind, span: name.span });
        self.enter(name, Entity::Object(id));
    }

    fn first_pass(&mut self, declaration: &Declaration) {
        match &declaration.kind {
            DeclarationKind::Space { names, domain } => {
                for name in names {
                    let id = self.space(name);
                    self.spaces[id.index()].domain |= domain;
                }
            }
            DeclarationKind::Map { page, frame, values, attributes } => {
                let mapping = self.mapping(page, frame.as_ref(), values, attributes);
                self.global(page, GlobalKind::Page(mapping));
            }
            DeclarationKind::Frame { frame, owner } => {
                let id = self.frame(frame);
                let space = self.space(owner);
                if self.frames[id.index()].owner.replace(space).is_some() {
                    let message = format!("frame `{}` has two owners", frame.name);
                    self.error(owner.span, message, "one address space gets it");
                }
            }
            DeclarationKind::Swtlb { names } => {
                for name in names {
                    self.object(name, ObjectKind::SoftTlb);
                }
            }
            DeclarationKind::Tlb { kind, name, .. } => {
                let kind = match &*kind.name {
                    "iotlb" => TlbKind::Iotlb,
                    "atc" => TlbKind::Atc,
                    _ => TlbKind::Tlb,
                };
                // What it fills from may be declared below.
                let source = TlbSource::Space(SpaceId(0));
                self.object(name, ObjectKind::Tlb { kind, source, noncoherent: false });
            }
            DeclarationKind::Context { name, tag, lazy, .. } => {
                let (tlb, space, tag, lazy) = (ObjectId(0), None, *tag, *lazy);
                self.object(name, ObjectKind::Context { tlb, space, tag, lazy });
            }
            DeclarationKind::Queue { name, order, .. } => {
                let in_order = self.one_of(order.as_ref(), "in_order", "any_order");
                self.object(name, ObjectKind::Queue { targets: Vec::new(), in_order });
            }
            DeclarationKind::Device { name, pasid, order, .. } => {
                let ordered = self.one_of(order.as_ref(), "waits", "relaxed");
                let pasid = pasid.unwrap_or(0);
                self.object(name, ObjectKind::Device { tlb: ObjectId(0), pasid, ordered });
            }
            DeclarationKind::Globals(list) => {
                for declarator in list {
                    self.variable(declarator);
                }
            }
            DeclarationKind::Model { names } => {
                for name in names {
                    if !names::MODELS.contains(&&*name.name) {
                        let message = format!("unknown memory model `{}`", name.name);
                        let near = nearest(&name.name, names::MODELS);
                        self.errors.push(
                            Diagnostic::error(name.span, message)
                                .nearest(near)
                                .help("one of sc, tso, ra, lkmm"),
                        );
                    }
                    self.models.push((name.name.clone(), name.span));
                }
            }
            DeclarationKind::Param { name, value } => {
                if self.params.iter().any(|param| param.name == name.name) {
                    let message = format!("`{}` is given twice", name.name);
                    self.error(name.span, message, "the second value");
                }
                let (name, value) = (name.name.clone(), value.name.clone());
                self.params.push(Param { name, value, span: declaration.span });
            }
            _ => {}
        }
    }

    fn second_pass(&mut self, declaration: &Declaration) {
        match &declaration.kind {
            DeclarationKind::Ptl { mode, pages } => {
                let split = !self.one_of(Some(mode), "shared", "split");
                let pages = pages.iter().filter_map(|page| self.mapped(page)).collect();
                self.table_locks.push(TableLock { split, pages, span: declaration.span });
            }
            DeclarationKind::Tlb { kind, name, source, tags, noncoherent } => {
                self.tlb_source(kind, name, source.as_ref(), *tags, *noncoherent);
            }
            DeclarationKind::Context { name, tlb, space, tag, .. } => {
                self.context(name, tlb, space.as_ref(), *tag);
            }
            DeclarationKind::Queue { name, targets, .. } => {
                let mut ids = Vec::new();
                for target in targets {
                    match self.entity(&target.name) {
                        Some(Entity::Object(id))
                            if matches!(self.objects[id.index()].kind, ObjectKind::Tlb { .. }) =>
                        {
                            ids.push(id);
                        }
                        _ => self.unknown("TLB", target, |e| matches!(e, Entity::Object(_))),
                    }
                }
                if let Some(Entity::Object(id)) = self.entity(&name.name)
                    && let ObjectKind::Queue { targets, .. } = &mut self.objects[id.index()].kind
                {
                    *targets = ids;
                }
            }
            DeclarationKind::Device { name, tlb, .. } => {
                let found = match self.entity(&tlb.name) {
                    Some(Entity::Object(id)) if self.has_tags(id).is_some() => {
                        self.tags_need_a_context(tlb);
                        return;
                    }
                    Some(Entity::Object(id))
                        if matches!(
                            self.objects[id.index()].kind,
                            ObjectKind::Tlb { .. } | ObjectKind::Context { .. }
                        ) =>
                    {
                        id
                    }
                    _ => {
                        self.unknown("TLB", tlb, |e| matches!(e, Entity::Object(_)));
                        return;
                    }
                };
                if let Some(Entity::Object(id)) = self.entity(&name.name)
                    && let ObjectKind::Device { tlb, .. } = &mut self.objects[id.index()].kind
                {
                    *tlb = found;
                }
            }
            DeclarationKind::Set { name, .. } if self.entity(&name.name).is_none() => {
                let kind =
                    GlobalKind::Words { ty: Type::Int, array: false, init: vec![Initial::Int(0)] };
                self.global(name, kind);
            }
            _ => {}
        }
    }

    fn tlb_source(
        &mut self,
        kind: &Ident,
        name: &Ident,
        source: Option<&Ident>,
        tags: Option<(i64, Span)>,
        walks_memory: Option<Span>,
    ) {
        let wants = match &*kind.name {
            "iotlb" => "an address space",
            "atc" => "an iotlb or a context",
            _ => "an address space or a swtlb",
        };
        let found = match (source, tags) {
            (None, None) => {
                let label =
                    format!("write `{0} {1} <- mm;` or `{0} {1} : tags 2;`", kind.name, name.name);
                self.error(name.span, format!("`{}` fills from nothing", name.name), &label);
                return;
            }
            (Some(source), Some((_, span))) => {
                let message = format!("`{}` fills from `{}` and has tags", name.name, source.name);
                let label = "a TLB with tags fills from what its contexts have loaded";
                self.error(span, message, label);
                return;
            }
            (None, Some((tags, span))) => {
                if &*kind.name == "atc" || !(1..=MOST_TAGS).contains(&tags) {
                    let message = format!("`{}` cannot have {tags} tags", name.name);
                    let label = match &*kind.name {
                        "atc" => "an atc fills from a context: `atc T <- c;`".to_owned(),
                        _ => format!("1 to {MOST_TAGS} tags"),
                    };
                    self.error(span, message, &label);
                    return;
                }
                TlbSource::Contexts(tags as u32)
            }
            (Some(source), None) => match (self.entity(&source.name), &*kind.name) {
                (Some(Entity::Space(id)), "iotlb" | "tlb") => TlbSource::Space(id),
                (Some(Entity::Object(id)), "atc") if self.has_tags(id).is_some() => {
                    return self.tags_need_a_context(source);
                }
                (Some(Entity::Object(id)), kind)
                    if matches!(
                        (&self.objects[id.index()].kind, kind),
                        (ObjectKind::Tlb { kind: TlbKind::Iotlb, .. }, "atc")
                            | (ObjectKind::Context { .. }, "atc")
                            | (ObjectKind::SoftTlb, "tlb")
                    ) =>
                {
                    TlbSource::Object(id)
                }
                (None, _) => {
                    return self.unknown("source", source, |e| {
                        matches!(e, Entity::Object(_) | Entity::Space(_))
                    });
                }
                _ => {
                    let message = format!("`{}` fills from {wants}", kind.name);
                    return self.error(source.span, message, "");
                }
            },
        };
        if let (Some(span), TlbSource::Object(_)) = (walks_memory, found) {
            let message = format!("`{}` does not walk tables", name.name);
            self.error(span, message, "what walks is the TLB that it fills from");
        }
        if let Some(Entity::Object(id)) = self.entity(&name.name)
            && let ObjectKind::Tlb { source, noncoherent, .. } = &mut self.objects[id.index()].kind
        {
            *source = found;
            *noncoherent = walks_memory.is_some();
        }
    }

    /// How many tags a TLB has; lines may stand in any order.
    fn has_tags(&self, id: ObjectId) -> Option<u32> {
        let name = &self.objects[id.index()].name;
        self.tags.iter().find(|(tlb, _)| tlb == name).map(|(_, tags)| *tags)
    }

    fn tags_need_a_context(&mut self, tlb: &Ident) {
        let message = format!("`{}` has tags", tlb.name);
        let label = format!("declare `context c -> {} : mm, tag 0;` and name `c` here", tlb.name);
        self.error(tlb.span, message, &label);
    }

    fn context(&mut self, name: &Ident, tlb: &Ident, space: Option<&Ident>, tag: i64) {
        let id = match self.entity(&tlb.name) {
            Some(Entity::Object(id)) if self.has_tags(id).is_some() => id,
            Some(Entity::Object(_)) => {
                let message = format!("`{}` has no tags", tlb.name);
                let label = "a context loads roots into a TLB such as `tlb U : tags 2;`";
                return self.error(tlb.span, message, label);
            }
            _ => return self.unknown("TLB", tlb, |e| matches!(e, Entity::Object(_))),
        };
        let tags = self.has_tags(id).unwrap_or(0);
        if !(0..i64::from(tags)).contains(&tag) {
            let message = format!("`{}` has no tag {tag}", tlb.name);
            self.error(name.span, message, &format!("tags are 0 to {}", i64::from(tags) - 1));
        }
        let mut loaded = None;
        if let Some(space) = space {
            match self.entity(&space.name) {
                Some(Entity::Space(id)) => loaded = Some(id),
                _ => self.unknown("address space", space, |e| matches!(e, Entity::Space(_))),
            }
        }
        if let Some(Entity::Object(own)) = self.entity(&name.name)
            && let ObjectKind::Context { tlb, space, .. } = &mut self.objects[own.index()].kind
        {
            (*tlb, *space) = (id, loaded);
        }
    }

    /// Whether the first of two words stands there; the first is the default.
    fn one_of(&mut self, word: Option<&Ident>, first: &str, second: &str) -> bool {
        let Some(word) = word else { return true };
        if &*word.name != first && &*word.name != second {
            let message = format!("`{}` is neither `{first}` nor `{second}`", word.name);
            let near = nearest(&word.name, [first, second]);
            self.errors.push(Diagnostic::error(word.span, message).nearest(near));
        }
        &*word.name == first
    }

    fn mapping(
        &mut self,
        page: &Ident,
        frame: Option<&Ident>,
        values: &[i64],
        attributes: &[Ident],
    ) -> Mapping {
        let id = frame.map(|frame| self.frame(frame));
        if let Some(id) = id {
            let known = &mut self.frames[id.index()].values;
            if !known.is_empty() && !values.is_empty() && known != values {
                let message = format!("frame of `{}` has other values above", page.name);
                self.error(page.span, message, "give them once");
            } else if !values.is_empty() {
                *known = values.to_vec();
            }
        }
        let mut mapping = Mapping {
            frame: id,
            writable: true,
            readable: true,
            backing: Backing::Anon,
            cow: false,
            exclusive: false,
            huge: false,
            dirty: None,
            saved: false,
            mapped_by: 1,
        };
        for attribute in attributes {
            match &*attribute.name {
                "ro" => mapping.writable = false,
                "rw" => mapping.writable = true,
                "none" => (mapping.readable, mapping.writable) = (false, false),
                "anon" => mapping.backing = Backing::Anon,
                "file" => mapping.backing = Backing::File,
                "shmem" => mapping.backing = Backing::Shmem,
                "zero" => mapping.backing = Backing::Zero,
                "cow" => mapping.cow = true,
                "excl" => mapping.exclusive = true,
                "huge" => mapping.huge = true,
                "saved" => mapping.saved = true,
                "dirty" => mapping.dirty = Some(true),
                "clean" => mapping.dirty = Some(false),
                name => {
                    let times = name.strip_prefix('x').and_then(|digits| digits.parse().ok());
                    match times {
                        Some(times @ 1..=64) => mapping.mapped_by = times,
                        _ => {
                            let near = nearest(name, names::ATTRIBUTES);
                            let message = format!("unknown attribute `{name}` of a mapping");
                            self.errors.push(
                                Diagnostic::error(attribute.span, message)
                                    .nearest(near)
                                    .help("ro rw none, anon file shmem zero, cow excl, huge, dirty clean, saved, x2"),
                            );
                        }
                    }
                }
            }
        }
        if mapping.cow && mapping.exclusive {
            let message = format!("`{}` is `cow` and `excl`", page.name);
            self.error(page.span, message, "an exclusive page is used in place, not copied");
        }
        if mapping.backing == Backing::Zero && mapping.writable {
            let message = format!("`{}` maps the zero page writable", page.name);
            self.error(page.span, message, "write `ro zero`");
        }
        mapping
    }

    fn mapped(&mut self, name: &Ident) -> Option<GlobalId> {
        match self.entity(&name.name) {
            Some(Entity::Global(id))
                if matches!(self.globals[id.index()].kind, GlobalKind::Page(_)) =>
            {
                Some(id)
            }
            _ => {
                self.unknown("mapped name", name, |e| matches!(e, Entity::Global(_)));
                None
            }
        }
    }

    fn variable(&mut self, declarator: &Declarator) {
        let ty = self.ty(&declarator.ty);
        let kind = match ty {
            Type::Lock => GlobalKind::Lock,
            Type::Record(record) => GlobalKind::Record(record),
            Type::Void => {
                self.error(declarator.name.span, "a variable of type void", "write `int`");
                return;
            }
            Type::Pte | Type::Pmd | Type::PtePtr | Type::PmdPtr => {
                let message = format!("`{}` cannot be {ty}", declarator.name.name);
                self.error(declarator.name.span, message, "entries are declared with `map`");
                return;
            }
            ty => {
                let words = match &declarator.array {
                    None => 1,
                    Some(size) => self.array_size(declarator, size.as_ref()),
                };
                let init = vec![Initial::Int(0); words];
                GlobalKind::Words { ty, array: declarator.array.is_some(), init }
            }
        };
        self.global(&declarator.name, kind);
    }

    fn array_size(&mut self, declarator: &Declarator, size: Option<&Expr>) -> usize {
        let listed = match &declarator.init {
            Some(Initializer::List(list, _)) => list.len() as i64,
            _ => 1,
        };
        let size = match size {
            None => listed,
            Some(Expr { kind: ExprKind::Int(size), .. }) => *size,
            Some(other) => {
                self.error(other.span, "the size of an array is a number", "");
                1
            }
        };
        if !(1..=LONGEST_ARRAY).contains(&size) || listed > size {
            let message = format!("an array of {size} words with {listed} values");
            self.error(declarator.name.span, message, "");
        }
        size.clamp(1, LONGEST_ARRAY) as usize
    }

    /// In a plain litmus test a parameter introduces the word it names.
    fn implicit_words(&mut self, test: &Test) {
        for thread in &test.threads {
            for parameter in &thread.parameters {
                let Some(name) = &parameter.name else { continue };
                if !self.plain || self.entity(&name.name).is_some() {
                    continue;
                }
                let kind = match self.ty(&parameter.ty) {
                    Type::Lock => GlobalKind::Lock,
                    Type::Record(record) => GlobalKind::Record(record),
                    _ => {
                        let ty = if parameter.ty.pointers > 1 { Type::IntPtr } else { Type::Int };
                        GlobalKind::Words { ty, array: false, init: vec![Initial::Int(0)] }
                    }
                };
                self.global(name, kind);
            }
        }
    }

    fn initial_values(&mut self, declaration: &Declaration) {
        match &declaration.kind {
            DeclarationKind::Globals(list) => {
                for declarator in list {
                    match &declarator.init {
                        Some(Initializer::Value(value)) => {
                            self.initialise(&declarator.name, 0, value);
                        }
                        Some(Initializer::List(list, _)) => {
                            for (at, (_, value)) in list.iter().enumerate() {
                                if let Initializer::Value(value) = value {
                                    self.initialise(&declarator.name, at, value);
                                }
                            }
                        }
                        None => {}
                    }
                }
            }
            DeclarationKind::Set { name, index, value } => {
                self.initialise(name, index.unwrap_or(0).max(0) as usize, value);
            }
            _ => {}
        }
    }

    fn initialise(&mut self, name: &Ident, at: usize, value: &Expr) {
        let initial = self.initial(value);
        let Some(Entity::Global(id)) = self.entity(&name.name) else { return };
        let frame = match &mut self.globals[id.index()].kind {
            GlobalKind::Words { init, .. } => {
                match init.get_mut(at) {
                    Some(word) => *word = initial.unwrap_or(Initial::Int(0)),
                    None => {
                        let message = format!("`{}` has no word {at}", name.name);
                        self.error(name.span, message, "");
                    }
                }
                return;
            }
            GlobalKind::Page(mapping) => mapping.frame,
            GlobalKind::Lock | GlobalKind::Record(_) => return,
        };
        // `a = 1` for a mapped name: the first word of its frame.
        match (frame, initial) {
            (Some(frame), Some(Initial::Int(value))) => {
                self.frames[frame.index()].values = vec![value];
            }
            _ => {
                let message = format!("`{}` cannot begin with this value", name.name);
                self.error(name.span, message, "say it in the `map` line: `map a -> Fa {1}`");
            }
        }
    }

    /// A value that is known before anything runs.
    pub(super) fn initial(&mut self, value: &Expr) -> Option<Initial> {
        match &value.kind {
            ExprKind::Int(number) => Some(Initial::Int(*number)),
            ExprKind::Unary(UnaryOp::Negate, inner) => match self.initial(inner)? {
                Initial::Int(number) => Some(Initial::Int(number.wrapping_neg())),
                Initial::AddressOf(_) => None,
            },
            ExprKind::AddressOf(inner) | ExprKind::Cast(_, inner) => self.initial(inner),
            ExprKind::Call { callee, arguments }
                if matches!(&*callee.name, "ATOMIC_INIT" | "__SPIN_LOCK_UNLOCKED") =>
            {
                arguments.first().map_or(Some(Initial::Int(0)), |first| self.initial(first))
            }
            ExprKind::Name(name) => {
                if let Some(constant) = names::constant(name) {
                    return Some(Initial::Int(constant.value));
                }
                let ident = Ident { name: name.clone(), span: value.span };
                match self.entity(name) {
                    Some(Entity::Global(id)) => Some(Initial::AddressOf(id)),
                    _ => {
                        self.unknown("variable", &ident, |e| matches!(e, Entity::Global(_)));
                        None
                    }
                }
            }
            _ => {
                let label = "a number, or `&x`";
                self.error(value.span, "this is not known before the test runs", label);
                None
            }
        }
    }
}
