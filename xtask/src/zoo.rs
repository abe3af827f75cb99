//! `cargo xtask zoo`: the table of documented bugs, docs/zoo.md.
//!
//! `litmus/zoo/index.tsv` lists every bug, the files beside it those that can
//! be said. A bug counts as found and clear if its file claims that the fix (no
//! switch) is clean and that `BUGGY` breaks something; whether the claims hold
//! is for `shootdown test` to say. The table only grows: a bug that the
//! document calls found and clear has to stay so.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::finding::{Finding, report};
use crate::tree::root;

const FOLDER: &str = "litmus/zoo";
const INDEX: &str = "litmus/zoo/index.tsv";
const TABLE: &str = "docs/zoo.md";
const FOUND: &str = "found and clear";

/// A line of the index.
#[derive(Clone, Debug)]
struct Row {
    line: usize,
    name: String,
    class: String,
    year: String,
    grade: String,
    features: String,
    source: String,
    /// Why there is no file.
    status: String,
}

/// What a file says of itself.
#[derive(Clone, Debug, Default)]
struct Bug {
    header: BTreeMap<String, String>,
    /// The base is claimed to be clean.
    clear: bool,
    /// What `BUGGY` is claimed to break.
    found: Option<String>,
}

/// Texts of a zoo; in tests no disk is needed.
#[derive(Clone, Debug, Default)]
struct Zoo {
    index: String,
    /// By name of the bug.
    files: BTreeMap<String, String>,
    /// The document as it stands.
    table: String,
}

impl Zoo {
    fn read(root: &Path) -> Result<Zoo, String> {
        let text = |path: &str| {
            fs::read_to_string(root.join(path)).map_err(|error| format!("{path}: {error}"))
        };
        let mut zoo = Zoo { index: text(INDEX)?, ..Zoo::default() };
        zoo.table = text(TABLE).unwrap_or_default();
        let listing = fs::read_dir(root.join(FOLDER)).map_err(|e| format!("{FOLDER}: {e}"))?;
        for entry in listing {
            let path = entry.map_err(|error| format!("{FOLDER}: {error}"))?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if let Some(bug) = name.strip_suffix(".litmus") {
                zoo.files.insert(bug.to_owned(), text(&format!("{FOLDER}/{name}"))?);
            }
        }
        Ok(zoo)
    }
}

/// Writes the table.
pub(crate) fn run() -> Result<(), String> {
    let root = root();
    let zoo = Zoo::read(&root)?;
    let (text, mut findings) = table(&zoo);
    findings.extend(lost(&zoo));
    report(findings, "zoo")?;
    fs::write(root.join(TABLE), &text).map_err(|error| format!("{TABLE}: {error}"))?;
    let found = text.lines().filter(|line| is_found(line)).count();
    println!("zoo: ok ({found} of {} {FOUND})", rows(&zoo.index).0.len());
    Ok(())
}

/// For `tidy`: the table is current.
pub(crate) fn check(root: &Path) -> Vec<Finding> {
    match Zoo::read(root) {
        Ok(zoo) => checked(&zoo),
        Err(message) => vec![Finding::error(INDEX, 1, message)],
    }
}

fn checked(zoo: &Zoo) -> Vec<Finding> {
    let (text, mut findings) = table(zoo);
    findings.extend(lost(zoo));
    if findings.is_empty() && text != zoo.table {
        let same = |(at, line): &(usize, &str)| zoo.table.lines().nth(*at) == Some(line);
        let line = text.lines().enumerate().take_while(same).count() + 1;
        let message = "not what the files and the index say; run `cargo xtask zoo`";
        findings.push(Finding::error(TABLE, line, message));
    }
    findings
}

fn rows(index: &str) -> (Vec<Row>, Vec<Finding>) {
    let (mut rows, mut findings) = (Vec::<Row>::new(), Vec::new());
    for (at, text) in index.lines().enumerate() {
        if text.starts_with('#') || text.is_empty() {
            continue;
        }
        let columns: Vec<&str> = text.split('\t').collect();
        let [name, class, year, grade, features, source, status] = columns[..] else {
            let message = format!("{} columns instead of 7, with tabs between", columns.len());
            findings.push(Finding::error(INDEX, at + 1, message));
            continue;
        };
        if rows.iter().any(|row| row.name == name) {
            findings.push(Finding::error(INDEX, at + 1, format!("a second row for `{name}`")));
        }
        rows.push(Row {
            line: at + 1,
            name: name.to_owned(),
            class: class.to_owned(),
            year: year.to_owned(),
            grade: grade.to_owned(),
            features: features.to_owned(),
            source: source.to_owned(),
            status: status.to_owned(),
        });
    }
    (rows, findings)
}

