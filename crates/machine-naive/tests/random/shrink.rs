//! A failing test with everything left out that it does not need.

use shootdown_machine::setting::MemoryModel;

use crate::generate::Test;

/// The smallest test that `fails` and is got by leaving lines, functions and
/// threads out.
pub(crate) fn shrink(test: &Test, fails: &dyn Fn(&Test) -> bool) -> Test {
    let mut test = test.clone();
    loop {
        let Some(smaller) = candidates(&test).into_iter().find(|smaller| fails(smaller)) else {
            return test;
        };
        test = smaller;
    }
}

/// Tests with one thing less, the larger things first.
fn candidates(test: &Test) -> Vec<Test> {
    let mut list = Vec::new();
    let mut with = |change: &dyn Fn(&mut Test)| {
        let mut smaller = test.clone();
        change(&mut smaller);
        list.push(smaller);
    };
    for at in 0..test.threads.len() {
        with(&|test| drop(test.threads.remove(at)));
    }
    for at in 0..test.functions.len() {
        with(&|test| {
            test.functions.remove(at);
            test.handlers.clear();
        });
        for line in 0..test.functions[at].lines.len() {
            with(&|test| drop(test.functions[at].lines.remove(line)));
        }
    }
    for at in 0..test.handlers.len() {
        with(&|test| drop(test.handlers.remove(at)));
    }
    for at in 0..test.threads.len() {
        for line in (0..test.threads[at].lines.len()).rev() {
            with(&|test| drop(test.threads[at].lines.remove(line)));
        }
    }
    for at in (0..test.declarations.len()).rev() {
        with(&|test| drop(test.declarations.remove(at)));
    }
    if test.model != MemoryModel::Sc {
        with(&|test| test.model = MemoryModel::Sc);
    }
    list
}
