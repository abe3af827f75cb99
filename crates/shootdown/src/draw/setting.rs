//! How the checks of one run differ from each other.
//!
//! A table or a test report names each check by what tells it from the others:
//! its variant always, the rest only where it varies.

use shootdown_answers::verdict::{Checked, Judgement};

use super::text::one_line;

/// For each check its variant and what else tells it apart: `LATE`, `LATE tso`,
/// `LATE cpu_flush_notifies=yes`. Those that nothing tells apart are numbered.
pub(super) fn names(checks: &[&Checked]) -> Vec<String> {
    let vary = |of: &dyn Fn(&Checked) -> Option<String>| {
        checks.windows(2).any(|pair| of(pair[0]) != of(pair[1]))
    };
    let models = vary(&|checked| Some(checked.model.clone()));
    let mut params: Vec<&str> = Vec::new();
    for (name, _) in checks.iter().flat_map(|checked| &checked.params) {
        if !params.contains(&&**name) && vary(&|checked| param(checked, name).map(str::to_owned)) {
            params.push(name);
        }
    }
    let mut names: Vec<String> = Vec::new();
    for checked in checks {
        let mut name = one_line(&checked.variant);
        if models {
            name.push_str(&format!(" {}", one_line(&checked.model)));
        }
        for param_name in &params {
            if let Some(value) = param(checked, param_name) {
                name.push_str(&format!(" {}={}", one_line(param_name), one_line(value)));
            }
        }
        let (first, mut number) = (name.clone(), 1);
        while names.contains(&name) {
            number += 1;
            name = format!("{first} ({number})");
        }
        names.push(name);
    }
    names
}

fn param<'a>(checked: &'a Checked, name: &str) -> Option<&'a str> {
    checked.params.iter().find(|(n, _)| n == name).map(|(_, value)| &**value)
}

/// The checks of each test, in the order in which the tests come first.
pub(super) fn by_test(checks: &[Checked]) -> Vec<(&str, Vec<&Checked>)> {
    let mut tests: Vec<(&str, Vec<&Checked>)> = Vec::new();
    for checked in checks {
        match tests.iter_mut().find(|(test, _)| *test == checked.test) {
            Some((_, of_test)) => of_test.push(checked),
            None => tests.push((&checked.test, vec![checked])),
        }
    }
    tests
}

/// The differences in one line, for a report that has one.
pub(super) fn differences(judgement: &Judgement) -> Option<String> {
    let Judgement::Differs { place, differences } = judgement else { return None };
    let said = if differences.is_empty() {
        "differs from what the file expects".to_owned()
    } else {
        one_line(&differences.join("; "))
    };
    Some(format!("{}: {said}", super::say::place(place)))
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn only_what_varies_is_named() {
        let (clean, late, mut other) = (fixture::clean(), fixture::late(), fixture::late());
        assert_eq!(names(&[&clean, &late]), ["base", "LATE"]);
        other.params[1].1 = "yes".to_owned();
        assert_eq!(
            names(&[&late, &other]),
            ["LATE cpu_flush_notifies=no", "LATE cpu_flush_notifies=yes"]
        );
        let stopped = fixture::stopped();
        assert_eq!(names(&[&late, &stopped]), ["LATE sc", "NONE tso"]);
    }

    #[test]
    fn names_are_unique() {
        let clean = fixture::clean();
        assert_eq!(names(&[&clean, &clean, &clean]), ["base", "base (2)", "base (3)"]);
    }

    #[test]
    fn tests_in_order() {
        let checks = fixture::all();
        let tests = by_test(&checks);
        let sizes: Vec<_> = tests.iter().map(|(test, of_test)| (*test, of_test.len())).collect();
        assert_eq!(sizes, [("doorbell", 3), ("page-freed-before-range-end", 1)]);
    }
}
