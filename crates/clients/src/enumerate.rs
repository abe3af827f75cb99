//! All clients up to a bound, each once.
//!
//! Two clients that differ in the names of messages, or in the order of threads
//! of one agent, are one. Left out is what can show nothing: a message that
//! nobody else hears or sends; one that is sent before its thread has done
//! anything, or heard after it has done all it does. What a message is for is
//! to put an access of one thread before an access of another.

use crate::bound::Bound;
use crate::shape::{Client, Step, Thread};
use crate::skeleton::Role;

/// All clients up to a bound, for these agents and so many pages, the smallest
/// first. The first one is nobody: the path alone.
///
/// ```
/// use shootdown_clients::{Bound, Role, clients};
///
/// let bound = Bound { cpus: 0, messages: 0, after: 0, ..Bound::default() };
/// let list = clients(&bound, &[Role::Device], 1);
/// // Nobody; R, W; RR, RW, WR, WW.
/// assert_eq!(list.len(), 7);
/// ```
pub fn clients(bound: &Bound, agents: &[Role], pages: usize) -> Vec<Client> {
    let pages = pages.min(bound.pages);
    let bodies = bodies(bound, pages);
    let of = |wanted: Role, most: usize| {
        let agents = (0..agents.len()).filter(|at| agents[*at] == wanted);
        let threads: Vec<Thread> = agents
            .flat_map(|agent| {
                let bodies = bodies.iter().filter(|body| is_useful(body));
                bodies.map(move |steps| Thread { agent, steps: steps.clone() })
            })
            .collect();
        multisets(&threads, most)
    };
    let devices = of(Role::Device, bound.devices);
    let cpus = of(Role::Cpu, bound.cpus);
    let afters = bodies_of(bound.after, &alphabet(bound, pages));
    let mut list = Vec::new();
    for devices in &devices {
        for cpus in &cpus {
            for after in &afters {
                let threads = devices.iter().chain(cpus).cloned().collect();
                let client = Client { threads, after: after.clone() };
                if fits(&client, bound) {
                    list.push(client);
                }
            }
        }
    }
    list.sort_by_cached_key(|client| (client.size(), client.clone()));
    list
}

fn alphabet(bound: &Bound, pages: usize) -> Vec<Step> {
    let pages = (0..pages).flat_map(|page| [Step::Load(page), Step::Store(page)]);
    pages.chain((0..bound.messages).flat_map(|word| [Step::Hear(word), Step::Tell(word)])).collect()
}

/// Everything that a thread could do, nothing included.
fn bodies(bound: &Bound, pages: usize) -> Vec<Vec<Step>> {
    bodies_of(bound.steps, &alphabet(bound, pages))
}

fn bodies_of(most: usize, alphabet: &[Step]) -> Vec<Vec<Step>> {
    let mut list: Vec<Vec<Step>> = vec![Vec::new()];
    let mut begin = 0;
    for _ in 0..most {
        let end = list.len();
        for at in begin..end {
            for step in alphabet {
                let mut body = list[at].clone();
                body.push(*step);
                list.push(body);
            }
        }
        begin = end;
    }
    list
}

/// Whether a thread does something, sends only when it has done something, and
/// does something with what it has heard.
fn is_useful(body: &[Step]) -> bool {
    let sends = |step: &Step| matches!(step, Step::Tell(_));
    let hears = |step: &Step| matches!(step, Step::Hear(_));
    body.first().is_some_and(|step| !sends(step)) && body.last().is_some_and(|step| !hears(step))
}

/// Every choice of up to so many, without regard to order.
fn multisets(threads: &[Thread], most: usize) -> Vec<Vec<Thread>> {
    let mut list: Vec<(Vec<Thread>, usize)> = vec![(Vec::new(), 0)];
    let mut begin = 0;
    for _ in 0..most {
        let end = list.len();
        for at in begin..end {
            let (chosen, from) = list[at].clone();
            for (next, thread) in threads.iter().enumerate().skip(from) {
                let mut chosen = chosen.clone();
                chosen.push(thread.clone());
                list.push((chosen, next));
            }
        }
        begin = end;
    }
    list.into_iter().map(|(chosen, _)| chosen).collect()
}

