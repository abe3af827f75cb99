//! A small tree: what is unchanged, changed, gone, and what nobody knows.
#![cfg(feature = "parser")]

use std::path::Path;

use shootdown_drift::{Citation, Recorded, State, Tree, definitions};

fn cited(file: &str, function: &str) -> Citation {
    let (tag, file) = ("v9.1.4".to_owned(), file.to_owned());
    Citation { tag, file, function: function.to_owned(), line: 1 }
}

fn tree() -> Tree {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tree");
    Tree::open(&root).expect("the tree of the tests")
}

/// What was read, as text of its own: with other comments and blanks.
const READ: &str = "
static inline int tiny_same(unsigned long va) { return va != 0; }
#ifdef CONFIG_TINY
static int tiny_twice(unsigned long va)
{
\treturn 1;
}
#else
static int tiny_twice(unsigned long va) { return 0; } // the other
#endif
static void __always_inline *tiny_changed(unsigned long va) { return (void *)va; }
static int tiny_gone(void) { return 0; }
static long tiny_odd(unsigned long va) { return 0; }
";

#[test]
fn each_state() {
    let mut recorded = Recorded::default();
    for (name, definition) in definitions(READ) {
        recorded.add("v9.1.4", "mm/tiny.c", &name, definition.digest());
        recorded.add("v9.1.4", "mm/moved.c", &name, definition.digest());
    }
    let mut tree = tree();
    assert_eq!(tree.version(), Some("9.1.4"));
    let mut state = |file: &str, function: &str| tree.state(&cited(file, function), &recorded);
    assert_eq!(state("mm/tiny.c", "tiny_same"), State::Unchanged);
    assert_eq!(state("mm/tiny.c", "tiny_twice"), State::Unchanged);
    assert_eq!(state("mm/tiny.c", "tiny_changed"), State::Changed);
    assert_eq!(state("mm/tiny.c", "tiny_gone"), State::Gone);
    assert_eq!(state("mm/moved.c", "tiny_same"), State::NoFile);
    assert_eq!(state("mm/tiny.c", "tiny_new"), State::NotRecorded);
}

/// The parser may stumble over a macro. Then the answer is that nobody knows,
/// and never "gone".
#[test]
fn what_the_parser_stumbles_over_is_not_gone() {
    let mut recorded = Recorded::default();
    recorded.add("v9.1.4", "mm/tiny.c", "tiny_odd", definitions(READ)["tiny_odd"].digest());
    let state = tree().state(&cited("mm/tiny.c", "tiny_odd"), &recorded);
    assert!(matches!(state, State::Unread | State::Changed), "{state}");
}

/// Every function that a kernel file cites, of a tag that was recorded, has a
/// digest.
#[test]
fn every_citation_of_the_kernels_is_recorded() {
    let recorded = Recorded::shipped();
    assert!(!recorded.is_empty());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../litmus");
    let mut missing = Vec::new();
    let mut open = vec![root];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).expect("readable").flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            for cited in shootdown_drift::citations(&text) {
                let read = matches!(&*cited.tag, "v6.1.192" | "v6.12.117");
                if read && recorded.of(&cited).is_none() {
                    missing.push(format!("{}:{}: {}", path.display(), cited.line, cited.function));
                }
            }
        }
    }
    assert!(missing.is_empty(), "`shootdown drift --record` was not run:\n{}", missing.join("\n"));
}
