//! What is wrong is said: where, what, and what to write instead.
//!
//! `tests/bad/NAME.litmus` gives exactly `tests/bad/NAME.stderr`. With `BLESS`
//! set in the environment the answers are written instead of compared.

use std::fs;
use std::path::{Path, PathBuf};

use shootdown_litmus::{
    Diagnostics, Directories, Embedded, Found, Include, LineColumn, MAX_BYTES, NoSources,
    SourceError, Sources, Variant, check_source, read_file, text_of, variants,
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad")
}

fn messages(name: &str, text: &str, sources: &dyn Sources, variant: &Variant) -> String {
    match check_source(name, text, sources, variant) {
        Ok(program) => program.warnings.to_string(),
        Err(messages) => messages.to_string(),
    }
}

#[test]
fn every_mistake_has_its_message() {
    let mut cases = 0;
    let mut wrong = Vec::new();
    let mut entries: Vec<PathBuf> = fs::read_dir(folder())
        .expect("the folder of the cases")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "litmus"))
        .collect();
    entries.sort();
    for path in entries {
        cases += 1;
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("a text");
        let found = messages(&name, &text, &NoSources, &Variant::base());
        assert!(!found.is_empty(), "{name} has nothing wrong");
        let answer = path.with_extension("stderr");
        if std::env::var_os("BLESS").is_some() {
            fs::write(&answer, &found).expect("written");
        } else if fs::read_to_string(&answer).unwrap_or_default() != found {
            wrong.push(format!("{name}:\n{found}"));
        }
    }
    assert!(cases >= 30, "{cases} cases");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_variant_that_does_not_exist() {
    let text = "C t\n{}\n#ifdef LATE\n#endif\nP0(int *x) { }\nexists (x=0)\n";
    let found = messages("t.litmus", text, &NoSources, &Variant::new(["LAET"]));
    assert_eq!(
        found,
        "t.litmus:1:1: error: there is no variant `LAET`\n  |\n1 | C t\n  | ^^^ \
         did you mean `LATE`?\n  |\n  = the file has LATE\n\n"
    );
}

/// A file that includes itself, and friends.
struct Tricks;

impl Sources for Tricks {
    fn read(&self, include: Include<'_>) -> Result<Found, SourceError> {
        let name = include.path.to_owned();
        let text: Vec<u8> = match include.path {
            "self" => b"#include <self>\n".to_vec(),
            "ping" => b"#include <pong>\n".to_vec(),
            "pong" => b"#include <ping>\n".to_vec(),
            "empty" => b" \n".to_vec(),
            "binary" => b"\x7fELF\0\0".to_vec(),
            "latin" => b"// \xe9\n".to_vec(),
            "huge" => vec![b' '; MAX_BYTES + 1],
            "locked" => {
                let reason = "permission denied".to_owned();
                return Err(SourceError::Unreadable { name, reason });
            }
            // Each includes the next twice: a million lines out of twenty.
            path if path.starts_with("double") => {
                let number: u32 = path[6..].parse().expect("a number");
                format!(
                    "#include <double{0}>\n#include <double{0}>\nint v{1};\n",
                    number + 1,
                    number
                )
                .into_bytes()
            }
            _ => {
                return Err(SourceError::NotFound {
                    tried: vec![format!("here/{}", include.path)],
                });
            }
        };
        Ok(Found { name, text })
    }
}

