//! Tests that a change is put to, all of them: a path with each of its clients.
//!
//! The tests are one path with different threads around it, so that a function
//! has the same number in each, and a change of one is a change of all. The
//! first that a change breaks is its verdict. Who broke something is asked first
//! the next time: most changes that are wrong fall at the first question.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use shootdown_explore::Progress;

use shootdown_litmus::Program;

use crate::check::{CODES, Refused, Subject, check, codes_of, prepare, too_strong};
use crate::explain::answer::Broken;
use crate::explored::{Explored, Wanted, explore};
use crate::findings::Verdicts;
use crate::request::Request;
use crate::verdict::{Checked, Status};

/// A test of a jury.
pub struct Case {
    /// The test.
    pub program: Program,
    /// The client in it, as text; `None` if the test is somebody's own.
    pub client: Option<Arc<str>>,
    /// It is asked of every change, see [`Jury::narrow`].
    pub always: bool,
}

/// Tests that a change is put to.
pub struct Jury<'r> {
    request: &'r Request,
    members: Vec<Member>,
    /// Who is asked, and in which order.
    order: RefCell<Vec<usize>>,
    explorations: Cell<u64>,
    states: Cell<u64>,
    /// Codes that were put to the test, and those that once were not: a bit each.
    exercised: Cell<u32>,
    silent: Cell<u32>,
    refused: usize,
    /// Why nothing is clean under this model, if the machine is weaker.
    too_strong: Option<String>,
}

struct Member {
    case: Case,
    /// The first program of it that was explored: later ones have the same
    /// ideal memory.
    known: OnceLock<(Subject, Explored)>,
}

/// What is said of a change.
pub enum Judged {
    /// Nothing breaks in any test.
    Clean,
    /// This does.
    Broken(Vec<Broken>),
    /// Nothing breaks as far as the searches came; says what stopped one.
    Unknown(String),
    /// The change leaves nothing that has a meaning.
    IllFormed,
}

/// How much is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Until one test breaks.
    First,
    /// Every test: all codes, each with the first test that shows it.
    All,
}

/// A change of a test; `None` if it cannot be written down.
pub type Edit<'e> = dyn Fn(&Program) -> Option<Program> + Sync + 'e;

