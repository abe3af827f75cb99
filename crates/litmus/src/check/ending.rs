//! The end of a test: what is looked at, and what is expected of it.

use crate::ast::{self, ExpectLine, Operand, PlaceRef, Test};
use crate::diag::{Diagnostic, nearest};
use crate::expect::{Claim, Expectation, Expectations, HowOften, VERDICTS};
use crate::lex::Name;
use crate::names;
use crate::primitives::{primitive, primitives};
use crate::program::{Condition, GlobalKind, LocalId, Observed, Prop, ThreadId, Wanted};
use crate::source::Span;
use crate::variant::Variant;

use super::{Checker, Entity};

pub(super) struct Ending {
    pub(super) locations: Vec<Observed>,
    pub(super) filter: Option<Prop>,
    pub(super) condition: Option<Condition>,
    pub(super) expectations: Expectations,
}

impl Checker {
    pub(super) fn ending(&mut self, test: &Test, switches: &[(Name, Span)]) -> Ending {
        let locations = test.locations.iter().filter_map(|place| self.observed(place)).collect();
        let filter = test.filter.as_ref().map(|prop| self.prop(prop));
        let condition = test.condition.as_ref().map(|(quantifier, prop, span)| Condition {
            quantifier: *quantifier,
            prop: self.prop(prop),
            span: *span,
        });
        let mut lines: Vec<Expectation> = Vec::new();
        for line in &test.expect {
            let Some(checked) = self.expectation(line, switches) else { continue };
            if let Some(same) = lines.iter().find(|other| same_setting(other, &checked)) {
                self.errors.push(
                    Diagnostic::error(checked.span, "two lines for the same setting")
                        .label("the second")
                        .also(same.span, "the first"),
                );
            }
            lines.push(checked);
        }
        Ending { locations, filter, condition, expectations: Expectations { lines } }
    }

    fn prop(&mut self, prop: &ast::Prop) -> Prop {
        let both = |checker: &mut Self, left: &ast::Prop, right: &ast::Prop| {
            (Box::new(checker.prop(left)), Box::new(checker.prop(right)))
        };
        match prop {
            ast::Prop::Constant(value) => Prop::Constant(*value),
            ast::Prop::Not(inner) => Prop::Not(Box::new(self.prop(inner))),
            ast::Prop::And(left, right) => {
                let (left, right) = both(self, left, right);
                Prop::And(left, right)
            }
            ast::Prop::Or(left, right) => {
                let (left, right) = both(self, left, right);
                Prop::Or(left, right)
            }
            ast::Prop::Implies(left, right) => {
                let (left, right) = both(self, left, right);
                Prop::Implies(left, right)
            }
            ast::Prop::Atom { left, equal, right } => {
                let left = self.observed(left);
                let right = match right {
                    Operand::Int(number) => Some(Wanted::Int(*number)),
                    Operand::Place(place) => self.wanted(place),
                };
                match (left, right) {
                    (Some(left), Some(right)) => Prop::Atom { left, equal: *equal, right },
                    _ => Prop::Constant(false),
                }
            }
        }
    }

    fn wanted(&mut self, place: &PlaceRef) -> Option<Wanted> {
        let address = place.thread.is_none() && !place.brackets && place.index.is_none();
        match self.entity(&place.name.name) {
            Some(Entity::Global(id)) if address => Some(Wanted::AddressOf(id)),
            None if address => match names::constant(&place.name.name) {
                Some(constant) => Some(Wanted::Int(constant.value)),
                None => self.observed(place).map(Wanted::Place),
            },
            _ => self.observed(place).map(Wanted::Place),
        }
    }

    fn observed(&mut self, place: &PlaceRef) -> Option<Observed> {
        let name = &place.name;
        let Some(id) = place.thread else {
            let index = place.index.unwrap_or(0);
            let words = match self.entity(&name.name) {
                Some(Entity::Global(id)) => match &self.globals[id.index()].kind {
                    GlobalKind::Words { init, .. } => Some((Observed::Memory(id, 0), init.len())),
                    GlobalKind::Page(_) => Some((Observed::Memory(id, 0), 4096)),
                    GlobalKind::Lock => Some((Observed::Memory(id, 0), 1)),
                    GlobalKind::Record(_) => None,
                },
                Some(Entity::Frame(id)) => Some((Observed::Frame(id, 0), 4096)),
                _ => None,
            };
            let Some((observed, words)) = words else {
                let near =
                    self.near(&name.name, |e| matches!(e, Entity::Global(_) | Entity::Frame(_)));
                let message = format!("the condition names `{}`, which nobody has", name.name);
                let mut diagnostic = Diagnostic::error(place.span, message).nearest(near);
                if self.threads.iter().any(|thread| {
                    thread.body.locals.iter().any(|local| local.name.as_ref() == Some(&name.name))
                }) {
                    diagnostic = diagnostic.help("registers are named `P0:r1`");
                }
                self.errors.push(diagnostic);
                return None;
            };
            if index < 0 || index >= words as i64 {
                let message = format!("`{}` has no word {index}", name.name);
                self.error(place.span, message, "");
                return None;
            }
            return Some(match observed {
                Observed::Memory(id, _) => Observed::Memory(id, index as u32),
                Observed::Frame(id, _) => Observed::Frame(id, index as u32),
                other => other,
            });
        };
        let wanted = format!("{}{}", id.class, id.number);
        let Some(at) = self.threads.iter().position(|thread| *thread.name == wanted) else {
            let message = format!("the condition names thread {wanted}, which is not there");
            let names = self.threads.iter().map(|thread| &*thread.name);
            let near = nearest(&wanted, names);
            self.errors.push(Diagnostic::error(id.span, message).nearest(near));
            return None;
        };
        let thread = ThreadId(at as u32);
        if &*name.name == "fault" {
            return Some(Observed::Fault(thread));
        }
        let locals = &self.threads[at].body.locals;
        match locals.iter().position(|local| local.name.as_ref() == Some(&name.name)) {
            Some(local) => Some(Observed::Register(thread, LocalId(local as u32))),
            None => {
                let known = locals.iter().filter_map(|local| local.name.as_deref());
                let near = nearest(&name.name, known);
                let message = format!("{wanted} has no register `{}`", name.name);
                self.errors.push(Diagnostic::error(place.span, message).nearest(near));
                None
            }
        }
    }

