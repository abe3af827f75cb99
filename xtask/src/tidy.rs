//! `cargo xtask tidy`: rules of the repository that no compiler checks.
//!
//! Each check is a function from the files (or the packages) to findings, so
//! that its tests can break a fixture and see it noticed.

use crate::finding::{Finding, Level, report};
use crate::metadata::{self, Package};
use crate::tree::{Tree, root};

#[cfg(test)]
mod fixture;
mod invariants;
mod layers;
mod manifests;
mod safety;
mod table;
mod tests;
mod text;

pub(crate) fn run() -> Result<(), String> {
    let root = root();
    let tree = Tree::read(&root)?;
    let packages = metadata::read(&root)?;
    let mut findings = check(&tree, &packages, &table::rows());
    findings.extend(crate::zoo::check(&root));
    let warnings = findings.iter().filter(|finding| finding.level == Level::Warning).count();
    report(findings, "tidy")?;
    println!("tidy: ok ({warnings} warnings)");
    Ok(())
}

fn check(tree: &Tree, packages: &[Package], rows: &[table::Row]) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(invariants::check(tree));
    findings.extend(safety::check(tree));
    findings.extend(table::check(tree, rows));
    findings.extend(text::check(tree));
    findings.extend(manifests::check(packages));
    findings.extend(layers::check(packages));
    findings
}
