//! A suite of one shipped file, whose table is changed.

use std::path::Path;

use shootdown_answers::LIBRARY;
use shootdown_answers::request::Request;
use shootdown_answers::suite::{Case, Opened, Outcome, Shard, TestFile, Work, bless};
use shootdown_explore::Limits;

/// The file without its table.
fn body() -> String {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../litmus/seed/atc-before-iotlb.litmus");
    let text = std::fs::read_to_string(path).expect("a file of the repository");
    text[..text.find("expect {").expect("a table")].to_owned()
}

fn open(table: &str, request: &Request) -> TestFile {
    let text = format!("{}expect {{\n{table}\n}}\n", body());
    TestFile::open("t.litmus", &text, &LIBRARY, request).unwrap_or_else(|wrong| panic!("{wrong}"))
}

fn run(file: &TestFile, request: &Request) -> Vec<Case> {
    let work = Work { files: vec![Opened::Right(Box::new(file.clone()))] };
    work.run(&LIBRARY, request, Shard::WHOLE, 2, &|_, _| ())
}

fn outcomes(table: &str, request: &Request) -> Vec<(String, Outcome)> {
    let cases = run(&open(table, request), request);
    cases.into_iter().map(|case| (case.name, case.outcome)).collect()
}

#[test]
fn a_setting_is_run_as_its_line_says_or_not_at_all() {
    use Outcome::{AsExpected, Differs, NotCovered};
    let table = "* : clean, Never; ATC_FIRST : clean; ATC_FIRST machine iommu-only : clean;
                 ATC_FIRST model lkmm : clean; NO_SYNC_BETWEEN : FREE at \"put_page\", RETURN, REST;
                 NO_SYNC_BETWEEN param Q=in_order : clean, Never; * param wibble=yes : clean;";
    let found = outcomes(table, &Request::default());
    let found: Vec<(&str, Outcome)> =
        found.iter().map(|(name, outcome)| (&**name, *outcome)).collect();
    assert_eq!(
        found,
        [
            ("base", AsExpected),
            ("base wibble=yes", NotCovered),
            ("ATC_FIRST", Differs),
            ("ATC_FIRST machine=iommu-only", NotCovered),
            ("ATC_FIRST lkmm", NotCovered),
            ("ATC_FIRST wibble=yes", NotCovered),
            ("NO_SYNC_BETWEEN", AsExpected),
            ("NO_SYNC_BETWEEN Q=in_order", AsExpected),
            ("NO_SYNC_BETWEEN wibble=yes", NotCovered),
        ]
    );
}

#[test]
fn what_no_line_speaks_about_and_what_was_cut_short() {
    let found = outcomes("ATC_FIRST : FREE, RETURN, REST;", &Request::default());
    assert_eq!(found[0], ("base".to_owned(), Outcome::Unjudged));
    let limits = Limits { states: 3, ..Limits::default() };
    let short = Request { limits, ..Request::default() };
    assert_eq!(outcomes("* : clean;", &short)[0].1, Outcome::Unknown);
    let file = open("* : clean;", &short);
    let blessing = bless(&file, &run(&file, &short), &LIBRARY, &short, true);
    assert!(blessing.edits.is_empty() && blessing.text == file.text);
}

#[test]
fn a_file_that_expects_nothing_and_violates_something() {
    let request = Request::default();
    let file = TestFile::open("t.litmus", &body(), &LIBRARY, &request).expect("right");
    let cases = run(&file, &request);
    let outcomes: Vec<Outcome> = cases.iter().map(|case| case.outcome).collect();
    assert_eq!(outcomes, [Outcome::Unjudged, Outcome::Differs, Outcome::Differs]);
    assert!(cases[1].lines[0].contains("FREE: found violated, and the file expects nothing"));
}

#[test]
fn blessed_lines() {
    let request = Request::default();
    let table = "    *               : clean, Never;
    ATC_FIRST       : FREE at \"put_page\", Sometimes; // one
    NO_SYNC_BETWEEN : clean;";
    let file = open(table, &request);
    let cases = run(&file, &request);
    let blessing = bless(&file, &cases, &LIBRARY, &request, false);
    // Two obligations more: the table says more. Clean no longer: it says less.
    assert_eq!(blessing.edits.len(), 1);
    assert!(blessing.text.contains("// one"), "{}", blessing.text);
    assert_eq!(blessing.refused.len(), 1);
    assert!(blessing.refused[0].contains("add --force"), "{:?}", blessing.refused);
    let forced = bless(&file, &cases, &LIBRARY, &request, true);
    let file = TestFile::open("t.litmus", &forced.text, &LIBRARY, &request).expect("right");
    assert!(
        run(&file, &request).iter().all(|case| case.outcome == Outcome::AsExpected),
        "{}",
        forced.text
    );
    let again = bless(&file, &run(&file, &request), &LIBRARY, &request, true);
    assert_eq!(again.text, forced.text);
}

#[test]
fn a_line_for_checks_that_found_different_things() {
    let request = Request::default();
    let file = open("    * : clean;", &request);
    let blessing = bless(&file, &run(&file, &request), &LIBRARY, &request, true);
    assert!(blessing.edits.is_empty());
    assert!(blessing.refused[0].contains("give each a line of its own"), "{:?}", blessing.refused);
}
