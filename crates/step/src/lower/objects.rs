//! Objects that come and go, and the list of those that are told of changes.

use shootdown_litmus::primitives::{LifeOp, ListOp, Order};
use shootdown_litmus::program::{BinaryOp, GlobalId, Subscription};
use shootdown_litmus::{Name, Span, Type};

use super::{Binding, Builder, Cursor, Result, unsupported};
use crate::code::Node;
use crate::expr::{Expr, Reg};
use crate::op::{Access, Op};
use crate::shape::ReaderDomain;
use crate::value::WORD_BASE;

/// What steps of a walk over the list of subscribers are called.
pub const WALK: &str = "walk of the list";

/// How the callbacks of a walk over the list are called.
pub(super) struct Walk<'w> {
    /// Which callbacks.
    pub(super) names: &'w [&'w str],
    /// From the first address.
    pub(super) start: &'w Expr,
    /// To the one after the last.
    pub(super) end: &'w Expr,
    /// The new entry, for `change_pte`.
    pub(super) entry: Option<&'w Expr>,
    /// Nobody may sleep; the last refusal is kept here.
    pub(super) refused: Option<Reg>,
    /// Only this subscriber, on the list or not.
    pub(super) only: Option<GlobalId>,
    /// The call.
    pub(super) span: Span,
}

impl Builder<'_, '_> {
    /// An object is made or freed.
    pub(super) fn life(
        &mut self,
        at: &mut Cursor,
        op: LifeOp,
        object: Expr,
        span: Span,
        name: &Name,
    ) {
        if let (LifeOp::Make, Some(pointer)) = (op, object.constant())
            && let Some(life) = self.cx.shape.life_at(pointer)
        {
            // What the test makes was not there before.
            self.cx.shape.lives[life].made = true;
        }
        self.step(at, Op::Life { object, op }, span, name);
    }

    /// Calls every subscriber of an address space that has one of these
    /// callbacks and is on the list.
    pub(super) fn walk_list(&mut self, at: &mut Cursor, walk: &Walk<'_>) -> Result<()> {
        let program = self.cx.program;
        let fits = |line: &&Subscription| {
            line.space.index() == self.space
                && walk.only.is_none_or(|only| line.object == Some(only))
                && line.callbacks.iter().any(|(name, _)| walk.names.contains(&&**name))
        };
        let lines: Vec<&Subscription> = program.subscriptions.iter().filter(fits).collect();
        let mut readers: Vec<usize> = Vec::new();
        for line in lines.iter().filter(|_| walk.only.is_none()) {
            let lock = line.readers.and_then(|global| self.cx.shape.lock_of.get(&global.0));
            if let Some(lock) = lock.copied() {
                let domain = self.cx.shape.readers(ReaderDomain::Srcu(lock));
                if !readers.contains(&domain) {
                    readers.push(domain);
                }
            }
        }
        let name: Name = WALK.into();
        let context = (!lines.is_empty()).then(|| self.order_context(walk.names)).flatten();
        self.enter_order(at, context, walk.span, &name);
        for readers in &readers {
            self.step(at, Op::Enter { into: None, readers: *readers }, walk.span, &name);
        }
        for line in lines {
            let listed = self.listed(line).filter(|_| walk.only.is_none());
            let behind = listed.map(|word| self.skip_unless(at, word, walk.span, &name));
            self.call_subscriber(at, line, walk)?;
            if let Some(behind) = behind {
                self.nodes[*at] = Node::Jump(behind);
                *at = behind;
            }
        }
        for readers in readers {
            self.step(at, Op::Leave { readers }, walk.span, &name);
        }
        self.leave_order(at, context, walk.span, &name);
        Ok(())
    }

    fn call_subscriber(
        &mut self,
        at: &mut Cursor,
        line: &Subscription,
        walk: &Walk<'_>,
    ) -> Result<()> {
        if let Some(object) = line.object {
            let name: Name = line.name.clone();
            let object = Expr::Const(self.cx.shape.address_of(object.0));
            self.step(at, Op::Life { object, op: LifeOp::Use }, walk.span, &name);
        }
        for (name, id) in &line.callbacks {
            if !walk.names.contains(&&**name) {
                continue;
            }
            let function = &self.cx.program.functions[id.index()];
            let arguments = self.arguments_of_callback(line, function, walk);
            let Some(refused) = walk.refused else {
                self.call(at, *id, arguments, None, walk.span)?;
                continue;
            };
            // Who may not sleep is inside of something that nobody waits for.
            let readers = self.cx.shape.readers(ReaderDomain::NonBlock);
            let answer = self.register(Type::Int);
            self.step(at, Op::Enter { into: None, readers }, walk.span, name);
            self.set(at, answer, Expr::Const(0));
            self.call(at, *id, arguments, Some(answer), walk.span)?;
            self.step(at, Op::Leave { readers }, walk.span, name);
            let (yes, behind) = (self.fresh(), self.fresh());
            self.nodes[*at] = Node::Branch { condition: Expr::Reg(answer), yes, no: behind };
            let mut at_yes = yes;
            self.set(&mut at_yes, refused, Expr::Reg(answer));
            self.nodes[at_yes] = Node::Jump(behind);
            *at = behind;
        }
        Ok(())
    }

