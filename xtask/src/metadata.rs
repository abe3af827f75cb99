//! The workspace's packages, as cargo sees them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// A member of the workspace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Path of its manifest from the repository's root.
    pub(crate) manifest: String,
    pub(crate) description: Option<String>,
    pub(crate) license: Option<String>,
    pub(crate) rust_version: Option<String>,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) features: BTreeMap<String, Vec<String>>,
    /// Names of its integration tests.
    pub(crate) tests: Vec<String>,
}

/// What a package asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `dev` or `build`; nothing for a normal dependency.
    pub(crate) kind: Option<String>,
    /// `cfg(loom)`, or nothing if it does not depend on the target.
    pub(crate) target: Option<String>,
}

/// Asks cargo for the members of the workspace.
pub(crate) fn read(root: &Path) -> Result<Vec<Package>, String> {
    let output = Command::new("cargo")
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let json: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("cargo metadata: {error}"))?;
    Ok(list(&json["packages"]).iter().map(|package| parse(package, root)).collect())
}

fn parse(package: &Value, root: &Path) -> Package {
    let manifest = text(&package["manifest_path"]).unwrap_or_default();
    let manifest = Path::new(&manifest).strip_prefix(root).unwrap_or(Path::new(&manifest));
    Package {
        name: text(&package["name"]).unwrap_or_default(),
        manifest: manifest.to_string_lossy().replace('\\', "/"),
        description: text(&package["description"]),
        license: text(&package["license"]),
        rust_version: text(&package["rust_version"]),
        dependencies: list(&package["dependencies"])
            .iter()
            .map(|dependency| Dependency {
                name: text(&dependency["name"]).unwrap_or_default(),
                kind: text(&dependency["kind"]),
                target: text(&dependency["target"]),
            })
            .collect(),
        features: package["features"]
            .as_object()
            .map(|features| {
                let strings = |value: &Value| list(value).iter().filter_map(text).collect();
                features.iter().map(|(name, value)| (name.clone(), strings(value))).collect()
            })
            .unwrap_or_default(),
        tests: list(&package["targets"])
            .iter()
            .filter(|target| list(&target["kind"]).iter().any(|kind| kind == "test"))
            .filter_map(|target| text(&target["name"]))
            .collect(),
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
