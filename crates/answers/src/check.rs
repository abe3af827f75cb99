//! A verdict on one variant of one test.
//!
//! The program is explored twice: on ideal memory, which gives the ends that a
//! program may have, and on the machine. What is asked of states is asked on
//! the way; an end that ideal memory lacks is named by the run that leads to
//! it. If there are several, a second search finds a shortest run to each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Instant;

use shootdown_explore::{Options, Outcome, Stop};
use shootdown_litmus::program::ContractKind;
use shootdown_litmus::{Diagnostics, Program, Sources, Span, Variant};
use shootdown_machine::ideal::Ideal;
use shootdown_machine::machine::Machine;
use shootdown_machine::model::{self, Found, Run, failed_of, search};
use shootdown_machine::outcome::{self, Observable};
use shootdown_machine::sets::Sets;
use shootdown_machine::setting::{Drain, HwDirty, Setting};
use shootdown_machine::state::State;
use shootdown_machine::weak;
use shootdown_machine::world::{Failed, World};
use shootdown_step::{Lowered, MemoryModel, Shape, Target, lower};

use crate::block::block;
use crate::classify::{Ends, Named, name_outcome};
use crate::judge::judge;
use crate::request::Request;
use crate::shorten::shorten;
use crate::story::Story;
use crate::timeline::Place;
use crate::verdict::{BreakingStep, Checked, Search, Status, Verdict, Violation};

/// Obligations and errors in the order in which they are reported.
pub const CODES: [&str; 18] = [
    "FREE",
    "NEW",
    "COPY",
    "TABLE",
    "CLEAN",
    "RETURN",
    "PROGRESS",
    "LIFETIME",
    "RECLAIM",
    "REST",
    "outcome",
    "deadlock",
    "sleep",
    "unlock",
    "range",
    "undefined",
    "warning",
    "page",
];

/// Distinct wrong ends that are each given a run of their own, at most.
const MOST_ENDS: usize = 24;
/// The first property for those.
const FIRST_END: u32 = 32;

/// A test that is ready to be explored.
pub struct Subject {
    /// The program.
    pub program: Program,
    /// How it is run.
    pub setting: Setting,
    /// The machine's program.
    pub lowered: Lowered,
    /// Ideal memory's program.
    pub ideal: Lowered,
    /// Why NEW and COPY have no answer.
    pub refusal: Option<(String, Span)>,
}

/// Why a test cannot be explored.
#[derive(Debug)]
pub enum Refused {
    /// The text is wrong.
    Input(Diagnostics),
    /// The text is right, and the checker has no meaning for it.
    NotCovered {
        /// The program.
        program: Box<Program>,
        /// One sentence.
        why: String,
        /// Where.
        span: Span,
    },
}

/// Reads one variant of a test.
///
/// # Errors
///
/// What is wrong with the text, or what the checker has no meaning for.
pub fn read(
    name: &str,
    text: &str,
    sources: &dyn Sources,
    variant: &Variant,
    request: &Request,
) -> Result<Subject, Refused> {
    let program = request.read(name, text, sources, variant).map_err(Refused::Input)?;
    if let Some(why) = request.missing_include(&program) {
        return Err(Refused::Input(Diagnostics::whole_file(name, why)));
    }
    prepare(program, request)
}

