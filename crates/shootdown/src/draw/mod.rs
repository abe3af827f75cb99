//! Answers as text: what a check found, in the forms that people and programs
//! read.
//!
//! - [`block`] is herd7's block, so that scripts made for herd7 read ours.
//! - [`verdict`] follows it: a line for each obligation, and what it rests on.
//! - [`columns`], [`document`] and [`changelog`] tell one run: for a terminal,
//!   in the founding document's form, and for a mail.
//! - [`explain`] is what each notification and flush is for; [`place`] is where
//!   they may stand, and what one version saves against another.
//! - [`lock_order`] is what many files say together of the order of locks.
//! - [`variants`] is one table for all variants of a file.
//! - [`json`], [`junit`] and [`ktap`] are for programs.
//!
//! Everything here is a pure function from [`shootdown_answers`]' plain data to
//! a `String`: nothing is searched, read or printed, and the same data gives
//! the same text.

pub mod block;
pub mod changelog;
pub mod columns;
pub mod decision;
pub mod document;
pub mod explain;
pub mod json;
pub mod junit;
pub mod ktap;
pub mod lock_order;
pub mod paint;
pub mod place;
pub mod reproducer;
pub mod survey;
pub mod trace;
pub mod variants;
pub mod verdict;

mod lanes;
mod say;
mod setting;
mod text;

pub(crate) use text::thousands;

#[cfg(test)]
mod fixture;

pub use paint::Paint;

use shootdown_answers::timeline::Timeline;
use shootdown_answers::verdict::{Checked, Status};

/// The form of a timeline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// [`columns`]
    #[default]
    Columns,
    /// [`document`]
    Document,
    /// [`changelog`]
    Changelog,
}

/// A run in one of the forms. Only [`Form::Columns`] has a width to choose, and
/// colours.
pub fn timeline(timeline: &Timeline, form: Form, width: usize, paint: Paint) -> String {
    match form {
        Form::Columns => columns::text(timeline, width, paint),
        Form::Document => document::text(timeline),
        Form::Changelog => changelog::text(timeline),
    }
}

/// The whole answer of one check: herd7's block, the verdicts, and the shortest
/// run of each violation. A run that breaks several obligations is told once.
pub fn check(checked: &Checked, form: Form, width: usize, paint: Paint) -> String {
    let mut out = block::text(checked);
    out.push_str(&verdict::text(checked, paint));
    let mut told: Vec<(&Timeline, Vec<&str>)> = Vec::new();
    for verdict in &checked.verdicts {
        let Status::Violated(violation) = &verdict.status else { continue };
        match told.iter_mut().find(|(timeline, _)| **timeline == violation.timeline) {
            Some((_, codes)) => codes.push(verdict.code),
            None => told.push((&violation.timeline, vec![verdict.code])),
        }
    }
    for (run, codes) in told.into_iter().filter(|(run, _)| !run.rows.is_empty()) {
        let come = if codes.len() == 1 { "comes" } else { "come" };
        let head = format!("How {} {come} about:", text::and(&codes));
        out.push_str(&format!("\n{}\n\n", paint.strong(&head)));
        out.push_str(&timeline(run, form, width, paint));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_breaks_two_obligations_is_told_once() {
        let mut checked = fixture::late();
        let Status::Violated(violation) = checked.verdicts[1].status.clone() else { panic!() };
        checked.verdicts[2].status = Status::Violated(violation);
        let text = check(&checked, Form::Changelog, 100, Paint::plain());
        assert_eq!(text.matches("How NEW and COPY come about:").count(), 1, "{text}");
        assert_eq!(text.matches(" about:").count(), 1, "{text}");
    }

    #[test]
    fn a_clean_check_has_no_run() {
        let text = check(&fixture::clean(), Form::Columns, 100, Paint::plain());
        assert!(!text.contains(" about:"), "{text}");
        assert!(text.starts_with("Test doorbell Allowed\n"), "{text}");
    }

    #[test]
    fn no_form_leaves_blanks_at_the_end_of_a_line() {
        for checked in fixture::all() {
            for form in [Form::Columns, Form::Document, Form::Changelog] {
                let text = check(&checked, form, 100, Paint::plain());
                for line in text.lines() {
                    assert_eq!(line, line.trim_end(), "{text}");
                }
                assert!(text.is_ascii(), "{text}");
            }
        }
    }
}
