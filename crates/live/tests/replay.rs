//! Witnesses of the checker come out on the address space under the policy that
//! breaks the protocol in the same way, and are refused under the right one.

mod support;

use address_space::WrongPolicy;
use shootdown_live::{Policy, Refused, Replayed, SEEDS, Shows, replay};
use shootdown_machine::model::{FREE, Run};

use support::{Test, seed};

const LATE: Policy = Policy::Wrong(WrongPolicy::LateNotify);
const EARLY_FREE: Policy = Policy::Wrong(WrongPolicy::EarlyFree);

fn play(test: &Test, run: &Run, policy: Policy) -> Result<Replayed, Refused> {
    replay(&test.program, &test.lowered, &test.machine(), run, policy)
}

#[track_caller]
fn come_out(test: &Test, run: &Run, policy: Policy) -> Replayed {
    match play(test, run, policy) {
        Ok(replayed) => replayed,
        Err(refused) => {
            let steps: Vec<String> = refused.steps.iter().map(ToString::to_string).collect();
            panic!("{refused}, after\n{}", steps.join("\n"))
        }
    }
}

fn value<'r>(replayed: &'r Replayed, name: &str) -> &'r str {
    let found = replayed.values.iter().find(|(known, _)| known == name);
    &found.unwrap_or_else(|| panic!("{name} is shown: {:?}", replayed.values)).1
}

#[test]
fn a_late_doorbell() {
    let test = seed("doorbell", &["LATE"]);
    let run = test.fulfilled().expect("the device can read old data");
    let replayed = come_out(&test, &run, LATE);
    assert_eq!((value(&replayed, "D0:rung"), value(&replayed, "D0:data")), ("1", "0"));
    let refused = play(&test, &run, Policy::Right).unwrap_err();
    assert!(refused.at.starts_with("D0 READ_ONCE(*a) (doorbell.litmus:"), "{refused}");
}

#[test]
fn two_late_writers() {
    let test = seed("cow-two-writers", &["LATE"]);
    let run = test.fulfilled().expect("the device can read old data at a");
    let replayed = come_out(&test, &run, LATE);
    assert_eq!((value(&replayed, "D2:r2"), value(&replayed, "D0:r0")), ("1", "0"));
    let refused = play(&test, &run, Policy::Right).unwrap_err();
    assert!(refused.at.starts_with("D0 READ_ONCE(*a) "), "{refused}");
    assert!(refused.why.contains("before it stores the new entry"), "{refused}");
}

#[test]
fn a_late_zero_page() {
    let test = seed("zero-page", &["LATE"]);
    let run = test.fulfilled().expect("the device can read the zero page");
    let replayed = come_out(&test, &run, LATE);
    assert_eq!((value(&replayed, "D0:rung"), value(&replayed, "D0:data")), ("1", "0"));
    let refused = play(&test, &run, Policy::Right).unwrap_err();
    assert!(refused.at.starts_with("D0 READ_ONCE(*a) "), "{refused}");
}

#[test]
fn a_page_that_is_freed_early() {
    let test = seed("page-freed-before-range-end", &["LATE"]);
    let run = test.fulfilled().expect("the device can write into the page of another");
    let replayed = come_out(&test, &run, EARLY_FREE);
    assert_eq!(value(&replayed, "P1:r"), "9");
    let refused = play(&test, &run, Policy::Right).unwrap_err();
    assert!(refused.at.starts_with("P1 alloc_page() "), "{refused}");
    assert!(refused.why.contains("has not freed yet"), "{refused}");
    let run = test.witness(FREE).expect("the free page is in a TLB");
    let replayed = come_out(&test, &run, EARLY_FREE);
    assert!(replayed.reached_free.is_some(), "{replayed}");
    let refused = play(&test, &run, Policy::Right).unwrap_err();
    assert!(refused.why.contains("somebody still has it"), "{refused}");
}

/// Steps that depend on each other cannot change places.
#[test]
fn two_steps_that_changed_places() {
    let test = seed("doorbell", &["LATE"]);
    let mut run = test.fulfilled().expect("the device can read old data");
    let swapped = (0..run.steps.len() - 1)
        .rev()
        .find(|at| {
            run.steps[*at].0 != run.steps[at + 1].0 && {
                let mut other = run.clone();
                other.steps.swap(*at, at + 1);
                play(&test, &other, LATE).is_err()
            }
        })
        .expect("some neighbours depend on each other");
    run.steps.swap(swapped, swapped + 1);
    let refused = play(&test, &run, LATE).unwrap_err();
    assert_eq!(refused.step, Some(swapped), "{refused}");
    assert!(refused.why.starts_with("it is no step of the checker's machine"), "{refused}");
}

/// The table says of every seed what can be played.
#[test]
fn what_the_table_says() {
    let folder = std::fs::read_dir(support::litmus().join("seed")).unwrap();
    for entry in folder {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        let stem = name.trim_end_matches(".litmus");
        assert!(SEEDS.iter().any(|row| row.file == stem), "{stem} is not in the table");
    }
    for row in SEEDS {
        let Ok(policy) = row.policy else { continue };
        let test = seed(row.file, row.variant);
        let run = match row.shows {
            Shows::Condition => test.fulfilled(),
            Shows::Free => test.witness(FREE),
        };
        let run = run.unwrap_or_else(|| panic!("{} {:?} has a run", row.file, row.variant));
        let replayed = come_out(&test, &run, policy);
        assert_eq!(replayed.reached_free.is_some(), row.shows == Shows::Free, "{replayed}");
        assert!(play(&test, &run, Policy::Right).is_err(), "{} {:?}", row.file, row.variant);
    }
}

/// Runs of files for user programs, where the kernel's part is that of 6.1,
/// come out: the address space does what 6.1 does, but for mremap, where 6.1
/// tells the secondary TLBs at range_end.
#[test]
fn files_for_user_programs() {
    for (file, variant, policy) in [
        ("fork-with-device", "BEFORE", Policy::Right),
        ("fork-with-writer", "BEFORE", Policy::Right),
        ("message-across-dontneed", "HELD", Policy::Right),
        ("mprotect-and-back", "REFUSED", Policy::Right),
        ("mprotect-vs-device", "LATE", Policy::Right),
        ("mremap-vs-device", "MOVED_FIRST", LATE),
        ("munmap-then-mmap", "ZERO", Policy::Right),
        ("munmap-vs-device", "SEEN", Policy::Right),
        ("two-dontneed", "ZERO", Policy::Right),
    ] {
        let test = support::user(file, &[variant]);
        let run = test.fulfilled().unwrap_or_else(|| panic!("{file} {variant} is possible"));
        println!("{file} {variant}:");
        let replayed = come_out(&test, &run, policy);
        println!("{replayed}");
        assert_ne!(replayed.values, []);
        if policy != Policy::Right {
            assert!(play(&test, &run, Policy::Right).is_err(), "{file} {variant}");
        }
    }
}

/// The device reads the new page and then the old one: its TLB would have two
/// entries for one address.
#[test]
fn two_entries_for_one_address() {
    let test = support::user("dontneed-vs-device", &["MIXED"]);
    let run = test.fulfilled().expect("the machine's TLBs are sets");
    let refused = play(&test, &run, Policy::Right).unwrap_err();
    assert!(refused.at.starts_with("D0 READ_ONCE(*a) "), "{refused}");
    assert!(refused.why.starts_with("in the run a leads to Fa, and here to "), "{refused}");
}
