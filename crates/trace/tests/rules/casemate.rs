//! casemate's questions that are ours too, on logs written for the purpose.

use std::io::Cursor;

use shootdown_trace::casemate::{Broken, Log, Question};
use shootdown_trace::check::{Options, check};
use shootdown_trace::meaning;
use shootdown_trace::read::Reader;

/// A table with one entry, live under VMID 0, and the steps that follow.
fn log(steps: &[&str]) -> Log {
    let mut text = String::from(
        "(mem-init 1 0 1000 1000)\n(mem-init 2 0 2000 1000)\n(mem-init 3 0 3000 1000)\n\
         (hint 4 0 set_root_lock 1000 9000)\n(hint 5 0 set_owner_root 2000 1000)\n\
         (hint 6 0 set_owner_root 3000 1000)\n(mem-write 7 0 plain 1000 2003)\n\
         (sysreg-write 8 0 vttbr_el2 1000)\n",
    );
    for (id, step) in (9..).zip(steps) {
        if let Some(said) = step.strip_prefix('!') {
            text.push_str(&format!("! {}\n", said.trim()));
        } else {
            let (name, rest) = step.split_once(' ').unwrap();
            text.push_str(&format!("({name} {id} 0 {rest})\n"));
        }
    }
    let reader = Reader::new("log", Cursor::new(text), &meaning::wanted()).unwrap();
    let checked = check(reader, &Options::default(), |_| {});
    assert!(checked.error.is_none(), "{:?}", checked.error);
    checked.casemate.expect("it is recognised")
}

const BREAK: &str = "mem-write plain 1000 0";
const MAKE: &str = "mem-write plain 1000 3003";
const DSB: &str = "barrier dsb ish";

#[test]
fn break_before_make() {
    let right = log(&[BREAK, DSB, "tlbi alle1is", DSB, MAKE]);
    assert_eq!((right.replace.checks, right.replace.violations), (1, 0));
    let late = "an entry becomes valid before TLBs have forgotten the old one";
    let wrong = Some(Broken { line: 12, since: Some(9), what: late });
    for steps in [
        [BREAK, DSB, DSB, MAKE],
        [BREAK, "tlbi alle1is", DSB, MAKE],
        [BREAK, DSB, "tlbi alle1is", MAKE],
        [BREAK, DSB, "tlbi vmalle1is", MAKE],
        [BREAK, "barrier dsb nsh", "tlbi alle1is", MAKE],
    ] {
        assert_eq!(log(&steps).replace.first, wrong, "{steps:?}");
    }
    let at_once = log(&[MAKE]);
    assert_eq!(at_once.replace.first.unwrap().what, "a valid entry becomes another valid one");
    assert_eq!(log(&["mem-write plain 1000 2443"]).replace.violations, 0, "the same page");
}

#[test]
fn stage_2_by_address_and_by_vmid() {
    let by_address = [BREAK, DSB, "tlbi ipas2e1is 0", DSB, "tlbi vmalle1is", DSB, MAKE];
    assert_eq!(log(&by_address).replace.violations, 0);
    let half = [BREAK, DSB, "tlbi ipas2e1is 0", DSB, MAKE];
    assert_eq!(log(&half).replace.violations, 1);
    let other = "sysreg-write vttbr_el2 1000000003000";
    let wrong_vmid = [BREAK, DSB, other, "tlbi vmalls12e1is", DSB, MAKE];
    assert_eq!(log(&wrong_vmid).replace.violations, 1, "another VMID's entries went");
}

#[test]
fn tables() {
    let right = log(&[BREAK, DSB, "tlbi alle1is", DSB, "hint release_table 2000 0"]);
    assert_eq!((right.table.checks, right.table.violations), (1, 0));
    let early = log(&[BREAK, "hint release_table 2000 0"]);
    assert_eq!(early.table.first.unwrap().since, Some(9));
    let held = log(&["mem-free 2000 1000"]);
    assert_eq!(held.table.first.unwrap().what, "a table is released that an entry points to");
    let again = log(&[BREAK, "mem-write plain 1008 2003"]);
    assert_eq!(again.table.violations, 1);
}

#[test]
fn what_casemate_says_and_what_it_is_about() {
    let overlap = |said: &str| log(&[BREAK, said]).overlap();
    assert_eq!(overlap("! BBM valid->valid"), Some(Question::Replace));
    assert_eq!(
        overlap("! cannot release table where children are still unclean"),
        Some(Question::Table)
    );
    assert_eq!(overlap("! duplicate (VM/AS)ID"), None);
    assert!(!log(&[BREAK]).exercised(), "zero checks are no pass");
}
