//! Where the notifications of a path may stand: all minimal placements that are
//! right, the cheapest first, or the step that makes it impossible.
//!
//! ```text
//! text --silent--> text without what tells
//!   spots    places for a notification, each as a change of the text
//!   search   sets of places, put to every test of the jury
//!   patch    the best one as lines that somebody would write,
//!            read again and put to every test again
//! ```
//!
//! A placement is *right* if nothing is broken in any test; it is *minimal* if it
//! is wrong with a place less. What a set of places does is never reasoned about:
//! the changed text is read and explored.

pub mod answer;
pub mod compare;
mod patch;
mod search;
mod silent;
mod spots;
mod text;
mod weight;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use shootdown_litmus::program::FunctionId;
use shootdown_litmus::{Diagnostics, Program, Sources, Variant};
use shootdown_step::{Moment, Tells};

use crate::check::{Refused, Subject, file_name, params, place as place_in, prepare};
use crate::explain::answer::{Broken, Clients, Cost, Work};
use crate::explain::count;
use crate::explain::only_takes_away;
use crate::explain::parts::Owner;
use crate::jury::{Asked, Case, Judged, Jury};
use crate::request::Request;

use answer::{Changed, Covered, Forgotten, Outcome, Patch, Placed, Placement};
use search::{Said, Search};
use silent::{Cut, cuts, flush_that_tells, scope};
use spots::{Gone, Names, Spot, Stands, spots};
use text::{Edit, Reader, files};

pub use text::Changes;
pub use weight::{Weights, WeightsError};

/// A test as text.
#[derive(Clone, Copy)]
pub struct Text<'a> {
    /// The file's name.
    pub name: &'a str,
    /// What is in it.
    pub text: &'a str,
    /// Where included files come from.
    pub sources: &'a (dyn Sources + Sync),
    /// Which variant of it.
    pub variant: &'a Variant,
}

/// How far the search for placements has come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Sets of places that were put to the tests.
    pub tried: usize,
    /// Those that are right.
    pub right: usize,
    /// States of all searches.
    pub states: u64,
}

/// Who is told of it, now and then.
pub type Watch = Arc<dyn Fn(Progress) + Send + Sync>;

/// What is asked.
#[derive(Clone)]
pub struct Options {
    /// What tells is taken out first.
    pub forget: bool,
    /// Only this function.
    pub function: Option<String>,
    /// What is dear.
    pub weights: Weights,
    /// How many placements are listed.
    pub list: usize,
    /// Up to what the tests are all there are, as whoever makes them says it.
    pub bound: String,
    /// Is told now and then how far it has come.
    pub progress: Option<Watch>,
}

/// The tests that a program is put to: itself, or its path with clients around
/// it. Included files come from the sources.
pub type Cases<'a> = dyn Fn(&Program, &(dyn Sources + Sync)) -> Result<Vec<Case>, String> + 'a;

/// Why there is no answer.
#[derive(Debug)]
pub enum Unplaced {
    /// The test is wrong, or the checker has no meaning for it.
    Refused(Refused),
    /// The tests around it could not be made.
    Cases(String),
}

impl From<Refused> for Unplaced {
    fn from(refused: Refused) -> Unplaced {
        Unplaced::Refused(refused)
    }
}

/// The largest set of places where more notifications may do more.
const SIZE: usize = 2;