    fn arguments_of_callback(
        &mut self,
        line: &Subscription,
        function: &shootdown_litmus::program::Function,
        walk: &Walk<'_>,
    ) -> Vec<Binding> {
        use shootdown_litmus::program::{FieldId, GlobalKind};
        let program = self.cx.program;
        let mut addresses = [walk.start.clone(), walk.end.clone()].into_iter();
        let own = line.object.and_then(|object| match program.globals[object.index()].kind {
            GlobalKind::Record(record) => Some((object, record)),
            _ => None,
        });
        let parameters = &function.body.locals[..function.body.parameters];
        let mut arguments = Vec::new();
        for local in parameters {
            arguments.push(match local.ty {
                Type::Record(record) => match own {
                    Some((object, its)) if its == record => Binding::Shared(object),
                    _ => {
                        let fields = &program.records[record.0 as usize].fields;
                        let mut values = std::collections::HashMap::new();
                        for (index, field) in fields.iter().enumerate() {
                            let value = match &*field.name {
                                "start" => walk.start.clone(),
                                "end" => walk.end.clone(),
                                "mm" => Expr::Const(self.space as i64 + 1),
                                // MMU_NOTIFIER_RANGE_BLOCKABLE
                                "flags" => Expr::Const(i64::from(walk.refused.is_none())),
                                "event" => self.range_says[0].clone(),
                                "owner" => self.range_says[1].clone(),
                                _ => continue,
                            };
                            values.insert(FieldId(index as u32), value);
                        }
                        self.records.push(values);
                        Binding::Record(self.records.len() - 1)
                    }
                },
                Type::Space => Binding::Value(Expr::Const(self.space as i64 + 1)),
                Type::Pte => Binding::Value(walk.entry.cloned().unwrap_or(Expr::Const(0))),
                Type::VirtAddr | Type::Long | Type::IntPtr => {
                    Binding::Value(addresses.next().unwrap_or(Expr::Const(0)))
                }
                _ => Binding::Value(Expr::Const(0)),
            });
        }
        arguments
    }

    /// The word that says whether a subscriber is on the list; none if it
    /// always is.
    fn listed(&self, line: &Subscription) -> Option<usize> {
        self.cx.shape.listed.get(&line.object?.0).copied()
    }

    /// Goes on only if a word is not 0; gives where to go on otherwise.
    fn skip_unless(&mut self, at: &mut Cursor, word: usize, span: Span, name: &Name) -> Cursor {
        let into = self.register(Type::Int);
        self.load_word(at, word, into, span, name);
        let (yes, no) = (self.fresh(), self.fresh());
        self.nodes[*at] = Node::Branch { condition: Expr::Reg(into), yes, no };
        *at = yes;
        no
    }

    fn load_word(&mut self, at: &mut Cursor, word: usize, into: Reg, span: Span, name: &Name) {
        let op = Op::Access {
            into: Some(into),
            pointer: Expr::Const(WORD_BASE + word as i64),
            index: Expr::Const(0),
            access: Access::Load(Order::Once),
        };
        self.step(at, op, span, name);
    }

    fn store_word(&mut self, at: &mut Cursor, word: usize, value: i64, span: Span, name: &Name) {
        let op = Op::Access {
            into: None,
            pointer: Expr::Const(WORD_BASE + word as i64),
            index: Expr::Const(0),
            access: Access::Store(Order::Release, Expr::Const(value)),
        };
        self.step(at, op, span, name);
    }

    /// A step on the list of subscribers.
    pub(super) fn list(
        &mut self,
        at: &mut Cursor,
        op: ListOp,
        argument: Expr,
        into: Option<Reg>,
        span: Span,
        name: &Name,
    ) -> Result<()> {
        let program = self.cx.program;
        let all = matches!(op, ListOp::ReleaseAll | ListOp::DeleteAll | ListOp::Empty);
        let object =
            program.subscriptions.iter().filter_map(|line| line.object).find(|object| {
                !all && argument.constant() == Some(self.cx.shape.address_of(object.0))
            });
        let words: Vec<usize> = match object {
            Some(object) => self.cx.shape.listed.get(&object.0).copied().into_iter().collect(),
            None if all => {
                let own =
                    program.subscriptions.iter().filter(|line| line.space.index() == self.space);
                own.filter_map(|line| self.listed(line)).collect()
            }
            None => return unsupported("a subscriber that no `subscribe` line names", span),
        };
        let (start, end) = (Expr::Const(1), self.last_address());
        let mut walk = Walk {
            names: &["release"],
            start: &start,
            end: &end,
            entry: None,
            refused: None,
            only: object,
            span,
        };
        match op {
            ListOp::Unhashed | ListOp::Empty => {
                let mut any = Expr::Const(0);
                for word in words {
                    let one = self.register(Type::Int);
                    self.load_word(at, word, one, span, name);
                    any = Expr::Binary(BinaryOp::Or, Box::new(any), Box::new(Expr::Reg(one)))
                        .folded();
                }
                if let Some(into) = into {
                    let zero = Box::new(Expr::Const(0));
                    let value = Expr::Binary(BinaryOp::Equal, Box::new(any), zero);
                    self.set(at, into, value.folded());
                }
            }
            ListOp::Add | ListOp::Delete | ListOp::DeleteAll => {
                for word in words {
                    self.store_word(at, word, i64::from(op == ListOp::Add), span, name);
                }
            }
            ListOp::Release => self.walk_list(at, &walk)?,
            ListOp::ReleaseAll => {
                walk.only = None;
                self.walk_list(at, &walk)?;
            }
        }
        Ok(())
    }
}
