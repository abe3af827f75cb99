//! What `test` found, as `--json` has it and as `merge` reads it again.
//!
//! Text, summary and exit status are made of this form alone: whether the cases
//! were found by one run or by four makes no difference to what is printed.

use serde::{Deserialize, Serialize};
use shootdown_answers::suite::{Case, Outcome, Shard};

use super::status::Status;
use crate::draw;

/// Version of this form.
pub const SCHEMA: &str = "shootdown.test/1";

/// A suite, or one shard of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// [`SCHEMA`]
    pub schema: String,
    /// A digest of all files of the suite and of how they are searched.
    pub suite: String,
    /// Which part this is; `null` for everything.
    pub shard: Option<Part>,
    /// Files of the suite, whatever the shard.
    pub files: usize,
    /// Checks of the suite, whatever the shard.
    pub total: usize,
    /// How the checks of this part ended.
    pub summary: Summary,
    /// In order.
    pub cases: Vec<Entry>,
}

/// `2/4`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// From 1.
    pub index: usize,
    /// How many there are.
    pub count: usize,
}

/// One check, or one wrong file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its position in the suite, from 0.
    pub at: usize,
    /// The file.
    pub file: String,
    /// Variant and setting; empty for a wrong file.
    pub name: String,
    /// `as_expected`, `differs`, `unjudged`, `not_covered`, `unknown`, `input`,
    /// `fault`.
    pub outcome: String,
    /// A line for each difference.
    pub lines: Vec<String>,
    /// What is wrong with the text.
    pub messages: String,
    /// As in `check --json`; `null` if nothing was run.
    pub check: Option<serde_json::Value>,
}

/// How many checks ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the outcomes by their names")]
pub struct Summary {
    pub checks: usize,
    pub as_expected: usize,
    pub differ: usize,
    pub unjudged: usize,
    pub not_covered: usize,
    pub unknown: usize,
    pub wrong_files: usize,
    pub faults: usize,
}

impl Results {
    /// The results of a run.
    ///
    /// # Errors
    ///
    /// None of these types can fail to be written; the error is serde's.
    pub fn new(
        suite: String,
        shard: Option<Shard>,
        files: usize,
        total: usize,
        cases: &[Case],
    ) -> serde_json::Result<Results> {
        let entry = |case: &Case| -> serde_json::Result<Entry> {
            let check = match case.checked.as_deref() {
                Some(checked) => {
                    let report = draw::json::report(std::slice::from_ref(checked));
                    report.checks.first().map(serde_json::to_value).transpose()?
                }
                None => None,
            };
            Ok(Entry {
                at: case.at,
                file: case.file.clone(),
                name: case.name.clone(),
                outcome: case.outcome.word().to_owned(),
                lines: case.lines.clone(),
                messages: case.messages.clone(),
                check,
            })
        };
        let cases = cases.iter().map(entry).collect::<serde_json::Result<Vec<_>>>()?;
        let shard = shard.map(|Shard { index, count }| Part { index, count });
        Ok(Results::of(suite, shard, files, total, cases))
    }

    fn of(
        suite: String,
        shard: Option<Part>,
        files: usize,
        total: usize,
        cases: Vec<Entry>,
    ) -> Results {
        let summary = summary(&cases);
        Results { schema: SCHEMA.to_owned(), suite, shard, files, total, summary, cases }
    }

    /// What is wrong with the texts, for stderr.
    pub fn messages(&self) -> String {
        self.cases.iter().map(|case| case.messages.as_str()).collect()
    }

    /// A line for each difference, and the summary.
    pub fn text(&self) -> String {
        let lines = self.cases.iter().flat_map(|case| &case.lines);
        let mut text: String = lines.map(|line| format!("{}\n", line.trim_end())).collect();
        text.push_str(&self.last_line());
        text
    }

    /// `12 files, 50 checks: 48 as expected, 1 differs, ...`
    fn last_line(&self) -> String {
        let Summary {
            checks,
            as_expected,
            differ,
            unjudged,
            not_covered,
            unknown,
            wrong_files,
            faults,
        } = self.summary;
        let one = |count: usize, one: &str, many: &str| match count {
            1 => format!("1 {one}"),
            _ => format!("{count} {many}"),
        };
        let mut line = format!(
            "{}, {}: {as_expected} as expected, {}, {unjudged} unjudged, {not_covered} not covered, \
             {unknown} unknown",
            one(self.files, "file", "files"),
            one(checks, "check", "checks"),
            one(differ, "differs", "differ"),
        );
        if wrong_files > 0 {
            line.push_str(&format!("; {} wrong", one(wrong_files, "file is", "files are")));
        }
        if faults > 0 {
            line.push_str(&format!("; {} of the checker", one(faults, "fault", "faults")));
        }
        if let Some(Part { index, count }) = self.shard {
            line.push_str(&format!(" (shard {index}/{count} of {} checks)", self.total));
        }
        line.push('\n');
        line
    }