/// Finds the places. [`Limits::time`](shootdown_explore::Limits::time) is for all of
/// it; when it is over, or [`Request::until`] says so, what was found so far is the
/// answer.
///
/// # Errors
///
/// See [`Unplaced`].
pub fn place(
    text: Text<'_>,
    request: &Request,
    options: &Options,
    cases: &Cases<'_>,
) -> Result<Placed, Unplaced> {
    let begun = Instant::now();
    let mut request = Request { guards: false, progress: None, ..request.clone() };
    let end = begun.checked_add(request.limits.time);
    let sooner = |other: Option<Instant>| end.map(|end| other.map_or(end, |own| own.min(end)));
    request.until.moment = sooner(request.until.moment).or(request.until.moment);
    let (tried, right) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    request.progress = options.progress.clone().map(|watch| {
        let (tried, right) = (Arc::clone(&tried), Arc::clone(&right));
        let tell = move |search: shootdown_explore::Progress| {
            let count = |of: &AtomicUsize| of.load(Ordering::Relaxed);
            watch(Progress { tried: count(&tried), right: count(&right), states: search.states });
        };
        Arc::new(tell) as Arc<dyn Fn(shootdown_explore::Progress) + Send + Sync>
    });
    let program = request.read(text.name, text.text, text.sources, text.variant);
    let program = program.map_err(Refused::Input)?;
    let subject = prepare(program.clone(), &request)?;
    let function = options.function.as_deref();
    let scope = scope(&program, function);
    let (cuts, flush_is_silent) = told(&subject, &scope, options.forget)?;
    let asked = request;
    let mut request = asked.clone();
    if flush_is_silent {
        request.params.push(("tells".to_owned(), "calls".to_owned()));
    }

    let reader = Reader { request: &request, sources: text.sources };
    let gone: Vec<Edit> = cuts.iter().map(Cut::edit).collect();
    let (quiet, sources) = reader.changed(&program, &program, &gone);
    let silent = request.read(text.name, &quiet, &sources, text.variant);
    let silent = prepare(silent.map_err(Refused::Input)?, &request)?;
    nobody_listens(&silent)?;
    let reader = Reader { request: &request, sources: &sources };
    let names = Names::of(silent.setting.dials().range_end_invalidates);
    let forgotten = calls(&program, &cuts, &gone);
    let (functions, spots) =
        spots(&silent.program, &reader, &scope, names, &forgotten, function.is_some());
    let placer = Placer { silent: &silent.program, reader, spots: &spots, tried: &tried };

    let jury = Jury::new(cases(&silent.program, &sources).map_err(Unplaced::Cases)?, &request)?;
    let price = placer.price();
    let costs: Vec<u64> = spots
        .iter()
        .map(|spot| options.weights.cost(spot.locked, spot.whole, price.0, price.1))
        .collect();
    let patch = |set: &[usize]| {
        let chosen: Vec<&Spot> = set.iter().map(|at| &spots[*at]).collect();
        let reader = Reader { request: &request, sources: text.sources };
        patched(&program, &reader, &patch::edits(&program, &cuts, &chosen), cases)
    };
    // The first is the cheapest: its patch is there before others are looked for.
    let first: RefCell<Option<Made>> = RefCell::new(None);
    let one_more = |set: &[usize]| {
        right.fetch_add(1, Ordering::Relaxed);
        first.borrow_mut().get_or_insert_with(|| (set.to_vec(), patch(set)));
    };
    let (broken, mut found) = placer.find(&jury, &costs, options.list, &one_more);
    let told = flush_is_silent || !cuts.is_empty();
    if told && matches!(found, Place::None(Outcome::Impossible(_), _)) {
        // What the file itself does shows that it can be done.
        let original = cases(&program, text.sources).map_err(Unplaced::Cases)?;
        if matches!(Jury::new(original, &asked)?.base(), Judged::Clean) {
            let why = "the file as it stands is clean, by telling in a way that is none of these \
                       places";
            found = Place::None(Outcome::Unknown, Covered::Stopped(why.to_owned()));
        }
    }
    let (outcome, covered, best) = match found {
        Place::None(outcome, covered) => (outcome, covered, None),
        Place::Sets(sets, covered) => {
            let best = sets.first().cloned();
            let list = sets
                .iter()
                .map(|set| Placement {
                    cost: set.iter().map(|at| costs[*at]).sum(),
                    spots: set.iter().map(|at| shown(&program, &gone, &spots[*at])).collect(),
                })
                .collect();
            (Outcome::Found(list), covered, best)
        }
    };
    let patch = match best {
        None => Patch::None,
        Some(best) => match first.into_inner() {
            Some((known, patch)) if known == best => patch?,
            _ => patch(&best)?,
        },
    };
    let (exercised, not_exercised) = jury.exercised();
    let (explorations, states) = jury.work();
    let name = |id: &FunctionId| program.functions[id.index()].name.to_string();
    let mut notes = crate::check::notes(&silent, &[]);
    notes.dedup();
    Ok(Placed {
        test: program.header.name.to_string(),
        file: file_name(&program),
        variant: program.variant.to_string(),
        model: silent.setting.model.name().to_owned(),
        params: params(&silent),
        forgotten: cuts
            .iter()
            .map(|cut| Forgotten { what: cut.what.to_owned(), place: place_in(&program, cut.span) })
            .collect(),
        flush_is_silent,
        functions: functions.iter().map(name).collect(),
        places: spots.len(),
        silent: broken,
        exercised,
        not_exercised,
        outcome,
        covered,
        price,
        weights: options.weights,
        patch,
        clients: (jury.len() > 1).then(|| Clients {
            bound: options.bound.clone(),
            all: jury.len(),
            refused: jury.refused(),
            asked: jury.asked(),
        }),
        work: Work { explorations, states, time: begun.elapsed() },
        notes,
    })
}

