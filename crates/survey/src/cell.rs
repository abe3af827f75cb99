//! One path on one machine: when the secondary TLBs have to be told.

use std::sync::Arc;

use shootdown_answers::check::{Refused, prepare};
use shootdown_answers::explain::answer::Broken;
use shootdown_answers::explain::only_takes_away;
use shootdown_answers::explain::telling::{Where, tellings};
use shootdown_answers::jury::{Asked, Judged, Jury};
use shootdown_answers::request::Request;
use shootdown_answers::verdict::Violation;
use shootdown_clients::Bound;
use shootdown_litmus::Sources;
use shootdown_litmus::primitives::Action;
use shootdown_litmus::program::OpKind;

use crate::path::Path;

/// Ways to tell the secondary TLBs, the laxest first; the last is the kernel's
/// own. Names are values of the dial `tells`.
pub const WAYS: [&str; 5] = ["never", "range_end", "flush", "change", "kernel"];

/// The callback that the ways to tell are about, in both eras.
const TOLD: [&str; 2] = ["invalidate_range", "arch_invalidate_secondary_tlbs"];

/// What was found for one way to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// No client up to the bound breaks it.
    Clean,
    /// These obligations break, each with the smallest client that shows it.
    Broken(Vec<Shown>),
    /// The path has no such place.
    NotApplicable,
    /// A search stopped; says why.
    Unknown(String),
}

/// An obligation that breaks, and who shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The obligation.
    pub code: &'static str,
    /// The client, a line for each of its threads.
    pub client: Option<Arc<str>>,
    /// How.
    pub violation: Violation,
}

/// When the secondary TLBs have to be told at the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Need {
    /// Nobody has to be told.
    NotAtAll,
    /// It may wait until range_end.
    RangeEnd,
    /// With the flush of the CPUs, outside of the lock.
    Flush,
    /// Under the page table lock.
    UnderLock,
    /// None of the ways is right.
    Impossible,
    /// Nobody is told by `invalidate_range`: who fills by himself asks for the
    /// start and the end of ranges, and these are not taken away here.
    Ranges,
}

impl Need {
    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Need::NotAtAll => "not at all",
            Need::RangeEnd => "at range_end",
            Need::Flush => "with the flush",
            Need::UnderLock => "under the lock",
            Need::Impossible => "no way is right",
            Need::Ranges => "start and end",
        }
    }
}

/// What is said of the kernel's own choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Choice {
    /// As strict as it has to be.
    Right,
    /// A laxer way would do.
    Stricter,
    /// It tells twice, and one of the two would do.
    Twice,
    /// Something breaks.
    TooWeak,
    /// Nothing breaks, and no other way was asked.
    Holds,
    /// A search stopped.
    Unknown,
}

impl Choice {
    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Choice::Right => "right",
            Choice::Stricter => "stricter than needed",
            Choice::Twice => "told twice",
            Choice::TooWeak => "too weak",
            Choice::Holds => "clean",
            Choice::Unknown => "unknown",
        }
    }
}

/// One path on one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// For each of [`WAYS`].
    pub found: [Found; 5],
    /// When they have to be told at the latest; `None` if a search stopped.
    pub need: Option<Need>,
    /// The obligations that demand it: what breaks under the next laxer way.
    pub because: Vec<&'static str>,
    /// Where the kernel tells, each once, the laxest first.
    pub own: Vec<Where>,
    /// What is said of that.
    pub choice: Choice,
    /// Clients up to the bound.
    pub clients: usize,
    /// Programs that were explored, and their states.
    pub explorations: u64,
    /// States of all of them.
    pub states: u64,
}