/// Whether a client keeps to the bound, and each message goes from one thread to
/// another.
fn fits(client: &Client, bound: &Bound) -> bool {
    let accesses = client.steps().filter(|(_, step)| step.is_access()).count();
    if accesses > bound.accesses {
        return false;
    }
    // The path's own thread hears only to access something, too.
    if client.after.last().is_some_and(|step| matches!(step, Step::Hear(_))) {
        return false;
    }
    let words = client.steps().filter_map(|(_, step)| match step {
        Step::Hear(word) | Step::Tell(word) => Some(word + 1),
        _ => None,
    });
    let seen = words.max().unwrap_or(0);
    is_first_of_its_names(client, seen)
        && (0..seen).all(|word| {
            let with = |wanted: Step| client.steps().filter(move |(_, step)| *step == wanted);
            with(Step::Tell(word))
                .any(|(sender, _)| with(Step::Hear(word)).any(|(hearer, _)| hearer != sender))
                && with(Step::Hear(word))
                    .all(|(hearer, _)| with(Step::Tell(word)).any(|(sender, _)| sender != hearer))
        })
}

/// Whether no other naming of the messages comes before this one.
fn is_first_of_its_names(client: &Client, words: usize) -> bool {
    let sorted = |mut client: Client| {
        client.threads.sort();
        client
    };
    let own = sorted(client.clone());
    names(words).iter().all(|names| own <= sorted(renamed(client, names)))
}

/// All orders of so many names.
fn names(count: usize) -> Vec<Vec<usize>> {
    let mut list = vec![Vec::new()];
    for _ in 0..count {
        let longer = |names: &Vec<usize>| -> Vec<Vec<usize>> {
            let next = (0..count).filter(|name| !names.contains(name));
            next.map(|name| names.iter().copied().chain([name]).collect()).collect()
        };
        list = list.iter().flat_map(longer).collect();
    }
    list
}

fn renamed(client: &Client, names: &[usize]) -> Client {
    let steps = |steps: &[Step]| -> Vec<Step> {
        let rename = |step: &Step| match *step {
            Step::Hear(word) => Step::Hear(names[word]),
            Step::Tell(word) => Step::Tell(names[word]),
            access => access,
        };
        steps.iter().map(rename).collect()
    };
    let thread = |thread: &Thread| Thread { agent: thread.agent, steps: steps(&thread.steps) };
    Client { threads: client.threads.iter().map(thread).collect(), after: steps(&client.after) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn shown(list: &[Client]) -> Vec<String> {
        list.iter().map(Client::to_string).collect()
    }

    #[test]
    fn the_documents_clients_are_in_the_default_bound() {
        let bound = Bound { accesses: 3, ..Bound::default() };
        let shown = shown(&clients(&bound, &[Role::Device, Role::Cpu], 1));
        for wanted in [
            "then -",
            "0: ?0 R0 | 1: W0 !0 | then -", // the doorbell
            "0: R0 R0 | 1: W0 | then -",    // new, then old
            "0: W0 R0 | then -",            // its own write, lost
            "0: ?0 R0 | then !0",           // the call has returned
            "0: ?0 W0 | then !0",
            "0: W0 | then R0",
        ] {
            assert!(shown.iter().any(|client| client == wanted), "{wanted} in {shown:#?}");
        }
    }

    #[test]
    fn every_client_is_there_once() {
        for bound in [
            "",
            "devices=2,accesses=2",
            "messages=2,steps=3,accesses=2",
            "devices=2,messages=2,accesses=2",
            "pages=2,cpus=2,accesses=2",
        ] {
            let bound: Bound = bound.parse().expect("a bound");
            let list = clients(&bound, &[Role::Device, Role::Cpu], 2);
            let mut known = BTreeSet::new();
            for client in &list {
                let words = client.steps().filter(|(_, step)| !step.is_access()).count();
                let most = if words == 0 { 0 } else { bound.messages };
                for names in names(most) {
                    let mut same = renamed(client, &names);
                    same.threads.sort();
                    known.insert((same, client.clone()));
                }
            }
            // Under whatever names, in whatever order: each leads to one client.
            let mut forms: Vec<&Client> = known.iter().map(|(form, _)| form).collect();
            let all = forms.len();
            forms.dedup();
            assert_eq!(forms.len(), all, "{bound}");
        }
    }

    #[test]
    fn nobody_comes_first_and_sizes_grow() {
        let list = clients(&Bound::default(), &[Role::Device, Role::Cpu], 1);
        assert_eq!(list[0], Client::default());
        assert!(list.windows(2).all(|pair| pair[0].size() <= pair[1].size()));
    }

    #[test]
    fn a_message_has_a_sender_and_another_thread_that_hears_it() {
        let bound = Bound { messages: 2, steps: 3, accesses: 2, ..Bound::default() };
        for client in clients(&bound, &[Role::Device, Role::Cpu], 1) {
            for (hearer, step) in client.steps() {
                let Step::Hear(word) = step else { continue };
                let mut senders = client.steps().filter(|(_, step)| *step == Step::Tell(word));
                assert!(senders.any(|(sender, _)| sender != hearer), "{client}");
            }
        }
    }
}
