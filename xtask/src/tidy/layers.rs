//! Arrows between the crates point one way.

use crate::finding::Finding;
use crate::metadata::Package;

/// From the top down: a crate may depend on those that come after it.
const LAYERS: [&str; 5] =
    ["shootdown", "address-space", "secondary-tlb", "mmu-notifier", "mmu-protocol"];

pub(super) fn check(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages.iter().filter(|package| package.manifest.starts_with("crates/")) {
        let error = |message: String| Finding::error(&package.manifest, 1, message);
        let Some(layer) = layer(&package.name) else {
            findings.push(error(format!(
                "{} has no place among the layers ({}); give it one in xtask",
                package.name,
                LAYERS.join(" -> ")
            )));
            continue;
        };
        for dependency in &package.dependencies {
            let upwards = self::layer(&dependency.name).is_some_and(|below| below <= layer);
            if upwards || packages.iter().any(|other| is_outside(other, &dependency.name)) {
                findings.push(error(format!(
                    "{} depends on {}; arrows point down ({}): move what is shared to the \
                     lower crate",
                    package.name,
                    dependency.name,
                    LAYERS.join(" -> ")
                )));
            }
        }
    }
    findings
}

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| *layer == name)
}

/// A member of the workspace that no crate may depend on: this program.
fn is_outside(package: &Package, name: &str) -> bool {
    package.name == name && !package.manifest.starts_with("crates/")
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
}
