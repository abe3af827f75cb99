//! Where notifications may stand, for programs.
//!
//! As with the other forms the names may not change without a new version;
//! fields may be added.

use std::collections::BTreeMap;

use serde::Serialize;
use shootdown_answers::place::answer::{Covered, Outcome, Patch, Placed, Placement, Spot};
use shootdown_answers::place::compare::{Compared, Held, Version};

use super::diff;
use crate::draw::explain::{JsonBroken, JsonCost, json_broken, json_cost};
use crate::draw::json;

/// Version of the JSON form.
pub const SCHEMA: &str = "shootdown.place/1";

/// Version of the JSON form of two versions.
pub const SCHEMA_OF_VERSIONS: &str = "shootdown.versions/1";

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
    forgotten: Vec<JsonForgotten<'e>>,
    flush_is_silent: bool,
    functions: &'e [String],
    places: usize,
    /// What is broken as long as nobody tells.
    silent: Vec<JsonBroken<'e>>,
    exercised: &'e [&'static str],
    not_exercised: &'e [&'static str],
    /// `found`, `not_needed`, `impossible`, `unknown`.
    outcome: &'static str,
    /// What is broken with all places telling.
    impossible: Vec<JsonBroken<'e>>,
    /// The cheapest first.
    placements: Vec<JsonPlacement<'e>>,
    /// `all`, `cheapest`, `up_to`, `stopped`.
    covered: &'static str,
    /// The size of the sets, where only small ones were tried.
    covered_size: Option<usize>,
    /// Why the search stopped.
    stopped: Option<&'e str>,
    posts: u32,
    waits: u32,
    weights: String,
    /// `none`, `same`, `verified`, `refused`.
    patch: &'static str,
    /// In the unified form; empty unless verified.
    diff: String,
    clients: Option<JsonClients<'e>>,
    explorations: u64,
    states: u64,
    /// The only field that differs from run to run.
    seconds: f64,
    notes: &'e [String],
}

#[derive(Debug, Serialize)]
struct JsonForgotten<'e> {
    what: &'e str,
    place: Option<json::Place>,
}

#[derive(Debug, Serialize)]
struct JsonPlacement<'e> {
    cost: u64,
    spots: Vec<JsonSpot<'e>>,
}

#[derive(Debug, Serialize)]
struct JsonSpot<'e> {
    what: &'e str,
    function: &'e str,
    /// What it stands before; of a `range_end`, the call.
    place: Option<json::Place>,
    range_end: bool,
    end_of_block: bool,
    under_lock: bool,
    whole_range: bool,
}

#[derive(Debug, Serialize)]
struct JsonClients<'e> {
    bound: &'e str,
    all: usize,
    refused: usize,
    asked: usize,
}

/// The answers in the versioned form.
///
/// # Errors
///
/// Those of the serializer.
pub fn text(all: &[Placed]) -> serde_json::Result<String> {
    serde_json::to_string_pretty(&Report { schema: SCHEMA, tests: all.iter().map(test).collect() })
}