/// What tells in some functions, and whether the flush of the CPUs is made
/// silent; an error if it may not be forgotten, or cannot.
fn told(
    subject: &Subject,
    scope: &[FunctionId],
    forget: bool,
) -> Result<(Vec<Cut>, bool), Refused> {
    let (program, dials) = (&subject.program, subject.setting.dials());
    let cuts = cuts(program, scope, dials).map_err(|loud| Refused::NotCovered {
        program: Box::new(program.clone()),
        why: loud.why,
        span: loud.span,
    })?;
    let wrong = |span, message: String, help: &str| {
        Err(Refused::Input(Diagnostics::about(&program.files, span, message, help)))
    };
    if !matches!(dials.tells, Tells::Kernel | Tells::Calls) {
        let message = "the dial `tells` says when notifications are sent, whatever the text says";
        let help = "without it, or with --param tells=kernel, places are looked for";
        return wrong(program.header.span, message.to_owned(), help);
    }
    // A flush tells wherever it is, also in what is not asked about.
    let everywhere = dials.tells_at(Moment::Flush);
    let flush = flush_that_tells(program, scope, dials);
    if forget {
        return Ok((cuts, everywhere || flush.is_some()));
    }
    if let Some(cut) = cuts.first() {
        let message = format!("`{}` tells the secondary TLBs already", cut.what);
        return wrong(cut.span, message, "with --forget it is placed anew");
    }
    if everywhere || flush.is_some() {
        let (name, span) = flush.map_or((None, program.header.span), |(n, at)| (Some(n), at));
        let who = name.map_or("the flush of the CPUs".to_owned(), |name| format!("`{name}`"));
        let message = format!("{who} tells the secondary TLBs already, with its flush");
        let help = "with --forget it is made silent, as with --param tells=calls";
        return wrong(span, message, help);
    }
    Ok((cuts, false))
}

/// An error if a notification would reach nobody.
fn nobody_listens(silent: &Subject) -> Result<(), Refused> {
    match listeners(&silent.program).is_empty() {
        false => Ok(()),
        true => Err(Refused::NotCovered {
            program: Box::new(silent.program.clone()),
            why: "no subscriber has an `invalidate_range`, so a notification would reach nobody; \
                  choose a machine with one by --machine"
                .to_owned(),
            span: silent.program.header.span,
        }),
    }
}

/// The callbacks that a notification is.
fn listeners(program: &Program) -> Vec<FunctionId> {
    let tells = |name: &str| matches!(name, "invalidate_range" | "arch_invalidate_secondary_tlbs");
    let all = program.subscriptions.iter().flat_map(|subscription| &subscription.callbacks);
    all.filter(|(name, _)| tells(name)).map(|(_, id)| *id).collect()
}