fn first_line_of_include(path: &str) -> String {
    let text = format!("C t\n{{}}\n#include <{path}>\nP0(int *x) {{ }}\n");
    let found = messages("t.litmus", &text, &Tricks, &Variant::base());
    found.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn includes_that_do_not_work() {
    assert_eq!(
        first_line_of_include("nowhere"),
        "t.litmus:3:10: error: cannot find the include file `nowhere`"
    );
    assert_eq!(first_line_of_include("self"), "self:1:10: error: `self` includes itself");
    assert_eq!(first_line_of_include("ping"), "pong:1:10: error: `ping` includes itself");
    assert_eq!(
        first_line_of_include("empty"),
        "t.litmus:3:10: error: cannot use the include file `empty`: the file is empty; \
         a litmus test begins with `C NAME`"
    );
    assert_eq!(
        first_line_of_include("binary"),
        "t.litmus:3:10: error: cannot use the include file `binary`: a binary file (zero byte \
         at offset 4); a litmus test is text"
    );
    assert_eq!(
        first_line_of_include("latin"),
        "t.litmus:3:10: error: cannot use the include file `latin`: not UTF-8 (at offset 3); \
         save it as UTF-8"
    );
    assert_eq!(
        first_line_of_include("huge"),
        "t.litmus:3:10: error: cannot use the include file `huge`: more than 1024 KiB; a litmus \
         test is a page of text, is this the right file?"
    );
    assert_eq!(
        first_line_of_include("locked"),
        "t.litmus:3:10: error: cannot read the include file `locked`: permission denied"
    );
    assert!(first_line_of_include("double0").contains(": error: "));
}

#[test]
fn files_that_are_no_tests() {
    let whole = |result: Result<String, Diagnostics>| result.unwrap_err().to_string();
    assert_eq!(
        whole(text_of("t", b"")),
        "t: error: the file is empty; a litmus test begins with `C NAME`\n"
    );
    assert_eq!(
        whole(text_of("t", b"C\0")),
        "t: error: a binary file (zero byte at offset 1); a litmus test is text\n"
    );
    assert_eq!(
        whole(text_of("t", b"C \xff")),
        "t: error: not UTF-8 (at offset 2); save it as UTF-8\n"
    );
    assert_eq!(
        whole(text_of("t", &vec![b'a'; 100 << 20])),
        "t: error: more than 1024 KiB; a litmus test is a page of text, is this the right file?\n"
    );
    let missing = whole(read_file(Path::new("/nonexistent/t.litmus")));
    assert!(missing.starts_with("/nonexistent/t.litmus: error: cannot be read: "), "{missing}");
    let directory = whole(read_file(&folder()));
    assert!(directory.contains("error: cannot be read: it is a directory"), "{directory}");
    let found = variants("t", "C t\n{\n", &NoSources).unwrap_err().to_string();
    assert!(found.starts_with("t:2:1: error: this `{` has no `}`\n"), "{found}");
}

#[test]
fn includes_are_found_where_they_may_be() {
    let embedded = Embedded(&[("machines/m.mm", "iotlb U <- mm;\n")]);
    let text = "C t\n#include <machine/m>\n{ map a -> Fa; device d : U; }\nD0(int *a) { }\n";
    assert_eq!(messages("t", text, &embedded, &Variant::base()), "");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../litmus");
    let text = text.replace("machine/m>", "machine/iommu-only>").replace("device d : U;", "");
    assert_eq!(messages("t", &text, &Directories(vec![root]), &Variant::base()), "");
}

#[test]
fn lines_and_columns_count_characters_from_one() {
    let text = "C t\n{}\nP0(int *x) { /* \u{e9}\u{e9} */ WRITE_ONCE(*y, 1); }\n";
    let error = check_source("t", text, &NoSources, &Variant::base()).unwrap_err();
    let first = error.iter().next().expect("one message");
    assert_eq!(error.files().position(first.span), LineColumn { line: 3, column: 35 });
    assert_eq!(error.files().text(first.span), "y");
    let text = format!("C t\r\n{{}}\r\n{}P0(int *x) {{ foo(); }}\r\n", "\r\n".repeat(97));
    let error = check_source("t", &text, &NoSources, &Variant::base()).unwrap_err();
    assert!(error.to_string().starts_with("t:100:14: error: unknown primitive `foo`\n"), "{error}");
}

#[test]
fn one_reading_reports_every_mistake() {
    let lines = "    READ_ONCE(;\n".repeat(120);
    let text = format!("C t\n{{}}\nP0(int *x)\n{{\n{lines}}}\n");
    let error = check_source("t", &text, &NoSources, &Variant::base()).unwrap_err();
    assert_eq!(error.len(), 120);
    assert!(error.to_string().ends_with("and 70 more\n"));
}
