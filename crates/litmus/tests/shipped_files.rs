//! Every file of `litmus/` parses and checks, in every variant.

use std::fs;
use std::path::{Path, PathBuf};

use shootdown_litmus::{
    Directories, HowOften, ResultWord, Variant, check_source, read_file, variants,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../litmus")
}

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let listing = fs::read_dir(root().join(folder)).expect("a folder of the repository");
    let mut files: Vec<PathBuf> = listing
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .collect();
    files.sort();
    files
}

/// Checks all variants of a file; gives how many there are, and the messages.
fn check(path: &Path) -> (usize, String) {
    let sources = Directories(vec![root()]);
    let name = path.file_name().expect("a file").to_string_lossy().into_owned();
    let text = read_file(path).expect("a text");
    let offered = match variants(&name, &text, &sources) {
        Ok(offered) => offered,
        Err(messages) => return (0, messages.to_string()),
    };
    let mut out = String::new();
    for variant in &offered.listed {
        match check_source(&name, &text, &sources, variant) {
            Ok(program) => out.push_str(&program.warnings.to_string()),
            Err(messages) => out.push_str(&format!("{variant}:\n{messages}")),
        }
    }
    (offered.listed.len(), out)
}

#[test]
fn every_seed_checks_in_every_variant() {
    let files = files("seed", "litmus");
    assert_eq!(files.len(), 12);
    let mut all = 0;
    for path in files {
        let (count, messages) = check(&path);
        assert_eq!(messages, "");
        assert!(count >= 2, "{} has no variants", path.display());
        all += count;
    }
    assert_eq!(all, 52);
}

#[test]
fn every_path_call_and_check_is_judged_in_every_variant() {
    use shootdown_litmus::Setting;
    for folder in ["user", "paths", "checks"] {
        let files = files(folder, "litmus");
        assert!(!files.is_empty(), "{folder}");
        for path in files {
            let (count, messages) = check(&path);
            assert_eq!(messages, "", "{}", path.display());
            // Half of a cycle over two files is right as it is.
            let half = path
                .file_stem()
                .is_some_and(|stem| stem.to_string_lossy().starts_with("lock-order-"));
            assert!(count >= 2 || half, "{} has no variants", path.display());
            let sources = Directories(vec![root()]);
            let text = read_file(&path).expect("a text");
            let offered = variants("t", &text, &sources).expect("a file that parses");
            for variant in offered.listed {
                let program =
                    check_source("t", &text, &sources, &variant).expect("a file that checks");
                // Under sc, or for what only weaker processors show, under ra.
                let judged = |model| {
                    let setting = Setting { variant: variant.clone(), model, ..Setting::default() };
                    program.expectations.judge(&setting)
                };
                let line = judged("sc").filter(|line| line.outcome.is_some()).or(judged("ra"));
                let line = line.unwrap_or_else(|| panic!("{}: {variant}", path.display()));
                assert!(!line.claims.is_empty(), "{}: {variant}", path.display());
                assert!(line.outcome.is_some(), "{}: {variant}", path.display());
            }
        }
    }
}

#[test]
fn every_kernel_shape_checks_and_says_its_result() {
    let files = files("lkmm", "litmus");
    let (mut plain, mut sometimes) = (0, 0);
    for path in files {
        let (count, messages) = check(&path);
        assert_eq!((count, messages.as_str()), (1, ""), "{}", path.display());
        let text = read_file(&path).expect("a text");
        let program =
            check_source("t", &text, &Directories::default(), &Variant::base()).expect("checked");
        let stem = path.file_stem().expect("a file").to_string_lossy();
        assert_eq!(*program.header.name, *stem);
        let result = program.header.result.expect("a Result: line");
        assert!(!result.data_race);
        assert!(program.not_covered.is_empty());
        // The table of the tools' survey has those without grace periods.
        if !text.contains("rcu_read_lock(") && !text.contains("synchronize_") {
            plain += 1;
            sometimes += usize::from(result.word == ResultWord::Sometimes);
        }
    }
    assert_eq!((plain, sometimes), (33, 12), "as the table of the tools' survey has it");
}

#[test]
fn every_seed_says_what_it_expects_of_each_variant() {
    use shootdown_litmus::Setting;
    for path in files("seed", "litmus") {
        let sources = Directories(vec![root()]);
        let text = read_file(&path).expect("a text");
        let offered = variants("t", &text, &sources).expect("a file that parses");
        let program =
            check_source("t", &text, &sources, &Variant::base()).expect("a file that checks");
        for variant in offered.listed {
            let setting = Setting { variant: variant.clone(), model: "sc", ..Setting::default() };
            let line = program.expectations.judge(&setting);
            let line = line.unwrap_or_else(|| panic!("{}: {variant}", path.display()));
            assert!(!line.claims.is_empty(), "{}: {variant}", path.display());
            if variant.is_base() && line.outcome.is_some() {
                assert_eq!(line.outcome, Some(HowOften::Never), "{}", path.display());
            }
        }
    }
}