/// What notifications were called with that are gone, with where they stood in
/// the text that is left.
fn calls(program: &Program, cuts: &[Cut], gone: &[Edit]) -> Vec<Gone> {
    let one = |cut: &Cut| {
        let inside = gone.iter().filter(|edit| edit.file == cut.span.file).cloned();
        let inside: Vec<Edit> = inside.collect();
        let at = text::after(&inside, cut.span.start as usize);
        let arguments = cut.arguments(program)?.to_owned();
        Some(Gone { function: cut.function, at, arguments })
    };
    cuts.iter().filter_map(one).collect()
}

enum Place {
    None(Outcome, Covered),
    Sets(Vec<Vec<usize>>, Covered),
}

/// A set of places, and the patch that was made of it.
type Made = (Vec<usize>, Result<Patch, Unplaced>);

struct Placer<'a> {
    silent: &'a Program,
    reader: Reader<'a>,
    spots: &'a [Spot],
    tried: &'a AtomicUsize,
}

impl Placer<'_> {
    fn edits(&self, set: &[usize]) -> Vec<Edit> {
        set.iter().flat_map(|at| self.spots[*at].edits.iter().cloned()).collect()
    }

    fn all(&self) -> Vec<usize> {
        (0..self.spots.len()).collect()
    }

    /// What one notification makes the machine do.
    fn price(&self) -> (u32, u32) {
        self.all().into_iter().find_map(|at| self.price_of(at)).unwrap_or((1, 1))
    }

    /// The same for this one, if a thread runs it.
    fn price_of(&self, at: usize) -> Option<(u32, u32)> {
        let program = self.reader.read(self.silent, self.silent, &self.edits(&[at]))?;
        let subject = prepare(program, self.reader.request).ok()?;
        let cost = |id| count::cost(&subject.lowered, Owner::Function(id));
        let costs: Vec<Cost> = listeners(&subject.program).into_iter().filter_map(cost).collect();
        let sum = |of: fn(&Cost) -> u32| costs.iter().map(of).sum();
        (!costs.is_empty()).then(|| (sum(|cost| cost.posted.most), sum(|cost| cost.waits.most)))
    }

    /// What is broken in silence, and what helps.
    fn find(
        &self,
        jury: &Jury<'_>,
        costs: &[u64],
        wanted: usize,
        found: &dyn Fn(&[usize]),
    ) -> (Vec<Broken>, Place) {
        let until = &self.reader.request.until;
        let late = || until.why();
        let none = |outcome, covered| Place::None(outcome, covered);
        let mut monotone = only_takes_away(self.silent);
        // Whoever has nothing to say in silence has nothing to say at all.
        let silence = match monotone {
            true => jury.narrow(&|program| Some(program.clone())),
            false => jury.base(),
        };
        let broken = match silence {
            Judged::Broken(broken) => broken,
            Judged::Clean => return (Vec::new(), none(Outcome::NotNeeded, Covered::All)),
            Judged::Unknown(why) => {
                return (Vec::new(), none(Outcome::Unknown, Covered::Stopped(why)));
            }
            Judged::IllFormed => {
                let why = "the text without notifications has no meaning".to_owned();
                return (Vec::new(), none(Outcome::Unknown, Covered::Stopped(why)));
            }
        };
        let judge = |set: &[usize], asked| {
            let edits = self.edits(set);
            jury.judge(&|program| self.reader.read(program, self.silent, &edits), asked)
        };
        let codes = |broken: &[Broken]| broken.iter().map(|b| b.code).collect::<Vec<_>>();
        if self.spots.is_empty() {
            let why = "no function of the path names an address that could be told".to_owned();
            return (broken, none(Outcome::Unknown, Covered::Stopped(why)));
        }
        let everywhere = judge(&self.all(), Asked::First);
        if let Judged::Broken(still) = &everywhere {
            // What breaks only with notifications was not there before: more of
            // them do more.
            let new = codes(still).into_iter().any(|code| !codes(&broken).contains(&code));
            monotone &= !new;
            if monotone {
                return (broken, none(Outcome::Impossible(still.clone()), Covered::All));
            }
        }
        monotone &= !matches!(everywhere, Judged::IllFormed);
        let said = |set: &[usize]| {
            self.tried.fetch_add(1, Ordering::Relaxed);
            let edits = self.edits(set);
            let edit = |program: &Program| self.reader.read(program, self.silent, &edits);
            match jury.holds(&edit) {
                Ok(true) => Said::Right,
                Ok(false) => Said::Wrong,
                Err(why) => Said::Open(why),
            }
        };
        let search =
            Search { costs, judge: &said, monotone, size: SIZE, wanted, late: &late, found };
        let (sets, covered) = search.run();
        if !sets.is_empty() {
            return (broken, Place::Sets(sets, covered));
        }
        let place = match (everywhere, covered) {
            // Larger sets were not tried: all together, and then with fewer.
            (Judged::Clean, covered @ Covered::UpTo(_)) => {
                let mut set = self.all();
                // Whoever could not go at first may be able to later.
                while let Some(less) = set.iter().find_map(|at| {
                    let less: Vec<usize> = set.iter().copied().filter(|own| own != at).collect();
                    (said(&less) == Said::Right).then_some(less)
                }) {
                    set = less;
                }
                let covered = match late() {
                    Some(why) => Covered::Stopped(format!("{why} before it was made minimal")),
                    None => covered,
                };
                Place::Sets(vec![set], covered)
            }
            (Judged::Broken(still), Covered::All) => none(Outcome::Impossible(still), Covered::All),
            (_, covered) => none(Outcome::Unknown, covered),
        };
        (broken, place)
    }
}

