//! What each notification and each flush is for, as text and as JSON.
//!
//! Each step begins a line with its file and line, as a compiler's message
//! does, and with the answer: `grep 'required here'` finds all of one kind, and
//! an editor jumps to them. What is said of a step is indented below it.

mod report;

pub(super) use report::{JsonBroken, JsonCost, json_broken, json_cost};
pub use report::{SCHEMA, text as json};

use shootdown_answers::explain::answer::{
    Answer, Base, Bound, Broken, Case, Cost, Explained, Lock, Path, Range, Step, Tells, Twin, Why,
    case,
};
use shootdown_answers::timeline::Place;
use shootdown_answers::verdict::Violation;

use super::paint::Paint;
use super::say::place;
use super::text::{and, count, one_line};
use super::{Form, timeline};

/// The keys of the lines below a step are padded to this.
const KEY: usize = 12;

/// The whole answer for one variant of one file; with a form also the shortest
/// run to what breaks without each step.
pub fn text(explained: &Explained, form: Option<Form>, width: usize, paint: Paint) -> String {
    let mut out = String::new();
    let title = format!("Explain {} ({})", one_line(&explained.test), one_line(&explained.variant));
    out.push_str(&format!("{}\n", paint.strong(&title)));
    for path in &explained.paths {
        let at = path.place.as_ref().map_or(String::new(), |at| format!("{}: ", place(at)));
        out.push_str(&format!("\n{at}{}\n", paint.strong(&one_line(&path.function))));
        if let Some(cost) = &path.cost {
            add(&mut out, "cost", &said_cost(cost));
        }
        for step in &path.steps {
            add_step(&mut out, explained, path, step, paint);
            if let Some(form) = form {
                add_runs(&mut out, step, form, width, paint);
            }
        }
    }
    if explained.paths.is_empty() {
        out.push_str("\nNothing here notifies or flushes.\n");
    }
    out.push('\n');
    add_foot(&mut out, explained, paint);
    out
}

fn add(out: &mut String, key: &str, what: &str) {
    out.push_str(format!("    {key:<KEY$} {what}").trim_end());
    out.push('\n');
}

fn add_step(out: &mut String, explained: &Explained, path: &Path, step: &Step, paint: Paint) {
    let word = match &step.answer {
        Answer::Required { .. } => paint.bad(word(&step.answer)),
        Answer::MayWait { .. } => paint.good(word(&step.answer)),
        _ => paint.open(word(&step.answer)),
    };
    let at = step.place.as_ref().map_or(String::new(), |at| format!("{}: ", place(at)));
    out.push_str(&format!(
        "{at}{word}: {}, in {}\n",
        one_line(&step.what),
        one_line(&path.function)
    ));
    add(out, "tells", tells(step.tells));
    match &step.answer {
        Answer::Required { without, interval } | Answer::MayWait { without, interval } => {
            let broken = breaks(without, explained);
            add(out, "without it", &format!("{broken}: {}", said_case(case(without))));
            add_clients(out, without);
            if without.iter().all(|broken| broken.code == "REST") {
                // A stale entry that no thread here gets to use.
                add(out, "observer", "none: no thread of this test notices, only REST does");
            }
            let (after, before) = (&interval.after, &interval.before);
            let stands = format!("{}, {}", behind(after, explained), ahead(before, explained));
            add(out, "may stand", &stands);
            if let Some(why) = why(&interval.after.why, explained) {
                add(out, "not earlier", &why);
            }
            if let Some(why) = why(&interval.before.why, explained) {
                add(out, "not later", &why);
            }
            add(out, "lock", said_lock(interval.lock));
        }
        Answer::Redundant { twins } => {
            add(out, "without it", "nothing breaks in this test");
            for twin in twins {
                add(out, "twin", &said_twin(twin, explained));
            }
        }
        Answer::Unknown(why) | Answer::LeftOut(why) => add(out, "because", &one_line(why)),
    }
}

/// The smallest client that shows each obligation, each client once.
fn add_clients(out: &mut String, without: &[Broken]) {
    let mut told: Vec<(&str, Vec<&str>)> = Vec::new();
    for broken in without {
        let Some(client) = broken.client.as_deref() else { continue };
        match told.iter_mut().find(|(known, _)| *known == client) {
            Some((_, codes)) => codes.push(broken.code),
            None => told.push((client, vec![broken.code])),
        }
    }
    for (client, codes) in told {
        let shown = format!("{} {}", and(&codes), if codes.len() == 1 { "is" } else { "are" });
        match client.is_empty() {
            true => add(out, "client", &format!("{shown} shown by the path alone")),
            false => {
                add(out, "client", &format!("{shown} shown by"));
                client.lines().for_each(|line| add(out, "", &format!("  {line}")));
            }
        }
    }
}

fn add_runs(out: &mut String, step: &Step, form: Form, width: usize, paint: Paint) {
    if let Answer::Required { without, .. } | Answer::MayWait { without, .. } = &step.answer {
        runs(out, without, "without it", form, width, paint);
    }
}

