//! Where notifications may stand, as text and as JSON; two versions of a path
//! beside each other.
//!
//! Each place begins a line with its file and line, as a compiler's message
//! does. The best placement follows as a patch that `patch -p1` takes.

mod report;

pub use report::{SCHEMA, SCHEMA_OF_VERSIONS, text as json, versions as json_of_versions};

use shootdown_answers::explain::answer::{Broken, Cost};
use shootdown_answers::place::answer::{Changed, Covered, Outcome, Patch, Placed, Placement, Spot};
use shootdown_answers::place::compare::{Compared, Held, Version};

use super::Form;
use super::explain::{broken_in, runs, said_cost};
use super::paint::Paint;
use super::say::place;
use super::text::{count, one_line};

/// The keys of the lines below a place are padded to this.
const KEY: usize = 12;

/// The whole answer for one variant of one file; with a form also the shortest
/// run to what breaks.
pub fn text(placed: &Placed, form: Option<Form>, width: usize, paint: Paint) -> String {
    let mut out = String::new();
    let title = format!("Place {} ({})", one_line(&placed.test), one_line(&placed.variant));
    out.push_str(&format!("{}\n\n", paint.strong(&title)));
    match &placed.outcome {
        Outcome::NotNeeded => {
            out.push_str("No notification is needed: nothing breaks in silence.\n")
        }
        Outcome::Unknown => out.push_str("No placement was found, and not all was covered.\n"),
        Outcome::Impossible(broken) => {
            out.push_str(&paint.bad(&impossible(placed, broken)));
            out.push('\n');
        }
        Outcome::Found(list) => {
            for (at, placement) in list.iter().enumerate() {
                add_placement(&mut out, at + 1, placement, paint);
            }
        }
    }
    if let Some(form) = form {
        match &placed.outcome {
            Outcome::Impossible(broken) => {
                runs(&mut out, broken, "with all of them", form, width, paint);
            }
            _ => runs(&mut out, &placed.silent, "in silence", form, width, paint),
        }
    }
    add_patch(&mut out, &placed.patch, paint);
    out.push('\n');
    add_foot(&mut out, placed, paint);
    out
}

/// `Impossible: with all 17 places telling still FREE at put_page (line 24)`
fn impossible(placed: &Placed, broken: &[Broken]) -> String {
    format!(
        "Impossible: with a notification in {} still {}",
        match placed.places {
            0 => "no place, since none is known,".to_owned(),
            1 => "the only place".to_owned(),
            places => format!("all {places} places"),
        },
        broken_in(broken, &placed.file)
    )
}

fn add(out: &mut String, key: &str, what: &str) {
    out.push_str(format!("    {key:<KEY$} {what}").trim_end());
    out.push('\n');
}

fn add_placement(out: &mut String, number: usize, placement: &Placement, paint: Paint) {
    for (at, spot) in placement.spots.iter().enumerate() {
        let head = match placement.spots.len() {
            1 => format!("placement {number}"),
            all => format!("placement {number}, {} of {all}", at + 1),
        };
        let line = spot.place.as_ref().map_or(String::new(), |at| format!("{}: ", place(at)));
        let head = if number == 1 { paint.good(&head) } else { head };
        let (what, function) = (one_line(&spot.what), one_line(&spot.function));
        out.push_str(&format!("{line}{head}: {what}, in {function}\n"));
        add(out, "stands", &stands(spot));
        add(out, "lock", if spot.locked { "under the lock: yes" } else { "under the lock: no" });
        add(out, "tells", if spot.whole { "the range" } else { "one entry" });
    }
    add(out, "cost", &placement.cost.to_string());
}

fn stands(spot: &Spot) -> String {
    let text = spot.place.as_ref().map_or("", |place| &place.text);
    if spot.is_end {
        return "in the place of the call that tells nobody".to_owned();
    }
    match spot.closes {
        true => "before the end of the block".to_owned(),
        false => format!("before {}", one_line(text)),
    }
}

/// One file's change in the unified form.
pub fn diff(changed: &Changed) -> String {
    let mut options = diffy::DiffOptions::new();
    options.set_original_filename(format!("a/{}", changed.name));
    options.set_modified_filename(format!("b/{}", changed.name));
    options.create_patch(&changed.old, &changed.new).to_string()
}

