//! What each notification and each flush of a path is for.
//!
//! The program is changed and explored again. A step is taken out: if nothing
//! breaks it is redundant. If something does, the step is moved outwards from
//! where it stands, place by place, until something breaks again; between the
//! two ends it may stand anywhere. Nothing is said that was not explored: the
//! rules of the founding document are what comes out, not what goes in.
//!
//! - `edit` takes steps out of bodies and puts them in, with their jumps.
//! - `flow` knows what comes before what, and where a lock is held.
//! - `parts` finds what can be taken out, and what it becomes elsewhere.
//! - `spots` lists the places where a step could stand.
//! - [`telling`] says where a path tells.
//! - `count` says what a path costs.
//! - [`answer`] is what is handed out: plain data.

pub mod answer;
pub(crate) mod count;
mod edit;
pub(crate) mod flow;
pub(crate) mod parts;
mod spots;
pub mod telling;

#[cfg(test)]
mod tests;

use std::time::Instant;

use shootdown_litmus::Program;
use shootdown_litmus::primitives::{Action, Notify, Tag};
use shootdown_litmus::program::OpKind;

use crate::check::{Refused, check, file_name, place, prepare};
use crate::jury::{Asked, Case, Judged, Jury};
use crate::request::Request;

use answer::{
    Answer, Base, Bound, Clients, Explained, Interval, Lock, Path, Step, Twin, Why, Work,
};
use flow::Flow;
use parts::{Owner, Part};
use spots::{Spot, spots};

/// Explains the paths of a test: those of its own file, or the function of
/// this name.
///
/// # Errors
///
/// What the checker has no meaning for.
pub fn explain(
    program: &Program,
    request: &Request,
    function: Option<&str>,
) -> Result<Explained, Refused> {
    let case = Case { program: program.clone(), client: None, always: true };
    explain_among(vec![case], "", request, function)
}

/// Explains the paths of a test with many clients: what is said holds among all
/// of them. The first case is the one that names and places are taken from;
/// `bound` says up to what the clients are all there are.
///
/// # Errors
///
/// What the checker has no meaning for.
///
/// # Panics
///
/// Without a case.
pub fn explain_among(
    cases: Vec<Case>,
    bound: &str,
    request: &Request,
    function: Option<&str>,
) -> Result<Explained, Refused> {
    let begun = Instant::now();
    let request = Request { guards: false, progress: None, ..request.clone() };
    let jury = Jury::new(cases, &request)?;
    let program = jury.first();
    let subject = prepare(program.clone(), &request)?;
    let checked = check(&subject, &request);
    let parts = parts::parts(program, subject.setting.dials(), function);
    let several = jury.len() > 1;
    let base = base(&jury);
    if several && matches!(base, Base::Clean { .. }) && only_takes_away(program) {
        let everything: Vec<&Part> = parts.iter().filter(|part| part.left_out.is_none()).collect();
        jury.narrow(&|program| parts::without(program, &everything));
    }
    let explainer = Explainer { program, jury: &jury };
    let answers = match &base {
        Base::Clean { .. } => explainer.answers(&parts),
        Base::Violated(broken) => {
            let codes: Vec<&str> = broken.iter().map(|broken| broken.code).collect();
            let why = format!("without any change the variant breaks {}", codes.join(", "));
            vec![Answer::Unknown(why); parts.len()]
        }
        Base::Unknown(why) => vec![Answer::Unknown(why.clone()); parts.len()],
    };
    let mut paths: Vec<Path> = Vec::new();
    let mut owners: Vec<Owner> = Vec::new();
    for (part, answer) in parts.iter().zip(answers) {
        if owners.last() != Some(&part.owner) {
            owners.push(part.owner);
            paths.push(Path {
                function: part.owner.name(program),
                place: place(program, part.owner.span(program)),
                steps: Vec::new(),
                cost: count::cost(&subject.lowered, part.owner),
            });
        }
        let step = Step {
            what: part.what.clone(),
            tells: part.tells,
            place: place(program, part.span),
            answer,
        };
        paths.last_mut().expect("a path for each owner").steps.push(step);
    }
    let (explorations, states) = jury.work();
    Ok(Explained {
        test: checked.test,
        file: file_name(program),
        variant: checked.variant,
        model: checked.model,
        params: checked.params,
        base,
        paths,
        clients: several.then(|| Clients {
            bound: bound.to_owned(),
            all: jury.len(),
            refused: jury.refused(),
            asked: jury.asked(),
        }),
        work: Work { explorations, states, time: begun.elapsed() },
        notes: checked.notes,
    })
}

