//! What a manifest has to say, and what the libraries may depend on.

use crate::finding::Finding;
use crate::metadata::Package;

/// The library crates that others embed, and all they may depend on.
const LIBRARIES: [(&str, &[&str]); 2] =
    [("mmu-protocol", &[]), ("mmu-notifier", &["mmu-protocol"])];
/// Builds for a model checker may bring it along.
const MODEL_CHECKED: [&str; 2] = ["cfg(loom)", "cfg(shuttle)"];

pub(super) fn check(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let mut error = |message: String| {
            findings.push(Finding::error(&package.manifest, 1, message));
        };
        let fields = [
            ("description", &package.description),
            ("license", &package.license),
            ("rust-version", &package.rust_version),
        ];
        for (field, value) in fields {
            if value.as_ref().is_none_or(|value| value.is_empty()) {
                error(format!("{} has no {field}; add one to [package]", package.name));
            }
        }
        let Some((_, allowed)) = LIBRARIES.iter().find(|(name, _)| *name == package.name) else {
            continue;
        };
        for dependency in &package.dependencies {
            let checked =
                dependency.target.as_deref().is_some_and(|cfg| MODEL_CHECKED.contains(&cfg));
            let dev = dependency.kind.as_deref() == Some("dev");
            if !dev && !checked && !allowed.contains(&dependency.name.as_str()) {
                error(format!(
                    "{} depends on {}; whoever embeds it gets no dependency but {allowed:?}: \
                     do without, or move it under cfg(loom), cfg(shuttle) or dev-dependencies",
                    package.name, dependency.name
                ));
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
    fn a_field_that_is_missing() {
        let mut packages = packages();
        package(&mut packages, "shootdown").description = None;
        assert_one(&check(&packages), "crates/shootdown/Cargo.toml:1: error: ", "no description");
        package(&mut packages, "shootdown").description = Some("A program".to_owned());
        package(&mut packages, "shootdown").license = None;
        assert_one(&check(&packages), "crates/shootdown/Cargo.toml:1: error: ", "no license");
        package(&mut packages, "shootdown").license = Some("MIT".to_owned());
        package(&mut packages, "shootdown").rust_version = None;
        assert_one(&check(&packages), "crates/shootdown/Cargo.toml:1: error: ", "no rust-version");
    }

    #[test]
    fn a_library_with_a_dependency() {
        for library in ["mmu-protocol", "mmu-notifier"] {
            let mut packages = packages();
            package(&mut packages, library).dependencies.push(normal("libc"));
            let place = format!("crates/{library}/Cargo.toml:1: error: ");
            assert_one(&check(&packages), &place, "depends on libc");
        }
    }

    #[test]
    fn a_model_checker_in_every_build() {
        let mut packages = packages();
        let notifier = package(&mut packages, "mmu-notifier");
        notifier.dependencies.iter_mut().for_each(|dependency| dependency.target = None);
        let place = "crates/mmu-notifier/Cargo.toml:1: error: ";
        assert_one(&check(&packages), place, "depends on loom");
    }

    #[test]
    fn a_dev_dependency_is_nobodys_business() {
        let mut packages = packages();
        let mut dependency = normal("trybuild");
        dependency.kind = Some("dev".to_owned());
        package(&mut packages, "mmu-notifier").dependencies.push(dependency);
        assert_eq!(check(&packages), []);
    }
}
