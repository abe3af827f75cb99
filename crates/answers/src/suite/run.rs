//! The checks of a suite, done.
//!
//! A wrong file is one case of its own and stops nobody else. Nor does a fault
//! of the checker: a panic is caught where it happens and is the outcome of
//! that one check.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use shootdown_litmus::{Diagnostics, Program, Sources, Span, Variant, variants};

use super::Outcome;
use super::plan::{Planned, plan};
use super::shard::{Identity, Shard};
use crate::check::{Refused, check, not_covered, prepare};
use crate::judge::violated;
use crate::request::{MemoryModel, Request};
use crate::timeline::Place;
use crate::verdict::{Checked, Judgement};

/// A file that was read, with the checks that it asks for.
#[derive(Clone, Debug)]
pub struct TestFile {
    /// As it was named.
    pub name: String,
    /// Its text.
    pub text: String,
    /// Every listed variant, as the command line sets it.
    pub programs: Vec<Program>,
    /// The checks, in order.
    pub planned: Vec<Planned>,
}

/// What became of a file.
#[derive(Clone, Debug)]
pub enum Opened {
    /// It can be checked.
    Right(Box<TestFile>),
    /// Its text is wrong, or there is none.
    Wrong {
        /// As it was named.
        name: String,
        /// The text, as far as there is one.
        text: String,
        /// What is wrong.
        messages: String,
    },
}

/// What came of one check.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its position among all checks of the suite, from 0.
    pub at: usize,
    /// The file.
    pub file: String,
    /// The check's name in its file; empty for a file that is wrong.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
    /// One line for each difference, or for why there is no answer.
    pub lines: Vec<String>,
    /// Messages about the text.
    pub messages: String,
    /// What was run; `None` for a file that is wrong.
    pub planned: Option<Planned>,
    /// What was found, if something was run.
    pub checked: Option<Box<Checked>>,
}

impl TestFile {
    /// Reads a test and plans its checks.
    ///
    /// # Errors
    ///
    /// What is wrong with the first variant that has something wrong.
    pub fn open(
        name: &str,
        text: &str,
        sources: &dyn Sources,
        base: &Request,
    ) -> Result<TestFile, Diagnostics> {
        let listed = variants(name, text, sources)?.listed;
        let mut file = TestFile {
            name: name.to_owned(),
            text: text.to_owned(),
            programs: Vec::new(),
            planned: Vec::new(),
        };
        for variant in &listed {
            let program = read(&file, sources, base, variant)?;
            file.planned.extend(plan(&program, base));
            file.programs.push(program);
        }
        Ok(file)
    }

    /// Whether the file says anything about what is to be found. A kernel's
    /// `Result:` speaks of another model, which is to be left unjudged.
    fn speaks(&self) -> bool {
        self.programs.iter().any(|program| {
            !program.expectations.lines.is_empty() || program.header.result.is_some()
        })
    }