/// Reads the header's `Key=value` lines and the `expect` table. The variant with
/// the bug is `BUGGY`, or what the header calls `Buggy=`.
fn bug(text: &str) -> Bug {
    let mut bug = Bug::default();
    let (mut table, mut weaker) = (false, false);
    for line in text.lines() {
        if !table {
            if let Some((key, value)) = line.split_once('=')
                && !key.is_empty()
                && key.chars().all(|c| c.is_ascii_alphabetic())
            {
                bug.header.entry(key.to_owned()).or_insert_with(|| value.trim().to_owned());
            }
            table = line.starts_with("expect {");
            continue;
        }
        let Some((left, right)) = line.split_once(':') else { continue };
        let claims: Vec<&str> = right.split(';').next().unwrap_or("").split(',').collect();
        let claims: Vec<&str> = claims.into_iter().map(str::trim).collect();
        let (variant, setting) = setting(left);
        let buggy = bug.header.get("Buggy").map_or("BUGGY", String::as_str);
        match variant.as_str() {
            "*" if setting.is_empty() => {
                bug.clear = claims.contains(&"clean");
                weaker = claims.contains(&"uncovered");
            }
            // Where processors are weaker than the other models, `ra` answers.
            "*" if weaker && setting == "model ra" => bug.clear = claims.contains(&"clean"),
            variant if variant == buggy && bug.found.is_none() => {
                let broken: Vec<&str> = claims
                    .into_iter()
                    .filter(|claim| {
                        let quiet = ["clean", "unexercised", "uncovered", "Never", "Sometimes"];
                        !claim.is_empty() && !quiet.contains(claim) && *claim != "Always"
                    })
                    .collect();
                if !broken.is_empty() {
                    let under = if setting.is_empty() { "" } else { " under " };
                    bug.found = Some(format!("{}{under}{setting}", broken.join(", ")));
                }
            }
            _ => {}
        }
    }
    bug
}

/// The left side of a claim: the variant, and what else has to be chosen.
fn setting(left: &str) -> (String, String) {
    let words: Vec<&str> = left.split_whitespace().collect();
    let other = |word: &&str| ["model", "param", "machine", "kernel"].contains(word);
    let at = words.iter().position(other).unwrap_or(words.len());
    (words[..at].join(" "), words[at..].join(" "))
}

/// The document, and what is wrong with what it is made of.
fn table(zoo: &Zoo) -> (String, Vec<Finding>) {
    let (rows, mut findings) = rows(&zoo.index);
    let mut lines = Vec::new();
    let mut found = 0;
    for name in zoo.files.keys().filter(|name| !rows.iter().any(|row| row.name == **name)) {
        let message = format!("`{name}` is not in {INDEX}; add its row");
        findings.push(Finding::error(&format!("{FOLDER}/{name}.litmus"), 1, message));
    }
    for row in &rows {
        let Some(text) = zoo.files.get(&row.name) else {
            if row.status.is_empty() {
                let message = format!("`{}` has neither a file nor a reason", row.name);
                findings.push(Finding::error(INDEX, row.line, message));
            }
            lines.push(format!(
                "| `{}` | {} | {} | {} | {} | {} | {} | |",
                row.name, row.class, row.year, row.grade, row.features, row.source, row.status
            ));
            continue;
        };
        let path = format!("{FOLDER}/{}.litmus", row.name);
        let bug = bug(text);
        for (key, value) in [("Class", &row.class), ("Year", &row.year)] {
            if bug.header.get(key) != Some(value) {
                let message = format!("`{key}={value}` is missing in the header");
                findings.push(Finding::error(&path, 1, message));
            }
        }
        let of = |key: &str| bug.header.get(key).map_or("", String::as_str);
        for key in ["Grade", "Needs", "Source"].into_iter().filter(|key| of(key).is_empty()) {
            findings.push(Finding::error(&path, 1, format!("no `{key}=` in the header")));
        }
        let status = match (&bug.found, bug.clear) {
            (Some(_), true) => {
                found += 1;
                FOUND
            }
            (Some(_), false) => "found, and the fix is not clear",
            (None, _) => "not found",
        };
        lines.push(format!(
            "| [`{name}`](../{path}) | {} | {} | {} | {} | {} | {status} | {} |",
            row.class,
            row.year,
            of("Grade"),
            of("Needs"),
            of("Source"),
            bug.found.unwrap_or_default().replace('|', "\\|"),
            name = row.name,
        ));
    }
    let head = format!(
        "# The zoo\n\n\
         Documented bugs of the order of page-table changes and invalidations, one line\n\
         each: **{found} of {} found and clear**. That is, the base of the file (the fix) is\n\
         clean and the variant `BUGGY` breaks what the last column says, at the step that\n\
         it names. `shootdown test litmus/zoo` runs them all.\n\n\
         Made by `cargo xtask zoo` from the files and from\n\
         [index.tsv](../{INDEX}), and checked by `cargo xtask tidy`. Class: A freed or\n\
         moved before invalidated, B order of the new page, C rights and attributes, D\n\
         refill from a cache in between, E sequence and retry, F lifetime and\n\
         registration, G tables and paging-structure caches, H scope, target, tag,\n\
         completion. Grade: V the cause was read in the commit, advisory or thread; P\n\
         the commit was identified and part of the steps is reconstructed; M from\n\
         memory. Features: what a checker has to model.\n\n\
         | bug | class | year | grade | features | source | status | code at step |\n\
         |---|---|---|---|---|---|---|---|\n",
        rows.len()
    );
    (format!("{head}{}\n", lines.join("\n")), findings)
}

