//! `cargo xtask libraries`: the library crates build alone, without an
//! operating system, without an allocator, and with the oldest compiler that
//! they promise.

use std::process::Command;

use crate::metadata::{self, Package};
use crate::process::{attempt, run as run_command, toolchain};
use crate::tree::root;

/// The crates that others embed.
pub(crate) const LIBRARIES: [&str; 3] = ["mmu-protocol", "mmu-notifier", "secondary-tlb"];
/// A target with neither an operating system nor `std`.
const BARE: &str = "x86_64-unknown-none";

pub(crate) fn run() -> Result<(), String> {
    let packages = metadata::read(&root())?;
    let target = bare_target();
    for name in LIBRARIES {
        let package = packages.iter().find(|package| package.name == name);
        let package = package.ok_or_else(|| format!("no package {name} in the workspace"))?;
        for features in bare_feature_sets(package) {
            build(name, &features, target)?;
        }
        build(name, &[], None)?;
    }
    for name in LIBRARIES {
        let package = packages.iter().find(|package| package.name == name);
        oldest_compiler(package.expect("it was there before"))?;
    }
    println!("libraries: ok");
    Ok(())
}

/// Without features, and with `alloc` where the crate has it.
fn bare_feature_sets(package: &Package) -> Vec<Vec<&'static str>> {
    let mut sets = vec![vec!["--no-default-features"]];
    if package.features.contains_key("alloc") {
        sets.push(vec!["--no-default-features", "--features", "alloc"]);
    } else {
        println!("{}: has no feature `alloc`", package.name);
    }
    sets
}

/// Installs the bare target if need be; `None` if it cannot be had.
fn bare_target() -> Option<&'static str> {
    let installed =
        Command::new("rustc").args(["--print", "target-libdir", "--target", BARE]).output();
    let there = installed.ok().filter(|output| output.status.success()).is_some_and(|output| {
        std::path::Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir()
    });
    if there {
        return Some(BARE);
    }
    match attempt(Command::new("rustup").args(["target", "add", BARE])) {
        Ok(_) => Some(BARE),
        Err(reason) => {
            println!("NOT BUILT FOR {BARE}: {reason}");
            println!("    built for this machine instead, with the same features: an accidental");
            println!("    use of std would not be found");
            None
        }
    }
}

fn build(name: &str, features: &[&str], target: Option<&str>) -> Result<(), String> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root()).args(["build", "--quiet", "--package", name]).args(features);
    if let Some(target) = target {
        cargo.args(["--target", target]);
    }
    run_command(&mut cargo)
}

/// Checks with the compiler of `rust-version`, or, where it cannot be had,
/// with clippy's list of when each part of the standard library appeared.
fn oldest_compiler(package: &Package) -> Result<(), String> {
    let version = package.rust_version.as_deref();
    let version = version.ok_or_else(|| format!("{} has no rust-version", package.name))?;
    match have_toolchain(version) {
        Ok(()) => {
            for features in [&[][..], &["--no-default-features"]] {
                let mut cargo = toolchain(version, "cargo");
                cargo.current_dir(root()).args(["check", "--quiet", "--package", &package.name]);
                let target = target_directory().join(format!("rust-{version}"));
                cargo.args(features).arg("--target-dir").arg(target);
                run_command(&mut cargo)?;
            }
            Ok(())
        }
        Err(reason) => {
            println!("NOT CHECKED WITH RUST {version}: {}: {reason}", package.name);
            println!("    checked instead: no part of the standard library that is newer");
            let mut cargo = Command::new("cargo");
            cargo.current_dir(root()).args(["clippy", "--quiet", "--package", &package.name]);
            cargo.args(["--", "--deny", "clippy::incompatible_msrv"]);
            run_command(&mut cargo)
        }
    }
}

fn have_toolchain(version: &str) -> Result<(), String> {
    let present = || attempt(toolchain(version, "rustc").arg("--version")).map(drop);
    present().or_else(|_| {
        eprintln!("$ rustup toolchain install {version} --profile minimal");
        attempt(Command::new("rustup").args([
            "toolchain",
            "install",
            version,
            "--profile",
            "minimal",
        ]))?;
        present()
    })
}

/// Where build output goes: each kind of build that would overwrite another's
/// has a directory of its own in it.
pub(crate) fn target_directory() -> std::path::PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => root().join(directory),
        None => root().join("target"),
    }
}