    /// Does one of its checks.
    pub fn run(&self, planned: &Planned, sources: &dyn Sources, base: &Request) -> Case {
        let run = || self.try_run(planned, sources, base);
        let case = |outcome, lines, checked| Case {
            at: 0,
            file: self.name.clone(),
            name: planned.name(),
            outcome,
            lines,
            messages: String::new(),
            planned: Some(planned.clone()),
            checked,
        };
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok((outcome, lines, checked)) => case(outcome, lines, checked),
            Err(payload) => {
                let text = payload.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("?");
                let line =
                    format!("{}: {}: the checker is at fault: {text}", self.name, planned.name());
                case(Outcome::Fault, vec![line], None)
            }
        }
    }

    fn try_run(
        &self,
        planned: &Planned,
        sources: &dyn Sources,
        base: &Request,
    ) -> (Outcome, Vec<String>, Option<Box<Checked>>) {
        let name = planned.name();
        let request = planned.request(base);
        let uncovered = |why: String| {
            let line = format!("{}: {name}: not covered: {why}", self.asked_at(planned));
            (Outcome::NotCovered, vec![line], None)
        };
        if let Some(model) = planned.asked.model.as_deref()
            && MemoryModel::of_name(model).is_none()
        {
            return uncovered(format!("the model {model} is not offered; sc, tso and ra are"));
        }
        let program = match read(self, sources, &request, &planned.variant) {
            Ok(program) => program,
            // The file itself is right, so what the line asks for is missing.
            Err(messages) => {
                let first = messages.iter().next().map(|first| first.message.clone());
                return uncovered(first.unwrap_or_default());
            }
        };
        if let Some(why) = request.missing_include(&program) {
            return uncovered(why);
        }
        let speaks = self.speaks();
        let header = program.header.span;
        let mut checked = match prepare(program, &request) {
            Ok(subject) => check(&subject, &request),
            Err(Refused::NotCovered { program, why, span }) => {
                not_covered(&program, &why, span, &request)
            }
            Err(Refused::Input(messages)) => return uncovered(messages.to_string()),
        };
        if checked.search.stopped.as_deref() != Some("not covered")
            && let Some((param, value)) =
                request.params.iter().find(|asked| !took(&checked, asked, &request))
        {
            return uncovered(format!("the machine does not take {param}={value}"));
        }
        let broken = violated(&checked);
        if checked.judgement == Judgement::Unjudged
            && !speaks
            && !broken.is_empty()
            && let Some(place) = crate::check::place(&self.programs[0], header)
        {
            let said =
                |code: &&str| format!("{code}: found violated, and the file expects nothing");
            checked.judgement =
                Judgement::Differs { place, differences: broken.iter().map(said).collect() };
        }
        let outcome = outcome(&checked);
        let lines = self.lines(planned, &checked, outcome);
        (outcome, lines, Some(Box::new(checked)))
    }

    fn lines(&self, planned: &Planned, checked: &Checked, outcome: Outcome) -> Vec<String> {
        let name = planned.name();
        let lines: Vec<String> = match &checked.judgement {
            Judgement::Differs { place, differences } => {
                let Place { file, line, .. } = place;
                differences.iter().map(|said| format!("{file}:{line}: {name}: {said}")).collect()
            }
            _ => Vec::new(),
        };
        let stopped = checked.search.stopped.as_deref();
        match outcome {
            Outcome::Unknown => {
                let why = stopped.unwrap_or("a limit was reached");
                vec![format!(
                    "{}: {name}: unknown: {why}",
                    judged_at(checked).unwrap_or(self.asked_at(planned))
                )]
            }
            Outcome::NotCovered => {
                let why = checked.verdicts.iter().find_map(|verdict| match &verdict.status {
                    crate::verdict::Status::NotCovered(why) if stopped == Some("not covered") => {
                        Some(why.clone())
                    }
                    _ => None,
                });
                let why = why.unwrap_or_else(|| lines.join("; "));
                vec![format!(
                    "{}: {name}: not covered: {why}",
                    judged_at(checked).unwrap_or(self.asked_at(planned))
                )]
            }
            _ => lines,
        }
    }

    /// `file:line` of the line that asks for this check, or the file.
    fn asked_at(&self, planned: &Planned) -> String {
        let asked = &planned.asked;
        let named = |names: &[shootdown_litmus::Name], value: &Option<String>| match value {
            Some(value) => names.iter().any(|name| **name == **value),
            None => true,
        };
        let program = self.programs.iter().find(|program| program.variant == planned.variant);
        let line = program.filter(|_| !asked.is_base()).and_then(|program| {
            let line = program.expectations.lines.iter().find(|line| {
                line.variant.as_ref().is_none_or(|variant| *variant == planned.variant)
                    && named(&line.models, &asked.model)
                    && named(&line.machines, &asked.machine)
                    && named(&line.kernels, &asked.kernel)
                    && asked.params.iter().all(|(name, value)| {
                        line.params.iter().any(|(n, v)| **n == **name && **v == **value)
                    })
            })?;
            Some(at(program, line.span))
        });
        line.unwrap_or_else(|| self.name.clone())
    }
}

fn at(program: &Program, span: Span) -> String {
    format!("{}:{}", program.files.name(span.file), program.files.position(span).line)
}

fn judged_at(checked: &Checked) -> Option<String> {
    match &checked.judgement {
        Judgement::Met { place } | Judgement::Differs { place, .. } => {
            Some(format!("{}:{}", place.file, place.line))
        }
        Judgement::Unjudged => None,
    }
}

/// Reads one variant with what the request chooses.
pub(super) fn read(
    file: &TestFile,
    sources: &dyn Sources,
    request: &Request,
    variant: &Variant,
) -> Result<Program, Diagnostics> {
    request.read(&file.name, &file.text, sources, variant)
}

