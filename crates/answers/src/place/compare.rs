//! Two versions of a path: the same verdicts, and what one of them saves?

use shootdown_litmus::Program;

use super::silent::scope;
use crate::check::{CODES, Refused, file_name, params, place, prepare};
use crate::explain::answer::{Broken, Cost};
use crate::explain::count;
use crate::explain::parts::Owner;
use crate::jury::{Case, Judged, Jury};
use crate::request::Request;
use crate::timeline::Place;

/// One version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The test's name.
    pub test: String,
    /// The file, as it was named.
    pub file: String,
    /// `base`, or the switches that are on.
    pub variant: String,
    /// Parameters of the machine with the values that were used, all of them.
    pub params: Vec<(String, String)>,
    /// Each code that is known, in the order of reports.
    pub verdicts: Vec<(&'static str, Held)>,
    /// What is broken, with the runs to it.
    pub broken: Vec<Broken>,
    /// A search stopped; says why.
    pub stopped: Option<String>,
    /// The functions that threads run and that flush or tell.
    pub paths: Vec<PathCost>,
    /// How many tests it was put to.
    pub tests: usize,
}

/// What holds of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Held {
    /// It was put to the test, and holds.
    Clean,
    /// It is broken.
    Broken,
    /// It was not put to the test, or has no answer.
    Silent,
    /// A search stopped before it could be said.
    Unknown,
}

/// What one run of a function costs, with what it calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathCost {
    /// Its name.
    pub function: String,
    /// Where.
    pub place: Option<Place>,
    /// What it costs.
    pub cost: Cost,
}

/// Two versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// The first and the second.
    pub versions: [Version; 2],
}

impl Compared {
    /// The codes of which not the same is true.
    pub fn differ(&self) -> Vec<&'static str> {
        let [first, second] = &self.versions;
        let both = first.verdicts.iter().zip(&second.verdicts);
        both.filter(|(left, right)| left.1 != right.1).map(|(left, _)| left.0).collect()
    }

    /// Whether one of them was not answered completely.
    pub fn is_open(&self) -> bool {
        let silent = |version: &Version| {
            version.verdicts.iter().all(|(_, held)| matches!(held, Held::Silent | Held::Unknown))
        };
        self.versions.iter().any(|version| version.stopped.is_some() || silent(version))
    }
}

/// Compares two versions, each with its tests: the first of those is the one that
/// names and costs are taken from.
///
/// # Errors
///
/// What the checker has no meaning for.
pub fn compare(
    first: Vec<Case>,
    second: Vec<Case>,
    request: &Request,
) -> Result<Compared, Refused> {
    let request = Request { guards: false, progress: None, ..request.clone() };
    Ok(Compared { versions: [version(first, &request)?, version(second, &request)?] })
}

fn version(cases: Vec<Case>, request: &Request) -> Result<Version, Refused> {
    let jury = Jury::new(cases, request)?;
    let program = jury.first().clone();
    let subject = prepare(program.clone(), request)?;
    let (broken, stopped) = match jury.base() {
        Judged::Broken(broken) => (broken, None),
        Judged::Unknown(why) => (Vec::new(), Some(why)),
        Judged::Clean | Judged::IllFormed => (Vec::new(), None),
    };
    let (exercised, _) = jury.exercised();
    let held = |code: &'static str| {
        let held = if broken.iter().any(|broken| broken.code == code) {
            Held::Broken
        } else if stopped.is_some() {
            Held::Unknown
        } else if exercised.contains(&code) {
            Held::Clean
        } else {
            Held::Silent
        };
        (code, held)
    };
    Ok(Version {
        test: program.header.name.to_string(),
        file: file_name(&program),
        variant: program.variant.to_string(),
        params: params(&subject),
        verdicts: CODES.into_iter().map(held).collect(),
        paths: paths(&program, &subject.lowered),
        tests: jury.len(),
        broken,
        stopped,
    })
}

fn paths(program: &Program, lowered: &shootdown_step::Lowered) -> Vec<PathCost> {
    let mut list = Vec::new();
    for id in scope(program, None) {
        let Some(cost) = count::cost(lowered, Owner::Function(id)) else { continue };
        let costs = [cost.flushes, cost.posted, cost.waits];
        if costs.iter().any(|range| range.most > 0) {
            let function = &program.functions[id.index()];
            let (name, place) = (function.name.to_string(), place(program, function.span));
            list.push(PathCost { function: name, place, cost });
        }
    }
    list
}
