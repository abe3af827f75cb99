//! A verdict on one variant of one test.
//!
//! The program is explored twice: on ideal memory, which gives the ends that a
//! program may have, and on the machine. What is asked of states is asked on
//! the way; an end that ideal memory lacks is named by the run that leads to
//! it. If there are several, a second search finds a shortest run to each.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use shootdown_litmus::program::ContractKind;
use shootdown_litmus::{Diagnostics, Program, Sources, Span, Variant};
use shootdown_machine::machine::Machine;
use shootdown_machine::model::{self, Run};
use shootdown_machine::outcome;
use shootdown_machine::sets::Sets;
use shootdown_machine::setting::{Drain, HwDirty, Setting};
use shootdown_machine::weak;
use shootdown_step::{Lowered, MemoryModel, Shape, Target, lower};

use crate::block::block;
use crate::explored::{Explored, Wanted, explore, incomplete};
use crate::findings::{Verdicts, property_name};
use crate::judge::judge;
use crate::lock_order;
use crate::request::Request;
use crate::timeline::Place;
use crate::verdict::{Checked, Search, Status, Verdict};

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

/// Checks a test.
pub fn check(subject: &Subject, request: &Request) -> Checked {
    let begun = Instant::now();
    let explored = explore(subject, request, Wanted::Runs, None);
    let mut verdicts = Verdicts { subject, explored: &explored, list: BTreeMap::new() };
    verdicts.violations();
    verdicts.outcomes();
    let (reclaim, rests) = lock_order::reclaim(&lock_order::graph(subject));
    verdicts.list.insert("RECLAIM", reclaim);
    let mut list = verdicts.finish();
    let withheld = subject.setting.is_too_strong();
    if withheld {
        withhold(&mut list, subject.setting.model);
    }
    let violated = list.iter().any(|verdict| matches!(verdict.status, Status::Violated(_)));
    let complete = incomplete(&explored.found).is_none() && explored.ideal_stopped.is_none();
    let guards = (request.guards && !violated && complete && !withheld)
        .then(|| crate::guards::guards(subject, &explored, request));
    let mut checked = Checked {
        test: subject.program.header.name.to_string(),
        file: file_name(&subject.program),
        variant: subject.program.variant.to_string(),
        model: subject.setting.model.name().to_owned(),
        params: params(subject),
        block: block(subject, &explored),
        notes: notes(subject, &list).into_iter().chain(rests).collect(),
        verdicts: list,
        search: Search {
            states: explored.found.states,
            transitions: explored.found.transitions,
            depth: explored.found.depth,
            bytes: explored.found.bytes,
            ideal_states: explored.ideal_states,
            stopped: incomplete(&explored.found)
                .or(explored.ideal_stopped.map(|why| format!("ideal memory: {why}")))
                .or(withheld.then(|| "not covered".to_owned())),
            time: begun.elapsed(),
        },
        guards,
        judgement: crate::verdict::Judgement::Unjudged,
    };
    checked.judgement = judge(&subject.program, request, &checked);
    checked
}

/// A machine that is weaker than the model has runs that were not seen, so what
/// was not found is not covered. What was found is found: each run of the
/// stronger model is one of the weaker.
fn withhold(verdicts: &mut [Verdict], model: MemoryModel) {
    for verdict in verdicts {
        if verdict.status == Status::Clean {
            verdict.status = Status::NotCovered(too_strong(model));
        }
    }
}

/// Why nothing is clean under a model that is stronger than the machine.
pub(crate) fn too_strong(model: MemoryModel) -> String {
    format!(
        "CPUs of this machine are weaker than {model} (`cpu_order=weak`); ask with `--model ra`"
    )
}

/// The codes of what is violated, and nothing else of a verdict; whether all was
/// searched, and how many states that were. `known` is another test with what was
/// found, which may save half of the work.
pub(crate) fn codes(
    subject: &Subject,
    request: &Request,
    known: (&Subject, &Explored),
) -> (Vec<&'static str>, bool, u64) {
    let explored = explore(subject, request, Wanted::Codes, Some(known));
    let (found, complete) = codes_of(subject, &explored);
    (found, complete, explored.found.states)
}

/// The codes of what such an exploration has found, and whether it covered all.
pub(crate) fn codes_of(subject: &Subject, explored: &Explored) -> (Vec<&'static str>, bool) {
    let complete = incomplete(&explored.found).is_none() && explored.ideal_stopped.is_none();
    let mut verdicts = Verdicts { subject, explored, list: BTreeMap::new() };
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

pub(crate) fn params(subject: &Subject) -> Vec<(String, String)> {
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

pub(crate) fn notes(subject: &Subject, verdicts: &[Verdict]) -> Vec<String> {
    let mut notes = subject.lowered.notes.clone();
    let compared = |verdict: &&Verdict| {
        matches!(verdict.code, "NEW" | "COPY" | "outcome" | "PROGRESS")
            && matches!(verdict.status, Status::Violated(_))
    };
    if subject.setting.is_too_strong()
        && let Some(found) = verdicts.iter().find(compared)
    {
        notes.push(format!(
            "the machine has the run that breaks {}, but it is judged by what {} allows, and CPUs \
             of this machine may do more: `--model ra` says whether it still breaks anything",
            found.code, subject.setting.model
        ));
    }
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

/// Contracts that take something away.
pub(crate) fn revokes(kind: ContractKind) -> bool {
    !matches!(
        kind,
        ContractKind::Nop | ContractKind::Pin | ContractKind::Upgrade | ContractKind::LazyFree
    )
}
