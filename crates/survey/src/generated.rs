//! A path with each of its clients, one by one: who breaks it.

use std::sync::atomic::{AtomicUsize, Ordering};

use shootdown_answers::check::{Refused, check, prepare};
use shootdown_answers::judge::violated;
use shootdown_answers::jury::at_once;
use shootdown_answers::request::Request;
use shootdown_answers::verdict::Checked;
use shootdown_clients::{Bound, Client, Skeleton};
use shootdown_litmus::{Program, Sources, Variant};

use crate::around::Around;

/// A client, and what it finds.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The client.
    pub client: Client,
    /// Its threads, a line each.
    pub lines: String,
    /// The test: the path with this client, and what was found as its `expect`
    /// table.
    pub text: String,
    /// What was found; or why it is not covered.
    pub checked: Result<Checked, String>,
}

impl Generated {
    /// The codes of what is violated.
    pub fn codes(&self) -> Vec<&'static str> {
        self.checked.as_ref().map_or(Vec::new(), violated)
    }
}

/// The clients up to a bound.
#[derive(Clone, Debug)]
pub struct Among {
    /// Those that were asked, the smallest first.
    pub clients: Vec<Generated>,
    /// How many there are; more than were asked if [`Request::until`] has ended it.
    pub all: usize,
}

/// Puts every client up to a bound around the path of a test, the smallest first.
/// The first that finds something is minimal: no client with fewer threads, or as
/// many and fewer accesses, does. `tell` hears how many of how many were asked.
///
/// # Errors
///
/// The test has no path, or the text cannot be read.
pub fn generate(
    file: &str,
    program: &Program,
    sources: &(dyn Sources + Sync),
    variant: &Variant,
    request: &Request,
    bound: &Bound,
    tell: &(dyn Fn(usize, usize) + Sync),
) -> Result<Among, String> {
    let skeleton = Skeleton::of(program).map_err(|why| why.to_string())?;
    let list = skeleton.clients(bound);
    let all = list.len();
    let request = Request { guards: false, progress: None, threads: 1, ..request.clone() };
    let around = Around { name: file, variant, request: &request, sources };
    let asked = AtomicUsize::new(0);
    let found = at_once(all, |at| {
        // Whoever was cut short was not asked.
        let asked_for = |found| request.until.over().is_none().then_some(found);
        let program = match around.read(&skeleton, &list[at]) {
            Ok(program) => program,
            Err(why) => return asked_for(Err(why)),
        };
        let checked = match prepare(program, &request) {
            Ok(subject) => Ok(check(&subject, &request)),
            Err(Refused::NotCovered { why, .. }) => Err(why),
            Err(Refused::Input(error)) => Err(error.to_string()),
        };
        tell(asked.fetch_add(1, Ordering::Relaxed) + 1, all);
        asked_for(Ok(checked))
    });
    let found: Result<Vec<_>, String> = found.into_iter().map_while(|found| found).collect();
    let name = &program.header.name;
    let switches = variant.to_string();
    let clients = list
        .into_iter()
        .zip(found?)
        .enumerate()
        .map(|(at, (client, checked))| {
            let name = format!("{name}+{at:03}");
            let ending = ending(&checked, &switches);
            let text = skeleton.test(&client, Some(&name), &ending);
            Generated { lines: skeleton.lines(&client), text, checked, client }
        })
        .collect();
    Ok(Among { clients, all })
}

/// The `expect` table: what was found, and how it was asked.
fn ending(checked: &Result<Checked, String>, switches: &str) -> String {
    let Ok(checked) = checked else { return String::new() };
    if checked.search.stopped.is_some() {
        return String::new();
    }
    let codes = violated(checked);
    let found = if codes.is_empty() { "clean".to_owned() } else { codes.join(", ") };
    let variant = if switches == "base" { "*" } else { switches };
    format!("\nexpect {{\n    {variant} model {} : {found};\n}}\n", checked.model)
}

/// The smallest bound that has a client.
pub fn bound_of(client: &Client, roles: &[shootdown_clients::Role]) -> Bound {
    use shootdown_clients::Role;
    use shootdown_clients::shape::Step;
    let of = |role: Role| client.threads.iter().filter(|t| roles[t.agent] == role).count();
    let most = |number: &dyn Fn(Step) -> Option<usize>| {
        client.steps().filter_map(|(_, step)| number(step)).map(|at| at + 1).max().unwrap_or(0)
    };
    Bound {
        devices: of(Role::Device),
        cpus: of(Role::Cpu),
        steps: client.threads.iter().map(|thread| thread.steps.len()).max().unwrap_or(0),
        accesses: client.steps().filter(|(_, step)| step.is_access()).count(),
        pages: most(&|step| match step {
            Step::Load(page) | Step::Store(page) => Some(page),
            _ => None,
        }),
        messages: most(&|step| match step {
            Step::Hear(word) | Step::Tell(word) => Some(word),
            _ => None,
        }),
        after: client.after.len(),
    }
}
