//! Puts the digests that `litmus/kernels` records into the library.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

fn main() {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").unwrap_or_default())
        .join("../../litmus/kernels");
    println!("cargo:rerun-if-changed={}", root.display());
    let mut files: Vec<PathBuf> = fs::read_dir(&root)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("digests.tsv"))
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    let mut list = String::from("&[\n");
    for path in files {
        println!("cargo:rerun-if-changed={}", path.display());
        let path = fs::canonicalize(&path).unwrap_or(path);
        // Writing into a string does not fail.
        let _ = writeln!(list, "    include_str!({:?}),", path.display().to_string());
    }
    list.push(']');
    let out = PathBuf::from(env::var("OUT_DIR").unwrap_or_default()).join("recorded.rs");
    fs::write(out, list).expect("the output folder can be written");
}
