//! Pages that are copied, each by a thread of its own, under one lock; one
//! thread writes to the copies in order, and devices read in the opposite
//! order. Every page and every device more multiplies the states.

mod reduce_support;

use std::time::Instant;

use reduce_support::{ALL, NONE, answer, family, tests_of_text};
use shootdown_machine::setting::MemoryModel;

#[test]
fn pages_and_devices() {
    let big = std::env::var("REDUCE_BIG").is_ok();
    for (pages, devices) in [(2, 1), (2, 2), (3, 1), (3, 2), (3, 3), (4, 2), (4, 3)] {
        let tests = tests_of_text("family", &family(pages, devices, false), MemoryModel::Sc, false);
        for mut test in tests {
            test.trapped = false;
            let mut what = None;
            let small = pages * devices <= 4 || (big && pages * devices <= 9);
            for (mode, reductions) in [("all", ALL), ("none", NONE)] {
                if mode == "none" && !small || (pages * devices > 6 && !big) {
                    continue;
                }
                let start = Instant::now();
                let Some(found) = answer(&test, reductions, 30_000_000, &[]) else {
                    println!("{pages},{devices} {mode}: too many");
                    continue;
                };
                let (states, time) = (found.states, start.elapsed());
                println!(
                    "{pages},{devices} {mode}: {states} states, {} steps, {} bits, {time:.2?}, broken {:?}, ends {}, ideal {} states",
                    found.found.transitions,
                    found.found.bits,
                    found.what.0.1,
                    found.what.0.0.len(),
                    found.ideal_states
                );
                let what = what.get_or_insert_with(|| found.what.clone());
                assert_eq!(*what, found.what, "{pages},{devices}");
            }
        }
    }
}