fn add_patch(out: &mut String, patch: &Patch, paint: Paint) {
    match patch {
        Patch::None => {}
        Patch::Same => out.push_str("\nThe file has the first one already.\n"),
        Patch::Verified { files, .. } => {
            out.push('\n');
            files.iter().for_each(|file| out.push_str(&diff(file)));
        }
        Patch::Open(why) => {
            let why = format!("no patch: it was not put to all tests again: {}", one_line(why));
            out.push_str(&format!("\n{}\n", paint.open(&why)));
        }
        Patch::Refused(why) => {
            let why = format!("no patch: it was put to the tests again, and {}", one_line(why));
            out.push_str(&format!("\n{}\n", paint.bad(&why)));
        }
    }
}

fn add_foot(out: &mut String, placed: &Placed, paint: Paint) {
    let mut line = |key: &str, what: &str| out.push_str(&format!("{key:<8} {what}\n"));
    for forgotten in &placed.forgotten {
        let at = forgotten.place.as_ref().map_or(String::new(), |at| format!(" ({})", place(at)));
        line("forgot", &format!("{}{at}", forgotten.what));
    }
    if placed.flush_is_silent {
        line("forgot", "what flushes tell beside the CPUs, by tells=calls");
    }
    if !placed.silent.is_empty() {
        line("silent", &broken_in(&placed.silent, &placed.file));
    } else if matches!(placed.outcome, Outcome::NotNeeded) {
        let held = match placed.exercised.is_empty() {
            true => paint.open("nothing was put to the test"),
            false => format!("clean: {}", placed.exercised.join(", ")),
        };
        line("silent", &held);
        if !placed.not_exercised.is_empty() {
            line("", &format!("not put to the test: {}", placed.not_exercised.join(", ")));
        }
    }
    let functions = match placed.functions.is_empty() {
        true => "no function that changes a table, with an address that it looked up".to_owned(),
        false => placed.functions.join(", "),
    };
    line("places", &format!("{} in {functions}", placed.places));
    line("covered", &covered(placed, paint));
    let (posts, waits) = placed.price;
    let work = format!(
        "each posts {} and waits {} on this machine",
        count(posts.into(), "invalidation"),
        times(waits)
    );
    line("cost", &format!("{work}; {}", placed.weights));
    match &placed.patch {
        Patch::Verified { tests, .. } => {
            line("patch", &format!("read again, and clean in {}", count(*tests as u64, "test")));
        }
        Patch::Same => line("patch", "none; the file as it stands is clean"),
        Patch::None | Patch::Open(_) | Patch::Refused(_) => {}
    }
    match &placed.clients {
        None => line(
            "note",
            "this speaks of the threads of this test; --clients puts others around the path",
        ),
        Some(clients) => {
            let refused = match clients.refused {
                0 => String::new(),
                some => format!(", {some} more not covered"),
            };
            let asked = format!("; {} of them can tell placements apart", clients.asked);
            line(
                "clients",
                &format!("all {} up to {}{refused}{asked}", clients.all, clients.bound),
            );
        }
    }
    line("model", &placed.model);
    if !placed.params.is_empty() {
        let params = placed.params.iter().map(|(name, value)| format!("{name}={value}"));
        line("machine", &one_line(&params.collect::<Vec<_>>().join(" ")));
    }
    let work = &placed.work;
    let searched =
        format!("{}, {}", count(work.explorations, "program"), count(work.states, "state"));
    line("search", &searched);
    for note in &placed.notes {
        line("note", &one_line(note));
    }
}

fn times(n: u32) -> String {
    match n {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        n => format!("{n} times"),
    }
}

fn covered(placed: &Placed, paint: Paint) -> String {
    let found = matches!(placed.outcome, Outcome::Found(_));
    match &placed.covered {
        Covered::All if found => {
            "every set of these places: no other minimal one is right".to_owned()
        }
        Covered::All => "every set of these places".to_owned(),
        Covered::Cheapest => {
            paint.open("the cheapest ones; others that cost as much or more were not looked for")
        }
        Covered::UpTo(size) => paint.open(&format!(
            "sets of at most {size} places, since subscribers do more than to forget here"
        )),
        Covered::Stopped(why) => paint.open(&one_line(why)),
    }
}

