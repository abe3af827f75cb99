//! What each notification and each flush is for, for programs.
//!
//! As with the other forms the names may not change without a new version;
//! fields may be added.

use std::collections::BTreeMap;

use serde::Serialize;
use shootdown_answers::explain::answer::{
    Answer, Base, Bound, Broken, Case, Cost, Explained, Interval, Lock, Path, Range, Step, Tells,
    Twin, Why, case,
};

use crate::draw::json;

/// Version of the JSON form.
pub const SCHEMA: &str = "shootdown.explain/1";

/// All answers of one run of the program.
#[derive(Debug, Serialize)]
struct Report<'e> {
    schema: &'static str,
    tests: Vec<Test<'e>>,
}

#[derive(Debug, Serialize)]
struct Test<'e> {
    test: &'e str,
    file: &'e str,
    variant: &'e str,
    model: &'e str,
    params: BTreeMap<&'e str, &'e str>,
    /// `clean`, `violated`, `unknown`.
    base: &'static str,
    clean: &'e [&'static str],
    not_exercised: &'e [&'static str],
    violated: Vec<JsonBroken<'e>>,
    paths: Vec<JsonPath<'e>>,
    /// The bound up to which all clients were put around the path, and how many
    /// those are; `null` for the test's own threads.
    bound: Option<&'e str>,
    clients: Option<usize>,
    explorations: u64,
    states: u64,
    /// The only field that differs from run to run.
    seconds: f64,
    notes: &'e [String],
}

#[derive(Debug, Serialize)]
struct JsonPath<'e> {
    function: &'e str,
    place: Option<json::Place>,
    cost: Option<JsonCost>,
    steps: Vec<JsonStep<'e>>,
}

#[derive(Debug, Serialize)]
pub(in crate::draw) struct JsonCost {
    cpu_flushes: [u32; 2],
    posted: [u32; 2],
    waits: [u32; 2],
    loops: bool,
}

#[derive(Debug, Serialize)]
struct JsonStep<'e> {
    what: &'e str,
    /// `cpus`, `secondary`, `both`.
    tells: &'static str,
    place: Option<json::Place>,
    /// `required_here`, `may_wait`, `redundant`, `unknown`, `left_out`.
    answer: &'static str,
    /// Why it is unknown or left out.
    why: Option<&'e str>,
    /// `A`, `B`, `both`, `neither`; `null` if nothing breaks.
    case: Option<&'static str>,
    without: Vec<JsonBroken<'e>>,
    interval: Option<JsonInterval<'e>>,
    twins: Vec<JsonTwin<'e>>,
}

#[derive(Debug, Serialize)]
pub(in crate::draw) struct JsonBroken<'e> {
    code: String,
    why: &'e str,
    steps: Vec<JsonBreaking<'e>>,
    /// The threads around the path that show it, if they were generated.
    client: Option<&'e str>,
    timeline: json::Timeline,
}

#[derive(Debug, Serialize)]
struct JsonBreaking<'e> {
    name: &'e str,
    place: Option<json::Place>,
}

#[derive(Debug, Serialize)]
struct JsonInterval<'e> {
    after: JsonBound<'e>,
    before: JsonBound<'e>,
    /// `yes`, `no`, `either`, `none`.
    under_lock: &'static str,
}

#[derive(Debug, Serialize)]
struct JsonBound<'e> {
    name: Option<&'e str>,
    place: Option<json::Place>,
    /// The notification is a part of this step.
    inside: bool,
    /// `breaks`, `ends`, `arguments`, `unknown`, `not_tried`.
    beyond: &'static str,
    breaks: Vec<String>,
}

#[derive(Debug, Serialize)]
struct JsonTwin<'e> {
    what: &'e str,
    function: &'e str,
    place: Option<json::Place>,
    without_both: Vec<String>,
    unknown: Option<&'e str>,
}

/// The answers in the versioned form.
///
/// # Errors
///
/// Those of the serializer.
pub fn text(all: &[Explained]) -> serde_json::Result<String> {
    serde_json::to_string_pretty(&Report { schema: SCHEMA, tests: all.iter().map(test).collect() })
}