fn is_found(line: &str) -> bool {
    line.contains(&format!("| {FOUND} |"))
}

/// Bugs that the document calls found and clear, and that are so no more.
fn lost(zoo: &Zoo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, line) in zoo.table.lines().enumerate().filter(|(_, line)| is_found(line)) {
        let Some(name) = line.split('`').nth(1) else { continue };
        let still = zoo
            .files
            .get(name)
            .map(|text| bug(text))
            .is_some_and(|bug| bug.clear && bug.found.is_some());
        if !still {
            let message = format!(
                "`{name}` was found and clear and is not any more; mend its file: the table only \
                 grows"
            );
            findings.push(Finding::error(TABLE, at + 1, message));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX_TEXT: &str = "# name\n\
        one\tA\t2018\tV\tALLOC\tCVE-1\t\n\
        two\tF\t2019\tV\tREG\tLinux 1\tmissing feature REG\n";
    const ONE: &str = "C one\nClass=A\nGrade=V\nYear=2018\nNeeds=ALLOC\nSource=CVE-1\n{ int x=1; }\n\
        exists (x=1)\n\nexpect {\n    *     : clean, Never;\n    BUGGY : FREE at \"put_page\", \
        Sometimes;  // 1\n}\n";

    fn zoo() -> Zoo {
        let files = [("one".to_owned(), ONE.to_owned())].into();
        let mut zoo = Zoo { index: INDEX_TEXT.to_owned(), files, table: String::new() };
        zoo.table = table(&zoo).0;
        zoo
    }

    #[track_caller]
    fn assert_one(findings: &[Finding], message: &str) {
        let texts: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 1, "{texts:?}");
        assert!(texts[0].contains(message), "{texts:?}");
    }

    #[test]
    fn a_table_that_is_current() {
        let zoo = zoo();
        assert!(zoo.table.contains("**1 of 2 found and clear**"), "{}", zoo.table);
        assert!(zoo.table.contains("| found and clear | FREE at \"put_page\" |"), "{}", zoo.table);
        assert!(zoo.table.contains("| missing feature REG | |"), "{}", zoo.table);
        assert!(checked(&zoo).is_empty());
    }

    #[test]
    fn a_table_that_is_not() {
        let mut zoo = zoo();
        zoo.index = zoo.index.replace("2019", "2020");
        assert_one(&checked(&zoo), "run `cargo xtask zoo`");
    }

    #[test]
    fn a_bug_that_is_found_no_more() {
        for (good, bad) in [("FREE at \"put_page\", ", ""), ("clean, ", ""), ("BUGGY", "WORSE")] {
            let mut zoo = zoo();
            zoo.files.insert("one".to_owned(), ONE.replace(good, bad));
            assert_one(&checked(&zoo), "the table only grows");
        }
        let mut zoo = zoo();
        zoo.files.clear();
        zoo.index = zoo.index.replace("CVE-1\t", "CVE-1\tforgotten");
        assert_one(&checked(&zoo), "the table only grows");
    }

    #[test]
    fn a_bug_of_another_model_and_another_variant() {
        let mut zoo = zoo();
        let text = ONE.replace("    BUGGY :", "    BUGGY : clean;\n    BUGGY model ra :");
        zoo.files.insert("one".to_owned(), text.clone());
        let made = table(&zoo).0;
        assert!(
            made.contains("| found and clear | FREE at \"put_page\" under model ra |"),
            "{made}"
        );
        let text = text
            .replace("BUGGY model", "LATE  SKIP model")
            .replace("Year", "Buggy=LATE SKIP\nYear");
        zoo.files.insert("one".to_owned(), text);
        assert_eq!(table(&zoo).0, made);
    }

    #[test]
    fn a_file_that_the_index_lacks() {
        let mut zoo = zoo();
        zoo.files.insert("three".to_owned(), ONE.to_owned());
        assert_one(&checked(&zoo), "add its row");
    }

    #[test]
    fn a_row_without_file_and_reason() {
        let mut zoo = zoo();
        zoo.index = zoo.index.replace("missing feature REG", "");
        assert_one(&checked(&zoo), "neither a file nor a reason");
    }

    #[test]
    fn a_row_with_a_column_too_few() {
        let mut zoo = zoo();
        zoo.index = zoo.index.replace("\tmissing feature REG", "");
        assert_one(&checked(&zoo), "6 columns");
    }

    #[test]
    fn a_header_that_differs_from_the_index() {
        let mut zoo = zoo();
        zoo.files.insert("one".to_owned(), ONE.replace("Year=2018", "Year=2017"));
        assert_one(&checked(&zoo), "`Year=2018` is missing");
    }
}