/// Makes a program ready to be explored.
///
/// # Errors
///
/// What the checker has no meaning for.
pub fn prepare(mut program: Program, request: &Request) -> Result<Subject, Refused> {
    order_queues(&mut program, &request.params);
    let not_covered = |program: Program, why: String, span: Span| {
        Err(Refused::NotCovered { program: Box::new(program), why, span })
    };
    let mut setting = match Setting::of(&program, request.model, &request.dials()) {
        Ok(setting) => setting,
        Err(unknown) => {
            let own = program.params.iter().find(|param| *param.name == *unknown.name);
            let span = own.map_or(program.header.span, |param| param.span);
            let help = "`shootdown check --help` lists the dials of the machine";
            let message = unknown.to_string();
            return Err(Refused::Input(Diagnostics::about(&program.files, span, message, help)));
        }
    };
    setting.keep_dead = !request.forget_dead;
    let model = setting.model.name();
    if !program.models.is_empty() && !program.models.iter().any(|(name, _)| **name == *model) {
        let names: Vec<&str> = program.models.iter().map(|(name, _)| &**name).collect();
        let why = format!("the file asks for the model {}, and this is {model}", names.join(", "));
        let span = program.models[0].1;
        return not_covered(program, why, span);
    }
    if let Some(unordered) = unordered_device(&program) {
        let why =
            "a device with `order relaxed` is not modelled; add the fences that it has".to_owned();
        return not_covered(program, why, unordered);
    }
    let targets = (
        lower(&program, Target::Machine, setting.dials()),
        lower(&program, Target::Ideal, setting.dials()),
    );
    let (lowered, ideal) = match targets {
        (Ok(lowered), Ok(ideal)) => (lowered, ideal),
        (Err(error), _) | (_, Err(error)) => return not_covered(program, error.why, error.span),
    };
    if let Some(why) = unanswered(&setting, &lowered.shape) {
        let span = program.header.span;
        return not_covered(program, why.to_owned(), span);
    }
    if setting.model == MemoryModel::Ra {
        let both = [&lowered, &ideal].map(|lowered| weak::covered(lowered, &setting));
        let reason = both.into_iter().find_map(Result::err);
        if let Some((why, site)) = reason {
            let span = site.map_or(program.header.span, |site| site.span);
            return not_covered(program, why, span);
        }
    }
    let mut refusal = ideal.refusal.as_ref().map(|refusal| (refusal.why.clone(), refusal.span));
    if refusal.is_none()
        && let Some(site) = outcome::hidden_write(&lowered, &ideal)
    {
        let why = format!(
            "`{}` is written inside of a function whose contract does not tell of it",
            program.files.text(site.span)
        );
        refusal = Some((why, site.span));
    }
    Ok(Subject { program, setting, lowered, ideal, refusal })
}

/// Dials that have no meaning together with something else, yet.
fn unanswered(setting: &Setting, shape: &Shape) -> Option<&'static str> {
    let contexts = !shape.contexts.is_empty();
    let noncoherent = shape.caches.iter().any(|cache| cache.noncoherent);
    // A mark goes to the entry that it was cached from; with several tables
    // nobody says which that is.
    match setting.hw_dirty {
        HwDirty::No => {}
        HwDirty::Lazy if shape.two_levels => {
            return Some("`hw_dirty=lazy` with upper entries that change");
        }
        _ if contexts => return Some("`hw_dirty` with contexts"),
        _ if noncoherent => return Some("`hw_dirty` with walkers that are not coherent"),
        _ => {}
    }
    (setting.drain == Drain::Repeat && contexts).then_some("`drain=repeat` with contexts")
}

/// The order of a queue, and whether a TLB obeys, are dials that are named after
/// them.
pub fn order_queues(program: &mut Program, params: &[(String, String)]) {
    use shootdown_litmus::program::{ObjectKind, Param};
    for (name, value) in params {
        let queue = program.objects.iter().find(|object| {
            *object.name == **name
                && matches!(object.kind, ObjectKind::Queue { .. } | ObjectKind::Tlb { .. })
        });
        if let Some(queue) = queue {
            let param =
                Param { name: queue.name.clone(), value: value.as_str().into(), span: queue.span };
            program.params.retain(|param| *param.name != **name);
            program.params.push(param);
        }
    }
}

fn unordered_device(program: &Program) -> Option<Span> {
    use shootdown_litmus::program::{Agent, ObjectKind};
    program.threads.iter().find_map(|thread| match thread.agent {
        Agent::Device(device) => match program.objects[device.index()].kind {
            ObjectKind::Device { ordered: false, .. } => Some(program.objects[device.index()].span),
            _ => None,
        },
        _ => None,
    })
}

