//! KTAP version 1, as the kernel's test tools read it.
//!
//! A result for each check, in order: `ok` if it is as the file expects, `not
//! ok` if it differs, `ok ... # SKIP` if the file expects nothing. Lines of
//! diagnostics come before the result that they belong to, as KUnit has them,
//! and only for what differs: what is violated and expected so is a success.

use shootdown_answers::verdict::{Checked, Judgement, Status};

use super::setting::{by_test, names};
use super::text::one_line;
use super::verdict::because;

/// The whole report.
pub fn text(checks: &[Checked]) -> String {
    let mut out = format!("KTAP version 1\n1..{}\n", checks.len());
    let mut number = 0;
    for (test, of_test) in by_test(checks) {
        for (name, checked) in names(&of_test).iter().zip(&of_test) {
            number += 1;
            result(&mut out, number, &title(test, name), checked);
        }
    }
    out
}

/// A description ends at a `#`, so it has none.
fn title(test: &str, name: &str) -> String {
    format!("{} {name}", one_line(test)).replace('#', "_").trim_end().to_owned()
}

fn result(out: &mut String, number: usize, title: &str, checked: &Checked) {
    match &checked.judgement {
        Judgement::Met { .. } => out.push_str(&format!("ok {number} {title}\n")),
        Judgement::Unjudged => {
            out.push_str(&format!("ok {number} {title} # SKIP unjudged: {}\n", found(checked)));
        }
        Judgement::Differs { place, differences } => {
            let at = super::say::place(place);
            out.push_str(&format!("# {title}: expected by {at}: {}\n", one_line(&place.text)));
            for difference in differences {
                out.push_str(&format!("# {title}: {}\n", one_line(difference)));
            }
            if let Some(stopped) = &checked.search.stopped {
                out.push_str(&format!("# {title}: {}\n", one_line(stopped)));
            }
            out.push_str(&format!("not ok {number} {title}\n"));
        }
    }
}

/// What was found, in a few words.
fn found(checked: &Checked) -> String {
    let violated = checked.verdicts.iter().filter(|it| matches!(it.status, Status::Violated(_)));
    let codes: Vec<&str> = violated.map(|verdict| verdict.code).collect();
    if !codes.is_empty() {
        return format!("{} violated", codes.join(", "));
    }
    match &checked.search.stopped {
        Some(stopped) => because("nothing found", stopped),
        None => "no violation found".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn all_kinds_of_results() {
        let expected = "\
KTAP version 1
1..4
ok 1 doorbell base sc
ok 2 doorbell LATE sc
# doorbell NONE tso: expected by litmus/seed/doorbell.litmus:69: NONE : NEW at \"set_pte_at\", Sometimes;
# doorbell NONE tso: NEW: expected violated at set_pte_at, found unknown
# doorbell NONE tso: stopped at 1,000,000 states, complete to depth 17
not ok 3 doorbell NONE tso
ok 4 page-freed-before-range-end LATE # SKIP unjudged: FREE violated
";
        assert_eq!(text(&fixture::all()), expected);
    }

    #[test]
    fn a_name_cannot_skip_or_fake_a_result() {
        let mut checked = fixture::clean();
        checked.test = "a # SKIP\nnot ok 1 b".to_owned();
        assert_eq!(text(&[checked]), "KTAP version 1\n1..1\nok 1 a _ SKIP not ok 1 b base\n");
    }

    #[test]
    fn nothing_to_report() {
        assert_eq!(text(&[]), "KTAP version 1\n1..0\n");
    }
}
