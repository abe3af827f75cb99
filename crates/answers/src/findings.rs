//! What was found, code by code: violations with their runs, and why something
//! that was not found is clean, not exercised, not covered or unknown.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use shootdown_explore::Options;
use shootdown_machine::model::{self, Run, failed_of, search};
use shootdown_machine::outcome;
use shootdown_machine::state::State;
use shootdown_machine::world::Failed;

use crate::check::{CODES, Subject};
use crate::classify::{Named, name_outcome};
use crate::explored::{Explored, incomplete};
use crate::shorten::shorten;
use crate::story::Story;
use crate::verdict::{BreakingStep, Status, Verdict, Violation};

/// Distinct wrong ends that are each given a run of their own, at most.
const MOST_ENDS: usize = 24;

/// The first property for those.
const FIRST_END: u32 = 32;

pub(crate) struct Verdicts<'c> {
    pub(crate) subject: &'c Subject,
    pub(crate) explored: &'c Explored,
    pub(crate) list: BTreeMap<&'static str, Status>,
}

impl Verdicts<'_> {
    fn add(&mut self, code: &'static str, violation: Violation) {
        match self.list.get_mut(code) {
            Some(Status::Violated(known)) => {
                for step in violation.steps {
                    if !known.steps.contains(&step) {
                        known.steps.push(step);
                    }
                }
                if violation.timeline.rows.len() < known.timeline.rows.len() {
                    known.timeline = violation.timeline;
                    known.why = violation.why;
                }
            }
            _ => {
                self.list.insert(code, Status::Violated(Box::new(violation)));
            }
        }
    }

    fn story<'r>(&'r self, run: &'r Run) -> Story<'r> {
        Story { subject: self.subject, machine: &self.explored.machine, run }
    }

    /// What is asked of states.
    pub(crate) fn violations(&mut self) {
        let violations = self.explored.found.violations.clone();
        for (property, run) in &violations {
            let Some((code, why)) = property_name(*property) else { continue };
            let violation = self.story(run).violation(code, why);
            self.add(code, violation);
        }
        if let Some(run) = self.explored.found.deadlock.clone() {
            let violation = self
                .story(&run)
                .violation("deadlock", "nobody can take a step, and not all are done");
            self.add("deadlock", violation);
        }
        if let Some(run) = self.explored.found.trapped.clone() {
            let violation = self.story(&run).violation("PROGRESS", "from here on no run ends");
            self.add("PROGRESS", violation);
        }
    }

    /// Ends that ideal memory lacks.
    pub(crate) fn outcomes(&mut self) {
        let explored = self.explored;
        if !explored.found.violations.iter().any(|(property, _)| *property == model::OUTCOME) {
            return;
        }
        let shown = explored.shown.len();
        let wrong: BTreeSet<&[i64]> = explored
            .found
            .ends
            .iter()
            .map(|end| &end[shown..])
            .filter(|end| !explored.ends.allowed.contains(*end))
            .collect();
        let wrong: Vec<&[i64]> = wrong.into_iter().take(MOST_ENDS).collect();
        let runs: Vec<Run> = if wrong.len() <= 1 {
            let list = &explored.found.violations;
            list.iter().filter(|(p, _)| *p == model::OUTCOME).map(|(_, run)| run.clone()).collect()
        } else {
            // A run for each of them.
            let machine = &explored.machine;
            let which = |state: &State| {
                let mut bits = 0;
                machine.orbit(state, &mut |state| {
                    let end = outcome::comparable(machine, state, &explored.ends.compared);
                    if let Some(at) = wrong.iter().position(|wrong| *wrong == &end[..]) {
                        bits |= 1u64 << (FIRST_END + at as u32);
                    }
                });
                bits
            };
            let witnessed = u64::MAX << FIRST_END;
            let options = Options { trapped: false, witnessed, ..explored.options.clone() };
            let again = search(machine, &options, &which, &|_| Vec::new());
            again
                .violations
                .into_iter()
                .filter(|(p, _)| *p >= FIRST_END)
                .map(|(_, run)| run)
                .collect()
        };
        for run in runs {
            let run = shorten(self.subject, &explored.machine, &run, &explored.ends);
            let story = self.story(&run);
            let named = name_outcome(&story, &explored.ends);
            let Named { obligations, culprit, .. } = &named;
            let mut timelines = Vec::new();
            for (code, row, name) in obligations {
                let step = BreakingStep { name: name.clone(), place: story.place_of(*row) };
                let why = story.why(code, *row, *culprit, &named);
                let timeline = story.timeline(Some((code, *row)), Some(&named), &why);
                timelines.push((*code, Violation { steps: vec![step], why, timeline }));
            }
            if obligations.is_empty() {
                let why =
                    "an end that ideal memory does not have, and no obligation names it".to_owned();
                let timeline = story.timeline(None, Some(&named), &why);
                timelines.push(("outcome", Violation { steps: Vec::new(), why, timeline }));
            }
            for (code, violation) in timelines {
                self.add(code, violation);
            }
        }
    }

    /// A status for everything that was not violated.
    pub(crate) fn finish(mut self) -> Vec<Verdict> {
        let incomplete = self.incomplete();
        let mut verdicts = Vec::new();
        for code in CODES {
            let status = match self.list.remove(code) {
                Some(status) => status,
                None => match self.quiet(code, incomplete.as_deref()) {
                    Some(status) => status,
                    None => continue,
                },
            };
            verdicts.push(Verdict { code, status });
        }
        verdicts
    }

    /// Why something that was not found may be there all the same.
    fn incomplete(&self) -> Option<String> {
        incomplete(&self.explored.found)
    }

    /// What is said of something that was not found. Errors that were not
    /// found are not listed.
    fn quiet(&self, code: &'static str, incomplete: Option<&str>) -> Option<Status> {
        let subject = self.subject;
        let seen = &self.explored.machine.world.seen;
        let load = |which: &std::sync::atomic::AtomicU64| which.load(Ordering::Relaxed);
        let (installed, freed, copied) =
            (load(&seen.installed), load(&seen.freed), load(&seen.copied));
        let (replaced, accessed, events) =
            (load(&seen.replaced), load(&seen.accessed), load(&seen.events));
        let contracts = || -> Option<Status> {
            let (why, span) = subject.refusal.as_ref()?;
            Some(Status::NotCovered(format!(
                "no contract given: {why} ({})",
                subject.program.files.locate(*span)
            )))
        };
        let no = |why: &str| Some(Status::NotExercised(why.to_owned()));
        let status = match code {
            "FREE" if freed & installed == 0 => return no("no page that was mapped is freed"),
            "NEW" | "COPY" => {
                if let Some(status) = contracts() {
                    return Some(status);
                }
                if self.explored.ideal_stopped.is_some() {
                    let why = self.explored.ideal_stopped.clone().unwrap_or_default();
                    return Some(Status::Unknown(format!("ideal memory: {why}")));
                }
                if code == "NEW" && replaced & accessed == 0 {
                    return no("no page gets another frame while a thread accesses it");
                }
                if code == "COPY" && copied & installed == 0 {
                    return no("no page that was mapped is copied or compared");
                }
                Status::Clean
            }
            "TABLE" if events & 2 == 0 => return no("no table is given back"),
            "CLEAN" if !self.explored.machine.world.tracks_dirty => {
                return no("nothing tracks which pages are dirty");
            }
            "CLEAN" if events & 16 == 0 => return no("no page that is kept elsewhere is written"),
            "LIFETIME" if events & 8 == 0 => return no("no object is freed"),
            // What is said of it is no finding of the search.
            "RECLAIM" => return None,
            "RETURN" if events & 1 == 0 => return no("no function that revokes something returns"),
            "REST" if events & 4 == 0 => return no("no table changes"),
            "PROGRESS" if !self.can_fault() => return no("nothing faults and nothing loops"),
            "FREE" | "TABLE" | "RETURN" | "REST" | "PROGRESS" | "CLEAN" | "LIFETIME" => {
                Status::Clean
            }
            // An error or a wrong end that was not found.
            _ => return None,
        };
        Some(match incomplete {
            Some(why) => Status::Unknown(why.to_owned()),
            None => status,
        })
    }

    /// Whether a thread has a way back: a fault that is tried again, or a loop.
    fn can_fault(&self) -> bool {
        self.subject.lowered.threads.iter().any(|code| {
            code.nodes.iter().any(|node| match node {
                shootdown_step::Node::Step { fault, .. } => fault.is_some(),
                shootdown_step::Node::Branch { .. } => true,
                _ => false,
            })
        })
    }
}