fn test(placed: &Placed) -> Test<'_> {
    let (outcome, impossible, placements): (_, Vec<_>, Vec<_>) = match &placed.outcome {
        Outcome::Found(list) => ("found", Vec::new(), list.iter().map(placement).collect()),
        Outcome::NotNeeded => ("not_needed", Vec::new(), Vec::new()),
        Outcome::Impossible(broken) => {
            ("impossible", broken.iter().map(json_broken).collect(), Vec::new())
        }
        Outcome::Unknown => ("unknown", Vec::new(), Vec::new()),
    };
    let (covered, covered_size, stopped) = match &placed.covered {
        Covered::All => ("all", None, None),
        Covered::Cheapest => ("cheapest", None, None),
        Covered::UpTo(size) => ("up_to", Some(*size), None),
        Covered::Stopped(why) => ("stopped", None, Some(&**why)),
    };
    let (patch, diff) = match &placed.patch {
        Patch::None => ("none", String::new()),
        Patch::Same => ("same", String::new()),
        Patch::Verified { files, .. } => ("verified", files.iter().map(diff).collect()),
        Patch::Open(_) => ("open", String::new()),
        Patch::Refused(_) => ("refused", String::new()),
    };
    Test {
        test: &placed.test,
        file: &placed.file,
        variant: &placed.variant,
        model: &placed.model,
        params: placed.params.iter().map(|(name, value)| (&**name, &**value)).collect(),
        forgotten: placed
            .forgotten
            .iter()
            .map(|forgotten| JsonForgotten {
                what: &forgotten.what,
                place: forgotten.place.as_ref().map(json::place),
            })
            .collect(),
        flush_is_silent: placed.flush_is_silent,
        functions: &placed.functions,
        places: placed.places,
        silent: placed.silent.iter().map(json_broken).collect(),
        exercised: &placed.exercised,
        not_exercised: &placed.not_exercised,
        outcome,
        impossible,
        placements,
        covered,
        covered_size,
        stopped,
        posts: placed.price.0,
        waits: placed.price.1,
        weights: placed.weights.to_string(),
        patch,
        diff,
        clients: placed.clients.as_ref().map(|clients| JsonClients {
            bound: &clients.bound,
            all: clients.all,
            refused: clients.refused,
            asked: clients.asked,
        }),
        explorations: placed.work.explorations,
        states: placed.work.states,
        seconds: placed.work.time.as_secs_f64(),
        notes: &placed.notes,
    }
}

fn placement(placement: &Placement) -> JsonPlacement<'_> {
    JsonPlacement { cost: placement.cost, spots: placement.spots.iter().map(spot).collect() }
}

fn spot(spot: &Spot) -> JsonSpot<'_> {
    JsonSpot {
        what: &spot.what,
        function: &spot.function,
        place: spot.place.as_ref().map(json::place),
        range_end: spot.is_end,
        end_of_block: spot.closes,
        under_lock: spot.locked,
        whole_range: spot.whole,
    }
}

/// Two versions of a path.
#[derive(Debug, Serialize)]
struct Versions<'e> {
    schema: &'static str,
    same: bool,
    /// The codes of which not the same is true.
    differ: Vec<&'static str>,
    versions: [JsonVersion<'e>; 2],
}

#[derive(Debug, Serialize)]
struct JsonVersion<'e> {
    test: &'e str,
    file: &'e str,
    variant: &'e str,
    params: BTreeMap<&'e str, &'e str>,
    /// By code: `clean`, `violated`, `not_exercised`, `unknown`.
    verdicts: BTreeMap<String, &'static str>,
    violated: Vec<JsonBroken<'e>>,
    stopped: Option<&'e str>,
    paths: Vec<JsonPath<'e>>,
    tests: usize,
}

#[derive(Debug, Serialize)]
struct JsonPath<'e> {
    function: &'e str,
    place: Option<json::Place>,
    cost: JsonCost,
}

/// Two versions in the versioned form.
///
/// # Errors
///
/// Those of the serializer.
pub fn versions(compared: &Compared) -> serde_json::Result<String> {
    let differ = compared.differ();
    serde_json::to_string_pretty(&Versions {
        schema: SCHEMA_OF_VERSIONS,
        same: differ.is_empty(),
        differ,
        versions: compared.versions.each_ref().map(version),
    })
}

fn version(version: &Version) -> JsonVersion<'_> {
    let held = |held: Held| match held {
        Held::Clean => "clean",
        Held::Broken => "violated",
        Held::Silent => "not_exercised",
        Held::Unknown => "unknown",
    };
    let verdicts = version.verdicts.iter();
    JsonVersion {
        test: &version.test,
        file: &version.file,
        variant: &version.variant,
        params: version.params.iter().map(|(name, value)| (&**name, &**value)).collect(),
        verdicts: verdicts.map(|(code, own)| (code.to_lowercase(), held(*own))).collect(),
        violated: version.broken.iter().map(json_broken).collect(),
        stopped: version.stopped.as_deref(),
        paths: version
            .paths
            .iter()
            .map(|path| JsonPath {
                function: &path.function,
                place: path.place.as_ref().map(json::place),
                cost: json_cost(path.cost),
            })
            .collect(),
        tests: version.tests,
    }
}
