//! Puts the machines and kernels of `litmus/` into the library.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let root =
        PathBuf::from(env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../../litmus");
    let mut files = Vec::new();
    for folder in ["machines", "kernels", "seed", "paths", "table"] {
        println!("cargo:rerun-if-changed={}", root.join(folder).display());
        collect(&root.join(folder), Path::new(folder), &mut files);
    }
    files.sort();
    let mut list = String::from("&[\n");
    for (name, path) in files {
        println!("cargo:rerun-if-changed={}", path.display());
        let path = fs::canonicalize(&path).unwrap_or(path);
        // Writing into a string does not fail.
        let _ = writeln!(list, "    ({name:?}, include_str!({:?})),", path.display().to_string());
    }
    list.push(']');
    let out = PathBuf::from(env::var("OUT_DIR").unwrap_or_default()).join("library.rs");
    fs::write(out, list).expect("the output folder can be written");
}

fn collect(folder: &Path, name: &Path, files: &mut Vec<(String, PathBuf)>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), name.join(entry.file_name()));
        if path.is_dir() {
            collect(&path, &name, files);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "mm" || extension == "litmus")
        {
            files.push((name.display().to_string(), path));
        }
    }
}