    fn expectation(&mut self, line: &ExpectLine, switches: &[(Name, Span)]) -> Option<Expectation> {
        for variant in &line.variants {
            if !switches.iter().any(|(switch, _)| *switch == variant.name) {
                let near = nearest(&variant.name, switches.iter().map(|(switch, _)| &**switch));
                let message = format!("there is no variant `{}`", variant.name);
                let label = "no #ifdef asks for it";
                let diagnostic = Diagnostic::error(variant.span, message).label(label);
                self.errors.push(diagnostic.nearest(near));
            }
        }
        for model in &line.models {
            if !names::MODELS.contains(&&*model.name) {
                let message = format!("unknown memory model `{}`", model.name);
                let near = nearest(&model.name, names::MODELS);
                self.errors.push(Diagnostic::error(model.span, message).nearest(near));
            }
        }
        let names = |list: &[ast::Ident]| list.iter().map(|name| name.name.clone()).collect();
        let variant = (!line.variants.is_empty())
            .then(|| Variant::new(line.variants.iter().map(|name| name.name.to_string())));
        if line.any && variant.is_some() {
            self.error(line.span, "`*` and a variant in one line", "`*` is every variant");
        } else if !line.any && variant.is_none() {
            let message = "this line does not say which variant it is for";
            self.error(line.span, message, "begin with `*` for all");
        }
        let mut checked = Expectation {
            variant,
            models: names(&line.models),
            machines: names(&line.machines),
            kernels: names(&line.kernels),
            params: line.params.iter().map(|(n, v)| (n.name.clone(), v.name.clone())).collect(),
            claims: Vec::new(),
            outcome: None,
            span: line.span,
        };
        for (word, step) in &line.verdicts {
            let often = match &*word.name {
                "Never" => Some(HowOften::Never),
                "Sometimes" => Some(HowOften::Sometimes),
                "Always" => Some(HowOften::Always),
                _ => None,
            };
            if let Some(often) = often {
                if checked.outcome.replace(often).is_some() {
                    self.error(word.span, "a second word about the condition", "");
                }
                continue;
            }
            checked.claims.push(self.claim(word, step.as_ref())?);
        }
        let alone = |claim: &Claim| !matches!(claim, Claim::Violated { .. });
        if checked.claims.len() > 1 && checked.claims.iter().any(alone) {
            let label = "`clean`, `uncovered` and `unexercised` stand alone";
            self.error(line.span, "these claims contradict each other", label);
        }
        Some(checked)
    }

    fn claim(&mut self, word: &ast::Ident, step: Option<&(Name, Span)>) -> Option<Claim> {
        let plain = match &*word.name {
            "clean" => Some(Claim::Clean),
            "uncovered" => Some(Claim::Uncovered),
            "unexercised" => Some(Claim::NotExercised),
            _ => None,
        };
        if let (Some(claim), Some((_, span))) = (&plain, step) {
            let message = format!("`{}` has no step", word.name);
            self.error(*span, message, "");
            return Some(claim.clone());
        }
        if let Some(claim) = plain {
            return Some(claim);
        }
        let found = VERDICTS.iter().find(|(name, _)| *name == &*word.name);
        let Some((_, Some(finding))) = found else {
            let words = VERDICTS.iter().map(|(name, _)| *name);
            let words: Vec<&str> = words
                .chain(["clean", "uncovered", "unexercised", "Never", "Sometimes", "Always"])
                .collect();
            let near = nearest(&word.name, words.iter().copied());
            let message = format!("unknown verdict `{}`", word.name);
            self.errors.push(
                Diagnostic::error(word.span, message)
                    .nearest(near)
                    .help(format!("one of {}", words.join(", "))),
            );
            return None;
        };
        if let Some((name, span)) = step {
            let function = matches!(self.entity(name), Some(Entity::Function(_)));
            if primitive(name).is_none() && !function {
                let mut known: Vec<&str> = primitives().map(|row| row.name).collect();
                known.extend(self.signatures.iter().map(|signature| &*signature.name));
                let near = nearest(name, known);
                let message = format!("no step is called `{name}`");
                self.errors.push(Diagnostic::error(*span, message).nearest(near));
            }
        }
        Some(Claim::Violated { finding: *finding, step: step.map(|(name, _)| name.clone()) })
    }
}

fn same_setting(a: &Expectation, b: &Expectation) -> bool {
    a.variant == b.variant
        && a.models == b.models
        && a.machines == b.machines
        && a.kernels == b.kernels
        && a.params == b.params
}
