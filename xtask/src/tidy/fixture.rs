//! A small repository in which every check is content. The tests break it.

use super::table::Row;
use crate::finding::Finding;
use crate::metadata::{Dependency, Package};
use crate::tree::Tree;

pub(super) const TOKEN: &str = "crates/mmu-notifier/src/token.rs";
pub(super) const TEST: &str = "crates/mmu-notifier/tests/placements.rs";
pub(super) const TRANSITION: &str = "crates/mmu-protocol/src/transition.rs";
pub(super) const ARCHITECTURE: &str = "ARCHITECTURE.md";

pub(super) fn tree() -> Tree {
    let mut tree = Tree::default();
    tree.insert(
        TOKEN,
        "//! **INV-PAGE**: the page stays in the token.\n\
         \n\
         impl<P: Platform> Token<'_, P> {\n\
         \x20   /// Stores.\n\
         \x20   pub fn set(self) {\n\
         \x20       // SAFETY: INV-PAGE: taken once.\n\
         \x20       let page =\n\
         \x20           unsafe { take() };\n\
         \x20   }\n\
         }\n\
         \n\
         // SAFETY: INV-PAGE: it is owned.\n\
         unsafe impl Send for Token {}\n\
         \n\
         /// Takes.\n\
         ///\n\
         /// # Safety\n\
         ///\n\
         /// INV-PAGE: once.\n\
         #[inline]\n\
         unsafe fn take() {}\n",
    );
    tree.insert(TRANSITION, "method: \"Token::set\",\ntest: \"late_notify_shows_old_data\",\n");
    tree.insert(TEST, "#[test]\nfn late_notify_shows_old_data() {}\n");
    tree.insert(
        ARCHITECTURE,
        "| id | statement | defined in | proven |\n\
         |---|---|---|---|\n\
         | INV-PAGE | once | `crates/mmu-notifier/src/token.rs` | by type; by test: `late_notify_shows_old_data` |\n",
    );
    tree
}

pub(super) fn rows() -> Vec<Row> {
    vec![Row { method: "Token::set", test: "late_notify_shows_old_data" }]
}

pub(super) fn packages() -> Vec<Package> {
    let chain =
        ["mmu-protocol", "mmu-notifier", "secondary-tlb", "address-space", "shootdown", "xtask"];
    let mut packages: Vec<Package> = Vec::new();
    for name in chain {
        let below = packages.iter().rev().map(|package| normal(&package.name)).collect();
        let folder = if name == "xtask" { "xtask".to_owned() } else { format!("crates/{name}") };
        packages.push(Package {
            name: name.to_owned(),
            manifest: format!("{folder}/Cargo.toml"),
            description: Some("What it is".to_owned()),
            license: Some("MIT OR Apache-2.0".to_owned()),
            rust_version: Some("1.85".to_owned()),
            dependencies: below,
            ..Package::default()
        });
    }
    package(&mut packages, "mmu-notifier").dependencies.push(Dependency {
        name: "loom".to_owned(),
        kind: None,
        target: Some("cfg(loom)".to_owned()),
    });
    packages
}

pub(super) fn normal(name: &str) -> Dependency {
    Dependency { name: name.to_owned(), kind: None, target: None }
}

pub(super) fn package<'p>(packages: &'p mut [Package], name: &str) -> &'p mut Package {
    packages.iter_mut().find(|package| package.name == name).expect("the fixture has it")
}

/// Asserts that there is one finding, at this place, and that it says this.
#[track_caller]
pub(super) fn assert_one(findings: &[Finding], place: &str, says: &str) {
    let shown: Vec<String> = findings.iter().map(Finding::to_string).collect();
    assert_eq!(shown.len(), 1, "one finding expected: {shown:#?}");
    assert!(shown[0].starts_with(place), "{place:?} expected: {}", shown[0]);
    assert!(shown[0].contains(says), "{says:?} expected: {}", shown[0]);
}

#[test]
fn every_check_is_content_with_the_fixture() {
    assert_eq!(super::check(&tree(), &packages(), &rows()), []);
}