/// Asks for one path on one machine and kernel.
///
/// # Errors
///
/// Why the path does not fit the machine or the kernel, or is not covered.
pub fn cell(
    name: &str,
    text: &str,
    sources: &(dyn Sources + Sync),
    request: &Request,
    bound: &Bound,
) -> Result<Cell, String> {
    let path = Path::read(name, text, sources, request, bound)?;
    let refused = |refused: Refused| match refused {
        Refused::Input(error) => error.to_string(),
        Refused::NotCovered { why, .. } => format!("not covered: {why}"),
    };
    let subject = prepare(path.program.clone(), request).map_err(refused)?;
    let has_ranges = path.program.functions.iter().flat_map(|f| &f.body.ops).any(|op| {
        matches!(&op.kind, OpKind::Primitive { primitive, .. }
            if matches!(primitive.action, Action::Notify(_)))
    });
    let told =
        path.program.subscriptions.iter().any(|subscription| {
            subscription.callbacks.iter().any(|(name, _)| TOLD.contains(&&**name))
        });
    let thread = path.program.threads.iter().find(|thread| thread.body.ops.len() > 1);
    let dials = subject.setting.dials();
    let mut own: Vec<Where> =
        thread.map_or(Vec::new(), |thread| tellings(&path.program, dials, thread));
    own.sort_unstable();
    own.dedup();
    // With what a path does when flushes tell: where its flushes stand.
    let flushing = shootdown_answers::explain::telling::flushing(dials);
    let mut flushes: Vec<Where> =
        thread.map_or(Vec::new(), |thread| tellings(&path.program, flushing, thread));
    flushes.sort_unstable();
    flushes.dedup();

    let mut kept: Option<Vec<usize>> = None;
    let (mut explorations, mut states) = (0, 0);
    let mut found: [Found; 5] = std::array::from_fn(|_| Found::NotApplicable);
    for (at, way) in WAYS.iter().enumerate() {
        if *way == "range_end" && !has_ranges || !told && *way != "kernel" {
            continue;
        }
        let mut request = request.clone();
        request.params.push(("tells".to_owned(), (*way).to_owned()));
        let cases = path.cases(sources, &request, kept.as_deref())?;
        let jury = Jury::new(cases, &request).map_err(refused)?;
        let same = |program: &_| Some(shootdown_litmus::Program::clone(program));
        let judged = match at {
            0 if only_takes_away(&path.program) => {
                let judged = jury.narrow(&same);
                kept = Some(jury.order());
                judged
            }
            _ => jury.judge(&same, Asked::All),
        };
        let refused = jury.refused();
        let (programs, visited) = jury.work();
        explorations += programs;
        states += visited;
        found[at] = match judged {
            // Of a client that nothing is known of nothing is said.
            Judged::Clean if refused > 0 => {
                Found::Unknown(format!("{refused} of the clients are not covered"))
            }
            Judged::Clean => Found::Clean,
            Judged::IllFormed => Found::Unknown("not covered for every client".to_owned()),
            Judged::Unknown(why) => Found::Unknown(why),
            Judged::Broken(list) => Found::Broken(list.into_iter().map(shown).collect()),
        };
    }
    if !told {
        own.clear();
    }
    let need = if told { need(&found, &flushes) } else { Some(Need::Ranges) };
    let because = because(&found);
    let choice = choice(&found, need, &own, &flushes);
    Ok(Cell { found, need, because, own, choice, clients: path.count(), explorations, states })
}

fn shown(broken: Broken) -> Shown {
    Shown { code: broken.code, client: broken.client, violation: broken.violation }
}

/// The laxest way that is right.
fn need(found: &[Found; 5], flushes: &[Where]) -> Option<Need> {
    let ways = [
        Need::NotAtAll,
        Need::RangeEnd,
        // Of several flushes it is not known which one had to tell.
        if flushes == [Where::UnderLock] { Need::UnderLock } else { Need::Flush },
        Need::UnderLock,
    ];
    for (found, need) in found.iter().zip(ways) {
        match found {
            Found::Clean => return Some(need),
            Found::Unknown(_) => return None,
            Found::Broken(_) | Found::NotApplicable => {}
        }
    }
    Some(Need::Impossible)
}

/// What breaks under the strictest way that is not right.
fn because(found: &[Found; 5]) -> Vec<&'static str> {
    let mut last: Vec<&'static str> = Vec::new();
    for found in &found[..4] {
        match found {
            Found::Broken(list) => last = list.iter().map(|shown| shown.code).collect(),
            Found::Clean => break,
            _ => {}
        }
    }
    last
}

/// The kernel's own choice against what is needed. Outside of the lock there is no
/// stricter and laxer: a gather's flush comes behind the end of its range.
fn choice(found: &[Found; 5], need: Option<Need>, own: &[Where], flushes: &[Where]) -> Choice {
    let need = match (&found[4], need) {
        (Found::Broken(_), _) => return Choice::TooWeak,
        (Found::Unknown(_), _) | (_, None) => return Choice::Unknown,
        (_, Some(need)) => need,
    };
    let twice = own.len() > 1 && own.contains(&Where::RangeEnd);
    let under_lock = own.contains(&Where::UnderLock);
    match need {
        Need::Ranges => Choice::Holds,
        Need::NotAtAll if !own.is_empty() => Choice::Stricter,
        _ if twice => Choice::Twice,
        Need::RangeEnd if under_lock => Choice::Stricter,
        Need::Flush if under_lock && !flushes.contains(&Where::UnderLock) => Choice::Stricter,
        _ => Choice::Right,
    }
}