/// What the two searches have found.
pub(crate) struct Explored {
    pub(crate) machine: Machine<Sets>,
    pub(crate) found: Found,
    pub(crate) ideal_states: u64,
    pub(crate) ideal_stopped: Option<String>,
    pub(crate) ends: Ends,
    /// What the condition looks at.
    pub(crate) shown: Vec<Observable>,
    pub(crate) options: Options,
}

/// What a search is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A run to everything that is violated.
    Runs,
    /// What is violated, and runs to ends that ideal memory lacks: they say what.
    Codes,
    /// A run to an end that ideal memory lacks.
    WrongEnd,
}

/// Explores a test. If another one has the same ideal memory and was explored
/// in the same way, that need not be done again.
pub(crate) fn explore(
    subject: &Subject,
    request: &Request,
    wanted: Wanted,
    known: Option<(&Subject, &Explored)>,
) -> Explored {
    let mut options = request.options();
    let compared = outcome::compared(&subject.lowered, &subject.ideal);
    let mut allowed = BTreeSet::new();
    let (mut ideal_states, mut ideal_stopped) = (0, None);
    let known = known.filter(|(other, explored)| {
        other.ideal == subject.ideal
            && other.refusal.is_none()
            && explored.ends.compared == compared
    });
    if let Some((_, explored)) = known.filter(|_| subject.refusal.is_none()) {
        ideal_states = explored.ideal_states;
        ideal_stopped.clone_from(&explored.ideal_stopped);
        allowed.clone_from(&explored.ends.allowed);
    } else if subject.refusal.is_none() {
        let (world, slots) = World::new(subject.ideal.clone(), Target::Ideal, subject.setting);
        let ideal = Machine::new(world, slots, Ideal::default());
        let found = search(&ideal, &options, &|_| 0, &|state| {
            outcome::comparable(&ideal, state, &compared)
        });
        ideal_states = found.states;
        ideal_stopped = incomplete(&found);
        allowed = found.ends;
    }
    let shown = outcome::shown(&subject.program, &subject.lowered);
    let (world, slots) = World::new(subject.lowered.clone(), Target::Machine, subject.setting);
    let mut machine = Machine::new(world, slots, Sets::default());
    if request.renumber {
        let looked_at = shown.iter().chain(&compared).filter_map(|what| match what {
            Observable::Word(word) => Some(*word),
            _ => None,
        });
        machine = machine.renumbering(&looked_at.collect());
    }
    let ends = Ends { compared, allowed };
    let judges = subject.refusal.is_none() && ideal_stopped.is_none();
    let wrong = |state: &State| -> u64 {
        if !judges {
            return 0;
        }
        let mut wrong = false;
        // A representative stands for every naming of equal threads.
        machine.orbit(state, &mut |state| wrong |= !ends.allows(&machine, state));
        u64::from(wrong) << model::OUTCOME
    };
    match wanted {
        Wanted::Runs => options.trapped = true,
        Wanted::Codes => {
            options.trapped = true;
            options.witnessed = 1 << model::OUTCOME;
        }
        Wanted::WrongEnd => {
            options.first_violation_only = true;
            options.properties = 1 << model::OUTCOME;
        }
    }
    let keep = |state: &State| {
        let mut list: Vec<i64> =
            shown.iter().map(|what| outcome::observe(&machine, state, *what)).collect();
        list.extend(outcome::comparable(&machine, state, &ends.compared));
        list
    };
    let found = search(&machine, &options, &wrong, &keep);
    Explored { found, ideal_states, ideal_stopped, ends, shown, options, machine }
}