/// Two versions of a path: verdict by verdict, and what each costs.
pub fn versions(compared: &Compared, form: Option<Form>, width: usize, paint: Paint) -> String {
    let [first, second] = &compared.versions;
    let mut out = String::new();
    let title = format!("Compare A {} with B {}", called(first), called(second));
    out.push_str(&format!("{}\n\n", paint.strong(&title)));
    let both = first.verdicts.iter().zip(&second.verdicts);
    let quiet = |held: Held| held == Held::Silent;
    for ((code, left), (_, right)) in both.filter(|(l, r)| !(quiet(l.1) && quiet(r.1))) {
        let said = match left == right {
            true => format!("the same: {}", held(*left)),
            false => paint.bad(&format!("A {}, B {}", held(*left), held(*right))),
        };
        out.push_str(&format!("{code:<8} {said}\n"));
    }
    for (name, version) in [("A", first), ("B", second)] {
        if !version.broken.is_empty() {
            let broken = broken_in(&version.broken, &version.file);
            out.push_str(&format!("{:<8} {broken}\n", format!("broken {name}")));
        }
        if let Some(why) = &version.stopped {
            out.push_str(&format!("{:<8} {}\n", format!("limit {name}"), paint.open(why)));
        }
    }
    out.push('\n');
    for function in functions(compared) {
        let costs = compared.versions.each_ref().map(|version| cost(version, function));
        out.push_str(&format!("{}\n", paint.strong(&one_line(function))));
        for (name, cost) in ["A", "B"].into_iter().zip(costs) {
            add(&mut out, name, &cost.as_ref().map_or("nobody runs it".to_owned(), said_cost));
        }
        if let [Some(left), Some(right)] = costs {
            add(&mut out, "B saves", &saved(&left, &right));
        }
    }
    if let Some(form) = form {
        for (name, version) in [("in A", first), ("in B", second)] {
            runs(&mut out, &version.broken, name, form, width, paint);
        }
    }
    out.push_str(&format!(
        "\n{:<8} {}, {}\n",
        "tests",
        count(first.tests as u64, "test of A").replace("test of As", "tests of A"),
        count(second.tests as u64, "test of B").replace("test of Bs", "tests of B"),
    ));
    out
}

fn called(version: &Version) -> String {
    format!("{} ({})", one_line(&version.test), one_line(&version.variant))
}

fn held(held: Held) -> &'static str {
    match held {
        Held::Clean => "clean",
        Held::Broken => "violated",
        Held::Silent => "not put to the test",
        Held::Unknown => "unknown",
    }
}

/// The functions of both, those of the first one first.
fn functions(compared: &Compared) -> Vec<&str> {
    let mut list: Vec<&str> = Vec::new();
    for path in compared.versions.iter().flat_map(|version| &version.paths) {
        if !list.contains(&&*path.function) {
            list.push(&path.function);
        }
    }
    list
}

fn cost(version: &Version, function: &str) -> Option<Cost> {
    version.paths.iter().find(|path| path.function == function).map(|path| path.cost)
}

/// What the second costs less than the first, on the dearest way through each.
fn saved(first: &Cost, second: &Cost) -> String {
    let parts = [
        ("CPU flush", "CPU flushes", first.flushes.most, second.flushes.most),
        ("invalidation", "invalidations", first.posted.most, second.posted.most),
        ("wait", "waits", first.waits.most, second.waits.most),
    ];
    let said: Vec<String> = parts
        .into_iter()
        .filter(|(_, _, left, right)| left != right)
        .map(|(one, many, left, right)| {
            let by = left.abs_diff(right);
            let what = if by == 1 { one } else { many };
            match left > right {
                true => format!("{by} {what}"),
                false => format!("minus {by} {what}, which it adds"),
            }
        })
        .collect();
    match said.is_empty() {
        true => "nothing".to_owned(),
        false => said.join(", "),
    }
}
