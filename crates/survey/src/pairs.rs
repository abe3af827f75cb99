//! Two paths against each other on one page.
//!
//! Both are written into one test: the first brings its mapping, the second works
//! on the same virtual address, or on another mapping of the page. Clients of a
//! small bound stand around both. A hit is a test that stands on its own; whether
//! it is a finding is for whoever reads the kernel's lines beside it.

use std::fmt::Write;

use shootdown_answers::check::{Refused, check, prepare};
use shootdown_answers::judge::violated;
use shootdown_answers::jury::at_once;
use shootdown_answers::request::Request;
use shootdown_clients::{Bound, Skeleton};
use shootdown_litmus::{Sources, Variant};

use crate::around::Around;
use crate::path;

/// Paths whose faults have one handler, so that two of them make a test. Others
/// wait in a handler of their own for an entry that only they fill again.
pub const PATHS: [&str; 7] = ["cow", "ksm", "fork", "munmap", "dontneed", "mprotect", "mremap"];

/// How the second path comes to the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// By the same virtual address.
    Address,
    /// By another mapping of the page.
    OtherMapping,
}

impl Route {
    /// All of them.
    pub const ALL: [Route; 2] = [Route::Address, Route::OtherMapping];

    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Route::Address => "address",
            Route::OtherMapping => "mapping",
        }
    }
}

/// Two paths and how the second comes to the page of the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pair {
    /// Brings the mapping.
    pub first: &'static str,
    /// Comes to it.
    pub second: &'static str,
    /// How.
    pub route: Route,
}