/// Whether a parameter that was asked for was used. The last of several counts.
fn took(checked: &Checked, asked: &(String, String), request: &Request) -> bool {
    let last = request.params.iter().rev().find(|(name, _)| *name == asked.0);
    last.is_none_or(|last| checked.params.contains(last))
}

/// How a check ended. A difference that is only the lack of an answer is none.
fn outcome(checked: &Checked) -> Outcome {
    let stopped = checked.search.stopped.as_deref();
    match &checked.judgement {
        Judgement::Met { .. } => Outcome::AsExpected,
        Judgement::Differs { differences, .. } => {
            let unknown = |said: &String| said.ends_with("found unknown");
            let uncovered = |said: &String| said.ends_with("found not covered");
            if stopped == Some("not covered")
                && differences.iter().all(|said| unknown(said) || uncovered(said))
            {
                Outcome::NotCovered
            } else if differences.iter().all(unknown) {
                Outcome::Unknown
            } else if differences.iter().all(|said| unknown(said) || uncovered(said)) {
                Outcome::NotCovered
            } else {
                Outcome::Differs
            }
        }
        Judgement::Unjudged if stopped == Some("not covered") => Outcome::NotCovered,
        Judgement::Unjudged if stopped.is_some() => Outcome::Unknown,
        Judgement::Unjudged => Outcome::Unjudged,
    }
}

/// All checks of all files.
#[derive(Clone, Debug, Default)]
pub struct Work {
    /// In the order in which they are reported.
    pub files: Vec<Opened>,
}

impl Work {
    /// Every check with its file; a wrong file is one.
    pub fn list(&self) -> Vec<(&Opened, Option<&Planned>)> {
        let mut list = Vec::new();
        for file in &self.files {
            match file {
                Opened::Right(test) => {
                    list.extend(test.planned.iter().map(|planned| (file, Some(planned))))
                }
                Opened::Wrong { .. } => list.push((file, None)),
            }
        }
        list
    }

    /// A digest of all that is checked, the same on every machine.
    pub fn identity(&self, base: &Request) -> String {
        let mut identity = Identity::default();
        identity.add(env!("CARGO_PKG_VERSION"));
        identity.add(&format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {}",
            base.model,
            base.params,
            base.machine,
            base.kernel,
            base.limits,
            base.reductions,
            base.forget_dead
        ));
        for file in &self.files {
            match file {
                Opened::Right(test) => {
                    // With what it includes.
                    for file in test.programs.iter().flat_map(|program| program.files.iter()) {
                        identity.add(&file.text);
                    }
                    identity.add(&test.name);
                }
                Opened::Wrong { name, text, .. } => {
                    identity.add(text);
                    identity.add(name);
                }
            }
        }
        identity.to_string()
    }

    /// Does the checks of one shard with several threads. `done` is told after
    /// each how many of how many are done.
    pub fn run(
        &self,
        sources: &(dyn Sources + Sync),
        base: &Request,
        shard: Shard,
        jobs: usize,
        done: &(dyn Fn(usize, usize) + Sync),
    ) -> Vec<Case> {
        let list = self.list();
        let mine: Vec<usize> = (0..list.len()).filter(|position| shard.takes(*position)).collect();
        let (next, finished) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let cases: Mutex<Vec<Case>> = Mutex::new(Vec::with_capacity(mine.len()));
        let worker = || {
            while let Some(position) = mine.get(next.fetch_add(1, Ordering::Relaxed)) {
                let mut case = match list[*position] {
                    (Opened::Right(test), Some(planned)) => test.run(planned, sources, base),
                    (Opened::Right(_), None) => continue,
                    (Opened::Wrong { name, messages, .. }, _) => wrong(name, messages),
                };
                case.at = *position;
                // A panic is caught above; the list is whole in any case.
                cases.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(case);
                done(finished.fetch_add(1, Ordering::Relaxed) + 1, mine.len());
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..jobs.clamp(1, mine.len().max(1)) {
                scope.spawn(worker);
            }
            worker();
        });
        let mut cases = cases.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        cases.sort_by_key(|case| case.at);
        cases
    }
}

fn wrong(name: &str, messages: &str) -> Case {
    Case {
        at: 0,
        file: name.to_owned(),
        name: String::new(),
        outcome: Outcome::Input,
        lines: Vec::new(),
        messages: messages.to_owned(),
        planned: None,
        checked: None,
    }
}
