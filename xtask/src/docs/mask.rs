//! What may differ between two runs of a documented command: counts of the
//! free-running part, and how long something took. Nothing else.

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// The lines with counts that depend on how threads happened to be scheduled,
/// and those with seconds.
///
/// Only what a group captures is masked, so everything else on the line, and
/// every other line, is compared letter for letter. What is captured becomes
/// `N`; a count of zero stays `0`, so "never seen" and "seen" cannot pass for
/// each other. The `search` line of a verdict is not here: its states, steps
/// and bytes are the same in every run.
const MASKED: [&str; 4] = [
    // `  between clear and set:  0 of 41532 reads, 60 rounds`: how many of the
    // events in the window were wrong, out of how many, in how many rounds.
    r"^  (?:between clear and set|at range_end|told, then freed|freed, then told): +([0-9]+) of ([0-9]+) (?:reads|frames), ([0-9]+) rounds$",
    // `Time doorbell 0.09`: the line of herd's block that tells the seconds.
    r"^Time [^ ]+ ([0-9]+\.[0-9]+)$",
    // `      "seconds": 0.0004,`: the same in JSON.
    r#"^ *"seconds": ([0-9]+(?:\.[0-9]+)?(?:e-[0-9]+)?),?$"#,
    // `  <testsuite tests="4" time="0.004">`: the same in a JUnit report.
    r#"^ *<test(?:suites|suite|case) .*time="([0-9]+\.[0-9]{3})"/?>$"#,
];

static MASKS: LazyLock<Vec<Regex>> =
    LazyLock::new(|| MASKED.iter().map(|mask| Regex::new(mask).expect("a constant")).collect());

/// Whether two outputs are the same but for what is masked.
pub(super) fn equal(shown: &[String], printed: &[String]) -> bool {
    shown.len() == printed.len()
        && shown.iter().zip(printed).all(|(shown, printed)| line(shown) == line(printed))
}

/// The line with what differs from run to run masked.
fn line(line: &str) -> String {
    match MASKS.iter().find_map(|mask| mask.captures(line)) {
        Some(found) => masked(line, &found),
        None => line.to_owned(),
    }
}

fn masked(line: &str, found: &Captures<'_>) -> String {
    let mut text = String::new();
    let mut done = 0;
    for count in found.iter().skip(1).flatten() {
        text.push_str(&line[done..count.start()]);
        text.push_str(if count.as_str() == "0" { "0" } else { "N" });
        done = count.end();
    }
    text.push_str(&line[done..]);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn same(a: &str, b: &str) {
        assert_eq!(line(a), line(b));
    }

    #[track_caller]
    fn different(a: &str, b: &str) {
        assert_ne!(line(a), line(b));
    }

    #[test]
    fn counts_of_runs_may_differ() {
        same(
            "  at range_end:  10 of 312 reads, 7 rounds",
            "  at range_end:  9 of 13 reads, 1 rounds",
        );
        same(
            "  told, then freed:  0 of 41532 frames, 9 rounds",
            "  told, then freed:  0 of 7 frames, 70 rounds",
        );
    }

    #[test]
    fn zero_is_not_a_count_like_others() {
        let one = "  at range_end:  1 of 3120 reads, 5 rounds";
        different(one, "  at range_end:  0 of 3120 reads, 5 rounds");
        different(one, "  at range_end:  1 of 0 reads, 5 rounds");
        same(one, "  at range_end:  20 of 100 reads, 5 rounds");
    }

    #[test]
    fn all_else_is_compared_letter_for_letter() {
        let one = "  at range_end:  10 of 3120 reads, 5 rounds";
        different(one, "  at range_end:  10 of 3120 frames, 5 rounds");
        different(one, "  told, then freed:  10 of 3120 reads, 5 rounds");
        different(one, "  at range_end:   10 of 3120 reads, 5 rounds");
        different(one, "  at range_end:  10 of 3120 reads, 5 rounds, 4 kept");
        different("flushes: 10 of 20", "flushes: 11 of 20");
        different("[Time 1]", "[Time 2]");
        different(
            "  at range_end:  window not hit in 5 rounds",
            "  at range_end:  window not hit in 6 rounds",
        );
    }

    #[test]
    fn seconds_may_differ() {
        same("Time doorbell 0.09", "Time doorbell 0.00");
        same("Time doorbell 0.09", "Time doorbell 127.30");
        same("Time MP+polocks 0.00", "Time MP+polocks 0.01");
        same(
            "  <testsuite tests=\"4\" time=\"0.004\">",
            "  <testsuite tests=\"4\" time=\"1.250\">",
        );
        same("      \"seconds\": 0.0004,", "      \"seconds\": 1.5e-5,");
    }

    #[test]
    fn a_time_is_masked_and_nothing_beside_it() {
        different("Time doorbell 0.09", "Time late 0.09");
        different("Time doorbell 0.09", "Time doorbell 9");
        different("Time doorbell 0.09", "Time doorbell 0.09 s");
        different(" Time doorbell 0.09", " Time doorbell 0.10");
        different(
            "  <testsuite tests=\"4\" time=\"0.004\">",
            "  <testsuite tests=\"5\" time=\"0.004\">",
        );
        different("      \"states\": 4,", "      \"states\": 5,");
    }

    #[test]
    fn what_a_search_counted_is_compared() {
        let one = "search   10 states, 11 steps, depth 6, 8.3 KB; ideal memory 1 state";
        same(one, one);
        for (from, to) in [
            ("10 states", "11 states"),
            ("11 steps", "12 steps"),
            ("depth 6", "depth 7"),
            ("8.3 KB", "8.4 KB"),
            ("1 state", "2 states"),
        ] {
            different(one, &one.replacen(from, to, 1));
        }
        different("D0:told=0; D0:r=7;", "D0:told=0; D0:r=8;");
        different("Positive: 1 Negative: 0", "Positive: 1 Negative: 2");
    }

    #[test]
    fn a_line_more_or_less_is_another_output() {
        let (one, two) = (vec!["a".to_owned()], vec!["a".to_owned(), String::new()]);
        assert!(equal(&one, &one) && !equal(&one, &two) && !equal(&two, &one));
    }
}