    /// What is unjudged or a setting that is not offered leaves the status
    /// alone, unless there is nothing else: a suite that expects nothing of
    /// anything has put nothing to the test.
    pub fn status(&self) -> Status {
        let Summary { as_expected, differ, unknown, wrong_files, faults, .. } = self.summary;
        let uncovered = self
            .cases
            .iter()
            .any(|case| case.outcome == Outcome::NotCovered.word() && case.check.is_some());
        Status {
            internal: faults > 0,
            input: wrong_files > 0,
            differs: differ > 0,
            open: unknown > 0 || uncovered || (self.shard.is_none() && as_expected + differ == 0),
        }
    }
}

fn summary(cases: &[Entry]) -> Summary {
    let mut summary = Summary::default();
    for case in cases {
        let count = match Outcome::of_word(&case.outcome) {
            Some(Outcome::AsExpected) => &mut summary.as_expected,
            Some(Outcome::Differs) => &mut summary.differ,
            Some(Outcome::Unjudged) => &mut summary.unjudged,
            Some(Outcome::NotCovered) => &mut summary.not_covered,
            Some(Outcome::Unknown) => &mut summary.unknown,
            Some(Outcome::Input) => &mut summary.wrong_files,
            Some(Outcome::Fault) | None => &mut summary.faults,
        };
        *count += 1;
    }
    summary.checks = cases.len() - summary.wrong_files;
    summary
}