/// Codes, whether all was searched, and states; `Err` if the program has no
/// meaning.
type Reply = Result<(Vec<&'static str>, bool, u64), ()>;

impl<'r> Jury<'r> {
    /// Prepares the tests.
    ///
    /// # Errors
    ///
    /// The first of them is not covered, or wrong. Others that are not covered
    /// are no part of the jury; [`Jury::refused`] says how many.
    pub fn new(cases: Vec<Case>, request: &'r Request) -> Result<Jury<'r>, Refused> {
        let mut members = Vec::new();
        let mut refused = 0;
        let mut weaker = None;
        for (at, case) in cases.into_iter().enumerate() {
            if let Some(why) = request.until.why() {
                let (span, program) = (case.program.header.span, Box::new(case.program));
                return Err(Refused::NotCovered { program, why: why.to_owned(), span });
            }
            match prepare(case.program.clone(), request) {
                Ok(subject) => {
                    if subject.setting.is_too_strong() {
                        weaker = Some(too_strong(subject.setting.model));
                    }
                    members.push(Member { case, known: OnceLock::new() });
                }
                Err(error) if at == 0 => return Err(error),
                Err(_) => refused += 1,
            }
        }
        Ok(Jury {
            request,
            order: RefCell::new((0..members.len()).collect()),
            explorations: Cell::new(0),
            states: Cell::new(0),
            exercised: Cell::new(0),
            silent: Cell::new(0),
            members,
            refused,
            too_strong: weaker,
        })
    }

    /// Tests that are not covered.
    pub fn refused(&self) -> usize {
        self.refused
    }

    /// The first test: what parts and places are taken from.
    pub fn first(&self) -> &Program {
        &self.members[0].case.program
    }

    /// How many tests there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is none: never, once it is made.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Explorations so far, and states of all of them.
    pub fn work(&self) -> (u64, u64) {
        (self.explorations.get(), self.states.get())
    }

    /// What is broken without any change.
    pub fn base(&self) -> Judged {
        self.judge(&|program| Some(program.clone()), Asked::All)
    }

    /// The codes that were put to the test in some exploration so far, and those
    /// that were not in any.
    pub fn exercised(&self) -> (Vec<&'static str>, Vec<&'static str>) {
        let (exercised, silent) = (self.exercised.get(), self.silent.get());
        let list = |bits: u32| -> Vec<&'static str> {
            let named = CODES.iter().enumerate().filter(|(at, _)| bits >> at & 1 != 0);
            named.map(|(_, code)| *code).collect()
        };
        (list(exercised), list(silent & !exercised))
    }

    /// Puts a change to the tests by which nobody is told anything. From now on
    /// only those are asked that see more of it than the first one, and those that
    /// are asked always.
    ///
    /// Where notifications only take translations away, less can happen with them
    /// than without: who sees nothing of its own without any has nothing to say
    /// about where they stand. What the first one, the path alone, sees by itself
    /// it is asked for by itself.
    pub fn narrow(&self, nobody_told: &Edit<'_>) -> Judged {
        let found = self.ask(nobody_told, Asked::All);
        if let Some(Some(Ok((alone, true, _)))) = found.first() {
            let kept = |at: &usize| match &found[*at] {
                Some(Ok((codes, true, _))) => {
                    self.members[*at].case.always || codes.iter().any(|code| !alone.contains(code))
                }
                _ => true,
            };
            self.order.borrow_mut().retain(kept);
        }
        self.told(found, nobody_told)
    }

    /// Who is asked from now on, by its place among the tests.
    pub fn order(&self) -> Vec<usize> {
        self.order.borrow().clone()
    }

    /// How many are asked.
    pub fn asked(&self) -> usize {
        self.order.borrow().len()
    }

    /// Puts a change to the tests.
    pub fn judge(&self, edit: &Edit<'_>, asked: Asked) -> Judged {
        let found = self.ask(edit, asked);
        self.told(found, edit)
    }

    /// Whether nothing breaks after a change, without the runs to what does; `Err`
    /// if a search reached a limit and nothing broke.
    pub fn holds(&self, edit: &Edit<'_>) -> Result<bool, String> {
        let found = self.ask(edit, Asked::First);
        let replies = || found.iter().flatten();
        if replies().any(|reply| reply.as_ref().map_or(true, |(codes, ..)| !codes.is_empty())) {
            return Ok(false);
        }
        match replies().all(|reply| matches!(reply, Ok((_, true, _)))) {
            true => Ok(true),
            false => Err(self.stopped().to_owned()),
        }
    }

    /// What ended a search before it was complete.
    fn stopped(&self) -> &'static str {
        self.request.until.why().unwrap_or("a search reached a limit")
    }

    /// Who is asked answers with codes, and whether all was searched; `Err` if
    /// the change leaves nothing that has a meaning.
    fn ask(&self, edit: &Edit<'_>, asked: Asked) -> Vec<Option<Reply>> {
        let order = self.order.borrow().clone();
        let request = self.quiet();
        // What is told of a search is told of all of them together.
        let finished = Arc::new(AtomicU64::new(self.states.get()));
        let together = request.progress.clone().map(|tell| {
            let finished = Arc::clone(&finished);
            move |own: Progress| {
                tell(Progress { states: finished.load(Ordering::Relaxed) + own.states, ..own });
            }
        });
        let request = match together.clone() {
            Some(together) => Request { progress: Some(Arc::new(together)), ..request },
            None => request,
        };
        let exercised = AtomicU32::new(self.exercised.get());
        let silent = AtomicU32::new(self.silent.get());
        // The first of the order that is known to break.
        let broken = AtomicUsize::new(usize::MAX);
        let members = &self.members;
        let answers = at_once(order.len(), |turn| {
            if asked == Asked::First && broken.load(Ordering::Relaxed) < turn {
                return None;
            }
            let member = &members[order[turn]];
            let Some(program) = edit(&member.case.program) else { return Some(Err(())) };
            let Ok(subject) = prepare(program, &request) else { return Some(Err(())) };
            let known = member.known.get().map(|(subject, explored)| (subject, explored));
            let explored = explore(&subject, &request, Wanted::Codes, known);
            let (found, complete) = codes_of(&subject, &explored);
            let (yes, no) = put_to_the_test(&subject, &explored);
            exercised.fetch_or(yes, Ordering::Relaxed);
            silent.fetch_or(no, Ordering::Relaxed);
            let states = explored.found.states;
            finished.fetch_add(states, Ordering::Relaxed);
            if let Some(tell) = &together {
                tell(Progress { states: 0, depth: explored.found.depth, level: 0 });
            }
            if !found.is_empty() {
                broken.fetch_min(turn, Ordering::Relaxed);
            }
            // Whoever is first; what is looked at later is the same in all.
            let _ = member.known.set((subject, explored));
            Some(Ok((found, complete, states)))
        });
        self.exercised.set(exercised.into_inner());
        self.silent.set(silent.into_inner());
        let first = broken.into_inner();
        let mut list: Vec<Option<Reply>> = (0..self.members.len()).map(|_| None).collect();
        for (turn, answer) in answers.into_iter().enumerate() {
            // What was found behind the first depends on who was faster.
            if asked == Asked::All || turn <= first {
                if let Some(Ok((_, _, states))) = &answer {
                    self.explorations.set(self.explorations.get() + 1);
                    self.states.set(self.states.get() + states);
                }
                list[order[turn]] = answer;
            }
        }
        if asked == Asked::First && first != usize::MAX {
            let who = order[first];
            let mut order = self.order.borrow_mut();
            order.retain(|at| *at != who);
            order.insert(0, who);
        }
        list
    }

    fn quiet(&self) -> Request {
        Request { guards: false, threads: 1, ..self.request.clone() }
    }

    /// Codes with the shortest run to each.
    fn told(&self, found: Vec<Option<Reply>>, edit: &Edit<'_>) -> Judged {
        let mut broken: Vec<Broken> = Vec::new();
        let mut wanted: Vec<(&'static str, usize)> = Vec::new();
        for code in CODES {
            let first = found.iter().position(
                |answer| matches!(answer, Some(Ok((codes, ..))) if codes.contains(&code)),
            );
            wanted.extend(first.map(|at| (code, at)));
        }
        let mut checked: Vec<(usize, Checked)> = Vec::new();
        for (code, at) in wanted {
            if !checked.iter().any(|(known, _)| *known == at) {
                let program = edit(&self.members[at].case.program);
                let request = Request { progress: None, ..self.quiet() };
                let subject = program.and_then(|program| prepare(program, &request).ok());
                let Some(subject) = subject else { continue };
                checked.push((at, check(&subject, &request)));
            }
            let verdicts = checked.iter().find(|(known, _)| *known == at);
            let verdict = verdicts.and_then(|(_, checked)| {
                checked.verdicts.iter().find(|verdict| verdict.code == code)
            });
            if let Some(Status::Violated(violation)) = verdict.map(|verdict| &verdict.status) {
                let client = self.members[at].case.client.clone();
                broken.push(Broken { code, violation: (**violation).clone(), client });
            }
        }
        if !broken.is_empty() {
            return Judged::Broken(broken);
        }
        if found.iter().flatten().any(Result::is_err) {
            return Judged::IllFormed;
        }
        if let Some(why) = &self.too_strong {
            return Judged::Unknown(why.clone());
        }
        let stopped = found.iter().flatten().any(|answer| matches!(answer, Ok((_, false, _))));
        match stopped {
            true => Judged::Unknown(self.stopped().to_owned()),
            false => Judged::Clean,
        }
    }
}

/// The codes that an exploration has put to the test, and those that it has not:
/// a bit each.
fn put_to_the_test(subject: &Subject, explored: &Explored) -> (u32, u32) {
    let quiet = Verdicts { subject, explored, list: BTreeMap::new() }.finish();
    let mut bits = (0, 0);
    for verdict in quiet {
        let at = CODES.iter().position(|code| *code == verdict.code);
        let bit = at.map_or(0, |at| 1u32 << at);
        match verdict.status {
            Status::NotExercised(_) | Status::NotCovered(_) => bits.1 |= bit,
            _ => bits.0 |= bit,
        }
    }
    bits
}

/// Does so many things, several at the same time; the answers in order.
pub fn at_once<T: Send + Sync>(count: usize, one: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let found: Vec<OnceLock<T>> = (0..count).map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    let worker = || {
        while let Some(at) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|at| *at < count) {
            let _ = found[at].set(one(at));
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| {
        for _ in 1..workers.min(count) {
            scope.spawn(worker);
        }
        worker();
    });
    found.into_iter().filter_map(OnceLock::into_inner).collect()
}