/// Why a search did not cover everything.
pub(crate) fn incomplete(found: &Found) -> Option<String> {
    let cut = |why: Failed| {
        (0..u64::BITS).any(|bit| found.broken >> bit & 1 != 0 && failed_of(bit) == Some(why))
    };
    stopped(found.outcome, found.states).or_else(|| {
        if cut(Failed::Frames) {
            Some("some runs need more pages than a place that allocates has".to_owned())
        } else if cut(Failed::Stores) {
            Some("some runs keep more stores to one word than are told apart".to_owned())
        } else if cut(Failed::Unordered) {
            Some("some runs change an entry twice and nothing orders the two under ra".to_owned())
        } else if cut(Failed::Endless) {
            Some(
                "some runs loop without a step that others can see, or meet too large a number"
                    .to_owned(),
            )
        } else {
            None
        }
    })
}

/// Why a search did not come to an end.
pub(crate) fn stopped(outcome: Outcome, states: u64) -> Option<String> {
    match outcome {
        Outcome::Limit { stop, complete_to_depth } => {
            let what = match stop {
                Stop::States => "states",
                Stop::Bytes => "memory",
                Stop::Time => "time",
                Stop::Model => "the model",
            };
            Some(format!(
                "stopped by the limit on {what} at {states} states, complete to depth {complete_to_depth}"
            ))
        }
        _ => None,
    }
}

/// Checks a test.
pub fn check(subject: &Subject, request: &Request) -> Checked {
    let begun = Instant::now();
    let explored = explore(subject, request, Wanted::Runs, None);
    let mut verdicts = Verdicts { subject, explored: &explored, list: BTreeMap::new() };
    verdicts.violations();
    verdicts.outcomes();
    let list = verdicts.finish();
    let violated = list.iter().any(|verdict| matches!(verdict.status, Status::Violated(_)));
    let complete = incomplete(&explored.found).is_none() && explored.ideal_stopped.is_none();
    let guards = (request.guards && !violated && complete)
        .then(|| crate::guards::guards(subject, &explored, request));
    let mut checked = Checked {
        test: subject.program.header.name.to_string(),
        file: file_name(&subject.program),
        variant: subject.program.variant.to_string(),
        model: subject.setting.model.name().to_owned(),
        params: params(subject),
        block: block(subject, &explored),
        verdicts: list,
        search: Search {
            states: explored.found.states,
            transitions: explored.found.transitions,
            depth: explored.found.depth,
            bytes: explored.found.bytes,
            ideal_states: explored.ideal_states,
            stopped: incomplete(&explored.found)
                .or(explored.ideal_stopped.map(|why| format!("ideal memory: {why}"))),
            time: begun.elapsed(),
        },
        guards,
        judgement: crate::verdict::Judgement::Unjudged,
        notes: notes(subject),
    };
    checked.judgement = judge(&subject.program, request, &checked);
    checked
}

/// The codes of what is violated, and nothing else of a verdict; and whether all
/// was searched. `known` is another test with what was found, which may save half
/// of the work.
pub(crate) fn codes(
    subject: &Subject,
    request: &Request,
    known: (&Subject, &Explored),
) -> (Vec<&'static str>, bool) {
    let explored = explore(subject, request, Wanted::Codes, Some(known));
    let complete = incomplete(&explored.found).is_none() && explored.ideal_stopped.is_none();
    let mut verdicts = Verdicts { subject, explored: &explored, list: BTreeMap::new() };
    verdicts.outcomes();
    let mut found: BTreeSet<&str> = verdicts.list.into_keys().collect();
    let broken = (0..u64::BITS).filter(|bit| explored.found.broken >> bit & 1 != 0);
    found.extend(broken.filter_map(property_name).map(|(code, _)| code));
    found.extend(explored.found.deadlock.as_ref().map(|_| "deadlock"));
    found.extend(explored.found.trapped.as_ref().map(|_| "PROGRESS"));
    (CODES.into_iter().filter(|code| found.contains(code)).collect(), complete)
}