/// The shortest run to each thing that is broken; what several share once.
pub(super) fn runs(
    out: &mut String,
    broken: &[Broken],
    when: &str,
    form: Form,
    width: usize,
    paint: Paint,
) {
    let mut told: Vec<(&Violation, Vec<&str>)> = Vec::new();
    for broken in broken.iter().filter(|broken| !broken.violation.timeline.rows.is_empty()) {
        match told.iter_mut().find(|(known, _)| known.timeline == broken.violation.timeline) {
            Some((_, codes)) => codes.push(broken.code),
            None => told.push((&broken.violation, vec![broken.code])),
        }
    }
    for (violation, codes) in told {
        let come = if codes.len() == 1 { "comes" } else { "come" };
        let head = format!("How {} {come} about {when}:", and(&codes));
        out.push_str(&format!("\n{}\n\n", paint.strong(&head)));
        out.push_str(&timeline(&violation.timeline, form, width, paint));
        out.push('\n');
    }
}

fn add_foot(out: &mut String, explained: &Explained, paint: Paint) {
    let mut line = |key: &str, what: &str| out.push_str(&format!("{key:<8} {what}\n"));
    match &explained.base {
        Base::Clean { clean, silent } => {
            let held = if clean.is_empty() { "nothing".to_owned() } else { clean.join(", ") };
            line("as is", &format!("clean: {held}"));
            if !silent.is_empty() {
                line("", &format!("not put to the test: {}", silent.join(", ")));
            }
        }
        Base::Violated(broken) => line("as is", &paint.bad(&breaks(broken, explained))),
        Base::Unknown(why) => line("limit", &paint.open(&one_line(why))),
    }
    if matches!(explained.base, Base::Clean { .. }) && !explained.paths.is_empty() {
        line(
            "note",
            match explained.clients {
                None => {
                    "this speaks of the threads of this test; another one may need a step that \
                     these do not"
                }
                Some(_) => {
                    "this holds among these clients; a larger one may need a step that these do not"
                }
            },
        );
    }
    if let Some(clients) = &explained.clients {
        let refused = match clients.refused {
            0 => String::new(),
            refused => format!(", {refused} more not covered"),
        };
        let asked = match clients.asked == clients.all {
            true => String::new(),
            false => format!("; where a step may stand, {} of them", clients.asked),
        };
        line("clients", &format!("all {} up to {}{refused}{asked}", clients.all, clients.bound));
    }
    line("model", &explained.model);
    if !explained.params.is_empty() {
        let params = explained.params.iter().map(|(name, value)| format!("{name}={value}"));
        line("machine", &one_line(&params.collect::<Vec<_>>().join(" ")));
    }
    let work = &explained.work;
    let searched =
        format!("{}, {}", count(work.explorations, "program"), count(work.states, "state"));
    line("search", &searched);
    for note in &explained.notes {
        line("note", &one_line(note));
    }
}

fn word(answer: &Answer) -> &'static str {
    match answer {
        Answer::Required { .. } => "required here",
        Answer::MayWait { .. } => "may wait until range_end",
        Answer::Redundant { .. } => "redundant",
        Answer::Unknown(_) => "unknown",
        Answer::LeftOut(_) => "not taken out",
    }
}

fn tells(tells: Tells) -> &'static str {
    match tells {
        Tells::Cpus => "the TLBs of the CPUs",
        Tells::Secondary => "the secondary TLBs",
        Tells::Both => "the TLBs of the CPUs and the secondary ones",
    }
}

fn said_case(case: Case) -> &'static str {
    match case {
        Case::A => "case A, freed before range_end",
        Case::B => "case B, replaced by another page",
        Case::Both => "cases A and B",
        Case::Neither => "neither case A nor B",
    }
}

fn said_lock(lock: Lock) -> &'static str {
    match lock {
        Lock::Yes => "under the lock: yes",
        Lock::No => "under the lock: no",
        Lock::Either => "under the lock: not necessary, it may also stand outside",
        Lock::None => "under the lock: no, the function takes none",
    }
}

/// `NEW at set_pte_at (line 38)`
fn breaks(broken: &[Broken], explained: &Explained) -> String {
    broken_in(broken, &explained.file)
}