/// The code of a property of states, and what it means. Ends have none of their
/// own.
pub(crate) fn property_name(property: u32) -> Option<(&'static str, &'static str)> {
    Some(match property {
        model::FREE => ("FREE", "a free page can still be reached"),
        model::RETURN => ("RETURN", "a translation outlives the return of what revoked it"),
        model::REST => ("REST", "when all is quiet a TLB grants what its table does not"),
        model::CLEAN => ("CLEAN", "a write is lost: nobody knows that the page is dirty"),
        model::PROGRESS => ("PROGRESS", "an access that the table grants may fault for ever"),
        model::OUTCOME => return None,
        other => match failed_of(other)? {
            // Not a finding: what lies behind was not searched.
            Failed::Frames | Failed::Endless | Failed::Stores | Failed::Unordered => return None,
            failed => failed_name(failed),
        },
    })
}

/// The code of an error, and what it means.
fn failed_name(failed: Failed) -> (&'static str, &'static str) {
    match failed {
        Failed::Undefined => ("undefined", "a word that nobody wrote is read"),
        Failed::Sleep => (
            "sleep",
            "this may sleep, and a spin lock is held, an RCU section open, or interrupts are off",
        ),
        Failed::Unlock => (
            "unlock",
            "a lock is dropped that is not held, or never dropped, or so a section of readers",
        ),
        Failed::Range => ("range", "range_start and range_end do not pair"),
        Failed::Warning => ("warning", "a condition that must not hold holds"),
        Failed::Page => ("page", "a pointer leads nowhere, or to a page that is free"),
        Failed::NestedFault => ("page", "a fault inside of its own handler"),
        Failed::Frames | Failed::Endless | Failed::Stores | Failed::Unordered => {
            ("limit", "not everything was searched")
        }
        Failed::Table => ("TABLE", "a table is given back and a cache still leads to it"),
        Failed::Lifetime => ("LIFETIME", "an object is used that does not exist"),
        Failed::Walk => {
            ("TABLE", "a table is given back, and software that walks it reads it later")
        }
    }
}