/// Whether notifications only take translations away: callbacks that flush, and
/// do nothing else. Then whoever is content without any of them is content
/// wherever they stand, since less can happen.
pub fn only_takes_away(program: &Program) -> bool {
    let called = program.subscriptions.iter().flat_map(|s| s.callbacks.iter().map(|(_, id)| *id));
    called.into_iter().all(|id| {
        program.functions[id.index()].body.ops.iter().all(|op| match &op.kind {
            OpKind::Primitive { primitive, .. } => {
                primitive.has(Tag::Flushes)
                    || primitive.has(Tag::Pure)
                    || primitive.has(Tag::Notifies)
                    || primitive.action == Action::Sync
            }
            OpKind::Call { .. } | OpKind::Load { .. } | OpKind::Store { .. } => false,
            _ => true,
        })
    })
}

fn base(jury: &Jury<'_>) -> Base {
    match jury.base() {
        Judged::Broken(broken) => Base::Violated(broken),
        Judged::Unknown(why) => Base::Unknown(why),
        Judged::IllFormed => Base::Unknown("not covered".to_owned()),
        Judged::Clean if jury.refused() > 0 => {
            Base::Unknown(format!("{} of the clients are not covered", jury.refused()))
        }
        Judged::Clean => {
            let (clean, silent) = jury.exercised();
            Base::Clean { clean, silent }
        }
    }
}

struct Explainer<'p> {
    program: &'p Program,
    jury: &'p Jury<'p>,
}

impl Explainer<'_> {
    /// What breaks without some parts.
    fn without(&self, parts: &[&Part]) -> Judged {
        self.jury.judge(&|program| parts::without(program, parts), Asked::All)
    }

    fn answers(&self, parts: &[Part]) -> Vec<Answer> {
        let mut answers: Vec<Answer> = parts.iter().map(|part| self.answer(part)).collect();
        let redundant: Vec<usize> = (0..parts.len())
            .filter(|at| matches!(answers[*at], Answer::Redundant { .. }))
            .collect();
        for (n, first) in redundant.iter().enumerate() {
            for second in &redundant[n + 1..] {
                let pair = [&parts[*first], &parts[*second]];
                let (broken, unknown) = match self.without(&pair) {
                    Judged::Broken(broken) => (broken, None),
                    Judged::Unknown(why) => (Vec::new(), Some(why)),
                    Judged::Clean | Judged::IllFormed => continue,
                };
                for (own, other) in [(*first, *second), (*second, *first)] {
                    let twin = Twin {
                        what: parts[other].what.clone(),
                        function: parts[other].owner.name(self.program),
                        place: place(self.program, parts[other].span),
                        without: broken.clone(),
                        unknown: unknown.clone(),
                    };
                    if let Answer::Redundant { twins } = &mut answers[own] {
                        twins.push(twin);
                    }
                }
            }
        }
        answers
    }

    fn answer(&self, part: &Part) -> Answer {
        if let Some(why) = part.left_out {
            return Answer::LeftOut(why.to_owned());
        }
        if parts::without(self.program, &[part]).is_none() {
            return Answer::LeftOut("it cannot be taken out alone".to_owned());
        }
        let without = match self.without(&[part]) {
            Judged::Broken(broken) => broken,
            Judged::Clean => return Answer::Redundant { twins: Vec::new() },
            Judged::Unknown(why) => return Answer::Unknown(why),
            Judged::IllFormed => {
                return Answer::LeftOut("nothing has a meaning without it".to_owned());
            }
        };
        let flow = Flow::of(self.program, part.owner.body(self.program));
        let (earlier, later) = spots(&flow, part);
        let first = self.walk(part, &earlier);
        let last = self.walk(part, &later);
        let waits = waits(&flow, part, &later[..last.clean]);
        let interval = Interval {
            after: self.bound(&flow, part, &earlier, &first, |spot| spot.after),
            before: self.bound(&flow, part, &later, &last, |spot| spot.before),
            lock: lock(&flow, part, earlier[..first.clean].iter().chain(&later[..last.clean])),
        };
        match waits {
            true => Answer::MayWait { without, interval },
            false => Answer::Required { without, interval },
        }
    }

    /// Outwards until something breaks.
    fn walk(&self, part: &Part, spots: &[Spot]) -> Walk {
        let mut walk = Walk { clean: 0, why: Why::Ends };
        if part.elsewhere.is_none() {
            walk.why = Why::NotTried("its address is not known here");
            return walk;
        }
        for (at, spot) in spots.iter().enumerate() {
            if !spot.computed {
                walk.why = Why::Arguments;
                return walk;
            }
            match self.jury.judge(&|program| parts::moved(program, part, spot), Asked::First) {
                Judged::Clean => walk.clean = at + 1,
                Judged::Broken(broken) => {
                    walk.why = Why::Breaks(broken);
                    return walk;
                }
                Judged::Unknown(why) => {
                    walk.why = Why::Unknown(why);
                    return walk;
                }
                // It cannot stand here, and perhaps further on.
                Judged::IllFormed => {}
            }
        }
        walk
    }

    /// The step that ends the interval on one side.
    fn bound(
        &self,
        flow: &Flow<'_>,
        part: &Part,
        spots: &[Spot],
        walk: &Walk,
        side: impl Fn(&Spot) -> Option<usize>,
    ) -> Bound {
        let last = walk.clean.checked_sub(1).map(|at| &spots[at]);
        let own = Spot::own(flow, part);
        let at = match last {
            Some(spot) => side(spot),
            // A flush that is part of its clear stays with it.
            None if part.inside => Some(part.at),
            None => side(&own),
        };
        Bound {
            name: at.map(|at| name(self.program, flow, at)),
            place: at.and_then(|at| place(self.program, flow.body.ops[at].span)),
            inside: last.is_none() && part.inside,
            why: walk.why.clone(),
        }
    }
}