/// The machine of a test and a shortest run to an end that ideal memory lacks,
/// to be played elsewhere.
pub fn wrong_end(subject: &Subject, request: &Request) -> Option<(Machine<Sets>, Run)> {
    let explored = explore(subject, request, Wanted::WrongEnd, None);
    let list = &explored.found.violations;
    let run = list.iter().find(|(property, _)| *property == model::OUTCOME)?.1.clone();
    Some((explored.machine, run))
}

/// What is said of a test that the checker has no meaning for.
pub fn not_covered(program: &Program, why: &str, span: Span, request: &Request) -> Checked {
    let place = program.files.locate(span);
    let status = || Status::NotCovered(format!("{why} ({place})"));
    let mut checked = Checked {
        test: program.header.name.to_string(),
        file: file_name(program),
        variant: program.variant.to_string(),
        model: request.model.name().to_owned(),
        params: Vec::new(),
        block: crate::block::empty(program),
        verdicts: CODES[..10].iter().map(|code| Verdict { code, status: status() }).collect(),
        search: Search {
            states: 0,
            transitions: 0,
            depth: 0,
            bytes: 0,
            ideal_states: 0,
            stopped: Some("not covered".to_owned()),
            time: std::time::Duration::ZERO,
        },
        guards: None,
        judgement: crate::verdict::Judgement::Unjudged,
        notes: Vec::new(),
    };
    checked.judgement = judge(program, request, &checked);
    checked
}

/// The name of the test's own file.
pub(crate) fn file_name(program: &Program) -> String {
    program.files.name(program.header.span.file).to_owned()
}

fn params(subject: &Subject) -> Vec<(String, String)> {
    let mut list: Vec<(String, String)> = subject
        .setting
        .params()
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    for queue in &subject.lowered.shape.queues {
        let order = if queue.in_order { "in_order" } else { "any_order" };
        list.push((queue.name.to_string(), order.to_owned()));
    }
    for cache in subject.lowered.shape.caches.iter().filter(|cache| cache.ignores) {
        list.push((cache.name.to_string(), "ignores".to_owned()));
    }
    list
}

fn notes(subject: &Subject) -> Vec<String> {
    let mut notes = subject.lowered.notes.clone();
    if subject.program.header.result.is_some() {
        notes.push(format!(
            "the file's `Result:` line speaks of the kernel's own memory model; this is {}",
            subject.setting.model
        ));
    }
    if subject.setting.model == MemoryModel::Ra {
        notes.push(
            "under ra no load is performed after a later store of its own thread, and stores may \
             reach others at different times: clean holds for arm64 but for load buffering, a \
             violation may be one that arm64 does not show"
                .to_owned(),
        );
    }
    if let Some((why, span)) = &subject.refusal {
        notes.push(format!("no contract given: {why} ({})", subject.program.files.locate(*span)));
    }
    notes
}

/// A place of the text.
pub(crate) fn place(program: &Program, span: Span) -> Option<Place> {
    let file = program.files.file(span.file)?;
    let at = program.files.position(span);
    let line = file.text.lines().nth(at.line.checked_sub(1)?)?;
    let code = line.split("//").next().unwrap_or(line).trim();
    Some(Place {
        file: program.files.name(span.file).to_owned(),
        line: at.line as u32,
        column: at.column as u32,
        text: code.to_owned(),
    })
}

struct Verdicts<'c> {
    subject: &'c Subject,
    explored: &'c Explored,
    list: BTreeMap<&'static str, Status>,
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
    fn violations(&mut self) {
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
    fn outcomes(&mut self) {
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
    fn finish(mut self) -> Vec<Verdict> {
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
        let later = |what: &str| Some(Status::NotCovered(format!("{what} is not modelled")));
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
            "RECLAIM" => return later("reclaim"),
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
fn property_name(property: u32) -> Option<(&'static str, &'static str)> {
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

/// Contracts that take something away.
pub(crate) fn revokes(kind: ContractKind) -> bool {
    !matches!(
        kind,
        ContractKind::Nop | ContractKind::Pin | ContractKind::Upgrade | ContractKind::LazyFree
    )
}