/// The same, for what is said of this file.
pub(super) fn broken_in(broken: &[Broken], file: &str) -> String {
    let one = |broken: &Broken| {
        let steps: Vec<String> = broken
            .violation
            .steps
            .iter()
            .map(|step| format!("{}{}", one_line(&step.name), line_in(step.place.as_ref(), file)))
            .collect();
        match steps.is_empty() {
            true => broken.code.to_owned(),
            false => format!("{} at {}", broken.code, steps.join(" or ")),
        }
    };
    broken.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// ` (line 38)`, with the file if it is another one.
fn at(at: Option<&Place>, explained: &Explained) -> String {
    line_in(at, &explained.file)
}

fn line_in(at: Option<&Place>, file: &str) -> String {
    match at {
        Some(at) if at.file == file => format!(" (line {})", at.line),
        Some(at) => format!(" ({})", place(at)),
        None => String::new(),
    }
}

fn behind(bound: &Bound, explained: &Explained) -> String {
    match &bound.name {
        None => "from the beginning of the function".to_owned(),
        Some(name) if bound.inside => {
            format!("from {}{} on", one_line(name), at(bound.place.as_ref(), explained))
        }
        Some(name) => format!("after {}{}", one_line(name), at(bound.place.as_ref(), explained)),
    }
}

fn ahead(bound: &Bound, explained: &Explained) -> String {
    match &bound.name {
        None => "to the end of the function".to_owned(),
        Some(name) if bound.inside => {
            format!("no later than {}{}", one_line(name), at(bound.place.as_ref(), explained))
        }
        Some(name) => format!("before {}{}", one_line(name), at(bound.place.as_ref(), explained)),
    }
}

fn why(why: &Why, explained: &Explained) -> Option<String> {
    match why {
        Why::Breaks(broken) => Some(breaks(broken, explained)),
        Why::Ends => None,
        Why::Arguments => Some("what it is called with has another value there".to_owned()),
        Why::Unknown(why) => Some(format!("unknown: {}", one_line(why))),
        Why::NotTried(why) => Some(format!("not tried: {why}")),
    }
}

fn said_twin(twin: &Twin, explained: &Explained) -> String {
    let head = format!(
        "{}{}, in {}",
        one_line(&twin.what),
        at(twin.place.as_ref(), explained),
        one_line(&twin.function)
    );
    match &twin.unknown {
        Some(why) => format!("unknown whether {head}: {}", one_line(why)),
        None => format!("{head}: without both {}", breaks(&twin.without, explained)),
    }
}

/// `at most 1 CPU flush, 2 secondary invalidations posted, 2 waits; at least
/// nothing`
pub(super) fn said_cost(cost: &Cost) -> String {
    let all = |of: &dyn Fn(&Range) -> u32| {
        let (flushes, posted, waits) = (of(&cost.flushes), of(&cost.posted), of(&cost.waits));
        let flush = if flushes == 1 { "flush" } else { "flushes" };
        let invalidation = if posted == 1 { "invalidation" } else { "invalidations" };
        let wait = if waits == 1 { "wait" } else { "waits" };
        format!("{flushes} CPU {flush}, {posted} secondary {invalidation} posted, {waits} {wait}")
    };
    let (most, least) = (all(&|range| range.most), all(&|range| range.least));
    let free = [cost.flushes, cost.posted, cost.waits].iter().all(|range| range.least == 0);
    let least = if free { "nothing".to_owned() } else { least };
    let rounds = if cost.loops { "; with a loop: for each round once more" } else { "" };
    match cost.flushes.is_one() && cost.posted.is_one() && cost.waits.is_one() {
        true => format!("{most}{rounds}"),
        false => format!("at most {most}; at least {least}{rounds}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shootdown_answers::explain::explain;
    use shootdown_answers::request::Request;
    use shootdown_litmus::{Directories, Either, Variant, check_source, read_file};

    fn explained(file: &str) -> Explained {
        let path = format!("{}/../../litmus/seed/{file}.litmus", env!("CARGO_MANIFEST_DIR"));
        let text = read_file(path.as_ref()).expect("a file of the repository");
        let sources = Either(Directories(Vec::new()), shootdown_answers::LIBRARY);
        let program = check_source(file, &text, &sources, &Variant::base()).expect("a right text");
        explain(&program, &Request::default(), None).expect("a test that is covered")
    }

    #[test]
    fn a_step_begins_a_line_that_grep_finds() {
        let explained = explained("doorbell");
        let text = text(&explained, None, 100, Paint::plain());
        let line = text.lines().find(|line| line.contains(": required here: "));
        let line = line.expect("a step that is required");
        assert!(line.starts_with("doorbell:"), "{line}");
        assert!(
            line.ends_with(": required here: mmu_notifier_invalidate_range, in wp_page_copy"),
            "{line}"
        );
        assert!(text.contains("may stand    after ptep_clear_flush (line "), "{text}");
        assert!(text.contains("under the lock: yes"), "{text}");
        assert!(!text.contains(" about without it:"), "{text}");
        for line in text.lines() {
            assert_eq!(line, line.trim_end());
        }
    }

    #[test]
    fn a_form_tells_the_runs() {
        let explained = explained("doorbell");
        let text = text(&explained, Some(Form::Changelog), 100, Paint::plain());
        assert!(text.contains("How NEW comes about without it:"), "{text}");
    }

    #[test]
    fn json_is_versioned() {
        let json = json(&[explained("write-protect")]).expect("plain data");
        let value: serde_json::Value = serde_json::from_str(&json).expect("json");
        assert_eq!(value["schema"], SCHEMA);
        let steps = value["tests"][0]["paths"][0]["steps"].as_array().expect("steps");
        let end = steps.iter().find(|step| step["what"] == "mmu_notifier_invalidate_range_end");
        let end = end.expect("the notification of range_end");
        assert_eq!(end["answer"], "may_wait");
        assert_eq!(end["case"], "neither");
        assert_eq!(end["interval"]["after"]["name"], "ptep_set_wrprotect");
    }
}
