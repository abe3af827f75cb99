//! Why a clean test is clean: what is broken once a step is taken out.

use shootdown_litmus::Program;

use crate::check::{check, place, prepare};
use crate::judge::violated;
use crate::mutate::mutations;
use crate::request::Request;
use crate::verdict::Guard;

/// Takes out every step that tells hardware, waits for it, or excludes others,
/// one at a time, and checks again.
pub(crate) fn guards(program: &Program, request: &Request) -> Vec<Guard> {
    let request = Request { guards: false, progress: None, ..request.clone() };
    let mut list = Vec::new();
    for mutation in mutations(program) {
        let place = place(program, mutation.span);
        let Ok(subject) = prepare(mutation.program, &request) else { continue };
        let without = violated(&check(&subject, &request));
        list.push(Guard { what: mutation.what, place, without });
    }
    list
}
