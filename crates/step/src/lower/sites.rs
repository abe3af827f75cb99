//! Places that allocate, and places that choose.

use shootdown_litmus::{Span, Type};

use super::actions::Call;
use super::{Builder, Cursor, Result, unsupported};
use crate::expr::Expr;
use crate::op::Op;
use crate::value;

/// Ways that one choice has, at most.
const MOST_WAYS: u32 = 16;

impl Builder<'_, '_> {
    /// A choice is an input: an end of the machine is compared with the ends of
    /// ideal memory that chose the same. So what was chosen is a variable of the
    /// thread, whatever the text makes of it. Code that ideal memory does not
    /// have (under a contract, in a handler) has to be right whichever way it
    /// goes, and needs none.
    pub(super) fn choose(&mut self, at: &mut Cursor, call: &Call<'_>) -> Result<()> {
        let ways = call.value(0).constant().and_then(|ways| u32::try_from(ways).ok());
        let Some(ways) = ways.filter(|ways| (1..=MOST_WAYS).contains(ways)) else {
            let why = format!("`choose` takes a constant from 1 to {MOST_WAYS}");
            return unsupported(why, call.span);
        };
        let chosen = self.register(Type::Int);
        let node = self.step(at, Op::Choose { into: Some(chosen), ways }, call.span, &call.name);
        if self.promised == 0 && self.handlers.is_empty() {
            let kept = self.register(Type::Int);
            self.set(at, kept, Expr::Reg(chosen));
            self.choices.push(super::Choice { node, kept, span: call.span });
        }
        if let Some(into) = call.into {
            self.set(at, into, Expr::Reg(chosen));
        }
        Ok(())
    }

    /// The frames of a place that allocates: one, and a second for the case
    /// that the first is still in use, if the place is written out twice or in
    /// a handler: the same access may fault again.
    pub(super) fn site(&mut self, span: Span) -> Result<usize> {
        let thread = self.thread;
        if let Some((site, copies)) = self.cx.sites.get_mut(&(thread, span)) {
            *copies += 1;
            let (site, copies) = (*site, *copies);
            if copies == 2 {
                self.frame_of_site(site, span)?;
            }
            return Ok(site);
        }
        let site = self.cx.sites.len();
        self.frame_of_site(site, span)?;
        let again = !self.handlers.is_empty();
        if again {
            self.frame_of_site(site, span)?;
        }
        self.cx.sites.insert((thread, span), (site, 1 + usize::from(again)));
        Ok(site)
    }

    pub(super) fn frame_of_site(&mut self, site: usize, span: Span) -> Result<()> {
        let thread = &self.cx.program.threads[self.thread].name;
        let taken = |name: &str| self.cx.shape.frames.iter().any(|frame| &*frame.name == name);
        let mut name = format!("new.{thread}");
        let mut number = 2;
        while taken(&name) {
            name = format!("new.{thread}.{number}");
            number += 1;
        }
        match self.cx.shape.allocate(name, site) {
            Some(_) => Ok(()),
            None => unsupported(
                format!(
                    "more than {} pages; use fewer threads or fewer faults",
                    value::MOST_FRAMES
                ),
                span,
            ),
        }
    }

    pub(super) fn table_site(&mut self, span: Span) -> usize {
        let shape = &mut self.cx.shape;
        *self.cx.tables.entry((self.thread, span)).or_insert_with(|| {
            shape.tables += 1;
            shape.tables - 1
        })
    }
}