fn test(explained: &Explained) -> Test<'_> {
    let (base, clean, not_exercised, violated): (_, &[&str], &[&str], &[Broken]) =
        match &explained.base {
            Base::Clean { clean, silent } => ("clean", clean, silent, &[]),
            Base::Violated(broken) => ("violated", &[], &[], broken),
            Base::Unknown(_) => ("unknown", &[], &[], &[]),
        };
    Test {
        test: &explained.test,
        file: &explained.file,
        variant: &explained.variant,
        model: &explained.model,
        params: explained.params.iter().map(|(name, value)| (&**name, &**value)).collect(),
        base,
        clean,
        not_exercised,
        violated: violated.iter().map(json_broken).collect(),
        paths: explained.paths.iter().map(json_path).collect(),
        bound: explained.clients.as_ref().map(|clients| &*clients.bound),
        clients: explained.clients.as_ref().map(|clients| clients.all),
        explorations: explained.work.explorations,
        states: explained.work.states,
        seconds: explained.work.time.as_secs_f64(),
        notes: &explained.notes,
    }
}

pub(in crate::draw) fn json_cost(cost: Cost) -> JsonCost {
    let range = |range: Range| [range.least, range.most];
    JsonCost {
        cpu_flushes: range(cost.flushes),
        posted: range(cost.posted),
        waits: range(cost.waits),
        loops: cost.loops,
    }
}

fn json_path(path: &Path) -> JsonPath<'_> {
    JsonPath {
        function: &path.function,
        place: path.place.as_ref().map(json::place),
        cost: path.cost.map(json_cost),
        steps: path.steps.iter().map(json_step).collect(),
    }
}

fn json_step(step: &Step) -> JsonStep<'_> {
    let (answer, why, without, interval, twins): (_, _, &[Broken], _, &[Twin]) = match &step.answer
    {
        Answer::Required { without, interval } => {
            ("required_here", None, without, Some(interval), &[])
        }
        Answer::MayWait { without, interval } => ("may_wait", None, without, Some(interval), &[]),
        Answer::Redundant { twins } => ("redundant", None, &[], None, twins),
        Answer::Unknown(why) => ("unknown", Some(&**why), &[], None, &[]),
        Answer::LeftOut(why) => ("left_out", Some(&**why), &[], None, &[]),
    };
    JsonStep {
        what: &step.what,
        tells: match step.tells {
            Tells::Cpus => "cpus",
            Tells::Secondary => "secondary",
            Tells::Both => "both",
        },
        place: step.place.as_ref().map(json::place),
        answer,
        why,
        case: (!without.is_empty()).then(|| match case(without) {
            Case::A => "A",
            Case::B => "B",
            Case::Both => "both",
            Case::Neither => "neither",
        }),
        without: without.iter().map(json_broken).collect(),
        interval: interval.map(json_interval),
        twins: twins.iter().map(json_twin).collect(),
    }
}

pub(in crate::draw) fn json_broken(broken: &Broken) -> JsonBroken<'_> {
    let steps = broken.violation.steps.iter();
    JsonBroken {
        code: broken.code.to_lowercase(),
        why: &broken.violation.why,
        steps: steps
            .map(|step| JsonBreaking {
                name: &step.name,
                place: step.place.as_ref().map(json::place),
            })
            .collect(),
        client: broken.client.as_deref(),
        timeline: json::run(&broken.violation.timeline),
    }
}

fn json_interval(interval: &Interval) -> JsonInterval<'_> {
    JsonInterval {
        after: json_bound(&interval.after),
        before: json_bound(&interval.before),
        under_lock: match interval.lock {
            Lock::Yes => "yes",
            Lock::No => "no",
            Lock::Either => "either",
            Lock::None => "none",
        },
    }
}

fn json_bound(bound: &Bound) -> JsonBound<'_> {
    let (beyond, broken): (_, &[Broken]) = match &bound.why {
        Why::Breaks(broken) => ("breaks", broken),
        Why::Ends => ("ends", &[]),
        Why::Arguments => ("arguments", &[]),
        Why::Unknown(_) => ("unknown", &[]),
        Why::NotTried(_) => ("not_tried", &[]),
    };
    JsonBound {
        name: bound.name.as_deref(),
        place: bound.place.as_ref().map(json::place),
        inside: bound.inside,
        beyond,
        breaks: codes(broken),
    }
}

fn json_twin(twin: &Twin) -> JsonTwin<'_> {
    JsonTwin {
        what: &twin.what,
        function: &twin.function,
        place: twin.place.as_ref().map(json::place),
        without_both: codes(&twin.without),
        unknown: twin.unknown.as_deref(),
    }
}

fn codes(broken: &[Broken]) -> Vec<String> {
    broken.iter().map(|broken| broken.code.to_lowercase()).collect()
}