/// Puts the shards of one suite together, in any order.
///
/// # Errors
///
/// Why they are not the shards of one suite, each once.
pub fn merge(parts: Vec<(String, Results)>) -> Result<Results, String> {
    let Some((first_name, first)) = parts.first() else {
        return Err("there is nothing to merge; name the results of all shards".to_owned());
    };
    let (first_name, suite, files, total) =
        (first_name.clone(), first.suite.clone(), first.files, first.total);
    let count = first.shard.map_or(1, |part| part.count);
    let mut seen: Vec<Option<String>> = vec![None; count.clamp(1, parts.len() + 1)];
    let mut cases = Vec::new();
    for (name, results) in parts {
        if results.schema != SCHEMA {
            return Err(format!(
                "{name}: the schema is `{}`, and this reads {SCHEMA}",
                results.schema
            ));
        }
        let part = results.shard.unwrap_or(Part { index: 1, count: 1 });
        if (&results.suite, results.files, results.total, part.count)
            != (&suite, files, total, count)
        {
            return Err(format!(
                "{name} and {first_name} are not of one suite: the files, the limits or the number of \
                 shards differ; run all shards on the same tree with the same flags"
            ));
        }
        if part.index == 0 || part.index > count {
            return Err(format!("{name}: there is no shard {} of {count}", part.index));
        }
        // Far more shards than files: one is missing, whatever the numbers.
        if let Some(place) = seen.get_mut(part.index - 1)
            && let Some(other) = place.replace(name.clone())
        {
            return Err(format!(
                "{name} and {other} are both shard {}/{count}; leave one out",
                part.index
            ));
        }
        if let Some(case) =
            results.cases.iter().find(|case| Outcome::of_word(&case.outcome).is_none())
        {
            return Err(format!("{name}: unknown outcome `{}`", case.outcome));
        }
        let shard = Shard { index: part.index, count };
        if let Some(case) = results.cases.iter().find(|case| !shard.takes(case.at)) {
            return Err(format!("{name}: check {} does not belong to shard {shard}", case.at));
        }
        cases.extend(results.cases);
    }
    if let Some(missing) = seen.iter().position(Option::is_none) {
        return Err(format!(
            "shard {}/{count} is missing; name the results of all {count}",
            missing + 1
        ));
    }
    cases.sort_by_key(|case| case.at);
    if !cases.iter().map(|case| case.at).eq(0..total) {
        return Err(format!(
            "of {total} checks {} have a result; a shard was cut short",
            cases.len()
        ));
    }
    Ok(Results::of(suite, None, files, total, cases))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at: usize, outcome: Outcome) -> Entry {
        Entry {
            at,
            file: "a.litmus".to_owned(),
            name: format!("V{at}"),
            outcome: outcome.word().to_owned(),
            lines: match outcome {
                Outcome::Differs => {
                    vec![format!("a.litmus:9: V{at}: NEW: expected clean, found violated")]
                }
                _ => Vec::new(),
            },
            messages: String::new(),
            check: None,
        }
    }

    fn whole() -> Results {
        let outcomes = [
            Outcome::AsExpected,
            Outcome::Differs,
            Outcome::Unjudged,
            Outcome::AsExpected,
            Outcome::Unknown,
            Outcome::NotCovered,
            Outcome::Input,
        ];
        let cases = outcomes.into_iter().enumerate().map(|(at, outcome)| entry(at, outcome));
        Results::of("0123".to_owned(), None, 2, 7, cases.collect())
    }

    fn part(index: usize, count: usize) -> (String, Results) {
        let whole = whole();
        let shard = Shard { index, count };
        let cases = whole.cases.into_iter().filter(|case| shard.takes(case.at)).collect();
        let results =
            Results::of(whole.suite, Some(Part { index, count }), whole.files, whole.total, cases);
        (format!("{index}.json"), results)
    }

    #[test]
    fn shards_in_any_order_are_one_run() {
        for count in 1..10 {
            let parts = (1..=count).rev().map(|index| part(index, count)).collect();
            let merged = merge(parts).expect("all there");
            assert_eq!(merged, whole());
            assert_eq!(merged.text(), whole().text());
            assert_eq!(merged.status(), whole().status());
        }
        assert_eq!(
            whole().text(),
            "a.litmus:9: V1: NEW: expected clean, found violated\n\
             2 files, 6 checks: 2 as expected, 1 differs, 1 unjudged, 1 not covered, 1 unknown; 1 file is wrong\n"
        );
        assert_eq!(whole().status().number(), 2);
    }

    #[test]
    fn shards_that_do_not_belong_together() {
        let refused = |parts: Vec<(String, Results)>| merge(parts).expect_err("refused");
        assert!(refused(vec![part(1, 3), part(3, 3)]).starts_with("shard 2/3 is missing"));
        assert!(refused(vec![part(1, 2), part(1, 2)]).contains("both shard 1/2"));
        assert!(refused(vec![part(1, 2), part(2, 3)]).contains("not of one suite"));
        assert!(refused(Vec::new()).contains("nothing to merge"));
        assert!(refused(vec![part(1, usize::MAX)]).contains("is missing"));
        let mut other = part(2, 2);
        other.1.suite = "4567".to_owned();
        assert!(refused(vec![part(1, 2), other]).contains("not of one suite"));
        let mut cut = part(2, 2);
        cut.1.cases.pop();
        assert!(refused(vec![part(1, 2), cut]).contains("cut short"));
        let mut strange = part(2, 2);
        strange.1.cases[0].at = 0;
        assert!(refused(vec![part(1, 2), strange]).contains("does not belong"));
        let mut newer = part(1, 1);
        newer.1.schema = "shootdown.test/2".to_owned();
        assert!(refused(vec![newer]).contains("shootdown.test/1"));
    }

    #[test]
    fn what_is_unjudged_is_no_pass_and_no_failure() {
        let of = |outcomes: &[Outcome]| {
            let cases = outcomes.iter().enumerate().map(|(at, outcome)| entry(at, *outcome));
            Results::of(String::new(), None, 1, outcomes.len(), cases.collect()).status().number()
        };
        assert_eq!(of(&[Outcome::AsExpected, Outcome::Unjudged]), 0);
        assert_eq!(of(&[Outcome::Unjudged]), 3);
        assert_eq!(of(&[]), 3);
        assert_eq!(of(&[Outcome::AsExpected, Outcome::Unknown]), 3);
        assert_eq!(of(&[Outcome::Differs, Outcome::Unknown]), 1);
        assert_eq!(of(&[Outcome::Differs, Outcome::Fault, Outcome::Input]), 4);
    }

    #[test]
    fn written_and_read() {
        let text = serde_json::to_string(&whole()).expect("written");
        assert_eq!(serde_json::from_str::<Results>(&text).expect("read"), whole());
    }
}
