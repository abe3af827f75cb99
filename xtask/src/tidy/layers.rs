//! Arrows between the crates point one way.

use crate::finding::Finding;
use crate::metadata::Package;

/// Each crate and those below it that it may depend on: two wings with one
/// spine. A crate stands after everything that may depend on it.
const LAYERS: [(&str, &[&str]); 16] = [
    (
        "shootdown",
        &[
            "shootdown-drift",
            "shootdown-trace",
            "shootdown-live",
            "shootdown-survey",
            "shootdown-clients",
            "shootdown-answers",
            "shootdown-litmus",
            "shootdown-explore",
            "address-space",
            "secondary-tlb",
            "mmu-notifier",
            "mmu-protocol",
        ],
    ),
    // Kernel sources against what was read of them; knows no other crate.
    ("shootdown-drift", &[]),
    // Both wings: what the one finds, the other plays.
    (
        "shootdown-live",
        &[
            "shootdown-answers",
            "shootdown-machine",
            "shootdown-step",
            "shootdown-explore",
            "shootdown-litmus",
            "address-space",
            "secondary-tlb",
            "mmu-notifier",
            "mmu-protocol",
        ],
    ),
    // The wing that checks.
    (
        "shootdown-survey",
        &["shootdown-clients", "shootdown-answers", "shootdown-litmus", "mmu-protocol"],
    ),
    ("shootdown-clients", &["shootdown-litmus"]),
    (
        "shootdown-answers",
        &[
            "shootdown-step",
            "shootdown-machine",
            "shootdown-explore",
            "shootdown-litmus",
            "mmu-protocol",
        ],
    ),
    (
        "shootdown-machine-naive",
        &[
            "shootdown-machine",
            "shootdown-step",
            "shootdown-explore",
            "shootdown-litmus",
            "mmu-protocol",
        ],
    ),
    (
        "shootdown-machine",
        &["shootdown-step", "shootdown-explore", "shootdown-litmus", "mmu-protocol"],
    ),
    ("shootdown-step", &["shootdown-litmus", "mmu-protocol"]),
    ("shootdown-litmus", &["mmu-protocol"]),
    ("shootdown-explore", &[]),
    // The wing that runs. Its stress tests are monitored with the rules for recordings.
    ("address-space", &["shootdown-trace", "secondary-tlb", "mmu-notifier", "mmu-protocol"]),
    ("secondary-tlb", &["mmu-notifier", "mmu-protocol"]),
    ("mmu-notifier", &["mmu-protocol"]),
    // Recordings of running kernels, and running address spaces, against the protocol.
    ("shootdown-trace", &["mmu-protocol"]),
    // The spine.
    ("mmu-protocol", &[]),
];

pub(super) fn check(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let ours = |name: &str| packages.iter().any(|package| package.name == name);
    for package in packages.iter().filter(|package| package.manifest.starts_with("crates/")) {
        let error = |message: String| Finding::error(&package.manifest, 1, message);
        let Some((_, below)) = LAYERS.iter().find(|(name, _)| *name == package.name) else {
            findings.push(error(format!(
                "{} has no place among the layers; give it one in xtask/src/tidy/layers.rs",
                package.name
            )));
            continue;
        };
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            if (ours(name) || LAYERS.iter().any(|(layer, _)| *layer == name))
                && !below.contains(&name)
            {
                findings.push(error(format!(
                    "{} depends on {name}; arrows point down, and from here to {below:?} only: \
                     move what is shared to a lower crate",
                    package.name
                )));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{assert_one, normal, package, packages};
    use super::*;

    #[test]
    fn a_crate_that_depends_upwards() {
        let mut packages = packages();
        package(&mut packages, "secondary-tlb").dependencies.push(normal("address-space"));
        let place = "crates/secondary-tlb/Cargo.toml:1: error: ";
        assert_one(&check(&packages), place, "depends on address-space");
    }

    #[test]
    fn a_test_that_depends_upwards() {
        let mut packages = packages();
        let mut dependency = normal("shootdown");
        dependency.kind = Some("dev".to_owned());
        package(&mut packages, "mmu-notifier").dependencies.push(dependency);
        let place = "crates/mmu-notifier/Cargo.toml:1: error: ";
        assert_one(&check(&packages), place, "depends on shootdown");
    }

    #[test]
    fn a_crate_that_depends_on_the_checks() {
        let mut packages = packages();
        package(&mut packages, "shootdown").dependencies.push(normal("xtask"));
        assert_one(&check(&packages), "crates/shootdown/Cargo.toml:1: ", "depends on xtask");
    }

    #[test]
    fn a_crate_that_nobody_has_placed() {
        let mut packages = packages();
        package(&mut packages, "shootdown").name = "shoot".to_owned();
        assert_one(&check(&packages), "crates/shootdown/Cargo.toml:1: ", "no place");
    }

    #[test]
    fn the_layers_have_no_cycle() {
        for (place, (name, below)) in LAYERS.iter().enumerate() {
            for lower in *below {
                let at = LAYERS.iter().position(|(layer, _)| layer == lower);
                assert!(at.is_some_and(|at| at > place), "{name} -> {lower}");
            }
        }
    }
}