/// A place for a reader, in the text as it was.
fn shown(program: &Program, gone: &[Edit], spot: &Spot) -> answer::Spot {
    let (span, is_end, closes) = match spot.stands {
        Stands::Gap(gap) => (gap.before, false, gap.closes),
        Stands::End(span) => (span, true, false),
    };
    let inside: Vec<Edit> = gone.iter().filter(|edit| edit.file == span.file).cloned().collect();
    let back = |at: u32| text::before(&inside, at as usize) as u32;
    let span = shootdown_litmus::Span { start: back(span.start), end: back(span.end), ..span };
    answer::Spot {
        what: spot.call.clone(),
        function: program.functions[spot.function.index()].name.to_string(),
        place: place_in(program, span),
        is_end,
        closes,
        locked: spot.locked,
        whole: spot.whole,
    }
}

/// The changed files, read again and put to all tests again.
fn patched(
    program: &Program,
    reader: &Reader<'_>,
    edits: &[Edit],
    cases: &Cases<'_>,
) -> Result<Patch, Unplaced> {
    let mut list = Vec::new();
    for file in files(edits) {
        let inside: Vec<Edit> = edits.iter().filter(|edit| edit.file == file).cloned().collect();
        let old = program.files.file(file).map_or("", |file| &*file.text);
        let new = text::applied(old, &inside);
        if new != old {
            let name = program.files.name(file).to_owned();
            list.push(Changed { name, old: old.to_owned(), new });
        }
    }
    let (text, sources) = reader.changed(program, program, edits);
    let name = program.files.name(program.header.span.file);
    let changed = match reader.request.read(name, &text, &sources, &program.variant) {
        Ok(changed) => changed,
        Err(why) => return Ok(Patch::Refused(format!("it is no right text: {why}"))),
    };
    let jury = Jury::new(cases(&changed, &sources).map_err(Unplaced::Cases)?, reader.request)?;
    Ok(match jury.base() {
        Judged::Clean if list.is_empty() => Patch::Same,
        Judged::Clean => Patch::Verified { files: list, tests: jury.len() },
        Judged::Broken(broken) => {
            let codes: Vec<&str> = broken.iter().map(|broken| broken.code).collect();
            Patch::Refused(format!("the changed text breaks {}", codes.join(", ")))
        }
        Judged::Unknown(why) => Patch::Open(why),
        Judged::IllFormed => Patch::Refused("the changed text has no meaning".to_owned()),
    })
}
