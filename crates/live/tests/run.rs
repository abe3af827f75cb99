//! Tests that user programs could take, on real threads: nothing comes out that
//! the checker does not allow, and a wrong policy is caught.

mod support;

use address_space::WrongPolicy;
use shootdown_litmus::{Directories, NoSources, Program, Variant, check_source, read_file};
use shootdown_live::{Config, Histogram, Policy, run};

use support::litmus;

fn program(name: &str, text: &str) -> Program {
    check_source(name, text, &Directories(vec![litmus()]), &Variant::base())
        .unwrap_or_else(|errors| panic!("{errors}"))
}

/// A COW page and a bell; the device waits for the bell. The kernel's part is
/// included, as in every file for user programs.
const DOORBELL: &str = "C user-doorbell
#include <machine/ats-pasid>
#include <kernel/v6.1/calls>
{ map a -> Fa {0} : ro anon cow x2; int bell = 0; }
fault cpu = handle_mm_fault;
P0(int *a) { fault_in_write(a); }
P1(int *a, int *bell) { WRITE_ONCE(*a, 1); smp_store_release(bell, 1); }
D0@dev(int *a, int *bell)
{
    int rung = smp_load_acquire(bell);
    while (!rung)
        rung = smp_load_acquire(bell);
    int data = READ_ONCE(*a);
}
exists (D0:rung=1 /\\ D0:data=0)
";

fn doorbell(policy: Policy, iterations: u64) -> Histogram {
    let config = Config { policy, iterations, ..Config::default() };
    run(&program("user-doorbell.litmus", DOORBELL), &config)
        .unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_right_policy_shows_nothing_else() {
    let histogram = doorbell(Policy::Right, 2000);
    println!("{histogram}");
    assert_eq!(histogram.unchecked, None);
    assert_eq!(histogram.outside, []);
    assert_eq!(histogram.iterations, 2000);
    assert!(!histogram.validated(), "{histogram}");
}

#[test]
fn a_late_policy_is_caught() {
    let late = Policy::Wrong(WrongPolicy::LateNotify);
    // Not every machine meets the window in the first thousands.
    let caught = (0..20).find_map(|_| {
        let histogram = doorbell(late, 2000);
        println!("{histogram}");
        (!histogram.outside.is_empty()).then_some(histogram)
    });
    let histogram = caught.expect("old data after the bell, in 40,000 iterations");
    assert!(histogram.validated());
    assert_ne!(histogram.window.in_range, 0);
    let text = histogram.to_string();
    assert!(text.contains("*>D0:rung=1; D0:data=0;"), "{text}");
    assert!(text.contains("\nOk\n\nWitnesses\nPositive: "), "{text}");
    assert!(text.contains("\nOutside user-doorbell "), "{text}");
}

#[test]
fn every_file_for_user_programs() {
    let mut names: Vec<_> = std::fs::read_dir(litmus().join("user"))
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
        .unwrap_or_default();
    names.retain(|path| path.extension().is_some_and(|end| end == "litmus"));
    names.sort();
    for path in names {
        let text = read_file(&path).unwrap_or_else(|error| panic!("{error}"));
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let config = Config { iterations: 500, ..Config::default() };
        match run(&program(&name, &text), &config) {
            Ok(histogram) => {
                println!("{histogram}{:.0}/s\n", histogram.rate());
                assert_eq!(histogram.outside, [], "{histogram}");
            }
            Err(refused) => println!("{name}: {refused}\n"),
        }
    }
}

#[test]
fn kernel_code_of_the_tests_own_is_refused() {
    let text = read_file(&litmus().join("seed/doorbell.litmus")).unwrap();
    let refused = run(&program("doorbell.litmus", &text), &Config::default()).unwrap_err();
    assert!(refused.place.as_deref().is_some_and(|place| place.starts_with("doorbell.litmus:")));
    assert!(
        refused.why.starts_with("`wp_page_copy` is kernel code of the test's own"),
        "{refused}"
    );
}

#[test]
fn a_primitive_of_the_kernel_is_refused() {
    let text = "C t\n{ spinlock_t l; }\nP0(spinlock_t *l) { spin_lock(l); spin_unlock(l); }\n";
    let program = check_source("t.litmus", text, &NoSources, &Variant::base());
    let refused = run(&program.unwrap(), &Config::default()).unwrap_err();
    assert_eq!(refused.place.as_deref(), Some("t.litmus:3:21"));
    assert!(refused.why.starts_with("`spin_lock` is for kernel code"), "{refused}");
}

#[test]
fn faults_that_nobody_handles_are_refused() {
    let text = "C t\n{ map a -> Fa {0} : ro anon cow x2; }\nP0(int *a) { WRITE_ONCE(*a, 1); }\n";
    let program = check_source("t.litmus", text, &NoSources, &Variant::base());
    let refused = run(&program.unwrap(), &Config::default()).unwrap_err();
    assert!(refused.why.ends_with("add `fault cpu = handle_mm_fault;`"), "{refused}");
}

#[test]
fn words_alone() {
    let text = "C SB\n{}\n\
        P0(int *x, int *y) { WRITE_ONCE(*x, 1); int r0 = READ_ONCE(*y); }\n\
        P1(int *x, int *y) { WRITE_ONCE(*y, 1); int r0 = READ_ONCE(*x); }\n\
        exists (P0:r0=0 /\\ P1:r0=0)\n";
    let program = check_source("sb.litmus", text, &NoSources, &Variant::base()).unwrap();
    for tso in [false, true] {
        let config = Config { tso, iterations: 1000, ..Config::default() };
        let histogram = run(&program, &config).unwrap();
        assert_eq!((histogram.outside.len(), histogram.iterations), (0, 1000), "{histogram}");
        assert!(tso || !histogram.validated(), "a barrier follows each store: {histogram}");
    }
}
