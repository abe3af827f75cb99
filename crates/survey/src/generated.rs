//! A path with each of its clients, one by one: who breaks it.

use shootdown_answers::check::{Refused, check, prepare};
use shootdown_answers::judge::violated;
use shootdown_answers::jury::at_once;
use shootdown_answers::request::Request;
use shootdown_answers::verdict::Checked;
use shootdown_clients::{Bound, Client, Skeleton};
use shootdown_litmus::{Program, Sources, Variant};

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

/// Puts every client up to a bound around the path of a test, the smallest first.
/// The first that finds something is minimal: no client with fewer threads, or as
/// many and fewer accesses, does.
///
/// # Errors
///
/// The test has no path, or the text cannot be read.
pub fn generate(
    file: &str,
    program: &Program,
    sources: &dyn Sources,
    variant: &Variant,
    request: &Request,
    bound: &Bound,
) -> Result<Vec<Generated>, String> {
    let skeleton = Skeleton::of(program).map_err(|why| why.to_string())?;
    let list = skeleton.clients(bound);
    let mut programs = Vec::new();
    for client in &list {
        let text = skeleton.test(client, None, "");
        let program = request
            .read(file, &text, sources, variant)
            .map_err(|error| format!("the client `{client}`: {error}"))?;
        programs.push(program);
    }
    let request = Request { guards: false, progress: None, threads: 1, ..request.clone() };
    let found = at_once(programs.len(), |at| match prepare(programs[at].clone(), &request) {
        Ok(subject) => Ok(check(&subject, &request)),
        Err(Refused::NotCovered { why, .. }) => Err(why),
        Err(Refused::Input(error)) => Err(error.to_string()),
    });
    let name = &program.header.name;
    let switches = variant.to_string();
    Ok(list
        .into_iter()
        .zip(found)
        .enumerate()
        .map(|(at, (client, checked))| {
            let name = format!("{name}+{at:03}");
            let ending = ending(&checked, &switches);
            let text = skeleton.test(&client, Some(&name), &ending);
            Generated { lines: skeleton.lines(&client), text, checked, client }
        })
        .collect())
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