/// How far a step could be moved.
struct Walk {
    /// So many places are clean.
    clean: usize,
    /// Why not further.
    why: Why,
}

/// Whether a step may stand as late as `range_end`, or where there is none
/// outside of the lock.
fn waits(flow: &Flow<'_>, part: &Part, later: &[Spot]) -> bool {
    let ends = |at: usize| {
        matches!(&flow.body.ops[at].kind, OpKind::Primitive { primitive, .. }
            if matches!(primitive.action, Action::Notify(Notify::End | Notify::OnlyEnd)))
    };
    if ends(part.at) {
        return true;
    }
    let own = Spot::own(flow, part);
    let all = || std::iter::once(&own).chain(later);
    let has_end = (0..flow.body.ops.len()).any(|at| ends(at) && flow.follows(at, part.at));
    match has_end {
        true => all().any(|spot| spot.before.is_some_and(ends) || spot.after.is_some_and(ends)),
        false => own.locked && later.iter().any(|spot| !spot.locked),
    }
}

fn lock<'s>(flow: &Flow<'_>, part: &Part, others: impl Iterator<Item = &'s Spot>) -> Lock {
    if !flow.takes_lock() {
        return Lock::None;
    }
    let own = Spot::own(flow, part);
    let (mut inside, mut outside) = (own.locked, !own.locked);
    for spot in others {
        inside |= spot.locked;
        outside |= !spot.locked;
    }
    match (inside, outside) {
        (true, false) => Lock::Yes,
        (false, _) => Lock::No,
        _ => Lock::Either,
    }
}

/// What a step is called.
fn name(program: &Program, flow: &Flow<'_>, at: usize) -> String {
    let op = &flow.body.ops[at];
    match &op.kind {
        OpKind::Primitive { primitive, .. } => primitive.name.to_owned(),
        OpKind::Call { function, .. } => program.functions[function.index()].name.to_string(),
        OpKind::Return(_) => "the return".to_owned(),
        _ => program.files.text(op.span).to_owned(),
    }
}
