//! Why a clean test is clean: what is broken once a step is taken out.

use crate::check::{Subject, codes, place, prepare};
use crate::explored::Explored;
use crate::jury::at_once;
use crate::mutate::{Mutation, mutations};
use crate::request::Request;
use crate::verdict::Guard;

/// Without a step a test may have far more states than with it. So much may a
/// search without one have, compared with the test's own, and at least this many.
const TIMES: u64 = 20;
const AT_LEAST: u64 = 50_000;

/// Takes out every step that tells hardware, waits for it, or excludes others,
/// one at a time, and checks again, several at the same time.
pub(crate) fn guards(subject: &Subject, explored: &Explored, request: &Request) -> Vec<Guard> {
    let mut request = Request { guards: false, progress: None, ..request.clone() };
    let most = explored.found.states.saturating_mul(TIMES).max(AT_LEAST);
    request.limits.states = request.limits.states.min(most);
    let guard = |mutation: &Mutation| {
        let place = place(&subject.program, mutation.span);
        let mutated = prepare(mutation.program.clone(), &request).ok()?;
        let (without, complete, _) = codes(&mutated, &request, (subject, explored));
        let unknown = without.is_empty() && !complete;
        Some(Guard { what: mutation.what.clone(), place, without, unknown })
    };
    let mutations = mutations(&subject.program);
    // In the order of the text, whoever is done first.
    at_once(mutations.len(), |at| guard(&mutations[at])).into_iter().flatten().collect()
}