/// What was found for a pair.
#[derive(Clone, Debug)]
pub struct Result {
    /// Clients that were asked.
    pub clients: usize,
    /// States of all of them.
    pub states: u64,
    /// Searches that reached a limit.
    pub stopped: usize,
    /// The smallest client that breaks it, as a test, with what breaks.
    pub hit: Option<(Vec<&'static str>, String)>,
    /// Why it could not be asked.
    pub not_asked: Option<String>,
}

/// All pairs that make sense, in the order of the paths.
pub fn pairs() -> Vec<Pair> {
    let mut list = Vec::new();
    for first in PATHS {
        for second in PATHS {
            for route in Route::ALL {
                let pair = Pair { first, second, route };
                if text(pair, "v6.1").is_some() {
                    list.push(pair);
                }
            }
        }
    }
    list
}

/// The parts of a path's file.
struct Parts {
    includes: Vec<String>,
    declarations: Vec<String>,
    /// Parameters and body of P0.
    thread: (String, String),
}

fn parts(text: &str) -> Option<Parts> {
    let includes =
        text.lines().filter(|line| line.starts_with("#include")).map(str::to_owned).collect();
    let block = text.split_once("\n{\n")?.1.split_once("\n}")?.0;
    let declarations = block.lines().map(|line| line.trim().to_owned()).collect();
    let thread = text.split_once("\nP0(")?.1;
    let (parameters, rest) = thread.split_once(')')?;
    let body = rest.split_once("\n\nexpect")?.0.trim();
    // Ideal memory knows writes, and no fault that is taken for nothing.
    let body = match body.split_once("fault_in_write(") {
        Some((before, rest)) => {
            let (name, after) = rest.split_once(')')?;
            format!("{before}WRITE_ONCE(*{name}, 9){after}")
        }
        None => body.to_owned(),
    };
    Some(Parts { includes, declarations, thread: (parameters.to_owned(), body) })
}

/// The test of a pair, without clients; `None` if the route leads nowhere: an
/// anonymous page that is exclusive has one mapping.
pub fn text(pair: Pair, kernel: &str) -> Option<String> {
    // A fork copies one page, by its name, and a test has one child.
    if pair.second == "fork" && (pair.first == "fork" || pair.route == Route::OtherMapping) {
        return None;
    }
    let first = path::text(pair.first).ok()?;
    let one = parts(&first)?;
    let two = parts(&path::text(pair.second).ok()?)?;
    let own = one.declarations.iter().find(|line| line.starts_with("map a "))?.clone();
    let mut declarations = one.declarations.clone();
    let (mut parameters, mut body) = two.thread.clone();
    if pair.route == Route::OtherMapping {
        // Each put may be the last.
        let shared = own.contains("cow").then(|| own.replace(" x2", ""))?;
        declarations.retain(|line| *line != own);
        declarations.push(shared.clone());
        declarations.push(shared.replacen("map a ", "map a2 ", 1));

        (parameters, body) = (renamed(&parameters, "a", "a2"), renamed(&body, "a", "a2"));
    }
    for line in &two.declarations {
        let mut line = line.clone();
        if line.starts_with("map a ") || declarations.contains(&line) {
            continue;
        }
        // What the second needs beside the page is its own.
        for name in ["b", "k", "Fk"] {
            if words(&line).any(|word| word == name) && !one.thread.0.is_empty() {
                let new = format!("{name}2");
                line = renamed(&line, name, &new);
                parameters = renamed(&parameters, name, &new);
                body = renamed(&body, name, &new);
            }
        }
        declarations.push(line);
    }
    let mut includes = one.includes.clone();
    includes.extend(two.includes.into_iter().filter(|line| !one.includes.contains(line)));
    let (machine, kernels): (Vec<String>, Vec<String>) =
        includes.into_iter().partition(|line| line.contains("<machine/"));
    let mut text = format!(
        "// SPDX-License-Identifier: MIT OR Apache-2.0\n// shootdown-litmus 1\nC {}-vs-{}-by-{}\n\
         \"{} against {}, which comes to the page by {}\"\n\n",
        pair.first,
        pair.second,
        pair.route.text(),
        pair.first,
        pair.second,
        match pair.route {
            Route::Address => "its address",
            Route::OtherMapping => "another mapping",
        },
    );
    let _ = writeln!(text, "{}\n\n{{", machine.join("\n"));
    for line in &declarations {
        let _ = writeln!(text, "    {line}");
    }
    let _ = writeln!(text, "}}\n\n{}\nfault cpu = handle_mm_fault;\n", kernels.join("\n"));
    let _ = writeln!(text, "P0({}) {}", one.thread.0, one.thread.1);
    let _ = writeln!(text, "P1({parameters}) {body}");
    Some(text.replace("<kernel/v6.1/", &format!("<kernel/{kernel}/")))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
}

/// Whole words only.
fn renamed(text: &str, from: &str, to: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    for c in text.chars().chain(['\n']) {
        if c.is_alphanumeric() || c == '_' {
            word.push(c);
            continue;
        }
        out.push_str(if word == from { to } else { &word });
        word.clear();
        out.push(c);
    }
    out.pop();
    out
}

/// Asks for a pair on a kernel.
pub fn ask(
    pair: Pair,
    kernel: &str,
    sources: &(dyn Sources + Sync),
    request: &Request,
    bound: &Bound,
) -> Result {
    let mut result = Result { clients: 0, states: 0, stopped: 0, hit: None, not_asked: None };
    match asked(pair, kernel, sources, request, bound, &mut result) {
        Ok(()) => result,
        Err(why) => Result { not_asked: Some(why), ..result },
    }
}

fn asked(
    pair: Pair,
    kernel: &str,
    sources: &(dyn Sources + Sync),
    request: &Request,
    bound: &Bound,
    result: &mut Result,
) -> std::result::Result<(), String> {
    let text = text(pair, kernel).ok_or("the route leads nowhere")?;
    let request = Request { guards: false, progress: None, threads: 1, ..request.clone() };
    let name = format!("{}-vs-{}.litmus", pair.first, pair.second);
    let variant = Variant::base();
    let program = request.read(&name, &text, sources, &variant);
    let program = program.map_err(|error| error.to_string())?;
    let skeleton = Skeleton::keeping(&program, &["P0", "P1"]).map_err(|why| why.to_string())?;
    let list = skeleton.clients(bound);
    let around = Around { name: &name, variant: &variant, request: &request, sources };
    let found =
        at_once(list.len(), |at| match prepare(around.read(&skeleton, &list[at])?, &request) {
            Ok(subject) => {
                let checked = check(&subject, &request);
                Ok((violated(&checked), checked.search.states, checked.search.stopped.is_some()))
            }
            Err(Refused::NotCovered { why, .. }) => Err(why),
            Err(Refused::Input(error)) => Err(error.to_string()),
        });
    for (client, found) in list.iter().zip(found) {
        let (codes, states, stopped) = found?;
        result.clients += 1;
        result.states += states;
        result.stopped += usize::from(stopped);
        if !codes.is_empty() && result.hit.is_none() {
            let ending = format!("\nexpect {{\n    * : {};\n}}\n", codes.join(", "));
            result.hit = Some((codes, skeleton.test(client, None, &ending)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_whole_words() {
        assert_eq!(renamed("int *a, int *ab; a(a)", "a", "a2"), "int *a2, int *ab; a2(a2)");
    }

    #[test]
    fn every_pair_is_a_test() {
        let pairs = pairs();
        assert!(pairs.len() > PATHS.len() * PATHS.len());
        for pair in pairs {
            for kernel in ["v6.1", "v6.12"] {
                let text = text(pair, kernel).expect("a test");
                let program = Request::default().read(
                    "pair.litmus",
                    &text,
                    &shootdown_answers::LIBRARY,
                    &Variant::base(),
                );
                let program = program.unwrap_or_else(|error| panic!("{error}\n{text}"));
                assert_eq!(program.threads.len(), 2, "{text}");
            }
        }
    }
}
